"""The states of a graph's flows and tasks (section 1).

    State
        Pending: Scheduled: Paused, Resume, Retrying
        Running: Cancelling
        Finished: Looped, Cancelled, Success (Cached, Mapped, Skipped),
            Failed (TimedOut, TriggerFailed, ValidationFailed)
        and states that wrap another one: ClientFailed, Submitted, Queued

The arguments of a class begin with the message and the result; name the others. Which state of the
store each is: `penstock.graph.recording.STORED_AS`.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.graph.ambient import context as ambient
from penstock.graph.state_base import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.graph.results import Result

__all__ = [
    "Cached",
    "Cancelled",
    "Cancelling",
    "ClientFailed",
    "Failed",
    "Finished",
    "Looped",
    "Mapped",
    "Paused",
    "Pending",
    "Queued",
    "Resume",
    "Retrying",
    "Running",
    "Scheduled",
    "Skipped",
    "State",
    "Submitted",
    "Success",
    "TimedOut",
    "TriggerFailed",
    "ValidationFailed",
]


def _aware(moment: dt.datetime | None) -> dt.datetime | None:
    """Read a time without a zone as one in UTC.

    Raises:
        TypeError: it is no time.
    """
    if moment is None:
        return None
    if not isinstance(moment, dt.datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
        message = f"The time of a state must be a datetime, not {moment!r}."
        raise TypeError(message)
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment


# -- waiting --------------------------------------------------------------------------------------


class Pending(State):
    """It waits to run."""

    color = "#d3d3d3"
    _is_pending = True

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        cached_inputs: dict[str, Result] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        State.__init__(self, message, result, context, cached_inputs)


class Scheduled(Pending):
    """It waits for a time.

    Parameters:
        start_time: the time; now by default. One without a zone is in UTC.
    """

    color = "#ffab00"
    _is_scheduled = True

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        start_time: dt.datetime | None = None,
        cached_inputs: dict[str, Result] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        State.__init__(self, message, result, context, cached_inputs)
        self.start_time: dt.datetime | None = _aware(start_time) or clock.now()
        run_count = ambient.get("task_run_count")
        if run_count is not None:
            self.context["task_run_count"] = run_count


class Paused(Scheduled):
    """It waits to be resumed.

    Parameters:
        start_time: when it goes on by itself; none for never.
    """

    color = "#cfd8dc"

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        start_time: dt.datetime | None = None,
        cached_inputs: dict[str, Result] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        Scheduled.__init__(self, message, result, start_time, cached_inputs, context)
        self.start_time = _aware(start_time)


class Resume(Scheduled):
    """It was paused, and may go on."""

    color = "#fb8532"


class Retrying(Scheduled):
    """It failed, and is to run again.

    Parameters:
        run_count: how many attempts there were; that of the context by default, or 1.
    """

    color = "#ff5131"
    _is_retrying = True

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        start_time: dt.datetime | None = None,
        cached_inputs: dict[str, Result] | None = None,
        context: Mapping[str, Any] | None = None,
        run_count: int | None = None,
    ) -> None:
        Scheduled.__init__(self, message, result, start_time, cached_inputs, context)
        if run_count is None:
            run_count = ambient.get("task_run_count")
        self.run_count: int = 1 if run_count is None else run_count


# -- running --------------------------------------------------------------------------------------


class Running(State):
    """It runs."""

    color = "#3d67ff"
    _is_running = True


class Cancelling(Running):
    """It runs, and is being stopped."""

    color = "#c42800"


# -- finished -------------------------------------------------------------------------------------


class Finished(State):
    """It is over."""

    color = "#262626"
    _is_finished = True


class Looped(Finished):
    """It is over, and to run again as the next turn of a loop.

    Parameters:
        loop_count: the number of the turn; that of the context by default, or 1.
    """

    color = "#5cd5e7"
    _is_looped = True

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        loop_count: int | None = None,
        context: Mapping[str, Any] | None = None,
        cached_inputs: dict[str, Result] | None = None,
    ) -> None:
        State.__init__(self, message, result, context, cached_inputs)
        if loop_count is None:
            loop_count = ambient.get("task_loop_count")
        self.loop_count: int = 1 if loop_count is None else loop_count


class Cancelled(Finished):
    """It was stopped: neither a success nor a failure."""

    color = "#c42800"


class Success(Finished):
    """It is over, and well."""

    color = "#27b11f"
    _is_successful = True


class Cached(Success):
    """It is over, and its result is kept for later runs.

    Parameters:
        cached_parameters: the flow's parameters.
        cached_result_expiration: until when the result holds.
        hashed_inputs: hashes of what the task was called with, by name.
    """

    color = "#34d058"
    _is_cached = True

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        cached_inputs: dict[str, Result] | None = None,
        cached_parameters: dict[str, Any] | None = None,
        cached_result_expiration: dt.datetime | None = None,
        context: Mapping[str, Any] | None = None,
        hashed_inputs: dict[str, str] | None = None,
    ) -> None:
        State.__init__(self, message, result, context, cached_inputs)
        self.cached_parameters = cached_parameters
        self.cached_result_expiration = _aware(cached_result_expiration)
        self.hashed_inputs = hashed_inputs


class Mapped(Success):
    """It stands for the states of children.

    Parameters:
        map_states: the children's states, by their index.
        n_map_states: how many children there are, where that is known before they are.
    """

    color = "#97ffff"
    _is_mapped = True

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        map_states: list[Any] | None = None,
        context: Mapping[str, Any] | None = None,
        cached_inputs: dict[str, Result] | None = None,
        n_map_states: int | None = None,
    ) -> None:
        State.__init__(self, message, result, context, cached_inputs)
        self.map_states: list[Any] = [] if map_states is None else map_states
        self._n_map_states = n_map_states

    @property
    def n_map_states(self) -> int:
        """How many children there are."""
        return self._n_map_states or len(self.map_states)

    def load_result(self, reader: Result | None = None) -> State:
        """Read the children's results; give this state."""
        for child in self.map_states:
            if child is not None:
                child.load_result(reader)
        if self.map_states:
            self.result = [None if child is None else child.result for child in self.map_states]
        return self


class Skipped(Success):
    """It was skipped."""

    color = "#62757f"
    _is_skipped = True


class Failed(Finished):
    """It is over, and failed."""

    color = "#eb0000"
    _is_failed = True

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        cached_inputs: dict[str, Result] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        State.__init__(self, message, result, context, cached_inputs)


class TimedOut(Failed):
    """Its time was over."""

    color = "#ff4e33"


class TriggerFailed(Failed):
    """Its trigger did not let it run."""

    color = "#f09398"


class ValidationFailed(Failed):
    """Its result was not valid."""

    color = "#e62f2a"


# -- around another state -------------------------------------------------------------------------


class _MetaState(State):
    """Wraps a state; of one that wraps another itself, what is in it.

    Parameters:
        state: the state.
    """

    color = "#fdfefe"
    _is_meta_state = True

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        state: State | None = None,
        context: Mapping[str, Any] | None = None,
        cached_inputs: dict[str, Result] | None = None,
    ) -> None:
        State.__init__(self, message, result, context, cached_inputs)
        self.state = state

    @property
    def state(self) -> State | None:
        """The state in it."""
        return self._state

    @state.setter
    def state(self, state: State | None) -> None:
        while isinstance(state, _MetaState):
            state = state.state
        self._state: State | None = state


class ClientFailed(_MetaState):
    """Its state could not be handed on."""

    color = "#f09398"


class Submitted(_MetaState):
    """It was handed over to be run."""

    color = "#ffab00"
    _is_submitted = True


class Queued(_MetaState):
    """It waits for room.

    Parameters:
        start_time: when to try again; now by default.
    """

    color = "#ffab00"
    _is_scheduled = True
    _is_queued = True

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        state: State | None = None,
        start_time: dt.datetime | None = None,
        context: Mapping[str, Any] | None = None,
        cached_inputs: dict[str, Result] | None = None,
    ) -> None:
        _MetaState.__init__(self, message, result, state, context, cached_inputs)
        self.start_time = clock.now() if start_time is None else start_time
