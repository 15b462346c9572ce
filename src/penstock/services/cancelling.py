"""What cancelled flow runs have left: task runs and subflow runs that are not final (4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from penstock.client.transitions import cancel_what_a_run_leaves
from penstock.ids import id_from_bytes, key_at
from penstock.records import FlowRun
from penstock.services import statements as own_sql

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.store import Store

LOOK_BACK_S = 86_400.0
"""For how long after its cancellation a flow run is looked at."""

MADE_WITHIN_S = 30 * 86_400.0
"""Flow runs that were made longer ago are not looked at: their cancellation has seen to it."""

PAGE_RUNS = 500
"""The most flow runs that one pass looks at; what is left is found by the next one."""

BATCH_RUNS = 500
"""The most task runs, and subflow runs, of one flow run that are dealt with in one pass."""


class CleanedUp(NamedTuple):
    """A run that a cancelled flow run had left, and what became of it."""

    kind: str
    """`flow run` or `task run`."""
    id: UUID
    name: str
    state_name: str
    """Cancelled; or Cancelling, of a flow run that a process executes, which was asked to."""


def clean_up_cancelled(store: Store, now: float) -> list[CleanedUp]:
    """Cancel the runs that flow runs have left which were cancelled in the last day.

    Parameters:
        store: where to look.
        now: the present time, in seconds since the epoch.

    Returns:
        What was cancelled, or asked to be.
    """
    made_after = key_at(now - MADE_WITHIN_S)
    values = (made_after, now - LOOK_BACK_S, PAGE_RUNS)
    found = store.read(own_sql.FIND_CANCELLED_WITH_LEFT, values)
    cleaned: list[CleanedUp] = []
    for (key,) in found:
        for run, state in cancel_what_a_run_leaves(store, id_from_bytes(key), limit=BATCH_RUNS):
            kind = "flow run" if isinstance(run, FlowRun) else "task run"
            cleaned.append(CleanedUp(kind, run.id, run.name, state.name))
    return cleaned
