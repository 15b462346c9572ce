"""Records as the plain objects that `--json` prints. Fields are only ever added."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.cli.output import utc

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.cli.ownership import Ownership
    from penstock.records import FlowRun, Log, TaskRun
    from penstock.states import State


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _run(run: FlowRun | TaskRun) -> dict[str, Any]:
    """Give what flow runs and task runs have in common."""
    state = run.state
    return {
        "id": str(run.id),
        "name": run.name,
        "state_type": None if state is None else state.type.value,
        "state_name": None if state is None else state.name,
        "state_message": None if state is None else state.message,
        "state_timestamp": utc(run.state_timestamp),
        "created": utc(run.created),
        "expected_start_time": utc(run.expected_start_time),
        "start_time": utc(run.start_time),
        "end_time": utc(run.end_time),
        "total_run_time_s": run.run_time_s,
        "run_count": run.run_count,
        "tags": list(run.tags),
    }


def flow_run_object(run: FlowRun, ownership: Ownership) -> dict[str, Any]:
    """Give a flow run as an object."""
    return _run(run) | {
        "flow_id": _text(run.flow_id),
        "flow_name": run.flow_name,
        "flow_version": run.flow_version,
        "parent_task_run_id": _text(run.parent_task_run_id),
        "deployment_id": _text(run.deployment_id),
        "idempotency_key": run.idempotency_key,
        "entrypoint": run.entrypoint,
        "parameters": dict(run.parameters),
        "owner": ownership.owner,
        "owner_is_alive": ownership.is_alive if ownership.owner else None,
        "asked_for": ownership.asked_for,
    }


def task_run_object(run: TaskRun) -> dict[str, Any]:
    """Give a task run as an object."""
    return _run(run) | {
        "flow_run_id": _text(run.flow_run_id),
        "task_key": run.task_key,
        "dynamic_key": run.dynamic_key,
        "cache_key": run.cache_key,
        "child_flow_run_id": _text(child_of(run)),
    }


def child_of(run: TaskRun) -> UUID | None:
    """Give the subflow run that a task run stands for."""
    return None if run.state is None else run.state.state_details.child_flow_run_id


def state_object(state: State) -> dict[str, Any]:
    """Give a state as an object; of its details, those that it has."""
    details = msgspec.to_builtins(state.state_details)
    return {
        "id": str(state.id),
        "type": state.type.value,
        "name": state.name,
        "message": state.message,
        "timestamp": utc(state.timestamp),
        "state_details": {key: value for key, value in details.items() if value is not None},
    }


def log_object(log: Log) -> dict[str, Any]:
    """Give a log record as an object."""
    return {
        "id": str(log.id),
        "timestamp": utc(log.timestamp),
        "level": log.level,
        "level_name": logging.getLevelName(log.level),
        "logger": log.name,
        "message": log.message,
        "flow_run_id": _text(log.flow_run_id),
        "task_run_id": _text(log.task_run_id),
    }
