"""Where log records go: the console, and the buffer from which the engine commits them."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import TYPE_CHECKING, Any, TextIO
from uuid import UUID

from penstock import clock
from penstock.context import FlowRunContext, TaskRunContext
from penstock.exceptions import MissingContextError
from penstock.ids import new_id
from penstock.logging.buffer import NO_FLOW_RUN, put
from penstock.logging.colors import paint, palette, takes_color
from penstock.logging.formatters import PenstockFormatter
from penstock.settings import get_current_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

_root = logging.getLogger()
_warned_at: dict[Any, Any] = {}


class StoreHandler(logging.Handler):
    """Hands records of runs to the store, with the next commit of the process.

    A record says its run in `flow_run_id` and `task_run_id`, as those of run loggers do; one that
    does not belongs to the run that it is logged in. `extra={"send_to_api": False}` keeps a
    record out of the store.
    """

    plain = PenstockFormatter("%(message)s")
    """What gives the text of a record where no other formatter was set."""
    is_for_runs_only = True
    """Whether a record that belongs to no run is a mistake, which is said."""

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Filter and emit. The buffer has its own lock, so none is taken here."""
        if self.filters:
            kept = self.filter(record)
            if not kept:
                return False
            # Since Python 3.12 a filter may put another record in its place.
            record = record if kept is True else kept
        self.emit(record)
        return True

    def is_plain(self) -> bool:
        """Tell whether it takes every record as it is."""
        return self.formatter is None and not self.level and not self.filters

    def emit(self, record: logging.LogRecord) -> None:
        """Put the record into the buffer.

        Raises:
            MissingContextError: It belongs to no run, and the setting
                `PENSTOCK_LOGGING_TO_API_WHEN_MISSING_FLOW` is `error`.
        """
        fields = record.__dict__
        if "penstock_recorded" in fields or not fields.get("send_to_api", True):
            return
        settings = get_current_settings().values_by_name
        if not settings["PENSTOCK_LOGGING_TO_API_ENABLED"]:
            return
        flow_run_id, task_run_id = fields.get("flow_run_id"), fields.get("task_run_id")
        if flow_run_id is None and task_run_id is None:
            flow_run_id, task_run_id = _ids_of_present_run()
            if flow_run_id is None and task_run_id is None:
                if self.is_for_runs_only:
                    _refuse(record, settings["PENSTOCK_LOGGING_TO_API_WHEN_MISSING_FLOW"])
                return
        # Another logger up the tree may have such a handler, too.
        fields["penstock_recorded"] = True
        try:
            if self.formatter is None and not (record.exc_info or record.stack_info):
                message = record.getMessage()
            else:
                message = (self.formatter or self.plain).format(record)
            put_message(
                NO_FLOW_RUN if flow_run_id is None else _bytes_of(flow_run_id),
                None if task_run_id is None else _bytes_of(task_run_id),
                record.name,
                record.levelno,
                message,
                record.created,
            )
        except Exception:  # noqa: BLE001 - logging's rule: handleError says it on stderr
            self.handleError(record)


class GraphHandler(StoreHandler):
    """Hands records of graphs to the store, if they are logged in a run that is recorded.

    A graph's tasks can be run on their own, too, and then belong to no run.
    """

    is_for_runs_only = False


def _ids_of_present_run() -> tuple[UUID | None, UUID | None]:
    task_context = TaskRunContext.get()
    if task_context is not None:
        return task_context.task_run.flow_run_id, task_context.task_run.id
    flow_context = FlowRunContext.get()
    if flow_context is None or flow_context.flow_run is None:
        return None, None
    return flow_context.flow_run.id, None


def _bytes_of(run_id: str | UUID) -> bytes:
    return run_id.bytes if isinstance(run_id, UUID) else bytes.fromhex(run_id.replace("-", ""))


def put_message(
    flow_run_id: bytes,
    task_run_id: bytes | None,
    name: str,
    level: int,
    message: str,
    created: float,
) -> None:
    """Put what a run logged into the buffer, or a note if it is too large.

    Args:
        flow_run_id: The flow run, or `NO_FLOW_RUN`.
        task_run_id: The task run, if it is one's.
        name: The logger.
        level: The level.
        message: The text, formatted.
        created: When it was logged, in seconds since the epoch.
    """
    limit: int = get_current_settings().values_by_name["PENSTOCK_LOGGING_TO_API_MAX_LOG_SIZE"]
    if len(message) * 4 > limit or not message.isascii():
        level, message = _storable(level, message, limit)
    if clock.is_virtual():
        created = clock.epoch()
    put((flow_run_id, new_id().bytes, task_run_id, name, level, message, created))


def _storable(level: int, message: str, limit: int) -> tuple[int, str]:
    """Give a level and a text that any store can write: valid Unicode, and within the limit."""
    data = message.encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return level, data.decode()
    note = (
        f"A log record of {len(data)} bytes was not recorded, only this note: the limit is {limit}"
        " bytes. Raise PENSTOCK_LOGGING_TO_API_MAX_LOG_SIZE, or write large data to a file. It"
        f" began: {message[:200]!r}"
    )
    logging.getLogger("penstock.logging").error(note)
    return max(level, logging.ERROR), note


def _refuse(record: logging.LogRecord, manner: str) -> None:
    """Warn of a record that belongs to no run, or raise, or do neither."""
    if manner == "ignore":
        return
    message = (
        f"Logger {record.name!r} was asked to record a message, but there is no flow run or task"
        " run that it belongs to. Log from within a run, use get_logger() for a logger that does"
        " not record, or set PENSTOCK_LOGGING_TO_API_WHEN_MISSING_FLOW=ignore."
    )
    if manner == "error":
        raise MissingContextError(message)
    warnings.warn_explicit(
        message, UserWarning, record.pathname, record.lineno, registry=_warned_at
    )


class ConsoleHandler(logging.Handler):
    """Writes records to the console: to standard error, wherever that leads at the moment.

    It keeps silent where the root logger has a handler that writes to the console, too: a program
    that configured logging for itself sees each record once, in its own format.

    Args:
        stream: Where to write; None means `sys.stderr`.
        colors: Whether to colour on a terminal; None: as `PENSTOCK_LOGGING_COLORS` says.
        markup: Whether to read `[red]text[/red]` in messages as markup; None: as
            `PENSTOCK_LOGGING_MARKUP` says.
        styles: Colours by name, e.g. `{"log.error_level": "bold red"}`, over the usual ones.
        level: The lowest level that is written.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        colors: bool | None = None,
        markup: bool | None = None,
        styles: Mapping[str, str] | None = None,
        level: int | str = logging.NOTSET,
    ) -> None:
        super().__init__(level)
        self.stream = stream
        self._colors = colors
        self._markup = markup
        self._palette = palette(styles)
        self._asked: TextIO | None = None
        self._painting = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, unless the root logger's handlers do."""
        if _root.handlers and self.stream is None and _shown_by_root(record):
            return
        try:
            text = self.format(record)
            stream = self.stream or sys.stderr
            if self.paints(stream):
                markup = self._wants_markup()
                text = paint(text, record, self._palette, color=self._painting, markup=markup)
            self.write(text)
        except Exception:  # noqa: BLE001 - logging's rule: handleError says it on stderr
            self.handleError(record)

    def write(self, text: str) -> None:
        """Write a line, in one call, so that lines of threads do not mix."""
        stream = self.stream or sys.stderr
        if stream is not None:  # programs without a console have none
            stream.write(text + "\n")
            stream.flush()

    def plain_formatter(self) -> PenstockFormatter | None:
        """Give the formatter, if it writes every record in the standard format and uncoloured."""
        formatter = self.formatter
        if (
            self.level
            or self.filters
            or type(formatter) is not PenstockFormatter
            or not formatter.is_standard
            or self.paints(self.stream or sys.stderr)
        ):
            return None
        return formatter

    def paints(self, stream: TextIO | None) -> bool:
        """Tell whether lines written to `stream` are coloured, or have markup to take out."""
        if stream is not self._asked:
            self._asked, self._painting = stream, self._wants_color() and takes_color(stream)
        return self._painting or self._wants_markup()

    def _wants_color(self) -> bool:
        if self._colors is None:
            return get_current_settings().values_by_name["PENSTOCK_LOGGING_COLORS"]
        return self._colors

    def _wants_markup(self) -> bool:
        if self._markup is None:
            self._markup = bool(get_current_settings().values_by_name["PENSTOCK_LOGGING_MARKUP"])
        return self._markup


def _shown_by_root(record: logging.LogRecord) -> bool:
    return any(
        record.levelno >= handler.level and writes_to_console(handler)
        for handler in _root.handlers
    )


def writes_to_console(handler: logging.Handler) -> bool:
    """Tell whether a handler writes to standard output or error, itself or through rich."""
    stream = getattr(handler, "stream", None)
    if stream is None:
        stream = getattr(getattr(handler, "console", None), "file", None)
    return stream is not None and stream in (
        sys.stderr,
        sys.stdout,
        sys.__stderr__,
        sys.__stdout__,
    )


APILogHandler = StoreHandler
"""The name that logging configurations made for Prefect use."""

PrefectConsoleHandler = ConsoleHandler
"""The same."""
