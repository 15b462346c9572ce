"""Filtered, sorted, paged reads of the records.

Built with SQLAlchemy, which takes a quarter of a second to import, so this room is imported where
a search is made and never by a flow that only runs. Used by the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, exists, func, null, select, text
from sqlalchemy.dialects import postgresql, sqlite

from penstock.store import encoding
from penstock.store import statements as sql
from penstock.store.conditions import (
    FLOW,
    FLOW_RUN,
    LOG,
    TASK_RUN,
    Condition,
    on_deployment,
    on_flow,
    on_flow_run,
    on_log,
    on_task_run,
)
from penstock.store.filters import Operator
from penstock.store.sorting import FlowRunSort, FlowSort, LogSort, TaskRunSort

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.records import Flow, FlowRun, Log, TaskRun
    from penstock.store.filters import Search, TaskRunFilter
    from penstock.store.store import Store

_DIALECTS = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "postgresql": postgresql.dialect(paramstyle="qmark"),
}

LOOKED_UP_LIMIT = 200
"""Up to how many task runs that are asked for by id are looked up, and not scanned for."""


def find_flows(store: Store, search: Search) -> list[Flow]:
    """Give a page of the flows that meet a search, by default by name."""
    statement = _of_flows(select(text(sql.FLOW_COLUMNS)), search)
    order = FlowSort(search.sort or FlowSort.NAME_ASC)
    rows = _read(store, _page(statement, FLOW, order, search))
    return [encoding.flow_from_row(row) for row in rows]


def find_flow_runs(store: Store, search: Search) -> list[FlowRun]:
    """Give a page of the flow runs that meet a search, by default the newest first."""
    statement = _of_flow_runs(select(text(sql.FLOW_RUN_COLUMNS)), search)
    order = FlowRunSort(search.sort or FlowRunSort.ID_DESC)
    rows = _read(store, _page(statement, FLOW_RUN, order, search))
    return [encoding.flow_run_from_row(row) for row in rows]


def find_task_runs(store: Store, search: Search) -> list[TaskRun]:
    """Give a page of the task runs that meet a search, by default the newest first."""
    statement = _of_task_runs(store, select(text(sql.TASK_RUN_COLUMNS)), search)
    order = TaskRunSort(search.sort or TaskRunSort.ID_DESC)
    rows = _read(store, _page(statement, TASK_RUN, order, search))
    return [encoding.task_run_from_row(row) for row in rows]


def find_logs(store: Store, search: Search) -> list[Log]:
    """Give a page of the logs that meet a search, by default the oldest first."""
    statement = select(text(sql.LOG_COLUMNS)).select_from(LOG)
    if search.log is not None:
        statement = statement.where(on_log(search.log))
    order = LogSort(search.sort or LogSort.TIMESTAMP_ASC)
    rows = _read(store, _page(statement, LOG, order, search))
    return [encoding.log_from_row(row) for row in rows]


def count_flows(store: Store, search: Search) -> int:
    """Count the flows that meet a search."""
    return _count(store, _of_flows(select(func.count()), search))


def count_flow_runs(store: Store, search: Search) -> int:
    """Count the flow runs that meet a search."""
    return _count(store, _of_flow_runs(select(func.count()), search))


def count_task_runs(store: Store, search: Search) -> int:
    """Count the task runs that meet a search."""
    return _count(store, _of_task_runs(store, select(func.count()), search))


# -- which ----------------------------------------------------------------------------------------


def _of_flows(statement: Select[Any], search: Search) -> Select[Any]:
    statement = statement.select_from(FLOW)
    if search.flow is not None:
        statement = statement.where(on_flow(search.flow))
    runs = [*_on_runs(search), *_with_task_run(search)]
    if runs:
        statement = statement.where(FLOW.c.id.in_(select(FLOW_RUN.c.flow_id).where(*runs)))
    return statement


def _of_flow_runs(statement: Select[Any], search: Search) -> Select[Any]:
    statement = statement.select_from(FLOW_RUN.join(FLOW, FLOW.c.id == FLOW_RUN.c.flow_id))
    if search.flow is not None:
        statement = statement.where(on_flow(search.flow))
    return statement.where(*_on_runs(search), *_with_task_run(search))


def _of_task_runs(store: Store, statement: Select[Any], search: Search) -> Select[Any]:
    statement = statement.select_from(TASK_RUN)
    if search.task_run is not None:
        statement = statement.where(on_task_run(search.task_run))
        statement = statement.where(*_in_their_flow_runs(store, search.task_run))
    runs = list(_on_runs(search))
    if search.flow is not None:
        flows = select(FLOW.c.id).where(on_flow(search.flow))
        runs.append(FLOW_RUN.c.flow_id.in_(flows))
    if runs:
        statement = statement.where(TASK_RUN.c.flow_run_id.in_(select(FLOW_RUN.c.id).where(*runs)))
    return statement


def _on_runs(search: Search) -> Iterable[Condition]:
    if search.flow_run is not None:
        yield on_flow_run(search.flow_run)
    if search.deployment is not None and search.deployment.id is not None:
        yield on_deployment(search.deployment.id)


def _with_task_run(search: Search) -> Iterable[Condition]:
    if search.task_run is not None:
        its_own = TASK_RUN.c.flow_run_id == FLOW_RUN.c.id
        yield exists(select(null()).where(its_own, on_task_run(search.task_run)))


def _in_their_flow_runs(store: Store, wanted: TaskRunFilter) -> Iterable[Condition]:
    """Say to which flow runs the task runs belong that are asked for by id.

    They are kept by flow run: without this, all task runs would be looked at.
    """
    ids = wanted.id.any_ if wanted.id is not None else None
    if ids is None or len(ids) > LOOKED_UP_LIMIT or wanted.operator is not Operator.and_:
        return
    found = [store.find_flow_run_of(task_run_id) for task_run_id in ids]
    yield TASK_RUN.c.flow_run_id.in_([key for key in found if key is not None])


# -- in which order, and what of it ---------------------------------------------------------------


def _page(statement: Select[Any], table: Any, order: str, search: Search) -> Select[Any]:
    name, _, direction = order.rpartition("_")
    is_down = direction == "DESC"
    key = table.c.id.desc() if is_down else table.c.id.asc()
    if name == "ID":
        if search.after is not None:
            edge = search.after.bytes
            statement = statement.where(table.c.id < edge if is_down else table.c.id > edge)
    else:
        if search.after is not None:
            message = f"after= goes on in an order by id; the order here is {order}. Use offset=."
            raise ValueError(message)
        column = _sort_column(table, name)
        ordered = column.desc() if is_down else column.asc()
        statement = statement.order_by(ordered.nulls_last())
    return statement.order_by(key).limit(search.limit).offset(search.offset)


def _sort_column(table: Any, name: str) -> Any:
    if name == "START_TIME":
        return func.coalesce(table.c.start_time, table.c.expected_start_time)
    # A flow's record is made once and does not change.
    return table.c["created" if name == "UPDATED" else name.lower()]


def _read(store: Store, statement: Select[Any]) -> list[tuple[Any, ...]]:
    expanded = statement.compile(dialect=_DIALECTS[store.dialect]).construct_expanded_state()
    return store.read(expanded.statement, expanded.positional_parameters)


def _count(store: Store, statement: Select[Any]) -> int:
    return int(_read(store, statement)[0][0])
