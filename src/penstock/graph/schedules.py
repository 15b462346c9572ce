"""When the runs of a scheduled graph begin (6.6). A schedule is any object with `next(n)`."""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any

from penstock import clock

if TYPE_CHECKING:
    from collections.abc import Iterator

_logger = logging.getLogger("penstock.graph.flow")


def events(
    flow: Any, *, is_scheduled: bool
) -> Iterator[tuple[dt.datetime | None, dict[str, Any]]]:
    """Give the start times of the runs, each with the parameters that its event sets."""
    schedule = flow.schedule
    if schedule is None or not is_scheduled:
        yield None, {}
        return
    event = _next_event(schedule)
    if event is None:
        message = f"Flow {flow.name!r} has no more scheduled runs."
        raise ValueError(message)
    while event is not None:
        start_time, defaults = event
        yield start_time, defaults
        event = _next_event(schedule)


def wait_until(start_time: dt.datetime) -> None:
    """Sleep until a run is to begin."""
    wait_s = (start_time - clock.now()).total_seconds()
    if wait_s > 0:
        _logger.info("Waiting for next scheduled run at %s", start_time)
    clock.sleep(max(wait_s, 0.0))


def _next_event(schedule: Any) -> tuple[dt.datetime, dict[str, Any]] | None:
    """Give the next time of a schedule, which is any object with `next(n)`."""
    events = list(schedule.next(1))
    if not events:
        return None
    event = events[0]
    start_time = getattr(event, "start_time", event)
    if not isinstance(start_time, dt.datetime):
        message = (
            f"schedule.next(1) gave {event!r}: an event must be a datetime, or have a start_time"
            " that is one."
        )
        raise TypeError(message)
    if start_time.tzinfo is None:
        start_time = start_time.replace(tzinfo=dt.UTC)
    return start_time, dict(getattr(event, "parameter_defaults", None) or {})
