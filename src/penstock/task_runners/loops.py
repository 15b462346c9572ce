"""Event loops for async tasks: the caller's where there is one, else one in the background.

Imported when an async function is first run, because asyncio alone costs more than the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
import threading
from typing import TYPE_CHECKING, Any, Protocol

from penstock import world
from penstock.task_runners.calls import Call, Outcome
from penstock.task_runners.timers import timers
from penstock.task_runners.waiting import Interrupted, block_for_work, lets_in

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

WAIT_TOLD_AFTER_S = 5.0
"""A wait during which an event loop stands still is told in the log after so many seconds."""

_logger = logging.getLogger("penstock.task_runners")


@lets_in
async def perform_async(call: Call) -> Outcome:
    """Make a call of an async function on the running loop."""
    inside = call.inside
    token = None if inside is None else inside.activate()
    scope: asyncio.Timeout | None = None
    stopper = _stopper_of(call) if call.interruptible and call.deadline is None else None
    try:
        if call.timeout_s:
            async with asyncio.timeout(call.timeout_s) as scope:
                return Outcome(await call.fn(*call.args, **call.kwargs))
        return Outcome(await call.fn(*call.args, **call.kwargs))
    except BaseException as caught:  # noqa: BLE001 - a body's exception is a value
        error = caught
        if stopper is not None and stopper.has_cancelled and _is_cancellation(error):
            error = Interrupted()  # it ends here: who awaits this goes on
        return Outcome(error=error, timed_out=scope is not None and scope.expired())
    finally:
        if stopper is not None:
            stopper.finish()
        if token is not None and inside is not None:
            inside.deactivate(token)


def _is_cancellation(error: BaseException) -> bool:
    return isinstance(error, asyncio.CancelledError)


def _stopper_of(call: Call) -> _Stopper:
    """Put what stops a call where whoever stops its run finds it."""
    task = asyncio.current_task()
    assert task is not None
    stopper = _Stopper(asyncio.get_running_loop(), task)
    call.deadline = stopper  # pyright: ignore[reportAttributeAccessIssue] - both can be stopped
    return stopper


class _Stopper:
    """Cancels a call that is awaited by an asyncio task, once; the task itself goes on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        self._loop = loop
        self._task: asyncio.Task[Any] | None = task
        self.has_cancelled = False

    def stop(self) -> None:
        """Cancel the call. May be called from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: it is over already
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None and not self.has_cancelled:
            self.has_cancelled = True
            self._task.cancel()

    def finish(self) -> None:
        """The call is over; what awaits it is not cancelled any more."""
        if self._task is not None and self.has_cancelled:
            self._task.uncancel()
        self._task = None


class RunningCall:
    """A call of an async function that is put on a loop; what comes of it is handed to `done`."""

    def __init__(
        self, call: Call, loop: asyncio.AbstractEventLoop, done: Callable[[Outcome], None]
    ) -> None:
        self._call = call
        self._loop = loop
        self._done = done
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        self._is_withdrawn = False
        call.deadline = self  # pyright: ignore[reportAttributeAccessIssue] - both can be fired

    def start(self) -> None:
        """Make the call on the loop. May be called from any thread."""
        if running_loop() is self._loop:
            self._begin()
        else:
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        if self._is_withdrawn:
            return
        done, call = self._done, self._call
        if self._cancelled:
            done(Outcome(error=asyncio.CancelledError()))
            return

        async def perform_and_tell() -> None:
            done(await perform_async(call))

        # A copy: one that is moved may be in it on the other loop while its task here is ended.
        context = contextvars.copy_context() if call.context is None else call.context.copy()
        depth = _depth_of(self._loop)
        if depth is not None:
            context.run(_depth.set, depth)
        self._task = self._loop.create_task(perform_and_tell(), context=context)

    @property
    def has_begun(self) -> bool:
        """Whether the function is being executed. Only for the thread of the loop."""
        if self._task is None:
            return False
        coroutine: Any = self._task.get_coro()
        return inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED

    def moved_to(self, loop: asyncio.AbstractEventLoop) -> RunningCall:
        """Give a call that has not begun for another loop, not started there yet.

        Only for the thread of this one.
        """
        if self._task is not None:
            self._task.cancel()  # it ends before its first line
        self._is_withdrawn = True
        moved = RunningCall(self._call, loop, self._done)
        moved._cancelled = self._cancelled
        return moved

    def fire(self) -> None:
        """Cancel the call. May be called from any thread."""
        self._cancelled = True

        def cancel() -> None:
            if self._task is not None:
                self._task.cancel()

        self._loop.call_soon_threadsafe(cancel)

    stop = fire


def start_on_loop(
    call: Call, loop: asyncio.AbstractEventLoop, done: Callable[[Outcome], None]
) -> RunningCall:
    """Make a call of an async function on `loop`, and hand its outcome to `done` there."""
    running = RunningCall(call, loop, done)
    running.start()
    return running


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Give the loop that runs in this thread, if one does."""
    return asyncio._get_running_loop()  # noqa: SLF001


def _new_event_loop() -> asyncio.AbstractEventLoop:
    if world.stand_in is not None:
        return world.stand_in.new_event_loop()
    return asyncio.new_event_loop()


class _LoopThread:
    """A daemon thread with an event loop."""

    def __init__(self) -> None:
        self.loop = _new_event_loop()
        self.blocked = 0
        self.depth = len(_loop_threads) + 1
        world.start_thread(self._run, "penstock-loop")

    def is_this(self) -> bool:
        """Tell whether the code that asks runs on this loop."""
        return running_loop() is self.loop

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()


_loop_threads: list[_LoopThread] = []
_making = threading.Lock()
_depth: contextvars.ContextVar[int] = contextvars.ContextVar("penstock_loop_depth", default=0)
_waiting_loop: contextvars.ContextVar[asyncio.AbstractEventLoop | None] = contextvars.ContextVar(
    "penstock_waiting_loop", default=None
)


def _depth_of(loop: asyncio.AbstractEventLoop) -> int | None:
    """Give which of the loops in the background this is, from 1; none for another one."""
    return next((thread.depth for thread in _loop_threads if thread.loop is loop), None)


def _forget_loops() -> None:
    global _making  # noqa: PLW0603 - the parent may have held the lock while it forked
    _loop_threads.clear()
    _making = threading.Lock()


world.at_new_process(_forget_loops)


def background_loop() -> asyncio.AbstractEventLoop:
    """Give the loop in the background for async tasks of sync code, started on first need.

    A loop whose thread is itself waiting in sync code gets no more to do: what it waits for might
    be just that. Then the next one is used. It may be about to wait: therefore what is called,
    however indirectly, by code on a loop never comes back to that one, nor to one before it.
    """
    with _making:
        for thread in _loop_threads[_depth.get() :]:
            if not thread.blocked and not thread.is_this():
                return thread.loop
        made = _LoopThread()
        _loop_threads.append(made)
        return made.loop


class _Blocking:
    """Marks the loop of this thread, if it is one in the background, as waiting."""

    def __enter__(self) -> None:
        self._thread = next((t for t in _loop_threads if t.is_this()), None)
        if self._thread is not None:
            self._thread.blocked += 1

    def __exit__(self, *_error: object) -> None:
        if self._thread is not None:
            self._thread.blocked -= 1


def blocking_this_loop() -> _Blocking:
    """Say that this thread waits in the block, so that its loop is given nothing more."""
    return _Blocking()


def call_apart(work: Callable[[], Outcome]) -> Outcome:
    """Do work that calls sync code in a new thread, and waits for it, with its loop, in this."""
    token = _waiting_loop.set(waiting_loop())
    try:
        with blocking_this_loop():
            return work()
    finally:
        _waiting_loop.reset(token)


def waiting_loop() -> asyncio.AbstractEventLoop | None:
    """Give the loop that does nothing before this code is over, whichever thread it is in."""
    return running_loop() or _waiting_loop.get()


@contextlib.contextmanager
def telling_of_wait(what: str) -> Generator[None]:
    """Say in the log what the block waits for, if that is long and a loop stands still meanwhile.

    It may be that it can never end, as it waits in its turn for code on that loop: for an event
    that is to be set there, say. That cannot be seen from here.
    """
    context = contextvars.copy_context()
    message = (
        f"The event loop of this code has stood still for {WAIT_TOLD_AFTER_S:g} s, as sync code on"
        f" it waits for {what}, which goes on on another loop. If that awaits something which only"
        " code on this loop can do (set an event, fill a queue, finish a task), neither ever ends:"
        " await it in async code (`await future.result()`), or submit the sync task."
    )
    timer = timers().call_later(
        WAIT_TOLD_AFTER_S, lambda: context.run(_logger.warning, "%s", message)
    )
    try:
        yield
    finally:
        timer.cancel()


def run_blocking(call: Call) -> Outcome:
    """Make a call of an async function from sync code, and wait for its outcome."""
    outcomes: list[Outcome] = []
    finished = threading.Lock()
    finished.acquire()

    def done(outcome: Outcome) -> None:
        outcomes.append(outcome)
        finished.release()

    if call.context is None:
        call.context = contextvars.copy_context()
    is_loop = waiting_loop() is not None
    told = telling_of_wait(f"task run {call.name!r}") if is_loop else contextlib.nullcontext()
    with blocking_this_loop(), told:
        running = start_on_loop(call, background_loop(), done)
        block_for_work(finished, running.fire, lambda: bool(outcomes))
    return outcomes[0]


def run_in_own_loop(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine to its end in a new thread with a loop of its own, and give its value."""
    values: list[Any] = []
    errors: list[BaseException] = []
    finished = threading.Lock()
    finished.acquire()
    context = contextvars.copy_context()
    begun: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def begin() -> Any:
        task = asyncio.current_task()
        assert task is not None
        begun.append((asyncio.get_running_loop(), task))
        return await work()

    def stop() -> None:
        for loop, task in begun:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it is over already
                loop.call_soon_threadsafe(task.cancel)

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=_new_event_loop) as runner:
                values.append(runner.run(begin(), context=context))
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            errors.append(error)
        finally:
            finished.release()

    with blocking_this_loop():
        world.start_thread(run, "penstock-async-flow")
        block_for_work(finished, stop, lambda: bool(values or errors))
    if errors:
        raise errors[0]
    return values[0]


class Waitable(Protocol):
    """What can be waited for on a loop: a future of a task run."""

    def add_done_callback(self, call: Callable[[Any], None]) -> None:
        """Call `call` when it is over."""
        ...


async def wait_for_done(waitable: Waitable, timeout_s: float | None = None) -> bool:
    """Wait on the running loop until it is over; tell whether it was within `timeout_s`."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    def from_any_thread(_waitable: Any) -> None:
        try:
            loop.call_soon_threadsafe(wake)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            return

    waitable.add_done_callback(from_any_thread)
    done, _pending = await asyncio.wait([ready], timeout=timeout_s)
    return bool(done)


async def sleep(seconds: float) -> None:
    """Wait on the running loop."""
    await asyncio.sleep(max(seconds, 0.0))
