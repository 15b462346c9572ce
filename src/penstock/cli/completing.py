"""What the shell offers when Tab is pressed: the names of runs and flows that are recorded.

Whatever goes wrong, nothing is offered: an error in the midst of typing helps nobody.
"""

from __future__ import annotations

OFFERED_LIMIT = 50
"""The most names that are offered."""

LOOKED_AT_LIMIT = 1_000
"""How many of the latest runs are looked through for them."""

_SQLITE = "sqlite:///"
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
    try:
        return [name for (name,) in _read_rows(statement, values)]
    except Exception:  # noqa: BLE001 - see above
        return []


def _read_rows(statement: str, values: tuple[int, ...]) -> list[tuple[str]]:
    """Read from the store; where it is a file, without the room of stores.

    To import that takes as long as all the rest, and it would make a store that is not there.
    """
    from penstock.settings import get_current_settings

    url = get_current_settings().store_url
    if not url.startswith(_SQLITE):
        from penstock.store import get_store

        return get_store().read(statement, values)
    import sqlite3
    from contextlib import closing
    from pathlib import Path

    path = Path(url[len(_SQLITE) :]).expanduser().absolute()
    # Not mode=ro, which leaves the files of the log behind.
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
        return connection.execute(statement, values).fetchall()
