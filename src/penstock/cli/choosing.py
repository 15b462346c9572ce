"""What people type to choose runs: states, times, flows; and what they may have meant."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from penstock import clock
from penstock.cli.failing import CommandError
from penstock.states import StateType
from penstock.store import listing
from penstock.store import statements as sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from penstock.store import Store

_FLOWS_LIMIT = 10_000
"""The most flows among which one is looked for that was meant."""

_KNOWN_STATES = (
    *(each.value.capitalize() for each in StateType),
    *("AwaitingRetry", "Cached", "Late", "NotReady", "Resuming", "Retrying", "Suspended"),
    *("TimedOut", "AwaitingConcurrencySlot"),
)
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_HASH = re.compile(r"-[0-9a-f]{8,}$")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def chosen_states(store: Store | None, given: Sequence[str]) -> list[str]:
    """Give the states that are meant, several of them in one text or in several.

    Parameters:
        store: where flows may have named states as they like; none if there is no store.
        given: what was typed.

    Raises:
        CommandError: no run can be in one of them.
    """
    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    known = {name.lower() for name in _KNOWN_STATES}
    if all(name.lower() in known for name in names):
        return names
    # Flows may name states as they like.
    rows = [] if store is None else store.read(listing.READ_STATE_NAMES)
    every = list(dict.fromkeys([*_KNOWN_STATES, *(row[0] for row in rows if row[0])]))
    known = {name.lower() for name in every}
    for name in names:
        if name.lower() not in known:
            listed = ", ".join(sorted(every))
            message = f"There is no state {name!r}.{_meant(name, every)} States are: {listed}."
            raise CommandError(message)
    return names


def chosen_flow(store: Store, name: str | None) -> str | None:
    """Give the name of a flow.

    Raises:
        CommandError: there is none of this name.
    """
    if name is None or store.read(sql.READ_FLOW_BY_NAME, (name,)):
        return name
    names = [row[0] for row in store.read(listing.READ_FLOW_NAMES, (_FLOWS_LIMIT,))]
    message = (
        f"There is no flow {name!r} in the store {store.place!r}.{_meant(name, names)} See"
        " `penstock flow ls` for those that are there."
    )
    raise CommandError(message)


def chosen_time(text: str | None, option: str) -> float | None:
    """Give the moment that is meant, in seconds since the epoch.

    Parameters:
        text: an age such as `90m`, `2h` or `3d`, before now; or a date or time in ISO 8601, of
            this computer's time zone where it names none.
        option: where it was given.

    Raises:
        CommandError: it is neither.
    """
    if text is None:
        return None
    age = _AGE.fullmatch(text.strip().lower())
    if age is not None:
        return max(clock.epoch() - float(age[1]) * _SECONDS[age[2]], 0.0)
    try:
        moment = datetime.fromisoformat(text.strip())
        return max(moment.timestamp(), 0.0)
    except (ValueError, OverflowError, OSError):
        today = clock.now().date().isoformat()
        message = (
            f"{option} {text!r} is neither an age nor a time. Give 30m, 2h, 3d or 1w, or a date"
            f" such as {today} or {today}T08:30."
        )
        raise CommandError(message) from None


def title_of_task(task_key: str) -> str:
    """Give the name of a task's function from the key by which its runs are recorded.

    Example:
        >>> title_of_task("main.<locals>.fetch-614259f6453e7f82")
        'fetch'
    """
    return _HASH.sub("", task_key).rpartition(".")[2]


def is_of_task(task: str, name: str, task_key: str) -> bool:
    """Tell whether a task run is meant by the name of its task, or by its own."""
    return task in (name, task_key, _HASH.sub("", task_key), title_of_task(task_key))


def as_option(moment: float) -> str:
    """Give a moment as `chosen_time` takes it again, exactly."""
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _meant(name: str, known: Iterable[str]) -> str:
    # Only where something was mistyped.
    import difflib

    by_lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), by_lower, 1, 0.6)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""
