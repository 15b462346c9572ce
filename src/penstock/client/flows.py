"""The client's methods for flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.client.base import ClientMethods, id_of, page_of, search_of
from penstock.records import Flow
from penstock.store.sorting import FlowSort

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.store.filters import DeploymentFilter, FlowFilter, FlowRunFilter, TaskRunFilter


class FlowMethods(ClientMethods):
    """Flows: what was run at least once, known by name."""

    def create_flow(self, flow: Any) -> UUID:
        """Record a flow, unless one of its name is recorded.

        Parameters:
            flow: a function decorated with `@flow`, or anything else with a `name`.

        Returns:
            The flow's id.
        """
        return self.create_flow_from_name(flow.name)

    def create_flow_from_name(self, flow_name: str) -> UUID:
        """Record a flow by its name, unless it is recorded.

        Returns:
            The flow's id.
        """
        return self._port.create_flow(Flow(name=flow_name)).id

    def read_flow(self, flow_id: UUID | str) -> Flow:
        """Give a flow.

        Raises:
            ObjectNotFound: there is none of this id.
            ValueError: this is no id.
        """
        return self._port.read_flow(id_of(flow_id, "flow"))

    def read_flow_by_name(self, flow_name: str) -> Flow:
        """Give the flow of this name.

        Raises:
            ObjectNotFound: there is none.
        """
        return self._port.read_flow_by_name(flow_name)

    def read_flows(
        self,
        *,
        flow_filter: FlowFilter | dict[str, Any] | None = None,
        flow_run_filter: FlowRunFilter | dict[str, Any] | None = None,
        task_run_filter: TaskRunFilter | dict[str, Any] | None = None,
        deployment_filter: DeploymentFilter | dict[str, Any] | None = None,
        sort: FlowSort | str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Flow]:
        """Give flows.

        Parameters:
            flow_filter: which flows.
            flow_run_filter, task_run_filter, deployment_filter: only flows with such runs.
            sort: the order; by name unless given.
            limit: the most to give; 200 unless given, 10,000 at most.
            offset: how many to leave out first.

        Raises:
            ValueError: an argument is not understood.

        Example:
            >>> with get_client(sync_client=True) as client:  # doctest: +SKIP
            ...     client.read_flows(flow_filter={"name": {"like_": "nightly"}})
        """
        search = search_of(flow_filter, flow_run_filter, task_run_filter, deployment_filter)
        page = page_of(search, FlowSort, sort, limit, offset)
        return self._port.find_flows(page)

    def count_flows(
        self,
        *,
        flow_filter: FlowFilter | dict[str, Any] | None = None,
        flow_run_filter: FlowRunFilter | dict[str, Any] | None = None,
        task_run_filter: TaskRunFilter | dict[str, Any] | None = None,
        deployment_filter: DeploymentFilter | dict[str, Any] | None = None,
    ) -> int:
        """Count the flows that `read_flows` would give without a limit."""
        search = search_of(flow_filter, flow_run_filter, task_run_filter, deployment_filter)
        return self._port.count_flows(search)

    def delete_flow(self, flow_id: UUID | str) -> None:
        """Delete a flow with all of its runs, their task runs and logs.

        Raises:
            ObjectNotFound: there is none of this id.
            RunOwnedElsewhere: one of its runs is being executed.
        """
        self._port.delete_flow(id_of(flow_id, "flow"))
