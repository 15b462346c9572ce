"""A graph's run as the engine sees it: a flow whose function walks the graph.

The engine gives it what every flow run has: a record, a lease, a heartbeat, logs, its place under
the flow run that it is called in, and the way to go on with it in another process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.graph.executors import TaskRunnerExecutor
from penstock.parameters import from_record, pickled_unless_plain, to_json
from penstock.task_runners import ConcurrentTaskRunner
from penstock.utilities.hashing import stable_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.graph.executors import Executor
    from penstock.records import FlowRun
    from penstock.states import State
    from penstock.task_runners import BaseTaskRunner


class RecordedFlow:
    """What the engine asks of a flow, for one run of a graph.

    Parameters:
        flow: the graph.
        executor: where its tasks run.
        fn: walks the graph: called with the parameters, it gives the flow run's state.
    """

    isasync = False
    is_graph = True
    version: str | None = None
    flow_run_name: Any = None
    retries = 0
    retry_delay_seconds = 0.0
    timeout_seconds: float | None = None
    should_validate_parameters = False
    persist_result: bool | None = None
    result_storage: Any = None
    result_serializer: Any = None
    cache_result_in_memory = True
    log_prints: bool | None = None
    on_completion = on_failure = on_cancellation = on_crashed = on_running = None
    on_crash = "crash"

    def __init__(self, flow: Any, executor: Executor, fn: Callable[..., State]) -> None:
        self.graph = flow
        self.name: str = flow.name
        self.fn = fn
        self.signature = self
        self.task_runner: BaseTaskRunner = (
            executor.task_runner
            if isinstance(executor, TaskRunnerExecutor)
            else ConcurrentTaskRunner()
        )
        self.flow_run_name = None
        # As a subflow it is known in its parent by this.
        self.task_key = f"{flow.name}-{stable_hash(flow.name)[:8]}"

    @property
    def entrypoint(self) -> str | None:
        """Give where another process finds the graph: `file:variable`."""
        return self.graph.entrypoint

    def call_arguments(
        self, parameters: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Give the parameters as the arguments of the function that walks the graph."""
        return (), {"parameters": dict(parameters)}

    def serialize_parameters(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Give the parameters as JSON can hold them."""
        return to_json(parameters)

    def pickle_parameters(
        self, parameters: Mapping[str, Any], serialized: Mapping[str, Any]
    ) -> bytes | None:
        """Give the parameters pickled, where JSON does not hold them as they are."""
        return pickled_unless_plain(parameters, serialized)

    def parameters_of(self, flow_run: FlowRun) -> dict[str, Any]:
        """Give the parameters of a recorded run."""
        return from_record(flow_run)
