"""How programs ask for the records: `get_client()`.

Reading this room: `orchestration` has the two clients, `flows`, `flow_runs`, `task_runs` and
`logs` their methods, `port` what these need, `local` that on the store, `transitions` how a state
that is proposed from outside of a run is decided.

Names are loaded when they are first asked for: a flow that only runs does without them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    found = getattr(import_module("penstock.client.orchestration"), name)
    globals()[name] = found
    return found
