"""Signals: exceptions by which a task's code, a trigger or a handler sets a state (section 2).

They are no `Exception`s, so that user code that catches those does not swallow them.

    BaseException
        PrefectSignal
            ENDRUN                  stop the pipeline: the state it carries is the answer
            TaskTimeoutSignal       the task's time is over
            PrefectStateSignal
                FAIL
                    TRIGGERFAIL
                    VALIDATIONFAIL
                SUCCESS
                RETRY
                SKIP
                PAUSE
                LOOP
"""

from __future__ import annotations

from typing import Any, ClassVar

from penstock.graph import state as states
from penstock.graph.state import State

__all__ = [
    "ENDRUN",
    "FAIL",
    "LOOP",
    "PAUSE",
    "RETRY",
    "SKIP",
    "SUCCESS",
    "TRIGGERFAIL",
    "VALIDATIONFAIL",
    "PrefectSignal",
    "PrefectStateSignal",
    "TaskTimeoutSignal",
    "signal_from_state",
]


class PrefectSignal(BaseException):
    """The base of all signals."""


class ENDRUN(PrefectSignal):
    """Stops the pipeline: nothing of it happens any more, and `state` is the answer.

    No retry, no caching and no further turn of a loop comes after it.

    Parameters:
        state: the state.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        super().__init__(state)


class TaskTimeoutSignal(PrefectSignal):
    """The time of a task is over."""


class PrefectStateSignal(PrefectSignal):
    """Sets a state. Each subclass has the class of its state.

    Parameters:
        message: the state's message.
        *args: further arguments of the state's class.
        **kwargs: likewise; without a `result` it is the signal itself.
    """

    _state_cls: ClassVar[type[State]] = State

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Enter the class as the signal of its state, unless there is one."""
        super().__init_subclass__(**kwargs)
        _SIGNALS.setdefault(cls._state_cls.__name__, cls)

    def __init__(self, message: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(message)
        if not args and "result" not in kwargs:
            kwargs["result"] = self._default_result()
        self.state: Any = self._state_cls(message, *args, **kwargs)

    def _default_result(self) -> Any:
        return self

    def __reduce__(self) -> Any:
        """Pickle the signal with its state; a result that is the signal itself stays so."""
        attributes = dict(self.__dict__)
        is_own_result = self.state.result is self
        if is_own_result:
            attributes["state"] = self.state.without_result()
        return _restored, (type(self), self.args, attributes, is_own_result)


_SIGNALS: dict[str, type[PrefectStateSignal]] = {"State": PrefectStateSignal}


def _restored(
    kind: type[PrefectStateSignal],
    args: tuple[Any, ...],
    attributes: dict[str, Any],
    is_own_result: bool,  # noqa: FBT001 - called by pickle
) -> PrefectStateSignal:
    signal = kind.__new__(kind, *args)
    signal.args = args
    signal.__dict__.update(attributes)
    if is_own_result:
        signal.state.result = signal
    return signal


class FAIL(PrefectStateSignal):
    """Sets `Failed`."""

    _state_cls = states.Failed


class TRIGGERFAIL(FAIL):
    """Sets `TriggerFailed`."""

    _state_cls = states.TriggerFailed


class VALIDATIONFAIL(FAIL):
    """Sets `ValidationFailed`."""

    _state_cls = states.ValidationFailed


class SUCCESS(PrefectStateSignal):
    """Sets `Success`."""

    _state_cls = states.Success


class RETRY(PrefectStateSignal):
    """Sets `Retrying`, whatever the task's `max_retries`."""

    _state_cls = states.Retrying


class SKIP(PrefectStateSignal):
    """Sets `Skipped`."""

    _state_cls = states.Skipped


class PAUSE(PrefectStateSignal):
    """Sets `Paused`."""

    _state_cls = states.Paused


class LOOP(PrefectStateSignal):
    """Sets `Looped`: the task runs again, and finds this result as `context.task_loop_result`."""

    _state_cls = states.Looped

    def _default_result(self) -> Any:
        return repr(self)


def signal_from_state(state: State) -> type[PrefectStateSignal]:
    """Give the class of the signal that sets states of a state's class.

    Raises:
        ValueError: there is none.

    Example:
        >>> signal_from_state(states.Failed()).__name__
        'FAIL'
    """
    name = type(state).__name__
    if name not in _SIGNALS:
        known = ", ".join(_SIGNALS)
        message = f"No signal sets the state {name}; there are signals for {known}."
        raise ValueError(message)
    return _SIGNALS[name]
