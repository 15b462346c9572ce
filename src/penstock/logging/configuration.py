"""How logging is set up: penstock's own configuration, or a user's file, changed by variables.

Penstock's loggers propagate to the root logger, as any library's do: what a program or a test has
there sees each record. Neither the root logger nor other libraries' are changed, but for those
that `PENSTOCK_LOGGING_EXTRA_LOGGERS` names. A level that a program gave a logger itself stays.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from penstock.logging.configuration_files import load_file, override_entries, overrides
from penstock.logging.formatters import (
    FLOW_RUN_FORMAT,
    STANDARD_FORMAT,
    TASK_RUN_FORMAT,
    TIME_FORMAT,
    PenstockFormatter,
)
from penstock.logging.handlers import (
    ConsoleHandler,
    GraphHandler,
    StoreHandler,
    writes_to_console,
)
from penstock.settings import InvalidSettingError, get_current_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from penstock.settings import Settings

_EXTRA = "penstock.extra"
"""The logger whose handlers and level extra loggers get; nothing logs to it itself."""

_HANDLERS = {"console": ConsoleHandler, "api": StoreHandler, "graph": GraphHandler}

_lock = threading.RLock()


class _SetUp:
    """What is set up now, so that it can be taken down or left alone."""

    __slots__ = ("cut_off", "handlers", "key", "levels", "loggers_of_file", "settings")

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.key: tuple[Any, ...] | None = None
        self.handlers: list[tuple[logging.Logger, logging.Handler]] = []
        self.levels: dict[str, int] = {}
        self.cut_off: list[logging.Logger] = []
        self.loggers_of_file: list[str] = []


_present = _SetUp()


def setup_logging() -> None:
    """Set up logging as the settings in force say; at once done where that is so already.

    The engine calls it when a flow run or task run begins.

    Raises:
        InvalidSettingError: The file at `PENSTOCK_LOGGING_SETTINGS_PATH` or a variable that
            changes the configuration is wrong.
    """
    settings = get_current_settings()
    if settings is _present.settings:
        return
    with _lock:
        key = _key(settings)
        if key != _present.key:
            _take_down()
            _set_up(settings)
            _present.key = key
        _present.settings = settings


def default_configuration(level: str) -> dict[str, Any]:
    """Give penstock's own configuration, in the form of `logging.config.dictConfig`.

    Args:
        level: The lowest level that penstock's loggers let through.
    """
    run_logger = {"level": "NOTSET", "handlers": ["api"], "propagate": True}
    return {
        "version": 1,
        "formatters": {
            "standard": {
                "format": STANDARD_FORMAT,
                "flow_run_fmt": FLOW_RUN_FORMAT,
                "task_run_fmt": TASK_RUN_FORMAT,
                "datefmt": TIME_FORMAT,
            },
        },
        "handlers": {
            "console": {"level": "NOTSET", "formatter": "standard"},
            "api": {"level": "NOTSET"},
            "graph": {"level": "NOTSET"},
        },
        "loggers": {
            "penstock": {"level": level, "handlers": ["console"], "propagate": True},
            "penstock.flow_runs": dict(run_logger),
            "penstock.task_runs": dict(run_logger),
            "penstock.graph": {"level": "NOTSET", "handlers": ["graph"], "propagate": True},
            _EXTRA: {"level": level, "handlers": ["console", "api"], "propagate": True},
        },
    }


def _key(settings: Settings) -> tuple[Any, ...]:
    values = settings.values_by_name
    return (
        values["PENSTOCK_LOGGING_LEVEL"],
        values["PENSTOCK_LOGGING_EXTRA_LOGGERS"],
        values["PENSTOCK_LOGGING_SETTINGS_PATH"],
        values["PENSTOCK_LOGGING_COLORS"],
        values["PENSTOCK_LOGGING_MARKUP"],
        tuple(sorted(overrides().items())),
    )


def _set_up(settings: Settings) -> None:
    values = settings.values_by_name
    from_file = load_file(settings)
    configuration = from_file or default_configuration(values["PENSTOCK_LOGGING_LEVEL"])
    override_entries(configuration, overrides())
    if from_file is None:
        _apply_own(configuration)
    else:
        _apply_file(configuration, settings)
    model = logging.getLogger(_EXTRA)
    for name in _outermost(values["PENSTOCK_LOGGING_EXTRA_LOGGERS"]):
        _give(logging.getLogger(name), model.level, model.handlers or [StoreHandler()])


def _apply_own(configuration: Mapping[str, Any]) -> None:
    """Apply penstock's own configuration.

    `dictConfig` would close all handlers of the process, the program's own with them.
    """
    try:
        handlers = _make_handlers(configuration)
        for name, entry in configuration["loggers"].items():
            logger = logging.getLogger(name)
            _give(logger, entry["level"], [handlers[key] for key in entry["handlers"]])
            if logger.propagate and not entry["propagate"]:
                logger.propagate = False
                _present.cut_off.append(logger)
    except (LookupError, ValueError, TypeError) as error:
        message = (
            f"The logging configuration cannot be used as {', '.join(sorted(overrides()))} in the"
            f" environment change it: {error}. Correct or remove the variable."
        )
        raise InvalidSettingError(message) from error


def _make_handlers(configuration: Mapping[str, Any]) -> dict[str, logging.Handler]:
    formatters = {
        name: PenstockFormatter(**entry) for name, entry in configuration["formatters"].items()
    }
    made: dict[str, logging.Handler] = {}
    for name, entry in configuration["handlers"].items():
        handler = made[name] = _HANDLERS[name]()
        handler.setLevel(entry["level"])
        if "formatter" in entry:
            handler.setFormatter(formatters[entry["formatter"]])
    return made


def _give(logger: logging.Logger, level: int | str, handlers: Iterable[logging.Handler]) -> None:
    """Give a logger a level, unless it has one, and handlers."""
    if logger.level == logging.NOTSET:
        logger.setLevel(level)
        _present.levels[logger.name] = logger.level
    for handler in handlers:
        shown = logger is logging.root or any(map(writes_to_console, logger.handlers))
        if not (isinstance(handler, ConsoleHandler) and shown):
            logger.addHandler(handler)
            _present.handlers.append((logger, handler))


def _outermost(names: tuple[str, ...]) -> list[str]:
    """Leave out loggers whose records reach another of the names, or penstock's, anyway."""

    def covered(name: str) -> bool:
        parents = [name[:end] for end, letter in enumerate(name) if letter == "."]
        return name == "penstock" or any(each in names or each == "penstock" for each in parents)

    return [name for name in dict.fromkeys(names) if not covered(name)]


def _apply_file(configuration: dict[str, Any], settings: Settings) -> None:
    # Imports sockets and queues; only who has such a file pays for them.
    from logging.config import dictConfig

    configuration.setdefault("version", 1)
    configuration.setdefault("disable_existing_loggers", False)
    try:
        dictConfig(configuration)
    except (ValueError, TypeError, AttributeError, ImportError) as error:
        path = settings.values_by_name["PENSTOCK_LOGGING_SETTINGS_PATH"]
        causes = [str(cause) for cause in (error, error.__cause__) if cause is not None]
        message = (
            f"The logging configuration in {path} cannot be used: {': '.join(causes)}. It has the"
            " form of logging.config.dictConfig; correct it, or move the file away."
        )
        raise InvalidSettingError(message) from error
    _present.loggers_of_file = list(configuration.get("loggers", ()))


def _take_down() -> None:
    for logger, handler in _present.handlers:
        logger.removeHandler(handler)
    for name, level in _present.levels.items():
        logger = logging.getLogger(name)
        if logger.level == level:
            logger.setLevel(logging.NOTSET)
    for name in _present.loggers_of_file:
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
    for logger in _present.cut_off:
        logger.propagate = True
    _present.handlers, _present.levels = [], {}
    _present.cut_off, _present.loggers_of_file = [], []
    _present.key = _present.settings = None


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - a thread of the parent may have held it
    _lock = threading.RLock()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_renew_lock)
