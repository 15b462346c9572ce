"""How programs ask for the records: `get_client()`.

Reading this room: `orchestration` has the two clients, `flows`, `flow_runs`, `task_runs` and
`logs` their methods, `port` what these need, `local` that on the store, `transitions` how a state
that is proposed from outside of a run is decided.
"""

from __future__ import annotations

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
