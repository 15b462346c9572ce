"""How a record reads on the console: by whether a flow run, a task run or neither logged it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Literal

from penstock.settings import get_current_settings
from penstock.utilities.tracebacks import folded_traceback

if TYPE_CHECKING:
    from collections.abc import Mapping

TIME_FORMAT = "%H:%M:%S"
START = "%(asctime)s.%(msecs)03d | %(levelname)-7s | "
STANDARD_FORMAT = START + "%(name)s - %(message)s"
FLOW_RUN_FORMAT = START + "Flow run %(flow_run_name)r - %(message)s"
TASK_RUN_FORMAT = START + "Task run %(task_run_name)r - %(message)s"
STANDARD = (STANDARD_FORMAT, FLOW_RUN_FORMAT, TASK_RUN_FORMAT, TIME_FORMAT)

_Style = Literal["%", "{", "$"]


class PenstockFormatter(logging.Formatter):
    """Formats the records of flow runs and of task runs by formats of their own.

    Args:
        format: For records that belong to no run.
        datefmt: For the time of all of them.
        style: The style of all formats: `%`, `{` or `$`.
        validate: Whether to refuse a format that is not of the style.
        defaults: Values of fields that a record may not have.
        task_run_fmt: For records of task runs; None means `format`.
        flow_run_fmt: For records of flow runs; None means `format`.

    Example:
        >>> record = logging.makeLogRecord({"msg": "hello", "flow_run_name": "brave-otter"})
        >>> PenstockFormatter("%(message)s", flow_run_fmt="%(flow_run_name)s: %(message)s").format(
        ...     record
        ... )
        'brave-otter: hello'
    """

    def __init__(
        self,
        format: str | None = None,  # noqa: A002 - the key it has in logging configurations
        datefmt: str | None = None,
        style: _Style = "%",
        *,
        validate: bool = True,
        defaults: Mapping[str, Any] | None = None,
        task_run_fmt: str | None = None,
        flow_run_fmt: str | None = None,
    ) -> None:
        def styled(text: str | None) -> logging.PercentStyle | None:
            if text is None:
                return None
            made = logging.Formatter(text, style=style, validate=validate, defaults=defaults)
            return made._style  # noqa: SLF001 - there is no other way to two formats

        super().__init__(format, datefmt, style, validate, defaults=defaults)
        self._for_flow_runs = styled(flow_run_fmt)
        self._for_task_runs = styled(task_run_fmt)
        self.is_standard = (format, flow_run_fmt, task_run_fmt, datefmt) == STANDARD
        self._second: tuple[int, str, str] = (-1, "", "")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Format by what the record belongs to."""
        fields = record.__dict__
        if self._for_task_runs is not None and fields.get("task_run_name") is not None:
            return self._for_task_runs.format(record)
        if self._for_flow_runs is not None and fields.get("flow_run_name") is not None:
            return self._for_flow_runs.format(record)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Format an exception; in `PENSTOCK_DEBUG_MODE` with the frames of penstock, too."""
        _kind, error, trace = ei
        if error is None:
            return super().formatException(ei)
        whole = bool(get_current_settings().values_by_name["PENSTOCK_DEBUG_MODE"])
        return folded_traceback(error, trace, whole=whole)

    def formatTime(  # noqa: N802 - logging's name
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        """Format the time; within a second it is the same text."""
        if datefmt is None:
            return super().formatTime(record)
        return self._time(record.created, datefmt)

    def line(self, created: float, level: int, head: str, message: str) -> str:
        """Give the line of a run's record in the standard format, without a record.

        Args:
            created: When it was logged, in seconds since the epoch.
            level: Its level.
            head: `Flow run 'name'` or `Task run 'name'`.
            message: The text.
        """
        milliseconds = int((created - int(created)) * 1000)
        time_text = self._time(created, TIME_FORMAT)
        level_name = logging.getLevelName(level)
        return f"{time_text}.{milliseconds:03d} | {level_name:<7} | {head} - {message}"

    def _time(self, created: float, datefmt: str) -> str:
        second = int(created)
        known, known_format, text = self._second
        if known != second or known_format != datefmt:
            text = time.strftime(datefmt, self.converter(created))
            self._second = (second, datefmt, text)
        return text


PrefectFormatter = PenstockFormatter
"""The name that logging configurations made for Prefect use."""
