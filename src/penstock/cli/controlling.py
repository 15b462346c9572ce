"""`penstock flow-run pause | suspend`: what is asked of runs that other processes execute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.failing import CommandError
from penstock.cli.finding import find_flow_run
from penstock.cli.output import write
from penstock.cli.ownership import ownership_of
from penstock.cli.stores import existing_store
from penstock.engine.pausing import ask_to_pause
from penstock.states import Paused, Suspended
from penstock.store import get_store

if TYPE_CHECKING:
    from penstock.cli.ownership import Ownership
    from penstock.records import FlowRun
    from penstock.states import State


def pause_flow_run(reference: str, timeout_s: float | None) -> None:
    """Have a flow run rest in its process when its next task run wants to begin.

    Parameters:
        reference: which; see `find_flow_run`.
        timeout_s: seconds from now after which it fails if it is not resumed; none for never.

    Raises:
        CommandError: it cannot be told which run is meant, or it cannot be paused.
    """
    run, ownership = _executed(reference, "pause")
    _ask(run, Paused(timeout_seconds=timeout_s))
    write(
        f"{title_of(run)} was asked to pause: it rests in {ownership.title} when its next task"
        f" wants to begin.\nLet it go on: penstock flow-run resume {run.id}\n"
    )


def suspend_flow_run(reference: str, timeout_s: float | None) -> None:
    """Have a flow run leave its process when its next task run wants to begin.

    Parameters and errors are those of `pause_flow_run`.
    """
    run, ownership = _executed(reference, "be suspended")
    _ask(run, Suspended(timeout_seconds=timeout_s))
    write(
        f"{title_of(run)} was asked to leave {ownership.title}: it does when its next task wants"
        f" to begin.\nGo on with it: penstock flow-run resume {run.id}\n"
    )


def _executed(reference: str, deed: str) -> tuple[FlowRun, Ownership]:
    """Give a run that a process executes, and that process."""
    store = existing_store()
    run = store.read_flow_run(find_flow_run(store, reference))
    ownership = ownership_of(store, run)
    if not ownership.is_alive:
        name = "no state" if run.state is None else f"state {run.state.name}"
        message = f"{title_of(run)} is in {name}, and no process executes it: it cannot {deed}."
        raise CommandError(message)
    return run, ownership


def _ask(run: FlowRun, paused: State) -> None:
    try:
        ask_to_pause(get_store(), run.id, paused)
    except RuntimeError as error:
        raise CommandError(str(error)) from error


def title_of(run: FlowRun) -> str:
    """Name a flow run as the commands do."""
    return f"Flow run {run.name!r} ({run.id})"
