"""How a run ended, what failed in it and where, and the command that goes on from there."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from penstock.cli.failed import (
    READ_LIMIT,
    grouped,
    place_of_flow,
    read_failures,
    shown_place,
    told,
)
from penstock.cli.failing import (
    EXIT_CANCELLED,
    EXIT_COMPLETED,
    EXIT_CRASHED,
    EXIT_FAILED,
    EXIT_PAUSED,
)
from penstock.cli.objects import flow_run_object
from penstock.cli.output import duration, here, write, write_document
from penstock.cli.ownership import ownership_of
from penstock.logging.colors import takes_color
from penstock.states import StateType
from penstock.store import failures
from penstock.store import statements as sql

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.cli.failed import Failure
    from penstock.records import FlowRun
    from penstock.store import Store
    from penstock.utilities.tracebacks import Place

_EXIT_CODES = {
    StateType.COMPLETED: EXIT_COMPLETED,
    StateType.FAILED: EXIT_FAILED,
    StateType.CRASHED: EXIT_CRASHED,
    StateType.CANCELLED: EXIT_CANCELLED,
    StateType.CANCELLING: EXIT_CANCELLED,
    StateType.PAUSED: EXIT_PAUSED,
}
_SHOWN_LIMIT = 5
"""The most failures that a summary tells apart."""
_STYLES = {
    StateType.COMPLETED: "32",
    StateType.FAILED: "31",
    StateType.CRASHED: "35",
    StateType.CANCELLED: "33",
    StateType.CANCELLING: "33",
    StateType.PAUSED: "36",
}
"""The numbers of the colours that a terminal shows states in."""


def exit_code_of(run: FlowRun) -> int:
    """Give the exit code for the state that a run is in."""
    return _EXIT_CODES.get(run.state_type or StateType.CRASHED, EXIT_CRASHED)


def title_of_run(run: FlowRun) -> str:
    """Name a flow run: by its name and id."""
    return f"Flow run {run.name!r} ({run.id})"


def report(store: Store, run: FlowRun, *, quiet: bool = False, began: float | None = None) -> None:
    """Say how a run ended: its state, counts, what failed and where, and how to go on.

    Parameters:
        store: where it is recorded.
        run: the flow run, as it is recorded now.
        quiet: say nothing of one that completed.
        began: when this execution of it began, in seconds since the epoch; none if there was none.
    """
    state = run.state
    if quiet and state is not None and state.is_completed():
        return
    name = "no state" if state is None else _painted(state.name, state.type)
    took = f" after {duration(run.run_time_s)}" if run.start_time is not None else ""
    said = "" if state is None else told(state.message or "")
    message = f": {said}" if said else ""
    rests = state is not None and (state.is_final() or state.is_paused() or state.is_scheduled())
    deed = "ended" if rests else "was left"
    write(f"{title_of_run(run)} of flow {run.flow_name!r} {deed} in state {name}{took}{message}\n")
    is_failed = state is not None and (state.is_failed() or state.is_crashed())
    failed = read_failures(store, run.id, READ_LIMIT) if is_failed else []
    of_flow = place_of_flow(store, run.id) if is_failed else None
    if of_flow is not None and of_flow not in [each.place for each in failed]:
        write(f"  {shown_place(of_flow)}\n")
    _report_counts(store, run, began)
    if failed:
        _report_failures(store, run, failed)
    if state is not None and state.is_paused():
        write(_what_it_waits_for(run))
    command = _how_to_go_on(run)
    if command:
        write(f"Go on with it: {command}\n")


def _painted(text: str, state_type: StateType) -> str:
    style = _STYLES.get(state_type)
    return f"\x1b[{style}m{text}\x1b[0m" if style and takes_color(sys.stdout) else text


def _report_counts(store: Store, run: FlowRun, began: float | None) -> None:
    counts = _counts(store, run.id)
    if not counts:
        return
    before = 0
    if began is not None:
        before = store.read(failures.COUNT_COMPLETED_BEFORE, (run.id.bytes, began))[0][0]
    earlier = f"; {before} had completed before" if before else ""
    write(f"Task runs: {', '.join(f'{n} {name}' for name, n in counts.items())}{earlier}\n")


def _counts(store: Store, run_id: UUID) -> dict[str, int]:
    counts: dict[str, int] = {}
    for state_type, name, number in store.read(sql.COUNT_TASK_RUNS_BY_STATE, (run_id.bytes,)):
        counts[name or state_type] = counts.get(name or state_type, 0) + number
    return counts


def _report_failures(store: Store, run: FlowRun, failed: list[Failure]) -> None:
    """Tell what failed, each thing once, and each line of code once after what failed there."""
    groups = grouped(failed)[:_SHOWN_LIMIT]
    for group, following in zip(groups, [*groups[1:], None], strict=True):
        style = StateType.CRASHED if group.state_name == "Crashed" else StateType.FAILED
        write(f"{_painted(group.state_name, style)}: {group.title()}: {group.what}\n")
        if group.place is not None and (following is None or following.place != group.place):
            write(f"  {shown_place(group.place)}\n")
    total: int = store.read(failures.COUNT_FAILED_TASK_RUNS, (run.id.bytes,))[0][0]
    more = total - sum(len(group.names) for group in groups)
    if more > 0:
        write(f"and {more} more: penstock task-run ls {run.id} --state failed --state crashed\n")


def _what_it_waits_for(run: FlowRun) -> str:
    assert run.state is not None
    details = run.state.state_details
    if details.run_input_keyset is None and "resume" in (run.state.message or ""):
        return ""  # it says so itself
    until = f" until {here(details.pause_timeout)}" if details.pause_timeout else ""
    if details.run_input_keyset is None:
        return f"It waits{until} for somebody to resume it.\n"
    return (
        f"It waits{until} for somebody to give it input: `penstock flow-run inspect {run.id}`"
        " says what it wants.\n"
    )


def _how_to_go_on(run: FlowRun) -> str | None:
    state = run.state
    if state is None or state.is_completed() or state.is_cancelled() or run.start_time is None:
        return None
    given = " --input NAME=VALUE" if state.state_details.run_input_keyset is not None else ""
    return f"penstock flow-run resume {run.id}{given if state.is_paused() else ''}"


def report_as_json(store: Store, run: FlowRun, result: Any) -> None:
    """Print the same as one JSON object.

    Parameters:
        store: where the run is recorded.
        run: the flow run, as it is recorded now.
        result: what the flow returned; `result` is null where JSON cannot hold it.
    """
    is_failed = run.state is not None and (run.state.is_failed() or run.state.is_crashed())
    failed = read_failures(store, run.id, _SHOWN_LIMIT) if is_failed else []
    of_flow = place_of_flow(store, run.id) if is_failed else None
    write_document(
        flow_run_object(run, ownership_of(store, run))
        | {
            "duration_s": run.run_time_s,
            "result": _as_json(result),
            "result_type": type(result).__qualname__,
            "task_run_counts": _counts(store, run.id),
            "failed_at": _place_object(of_flow),
            "failed_task_runs": [
                {
                    "id": each.id,
                    "name": each.name,
                    "state_name": each.state_name,
                    "state_message": each.message,
                    "failed_at": _place_object(each.place),
                }
                for each in failed
            ],
            "go_on": _how_to_go_on(run),
            "exit_code": exit_code_of(run),
        }
    )


def _place_object(place: Place | None) -> dict[str, Any] | None:
    return None if place is None else {"file": place.file, "line": place.line}


def _as_json(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return None
