"""Task runs that were submitted and may not be finished (section 2.5)."""

from __future__ import annotations

import sys
import threading
import warnings
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from penstock.exceptions import WouldDeadlock
from penstock.states import State, state_result
from penstock.task_runners.waiting import block_for_user
from penstock.utilities.annotations import quote
from penstock.utilities.collections import StopVisiting, visit_collection

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from uuid import UUID

    from penstock.records import TaskRun

_lock = threading.Lock()
"""Guards the moment in which a future becomes done, for all of them; it is held very briefly."""


class PenstockFuture:
    """A task run that was submitted.

    `wait`, `result` and `get_state` are plain calls where the future was made by sync code, and
    awaitables where it was made by async code for an async task (`asynchronous`).

    Example:
        >>> future = my_task.submit(1)  # doctest: +SKIP
        >>> future.result()  # doctest: +SKIP
        2
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_state",
        "asynchronous",
        "drive",
        "identity",
        "key",
        "loop",
        "name",
        "task_run",
        "waits_for",
    )

    def __init__(
        self,
        name: str,
        key: UUID,
        task_run: TaskRun | None,
        *,
        asynchronous: bool = False,
        identity: str = "",
    ) -> None:
        self.name = name
        self.key = key
        self.task_run = task_run
        self.asynchronous = asynchronous
        self.identity = identity
        self.loop: object = None
        self.drive: Any = None
        self.waits_for: tuple[PenstockFuture, ...] = ()
        self._state: State | None = None
        self._callbacks: list[Callable[[PenstockFuture], None]] | None = None

    # -- for the engine -----------------------------------------------------------------------

    @property
    def state(self) -> State | None:
        """Give the final state, or none while there is none."""
        return self._state

    def done(self) -> bool:
        """Tell whether the run is over."""
        return self._state is not None

    def set_state(self, state: State) -> None:
        """Say that the run is over, and in which state."""
        with _lock:
            self._state = state
            callbacks, self._callbacks = self._callbacks, None
        self.waits_for = ()
        self.drive = None
        if callbacks:
            for call in callbacks:
                call(self)

    def add_done_callback(self, call: Callable[[PenstockFuture], None]) -> None:
        """Call `call` with the future when the run is over; at once if it is."""
        with _lock:
            if self._state is None:
                if self._callbacks is None:
                    self._callbacks = []
                self._callbacks.append(call)
                return
        call(self)

    def block(self, timeout: float | None = None) -> State | None:
        """Wait in this thread; none when the time is over first."""
        if self._state is None:
            moved = _refuse_deadlock(self)
            _wait_for(self, timeout, moved)
        return self._state

    # -- for users ----------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> Any:
        """Wait until the run is over.

        Parameters:
            timeout: seconds to wait at most; none waits as long as it takes.

        Returns:
            The final state, or none when the time is over first; an awaitable of it if the
            future is asynchronous.
        """
        if self.asynchronous:
            return self._wait_async(timeout)
        return self.block(timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> Any:  # noqa: FBT001, FBT002
        """Wait until the run is over and give its result.

        Parameters:
            timeout: seconds to wait at most.
            raise_on_failure: raise the run's exception; otherwise it is returned.

        Raises:
            TimeoutError: the time is over first.
            Exception: whatever the run failed with.
        """
        if self.asynchronous:
            return self._result_async(timeout, raise_on_failure)
        return self._value(self.block(timeout), timeout, raise_on_failure)

    def get_state(self) -> Any:
        """Give the present state of the run; an awaitable of it if the future is asynchronous."""
        if self.asynchronous:
            return self._present_state_async()
        return self._present_state()

    def _present_state(self) -> State | None:
        if self._state is not None:
            return self._state
        return None if self.task_run is None else self.task_run.state

    async def _present_state_async(self) -> State | None:
        return self._present_state()

    def _value(self, state: State | None, timeout: float | None, raise_on_failure: bool) -> Any:  # noqa: FBT001
        if state is None:
            message = f"Task run {self.name!r} did not finish within {timeout:g} s."
            raise TimeoutError(message)
        return state_result(state, raise_on_failure)

    async def _wait_async(self, timeout: float | None) -> State | None:
        if self._state is None:
            from penstock.task_runners import loops

            await loops.wait_for_done(self, timeout)
        return self._state

    async def _result_async(self, timeout: float | None, raise_on_failure: bool) -> Any:  # noqa: FBT001
        return self._value(await self._wait_async(timeout), timeout, raise_on_failure)

    def __hash__(self) -> int:
        """Hash by key."""
        return hash(self.key.int)

    def __eq__(self, other: object) -> bool:
        """Tell whether both stand for the same task run."""
        return isinstance(other, PenstockFuture) and self.key == other.key

    def __bool__(self) -> bool:
        """Be true, and warn: most likely the result was meant."""
        warnings.warn(
            "A future is always true, whatever its result. Did you mean future.result()?",
            stacklevel=2,
        )
        return True

    def __repr__(self) -> str:
        """Give the run's name."""
        return f"PenstockFuture({self.name!r})"

    def __reduce__(self) -> Any:
        """Refuse: a future belongs to its process."""
        message = (
            f"The future of task run {self.name!r} cannot be pickled: it belongs to the process"
            " that made it. Pass its result, or give it to a task as an argument."
        )
        raise TypeError(message)


PrefectFuture = PenstockFuture


def _wait_for(future: PenstockFuture, timeout: float | None, moved: list[str]) -> None:
    released = threading.Lock()
    released.acquire()
    future.add_done_callback(lambda _future: released.release())
    loops = sys.modules.get("penstock.task_runners.loops")
    if loops is None:
        block_for_user(released, timeout)
    else:
        told = loops.telling_of_wait(f"task run {moved[0]!r}") if moved else nullcontext()
        with loops.blocking_this_loop(), told:
            block_for_user(released, timeout)


def _refuse_deadlock(future: PenstockFuture) -> list[str]:
    """Raise if the future can only finish on the event loop of this very thread.

    What has not begun there goes on on another one.

    Returns:
        The names of the async task runs that are waited for, where a loop stands still meanwhile.
    """
    moved: list[str] = []
    loops = sys.modules.get("penstock.task_runners.loops")
    here = None if loops is None else loops.waiting_loop()
    if here is None:
        return moved
    seen: set[UUID] = set()
    pending = [future]
    while pending:
        next_future = pending.pop()
        if next_future.key in seen or next_future.done():
            continue
        seen.add(next_future.key)
        pending.extend(next_future.waits_for)
        if next_future.loop is not here:
            if next_future.loop is not None:
                moved.append(next_future.name)
            continue
        drive = next_future.drive
        if drive is not None:
            drive.leave_loop()
        if next_future.loop is here and not next_future.done():
            message = (
                f"Waiting for task run {next_future.name!r} here would never end: it is an async"
                " task that has begun on this thread's event loop, which this call blocks. Await"
                " the future first (`await future.result()`), or submit the sync task."
            )
            raise WouldDeadlock(message)
        moved.append(next_future.name)
    return moved


# -- in collections -----------------------------------------------------------------------------


def _resolve(expr: Any, value_of: Callable[[Any], Any], kinds: tuple[type, ...]) -> Any:
    def visit(part: Any) -> Any:
        if isinstance(part, quote):
            raise StopVisiting
        if isinstance(part, kinds):
            return value_of(part)
        return part

    return visit_collection(expr, visit, return_data=True)


def _now_or_awaited(expr: Any, resolve: Callable[[Any], Any]) -> Any:
    found: list[PenstockFuture] = []

    def note(part: PenstockFuture) -> PenstockFuture:
        if part.asynchronous:
            found.append(part)
        return part

    rebuilt = _resolve(expr, note, (PenstockFuture,))  # a generator can be read once
    if not found:
        return resolve(rebuilt)

    async def wait_and_resolve() -> Any:
        for future in found:
            await future.wait()
        return resolve(rebuilt)

    return wait_and_resolve()


def resolve_futures_to_data(expr: Any, raise_on_failure: bool = True) -> Any:  # noqa: FBT001, FBT002
    """Rebuild a collection with each future and each state replaced by its result.

    Parameters:
        expr: lists, tuples, sets, dicts, dataclasses, pydantic models; what is in `quote` is
            left alone.
        raise_on_failure: raise the exception of a run that failed; otherwise put it in its place.

    Returns:
        The collection; an awaitable of it if a future in it is asynchronous.
    """

    def value_of(part: PenstockFuture | State) -> Any:
        state = part.block() if isinstance(part, PenstockFuture) else part
        return None if state is None else state_result(state, raise_on_failure)

    return _now_or_awaited(expr, lambda found: _resolve(found, value_of, (PenstockFuture, State)))


def resolve_futures_to_states(expr: Any) -> Any:
    """Rebuild a collection with each future replaced by its final state.

    Returns:
        The collection; an awaitable of it if a future in it is asynchronous.
    """
    return _now_or_awaited(expr, states_instead)


def states_instead(expr: Any) -> Any:
    """Rebuild a collection with each future replaced by its final state, whatever its kind."""

    def state_of(part: PenstockFuture) -> Any:
        return part.block()

    return _resolve(expr, state_of, (PenstockFuture,))


def call_repr(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Give a call as it would be written."""
    name = getattr(fn, "__name__", type(fn).__name__)
    parts = [repr(arg) for arg in args] + [f"{key}={value!r}" for key, value in kwargs.items()]
    return f"{name}({', '.join(parts)})"


def as_awaitable(value: Any) -> Coroutine[Any, Any, Any]:
    """Give an awaitable that gives `value` at once."""

    async def give() -> Any:
        return value

    return give()
