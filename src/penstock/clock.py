"""What time it is, said in one place, so that a simulation can say it instead.

Everything above reads the time here: `now()` for what is recorded, `monotonic()` for how long to
wait. `use_clock` puts another clock in place for the whole process; tests and simulations do.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator

_from_timestamp = datetime.fromtimestamp


class Clock(Protocol):
    """A source of time."""

    def time(self) -> float:
        """Give the seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Give seconds that only grow."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class VirtualClock:
    """A clock that moves only when it is told to, or when somebody sleeps."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._moving = threading.Lock()

    def time(self) -> float:
        """Give the virtual seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Give the virtual seconds, too."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move the clock forward by `seconds` at once."""
        with self._moving:
            self._now += max(seconds, 0.0)

    def sleep_until(self, until: float) -> None:
        """Move the clock to `until` at once, unless it is there already."""
        with self._moving:
            self._now = max(self._now, until)


_clock: Clock = time  # pyright: ignore[reportAssignmentType] - the module is the system's clock


def epoch() -> float:
    """Give the seconds since the epoch."""
    return _clock.time()


def now() -> datetime:
    """Give the present time, in UTC."""
    return _from_timestamp(_clock.time(), UTC)


def monotonic() -> float:
    """Give seconds that only grow, for measuring a wait."""
    return _clock.monotonic()


def sleep(seconds: float) -> None:
    """Wait for `seconds`."""
    _clock.sleep(seconds)


def left_until(until: float) -> float:
    """Give the seconds to wait for `until`; none on a clock that jumps there when asked."""
    if isinstance(_clock, VirtualClock):
        _clock.sleep_until(until)
    return max(until - _clock.time(), 0.0)


def is_virtual() -> bool:
    """Tell whether a clock other than the system's is in place."""
    return _clock is not time


def from_epoch(seconds: float) -> datetime:
    """Turn seconds since the epoch into a time in UTC."""
    return _from_timestamp(seconds, UTC)


def seconds(amount: float) -> timedelta:
    """Give a duration of `amount` seconds."""
    return timedelta(seconds=amount)


@contextmanager
def use_clock(clock: Clock) -> Generator[Clock]:
    """Put `clock` in place of the system's for the whole process while the block lasts."""
    global _clock  # noqa: PLW0603 - the one place that holds it
    former, _clock = _clock, clock
    try:
        yield clock
    finally:
        _clock = former
