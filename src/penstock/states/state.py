"""The state of a run, and what it says of the run's result (sections 1.1 to 1.6).

Does no I/O but for `State.result()`, which may read storage through the result object it holds.
"""

from __future__ import annotations

import enum
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeGuard
from uuid import UUID

import msgspec

from penstock import clock
from penstock.exceptions import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    MissingResult,
    PausedRun,
    UnfinishedRun,
)
from penstock.ids import new_id
from penstock.results import BaseResult
from penstock.settings import PENSTOCK_ASYNC_FETCH_STATE_RESULT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class StateType(enum.StrEnum):
    """The kinds of states; four of them are final."""

    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"

    def __repr__(self) -> str:
        """Show class and member, as it is written in code."""
        return f"StateType.{self.value}"


TERMINAL_STATES = frozenset(
    {StateType.COMPLETED, StateType.CANCELLED, StateType.FAILED, StateType.CRASHED}
)
UNSUCCESSFUL_STATES = TERMINAL_STATES - {StateType.COMPLETED}
_DEFAULT_NAMES = {kind: kind.value.capitalize() for kind in StateType}


class StateDetails(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What belongs to a state besides its type, name and message (section 1.3)."""

    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
    child_flow_run_id: UUID | None = None
    scheduled_time: datetime | None = None
    cache_key: str | None = None
    cache_expiration: datetime | None = None
    refresh_cache: bool | None = None
    retriable: bool | None = None
    untrackable_result: bool = False
    pause_timeout: datetime | None = None
    pause_reschedule: bool = False
    pause_key: str | None = None
    run_input_keyset: dict[str, str] | None = None
    transition_id: UUID | None = None
    task_parameters_id: UUID | None = None
    graph: dict[str, Any] | None = None

    def copy(self, *, update: Mapping[str, Any] | None = None, **changes: Any) -> StateDetails:
        """Give the same details with changes: in `update`, by name, or by keyword."""
        return msgspec.structs.replace(
            self, **(changes if update is None else {**update, **changes})
        )


class State(msgspec.Struct, kw_only=True, eq=False):
    """One state of a run.

    Parameters:
        type: its kind, a `StateType` or its name.
        name: what it is called; the capitalised type by default.
        message: what a reader should know of it.
        data: the run's result, an exception, or a result object.
        state_details: see `StateDetails`.
        timestamp: when the run came into it, in UTC; now by default.
        id: a new id by default.

    Example:
        >>> State(type="COMPLETED", message="done")
        Completed(message='done', type=COMPLETED, result=None)
    """

    type: StateType
    name: str = ""
    message: str | None = None
    data: Any = None
    state_details: StateDetails = msgspec.field(default_factory=StateDetails)
    timestamp: datetime = msgspec.field(default_factory=clock.now)
    id: UUID = msgspec.field(default_factory=new_id)

    def __post_init__(self) -> None:
        """Fill in what follows from the type."""
        if self.type.__class__ is not StateType:
            self.type = StateType(self.type)
        if not self.name:
            self.name = _DEFAULT_NAMES[self.type]
        if self.type is StateType.SCHEDULED and self.state_details.scheduled_time is None:
            self.state_details.scheduled_time = clock.now()

    def is_scheduled(self) -> bool:
        """Tell whether the type is SCHEDULED."""
        return self.type is StateType.SCHEDULED

    def is_pending(self) -> bool:
        """Tell whether the type is PENDING."""
        return self.type is StateType.PENDING

    def is_running(self) -> bool:
        """Tell whether the type is RUNNING."""
        return self.type is StateType.RUNNING

    def is_completed(self) -> bool:
        """Tell whether the type is COMPLETED."""
        return self.type is StateType.COMPLETED

    def is_failed(self) -> bool:
        """Tell whether the type is FAILED."""
        return self.type is StateType.FAILED

    def is_crashed(self) -> bool:
        """Tell whether the type is CRASHED."""
        return self.type is StateType.CRASHED

    def is_cancelled(self) -> bool:
        """Tell whether the type is CANCELLED."""
        return self.type is StateType.CANCELLED

    def is_cancelling(self) -> bool:
        """Tell whether the type is CANCELLING."""
        return self.type is StateType.CANCELLING

    def is_paused(self) -> bool:
        """Tell whether the type is PAUSED."""
        return self.type is StateType.PAUSED

    def is_final(self) -> bool:
        """Tell whether a run ends in this state."""
        return self.type in TERMINAL_STATES

    def belongs_to_a_run(self) -> bool:
        """Tell whether the rules gave this state to a run; a state made by hand has no run."""
        details = self.state_details
        return details.flow_run_id is not None or details.task_run_id is not None

    def copy(self, *, update: Mapping[str, Any] | None = None, **changes: Any) -> State:
        """Give the same state anew: with its own id and the present time, and with changes.

        Parameters:
            update: fields to change, by name, as programs of Prefect 2 give them.
            changes: the same by keyword.

        Example:
            >>> State(type="COMPLETED", message="done").copy(name="Cached")
            Cached(message='done', type=COMPLETED, result=None)
        """
        fresh = {
            "id": new_id(),
            "timestamp": clock.now(),
            "state_details": self.state_details.copy(),
        }
        return msgspec.structs.replace(self, **(fresh | (dict(update or ())) | changes))

    def result(self, raise_on_failure: bool = True, fetch: bool | None = None) -> Any:  # noqa: FBT001, FBT002
        """Give the value that the run produced (section 1.5).

        Parameters:
            raise_on_failure: raise the run's exception if it failed, crashed or was cancelled;
                otherwise the exception is returned.
            fetch: in async code, `True` gives an awaitable, for programs that write
                `await state.result(fetch=True)`. `False` gives the value at once, and so does no
                word, unless `PENSTOCK_ASYNC_FETCH_STATE_RESULT` is on. In sync code it is always
                the value.

        Raises:
            PausedRun: the run is paused.
            UnfinishedRun: the run is not finished.
            MissingResult: the result was not kept.
            Exception: whatever the run failed with.
        """
        if fetch is None and PENSTOCK_ASYNC_FETCH_STATE_RESULT.value():
            fetch = True
        if fetch and _inside_event_loop():
            return _later(self, raise_on_failure)
        return state_result(self, raise_on_failure)

    def __str__(self) -> str:
        """Give the name and message, and the type where the name differs from it."""
        parts: list[str] = []
        if self.message:
            parts.append(repr(self.message))
        if self.name.upper() != self.type.value:
            parts.append(f"type={self.type.value}")
        return f"{self.name}({', '.join(parts)})"

    def __repr__(self) -> str:
        """Give name, message, type and result."""
        data = self.data
        if isinstance(data, BaseResult):
            data = data.get() if data.has_cached_object() else data
        return f"{self.name}(message={self.message!r}, type={self.type.value}, result={data!r})"

    def __eq__(self, other: object) -> bool:
        """Two states are equal when they are the same state of the same run."""
        return isinstance(other, State) and self.id == other.id and self.type is other.type

    def __hash__(self) -> int:
        """Hash by run, time and type."""
        details = self.state_details
        return hash((details.flow_run_id, details.task_run_id, self.timestamp, self.type))


def _inside_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None  # noqa: SLF001


async def _later(state: State, raise_on_failure: bool) -> Any:  # noqa: FBT001
    return state_result(state, raise_on_failure)


def state_result(state: State, raise_on_failure: bool = True) -> Any:  # noqa: FBT001, FBT002
    """Give the value of `state` as `State.result` does."""
    if state.type is StateType.COMPLETED:
        data = state.data
        if isinstance(data, BaseResult):
            return data.get()
        if data is None:
            message = (
                f"The result of {state} was not kept: the state holds no data. Return a value from"
                " the run, or make the state with data=...; see"
                " PENSTOCK_RESULTS_PERSIST_BY_DEFAULT."
            )
            raise MissingResult(message)
        return data
    if state.type is StateType.PAUSED:
        why = f": {state.message}" if state.message else ""
        raise PausedRun(f"Run is paused, its result is not available{why}", state=state)
    if state.type not in TERMINAL_STATES:
        message = (
            f"Run is in {state.name} state ({state.type.value}): its result is not available."
        )
        raise UnfinishedRun(message if not state.message else f"{message} {state.message}")
    if raise_on_failure:
        raise get_state_exception(state)
    data = state.data
    if data is None:
        return get_state_exception(state)
    if isinstance(data, BaseResult):
        try:
            return data.get()
        except MissingResult:
            return _wrapper_of(state)(state.message or _default_text(state))
    return data


_WRAPPERS: dict[StateType, tuple[type[Exception], str]] = {
    StateType.FAILED: (FailedRun, "Run failed."),
    StateType.CRASHED: (CrashedRun, "Run crashed."),
    StateType.CANCELLED: (CancelledRun, "Run cancelled."),
}


def _wrapper_of(state: State) -> type[Exception]:
    return _WRAPPERS[state.type][0]


def _default_text(state: State) -> str:
    return _WRAPPERS[state.type][1]


def get_state_exception(state: State) -> BaseException:  # noqa: C901 - a row of the table each
    """Give the exception that a failed, crashed or cancelled state stands for.

    Raises:
        ValueError: the state is none of these, or holds a list of states of which none is.
        TypeError: the state's data cannot be understood as an exception.
    """
    if state.type not in _WRAPPERS:
        message = f"Expected a failed, crashed or cancelled state, got {state!r}."
        raise ValueError(message)
    wrapper = _wrapper_of(state)
    data = state.data
    if isinstance(data, BaseResult):
        try:
            data = data.get()
        except MissingResult:
            data = None
    if data is None:
        return wrapper(state.message or _default_text(state))
    if isinstance(data, BaseException):
        return data
    if isinstance(data, str):
        return wrapper(data)
    if isinstance(data, State):
        return get_state_exception(data)
    if is_state_iterable(data):
        for inner in data:
            if inner.type in UNSUCCESSFUL_STATES:
                return get_state_exception(inner)
        message = f"None of the states that {state} was made of failed, crashed or was cancelled."
        raise ValueError(message)
    message = (
        f"The data of {state} has type {type(data).__name__}, which cannot be resolved into an"
        " exception. Give an exception, a text, a state or a list of states."
    )
    raise TypeError(message)


def raise_state_exception(state: State) -> None:
    """Raise the exception of a failed, crashed or cancelled state; do nothing for others."""
    if state.type in _WRAPPERS:
        raise get_state_exception(state)


def is_state(obj: object) -> TypeGuard[State]:
    """Tell whether `obj` is a state."""
    return isinstance(obj, State)


def is_state_iterable(obj: object) -> TypeGuard[Iterable[State]]:
    """Tell whether `obj` is a non-empty list, set or tuple of nothing but states."""
    if isinstance(obj, (list, set, tuple)) and obj:
        return all(isinstance(item, State) for item in obj)  # pyright: ignore[reportUnknownVariableType]
    return False
