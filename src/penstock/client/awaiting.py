"""Functions that read and write the records, in sync and async code alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.context import current_caller
from penstock.utilities.asyncutils import is_in_async_code

if TYPE_CHECKING:
    from collections.abc import Callable


def awaits() -> bool:
    """Tell whether the code that runs now awaits what it calls: the innermost run's, or a loop's.

    A synchronous flow's code does not, though its process may have an event loop.
    """
    caller = current_caller()
    return bool(caller.isasync) if caller is not None else is_in_async_code()


def here_or_awaitable(work: Callable[[], Any]) -> Any:
    """Do what reads and writes the store: now, or in async code when it is awaited."""
    return in_thread(work) if awaits() else work()


async def in_thread(work: Callable[[], Any]) -> Any:
    """Do what may take a while without holding up the event loop."""
    import asyncio  # in async code it is loaded already

    return await asyncio.to_thread(work)
