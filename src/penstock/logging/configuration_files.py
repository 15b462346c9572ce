"""A user's logging configuration: read from a file, and changed entry by entry by variables."""

from __future__ import annotations

import os
import re
import string
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from penstock.settings import InvalidSettingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from penstock.settings import Settings

_PREFIX = "PENSTOCK_LOGGING_"
_SECTIONS = ("LOGGERS_", "HANDLERS_", "FORMATTERS_", "FILTERS_", "ROOT_")
_USUAL_KEYS = {"loggers": ("level", "handlers", "propagate"), "handlers": ("level",)}
_LISTS = frozenset({"handlers", "filters"})
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


def load_file(settings: Settings) -> dict[str, Any] | None:
    """Read the file of `PENSTOCK_LOGGING_SETTINGS_PATH`.

    `${PENSTOCK_LOGGING_LEVEL}` and other settings in it are replaced by their values.

    Returns:
        The configuration; none if the setting was not given and there is no such file.

    Raises:
        InvalidSettingError: There is no such file, or it cannot be read.
    """
    path: Path = settings.values_by_name["PENSTOCK_LOGGING_SETTINGS_PATH"]
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if "PENSTOCK_LOGGING_SETTINGS_PATH" not in settings.given:
            return None
        raise _unreadable(path, "there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from error
    values = {name: str(value) for name, value in settings.values_by_name.items()}
    loaded = _parse(path, string.Template(text).safe_substitute(values))
    if not isinstance(loaded, dict):
        raise _unreadable(path, "it holds no mapping of sections such as `loggers`")
    return cast("dict[str, Any]", loaded)


def _parse(path: Path, text: str) -> object:
    suffix = path.suffix.lower()
    try:
        if suffix == ".json":
            import json

            return json.loads(text)
        if suffix == ".toml":
            import tomllib

            return tomllib.loads(text)
    except ValueError as error:
        raise _unreadable(path, str(error)) from error
    try:
        # No dependency of penstock's: who writes YAML has it, or is told.
        yaml = import_module("yaml")
    except ImportError as error:
        what = "reading YAML needs the package PyYAML: pip install pyyaml (or use JSON or TOML)"
        raise _unreadable(path, what) from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, why: str) -> InvalidSettingError:
    return InvalidSettingError(
        f"The logging configuration {path} (PENSTOCK_LOGGING_SETTINGS_PATH) cannot be read: {why}."
    )


def overrides() -> dict[str, str]:
    """Give the variables of the environment that change entries of the configuration."""
    starts = tuple(_PREFIX + section for section in _SECTIONS)
    return {name: text for name, text in os.environ.items() if name.startswith(starts) and text}


def override_entries(configuration: dict[str, Any], variables: Mapping[str, str]) -> None:
    """Put the values of variables into the configuration.

    A variable is named by the path of its entry: `PENSTOCK_LOGGING_LOGGERS_PENSTOCK_LEVEL` is the
    entry `level` of `penstock` in `loggers`. Lists are separated by commas. A variable that names
    no entry is warned of.

    Raises:
        InvalidSettingError: A value is not of the entry's type.
    """
    if not variables:
        return
    entries = {_variable(path): path for path in _paths(configuration)}
    for name, text in variables.items():
        path = entries.get(name)
        if path is None:
            message = (
                f"{name} in the environment names no entry of the logging configuration and has no"
                f" effect. There are: {', '.join(sorted(entries))}."
            )
            warnings.warn(message, stacklevel=2)
            continue
        place = configuration
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = _value(name, text, place.get(path[-1]), path[-1])


def _variable(path: tuple[str, ...]) -> str:
    return _PREFIX + re.sub(r"\W", "_", "_".join(path)).upper()


def _paths(place: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Give the paths of all entries, and of those that loggers and handlers may have besides."""
    for key, value in place.items():
        path = (*above, str(key))
        if isinstance(value, dict):
            yield from _paths(cast("dict[str, Any]", value), path)
        elif above:
            yield path
    if len(above) == 2:  # noqa: PLR2004 - section and name
        yield from ((*above, key) for key in _USUAL_KEYS.get(above[0], ()) if key not in place)


def _value(name: str, text: str, former: object, key: str) -> object:
    if isinstance(former, list) or key in _LISTS:
        return [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(former, bool) or key == "propagate":
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        message = f"{name} from the environment is {text!r}, but must be true or false."
        raise InvalidSettingError(message)
    if key == "level":
        return _level(name, text)
    if isinstance(former, int):
        if text.lstrip("-").isdecimal():
            return int(text)
        message = f"{name} from the environment is {text!r}, but must be a whole number."
        raise InvalidSettingError(message)
    return text


def _level(name: str, text: str) -> str | int:
    import logging

    if text.isdecimal():
        return int(text)
    if text.upper() in logging.getLevelNamesMapping():
        return text.upper()
    message = (
        f"{name} from the environment is {text!r}, but must be a level such as DEBUG, INFO,"
        " WARNING or a number."
    )
    raise InvalidSettingError(message)
