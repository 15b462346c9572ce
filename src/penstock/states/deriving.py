"""States made from what happened: from returned values, exceptions and groups (1.7, 1.8)."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from penstock.results import BaseResult
from penstock.states.state import TERMINAL_STATES, State, StateType, is_state_iterable

if TYPE_CHECKING:
    from collections.abc import Iterable


class StateGroup:
    """Counts over several states, by which a flow run's own state is decided.

    Parameters:
        states: the states, any number of them.
    """

    def __init__(self, states: Iterable[State]) -> None:
        self.states = list(states)
        self._set_counts(Counter(state.type for state in self.states))

    @classmethod
    def from_counts(cls, type_counts: dict[StateType, int]) -> StateGroup:
        """Make a group of which only the number of states of each type is known."""
        group = cls(())
        group._set_counts(Counter(type_counts))
        return group

    def _set_counts(self, counts: Counter[StateType]) -> None:
        self.type_counts = dict(counts)
        self.total_count = counts.total()
        self.cancelled_count = counts[StateType.CANCELLED]
        self.paused_count = counts[StateType.PAUSED]
        self.fail_count = counts[StateType.FAILED] + counts[StateType.CRASHED]
        self.final_count = sum(counts[kind] for kind in TERMINAL_STATES)
        self.not_final_count = self.total_count - self.final_count

    def all_completed(self) -> bool:
        """Tell whether every state is COMPLETED."""
        return self.type_counts.get(StateType.COMPLETED, 0) == self.total_count

    def any_cancelled(self) -> bool:
        """Tell whether a state is CANCELLED."""
        return self.cancelled_count > 0

    def any_failed(self) -> bool:
        """Tell whether a state is FAILED or CRASHED."""
        return self.fail_count > 0

    def any_paused(self) -> bool:
        """Tell whether a state is PAUSED."""
        return self.paused_count > 0

    def all_final(self) -> bool:
        """Tell whether every state is final."""
        return self.final_count == self.total_count

    def counts_message(self) -> str:
        """Say how many states there are of each type."""
        counts = [f"total={self.total_count}"]
        if self.not_final_count:
            counts.append(f"not_final={self.not_final_count}")
        counts += [f"{kind.value!r}={count}" for kind, count in self.type_counts.items() if count]
        return ", ".join(counts)

    def aggregate(self) -> tuple[StateType, str]:
        """Give the type and message of a run that is made of these states."""
        total = self.total_count
        if self.all_completed():
            return StateType.COMPLETED, "All states completed."
        if self.any_cancelled():
            return StateType.CANCELLED, f"{self.cancelled_count}/{total} states cancelled."
        if self.any_paused():
            return StateType.PAUSED, f"{self.paused_count}/{total} states paused."
        if self.any_failed():
            return StateType.FAILED, f"{self.fail_count}/{total} states failed."
        if not self.all_final():
            return StateType.FAILED, f"{self.not_final_count}/{total} states are not final."
        return StateType.FAILED, f"Given states: {self.counts_message()}"


def shape_return_value(value: Any) -> State:
    """Give the state that a returned value means, with the bare value as its data.

    A state made by hand is itself; states of runs are summed up; a generator becomes a list.
    Futures are to be resolved to states before.
    """
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind is State or (kind in _STATE_HOLDERS and is_state_iterable(value)):
        given = cast("Any", value)
        if kind is State and not given.belongs_to_a_run():
            return given
        states = [given] if kind is State else given
        aggregate_type, message = StateGroup(states).aggregate()
        return State(type=aggregate_type, message=message, data=value)
    if kind is _GENERATOR:
        value = list(value)
    return State(type=StateType.COMPLETED, data=value)


_STATE_HOLDERS = frozenset({list, set, tuple})
_GENERATOR = type(_ for _ in ())


def return_value_to_state(value: Any, result_factory: Any = None) -> State:
    """Turn what a run's function returned into the run's final state (section 1.7).

    Parameters:
        value: what was returned, with futures already resolved to states.
        result_factory: a `penstock.results.ResultFactory` that wraps the value; without one the
            value stays in memory.
    """
    state = shape_return_value(value)
    if result_factory is not None and not isinstance(state.data, BaseResult):
        state.data = result_factory.inline(state.data) or result_factory.create(state.data, {})
    return state


def format_exception(exc: BaseException) -> str:
    """Give an exception's type and text, in one line."""
    text = str(exc)
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


def exception_to_failed_state(
    exc: BaseException | None = None,
    result_factory: Any = None,
    message: str = "",
    name: str | None = None,
) -> State:
    """Make the FAILED state of an exception; of the one being handled if none is given.

    Raises:
        ValueError: no exception is given and none is being handled.
    """
    if exc is None:
        exc = sys.exc_info()[1]
        if exc is None:
            text = "Exception was not passed and there is no active exception to make a state of."
            raise ValueError(text)
    text = f"{message} {format_exception(exc)}" if message else format_exception(exc)
    data: Any = exc
    if result_factory is not None:
        data = result_factory.inline(exc) or result_factory.create(exc, {})
    return State(type=StateType.FAILED, name=name or "", message=text, data=data)


def crash_message(exc: BaseException) -> str:
    """Say why a run crashed, for people."""
    asyncio = sys.modules.get("asyncio")
    kind = type(exc).__name__
    is_cancelled = asyncio is not None and isinstance(exc, asyncio.CancelledError)
    if is_cancelled or kind == "Interrupted":
        return "Execution was cancelled by the runtime environment."
    if isinstance(exc, KeyboardInterrupt):
        return "Execution was aborted by an interrupt signal."
    if kind == "TerminationSignal":
        return "Execution was aborted by a termination signal."
    if isinstance(exc, SystemExit):
        return "Execution was aborted by Python system exit call."
    if type(exc).__module__.partition(".")[0] == "httpx":
        try:
            url: object = getattr(exc, "request").url  # noqa: B009 - a property that may raise
        except RuntimeError:
            url = None
        where = f" to {url}" if url else ""
        return f"Request{where} failed: {format_exception(exc)}."
    return f"Execution was interrupted by an unexpected exception: {format_exception(exc)}"


def exception_to_crashed_state(exc: BaseException, result_factory: Any = None) -> State:
    """Make the CRASHED state of what broke a run. The exception itself is not persisted."""
    del result_factory  # taken for the signature's sake: a crash is never written to storage
    return State(type=StateType.CRASHED, message=crash_message(exc), data=exc)
