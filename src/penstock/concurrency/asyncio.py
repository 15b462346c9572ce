"""Concurrency limits for async code: as those of `penstock.concurrency.sync`, awaited."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from penstock.concurrency.asking import Asking
from penstock.exceptions import ConcurrencySlotAcquisitionError
from penstock.task_runners import loops

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["ConcurrencySlotAcquisitionError", "concurrency", "rate_limit"]


@asynccontextmanager
async def concurrency(
    names: str | list[str], occupy: int = 1, timeout_seconds: float | None = None
) -> AsyncGenerator[None]:
    """Have slots of concurrency limits while the block lasts.

    Parameters, errors: those of `penstock.concurrency.sync.concurrency`.

    Example:
        >>> async with concurrency("database", occupy=2):  # doctest: +SKIP
        ...     await load()
    """
    asking = Asking(names, occupy, timeout_seconds)
    try:
        await _take(asking)
        yield
    finally:
        done = asking.give_back()
        if done is not None and not done.done():
            await loops.wait_for_done(done)


async def rate_limit(
    names: str | list[str], occupy: int = 1, timeout_seconds: float | None = None
) -> None:
    """Wait for slots of rate limits, and take them for good: they are free again with time.

    Parameters, errors: those of `penstock.concurrency.sync.rate_limit`.

    Example:
        >>> await rate_limit("mail-server")  # doctest: +SKIP
    """
    asking = Asking(names, occupy, timeout_seconds, decays=True)
    is_taken = False
    try:
        await _take(asking)
        is_taken = True
    finally:
        if not is_taken:
            asking.give_back()


async def _take(asking: Asking) -> None:
    for future in asking.take():
        if not future.done():
            await loops.wait_for_done(future)
