"""The client's methods for task runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.client.base import ClientMethods, id_of, own_copy, page_of, search_of, tags_of
from penstock.client.results import result_record
from penstock.records import TaskRun, TaskRunPolicy, TaskRunResult
from penstock.states import Pending
from penstock.store.filters import ExistsFilter, OptionalIdFilter, Search, TaskRunFilter
from penstock.store.sorting import TaskRunSort

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from penstock.client.schemas.responses import OrchestrationResult, ResultRecord
    from penstock.states import State
    from penstock.store.filters import DeploymentFilter, FlowFilter, FlowRunFilter


class TaskRunMethods(ClientMethods):
    """Task runs: made, read, moved between states, deleted."""

    def create_task_run(
        self,
        task: Any,
        flow_run_id: UUID | str | None,
        dynamic_key: str,
        name: str | None = None,
        extra_tags: Iterable[str] | None = None,
        state: State | None = None,
        task_inputs: dict[str, list[TaskRunResult]] | None = None,
    ) -> TaskRun:
        """Record a task run, unless one is recorded of the same task and key in the flow run.

        Parameters:
            task: the task, decorated with `@task`.
            flow_run_id: the flow run it belongs to; none for one on its own.
            dynamic_key: what tells it from other runs of the task in the flow run.
            name: its name; that of the task with the dynamic key unless given.
            extra_tags: tags besides the task's.
            state: its first state; Pending unless given.
            task_inputs: which task runs its parameters came from.

        Returns:
            The task run as recorded.

        Raises:
            ObjectNotFound: there is no such flow run.
            ValueError: `flow_run_id` is no id.
        """
        tags = {*getattr(task, "tags", ()), *tags_of(extra_tags)}
        run = TaskRun(
            flow_run_id=None if flow_run_id is None else id_of(flow_run_id, "flow run"),
            task_key=task.task_key,
            dynamic_key=str(dynamic_key),
            name=name or f"{task.name}-{dynamic_key}",
            task_version=getattr(task, "version", None),
            tags=sorted(tags),
            task_inputs=task_inputs or {},
            empirical_policy=_policy_of(task),
        )
        first = Pending() if state is None else own_copy(state, f"task run {run.name!r}")
        return self._port.create_task_run(run, first)

    def read_task_run(self, task_run_id: UUID | str) -> TaskRun:
        """Give a task run. One that has just begun is recorded with its first heartbeat or end.

        Raises:
            ObjectNotFound: there is none of this id.
            ValueError: this is no id.
        """
        return self._port.read_task_run(id_of(task_run_id, "task run"))

    def read_task_runs(
        self,
        *,
        flow_filter: FlowFilter | dict[str, Any] | None = None,
        flow_run_filter: FlowRunFilter | dict[str, Any] | None = None,
        task_run_filter: TaskRunFilter | dict[str, Any] | None = None,
        deployment_filter: DeploymentFilter | dict[str, Any] | None = None,
        sort: TaskRunSort | str | None = None,
        limit: int | None = None,
        offset: int = 0,
        after: UUID | str | None = None,
    ) -> list[TaskRun]:
        """Give task runs.

        Parameters:
            flow_filter, flow_run_filter, deployment_filter: only task runs of such flow runs. A
                filter on the flow run, or on `flow_run_id`, keeps the search quick.
            task_run_filter: which task runs.
            sort: the order; the newest first unless given.
            limit: the most to give; 200 unless given, 10,000 at most.
            offset: how many to leave out first.
            after: go on after the task run of this id; for the orders by id.

        Raises:
            ValueError: an argument is not understood.

        Example:
            >>> with get_client(sync_client=True) as client:  # doctest: +SKIP
            ...     client.read_task_runs(flow_run_filter={"id": {"any_": [flow_run.id]}})
        """
        search = search_of(flow_filter, flow_run_filter, task_run_filter, deployment_filter)
        page = page_of(search, TaskRunSort, sort, limit, offset, after)
        return self._port.find_task_runs(page)

    def count_task_runs(
        self,
        *,
        flow_filter: FlowFilter | dict[str, Any] | None = None,
        flow_run_filter: FlowRunFilter | dict[str, Any] | None = None,
        task_run_filter: TaskRunFilter | dict[str, Any] | None = None,
        deployment_filter: DeploymentFilter | dict[str, Any] | None = None,
    ) -> int:
        """Count the task runs that `read_task_runs` would give without a limit."""
        search = search_of(flow_filter, flow_run_filter, task_run_filter, deployment_filter)
        return self._port.count_task_runs(search)

    def set_task_run_state(
        self,
        task_run_id: UUID | str,
        state: State,
        force: bool = False,  # noqa: FBT001, FBT002 - by position, as programs give it
    ) -> OrchestrationResult:
        """Propose a state for a task run.

        While another living process executes its flow run, that process decides: the proposal is
        refused (ABORT) unless it is forced.

        Parameters:
            task_run_id: the run.
            state: the wanted state.
            force: skip the rules but those that keep the records right.

        Returns:
            What became of it, and the state that holds now.

        Raises:
            ObjectNotFound: there is none of this id.
            ValueError: this is no id.
        """
        key = id_of(task_run_id, "task run")
        proposed = own_copy(state, f"task run {key}")
        return self._port.set_task_run_state(key, proposed, force=force)

    def read_task_run_states(self, task_run_id: UUID | str) -> list[State]:
        """Give all states that a task run went through, the first one first.

        Raises:
            ObjectNotFound: there is none of this id.
        """
        return self.read_task_run(task_run_id).history

    def read_task_run_result(self, task_run_id: UUID | str) -> ResultRecord | None:
        """Give what is recorded of a task run's result, without loading it.

        Returns:
            The record; none if the run has no result, or one that was in memory only.
        """
        return result_record(self.read_task_run(task_run_id))

    def read_results(
        self,
        flow_run_id: UUID | str,
        *,
        limit: int | None = None,
        offset: int = 0,
        after: UUID | str | None = None,
    ) -> list[ResultRecord]:
        """Give what is recorded of the results of a flow run's tasks, the oldest first.

        Parameters:
            flow_run_id: the flow run.
            limit: the most to give; 200 unless given, 10,000 at most.
            offset: how many to leave out first.
            after: go on after the result of the task run of this id.

        Raises:
            ValueError: an argument is not understood.
        """
        wanted = TaskRunFilter(
            flow_run_id=OptionalIdFilter(any_=[id_of(flow_run_id, "flow run")]),
            result=ExistsFilter(exists_=True),
        )
        search = Search(task_run=wanted)
        page = page_of(search, TaskRunSort, TaskRunSort.ID_ASC, limit, offset, after)
        records = map(result_record, self._port.find_task_runs(page))
        return [record for record in records if record is not None]

    def delete_task_run(self, task_run_id: UUID | str) -> None:
        """Delete a task run with its logs.

        Raises:
            ObjectNotFound: there is none of this id.
            RunOwnedElsewhere: its flow run is being executed.
        """
        self._port.delete_task_run(id_of(task_run_id, "task run"))


def _policy_of(task: Any) -> TaskRunPolicy:
    retries = getattr(task, "retries", None) or 0
    delay: Any = getattr(task, "retry_delay_seconds", None)
    if callable(delay):
        delay = delay(retries)
    return TaskRunPolicy(
        retries=retries,
        retry_delay=delay,
        retry_jitter_factor=getattr(task, "retry_jitter_factor", None),
    )
