"""What a run is: the states, how they are made, and what they say of a run's result.

Sections 1.1 to 1.8 of the flow engine's specification. Used by everything above.
"""

from penstock.states.deriving import (
    StateGroup,
    crash_message,
    exception_to_crashed_state,
    exception_to_failed_state,
    format_exception,
    return_value_to_state,
    shape_return_value,
)
from penstock.states.making import (
    AwaitingRetry,
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    Late,
    Paused,
    Pending,
    Retrying,
    Running,
    Scheduled,
    Suspended,
)
from penstock.states.state import (
    TERMINAL_STATES,
    UNSUCCESSFUL_STATES,
    State,
    StateDetails,
    StateType,
    get_state_exception,
    is_state,
    is_state_iterable,
    raise_state_exception,
    state_result,
)

__all__ = [
    "TERMINAL_STATES",
    "UNSUCCESSFUL_STATES",
    "AwaitingRetry",
    "Cancelled",
    "Cancelling",
    "Completed",
    "Crashed",
    "Failed",
    "Late",
    "Paused",
    "Pending",
    "Retrying",
    "Running",
    "Scheduled",
    "State",
    "StateDetails",
    "StateGroup",
    "StateType",
    "Suspended",
    "crash_message",
    "exception_to_crashed_state",
    "exception_to_failed_state",
    "format_exception",
    "get_state_exception",
    "is_state",
    "is_state_iterable",
    "raise_state_exception",
    "return_value_to_state",
    "shape_return_value",
    "state_result",
]
