"""One constructor for each name in use (section 1.2): `Completed(...)`, `AwaitingRetry(...)`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

from penstock import clock
from penstock.states.state import State, StateDetails, StateType


def _make(cls: type[State], kind: StateType, name: str, kwargs: dict[str, Any]) -> State:
    kwargs.setdefault("name", name)
    if kwargs.get("state_details") is None:
        kwargs["state_details"] = StateDetails()
    return cls(type=kind, **kwargs)


def Scheduled(
    cls: type[State] = State, scheduled_time: datetime | None = None, **kwargs: Any
) -> State:
    """Make a state of a run that is to start at `scheduled_time`, now by default.

    Raises:
        ValueError: a time is given both directly and in `state_details`.
    """
    details = _details(kwargs)
    if scheduled_time is not None:
        if details.scheduled_time is not None:
            message = "An extra scheduled_time was given: state_details has one already."
            raise ValueError(message)
        details.scheduled_time = scheduled_time
    return _make(cls, StateType.SCHEDULED, "Scheduled", kwargs)


def _details(kwargs: dict[str, Any]) -> StateDetails:
    details = kwargs.get("state_details")
    if details is None:
        details = StateDetails()
    elif isinstance(details, dict):
        details = StateDetails(**cast("dict[str, Any]", details))
    else:
        details = details.copy()
    kwargs["state_details"] = details
    return details


def Late(cls: type[State] = State, scheduled_time: datetime | None = None, **kwargs: Any) -> State:
    """Make a state of a run whose scheduled time has passed."""
    return Scheduled(cls, scheduled_time, **({"name": "Late"} | kwargs))


def AwaitingRetry(
    cls: type[State] = State, scheduled_time: datetime | None = None, **kwargs: Any
) -> State:
    """Make a state of a run that failed and is tried again at `scheduled_time`."""
    return Scheduled(cls, scheduled_time, **({"name": "AwaitingRetry"} | kwargs))


def Pending(cls: type[State] = State, **kwargs: Any) -> State:
    """Make a state of a run that is created and not started."""
    return _make(cls, StateType.PENDING, "Pending", kwargs)


def Running(cls: type[State] = State, **kwargs: Any) -> State:
    """Make a state of a run that is being executed."""
    return _make(cls, StateType.RUNNING, "Running", kwargs)


def Retrying(cls: type[State] = State, **kwargs: Any) -> State:
    """Make a state of a run that is being executed again."""
    return _make(cls, StateType.RUNNING, "Retrying", kwargs)


def Completed(cls: type[State] = State, **kwargs: Any) -> State:
    """Make a state of a run that finished well."""
    return _make(cls, StateType.COMPLETED, "Completed", kwargs)


def Failed(cls: type[State] = State, **kwargs: Any) -> State:
    """Make a state of a run whose own code failed."""
    return _make(cls, StateType.FAILED, "Failed", kwargs)


def Crashed(cls: type[State] = State, **kwargs: Any) -> State:
    """Make a state of a run that broke outside its own code."""
    return _make(cls, StateType.CRASHED, "Crashed", kwargs)


def Cancelling(cls: type[State] = State, **kwargs: Any) -> State:
    """Make a state of a run that is asked to stop."""
    return _make(cls, StateType.CANCELLING, "Cancelling", kwargs)


def Cancelled(cls: type[State] = State, **kwargs: Any) -> State:
    """Make a state of a run that was stopped by request."""
    return _make(cls, StateType.CANCELLED, "Cancelled", kwargs)


def Paused(
    cls: type[State] = State,
    timeout_seconds: float | None = None,
    pause_expiration_time: datetime | None = None,
    reschedule: bool = False,  # noqa: FBT001, FBT002
    pause_key: str | None = None,
    **kwargs: Any,
) -> State:
    """Make a state of a run that waits to be resumed.

    Parameters:
        timeout_seconds: seconds from now until the pause expires.
        pause_expiration_time: when the pause expires; only one of the two may be given, and
            with neither it never does.
        reschedule: the run leaves its process and is scheduled anew when it is resumed.
        pause_key: identifies the pause, so that it happens once in a run.

    Raises:
        ValueError: two times are given, or one in `state_details`.
    """
    details = _details(kwargs)
    if details.pause_timeout is not None:
        message = (
            "state_details has a pause_timeout. Give it as pause_expiration_time, or give"
            " timeout_seconds."
        )
        raise ValueError(message)
    if timeout_seconds is not None and pause_expiration_time is not None:
        message = "Give either timeout_seconds or pause_expiration_time, not both."
        raise ValueError(message)
    if timeout_seconds is not None:
        details.pause_timeout = clock.now() + timedelta(seconds=timeout_seconds)
    elif pause_expiration_time is not None:
        details.pause_timeout = pause_expiration_time
    details.pause_reschedule = reschedule
    details.pause_key = pause_key
    return _make(cls, StateType.PAUSED, "Paused", kwargs)


def Suspended(
    cls: type[State] = State,
    timeout_seconds: float | None = None,
    pause_expiration_time: datetime | None = None,
    pause_key: str | None = None,
    **kwargs: Any,
) -> State:
    """Make a state of a run that has left its process and waits to be resumed."""
    return Paused(
        cls,
        timeout_seconds,
        pause_expiration_time,
        reschedule=True,
        pause_key=pause_key,
        **({"name": "Suspended"} | kwargs),
    )
