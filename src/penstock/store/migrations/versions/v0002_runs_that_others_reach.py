"""What others reach a run by: inputs that are sent to it, limits and their slots, two indexes.

It stays as it was released: a later change of the schema is a revision of its own.
"""

from __future__ import annotations

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
    _create_index("flow_run_by_owner", ["owner"], "owner is not null")
    _create_index(
        "flow_run_at_rest",
        ["state_type", "next_scheduled_start_time"],
        "state_type in ('SCHEDULED', 'PAUSED', 'CANCELLING')",
    )
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


def _create_index(name: str, columns: list[str], condition: str) -> None:
    op.create_index(
        name,
        "flow_run",
        columns,
        sqlite_where=text(condition),
        postgresql_where=text(condition),
    )
