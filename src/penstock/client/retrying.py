"""Having a run executed again from a task on: which task runs that means, and asking for it.

Nothing that is recorded is taken away. A task run that is to be executed again gets a fingerprint
that no call has, so the next execution does not take its result; see decision 0020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.exceptions import RunOwnedElsewhere
from penstock.ids import new_id
from penstock.records import EXECUTE_AGAIN
from penstock.rules import Facts, decide_flow, record
from penstock.states import Scheduled
from penstock.store import encoding
from penstock.store import statements as sql
from penstock.store.lease import title_of
from penstock.store.silence import Owned, watch_owner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from uuid import UUID

    from penstock.records import TaskRun
    from penstock.store import Store

RETRYING_FROM = "Retrying"
"""The name of the state of a completed run that is to be executed again from a task on."""

_MARK = "update task_run set fingerprint = ? where flow_run_id = ? and id = ?"


def select_from(
    task_runs: Iterable[TaskRun], is_meant: Callable[[TaskRun], bool]
) -> list[TaskRun]:
    """Give the task runs that have to be executed again when those that are meant are.

    They are those themselves; what takes a result of one of them; and what was made after the
    first of them, unless each of its inputs is known to come from a task run that stays.

    Parameters:
        task_runs: those that are recorded, in the order in which they were made.
        is_meant: tells those from which on it is to be executed again.
    """
    again: dict[UUID, TaskRun] = {}
    for run in task_runs:
        sources = [each.id for given in run.task_inputs.values() for each in given]
        depends = any(source in again for source in sources)
        is_known = bool(run.task_inputs) and all(run.task_inputs.values())
        if is_meant(run) or depends or (again and not is_known):
            again[run.id] = run
    return list(again.values())


def ask_to_execute_again(
    store: Store, flow_run_id: UUID, task_runs: Sequence[TaskRun], message: str
) -> None:
    """Have a flow run's next execution execute these task runs again, in one transaction.

    A run that has completed becomes Scheduled, so that it can be gone on with.

    Raises:
        RunOwnedElsewhere: a living process executes the flow run.
    """
    key = flow_run_id.bytes
    silence = watch_owner(store.read, flow_run_id)

    def work(execute: Callable[..., Any]) -> None:
        owner, token, expires, _state = execute(sql.READ_LEASE, (key,)).fetchone()
        if owner is not None and not silence.is_dead(Owned(owner, token, expires)):
            refusal = f"Flow run {flow_run_id} is being executed by {title_of(owner)}."
            raise RunOwnedElsewhere(refusal)
        for each in task_runs:
            execute(_MARK, (EXECUTE_AGAIN + new_id().bytes, key, each.id.bytes))
        run = encoding.flow_run_from_row(execute(sql.READ_FLOW_RUN, (key,)).fetchone())
        if run.state is None or not run.state.is_completed():
            return
        facts = Facts(now=clock.now())
        scheduled = Scheduled(name=RETRYING_FROM, message=message)
        answer = decide_flow(run, scheduled, facts, force=True)
        record(run, answer.state or scheduled, facts, answer.changes)
        execute(sql.UPDATE_FLOW_RUN, encoding.flow_run_update_row(run))

    store.transact(work)
