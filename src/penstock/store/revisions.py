"""Which schema this penstock reads and writes, and what it says of a store that has another."""

from __future__ import annotations

from penstock.exceptions import StoreError, StoreTooNew, StoreTooOld

SCHEMA_REVISION = "0002"
"""The revision that a new store has, and that this penstock reads and writes."""

KNOWN_REVISIONS = ("0001", "0002")
"""Every revision that was released, oldest first."""


def wrong_revision(place: str, found: str | None) -> StoreError | None:
    """Give the error that a store's revision calls for; none for the right one.

    Parameters:
        place: where the store is, as messages name it.
        found: the revision it says it has.
    """
    if found == SCHEMA_REVISION:
        return None
    if found in KNOWN_REVISIONS:
        return StoreTooOld(
            f"The store {place!r} has schema revision {found}; this penstock needs"
            f" {SCHEMA_REVISION}. Run `penstock db upgrade`."
        )
    return StoreTooNew(
        f"The store {place!r} has schema revision {found}, which this penstock"
        f" ({SCHEMA_REVISION}) does not know: it was made by a newer one. Install that, or set"
        " PENSTOCK_STORE_URL to another store. Nothing was changed."
    )


LOST_BELOW = {
    "0002": {
        "inputs": "select count(*) from flow_run_input",
        "limits": "select count(*) from concurrency_limit",
        "slots": "select count(*) from concurrency_slot",
    }
}
"""What each revision can hold and the one before it cannot, with how much of it there is."""
