"""Pages of runs for people who look at them: plain SQL, so that nothing heavy is imported for it.

A page goes on after the id that the one before ended with, never by an offset, so that the last
page costs what the first does. What is matched is put together from the fragments below; values
are always parameters.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.ids import key_at
from penstock.states import StateType
from penstock.store import statements as sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.store.store import Store

# Lists show no results, which may be large, and no pickled parameters.
_FLOW_RUN_COLUMNS = sql.FLOW_RUN_COLUMNS.replace(
    "r.result_type, r.result_data", "null, null"
).replace("r.parameters_pickle", "null")
_TASK_RUN_COLUMNS = sql.TASK_RUN_COLUMNS.replace("t.result_type, t.result_data", "null, null")

# A flow run as `encoding.flow_run_from_row` takes it, and who has it.
_FLOW_RUNS = f"""select {_FLOW_RUN_COLUMNS}, r.owner, r.lease_expires, r.control
from flow_run r join flow f on f.id = r.flow_id where {{conditions}}
order by r.id desc limit ?"""

_TASK_RUNS = f"""select {_TASK_RUN_COLUMNS} from task_run t where {{conditions}}
order by t.id limit ?"""

READ_FLOW_NAMES = "select name from flow order by name limit ?"
READ_STATE_NAMES = "select distinct state_name from flow_run"

# How many runs each flow has in each state, and its newest run: found at once, from the end.
_COUNT_BY_FLOW = """select flow_id, state_type, count(*) from flow_run
where flow_id in ({places}) group by flow_id, state_type"""
_NEWEST_OF_FLOW = "select id from flow_run where flow_id = ? order by id desc limit 1"
_FLOWS = """select id, name, tags, created from flow where name > ? order by name limit ?"""

READ_TASK_RUN_NAME = "select name from task_run where flow_run_id = ? and id = ?"

# What a shortened id, or a name, may stand for within a flow run.
FIND_TASK_RUNS_BETWEEN = """select id, name from task_run
where flow_run_id = ? and id between ? and ? order by id desc limit ?"""
FIND_TASK_RUNS_BY_NAME = """select id, name, task_key, dynamic_key from task_run
where flow_run_id = ? and name = ? order by id desc limit ?"""


class Wanted(NamedTuple):
    """Which flow runs are listed.

    Attributes:
        states: names or types of states; any of them. None: whatever the state.
        flow: the name of the flow.
        tags: all of them.
        since: made then or later, in seconds since the epoch.
        until: made before then.
        after: the key of the run after which the page begins.
    """

    states: Sequence[str] = ()
    flow: str | None = None
    tags: Sequence[str] = ()
    since: float | None = None
    until: float | None = None
    after: bytes | None = None


_TYPES = {each.value for each in StateType}


def _of_states(states: Sequence[str], table: str) -> tuple[str, list[Any]]:
    """Match types by their column, and any other name by that of the state."""
    types = [each.upper() for each in states if each.upper() in _TYPES]
    names = [each.lower() for each in states if each.upper() not in _TYPES]
    parts: list[str] = []
    if types:
        parts.append(f"{table}.state_type in ({', '.join('?' * len(types))})")
    if names:
        parts.append(f"lower({table}.state_name) in ({', '.join('?' * len(names))})")
    return f"({' or '.join(parts)})", [*types, *names]


def read_flow_runs(store: Store, wanted: Wanted, limit: int) -> list[tuple[Any, ...]]:
    """Give a page of flow runs, the newest first, as rows.

    Parameters:
        store: where they are recorded.
        wanted: which.
        limit: the most.

    Returns:
        For each run what `encoding.flow_run_from_row` takes, and then its owner, until when that
        one has it, and what was asked of it.
    """
    bound = b"\xff" * 16 if wanted.until is None else key_at(wanted.until)
    if wanted.after is not None:
        bound = min(bound, wanted.after)
    conditions: list[str] = ["r.id < ?"]
    values: list[Any] = [bound]
    if wanted.since is not None:
        conditions.append("r.id >= ?")
        values.append(key_at(wanted.since))
    if wanted.flow is not None:
        conditions.append("r.flow_id = (select id from flow where name = ?)")
        values.append(wanted.flow)
    if wanted.states:
        condition, given = _of_states(wanted.states, "r")
        conditions.append(condition)
        values += given
    for tag in wanted.tags:
        # Tags are kept as a JSON list: whoever has the tag is another without it.
        conditions.append("replace(r.tags, ?, '') <> r.tags")
        values.append(json.dumps(tag))
    statement = _FLOW_RUNS.format(conditions=" and ".join(conditions))
    return store.read(statement, (*values, limit))


def read_task_runs(
    store: Store,
    flow_run_id: bytes,
    after: bytes,
    limit: int,
    states: Sequence[str] = (),
) -> list[tuple[Any, ...]]:
    """Give a page of the task runs of a flow run in the order they were made, as rows.

    Parameters:
        store: where they are recorded.
        flow_run_id: of which flow run.
        after: the key of the task run after which the page begins.
        limit: the most.
        states: names or types of states; any of them.
    """
    conditions: list[str] = ["t.flow_run_id = ?", "t.id > ?"]
    values: list[Any] = [flow_run_id, after]
    if states:
        condition, given = _of_states(states, "t")
        conditions.append(condition)
        values += given
    statement = _TASK_RUNS.format(conditions=" and ".join(conditions))
    return store.read(statement, (*values, limit))


def read_flows(
    store: Store, after: str, limit: int
) -> list[tuple[tuple[Any, ...], dict[str, int], bytes | None]]:
    """Give a page of flows by name: the row of each, its runs by state, and its newest run."""
    rows = store.read(_FLOWS, (after, limit))
    if not rows:
        return []
    counts = _counts_of(store, rows)
    return [(row, counts.get(bytes(row[0]), {}), _newest_of(store, row[0])) for row in rows]


def read_flow(store: Store, name: str) -> tuple[tuple[Any, ...], dict[str, int], bytes | None]:
    """Give one flow as `read_flows` does."""
    row = store.read(sql.READ_FLOW_BY_NAME, (name,))[0]
    return row, _counts_of(store, [row]).get(bytes(row[0]), {}), _newest_of(store, row[0])


def _counts_of(store: Store, rows: list[tuple[Any, ...]]) -> dict[bytes, dict[str, int]]:
    statement = _COUNT_BY_FLOW.format(places=", ".join("?" * len(rows)))
    counts: dict[bytes, dict[str, int]] = {}
    for flow_id, state_type, count in store.read(statement, [row[0] for row in rows]):
        counts.setdefault(bytes(flow_id), {})[state_type or "NONE"] = count
    return counts


def _newest_of(store: Store, flow_id: bytes) -> bytes | None:
    rows = store.read(_NEWEST_OF_FLOW, (flow_id,))
    return bytes(rows[0][0]) if rows else None
