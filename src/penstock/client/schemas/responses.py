"""What the client answers with besides records."""

from __future__ import annotations

from uuid import UUID

import msgspec

from penstock.rules import Status
from penstock.states import State, StateType

SetStateStatus = Status
"""What became of a proposed state: ACCEPT, REJECT, WAIT or ABORT."""


class StateResponseDetails(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why a proposal was not taken as it was, and for WAIT, when to make it again.

    Parameters:
        reason: for people.
        delay_seconds: after how many seconds to propose again.
    """

    reason: str | None = None
    delay_seconds: float | None = None


class OrchestrationResult(msgspec.Struct, kw_only=True):
    """What became of a proposed state.

    Parameters:
        status: ACCEPT if the proposed state, perhaps renamed, holds now; REJECT if another one
            does; WAIT if it is to be proposed again later; ABORT if it is refused.
        state: the state that holds now; none for WAIT and ABORT, which change nothing.
        details: why.
    """

    status: Status
    state: State | None = None
    details: StateResponseDetails = msgspec.field(default_factory=StateResponseDetails)


class ResultRecord(msgspec.Struct, kw_only=True):
    """What is recorded of a run's result, without the value itself.

    Parameters:
        flow_run_id, task_run_id: whose result it is; `task_run_id` is none for a flow run's own.
        run_name, state_type, state_name: the run, and the state it is in.
        type: `literal` (None, True, False or a UUID), `inline` (in the run's record), `reference`
            (in result storage) or `unknown` (the run was set to its end by hand).
        description: what it is and where, for people.
        size_bytes: the size of what the run's record holds; for a `reference` that is the
            reference, not the value.
        storage: of a `reference`, how its storage is named.
        storage_key: of a `reference`, where it is in its storage.
        serializer: of a `reference`, the serializer that reads it.
    """

    flow_run_id: UUID | None
    task_run_id: UUID | None = None
    run_name: str
    state_type: StateType
    state_name: str
    type: str
    description: str
    size_bytes: int
    storage: str | None = None
    storage_key: str | None = None
    serializer: str | None = None
