"""The port of the client to the store of this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.client import deleting, run_inputs, transitions
from penstock.exceptions import ObjectNotFound, RunOwnedElsewhere
from penstock.rules import Facts, decide_flow, decide_task, record
from penstock.rules.answers import UPDATE_PARENT_TASK
from penstock.store import encoding, get_store, limits
from penstock.store import statements as sql
from penstock.store.filters import LogFilter, OptionalIdFilter
from penstock.store.sorting import FlowRunSort, LogSort
from penstock.store.urls import without_password

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import ModuleType
    from uuid import UUID

    from penstock.client.schemas.responses import OrchestrationResult
    from penstock.records import Flow, FlowRun, FlowRunInput, Log, TaskRun
    from penstock.states import State
    from penstock.store import Row, Store
    from penstock.store.filters import Search
    from penstock.store.limits import Limit

_LARGEST_ID = b"\xff" * 16
_SMALLEST_ID = bytes(16)


def _search() -> ModuleType:
    # SQLAlchemy is imported with it, and takes longer than most programs' reads.
    from penstock.store import search

    return search


class LocalPort:
    """The records in a store of this process.

    Parameters:
        store: the store; none for that of the settings in force with each call, which is found
            again after a fork and after `reset_store`.
    """

    def __init__(self, store: Store | None = None) -> None:
        self._given = store

    @property
    def _store(self) -> Store:
        return self._given or get_store()

    @property
    def url(self) -> str:
        """The URL of the store, without its password."""
        return without_password(self._store.url)

    def check(self) -> None:
        """Raise if the store cannot be read."""
        self._store.read(sql.READ_FLOW, (_SMALLEST_ID,))

    # -- flows --------------------------------------------------------------------------------

    def create_flow(self, flow: Flow) -> Flow:
        """Record a flow; give the recorded one if its name is known already."""
        self._store.write(sql.INSERT_FLOW, encoding.flow_row(flow))
        return self.read_flow_by_name(flow.name)

    def read_flow(self, flow_id: UUID) -> Flow:
        """Give a flow."""
        return self._one_flow(sql.READ_FLOW, flow_id.bytes, f"flow {flow_id}")

    def read_flow_by_name(self, name: str) -> Flow:
        """Give the flow of this name."""
        return self._one_flow(sql.READ_FLOW_BY_NAME, name, f"flow called {name!r}")

    def _one_flow(self, statement: str, value: Any, title: str) -> Flow:
        rows = self._store.read(statement, (value,))
        if not rows:
            raise ObjectNotFound(
                f"There is no {title} in the store {self._store.place!r}. A flow is recorded"
                " with its first run; client.read_flows() gives those that are there."
            )
        return encoding.flow_from_row(rows[0])

    def find_flows(self, search: Search) -> list[Flow]:
        """Give a page of flows."""
        return _search().find_flows(self._store, search)

    def count_flows(self, search: Search) -> int:
        """Count flows."""
        return _search().count_flows(self._store, search)

    def delete_flow(self, flow_id: UUID) -> None:
        """Delete a flow with all of its runs."""
        flow = self.read_flow(flow_id)
        deleting.delete_flow(self._store, flow)

    # -- flow runs ----------------------------------------------------------------------------

    def create_flow_run(self, run: FlowRun, state: State) -> FlowRun:
        """Record a flow run of the flow `run.flow_name` and bring it into its first state."""
        run.flow_id = flow_id = self._store.flow_id(run.flow_name)

        def work(execute: Callable[..., Any]) -> FlowRun:
            if run.idempotency_key is not None:
                key = (flow_id.bytes, run.idempotency_key)
                found = execute(sql.READ_FLOW_RUN_BY_IDEMPOTENCY_KEY, key).fetchone()
                if found is not None:
                    return encoding.flow_run_from_row(found)
            facts = Facts(now=clock.now())
            answer = decide_flow(run, state, facts, force=True)
            record(run, answer.state or state, facts, answer.changes)
            # The flow is there, unless another process deleted it meanwhile.
            flow = (flow_id.bytes, run.flow_name, None, clock.epoch())
            execute(sql.INSERT_FLOW, flow)
            execute(sql.INSERT_FLOW_RUN, encoding.flow_run_insert_row(run))
            if UPDATE_PARENT_TASK in answer.after:
                transitions.update_parent_task(execute, run, facts)
            return run

        return self._store.transact(work)

    def read_flow_run(self, flow_run_id: UUID) -> FlowRun:
        """Give a flow run."""
        return self._store.read_flow_run(flow_run_id)

    def find_flow_runs(self, search: Search) -> list[FlowRun]:
        """Give a page of flow runs."""
        is_newest_first = search.sort in (None, FlowRunSort.ID_DESC)
        if is_newest_first and not search.offset and not search.has_filters():
            before = _LARGEST_ID if search.after is None else search.after.bytes
            rows = self._store.read(sql.READ_FLOW_RUNS_BEFORE, (before, search.limit))
            return [encoding.flow_run_from_row(row) for row in rows]
        return _search().find_flow_runs(self._store, search)

    def count_flow_runs(self, search: Search) -> int:
        """Count flow runs."""
        return _search().count_flow_runs(self._store, search)

    def update_flow_run(self, flow_run_id: UUID, changes: dict[str, Any]) -> FlowRun:
        """Change fields of a flow run that do not follow from its states."""
        store = self._store

        def work(execute: Callable[..., Any]) -> FlowRun:
            found = execute(sql.READ_FLOW_RUN, (flow_run_id.bytes,)).fetchone()
            if found is None:
                raise transitions.no_flow_run(store, flow_run_id)
            run = encoding.flow_run_from_row(found)
            if transitions.read_lease(execute, flow_run_id.bytes).is_alive:
                raise RunOwnedElsewhere(
                    f"Flow run {run.name!r} is being executed: its process would write over what"
                    " is changed now. Change it before the run begins or after it has ended; to"
                    " name runs as they begin, use the flow's option flow_run_name."
                )
            for name, value in changes.items():
                setattr(run, name, value)
            execute(sql.UPDATE_FLOW_RUN, encoding.flow_run_update_row(run))
            return run

        return store.transact(work)

    def set_flow_run_state(
        self, flow_run_id: UUID, state: State, *, force: bool
    ) -> OrchestrationResult:
        """Propose a state for a flow run, or force it."""
        return transitions.set_flow_run_state(self._store, flow_run_id, state, force=force)

    def delete_flow_run(self, flow_run_id: UUID) -> None:
        """Delete a flow run with its task runs and logs."""
        deleting.delete_flow_run(self._store, flow_run_id)

    def resume_flow_run(
        self, flow_run_id: UUID, run_input: Mapping[str, Any] | None
    ) -> OrchestrationResult:
        """Let a paused flow run go on, with what it waits for."""
        return transitions.resume_flow_run(self._store, flow_run_id, run_input)

    # -- inputs of flow runs ------------------------------------------------------------------

    def create_flow_run_input(
        self, flow_run_id: UUID, key: str, value: Any, sender: str | None
    ) -> FlowRunInput:
        """Record an input."""
        return run_inputs.create_input(self._store, flow_run_id, key, value, sender)

    def read_flow_run_input(self, flow_run_id: UUID, key: str) -> FlowRunInput | None:
        """Give an input; none if there is none of this key."""
        return run_inputs.read_input(self._store, flow_run_id, key)

    def filter_flow_run_input(
        self, flow_run_id: UUID, key_prefix: str, limit: int, exclude_keys: Iterable[str]
    ) -> list[FlowRunInput]:
        """Give inputs in the order they came."""
        return run_inputs.find_inputs(self._store, flow_run_id, key_prefix, limit, exclude_keys)

    def delete_flow_run_input(self, flow_run_id: UUID, key: str) -> None:
        """Delete an input."""
        run_inputs.delete_input(self._store, flow_run_id, key)

    # -- task runs ----------------------------------------------------------------------------

    def create_task_run(self, run: TaskRun, state: State) -> TaskRun:
        """Record a task run; give the recorded one if the same call has one already."""
        store = self._store

        def work(execute: Callable[..., Any]) -> TaskRun:
            flow_run = None
            if run.flow_run_id is not None:
                key = run.flow_run_id.bytes
                found = execute(sql.READ_FLOW_RUN, (key,)).fetchone()
                if found is None:
                    raise transitions.no_flow_run(store, run.flow_run_id)
                flow_run = encoding.flow_run_from_row(found)
                call = (key, run.task_key, run.dynamic_key)
                found = execute(sql.READ_TASK_RUN_BY_KEY, call).fetchone()
                if found is not None:
                    return encoding.task_run_from_row(found)
            facts = Facts(now=clock.now(), flow_run=flow_run)
            answer = decide_task(run, state, facts, force=True)
            record(run, answer.state or state, facts, answer.changes)
            transitions.write_task_run(execute, run, answer)
            return run

        return store.transact(work)

    def read_task_run(self, task_run_id: UUID) -> TaskRun:
        """Give a task run."""
        return self._store.read_task_run(task_run_id)

    def find_task_runs(self, search: Search) -> list[TaskRun]:
        """Give a page of task runs."""
        return _search().find_task_runs(self._store, search)

    def count_task_runs(self, search: Search) -> int:
        """Count task runs."""
        return _search().count_task_runs(self._store, search)

    def set_task_run_state(
        self, task_run_id: UUID, state: State, *, force: bool
    ) -> OrchestrationResult:
        """Propose a state for a task run, or force it."""
        return transitions.set_task_run_state(self._store, task_run_id, state, force=force)

    def delete_task_run(self, task_run_id: UUID) -> None:
        """Delete a task run with its logs."""
        deleting.delete_task_run(self._store, task_run_id)

    # -- logs ---------------------------------------------------------------------------------

    def create_logs(self, logs: Sequence[Log]) -> None:
        """Record logs."""
        rows: list[Row] = [(sql.INSERT_LOG, encoding.log_row(log)) for log in logs]
        if rows:
            self._store.commit(rows)

    def find_logs(self, search: Search) -> list[Log]:
        """Give a page of logs."""
        flow_run_id = _only_flow_run(search.log)
        if flow_run_id is None or search.sort != LogSort.ID_ASC or search.offset:
            return _search().find_logs(self._store, search)
        after = _SMALLEST_ID if search.after is None else search.after.bytes
        rows = self._store.read(sql.READ_LOGS, (flow_run_id.bytes, after, search.limit))
        return [encoding.log_from_row(row) for row in rows]

    # -- concurrency limits -------------------------------------------------------------------

    def create_limit(self, name: str, slots: int, changes: dict[str, Any]) -> Limit:
        """Set a limit for a name that has none."""
        return limits.create_limit(self._store, name, slots, **changes)

    def set_limit(self, name: str, slots: int) -> Limit:
        """Set a limit, or change how many slots it has."""
        return limits.set_limit(self._store, name, slots)

    def read_limit(self, name: str) -> Limit:
        """Give a limit."""
        return limits.read_limit(self._store, name)

    def find_limits(self) -> list[Limit]:
        """Give all limits, by name."""
        return limits.read_limits(self._store)

    def update_limit(self, name: str, changes: dict[str, Any]) -> Limit:
        """Change a limit."""
        return limits.update_limit(self._store, name, changes)

    def reset_limit(self, name: str) -> None:
        """Free all slots of a limit that are taken."""
        limits.reset_limit(self._store, name)

    def delete_limit(self, name: str) -> None:
        """Delete a limit."""
        limits.delete_limit(self._store, name)


def _only_flow_run(wanted: LogFilter | None) -> UUID | None:
    """Give the flow run whose logs are asked for, if nothing else is asked of them."""
    if wanted is None or wanted.flow_run_id is None:
        return None
    ids = wanted.flow_run_id.any_
    if ids is None or len(ids) != 1:
        return None
    return ids[0] if wanted == LogFilter(flow_run_id=OptionalIdFilter(any_=ids)) else None
