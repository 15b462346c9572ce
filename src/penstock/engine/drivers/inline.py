"""The inline driver: does each effect in the thread that called, and waits in it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

from penstock import clock, world
from penstock.engine.drivers import performing
from penstock.engine.effects import Await, Invoke, Sleep
from penstock.task_runners import perform
from penstock.task_runners.waiting import block_for_work, is_seen_through, lets_in, this_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.engine.effects import Steps
    from penstock.task_runners import Call, Outcome

T = TypeVar("T")


def drive(steps: Steps[T]) -> T:
    """Run a generator of effects to its end and give what it returns."""
    if world.stand_in is not None:
        steps = world.stand_in.observe(steps)
    return advance(steps, _DO).value


def advance(
    steps: Steps[Any],
    do: Mapping[type, Callable[[Any], Any]],
    answer: Any = None,
    error: BaseException | None = None,
) -> Any:
    """Run a generator until it is over, or wants an effect that is not among those to be done.

    Parameters:
        steps: the generator.
        do: how each kind of effect is done.
        answer: what the effect that it waits for has given.
        error: what that one has raised instead.

    Returns:
        The effect; of a generator that is over its `StopIteration`, which has what it returned.
    """
    send = steps.send
    try:
        while True:
            effect = send(answer) if error is None else steps.throw(error)
            error = None
            done = do.get(type(effect))
            if done is None:
                return effect
            try:
                answer = done(effect)
            except BaseException as caught:  # noqa: BLE001 - a port's failure is the generator's
                answer, error = None, caught
    except StopIteration as stop:
        return stop


def _invoke(effect: Invoke) -> Outcome:
    return invoke(effect.call)


def invoke(call: Call) -> Outcome:
    """Make a call and wait for it here; on another thread where this one cannot be interrupted."""
    if call.is_async:
        from penstock.task_runners import loops

        return loops.run_blocking(call)
    if call.apart:
        # Sync code of async code: there it may run loops of its own.
        from penstock.task_runners import loops

        return loops.call_apart(lambda: _invoke_elsewhere(call))
    if call.timeout_s and not _interrupts_here():
        return _invoke_elsewhere(call)
    return perform(call)


def _interrupts_here() -> bool:
    # Loaded with the first timeout: it brings signal handling and ctypes.
    from penstock.task_runners.interrupts import can_interrupt_in_place

    return can_interrupt_in_place()


def _invoke_elsewhere(call: Call) -> Outcome:
    """Call on another thread, so that this one goes on when the time is over."""
    from penstock.task_runners.local import run_on_spare_thread

    outcomes: list[Outcome] = []
    finished = threading.Lock()
    finished.acquire()

    def done(outcome: Outcome) -> None:
        outcomes.append(outcome)
        finished.release()

    def stop() -> None:
        if call.deadline is not None:
            call.deadline.fire()

    run_on_spare_thread(call, done)
    block_for_work(finished, stop, lambda: bool(outcomes))
    return outcomes[0]


def await_(effect: Await) -> None:
    """Wait in this thread until the runs are over."""
    gate = this_thread.gate
    if gate is None:
        for future in effect.futures:
            future.block()
        return
    # A wait is no critical section: the thread may be interrupted in it.
    try:
        gate.leave_engine()
        for future in effect.futures:
            future.block()
    finally:
        gate.enter_engine()


@lets_in
def _sleep(effect: Sleep) -> None:
    gate = this_thread.gate
    employer = this_thread.employer
    if gate is not None:
        gate.leave_engine()
    if employer is not None:
        employer.begin_blocking()
    try:
        clock.sleep(max(effect.until - clock.epoch(), 0.0))
    finally:
        if employer is not None:
            employer.end_blocking()
        if gate is not None:
            gate.enter_engine()


_DO: dict[type, Any] = {
    **performing.AT_ONCE,
    Invoke: _invoke,
    Await: await_,
    Sleep: _sleep,
}

is_seen_through(clock.sleep)
