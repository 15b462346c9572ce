"""What is recorded of a result, told from the record alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.client.schemas.responses import ResultRecord
from penstock.records import TaskRun
from penstock.results import BaseResult, PersistedResult
from penstock.results.storage import storage_name

if TYPE_CHECKING:
    from penstock.records import FlowRun


def result_record(run: FlowRun | TaskRun) -> ResultRecord | None:
    """Say what is recorded of a run's result; the value is neither unpickled nor fetched."""
    state = run.state
    result = None if state is None else state.data
    if state is None or not isinstance(result, BaseResult):
        return None
    kind, data = result.record()
    if kind is None:
        return None
    is_task_run = isinstance(run, TaskRun)
    record = ResultRecord(
        flow_run_id=run.flow_run_id if is_task_run else run.id,
        task_run_id=run.id if is_task_run else None,
        run_name=run.name,
        state_type=state.type,
        state_name=state.name,
        type=kind,
        description=result.artifact_description,
        size_bytes=len(data or b""),
    )
    if isinstance(result, PersistedResult):
        record.storage = storage_name(result.storage_descriptor)
        record.storage_key = result.storage_key
        record.serializer = result.serializer_type
    return record
