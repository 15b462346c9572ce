"""Says what is wrong: with a forbidden move, or with a run whose books do not add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.exceptions import IllegalTransition
from penstock.records import FlowRun

if TYPE_CHECKING:
    from penstock.records import Run
    from penstock.states import State

RECENT_STATES = 5
"""How many of a run's last states an error message names."""


def illegal(run: Run, proposed: State, reason: str | None = None) -> IllegalTransition:
    """Make the error that says which move of which run is forbidden, and how the run got here.

    Parameters:
        run: the run as it is now.
        proposed: the state it was to come into.
        reason: why it cannot, if that is known.
    """
    present = "has no state" if run.state is None else f"is in state {run.state}"
    why = f": {reason.rstrip('.')}" if reason else ""
    return IllegalTransition(
        f"{_title(run)} {present} and cannot go to {proposed}{why}. {_recent(run)}"
    )


def _title(run: Run) -> str:
    kind = "Flow run" if isinstance(run, FlowRun) else "Task run"
    return f"{kind} {run.name!r} ({run.id})"


def _recent(run: Run) -> str:
    if not run.history:
        return "It has no history."
    shown = run.history[-RECENT_STATES:]
    skipped = len(run.history) - len(shown)
    states = [f"{state.name} at {state.timestamp.isoformat()}" for state in shown]
    if skipped:
        states.insert(0, f"{skipped} more")
    return f"Its history: {', '.join(states)}."
