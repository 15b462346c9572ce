"""The first schema: flows, their runs, task runs, logs, cache entries, documents.

It stays as it was released: a later change of the schema is a revision of its own.
"""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import (
    REAL,
    Column,
    Double,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    text,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SECONDS = Double[float]().with_variant(REAL(), "sqlite")
TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make all tables and indexes."""
    _create(
        "flow",
        Column("id", LargeBinary, nullable=False),
        Column("name", TEXT, nullable=False),
        Column("tags", TEXT),
        Column("created", SECONDS, nullable=False),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("name"),
    )
    _create_flow_run()
    _create_task_run()
    _create(
        "log",
        Column("flow_run_id", LargeBinary, nullable=False),
        Column("id", LargeBinary, nullable=False),
        Column("task_run_id", LargeBinary),
        Column("name", TEXT, nullable=False),
        Column("level", Integer, nullable=False),
        Column("message", TEXT, nullable=False),
        Column("timestamp", SECONDS, nullable=False),
        PrimaryKeyConstraint("flow_run_id", "id"),
    )
    _create(
        "cache_entry",
        Column("key", TEXT, nullable=False),
        Column("flow_run_id", LargeBinary, nullable=False),
        Column("task_run_id", LargeBinary, nullable=False),
        Column("expires", SECONDS),
        PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "block_document",
        Column("id", LargeBinary, nullable=False),
        Column("type_slug", TEXT, nullable=False),
        Column("name", TEXT, nullable=False),
        Column("data", TEXT, nullable=False),
        Column("created", SECONDS, nullable=False),
        Column("updated", SECONDS, nullable=False),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("type_slug", "name"),
    )


def _create(table: str, *parts: Any) -> None:
    op.create_table(table, *parts, sqlite_with_rowid=False)


def _create_flow_run() -> None:
    _create(
        "flow_run",
        Column("id", LargeBinary, nullable=False),
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
        PrimaryKeyConstraint("id"),
    )
    _create_partial_index("flow_run_by_parent", ["parent_task_run_id"])
    _create_partial_index(
        "flow_run_by_idempotency_key", ["flow_id", "idempotency_key"], unique=True
    )


def _create_partial_index(name: str, columns: list[str], *, unique: bool = False) -> None:
    """Index the flow runs of which the last of the columns is known."""
    is_known = text(f"{columns[-1]} is not null")
    op.create_index(
        name,
        "flow_run",
        columns,
        unique=unique,
        sqlite_where=is_known,
        postgresql_where=is_known,
    )


def _create_task_run() -> None:
    _create(
        "task_run",
        Column("flow_run_id", LargeBinary, nullable=False),
        Column("id", LargeBinary, nullable=False),
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
        PrimaryKeyConstraint("flow_run_id", "id"),
    )
