"""Loggers switched off for a while, and listened to."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def disable_logger(name: str) -> Generator[None]:
    """Let the logger called `name` log nothing while the block lasts."""
    logger = logging.getLogger(name)
    former, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = former


@contextmanager
def disable_run_logger() -> Generator[None]:
    """Let runs log nothing while the block lasts; `get_run_logger` then works outside of runs.

    Example:
        >>> from penstock import get_run_logger, task
        >>> @task
        ... def double(x):
        ...     get_run_logger().info("Doubling %s", x)
        ...     return 2 * x
        >>> with disable_run_logger():
        ...     double.fn(2)
        4
    """
    with disable_logger("penstock.flow_runs"), disable_logger("penstock.task_runs"):
        yield


class LogEavesdropper(logging.Handler):
    """Collects what a logger is given while the block lasts.

    Args:
        eavesdrop_on: The logger's name.
        level: The lowest level to collect; the logger lets it through for that long. By default
            what the logger lets through anyway.

    Example:
        >>> with LogEavesdropper("my_library", level=logging.INFO) as overheard:
        ...     logging.getLogger("my_library").info("Hello")
        >>> overheard.text()
        'Hello'
    """

    def __init__(self, eavesdrop_on: str, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.eavesdrop_on = eavesdrop_on
        self._logger: logging.Logger | None = None
        self._former_level = logging.NOTSET
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        """Begin to collect."""
        self._logger = logging.getLogger(self.eavesdrop_on)
        self._former_level = self._logger.level
        if self.level and not self._logger.isEnabledFor(self.level):
            self._logger.setLevel(self.level)
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop collecting; what was collected stays."""
        if self._logger is not None:
            self._logger.removeHandler(self)
            self._logger.setLevel(self._former_level)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the formatted record."""
        self._lines.append(self.format(record))

    def text(self) -> str:
        """Give all that was collected, a record a line."""
        return "\n".join(self._lines)
