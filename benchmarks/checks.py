"""Was the work done? Asked of the store itself, past all that penstock says."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STORE_FILE = "penstock.db"

# How many flow runs there are in each state.
FLOW_RUN_STATES = "select state_type, count(*) from flow_run group by state_type"
# How many task runs each flow run has in each state.
TASK_RUN_STATES = (
    "select flow_run_id, state_type, count(*) from task_run group by flow_run_id, state_type"
)
# The store's log table, if it has one.
LOG_TABLE = "select count(*) from sqlite_master where type = 'table' and name = 'log'"
LOG_ROWS = "select count(*) from log"


_Held = tuple[Counter[str], list[tuple[Any, ...]], int]
"""Flow runs by state; the groups of TASK_RUN_STATES; log rows."""


class WorkNotRecordedError(Exception):
    """A benchmark's figures stand for work that the store does not hold."""


def check_recorded(home: Path, task_runs: Sequence[int], url: str = "") -> dict[str, int]:
    """Compare the store with what was run, and say what it holds.

    Parameters: the store is the file in `home`, or on a server at `url`. `task_runs` has one
    number for each flow run that was made: its task runs. The store must hold exactly these flow
    runs, each with that many task runs, all Completed.

    Returns the numbers of flow runs, task runs and log rows. Raises `WorkNotRecordedError`.
    """
    flow_states, groups, log_rows = _read_server(url) if url else _read_file(home)
    _compare("flow runs by state", dict(flow_states), {"COMPLETED": len(task_runs)})
    _compare(
        "task runs that are not Completed",
        sum(number for _, state, number in groups if state != "COMPLETED"),
        0,
    )
    recorded = Counter(number for _, _, number in groups)
    recorded[0] = flow_states.total() - len(groups)
    _compare(
        "flow runs by their number of task runs",
        dict(sorted((+recorded).items())),
        dict(sorted(Counter(task_runs).items())),
    )
    return {
        "flow_runs": len(task_runs),
        "task_runs": sum(task_runs),
        "log_rows": log_rows,
    }


def _read_file(home: Path) -> _Held:
    path = home / STORE_FILE
    if not path.exists():
        message = f"no store at {path}: nothing was recorded"
        raise WorkNotRecordedError(message)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            flow_states = Counter[str](dict(db.execute(FLOW_RUN_STATES)))
            groups = list(db.execute(TASK_RUN_STATES))
            has_log = db.execute(LOG_TABLE).fetchone()[0]
            log_rows = db.execute(LOG_ROWS).fetchone()[0] if has_log else 0
    except sqlite3.Error as error:
        message = f"the store at {path} cannot be read: {error}"
        raise WorkNotRecordedError(message) from error
    return flow_states, groups, log_rows


def _read_server(url: str) -> _Held:
    import psycopg

    with psycopg.connect(url) as db:
        flow_states = Counter[str](dict(db.execute(FLOW_RUN_STATES).fetchall()))
        groups = db.execute(TASK_RUN_STATES).fetchall()
        (log_rows,) = db.execute(LOG_ROWS).fetchall()[0]
    return flow_states, groups, log_rows


def _compare(what: str, recorded: object, wanted: object) -> None:
    if recorded != wanted:
        message = f"{what}: the store holds {recorded}, {wanted} were made"
        raise WorkNotRecordedError(message)
