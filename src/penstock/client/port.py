"""What the client needs of whatever keeps the records: the store in this process, or a server.

The methods that users call (`flows.py`, `flow_runs.py`, ...) bring what they are given into one
form; a port does it. So both kinds of client, and every port, share them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from penstock.client.schemas.responses import OrchestrationResult
    from penstock.records import Flow, FlowRun, FlowRunInput, Log, TaskRun
    from penstock.states import State
    from penstock.store.filters import Search
    from penstock.store.limits import Limit


class Port(Protocol):
    """Operations on the records. Unknown ids raise `ObjectNotFound`."""

    @property
    def url(self) -> str:
        """Where the records are."""
        ...

    def check(self) -> None:
        """Raise if the records cannot be reached."""
        ...

    # -- flows --------------------------------------------------------------------------------

    def create_flow(self, flow: Flow) -> Flow:
        """Record a flow; give the recorded one if its name is known already."""
        ...

    def read_flow(self, flow_id: UUID) -> Flow:
        """Give a flow."""
        ...

    def read_flow_by_name(self, name: str) -> Flow:
        """Give the flow of this name."""
        ...

    def find_flows(self, search: Search) -> list[Flow]:
        """Give a page of flows."""
        ...

    def count_flows(self, search: Search) -> int:
        """Count flows."""
        ...

    def delete_flow(self, flow_id: UUID) -> None:
        """Delete a flow with all of its runs."""
        ...

    # -- flow runs ----------------------------------------------------------------------------

    def create_flow_run(self, run: FlowRun, state: State) -> FlowRun:
        """Record a flow run of the flow `run.flow_name` and bring it into its first state."""
        ...

    def read_flow_run(self, flow_run_id: UUID) -> FlowRun:
        """Give a flow run."""
        ...

    def find_flow_runs(self, search: Search) -> list[FlowRun]:
        """Give a page of flow runs."""
        ...

    def count_flow_runs(self, search: Search) -> int:
        """Count flow runs."""
        ...

    def update_flow_run(self, flow_run_id: UUID, changes: dict[str, Any]) -> FlowRun:
        """Change fields of a flow run that do not follow from its states."""
        ...

    def set_flow_run_state(
        self, flow_run_id: UUID, state: State, *, force: bool
    ) -> OrchestrationResult:
        """Propose a state for a flow run, or force it."""
        ...

    def delete_flow_run(self, flow_run_id: UUID) -> None:
        """Delete a flow run with its task runs and logs."""
        ...

    def resume_flow_run(
        self, flow_run_id: UUID, run_input: Mapping[str, Any] | None
    ) -> OrchestrationResult:
        """Let a paused flow run go on, with what it waits for."""
        ...

    # -- inputs of flow runs ------------------------------------------------------------------

    def create_flow_run_input(
        self, flow_run_id: UUID, key: str, value: Any, sender: str | None
    ) -> FlowRunInput:
        """Record an input."""
        ...

    def read_flow_run_input(self, flow_run_id: UUID, key: str) -> FlowRunInput | None:
        """Give an input; none if there is none of this key."""
        ...

    def filter_flow_run_input(
        self, flow_run_id: UUID, key_prefix: str, limit: int, exclude_keys: Iterable[str]
    ) -> list[FlowRunInput]:
        """Give inputs in the order they came."""
        ...

    def delete_flow_run_input(self, flow_run_id: UUID, key: str) -> None:
        """Delete an input."""
        ...

    # -- task runs ----------------------------------------------------------------------------

    def create_task_run(self, run: TaskRun, state: State) -> TaskRun:
        """Record a task run; give the recorded one if the same call has one already."""
        ...

    def read_task_run(self, task_run_id: UUID) -> TaskRun:
        """Give a task run."""
        ...

    def find_task_runs(self, search: Search) -> list[TaskRun]:
        """Give a page of task runs."""
        ...

    def count_task_runs(self, search: Search) -> int:
        """Count task runs."""
        ...

    def set_task_run_state(
        self, task_run_id: UUID, state: State, *, force: bool
    ) -> OrchestrationResult:
        """Propose a state for a task run, or force it."""
        ...

    def delete_task_run(self, task_run_id: UUID) -> None:
        """Delete a task run with its logs."""
        ...

    # -- logs ---------------------------------------------------------------------------------

    def create_logs(self, logs: Sequence[Log]) -> None:
        """Record logs."""
        ...

    def find_logs(self, search: Search) -> list[Log]:
        """Give a page of logs."""
        ...

    # -- concurrency limits -------------------------------------------------------------------

    def create_limit(self, name: str, slots: int, changes: dict[str, Any]) -> Limit:
        """Set a limit for a name that has none."""
        ...

    def set_limit(self, name: str, slots: int) -> Limit:
        """Set a limit, or change how many slots it has."""
        ...

    def read_limit(self, name: str) -> Limit:
        """Give a limit."""
        ...

    def find_limits(self) -> list[Limit]:
        """Give all limits, by name."""
        ...

    def update_limit(self, name: str, changes: dict[str, Any]) -> Limit:
        """Change a limit."""
        ...

    def reset_limit(self, name: str) -> None:
        """Free all slots of a limit that are taken."""
        ...

    def delete_limit(self, name: str) -> None:
        """Delete a limit."""
        ...
