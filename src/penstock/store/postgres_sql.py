"""The named SQL as PostgreSQL takes it: each statement is translated once, from its text alone.

`statements.py` is written for SQLite. What differs is little: how values are marked, how a row is
put in the place of another, and that a single write can check its fence and commit in one step.
"""

from __future__ import annotations

import functools
import re

from penstock.store import statements as sql

GATE = 7_311_954_206_118
"""The advisory lock of all stores of a database: shared by commits, held alone by whoever reads
and then writes by what was read. So such work is done as if it were alone, as on SQLite."""

KEYS = {
    "task_run": ("flow_run_id", "id"),
    "cache_entry": ("key",),
    "chore": ("name",),
}
"""The primary keys of the tables in which rows are put in the place of others."""

PREPARED_LIMIT = 1024
"""The most translations that are kept: the named ones, and what searches have made lately."""

_REPLACE = re.compile(r"insert or replace into (\w+) \(([^)]*)\)\s*(values .*)", re.DOTALL)
_IGNORE = "insert or ignore into "
_NAMED = re.compile(r"(?<!:):(\w+)")

BEGIN = b"begin isolation level read committed"
COMMIT = b"commit"
ROLLBACK = b"rollback"

# The transaction's number is asked for before its commit: afterwards it may be too late.
ENTER = f"""select pg_advisory_xact_lock_shared({GATE}),
    pg_current_xact_id()::text""".encode()
ENTER_ALONE = f"select pg_advisory_xact_lock({GATE}), pg_current_xact_id()::text".encode()

# What became of a transaction whose connection was lost while it was committed.
READ_FATE = b"select pg_xact_status(%s::text::xid8)"

# The fences of a group. The rows stay locked: until the commit nobody takes the runs over.
READ_FENCES = b"""select id, fence, control from flow_run where id = any(%s) order by id
for share"""

_QUICK = """with gate as materialized (select pg_advisory_xact_lock_shared({gate})),
held as (select r.control from gate, flow_run r where r.id = %s and r.fence = %s for share of r),
{steps}
select control from held"""

QUICK_ROWS_LIMIT = 4
"""The most rows of a write that is committed in one step, fence and all."""

_TASK_RUN_FIRST = (sql.WRITE_TASK_RUN, sql.INSERT_LOG)


@functools.lru_cache(PREPARED_LIMIT)
def translate(statement: str) -> bytes:
    """Give a statement as PostgreSQL takes it."""
    text = statement.replace("%", "%%")
    text = text.replace("?", "%s") if "?" in text else _NAMED.sub(r"%(\1)s", text)
    if text.startswith(_IGNORE):
        text = f"insert into {text[len(_IGNORE) :]} on conflict do nothing"
    elif (replaced := _REPLACE.fullmatch(text)) is not None:
        table, columns, values = replaced.groups()
        text = f"insert into {table} ({columns}) {values} {_in_its_place(table, columns)}"
    return text.encode()


def _in_its_place(table: str, columns: str) -> str:
    keys = KEYS[table]
    others = [name for name in (each.strip() for each in columns.split(",")) if name not in keys]
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    return f"on conflict ({', '.join(keys)}) do update set {changes}"


def quick_form(statements: tuple[str, ...]) -> bytes | None:
    """Give one statement that checks a fence and writes rows behind it; none if there is none.

    It commits by itself, and takes the flow run's id, the token, and the rows' values. It gives
    the run's control word, or nothing where the fence is lost. Only what may be written twice is
    written so: with the connection, the answer may be lost.
    """
    is_one = statements[:1] == _TASK_RUN_FIRST[:1] or statements[:1] == _TASK_RUN_FIRST[1:]
    if not is_one or len(statements) > QUICK_ROWS_LIMIT:
        return None
    if any(each is not sql.INSERT_LOG for each in statements[1:]):
        return None
    return _quick(statements)


@functools.cache
def _quick(statements: tuple[str, ...]) -> bytes:
    steps = ",\n".join(
        f"step_{number} as ({_behind_the_fence(translate(each).decode())})"
        for number, each in enumerate(statements)
    )
    return _QUICK.format(gate=GATE, steps=steps).encode()


def _behind_the_fence(insert: str) -> str:
    head, values, tail = re.split(r"values \(([^)]*)\)", insert)
    return f"{head}select {values} from held{tail}"
