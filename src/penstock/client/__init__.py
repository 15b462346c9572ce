"""How programs ask for the records: `get_client()`.

Reading this room: `orchestration` has the two clients, `flows`, `flow_runs`, `task_runs` and
`logs` their methods, `port` what these need, `local` that on the store, `transitions` how a state
that is proposed from outside of a run is decided.

Names are loaded when they are first asked for: a flow that only runs does without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.utilities.lazy import lazy_names

if TYPE_CHECKING:
    from penstock.client.orchestration import (
        PenstockClient,
        PrefectClient,
        SyncPenstockClient,
        SyncPrefectClient,
        get_client,
    )

__all__ = [
    "PenstockClient",
    "PrefectClient",
    "SyncPenstockClient",
    "SyncPrefectClient",
    "get_client",
]

__getattr__ = lazy_names(
    __name__,
    dict.fromkeys(__all__, "penstock.client.orchestration"),
    ("orchestration", "schemas"),
)
