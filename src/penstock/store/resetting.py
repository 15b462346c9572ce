"""Emptying a store: every record goes, in one transaction, and the file and its schema stay.

Used by `penstock db reset`. Other processes may have the store open meanwhile: a flow run that one
of them executes stops at its next commit, as its record is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from penstock import clock
from penstock.exceptions import RunOwnedElsewhere
from penstock.ids import id_from_bytes
from penstock.store import statements as sql
from penstock.store.lease import is_owner_alive

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from penstock.store.store import Store


class OwnedRun(NamedTuple):
    """A flow run that a living process executes."""

    id: UUID
    name: str
    owner: str


def contents(store: Store) -> dict[str, int]:
    """Count the records of a store, by kind; kinds of which there are none are left out."""
    counts = {kind: store.read(count)[0][0] for kind, (count, _) in sql.EMPTY_TABLES.items()}
    return {kind: count for kind, count in counts.items() if count}


def runs_being_executed(store: Store) -> list[OwnedRun]:
    """Give the flow runs that living processes execute now."""
    return living(store.read(sql.READ_OWNED_FLOW_RUNS))


def living(rows: list[tuple[Any, ...]]) -> list[OwnedRun]:
    """Give those of the rows of `READ_OWNED_FLOW_RUNS` whose owners live."""
    now = clock.epoch()
    return [
        OwnedRun(id_from_bytes(key), name, owner)
        for key, name, owner, expires in rows
        if is_owner_alive(owner, expires, now)
    ]


def reset(store: Store, *, force: bool = False) -> dict[str, int]:
    """Delete every record of a store, in one transaction.

    Parameters:
        store: the store.
        force: also while runs are being executed; their processes stop at their next commit.

    Returns:
        How many records of each kind were deleted.

    Raises:
        RunOwnedElsewhere: runs are being executed; nothing was changed.
        StoreError: the store cannot be written; nothing was changed.
    """

    def work(execute: Callable[..., Any]) -> dict[str, int]:
        owned = living(execute(sql.READ_OWNED_FLOW_RUNS).fetchall())
        if owned and not force:
            raise RunOwnedElsewhere(in_words(owned))
        deleted: dict[str, int] = {}
        for kind, (count, delete) in sql.EMPTY_TABLES.items():
            number = execute(count).fetchone()[0]
            if number:
                deleted[kind] = number
                execute(delete)
        return deleted

    deleted = store.transact(work)
    store.give_space_back()
    return deleted


def in_words(owned: list[OwnedRun]) -> str:
    """Say that runs are being executed, and by whom."""
    first = owned[0]
    others = f" and {len(owned) - 1} more" if len(owned) > 1 else ""
    return (
        f"Flow run {first.name!r} ({first.id}){others} is being executed by process {first.owner}."
        " Wait until it has finished or stop that process; nothing was changed."
    )
