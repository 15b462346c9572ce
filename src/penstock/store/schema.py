"""The tables as SQLAlchemy sees them: what searches are built from, and what migrations aim at.

`schema.sql` makes the same (tested). SQLAlchemy takes longer to import than a flow to run, so only
`search.py` and the migrations import this.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    REAL,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# Seconds since the epoch need all of a double's digits; SQLite's REAL is one.
SECONDS = Double[float]().with_variant(REAL(), "sqlite")

# Compared and sorted byte by byte everywhere, as SQLite does, whatever a server's language is.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def _table(name: str, *parts: Any) -> Table:
    return Table(name, metadata, *parts, sqlite_with_rowid=False)


flow = _table(
    "flow",
    Column("id", LargeBinary, primary_key=True),
    Column("name", TEXT, nullable=False, unique=True),
    Column("tags", TEXT),
    Column("created", SECONDS, nullable=False),
)

flow_run = _table(
    "flow_run",
    Column("id", LargeBinary, primary_key=True),
    Column("flow_id", LargeBinary, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("flow_version", TEXT),
    Column("deployment_id", LargeBinary),
    Column("parent_task_run_id", LargeBinary),
    Column("idempotency_key", TEXT),
    Column("entrypoint", TEXT),
    Column("parameters", TEXT, nullable=False),
    Column("parameters_pickle", LargeBinary),
    Column("tags", TEXT),
    Column("run_count", Integer, nullable=False),
    Column("state_type", TEXT),
    Column("state_name", TEXT),
    Column("state_timestamp", SECONDS),
    Column("expected_start_time", SECONDS),
    Column("next_scheduled_start_time", SECONDS),
    Column("start_time", SECONDS),
    Column("end_time", SECONDS),
    Column("run_time_s", SECONDS, nullable=False),
    Column("result_type", TEXT),
    Column("result_data", LargeBinary),
    Column("history", LargeBinary, nullable=False),
    Column("details", LargeBinary),
    Column("owner", TEXT),
    Column("fence", Integer, nullable=False, server_default=text("0")),
    Column("lease_expires", SECONDS),
    Column("control", TEXT),
    Column("beats", Integer, nullable=False, server_default=text("0")),
)

Index(
    "flow_run_by_parent",
    flow_run.c.parent_task_run_id,
    sqlite_where=flow_run.c.parent_task_run_id.is_not(None),
    postgresql_where=flow_run.c.parent_task_run_id.is_not(None),
)

Index(
    "flow_run_by_idempotency_key",
    flow_run.c.flow_id,
    flow_run.c.idempotency_key,
    unique=True,
    sqlite_where=flow_run.c.idempotency_key.is_not(None),
    postgresql_where=flow_run.c.idempotency_key.is_not(None),
)

Index(
    "flow_run_by_owner",
    flow_run.c.owner,
    sqlite_where=flow_run.c.beats > text("0"),
    postgresql_where=flow_run.c.beats > text("0"),
)

_AT_REST = text("state_type in ('SCHEDULED', 'PAUSED', 'CANCELLING')")

Index(
    "flow_run_at_rest",
    flow_run.c.state_type,
    flow_run.c.next_scheduled_start_time,
    sqlite_where=_AT_REST,
    postgresql_where=_AT_REST,
)

task_run = _table(
    "task_run",
    Column("flow_run_id", LargeBinary, primary_key=True),
    Column("id", LargeBinary, primary_key=True),
    Column("task_key", TEXT, nullable=False),
    Column("dynamic_key", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("state_type", TEXT),
    Column("state_name", TEXT),
    Column("state_timestamp", SECONDS),
    Column("run_count", Integer, nullable=False),
    Column("expected_start_time", SECONDS),
    Column("next_scheduled_start_time", SECONDS),
    Column("start_time", SECONDS),
    Column("end_time", SECONDS),
    Column("run_time_s", SECONDS, nullable=False),
    Column("tags", TEXT),
    Column("fingerprint", LargeBinary),
    Column("cache_key", TEXT),
    Column("result_type", TEXT),
    Column("result_data", LargeBinary),
    Column("history", LargeBinary, nullable=False),
    Column("details", LargeBinary),
)

_IN_STORAGE = text("result_type = 'reference'")
for _table_of_runs in (flow_run, task_run):
    Index(
        f"{_table_of_runs.name}_by_stored_result",
        _table_of_runs.c.result_data,
        sqlite_where=_IN_STORAGE,
        postgresql_where=_IN_STORAGE,
        postgresql_using="hash",
    )

log = _table(
    "log",
    Column("flow_run_id", LargeBinary, primary_key=True),
    Column("id", LargeBinary, primary_key=True),
    Column("task_run_id", LargeBinary),
    Column("name", TEXT, nullable=False),
    Column("level", Integer, nullable=False),
    Column("message", TEXT, nullable=False),
    Column("timestamp", SECONDS, nullable=False),
)

cache_entry = _table(
    "cache_entry",
    Column("key", TEXT, primary_key=True),
    Column("flow_run_id", LargeBinary, nullable=False),
    Column("task_run_id", LargeBinary, nullable=False),
    Column("expires", SECONDS),
)

# Documents are few and large, for which SQLite's tables with row numbers are the better kind.
block_document = Table(
    "block_document",
    metadata,
    Column("id", LargeBinary, primary_key=True),
    Column("type_slug", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("data", TEXT, nullable=False),
    Column("created", SECONDS, nullable=False),
    Column("updated", SECONDS, nullable=False),
    UniqueConstraint("type_slug", "name"),
)

flow_run_input = _table(
    "flow_run_input",
    Column("flow_run_id", LargeBinary, primary_key=True),
    Column("key", TEXT, primary_key=True),
    Column("value", TEXT, nullable=False),
    Column("sender", TEXT),
    Column("created", SECONDS, nullable=False),
)

concurrency_limit = Table(
    "concurrency_limit",
    metadata,
    Column("id", LargeBinary, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("active", Integer, nullable=False),
    Column("slot_decay_per_second", SECONDS, nullable=False),
    Column("decaying_slots", SECONDS, nullable=False),
    Column("decaying_since", SECONDS, nullable=False),
    Column("created", SECONDS, nullable=False),
    Column("updated", SECONDS, nullable=False),
    UniqueConstraint("name"),
)

concurrency_slot = _table(
    "concurrency_slot",
    Column("limit_id", LargeBinary, primary_key=True),
    Column("id", LargeBinary, primary_key=True),
    Column("holder", TEXT, nullable=False),
    Column("flow_run_id", LargeBinary),
    Column("owner", TEXT, nullable=False),
    Column("lease_expires", SECONDS, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("taken", SECONDS),
)

chore = _table(
    "chore",
    Column("name", TEXT, primary_key=True),
    Column("finished", SECONDS, nullable=False),
    Column("owner", TEXT),
    Column("lease_expires", SECONDS),
)
