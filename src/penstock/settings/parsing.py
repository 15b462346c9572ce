"""What a setting's value may be, how text becomes it, and the errors for what does not.

A `Kind` is one sort of value. Values come as text from the environment, as TOML values from a
profile, and as Python objects from code; each kind takes all three.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from penstock.exceptions import PenstockException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
_SQLITE = "sqlite:///"
_FALSE = frozenset({"0", "false", "f", "no", "n", "off"})


class UnknownSettingError(PenstockException, LookupError, AttributeError):
    """A setting was asked for by a name that no setting has."""


class InvalidSettingError(PenstockException, ValueError):
    """A setting was given a value that it cannot take, or the profiles file cannot be read."""


class Kind(Generic[T]):
    """One sort of value.

    Args:
        python_type: The type of the parsed value, as `Setting.type` shows it.
        expected: What to tell a user who gave something else, e.g. `a whole number`.
        parse: Makes the value from text, a TOML value or a Python object; raises ValueError.
        relative_to: Makes a value that was found in a file, and names a place relative to that
            file's folder, name the same place from anywhere.
    """

    __slots__ = ("expected", "parse", "python_type", "relative_to")

    def __init__(
        self,
        python_type: object,
        expected: str,
        parse: Callable[[object], T],
        relative_to: Callable[[object, Path], object] | None = None,
    ) -> None:
        """Describe the kind."""
        self.python_type = python_type
        self.expected = expected
        self.parse = parse
        self.relative_to = relative_to


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, (str, int)):
        text = str(value).strip().lower()
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
    raise ValueError


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError  # noqa: TRY004 - one error for all that a kind cannot take
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _integer(value: object) -> int:
    if isinstance(value, str):
        return int(value)
    number = _number(value)
    if not number.is_integer():
        raise ValueError
    return int(number)


def _text(value: object) -> str:
    if isinstance(value, (str, Path)):
        return str(value)
    raise ValueError


def _path(value: object) -> Path:
    text = _text(value)
    if not text:
        raise ValueError
    return Path(text).expanduser().absolute()


def _path_relative_to(value: object, folder: Path) -> object:
    return folder / Path(value).expanduser() if isinstance(value, str) and value else value


def _store_relative_to(value: object, folder: Path) -> object:
    if not isinstance(value, str) or not value.startswith(_SQLITE):
        return value
    path = value.removeprefix(_SQLITE)
    if not path or path == ":memory:":
        return value
    return f"{_SQLITE}{folder / Path(path).expanduser()}"


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, (list, tuple, set, frozenset)):
        return tuple(_text(part) for part in cast("Iterable[object]", value))
    raise ValueError


def _delays(value: object) -> float | list[float]:
    if isinstance(value, str) and ("," in value or "[" in value):
        value = value.strip().removeprefix("[").removesuffix("]").split(",")
    if isinstance(value, (list, tuple)):
        return [_not_negative(_number(part)) for part in cast("Iterable[object]", value)]
    return _not_negative(_number(value))


def _not_negative(number: float) -> float:
    if number < 0:
        raise ValueError
    return number


def users_folder() -> Path:
    """Return the user's own folder.

    Raises:
        InvalidSettingError: It is not known, as in some containers.
    """
    try:
        folder = Path("~").expanduser()
    except RuntimeError:
        folder = None
    if folder is None or not folder.is_absolute() or os.environ.get("HOME") == "":
        msg = (
            "The folder of this user is not known (HOME is not set), so there is no place for"
            " penstock's own: set PENSTOCK_HOME to a folder that can be written."
        )
        raise InvalidSettingError(msg)
    return folder


def _level(value: object) -> str:
    import logging

    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = _text(value).strip().upper()
    if text.isdigit() or text in logging.getLevelNamesMapping():
        return text
    raise ValueError


def at_least(kind: Kind[Any], minimum: float, *, above: bool = False) -> Kind[Any]:
    """Narrow a kind of number to those not under `minimum` (with `above`: over it)."""

    def parse(value: object) -> Any:
        number = kind.parse(value)
        if number < minimum or (above and number == minimum):
            raise ValueError
        return number

    limit = "greater than" if above else "not less than"
    return Kind(kind.python_type, f"{kind.expected} {limit} {minimum:g}", parse)


def optional(kind: Kind[T]) -> Kind[T | None]:
    """Let a kind also be None, in text an empty value."""

    def parse(value: object) -> T | None:
        return None if value is None or value == "" else kind.parse(value)

    return Kind(cast("Any", kind.python_type) | None, f"{kind.expected}, or none", parse)


def one_of(*choices: str) -> Kind[str]:
    """Make a kind of text with these values only; case does not matter."""

    def parse(value: object) -> str:
        text = _text(value).strip().lower()
        if text not in choices:
            raise ValueError
        return text

    return Kind(str, "one of " + ", ".join(repr(choice) for choice in choices), parse)


BOOLEAN: Kind[bool] = Kind(bool, "true or false (also yes, no, on, off, 1, 0)", _boolean)
INTEGER: Kind[int] = Kind(int, "a whole number", _integer)
_SECONDS: Kind[float] = Kind(float, "a number of seconds", _number)
TEXT: Kind[str] = Kind(str, "text", _text)
PATH: Kind[Path] = Kind(Path, "a path", _path, _path_relative_to)
STORE: Kind[str] = Kind(str, "the URL of a store", _text, _store_relative_to)
NAMES: Kind[tuple[str, ...]] = Kind(tuple[str, ...], "names separated by commas", _names)
LEVEL: Kind[str] = Kind(str, "a level such as DEBUG, INFO, WARNING or a number", _level)
DELAYS: Kind[float | list[float]] = Kind(
    float | list[float], "a number of seconds not less than 0, or a list of such numbers", _delays
)
COUNT: Kind[int] = at_least(INTEGER, 0)
POSITIVE_COUNT: Kind[int] = at_least(INTEGER, 1)
BYTES: Kind[int] = at_least(Kind(int, "a whole number of bytes", _integer), 0)
DAYS: Kind[float] = at_least(Kind(float, "a number of days", _number), 0)
SECONDS: Kind[float] = at_least(_SECONDS, 0)
POSITIVE_SECONDS: Kind[float] = at_least(_SECONDS, 0, above=True)
