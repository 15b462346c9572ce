"""The event driver: a submitted run is resumed by whoever finished what it waited for.

No thread waits for it: not for its inputs, not for a retry, not for its commit.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock import clock, world
from penstock.engine.bursts import BURST
from penstock.engine.drivers import performing
from penstock.engine.effects import Await, Commit, Invoke, Sleep
from penstock.engine.places import place_of
from penstock.engine.task_runs import begin_task_run
from penstock.exceptions import Abort
from penstock.states import exception_to_crashed_state
from penstock.task_runners import perform
from penstock.task_runners.timers import timers
from penstock.task_runners.waiting import Interrupted, this_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.engine.effects import Effect, Steps
    from penstock.futures import PenstockFuture
    from penstock.states import State
    from penstock.task_runners import BaseTaskRunner, Call, Outcome
    from penstock.task_runners.waiting import Gate


_turns = threading.Lock()
"""Guards whose turn it is to resume a generator, for all of them: it is held for very little."""


class Drive:
    """Drives one generator by callbacks.

    Parameters:
        call: the task run's call; its generator is made when a worker is free.
        runner: where its calls are made.
        future: what is told the final state.
        loop: the event loop for calls of async functions.
        begin: makes the generator of the call.
    """

    __slots__ = (
        "_begin_run",
        "_call",
        "_commits",
        "_future",
        "_gate",
        "_handed",
        "_loop",
        "_runner",
        "_steps",
        "_stopping",
        "_task_call",
        "_turn",
        "stopped_at",
    )

    def __init__(
        self,
        task_call: Any,
        runner: BaseTaskRunner,
        future: Any,
        loop: Any,
        begin: Callable[[Any], Steps[Any]] = begin_task_run,
    ) -> None:
        self._task_call = task_call
        self._begin_run = begin
        self._steps: Steps[Any] | None = None
        self._runner = runner
        self._future = future
        self._loop = loop
        self._turn = 0
        self._stopping = False
        self._commits = False
        self._call: Any = None
        self._gate: Gate | None = None
        self._handed: _Handed | None = None
        self.stopped_at: tuple[int, int] | None = None
        """Where the task's function was interrupted."""

    def start(self, futures: Sequence[PenstockFuture], *, first: bool = False) -> None:
        """Begin as soon as the runs that it depends on are over, and a worker is free.

        Parameters:
            futures: the runs.
            first: on workers, begin before what waits for one already.
        """
        execution = self._task_call.execution
        execution.drives.add(self)
        unfinished = execution.unfinished
        unfinished.add(self._future)
        if len(unfinished) >= BURST:
            execution.burst.go_on()
        self._turn = 1
        if futures:
            _when_all_done(futures, lambda: self._hand_to_worker(self))
        elif first and self._loop is None:
            self._runner.dispatch(self, first=True)
        else:
            self._hand_to_worker(self)

    def __call__(self) -> None:
        """Begin, on a worker that is free."""
        self._resume(1, None, None)

    def _hand_to_worker(self, work: Callable[[], None]) -> None:
        """Go on where the run's function is to be called: on its loop, or on a worker."""
        if self._loop is None:
            self._runner.dispatch(work)
            return
        with _turns:
            loop = self._loop
            handed = self._handed = _Handed(work)
        if _loops().running_loop() is loop:
            handed()
        else:
            loop.call_soon_threadsafe(handed)

    def leave_loop(self) -> None:
        """Go on on another event loop, as the thread of the run's own is about to wait for it.

        All do that have not begun there, so that they go on beside each other. A run whose
        function is being executed stays. Only for the thread of the loop.
        """
        here, other = self._loop, _loops().background_loop()
        drives: list[Drive] = list(self._task_call.execution.drives)
        # In order: a simulation is to do the same each time.
        for drive in sorted(drives, key=Drive.order):
            drive.move(here, other)

    def order(self) -> Any:
        """Give what tells which of two runs was submitted first."""
        return self._task_call.run.id

    def move(self, here: Any, loop: Any) -> None:
        """Go on on another loop than `here`, unless the function has begun there."""
        with _turns:
            if self._loop is not here:
                return
            call, running = self._call, None
            if call is not None:
                if call.deadline.has_begun:
                    return
                running = call.deadline.moved_to(loop)
            self._loop, handed = loop, self._handed
            self._future.loop = loop
        if running is not None:
            running.start()
        elif handed is not None:
            loop.call_soon_threadsafe(handed)

    def stop(self, _reason: str) -> None:
        """Interrupt the run where it is: in its function, or while it waits."""
        with _turns:
            if self._stopping:
                return
            self._stopping = True
            # A commit is not left half way: what comes after it will not be begun.
            turn = self._turn
            waits = turn % 2 == 1 and not self._commits
            if waits:
                self._turn += 1
            call, gate = self._call, self._gate
            self.stopped_at = place_of(self.thread_id)
            if gate is not None:
                # While the lock is held: the worker cannot have gone on to another run.
                gate.interrupt()
        if call is not None and call.deadline is not None:
            # What is cancelled has not run out of time, and its thread is not given up.
            is_cancelled = self._task_call.execution.is_cancelling()
            (call.deadline.stop if is_cancelled else call.deadline.fire)()
        if waits:
            # One that has not begun sees by itself that it is not to; one that has is told.
            self._run(None, None if turn == 1 else Interrupted())

    def _resume(self, turn: int, answer: Any, error: BaseException | None) -> None:
        """Resume the generator, unless it has been resumed otherwise meanwhile."""
        with _turns:
            if self._turn != turn:
                return
            self._turn += 1
        self._run(answer, error)

    def _run(  # noqa: C901 - hot: each step more would be a call for every effect
        self, answer: Any, error: BaseException | None, *, after_commit: bool = False
    ) -> None:
        """Resume the generator, and go on while its effects are done at once."""
        steps = self._steps
        if steps is None:
            steps = self._begin_run(self._task_call)
            if world.stand_in is not None:
                steps = world.stand_in.observe(steps)
            self._steps = steps
        while True:
            try:
                effect: Any = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as stop:
                self._finish(stop.value)
                return
            except BaseException as caught:  # noqa: BLE001 - becomes the run's state
                self._finish(self._state_after(caught))
                return
            answer = error = None
            kind = type(effect)  # pyright: ignore[reportUnknownVariableType]
            at_once = performing.AT_ONCE.get(kind)  # pyright: ignore[reportUnknownArgumentType]
            if at_once is None or kind is Commit or after_commit:
                with _turns:
                    if self._stopping and kind is not Commit:
                        error = Interrupted()
                        continue
                    self._turn = turn = self._turn + 1
                    self._commits = kind is Commit
                if kind is Invoke and self._loop is None and not after_commit:
                    answer = self._invoke_here(effect.call, turn)
                    if answer is None:
                        return
                    continue
                self._begin(effect, turn)
                return
            try:
                answer = at_once(effect)
            except BaseException as caught:  # noqa: BLE001 - a port's failure is the generator's
                error = caught

    def _begin(self, effect: Any, turn: int) -> None:
        """Begin what takes its time; whoever ends it resumes the generator."""
        kind = type(effect)  # pyright: ignore[reportUnknownVariableType]
        go_on = lambda: self._resume(turn, None, None)  # noqa: E731 - one line, used twice below
        if kind is Commit:
            effect.execution.submit(
                effect.rows,
                partial(self._committed, turn),
                effect.behind,
            )
        elif kind is Invoke:
            self._invoke(effect.call, turn)
        elif kind is Await:
            # Whoever ends the wait need not be a worker.
            _when_all_done(effect.futures, lambda: self._hand_to_worker(go_on))
        elif kind is Sleep:
            timers().call_later(
                clock.left_until(effect.until), lambda: self._hand_to_worker(go_on)
            )
        else:
            # A user's hook, or I/O: not in the thread that has just committed for everybody.
            self._hand_to_worker(lambda: self._do_and_resume(effect, turn))

    def _committed(self, turn: int, error: BaseException | None) -> None:
        with _turns:
            if self._turn != turn:
                return
            self._turn += 1
            self._commits = False
        self._run(None, error, after_commit=True)

    def _do_and_resume(self, effect: Effect, turn: int) -> None:
        try:
            answer = performing.AT_ONCE[type(effect)](effect)
        except BaseException as caught:  # noqa: BLE001 - a port's failure is the generator's
            self._resume(turn, None, caught)
        else:
            self._resume(turn, answer, None)

    def _invoke_here(self, call: Call, turn: int) -> Outcome | None:
        """Call on the worker this runs on; none when the run goes on elsewhere meanwhile."""
        runner = self._runner
        if not runner.calls_on_its_workers:
            self._invoke(call, turn)
            return None
        self._call = call
        if call.timeout_s:
            runner.run_limited(call, lambda outcome: self._done(turn, outcome))
            return None
        context = call.context
        self._gate = this_thread.gate
        try:
            outcome = perform(call) if context is None else context.run(perform, call)
            goes_on = self._has_returned(turn)
        except Interrupted:
            # It came when the function had returned; whoever sent it has resumed the run.
            self._has_returned(turn)
            return None
        return outcome if goes_on else None

    def _has_returned(self, turn: int) -> bool:
        """Note that the function is over; tell whether the run goes on here."""
        with _turns:
            gate, self._gate, self._call = self._gate, None, None
            if gate is not None and self._stopping:
                gate.settle()
                gate.pending = False
            if self._turn != turn:
                return False
            self._turn += 1
        return True

    def _invoke(self, call: Call, turn: int) -> None:
        """Call on the loop, or where the runner has its workers."""
        done = partial(self._done, turn)
        try:
            if call.is_async:
                loops = _loops()
                with _turns:
                    running = loops.RunningCall(call, self._loop, done)
                    self._call = call
                running.start()
            else:
                self._call = call
                self._runner.run(call, done)
        except BaseException as error:  # noqa: BLE001 - a runner's failure is the generator's
            self._resume(turn, None, error)

    def _done(self, turn: int, outcome: Outcome) -> None:
        self._call = None
        self._resume(turn, outcome, None)

    @property
    def is_calling(self) -> bool:
        """Whether the task's function is being executed, whatever is recorded of the run."""
        return self._call is not None

    @property
    def name(self) -> str:
        """The name of the task run."""
        run = self._task_call.run
        return "a task" if run is None else str(run.name)

    @property
    def thread_id(self) -> int | None:
        """The thread that the function was stopped in; none where that is not known."""
        gate, call = self._gate, self._call
        if gate is not None:
            return gate.thread_id
        deadline = None if call is None else call.deadline
        return getattr(deadline, "thread_id", None)  # what runs on a loop has none of its own

    def _state_after(self, error: BaseException) -> State:
        """Give the state of a run that could not make one itself: it may not be recorded."""
        state = self._task_call.run.state
        if isinstance(error, Abort) and state is not None:
            return state
        return exception_to_crashed_state(error)

    def _finish(self, state: State) -> None:
        self._steps = None
        execution = self._task_call.execution
        if self._call is not None:
            execution.left_behind.add(self)  # its function has not come to its end yet
        execution.drives.discard(self)
        execution.unfinished.discard(self._future)
        self._future.set_state(state)
        burst = execution.burst
        if burst.is_on:
            burst.go_on()
            if not execution.unfinished:
                burst.end()


class _Handed:
    """A piece of work that was handed to a loop; whichever loop comes to it first does it."""

    __slots__ = ("_work",)

    def __init__(self, work: Callable[[], None]) -> None:
        self._work: Callable[[], None] | None = work

    def __call__(self) -> None:
        with _turns:
            work, self._work = self._work, None
        if work is not None:
            work()


def _loops() -> Any:
    # Loaded with the first async task only: it brings asyncio.
    from penstock.task_runners import loops

    return loops


def _when_all_done(futures: Sequence[PenstockFuture], then: Callable[[], None]) -> None:
    """Call `then` once, when the last of the futures is done."""
    remaining = len(futures)
    if remaining == 1:
        futures[0].add_done_callback(lambda _future: then())
        return
    lock = threading.Lock()

    def one_done(_future: PenstockFuture) -> None:
        nonlocal remaining
        with lock:
            remaining -= 1
            if remaining:
                return
        then()

    for future in futures:
        future.add_done_callback(one_done)
