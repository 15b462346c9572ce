"""Programs ask for the records here: `get_client()`.

    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(limit=10):
            print(run.name, run.state_name)

    async with get_client() as client:
        run = await client.read_flow_run(run_id)

The methods are written once, in `flows.py`, `flow_runs.py`, `task_runs.py`, `logs.py`
and `limits.py`. The
asynchronous client runs them in a worker thread, so that the event loop is not held up.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Self, TypeVar, overload

from penstock.client.flow_run_inputs import FlowRunInputMethods
from penstock.client.flow_runs import FlowRunMethods
from penstock.client.flows import FlowMethods
from penstock.client.limits import LimitMethods
from penstock.client.local import LocalPort
from penstock.client.logs import LogMethods
from penstock.client.task_runs import TaskRunMethods

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from penstock.client.port import Port

P = ParamSpec("P")
T = TypeVar("T")


class SyncPenstockClient(
    FlowMethods, FlowRunMethods, FlowRunInputMethods, TaskRunMethods, LogMethods, LimitMethods
):
    """Reads and writes the records; each method returns when it is done.

    Made by `get_client(sync_client=True)`.
    """

    @property
    def api_url(self) -> str:
        """Where the records are: the URL of the store."""
        return self._port.url

    def hello(self) -> str:
        """Ask whether the records can be reached.

        Returns:
            Where they are.

        Raises:
            StoreError: they cannot be reached.
        """
        self._port.check()
        return self._port.url

    def api_healthcheck(self) -> Exception | None:
        """Ask whether the records can be reached.

        Returns:
            What is wrong; none if nothing is.
        """
        try:
            self._port.check()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            return error
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the store open: it belongs to the process."""


def _in_thread(
    method: Callable[Concatenate[SyncPenstockClient, P], T],
) -> Callable[Concatenate[PenstockClient, P], Coroutine[Any, Any, T]]:
    """Make the asynchronous form of a method: it runs in a worker thread."""

    @functools.wraps(method)
    async def call(client: PenstockClient, *args: P.args, **kwargs: P.kwargs) -> T:
        import asyncio  # in a coroutine it is loaded already

        return await asyncio.to_thread(method, client.sync, *args, **kwargs)

    return call


class PenstockClient:
    """Reads and writes the records; each method is to be awaited.

    Made by `get_client()`. `sync` is the same client without awaiting.
    """

    def __init__(self, port: Port) -> None:
        self.sync = SyncPenstockClient(port)

    @property
    def api_url(self) -> str:
        """Where the records are: the URL of the store."""
        return self.sync.api_url

    hello = _in_thread(SyncPenstockClient.hello)
    api_healthcheck = _in_thread(SyncPenstockClient.api_healthcheck)

    create_flow = _in_thread(SyncPenstockClient.create_flow)
    create_flow_from_name = _in_thread(SyncPenstockClient.create_flow_from_name)
    read_flow = _in_thread(SyncPenstockClient.read_flow)
    read_flow_by_name = _in_thread(SyncPenstockClient.read_flow_by_name)
    read_flows = _in_thread(SyncPenstockClient.read_flows)
    count_flows = _in_thread(SyncPenstockClient.count_flows)
    delete_flow = _in_thread(SyncPenstockClient.delete_flow)

    create_flow_run = _in_thread(SyncPenstockClient.create_flow_run)
    read_flow_run = _in_thread(SyncPenstockClient.read_flow_run)
    read_flow_runs = _in_thread(SyncPenstockClient.read_flow_runs)
    count_flow_runs = _in_thread(SyncPenstockClient.count_flow_runs)
    update_flow_run = _in_thread(SyncPenstockClient.update_flow_run)
    set_flow_run_state = _in_thread(SyncPenstockClient.set_flow_run_state)
    read_flow_run_states = _in_thread(SyncPenstockClient.read_flow_run_states)
    read_flow_run_result = _in_thread(SyncPenstockClient.read_flow_run_result)
    delete_flow_run = _in_thread(SyncPenstockClient.delete_flow_run)

    create_flow_run_input = _in_thread(SyncPenstockClient.create_flow_run_input)
    read_flow_run_input = _in_thread(SyncPenstockClient.read_flow_run_input)
    filter_flow_run_input = _in_thread(SyncPenstockClient.filter_flow_run_input)
    delete_flow_run_input = _in_thread(SyncPenstockClient.delete_flow_run_input)
    resume_flow_run = _in_thread(SyncPenstockClient.resume_flow_run)

    create_task_run = _in_thread(SyncPenstockClient.create_task_run)
    read_task_run = _in_thread(SyncPenstockClient.read_task_run)
    read_task_runs = _in_thread(SyncPenstockClient.read_task_runs)
    count_task_runs = _in_thread(SyncPenstockClient.count_task_runs)
    set_task_run_state = _in_thread(SyncPenstockClient.set_task_run_state)
    read_task_run_states = _in_thread(SyncPenstockClient.read_task_run_states)
    read_task_run_result = _in_thread(SyncPenstockClient.read_task_run_result)
    read_results = _in_thread(SyncPenstockClient.read_results)
    delete_task_run = _in_thread(SyncPenstockClient.delete_task_run)

    create_logs = _in_thread(SyncPenstockClient.create_logs)
    read_logs = _in_thread(SyncPenstockClient.read_logs)

    create_concurrency_limit = _in_thread(SyncPenstockClient.create_concurrency_limit)
    read_concurrency_limit_by_tag = _in_thread(SyncPenstockClient.read_concurrency_limit_by_tag)
    read_concurrency_limits = _in_thread(SyncPenstockClient.read_concurrency_limits)
    reset_concurrency_limit_by_tag = _in_thread(SyncPenstockClient.reset_concurrency_limit_by_tag)
    delete_concurrency_limit_by_tag = _in_thread(
        SyncPenstockClient.delete_concurrency_limit_by_tag
    )
    create_global_concurrency_limit = _in_thread(
        SyncPenstockClient.create_global_concurrency_limit
    )
    read_global_concurrency_limit_by_name = _in_thread(
        SyncPenstockClient.read_global_concurrency_limit_by_name
    )
    read_global_concurrency_limits = _in_thread(SyncPenstockClient.read_global_concurrency_limits)
    update_global_concurrency_limit = _in_thread(
        SyncPenstockClient.update_global_concurrency_limit
    )
    delete_global_concurrency_limit_by_name = _in_thread(
        SyncPenstockClient.delete_global_concurrency_limit_by_name
    )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the store open: it belongs to the process."""


# The names under which migrating programs import them.
PrefectClient = PenstockClient
SyncPrefectClient = SyncPenstockClient


@overload
def get_client(*, sync_client: Literal[False] = False) -> PenstockClient: ...


@overload
def get_client(*, sync_client: Literal[True]) -> SyncPenstockClient: ...


def get_client(*, sync_client: bool = False) -> PenstockClient | SyncPenstockClient:
    """Give a client for the records.

    Parameters:
        sync_client: give one whose methods return their answers, not awaitables of them.

    Returns:
        A client, to be used in a `with` or `async with` block. It reads the store of the settings
        in force when a method is called.

    Example:
        >>> with get_client(sync_client=True) as client:  # doctest: +SKIP
        ...     client.read_flow_runs(limit=1)
    """
    port = LocalPort()
    return SyncPenstockClient(port) if sync_client else PenstockClient(port)
