"""What a setting's value may be, how text becomes it, and the errors for what does not.

A `Kind` is one sort of value. Values come as text from the environment, as TOML values from a
profile, and as Python objects from code; each kind takes all three.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from penstock.exceptions import PenstockException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
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
    """

    __slots__ = ("expected", "parse", "python_type")

    def __init__(self, python_type: object, expected: str, parse: Callable[[object], T]) -> None:
        """Describe the kind."""
        self.python_type = python_type
        self.expected = expected
        self.parse = parse


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
    return Path(text).expanduser()


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
NUMBER: Kind[float] = Kind(float, "a number", _number)
TEXT: Kind[str] = Kind(str, "text", _text)
PATH: Kind[Path] = Kind(Path, "a path", _path)
NAMES: Kind[tuple[str, ...]] = Kind(tuple[str, ...], "names separated by commas", _names)
LEVEL: Kind[str] = Kind(str, "a level such as DEBUG, INFO, WARNING or a number", _level)
DELAYS: Kind[float | list[float]] = Kind(
    float | list[float], "a number of seconds not less than 0, or a list of such numbers", _delays
)
COUNT: Kind[int] = at_least(INTEGER, 0)
POSITIVE_COUNT: Kind[int] = at_least(INTEGER, 1)
SECONDS: Kind[float] = at_least(NUMBER, 0)
POSITIVE_SECONDS: Kind[float] = at_least(NUMBER, 0, above=True)
