"""Concurrency limits for sync code."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.concurrency.asking import Asking

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["concurrency", "rate_limit"]


@contextmanager
def concurrency(
    names: str | list[str], occupy: int = 1, timeout_seconds: float | None = None
) -> Generator[None]:
    """Have slots of concurrency limits while the block lasts.

    All are taken at once. Who has to wait is served in the order of arrival, on whatever host. A
    name that nobody has set a limit for limits nothing; it is noted, inactive, to be set.

    Parameters:
        names: of the limits.
        occupy: how many slots of each.
        timeout_seconds: how long to wait for them at most; none for as long as it takes, 0 not
            at all.

    Raises:
        TimeoutError: there were no free slots in time.
        ConcurrencySlotAcquisitionError: a limit has fewer slots than are to be occupied.

    Example:
        >>> with concurrency("database", occupy=2, timeout_seconds=10):  # doctest: +SKIP
        ...     load()
    """
    asking = Asking(names, occupy, timeout_seconds)
    try:
        for future in asking.take():
            future.block()
        yield
    finally:
        done = asking.give_back()
        if done is not None:
            done.block()


def rate_limit(
    names: str | list[str], occupy: int = 1, timeout_seconds: float | None = None
) -> None:
    """Wait for slots of rate limits, and take them for good: they are free again with time.

    Of a limit with a slot decay of 2.0 per second and 10 slots, 10 may be taken at once, and then
    one every half a second.

    Parameters:
        names: of the limits.
        occupy: how many slots of each.
        timeout_seconds: how long to wait for them at most; none for as long as it takes.

    Raises:
        TimeoutError: there were no free slots in time.
        ConcurrencySlotAcquisitionError: a limit has fewer slots, or no slot decay.

    Example:
        >>> rate_limit("mail-server")  # doctest: +SKIP
    """
    asking = Asking(names, occupy, timeout_seconds, decays=True)
    is_taken = False
    try:
        for future in asking.take():
            future.block()
        is_taken = True
    finally:
        if not is_taken:
            asking.give_back()
