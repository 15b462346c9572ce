"""Deleting records, with all that belongs to them and to nothing else.

What is being executed is not deleted. Results in result storage stay: other runs may have been
given them by the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.client.transitions import no_flow_run, read_lease
from penstock.exceptions import ObjectNotFound, RunOwnedElsewhere, StoreError
from penstock.ids import id_from_bytes
from penstock.store import encoding
from penstock.store import statements as sql
from penstock.store.input_statements import DELETE_INPUTS_OF_FLOW_RUN
from penstock.store.silence import watch_owner

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from penstock.records import Flow
    from penstock.store import Store
    from penstock.store.silence import Silence

    Execute = Callable[..., Any]

RUNS_PER_TRANSACTION = 100
"""How many flow runs are deleted before others may write again."""


def delete_flow_run(store: Store, flow_run_id: UUID) -> None:
    """Delete a flow run with its task runs, logs, inputs and cache entries.

    Its subflow runs stay, and are no subflow runs any more.

    Raises:
        ObjectNotFound: there is none of this id.
        RunOwnedElsewhere: it is being executed.
    """
    silence = watch_owner(store.read, flow_run_id)

    def work(execute: Execute) -> None:
        if execute(sql.READ_LEASE, (flow_run_id.bytes,)).fetchone() is None:
            raise no_flow_run(store, flow_run_id)
        _delete_one(execute, flow_run_id.bytes, silence)

    store.transact(work)


def _delete_one(execute: Execute, key: bytes, silence: Silence | None = None) -> None:
    _refuse_while_executed(execute, key, "deleted", silence)
    execute(sql.DETACH_SUBFLOW_RUNS_OF_FLOW_RUN, (key,))
    execute(sql.DELETE_CACHE_ENTRIES_OF_FLOW_RUN, (key,))
    execute(sql.DELETE_TASK_RUNS_OF_FLOW_RUN, (key,))
    execute(sql.DELETE_LOGS_OF_FLOW_RUN, (key,))
    execute(DELETE_INPUTS_OF_FLOW_RUN, (key,))
    execute(sql.DELETE_FLOW_RUN, (key,))


def _refuse_while_executed(
    execute: Execute, key: bytes, deed: str, silence: Silence | None = None
) -> None:
    lease = read_lease(execute, key, silence)
    if lease.is_alive:
        raise RunOwnedElsewhere(
            f"Flow run {id_from_bytes(key)} is being executed by process {lease.owner} and cannot"
            f" be {deed}. Cancel it, or wait until it has ended."
        )


def delete_task_run(store: Store, task_run_id: UUID) -> None:
    """Delete a task run with its logs and cache entries.

    A subflow run that it stands for stays, and is no subflow run any more.

    Raises:
        ObjectNotFound: there is none of this id.
        RunOwnedElsewhere: its flow run is being executed.
    """
    run = store.read_task_run(task_run_id)
    owner = encoding.NO_FLOW_RUN if run.flow_run_id is None else run.flow_run_id.bytes
    keys = (owner, task_run_id.bytes)

    def work(execute: Execute) -> None:
        _refuse_while_executed(execute, owner, "changed")
        execute(sql.DETACH_SUBFLOW_RUNS_OF_TASK_RUN, (keys[1],))
        execute(sql.DELETE_CACHE_ENTRIES_OF_TASK_RUN, keys)
        execute(sql.DELETE_LOGS_OF_TASK_RUN, keys)
        if execute(sql.DELETE_TASK_RUN, keys).rowcount == 0:
            raise ObjectNotFound(f"There is no task run {task_run_id} any more.")

    store.transact(work)


def delete_flow(store: Store, flow: Flow) -> None:
    """Delete a flow with all of its runs, a part of them at a time.

    Nothing is deleted if one of the runs is being executed now. If one begins meanwhile, or this
    process is killed, those that were not reached are left, and the flow with them.

    Raises:
        RunOwnedElsewhere: a run is being executed.
    """
    key = flow.id.bytes
    keys = [row[0] for row in store.read(sql.READ_FLOW_RUN_IDS_OF_FLOW, (key,))]

    def check(execute: Execute) -> None:
        for run_key in keys:
            _refuse_while_executed(execute, run_key, "deleted")

    def finish(execute: Execute) -> None:
        if execute(sql.READ_FLOW_RUN_IDS_OF_FLOW, (key,)).fetchone() is not None:
            raise StoreError(
                f"Flow {flow.name!r} was run again while it was being deleted: the new run is"
                " left, and the flow with it. Delete it again when nothing runs it."
            )
        execute(sql.DELETE_FLOW, (key,))

    store.transact(check)
    for start in range(0, len(keys), RUNS_PER_TRANSACTION):
        part = keys[start : start + RUNS_PER_TRANSACTION]
        store.transact(lambda execute, part=part: _delete_all(execute, part))
    store.transact(finish)
    store.forget_flow(flow.name)


def _delete_all(execute: Execute, keys: list[bytes]) -> None:
    for key in keys:
        _delete_one(execute, key)
