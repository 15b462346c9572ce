"""The client's methods for flow runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from penstock.client.base import ClientMethods, id_of, own_copy, page_of, search_of, tags_of
from penstock.client.results import result_record
from penstock.records import FlowRun, FlowRunPolicy
from penstock.states import Pending
from penstock.store.sorting import FlowRunSort
from penstock.utilities.slugs import random_slug

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from penstock.client.schemas.responses import OrchestrationResult, ResultRecord
    from penstock.states import State
    from penstock.store.filters import DeploymentFilter, FlowFilter, FlowRunFilter, TaskRunFilter


class FlowRunMethods(ClientMethods):
    """Flow runs: made, read, changed, moved between states, deleted."""

    def create_flow_run(
        self,
        flow: Any,
        name: str | None = None,
        parameters: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        tags: Iterable[str] | None = None,
        parent_task_run_id: UUID | str | None = None,
        state: State | None = None,
        idempotency_key: str | None = None,
    ) -> FlowRun:
        """Record a flow run. Nothing executes it until it is resumed.

        Parameters:
            flow: the flow, decorated with `@flow`.
            name: the run's name; two random words unless given.
            parameters: what the flow will be called with.
            context: anything to keep with the run; it must fit into JSON.
            tags: the run's tags.
            parent_task_run_id: the task run that stands for this run in its parent.
            state: its first state; Pending unless given.
            idempotency_key: if a run of this flow was made with the same key, that one is given.

        Returns:
            The flow run as recorded.

        Raises:
            ValueError: `parent_task_run_id` is no id.
            TypeError: `context`, or parameters of a flow that cannot serialize them, do not fit
                into JSON.

        Example:
            >>> with get_client(sync_client=True) as client:  # doctest: +SKIP
            ...     run = client.create_flow_run(nightly, parameters={"day": "2024-05-01"})
        """
        given = dict(parameters or {})
        serialized = _serialized(flow, given)
        run = FlowRun(
            flow_name=flow.name,
            flow_version=getattr(flow, "version", None),
            name=name or random_slug(),
            parameters=serialized,
            parameters_pickle=_pickled(flow, given, serialized),
            context=_fitting_json(context or {}, "context"),
            tags=tags_of(tags),
            parent_task_run_id=_optional_id(parent_task_run_id),
            idempotency_key=idempotency_key,
            entrypoint=getattr(flow, "entrypoint", None),
            empirical_policy=FlowRunPolicy(
                retries=getattr(flow, "retries", None),
                retry_delay=getattr(flow, "retry_delay_seconds", None),
                on_crash="resume" if getattr(flow, "on_crash", None) == "resume" else None,
                crash_hooks=bool(getattr(flow, "on_crashed", None)),
            ),
        )
        first = Pending() if state is None else own_copy(state, f"flow run {run.name!r}")
        return self._port.create_flow_run(run, first)

    def read_flow_run(self, flow_run_id: UUID | str) -> FlowRun:
        """Give a flow run.

        Raises:
            ObjectNotFound: there is none of this id.
            ValueError: this is no id.
        """
        return self._port.read_flow_run(id_of(flow_run_id, "flow run"))

    def read_flow_runs(
        self,
        *,
        flow_filter: FlowFilter | dict[str, Any] | None = None,
        flow_run_filter: FlowRunFilter | dict[str, Any] | None = None,
        task_run_filter: TaskRunFilter | dict[str, Any] | None = None,
        deployment_filter: DeploymentFilter | dict[str, Any] | None = None,
        sort: FlowRunSort | str | None = None,
        limit: int | None = None,
        offset: int = 0,
        after: UUID | str | None = None,
    ) -> list[FlowRun]:
        """Give flow runs.

        Parameters:
            flow_filter, deployment_filter: only runs of such flows and deployments.
            flow_run_filter: which flow runs.
            task_run_filter: only runs with such a task run.
            sort: the order; the newest first unless given.
            limit: the most to give; 200 unless given, 10,000 at most.
            offset: how many to leave out first.
            after: go on after the run of this id; for the orders by id, however many runs there
                are, as quick for the last page as for the first.

        Raises:
            ValueError: an argument is not understood.

        Example:
            >>> with get_client(sync_client=True) as client:  # doctest: +SKIP
            ...     client.read_flow_runs(
            ...         flow_run_filter={"state": {"type": {"any_": ["FAILED"]}}}, limit=10
            ...     )
        """
        search = search_of(flow_filter, flow_run_filter, task_run_filter, deployment_filter)
        page = page_of(search, FlowRunSort, sort, limit, offset, after)
        return self._port.find_flow_runs(page)

    def count_flow_runs(
        self,
        *,
        flow_filter: FlowFilter | dict[str, Any] | None = None,
        flow_run_filter: FlowRunFilter | dict[str, Any] | None = None,
        task_run_filter: TaskRunFilter | dict[str, Any] | None = None,
        deployment_filter: DeploymentFilter | dict[str, Any] | None = None,
    ) -> int:
        """Count the flow runs that `read_flow_runs` would give without a limit."""
        search = search_of(flow_filter, flow_run_filter, task_run_filter, deployment_filter)
        return self._port.count_flow_runs(search)

    def update_flow_run(
        self,
        flow_run_id: UUID | str,
        flow_version: str | None = None,
        parameters: dict[str, Any] | None = None,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        empirical_policy: FlowRunPolicy | None = None,
        infrastructure_pid: str | None = None,
        job_variables: dict[str, Any] | None = None,
    ) -> FlowRun:
        """Change what does not follow from the run's states; what is not given stays.

        Parameters:
            flow_run_id: the run.
            flow_version: the version of its flow.
            parameters: all of its parameters, in the place of those it has.
            name: its name.
            tags: all of its tags.
            empirical_policy: its retries.
            infrastructure_pid: what identifies the process that was started for it.
            job_variables: what that process was started with.

        Returns:
            The flow run as recorded.

        Raises:
            ObjectNotFound: there is none of this id.
            RunOwnedElsewhere: it is being executed, so the change would be lost.
            TypeError: parameters or job variables do not fit into JSON.
        """
        changes: dict[str, Any] = {
            "flow_version": flow_version,
            "name": name,
            "empirical_policy": empirical_policy,
            "infrastructure_pid": infrastructure_pid,
        }
        if parameters is not None:
            changes["parameters"] = _fitting_json(parameters, "parameters")
        if job_variables is not None:
            changes["job_variables"] = _fitting_json(job_variables, "job_variables")
        if tags is not None:
            changes["tags"] = tags_of(tags)
        changes = {field: value for field, value in changes.items() if value is not None}
        if "parameters" in changes:
            # What was pickled beside the former ones must not come back in their place.
            changes["parameters_pickle"] = None
        return self._port.update_flow_run(id_of(flow_run_id, "flow run"), changes)

    def set_flow_run_state(
        self,
        flow_run_id: UUID | str,
        state: State,
        force: bool = False,  # noqa: FBT001, FBT002 - by position, as programs give it
    ) -> OrchestrationResult:
        """Propose a state for a flow run.

        While a living process executes the run, that process decides its states: Cancelling and
        Paused are asked of it (ACCEPT; it takes note within a heartbeat), others are refused
        (ABORT). With `force`, another state takes the run away from that process, which stops at
        its next commit. Cancelling a run that nobody executes makes it Cancelled at once.

        Parameters:
            flow_run_id: the run.
            state: the wanted state.
            force: skip the rules but those that keep the records right.

        Returns:
            What became of it, and the state that holds now.

        Raises:
            ObjectNotFound: there is none of this id.
            ValueError: this is no id.

        Example:
            >>> from penstock.states import Cancelling
            >>> with get_client(sync_client=True) as client:  # doctest: +SKIP
            ...     client.set_flow_run_state(run.id, Cancelling()).status
        """
        key = id_of(flow_run_id, "flow run")
        proposed = own_copy(state, f"flow run {key}")
        return self._port.set_flow_run_state(key, proposed, force=force)

    def read_flow_run_states(self, flow_run_id: UUID | str) -> list[State]:
        """Give all states that a flow run went through, the first one first.

        Raises:
            ObjectNotFound: there is none of this id.
        """
        return self.read_flow_run(flow_run_id).history

    def read_flow_run_result(self, flow_run_id: UUID | str) -> ResultRecord | None:
        """Give what is recorded of a flow run's result, without loading it.

        Returns:
            The record; none if the run has no result, or one that was in memory only.
        """
        return result_record(self.read_flow_run(flow_run_id))

    def delete_flow_run(self, flow_run_id: UUID | str) -> None:
        """Delete a flow run with its task runs and logs; its subflow runs stay.

        Raises:
            ObjectNotFound: there is none of this id.
            RunOwnedElsewhere: it is being executed.
        """
        self._port.delete_flow_run(id_of(flow_run_id, "flow run"))


def _optional_id(value: UUID | str | None) -> UUID | None:
    return None if value is None else id_of(value, "task run")


def _serialized(flow: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    serialize = getattr(flow, "serialize_parameters", None)
    if serialize is None:
        return _fitting_json(parameters, "parameters")
    return serialize(parameters)


def _pickled(flow: Any, parameters: dict[str, Any], serialized: dict[str, Any]) -> bytes | None:
    """Keep what JSON cannot, for a flow that knows how to read it again."""
    pickle = getattr(flow, "pickle_parameters", None)
    return None if pickle is None else pickle(parameters, serialized)


def _fitting_json(value: dict[str, Any], name: str) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        message = f"{name}={value!r} does not fit into JSON: {error}."
        raise TypeError(message) from error
