"""Which moves between types of states there are: the state machines, as tables.

For a run's present type (None: it has no state) and the type asked for, the types that may be
written. What is not in a table is refused. Whether a move is made, and which of several, is up to
the rules. Forced states are not bound by these tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.rules.policy import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    CRASHED,
    FAILED,
    PAUSED,
    PENDING,
    RUNNING,
    SCHEDULED,
)

if TYPE_CHECKING:
    from penstock.states import StateType

    Row = dict[StateType, tuple[StateType, ...]]
    Moves = dict[StateType | None, Row]

_UNFINISHED_TASK: Row = {
    SCHEDULED: (SCHEDULED,),
    PENDING: (PENDING,),
    RUNNING: (RUNNING, COMPLETED, PAUSED),  # COMPLETED: Cached; PAUSED: its flow run is
    COMPLETED: (COMPLETED,),
    FAILED: (FAILED,),
    CANCELLED: (CANCELLED,),
    CRASHED: (CRASHED,),
    PAUSED: (PAUSED,),
    CANCELLING: (CANCELLING,),
}
_FINISHED_TASK: Row = {
    SCHEDULED: (SCHEDULED,),
    PENDING: (PENDING,),
    RUNNING: (RUNNING, COMPLETED, PAUSED),
    COMPLETED: (COMPLETED,),
    FAILED: (FAILED,),
    CANCELLED: (CANCELLED,),
}

TASK_MOVES: Moves = {
    None: _UNFINISHED_TASK,
    SCHEDULED: _UNFINISHED_TASK,
    PENDING: _UNFINISHED_TASK,
    RUNNING: _UNFINISHED_TASK | {FAILED: (FAILED, SCHEDULED)},  # SCHEDULED: AwaitingRetry
    PAUSED: _UNFINISHED_TASK,
    CANCELLING: _UNFINISHED_TASK,
    COMPLETED: _FINISHED_TASK,  # nothing at all once the result is recorded
    FAILED: _FINISHED_TASK,
    CANCELLED: _FINISHED_TASK,
    CRASHED: _FINISHED_TASK,
}
"""The moves of a task run. One without a flow run makes fewer: it is never PAUSED by its flow run,
and is not made PENDING once it is PENDING, RUNNING, CANCELLING or CANCELLED."""

_FINISHED_FLOW: Row = {
    SCHEDULED: (SCHEDULED,),
    PENDING: (PENDING,),
    RUNNING: (RUNNING,),
    COMPLETED: (COMPLETED,),
    FAILED: (FAILED,),
    CANCELLED: (CANCELLED,),
}

FLOW_MOVES: Moves = {
    None: {
        SCHEDULED: (SCHEDULED,),
        PENDING: (PENDING,),
        RUNNING: (RUNNING,),
        COMPLETED: (COMPLETED,),
        FAILED: (FAILED,),
        CANCELLED: (CANCELLED,),
        CRASHED: (CRASHED,),
        CANCELLING: (CANCELLING,),
    },
    SCHEDULED: {
        SCHEDULED: (SCHEDULED,),
        PENDING: (PENDING,),
        RUNNING: (RUNNING,),
        COMPLETED: (COMPLETED,),
        FAILED: (FAILED,),
        CANCELLED: (CANCELLED,),
        CRASHED: (CRASHED,),
        CANCELLING: (CANCELLING, CANCELLED),  # CANCELLED: no process has to be stopped
    },
    PENDING: {
        SCHEDULED: (SCHEDULED,),
        RUNNING: (RUNNING,),
        COMPLETED: (COMPLETED,),
        FAILED: (FAILED,),
        CANCELLED: (CANCELLED,),
        CRASHED: (CRASHED,),
        CANCELLING: (CANCELLING,),
    },
    RUNNING: {
        SCHEDULED: (SCHEDULED,),
        RUNNING: (RUNNING,),
        COMPLETED: (COMPLETED,),
        FAILED: (FAILED, SCHEDULED),  # SCHEDULED: AwaitingRetry
        CANCELLED: (CANCELLED,),
        CRASHED: (CRASHED,),
        PAUSED: (PAUSED,),
        CANCELLING: (CANCELLING,),
    },
    PAUSED: {  # FAILED: the time to resume it was over
        SCHEDULED: (SCHEDULED, FAILED),
        RUNNING: (RUNNING, FAILED),
        COMPLETED: (COMPLETED, FAILED),
        FAILED: (FAILED,),
        CANCELLED: (CANCELLED, FAILED),
        CRASHED: (CRASHED, FAILED),
        CANCELLING: (CANCELLING, CANCELLED, FAILED),  # CANCELLED: suspended, without a process
    },
    CANCELLING: {CANCELLED: (CANCELLED,)},
    COMPLETED: _FINISHED_FLOW,  # final states only, once the result is recorded
    FAILED: _FINISHED_FLOW,
    CANCELLED: {CANCELLED: (CANCELLED,)},
    CRASHED: _FINISHED_FLOW,
}
"""The moves of a flow run."""

MOVES: dict[str, Moves] = {"flow run": FLOW_MOVES, "task run": TASK_MOVES}
"""Both machines, by the word that names the kind of run."""
