"""Waiting for inputs that are sent to a flow run: an iterator, for sync and async code."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from penstock import clock
from penstock.client.awaiting import awaits, in_thread
from penstock.client.run_inputs import checked_key, find_inputs
from penstock.input.arrivals import LoopBell, ThreadBell, arrivals
from penstock.store import get_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from penstock.records import FlowRunInput

R = TypeVar("R")

FETCH_LIMIT = 100
"""The most inputs that are read at once."""


class Receiver(Generic[R]):
    """The inputs of a flow run as they come, each once: for `for`, `async for`, or `next`.

    Parameters:
        flow_run_id: whose inputs.
        key_prefix: only those whose keys begin so.
        make: makes what is given out of what is recorded.
        timeout: for how many seconds the next one is waited for; none for ever.
        poll_interval: how often it looks at least, in seconds.
        raise_timeout_error: raise TimeoutError when none has come in time, instead of ending.
        exclude_keys: none of these.
    """

    def __init__(
        self,
        flow_run_id: UUID,
        key_prefix: str,
        make: Callable[[FlowRunInput], R],
        *,
        timeout: float | None,
        poll_interval: float,
        raise_timeout_error: bool,
        exclude_keys: Iterable[str],
    ) -> None:
        if (timeout is not None and timeout < 0) or poll_interval <= 0:
            message = (
                f"timeout={timeout!r}, poll_interval={poll_interval!r}: give seconds that are not"
                " negative, and an interval that is positive."
            )
            raise ValueError(message)
        self.flow_run_id = flow_run_id
        self.key_prefix = checked_key(key_prefix, "beginning of the key")
        self._make = make
        self._timeout_s = timeout
        self._interval_s = poll_interval
        self._raises = raise_timeout_error
        self._seen = set(exclude_keys)
        self._found: deque[FlowRunInput] = deque()
        self._store = get_store()

    def next(self) -> Any:
        """Give the next input; in async code an awaitable of it.

        Raises:
            TimeoutError: none has come in time.
        """
        return self._next_async() if awaits() else self._next()

    def __iter__(self) -> Self:
        if awaits():
            message = "In async code inputs are received by `async for`: `for` would hold it up."
            raise TypeError(message)
        return self

    def __next__(self) -> R:
        try:
            return self._next()
        except TimeoutError:
            if self._raises:
                raise
            raise StopIteration from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> R:
        try:
            return await self._next_async()
        except TimeoutError:
            if self._raises:
                raise
            raise StopAsyncIteration from None

    def _next(self) -> R:
        until = self._until()
        found = self._take()
        if found is None:
            bell = ThreadBell()
            with arrivals().ringing(self._store, bell):
                # Once more: it may have come before there was a bell to ring.
                while (found := self._take()) is None:
                    bell.wait(self._pause_s(until))
        return self._make(found)

    async def _next_async(self) -> R:
        until = self._until()
        found = await in_thread(self._take)
        if found is None:
            bell = LoopBell()
            with arrivals().ringing(self._store, bell):
                while (found := await in_thread(self._take)) is None:
                    await bell.wait(self._pause_s(until))
        return self._make(found)

    def _take(self) -> FlowRunInput | None:
        """Give an input that was not given before; none if there is none."""
        if not self._found:
            found = find_inputs(
                self._store, self.flow_run_id, self.key_prefix, FETCH_LIMIT, self._seen
            )
            self._seen.update(each.key for each in found)
            self._found.extend(found)
        return self._found.popleft() if self._found else None

    def _until(self) -> float | None:
        return None if self._timeout_s is None else clock.monotonic() + self._timeout_s

    def _pause_s(self, until: float | None) -> float:
        """Give how long to wait before looking again.

        Raises:
            TimeoutError: the time is over.
        """
        if until is None:
            return self._interval_s
        left_s = until - clock.monotonic()
        if left_s <= 0:
            message = (
                f"Flow run {self.flow_run_id} was sent no input with a key that begins with"
                f" {self.key_prefix!r} within {self._timeout_s:g} seconds."
            )
            raise TimeoutError(message)
        return min(left_s, self._interval_s)
