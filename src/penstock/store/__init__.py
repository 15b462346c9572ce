"""The records: one embedded SQLite file by default.

`get_store()` gives this process's store of the present settings; everything that is written goes
through its journal. Used by the engine, the client and the command line.
"""

from penstock.store.journal import Fence, FenceLost, Journal, Row, Write
from penstock.store.lease import Owner, is_owner_alive
from penstock.store.store import Store, get_store, reset_store

__all__ = [
    "Fence",
    "FenceLost",
    "Journal",
    "Owner",
    "Row",
    "Store",
    "Write",
    "get_store",
    "is_owner_alive",
    "reset_store",
]
