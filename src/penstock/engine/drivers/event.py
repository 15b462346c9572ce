"""The event driver: a submitted run is resumed by whoever finished what it waited for.

No thread waits for it: not for its inputs, not for a retry, not for its commit.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.engine.drivers import performing
from penstock.engine.effects import Await, Commit, Invoke, Sleep
from penstock.task_runners.interrupts import Interrupted
from penstock.task_runners.timers import timers

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.engine.effects import Effect, Steps
    from penstock.engine.execution import Execution
    from penstock.futures import PenstockFuture
    from penstock.states import State
    from penstock.task_runners import BaseTaskRunner, Outcome


class Drive:
    """Drives one generator by callbacks.

    Parameters:
        steps: the generator; it never raises but for what nobody can handle.
        runner: where its calls are made.
        future: what is told the final state.
        execution: the flow run it belongs to.
        loop: the event loop for calls of async functions.
        over: called when the run is over, before the future is told.
    """

    __slots__ = (
        "_call",
        "_commits",
        "_execution",
        "_future",
        "_lock",
        "_loop",
        "_over",
        "_runner",
        "_send",
        "_steps",
        "_stopping",
        "_turn",
    )

    def __init__(
        self,
        steps: Steps[State],
        runner: BaseTaskRunner,
        future: PenstockFuture,
        execution: Execution,
        loop: Any,
        over: Callable[[BaseException], State],
    ) -> None:
        self._steps = steps
        self._send = steps.send
        self._runner = runner
        self._future = future
        self._execution = execution
        self._loop = loop
        self._over = over
        self._turn = 0
        self._stopping = False
        self._commits = False
        self._lock = threading.Lock()
        self._call: Any = None

    def start(self) -> None:
        """Begin: go on until the first thing that has to be waited for."""
        self._execution.drives.add(self)
        self._execution.unfinished.add(self._future)
        self._run(None, None)

    def stop(self, _reason: str) -> None:
        """Interrupt the run where it is: in its function, or while it waits."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
            # A commit is not left half way: what comes after it will not be begun.
            waits = self._turn % 2 == 1 and not self._commits
            if waits:
                self._turn += 1
            call = self._call
        if call is not None and call.deadline is not None:
            call.deadline.fire()
        if waits:
            self._run(None, Interrupted())

    def _resume_at(self, turn: int) -> Callable[[Any, BaseException | None], None]:
        """Give what resumes the generator, unless it has been resumed otherwise meanwhile."""

        def resume(answer: Any, error: BaseException | None) -> None:
            with self._lock:
                if self._turn != turn:
                    return
                self._turn += 1
            self._run(answer, error)

        return resume

    def _run(self, answer: Any, error: BaseException | None) -> None:
        """Resume the generator, and go on while its effects are done at once."""
        while True:
            try:
                effect = self._send(answer) if error is None else self._steps.throw(error)
            except StopIteration as stop:
                self._finish(stop.value)
                return
            except BaseException as caught:  # noqa: BLE001 - becomes the run's state
                self._finish(self._over(caught))
                return
            answer = error = None
            at_once = performing.AT_ONCE.get(type(effect))
            if at_once is None or type(effect) is Commit:
                with self._lock:
                    if self._stopping and type(effect) is not Commit:
                        error = Interrupted()
                        continue
                    self._turn += 1
                    self._commits = type(effect) is Commit
                    resume = self._resume_at(self._turn)
                self._begin(effect, resume)
                return
            try:
                answer = at_once(effect)
            except BaseException as caught:  # noqa: BLE001 - a port's failure is the generator's
                error = caught

    def _begin(self, effect: Effect, resume: Callable[[Any, BaseException | None], None]) -> None:
        kind = type(effect)
        if kind is Commit:
            effect.execution.submit(effect.rows, lambda error: resume(None, error))  # type: ignore[union-attr]
        elif kind is Invoke:
            self._invoke(effect, resume)  # type: ignore[arg-type]
        elif kind is Await:
            _when_all_done(effect.futures, lambda: resume(None, None))  # type: ignore[union-attr]
        else:
            assert type(effect) is Sleep  # noqa: S101 - the last of the effects that wait
            delay_s = max(effect.until - clock.epoch(), 0.0)
            timers().call_later(delay_s, lambda: self._soon(resume))

    def _soon(self, resume: Callable[[Any, BaseException | None], None]) -> None:
        """Go on after a wait, not on the timers' thread if it can be helped."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(resume, None, None)
        else:
            resume(None, None)

    def _invoke(self, effect: Invoke, resume: Callable[[Any, BaseException | None], None]) -> None:
        call = self._call = effect.call

        def done(outcome: Outcome) -> None:
            self._call = None
            resume(outcome, None)

        try:
            if call.is_async:
                from penstock.task_runners import loops

                loops.start_on_loop(call, self._loop, done)
            else:
                self._runner.run(call, done)
        except BaseException as error:  # noqa: BLE001 - a runner's failure is the generator's
            resume(None, error)

    def _finish(self, state: State) -> None:
        execution = self._execution
        execution.drives.discard(self)
        execution.unfinished.discard(self._future)
        self._future.set_state(state)


def _when_all_done(futures: Any, then: Callable[[], None]) -> None:
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
