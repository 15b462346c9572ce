"""What is recorded of flows and their runs: one struct for the store, the client and the wire.

Field names are those of section 4.5 of the flow engine's specification.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from penstock import clock
from penstock.ids import new_id
from penstock.states import State, StateType

EXECUTE_AGAIN = b"again:"
"""How the fingerprint begins of a task run that is to be executed again, as no call's does."""


class Flow(msgspec.Struct, kw_only=True):
    """A flow that was run at least once, known by its name."""

    name: str
    id: UUID = msgspec.field(default_factory=new_id)
    tags: list[str] = []
    created: datetime = msgspec.field(default_factory=clock.now)
    updated: datetime | None = None


class FlowRunPolicy(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How often a flow run is retried, which of its pauses have fired, what follows its crash.

    `retry_delay` is in seconds. `on_crash` is `resume` if the run is to be gone on with when its
    process has died; `recoveries` says how often that was in a row without a task that finished
    since, and `recovered_with` how many had by the last time. `crash_hooks`: the flow has hooks
    for that, which whoever finds the run calls.
    """

    retries: int | None = None
    retry_delay: float | None = None
    pause_keys: list[str] = []
    resuming: bool = False
    on_crash: str | None = None
    recoveries: int = 0
    recovered_with: int = 0
    crash_hooks: bool = False


class TaskRunPolicy(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How often a task run is retried. Delays are in seconds."""

    retries: int = 0
    retry_delay: float | list[float] | None = None
    retry_jitter_factor: float | None = None


class TaskRunResult(msgspec.Struct, kw_only=True, frozen=True):
    """An input of a task run that is the result of another task run."""

    id: UUID
    input_type: str = "task_run"


class _Run(msgspec.Struct, kw_only=True, eq=False):
    """What flow runs and task runs have in common."""

    id: UUID = msgspec.field(default_factory=new_id)
    name: str = ""
    state: State | None = None
    tags: list[str] = []
    run_count: int = 0
    expected_start_time: datetime | None = None
    next_scheduled_start_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    run_time_s: float = 0.0
    history: list[State] = []

    @property
    def state_id(self) -> UUID | None:
        """Give the id of the present state."""
        return None if self.state is None else self.state.id

    @property
    def state_type(self) -> StateType | None:
        """Give the type of the present state."""
        return None if self.state is None else self.state.type

    @property
    def state_name(self) -> str | None:
        """Give the name of the present state."""
        return None if self.state is None else self.state.name

    @property
    def state_timestamp(self) -> datetime | None:
        """Give the time at which the run came into its present state."""
        return None if self.state is None else self.state.timestamp

    @property
    def total_run_time(self) -> timedelta:
        """Give the time spent in RUNNING states that are over."""
        return timedelta(seconds=self.run_time_s)

    @property
    def estimated_run_time(self) -> timedelta:
        """Give the total run time, with that of a RUNNING state that still lasts."""
        state = self.state
        if state is None or state.type is not StateType.RUNNING:
            return self.total_run_time
        return self.total_run_time + (clock.now() - state.timestamp)

    @property
    def estimated_start_time_delta(self) -> timedelta:
        """Give by how much the run started, or is, later than expected."""
        expected = self.expected_start_time
        if expected is None:
            return timedelta(0)
        if self.start_time is not None:
            return self.start_time - expected
        if self.state is not None and not self.state.is_final() and expected < clock.now():
            return clock.now() - expected
        return timedelta(0)

    @property
    def created(self) -> datetime:
        """Give the time at which the record was made, which its id holds."""
        return clock.from_epoch((self.id.int >> 80) / 1000)

    @property
    def updated(self) -> datetime:
        """Give the time of the last transition."""
        return self.created if self.state is None else self.state.timestamp


class FlowRun(_Run, kw_only=True, eq=False):
    """One run of a flow."""

    flow_id: UUID | None = None
    flow_name: str = ""
    flow_version: str | None = None
    deployment_id: UUID | None = None
    work_queue_name: str | None = None
    parameters: dict[str, Any] = {}
    idempotency_key: str | None = None
    context: dict[str, Any] = {}
    empirical_policy: FlowRunPolicy = msgspec.field(default_factory=FlowRunPolicy)
    parent_task_run_id: UUID | None = None
    infrastructure_pid: str | None = None
    auto_scheduled: bool = False
    created_by: str | None = None
    job_variables: dict[str, Any] = {}
    entrypoint: str | None = None
    parameters_pickle: bytes | None = None


class TaskRun(_Run, kw_only=True, eq=False):
    """One run of a task: within a flow run, or on its own.

    `dynamic_key` is the index of the call within its caller: `"3"` for the fourth call in the
    flow's own code, `"3@1f6a9c02"` for one made inside the task run of which `1f6a9c02` is a hash.
    """

    flow_run_id: UUID | None = None
    task_key: str = ""
    dynamic_key: str = ""
    task_version: str | None = None
    cache_key: str | None = None
    cache_expiration: datetime | None = None
    empirical_policy: TaskRunPolicy = msgspec.field(default_factory=TaskRunPolicy)
    labels: dict[str, str] = {}
    task_inputs: dict[str, list[TaskRunResult]] = {}
    flow_run_run_count: int = 0
    fingerprint: bytes | None = None


Run = FlowRun | TaskRun


class Log(msgspec.Struct, kw_only=True):
    """One log record of a run. `level` is that of the `logging` module."""

    name: str
    level: int
    message: str
    timestamp: datetime
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
    id: UUID = msgspec.field(default_factory=new_id)


class FlowRunInput(msgspec.Struct):
    """What was sent to a flow run under a key, which it has once. `value` is JSON."""

    flow_run_id: UUID
    key: str
    value: str
    sender: str | None = None
    created: datetime = msgspec.field(default_factory=clock.now)

    @property
    def decoded_value(self) -> Any:
        """Give the value that the JSON stands for."""
        return json.loads(self.value)
