"""What others reach a run by: inputs that are sent to it, limits and their slots, two indexes.

And what old records are deleted by: who is at it, and which results are still needed.

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

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SECONDS = Double[float]().with_variant(REAL(), "sqlite")
TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables and indexes."""
    _create_indexes()
    op.create_table(
        "flow_run_input",
        Column("flow_run_id", LargeBinary, nullable=False),
        Column("key", TEXT, nullable=False),
        Column("value", TEXT, nullable=False),
        Column("sender", TEXT),
        Column("created", SECONDS, nullable=False),
        PrimaryKeyConstraint("flow_run_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "concurrency_limit",
        Column("id", LargeBinary, nullable=False),
        Column("name", TEXT, nullable=False),
        Column("slots", Integer, nullable=False),
        Column("active", Integer, nullable=False),
        Column("slot_decay_per_second", SECONDS, nullable=False),
        Column("decaying_slots", SECONDS, nullable=False),
        Column("decaying_since", SECONDS, nullable=False),
        Column("created", SECONDS, nullable=False),
        Column("updated", SECONDS, nullable=False),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("name"),
    )
    op.create_table(
        "concurrency_slot",
        Column("limit_id", LargeBinary, nullable=False),
        Column("id", LargeBinary, nullable=False),
        Column("holder", TEXT, nullable=False),
        Column("flow_run_id", LargeBinary),
        Column("owner", TEXT, nullable=False),
        Column("lease_expires", SECONDS, nullable=False),
        Column("slots", Integer, nullable=False),
        Column("taken", SECONDS),
        PrimaryKeyConstraint("limit_id", "id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "chore",
        Column("name", TEXT, nullable=False),
        Column("finished", SECONDS, nullable=False),
        Column("owner", TEXT),
        Column("lease_expires", SECONDS),
        PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )


def _create_indexes() -> None:
    beats = Column("beats", Integer, nullable=False, server_default=text("0"))
    op.add_column("flow_run", beats)
    _create_index("flow_run", "flow_run_by_owner", ["owner"], "beats > 0")
    _create_index(
        "flow_run",
        "flow_run_at_rest",
        ["state_type", "next_scheduled_start_time"],
        "state_type in ('SCHEDULED', 'PAUSED', 'CANCELLING')",
    )
    for table in ("flow_run", "task_run"):
        # A key that a user made may be longer than what PostgreSQL's other kind of index takes.
        _create_index(
            table,
            f"{table}_by_stored_result",
            ["result_data"],
            "result_type = 'reference'",
            postgresql_using="hash",
        )


def downgrade() -> None:
    """Drop them, with what is in them."""
    for table in ("chore", "concurrency_slot", "concurrency_limit", "flow_run_input"):
        op.drop_table(table)
    op.drop_index("task_run_by_stored_result", "task_run")
    op.drop_index("flow_run_by_stored_result", "flow_run")
    op.drop_index("flow_run_at_rest", "flow_run")
    op.drop_index("flow_run_by_owner", "flow_run")
    op.drop_column("flow_run", "beats")


def _create_index(
    table: str, name: str, columns: list[str], condition: str, **options: Any
) -> None:
    where = text(condition)
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where, **options)
