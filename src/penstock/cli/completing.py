"""What the shell offers when Tab is pressed: the names of runs and flows that are recorded.

Whatever goes wrong, nothing is offered: an error in the midst of typing helps nobody.
"""

from __future__ import annotations

OFFERED_LIMIT = 50
"""The most names that are offered."""

LOOKED_AT_LIMIT = 1_000
"""How many of the latest runs are looked through for them."""

_NAMES_OF_RUNS = "select name from flow_run order by id desc limit ?"
_NAMES_OF_FLOWS = "select name from flow order by name"
_STATES = (
    *("Scheduled", "Late", "Pending", "Running", "Retrying", "AwaitingRetry", "Paused"),
    *("Suspended", "Cancelling", "Cancelled", "Completed", "Cached", "Failed", "TimedOut"),
    "Crashed",
)


def offer_runs(incomplete: str) -> list[str]:
    """Offer the latest runs of this beginning."""
    return _beginning_with(incomplete, _read(_NAMES_OF_RUNS, (LOOKED_AT_LIMIT,)))


def offer_flows(incomplete: str) -> list[str]:
    """Offer the flows of this beginning."""
    return _beginning_with(incomplete, _read(_NAMES_OF_FLOWS, ()))


def offer_states(incomplete: str) -> list[str]:
    """Offer the names of states."""
    wanted = incomplete.lower()
    return [name.lower() for name in _STATES if name.lower().startswith(wanted)]


def _beginning_with(incomplete: str, names: list[str]) -> list[str]:
    found = dict.fromkeys(name for name in names if name.startswith(incomplete))
    return list(found)[:OFFERED_LIMIT]


def _read(statement: str, values: tuple[int, ...]) -> list[str]:
    from penstock.store import get_store  # needs sqlite3, which options alone do not

    try:
        return [name for (name,) in get_store().read(statement, values)]
    except Exception:  # noqa: BLE001 - see above
        return []
