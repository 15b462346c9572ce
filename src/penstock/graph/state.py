"""The states of a graph's flows and tasks (section 1).

    State
        Pending: Scheduled: Paused, Resume, Retrying
        Running: Cancelling
        Finished: Looped, Cancelled, Success (Cached, Mapped, Skipped),
            Failed (TimedOut, TriggerFailed, ValidationFailed)
        and states that wrap another one: ClientFailed, Submitted, Queued

Which state of the store each is: `penstock.graph.recording.STORED_AS`.
"""

from __future__ import annotations

import copy
import datetime as dt
import pickle
from typing import TYPE_CHECKING, Any, ClassVar, cast

from penstock import clock
from penstock.graph.ambient import context as ambient
from penstock.graph.results import NoResult, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

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


class State:
    """The state of a flow or a task: what it is at, and what came of it.

    Parameters:
        message: what a reader should know of it, or the exception that led to it.
        result: the value, or a `Result` of it.
        context: what belongs to the state besides; JSON can hold it.
        cached_inputs: what the task was called with, by name.

    Two states are equal that are of one class and have equal values in all but message and
    context. Each is a member of a set by itself.
    """

    color: ClassVar[str] = "#000000"

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        context: dict[str, Any] | None = None,
        cached_inputs: dict[str, Result] | None = None,
    ) -> None:
        self.message = message
        if result is None:
            self._result: Any = NoResult
        elif isinstance(result, Result):
            self._result = result
        else:
            self._result = Result(result)
        own = self.context = {} if context is None else dict(context)
        tags = ambient.get("task_tags")
        if tags is not None and "tags" not in own:
            own["tags"] = list(tags)
        self.cached_inputs: dict[str, Any] = cached_inputs or {}

    @property
    def result(self) -> Any:
        """The value; None for none."""
        return self._result.value

    @result.setter
    def result(self, value: Any) -> None:
        self._result = value if isinstance(value, Result) else Result(value)

    def __repr__(self) -> str:
        """Give the class and the message."""
        name = type(self).__name__
        return f'<{name}: "{self.message}">' if self.message else f"<{name}>"

    def __eq__(self, other: object) -> bool:
        """Compare class, result and public attributes but for message and context."""
        if self is other:
            return True
        if type(self) is not type(other):
            return False
        theirs = cast("State", other)
        return (
            self._result.value == theirs._result.value and self._compared() == theirs._compared()
        )

    def _compared(self) -> dict[str, Any]:
        return {
            key: value
            for key, value in self.__dict__.items()
            if not key.startswith("_") and key not in ("message", "context")
        }

    __hash__ = object.__hash__

    def __sizeof__(self) -> int:
        """Count the result, too, where it knows its size."""
        value = self._result.value
        try:
            return object.__sizeof__(self) + value.__sizeof__()
        except (TypeError, AttributeError):
            return object.__sizeof__(self)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle all attributes; an exception that cannot be pickled leaves a text of it."""
        attributes = dict(self.__dict__)
        value = self._result.value
        if isinstance(value, Exception):
            try:
                pickle.dumps(value)
            except Exception as error:  # noqa: BLE001 - users' exceptions raise what they like
                made = copy.copy(self._result)
                made.value = f"The exception could not be pickled: {error!r}. It was: {value!r}"
                attributes["_result"] = made
        return attributes

    def without_result(self) -> Any:
        """Give a copy without the result."""
        made = copy.copy(self)
        made._result = NoResult  # noqa: SLF001 - a copy of its own
        return made

    # -- what kind it is ----------------------------------------------------------------------

    def is_pending(self) -> bool:
        """Tell whether it waits to run."""
        return isinstance(self, Pending)

    def is_queued(self) -> bool:
        """Tell whether it waits for room."""
        return isinstance(self, Queued)

    def is_retrying(self) -> bool:
        """Tell whether it is to run again after a failure."""
        return isinstance(self, Retrying)

    def is_running(self) -> bool:
        """Tell whether it runs."""
        return isinstance(self, Running)

    def is_finished(self) -> bool:
        """Tell whether it is over."""
        return isinstance(self, Finished)

    def is_looped(self) -> bool:
        """Tell whether it is to run again as a loop."""
        return isinstance(self, Looped)

    def is_skipped(self) -> bool:
        """Tell whether it was skipped."""
        return isinstance(self, Skipped)

    def is_scheduled(self) -> bool:
        """Tell whether it has a time to run at."""
        return isinstance(self, (Scheduled, Queued))

    def is_submitted(self) -> bool:
        """Tell whether it was handed over to be run."""
        return isinstance(self, Submitted)

    def is_successful(self) -> bool:
        """Tell whether it is over and well."""
        return isinstance(self, Success)

    def is_failed(self) -> bool:
        """Tell whether it is over and failed."""
        return isinstance(self, Failed)

    def is_cached(self) -> bool:
        """Tell whether its result is kept for later runs, or from an earlier one."""
        return isinstance(self, Cached)

    def is_mapped(self) -> bool:
        """Tell whether it stands for the states of children."""
        return isinstance(self, Mapped)

    def is_meta_state(self) -> bool:
        """Tell whether it wraps another state."""
        return isinstance(self, _MetaState)

    # -- the tree of classes ------------------------------------------------------------------

    @classmethod
    def children(
        cls,
        include_self: bool = False,  # noqa: FBT001, FBT002 - the field's signature
        names_only: bool = False,  # noqa: FBT001, FBT002 - the field's signature
    ) -> list[Any]:
        """Give all subclasses, or their names."""
        found: list[type[State]] = []
        for child in cls.__subclasses__():
            if not child.__name__.startswith("_"):
                found.append(child)
            found += [one for one in child.children() if one not in found]
        if include_self:
            found.append(cls)
        return [one.__name__ for one in found] if names_only else found

    @classmethod
    def parents(
        cls,
        include_self: bool = False,  # noqa: FBT001, FBT002 - the field's signature
        names_only: bool = False,  # noqa: FBT001, FBT002 - the field's signature
    ) -> list[Any]:
        """Give the classes that it is derived from, up to `State`, or their names."""
        found = [
            one
            for one in cls.__mro__
            if one not in (object, cls)
            and issubclass(one, State)
            and not one.__name__.startswith("_")
        ]
        if include_self:
            found.append(cls)
        return [one.__name__ for one in found] if names_only else found

    # -- results that are kept elsewhere ------------------------------------------------------

    def load_result(self, reader: Result | None = None) -> State:
        """Read the result from its location, unless it is there; give this state.

        Parameters:
            reader: how it is read; by default as it was written.
        """
        own = self._result
        if own.value is None and own.location is not None:
            self._result = (reader or own).read(own.location)
        return self

    def load_cached_results(self, readers: Mapping[str, Result] | None = None) -> State:
        """Read the cached inputs from their locations, unless they are there; give this state.

        Parameters:
            readers: how each is read, by name; by default as it was written.
        """
        for key, entry in self.cached_inputs.items():
            reader = (readers or {}).get(key, entry)
            location = entry.location or reader.location
            if entry.value is None and location is not None:
                self.cached_inputs[key] = reader.read(location)
        return self

    # -- as JSON ------------------------------------------------------------------------------

    def serialize(self) -> dict[str, Any]:
        """Give the state as JSON can hold it, without values (section 1.7)."""
        from penstock.graph.state_serialization import serialize  # that room is above this one

        return serialize(self)

    @staticmethod
    def deserialize(content: dict[str, Any]) -> State:
        """Give the state that `serialize` gave.

        Raises:
            ValueError: it says no type of state, or an unknown one.
        """
        from penstock.graph.state_serialization import deserialize  # as above

        return deserialize(content)


def _aware(moment: dt.datetime | None) -> dt.datetime | None:
    """Read a time without a zone as one in UTC."""
    if moment is not None and moment.tzinfo is None:
        return moment.replace(tzinfo=dt.UTC)
    return moment


# -- waiting --------------------------------------------------------------------------------------


class Pending(State):
    """It waits to run."""

    color = "#d3d3d3"

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        cached_inputs: dict[str, Result] | None = None,
        context: dict[str, Any] | None = None,
    ) -> None:
        State.__init__(self, message, result, context, cached_inputs)


class Scheduled(Pending):
    """It waits for a time.

    Parameters:
        start_time: the time; now by default. One without a zone is in UTC.
    """

    color = "#ffab00"

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        start_time: dt.datetime | None = None,
        cached_inputs: dict[str, Result] | None = None,
        context: dict[str, Any] | None = None,
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
        context: dict[str, Any] | None = None,
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

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        start_time: dt.datetime | None = None,
        cached_inputs: dict[str, Result] | None = None,
        context: dict[str, Any] | None = None,
        run_count: int | None = None,
    ) -> None:
        Scheduled.__init__(self, message, result, start_time, cached_inputs, context)
        if run_count is None:
            run_count = ambient.get("task_run_count", 1)
        self.run_count: int = run_count


# -- running --------------------------------------------------------------------------------------


class Running(State):
    """It runs."""

    color = "#3d67ff"


class Cancelling(Running):
    """It runs, and is being stopped."""

    color = "#c42800"


# -- finished -------------------------------------------------------------------------------------


class Finished(State):
    """It is over."""

    color = "#262626"


class Looped(Finished):
    """It is over, and to run again as the next turn of a loop.

    Parameters:
        loop_count: the number of the turn; that of the context by default, or 1.
    """

    color = "#5cd5e7"

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        loop_count: int | None = None,
        context: dict[str, Any] | None = None,
        cached_inputs: dict[str, Result] | None = None,
    ) -> None:
        State.__init__(self, message, result, context, cached_inputs)
        if loop_count is None:
            loop_count = ambient.get("task_loop_count", 1)
        self.loop_count: int = loop_count


class Cancelled(Finished):
    """It was stopped: neither a success nor a failure."""

    color = "#c42800"


class Success(Finished):
    """It is over, and well."""

    color = "#27b11f"


class Cached(Success):
    """It is over, and its result is kept for later runs.

    Parameters:
        cached_parameters: the flow's parameters.
        cached_result_expiration: until when the result holds.
        hashed_inputs: hashes of what the task was called with, by name.
    """

    color = "#34d058"

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        cached_inputs: dict[str, Result] | None = None,
        cached_parameters: dict[str, Any] | None = None,
        cached_result_expiration: dt.datetime | None = None,
        context: dict[str, Any] | None = None,
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

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        map_states: list[Any] | None = None,
        context: dict[str, Any] | None = None,
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


class Failed(Finished):
    """It is over, and failed."""

    color = "#eb0000"

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        cached_inputs: dict[str, Result] | None = None,
        context: dict[str, Any] | None = None,
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

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        state: State | None = None,
        context: dict[str, Any] | None = None,
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
            state = state._state
        self._state: State | None = state


class ClientFailed(_MetaState):
    """Its state could not be handed on."""

    color = "#f09398"


class Submitted(_MetaState):
    """It was handed over to be run."""

    color = "#ffab00"


class Queued(_MetaState):
    """It waits for room.

    Parameters:
        start_time: when to try again; now by default.
    """

    color = "#ffab00"

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        state: State | None = None,
        start_time: dt.datetime | None = None,
        context: dict[str, Any] | None = None,
        cached_inputs: dict[str, Result] | None = None,
    ) -> None:
        _MetaState.__init__(self, message, result, state, context, cached_inputs)
        self.start_time = clock.now() if start_time is None else start_time
