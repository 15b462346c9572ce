"""Records to rows and back. One row holds a run whole, its history of states in a column."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from penstock.clock import from_epoch
from penstock.ids import id_from_bytes
from penstock.records import (
    Flow,
    FlowRun,
    FlowRunPolicy,
    Log,
    TaskRun,
    TaskRunPolicy,
    TaskRunResult,
)
from penstock.results import BaseResult, from_record
from penstock.states import State, StateDetails, StateType

NO_FLOW_RUN = bytes(16)
"""Stands for the flow run of a task run that has none, so that a key needs no null."""


class _StateRow(msgspec.Struct, array_like=True):
    """A state as it is kept in a run's history: short, and readable by newer code.

    What is as usual at its end is not there.
    """

    kind: int
    timestamp: datetime
    id: UUID
    name: str | None = None
    message: str | None = None
    details: StateDetails | None = None


class _TaskRunDetails(msgspec.Struct, omit_defaults=True):
    """What of a task run is seldom there and never searched for."""

    task_version: str | None = None
    cache_expiration: datetime | None = None
    policy: TaskRunPolicy | None = None
    labels: dict[str, str] | None = None
    task_inputs: dict[str, list[TaskRunResult]] | None = None
    flow_run_run_count: int = 0


class _FlowRunDetails(msgspec.Struct, omit_defaults=True):
    """What of a flow run is seldom there and never searched for."""

    policy: FlowRunPolicy | None = None
    context: dict[str, Any] | None = None
    work_queue_name: str | None = None
    infrastructure_pid: str | None = None
    auto_scheduled: bool = False
    created_by: str | None = None
    job_variables: dict[str, Any] | None = None


_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_decode_history = msgspec.msgpack.Decoder(list[_StateRow]).decode
_decode_task_details = msgspec.msgpack.Decoder(_TaskRunDetails).decode
_decode_flow_details = msgspec.msgpack.Decoder(_FlowRunDetails).decode
_TYPES = (
    StateType.SCHEDULED,
    StateType.PENDING,
    StateType.RUNNING,
    StateType.COMPLETED,
    StateType.FAILED,
    StateType.CANCELLED,
    StateType.CRASHED,
    StateType.PAUSED,
    StateType.CANCELLING,
)
"""By the number that stands for them in a store: it never changes."""
_USUAL = {kind: (number, State(type=kind).name) for number, kind in enumerate(_TYPES)}
_PLAIN_TASK_POLICY = TaskRunPolicy()
_PLAIN_FLOW_POLICY = FlowRunPolicy()


def epoch_of(moment: datetime | None) -> float | None:
    """Turn a time into seconds since the epoch."""
    return None if moment is None else moment.timestamp()


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else from_epoch(seconds)


def encode_history(history: list[State]) -> bytes:
    """Encode the states that a run went through. Details that only name the run are left out."""
    if not history:
        return _encode(history)
    last = history[-1].state_details
    plain = StateDetails(flow_run_id=last.flow_run_id, task_run_id=last.task_run_id)
    rows: list[_StateRow | tuple[int, datetime, UUID]] = []
    for state in history:
        kind, usual_name = _USUAL[state.type]
        name = None if state.name == usual_name else state.name
        message, details = state.message, state.state_details
        if details == plain:
            if name is message is None:
                rows.append((kind, state.timestamp, state.id))
                continue
            details = None
        else:
            details = details.copy(flow_run_id=None, task_run_id=None)
        rows.append(_StateRow(kind, state.timestamp, state.id, name, message, details))
    return _encode(rows)


def decode_history(
    data: bytes, flow_run_id: UUID | None = None, task_run_id: UUID | None = None
) -> list[State]:
    """Give the states again that `encode_history` was given, without their data."""
    states: list[State] = []
    for row in _decode_history(data):
        state = _state_of(row)
        state.state_details.flow_run_id = flow_run_id
        state.state_details.task_run_id = task_run_id
        states.append(state)
    return states


def decode_last_state(data: bytes) -> State:
    """Give the last of the states that `encode_history` was given, without its data."""
    return _state_of(_decode_history(data)[-1])


def _state_of(row: _StateRow) -> State:
    return State(
        type=_TYPES[row.kind],
        name=row.name or "",
        timestamp=row.timestamp,
        id=row.id,
        message=row.message,
        state_details=row.details or StateDetails(),
    )


def _result_columns(state: State | None) -> tuple[str | None, bytes | None]:
    data = None if state is None else state.data
    return data.record() if isinstance(data, BaseResult) else (None, None)


def _names(tags: list[str]) -> str | None:
    return json.dumps(sorted(tags)) if tags else None


def task_run_row(run: TaskRun) -> tuple[Any, ...]:
    """Give the row of `WRITE_TASK_RUN`."""
    state = run.state
    if state is None:
        state_columns: tuple[Any, ...] = (None, None, None)
    else:
        state_columns = (
            state.type,
            state.name,
            state.timestamp.timestamp(),
        )
    result_type, result_data = _result_columns(state)
    return (
        NO_FLOW_RUN if run.flow_run_id is None else run.flow_run_id.bytes,
        run.id.bytes,
        run.task_key,
        run.dynamic_key,
        run.name,
        *state_columns,
        run.run_count,
        epoch_of(run.expected_start_time),
        epoch_of(run.next_scheduled_start_time),
        epoch_of(run.start_time),
        epoch_of(run.end_time),
        run.run_time_s,
        _names(run.tags),
        run.fingerprint,
        run.cache_key,
        result_type,
        result_data,
        encode_history(run.history),
        _task_details(run),
    )


def _task_details(run: TaskRun) -> bytes | None:
    policy = run.empirical_policy
    plain = policy == _PLAIN_TASK_POLICY
    if (
        plain
        and run.flow_run_run_count <= 1
        and not (run.labels or run.task_version or run.cache_expiration)
    ):
        if not run.task_inputs:
            return None
        if not any(run.task_inputs.values()):
            return _details_from_nowhere(tuple(run.task_inputs))
    return _encode(
        _TaskRunDetails(
            run.task_version,
            run.cache_expiration,
            None if plain else policy,
            run.labels or None,
            run.task_inputs or None,
            run.flow_run_run_count,
        )
    )


@lru_cache(maxsize=1000)
def _details_from_nowhere(names: tuple[str, ...]) -> bytes:
    """Give the details of a run of which only the names of its parameters are to be kept.

    They are the same for all calls of a function, and are encoded once.
    """
    return _encode(_TaskRunDetails(task_inputs={name: [] for name in names}))


def task_run_from_row(row: tuple[Any, ...]) -> TaskRun:
    """Make the task run of a row with the columns of `statements.TASK_RUN_COLUMNS`."""
    flow_run_id = None if row[0] == NO_FLOW_RUN else id_from_bytes(row[0])
    run_id = id_from_bytes(row[1])
    details = _decode_task_details(row[17]) if row[17] else _TaskRunDetails()
    history = decode_history(row[16], flow_run_id, run_id)
    state = history[-1] if history else None
    if state is not None:
        state.data = from_record(row[14], row[15])
    return TaskRun(
        id=run_id,
        flow_run_id=flow_run_id,
        task_key=row[2],
        dynamic_key=row[3],
        name=row[4],
        state=state,
        history=history,
        run_count=row[5],
        expected_start_time=_time(row[6]),
        next_scheduled_start_time=_time(row[7]),
        start_time=_time(row[8]),
        end_time=_time(row[9]),
        run_time_s=row[10],
        tags=json.loads(row[11]) if row[11] else [],
        fingerprint=row[12],
        cache_key=row[13],
        task_version=details.task_version,
        cache_expiration=details.cache_expiration,
        empirical_policy=details.policy or TaskRunPolicy(),
        labels=details.labels or {},
        task_inputs=details.task_inputs or {},
        flow_run_run_count=details.flow_run_run_count or 1,
    )


def _flow_details(run: FlowRun) -> bytes | None:
    details = _FlowRunDetails(
        None if run.empirical_policy == _PLAIN_FLOW_POLICY else run.empirical_policy,
        run.context or None,
        run.work_queue_name,
        run.infrastructure_pid,
        run.auto_scheduled,
        run.created_by,
        run.job_variables or None,
    )
    return _encode(details) if details != _FlowRunDetails() else None


def _bytes(value: UUID | None) -> bytes | None:
    return None if value is None else value.bytes


def flow_run_insert_row(
    run: FlowRun, owner: str | None = None, fence: int = 0, lease_expires: float | None = None
) -> tuple[Any, ...]:
    """Give the row of `INSERT_FLOW_RUN`."""
    state = run.state
    result_type, result_data = _result_columns(state)
    return (
        run.id.bytes,
        _bytes(run.flow_id),
        run.name,
        run.flow_version,
        _bytes(run.deployment_id),
        _bytes(run.parent_task_run_id),
        run.idempotency_key,
        run.entrypoint,
        json.dumps(run.parameters) if run.parameters else "{}",
        run.parameters_pickle,
        _names(run.tags),
        run.run_count,
        None if state is None else state.type.value,
        None if state is None else state.name,
        None if state is None else epoch_of(state.timestamp),
        epoch_of(run.expected_start_time),
        epoch_of(run.next_scheduled_start_time),
        epoch_of(run.start_time),
        epoch_of(run.end_time),
        run.run_time_s,
        result_type,
        result_data,
        encode_history(run.history),
        _flow_details(run),
        owner,
        fence,
        lease_expires,
    )


def flow_run_update_row(run: FlowRun) -> tuple[Any, ...]:
    """Give the row of `UPDATE_FLOW_RUN`."""
    row = flow_run_insert_row(run)
    return (row[2], row[3], *row[8:24], row[0])


def flow_run_from_row(row: tuple[Any, ...]) -> FlowRun:
    """Make the flow run of a row with the columns of `statements.FLOW_RUN_COLUMNS`."""
    run_id = id_from_bytes(row[0])
    details = _decode_flow_details(row[21]) if row[21] else _FlowRunDetails()
    parent_task_run_id = None if row[6] is None else id_from_bytes(row[6])
    history = decode_history(row[20], run_id, parent_task_run_id)
    state = history[-1] if history else None
    if state is not None:
        state.data = from_record(row[18], row[19])
    return FlowRun(
        id=run_id,
        flow_id=id_from_bytes(row[1]),
        flow_name=row[2],
        name=row[3],
        flow_version=row[4],
        deployment_id=None if row[5] is None else id_from_bytes(row[5]),
        parent_task_run_id=parent_task_run_id,
        idempotency_key=row[7],
        entrypoint=row[8],
        parameters=json.loads(row[9]),
        parameters_pickle=row[10],
        tags=json.loads(row[11]) if row[11] else [],
        run_count=row[12],
        expected_start_time=_time(row[13]),
        next_scheduled_start_time=_time(row[14]),
        start_time=_time(row[15]),
        end_time=_time(row[16]),
        run_time_s=row[17],
        state=state,
        history=history,
        empirical_policy=details.policy or FlowRunPolicy(),
        context=details.context or {},
        work_queue_name=details.work_queue_name,
        infrastructure_pid=details.infrastructure_pid,
        auto_scheduled=details.auto_scheduled,
        created_by=details.created_by,
        job_variables=details.job_variables or {},
    )


def log_row(log: Log) -> tuple[Any, ...]:
    """Give the row of `INSERT_LOG`."""
    return (
        NO_FLOW_RUN if log.flow_run_id is None else log.flow_run_id.bytes,
        log.id.bytes,
        _bytes(log.task_run_id),
        log.name,
        log.level,
        log.message,
        epoch_of(log.timestamp),
    )


def log_from_row(row: tuple[Any, ...]) -> Log:
    """Make the log record of a row of `READ_LOGS`."""
    return Log(
        flow_run_id=None if row[0] == NO_FLOW_RUN else id_from_bytes(row[0]),
        id=id_from_bytes(row[1]),
        task_run_id=None if row[2] is None else id_from_bytes(row[2]),
        name=row[3],
        level=row[4],
        message=row[5],
        timestamp=from_epoch(row[6]),
    )


def flow_row(flow: Flow) -> tuple[Any, ...]:
    """Give the row of `INSERT_FLOW`."""
    return (flow.id.bytes, flow.name, _names(flow.tags), epoch_of(flow.created))


def flow_from_row(row: tuple[Any, ...]) -> Flow:
    """Make the flow of a row with the columns of `statements.FLOW_COLUMNS`."""
    created = from_epoch(row[3])
    return Flow(
        id=id_from_bytes(row[0]),
        name=row[1],
        tags=json.loads(row[2]) if row[2] else [],
        created=created,
        updated=created,
    )
