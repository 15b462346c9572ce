"""What flow runners and task runners have in common: steps, and what is told of their states.

A step takes a state and gives one. What it raises becomes a state, too, and whoever wants to know
of changes (state handlers) is told of each, in one place: `call_state_handlers`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from penstock import clock
from penstock.graph.ambient import context
from penstock.graph.signals import ENDRUN, PAUSE, PrefectStateSignal
from penstock.graph.state import Failed, Pending, State
from penstock.task_runners.waiting import this_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.task_runners.waiting import Gate

__all__ = ["ENDRUN", "Begun", "Runner", "call_state_handlers"]

T = TypeVar("T")
Step = TypeVar("Step", bound="Callable[..., State]")

_DEBUG = logging.DEBUG


def call_state_handlers(method: Step) -> Step:
    """Make a step of a method of a `Runner`: `method(self, state, ...)` gives the next state.

    What the method raises becomes the next state: an `ENDRUN` or a state signal means the state it
    carries, any other `Exception` a `Failed` one. If the state is another object than before, the
    handlers are told and may replace it, and the runner notes it in `transitions`.

    Raises:
        ENDRUN: The method raised one; it carries what the handlers made of the state.
        BaseException: What is no `Exception` and no signal with a state, e.g. an interruption of
            the run; and, in `raise_on_exception()`, whatever would have become a state.
    """

    @wraps(method)
    def step(self: Runner, state: State, *args: Any, **kwargs: Any) -> State:
        ends = False
        try:
            new_state = method(self, state, *args, **kwargs)
        except ENDRUN as end:
            new_state = end.state
            ends = True
        except PrefectStateSignal as signal:
            if context.get("raise_on_exception"):
                raise
            self.logger.debug("%s: %s signal raised: %r", self, type(signal).__name__, signal)
            new_state = signal.state
        except Exception as error:
            if context.get("raise_on_exception"):
                raise
            self.logger.exception("%s: Unexpected error in %s", self, method.__name__)
            message = f"Unexpected error: {error!r} in {method.__name__} of {self!r}"
            new_state = Failed(message=message, result=error)
        if new_state is not state:
            new_state = self.handle_state_change(state, new_state)
            self.note(new_state)
        if ends:
            raise ENDRUN(new_state)
        return new_state

    return step  # pyright: ignore[reportReturnType] - of the same signature


class Begun(NamedTuple):
    """What a run begins with (`initialize_run`).

    Attributes:
        state: The state, without what it was wrapped in.
        context: What the run finds in `penstock.graph.context`.
    """

    state: State
    context: dict[str, Any]


class Runner:
    """The base of `FlowRunner` and `TaskRunner`.

    Args:
        state_handlers: Functions `f(runner, old_state, new_state)` that are told of each change of
            state, after the task's or flow's own. What they return that is not None takes the new
            state's place.

    Attributes:
        context: What `penstock.graph.context` held when the runner was made.
        transitions: Each state that a run of this runner came to, as its handlers left it, with
            the time in seconds since the epoch.

    Raises:
        TypeError: `state_handlers` is not a sequence.
    """

    def __init__(
        self, state_handlers: Sequence[Callable[[Any, State, State], State | None]] | None = None
    ) -> None:
        if state_handlers is None:
            state_handlers = []
        elif not isinstance(state_handlers, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"state_handlers of a {type(self).__name__} must be a sequence of functions, not"
                f" {state_handlers!r}. Put a single one into a list."
            )
        self.state_handlers = state_handlers
        self.context: dict[str, Any] = context.flat()
        self.logger = _logger_named(type(self).__name__)
        self.transitions: list[tuple[State, float]] = []
        self._noted: State | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def initialize_run(self, state: State | None, context: dict[str, Any]) -> Begun:
        """Give the state and the context that a run begins with.

        Args:
            state: The state so far. What a meta state wraps is taken out of it; none is `Pending`.
            context: What the run is to find in `penstock.graph.context`.

        Returns:
            The state, and the context.
        """
        begun: Any = state
        while begun is not None and begun.is_meta_state():
            begun = begun.state
        return Begun(Pending() if begun is None else begun, context)

    def call_runner_target_handlers(
        self,
        old_state: State,  # noqa: ARG002 - for runners that have a target
        new_state: State,
    ) -> State:
        """Tell the handlers of what is run (a task, a flow) of a change; here there are none.

        Args:
            old_state: The state before.
            new_state: The state after.

        Returns:
            The state to go on with.
        """
        return new_state

    def handle_state_change(self, old_state: State, new_state: State) -> State:
        """Tell all handlers of a change of state: the target's own, then the runner's.

        Args:
            old_state: The state before.
            new_state: The state after.

        Returns:
            The state to go on with: the new one, or what a handler put in its place. If a handler
            raises a state signal, the signal's state at once.

        Raises:
            ENDRUN: A handler raised one, or failed: then it carries a `Failed` state.
            PAUSE: A handler raised one.
        """
        try:
            new_state = self.call_runner_target_handlers(old_state, new_state)
            for handler in self.state_handlers:
                new_state = self._state_after(handler, self, old_state, new_state)
            return new_state
        except (PAUSE, ENDRUN):
            raise
        except PrefectStateSignal as signal:
            if context.get("raise_on_exception"):
                raise
            self.logger.debug(
                "%s: %s signal raised by a state handler", self, type(signal).__name__
            )
            return signal.state
        except Exception as error:
            if context.get("raise_on_exception"):
                raise
            message = f"Exception raised while calling state handlers: {error!r}"
            self.logger.exception("%s: %s", self, message)
            raise ENDRUN(Failed(message=f"{message} ({self!r})", result=error)) from error

    def _state_after(
        self, handler: Callable[..., Any], target: Any, old_state: State, new_state: State
    ) -> State:
        """Call one handler and give the state that it leaves."""
        given = call_user_code(handler, target, old_state, new_state)
        if not given:
            return new_state
        if not isinstance(given, State):
            name = getattr(handler, "__qualname__", repr(handler))
            raise AttributeError(  # noqa: TRY004 - what using it as a state would raise
                f"State handler {name!r} of {target!r} gave {given!r} for the change from"
                f" {old_state!r} to {new_state!r}, which is not a state. A handler returns the"
                " state to go on with, or None to leave it as it is."
            )
        return given

    def note(self, state: State) -> None:
        """Note in `transitions` that the run has come to a state, unless that is noted already.

        Args:
            state: The state, as the handlers left it.
        """
        if state is not self._noted:
            self._noted = state
            self.transitions.append((state, clock.epoch()))


@cache
def _logger_named(name: str) -> logging.Logger:
    return logging.getLogger(f"penstock.graph.{name}")


# -- interruptions --------------------------------------------------------------------------------


def hold_interruptions() -> Gate | None:
    """Hold interruptions of this thread from here on: a runner's own code begins.

    Returns:
        What is to be told with `leave_engine()` when that code is over; none if there is no need:
        nothing can interrupt the thread, or whoever called is not to be interrupted either.
    """
    gate = this_thread.gate
    if gate is None or not gate.in_user_code:
        return None
    gate.enter_engine()
    return gate


def call_user_code(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call a user's function (a handler, a trigger); if the run is stopped, it is interrupted."""
    gate = this_thread.gate
    if gate is None or gate.in_user_code:
        return function(*args, **kwargs)
    try:
        gate.leave_engine()
        return function(*args, **kwargs)
    finally:
        gate.enter_engine()
