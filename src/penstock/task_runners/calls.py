"""A call that a task runner makes, and the outcome it answers with.

A runner never touches the store and never decides a state: it makes the call and says what came
of it. An exception of the user's code is a value in the outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from penstock.task_runners.waiting import lets_in, this_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from penstock.context import ContextModel
    from penstock.task_runners.interrupts import Deadline

_GENERATOR = type(_ for _ in ())


class Call(msgspec.Struct, eq=False):
    """A function with its arguments, and how it is to be called.

    Parameters:
        fn: the user's function.
        args, kwargs: what to call it with.
        timeout_s: seconds it may take; none or 0 for no limit.
        is_async: it is a coroutine function.
        inside: the run context that is set around it.
        context: the context variables to run it in; those of the running thread by default.
        interruptible: it may be stopped from outside, though its time is not limited.
        name: the run's name, for messages.
        apart: it is called in a new thread, whichever one waits for it.
    """

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    timeout_s: float | None = None
    is_async: bool = False
    inside: ContextModel | None = None
    context: Context | None = None
    name: str = ""
    interruptible: bool = False
    deadline: Deadline | None = None
    apart: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what another process needs: not the contexts of this one."""
        return (
            type(self),
            (
                self.fn,
                self.args,
                self.kwargs,
                self.timeout_s,
                self.is_async,
                None,
                None,
                self.name,
            ),
        )


class Outcome(msgspec.Struct, eq=False):
    """What came of a call: a value, or an exception, and whether its time was over."""

    value: Any = None
    error: BaseException | None = None
    timed_out: bool = False


def perform(call: Call, on_timeout: Callable[[], None] | None = None) -> Outcome:
    """Make a call of a sync function in this thread.

    Parameters:
        on_timeout: called on another thread as soon as the call's time is over; without it a
            call that cannot be interrupted is only over when it returns.
    """
    inside = call.inside
    token = None if inside is None else inside.activate()
    try:
        if call.timeout_s or call.interruptible:
            from penstock.task_runners.interrupts import run_under_deadline  # brings ctypes

            value, error, fired = run_under_deadline(
                lambda: _call(call), call.timeout_s or None, on_timeout, call_deadline(call)
            )
            return Outcome(value, error, timed_out=fired)
        gate = this_thread.gate
        if gate is None:
            return Outcome(_call(call))
        try:
            gate.leave_engine()
            return Outcome(_call(call))
        finally:
            gate.enter_engine()
    except BaseException as error:  # noqa: BLE001 - a body's exception is a value
        return Outcome(error=error)
    finally:
        if token is not None and inside is not None:
            inside.deactivate(token)


def call_deadline(call: Call) -> Callable[[Deadline], None]:
    """Keep the deadline of a call where whoever stops the run finds it."""

    def keep(deadline: Deadline) -> None:
        call.deadline = deadline

    return keep


@lets_in
def _call(call: Call) -> Any:
    value = call.fn(*call.args, **call.kwargs)
    # A generator is run here, in the user's context and time, not where its items are looked at.
    return list(value) if type(value) is _GENERATOR else value
