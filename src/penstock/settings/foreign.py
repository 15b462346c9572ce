"""Names that are no settings: what a message says of one.

Those of other engines whose settings have penstock's names otherwise are known by what they are
about, so that who moves learns what to do with them, and none of them is taken in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "PENSTOCK_"

_REQUESTS = (
    "It is about requests to a server, and penstock needs none: remove it. How long a database may"
    " be away is PENSTOCK_STORE_OUTAGE_TIMEOUT_S."
)
_SERVER = "It is about a server, and penstock needs none: remove it."
_BACKGROUND = (
    "It is about tasks that a task server executes, and penstock has none: call or .submit() them"
    " in a flow, and remove it."
)
_WORKERS = (
    "It is about workers and work pools, and penstock has none: remove it. `penstock recover"
    " --watch` executes the runs that wait for a process."
)
_SCHEDULES = "It is about the schedules of deployments, and penstock has none: remove it."
_EVENTS = "It is about events, and penstock emits none: remove it."
_SHIPPING = "Logs are recorded with the run that they are of, and not sent in batches: remove it."

_ABOUT = (
    ("API_REQUEST_TIMEOUT", _REQUESTS),
    ("CLIENT_", _REQUESTS),
    ("EXPERIMENTAL_ENABLE_TASK_SCHEDULING", _BACKGROUND),
    ("TASK_SCHEDULING_", _BACKGROUND),
    ("WORKER_", _WORKERS),
    ("DEFAULT_WORK_POOL_NAME", _WORKERS),
    ("AGENT_", _WORKERS),
    ("API_SERVICES_SCHEDULER_", _SCHEDULES),
    ("API_SERVICES_LATE_RUNS_", _SCHEDULES),
    ("EXPERIMENTAL_EVENTS", _EVENTS),
    ("EVENTS_", _EVENTS),
    ("API_SERVICES_", _SERVER),
    ("SERVER_", _SERVER),
    ("CLOUD_", _SERVER),
    ("API_KEY", _SERVER),
    ("LOGGING_TO_API_BATCH_", _SHIPPING),
)
"""How the names begin, without the prefix; the first that fits counts."""


def hint(name: str, known: Iterable[str]) -> str:
    """Say what is probably meant by the full name of a setting that there is not.

    Args:
        name: The name.
        known: The names there are.

    Returns:
        A sentence or two.
    """
    bare = name.removeprefix(PREFIX)
    names = {each.removeprefix(PREFIX): each for each in known}
    close = _closest(bare, names, cutoff=0.85)
    if close:  # a slip of the pen, whatever the name begins with
        return f"Did you mean {close}?"
    for beginning, reason in _ABOUT:
        if bare.startswith(beginning):
            return reason
    close = _closest(bare, names, cutoff=0.65)
    if close:
        return f"Did you mean {close}?"
    return "`penstock config view --sources` lists all there are."


def _closest(bare: str, names: dict[str, str], cutoff: float) -> str | None:
    import difflib

    close = difflib.get_close_matches(bare, names, n=1, cutoff=cutoff)
    return names[close[0]] if close else None
