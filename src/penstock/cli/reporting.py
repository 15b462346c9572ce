"""How a run ended, what failed in it and where, and the command that goes on from there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
from penstock.cli.visible import visible_line
from penstock.states import StateType
from penstock.store import encoding, failures
from penstock.store import statements as sql
from penstock.utilities.tracebacks import Place, last_place_in

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.records import FlowRun
    from penstock.store import Store

_EXIT_CODES = {
    StateType.COMPLETED: EXIT_COMPLETED,
    StateType.FAILED: EXIT_FAILED,
    StateType.CRASHED: EXIT_CRASHED,
    StateType.CANCELLED: EXIT_CANCELLED,
    StateType.CANCELLING: EXIT_CANCELLED,
    StateType.PAUSED: EXIT_PAUSED,
}
_SHOWN_LIMIT = 5
"""The most task runs that a summary names."""
_ERRORS_LIMIT = 5
"""The most log records of a run that are searched for the place of its error."""


class _Failure(NamedTuple):
    """A task run that went wrong."""

    id: str
    name: str
    state_name: str
    message: str
    place: Place | None


def exit_code_of(run: FlowRun) -> int:
    """Give the exit code for the state that a run is in."""
    return _EXIT_CODES.get(run.state_type or StateType.CRASHED, EXIT_CRASHED)


def title_of_run(run: FlowRun) -> str:
    """Name a flow run: by its name and id."""
    return f"Flow run {run.name!r} ({run.id})"


def report(store: Store, run: FlowRun, *, quiet: bool = False) -> None:
    """Say how a run ended: its state, counts, what failed and where, and how to go on.

    Parameters:
        store: where it is recorded.
        run: the flow run, as it is recorded now.
        quiet: say nothing of one that completed.
    """
    state = run.state
    if quiet and state is not None and state.is_completed():
        return
    name = "no state" if state is None else state.name
    took = f" after {duration(run.run_time_s)}" if run.start_time is not None else ""
    message = f": {visible_line(state.message)}" if state is not None and state.message else ""
    rests = state is not None and (state.is_final() or state.is_paused() or state.is_scheduled())
    deed = "ended" if rests else "was left"
    write(f"{title_of_run(run)} of flow {run.flow_name!r} {deed} in state {name}{took}{message}\n")
    counts = _counts(store, run.id)
    if counts:
        write(f"Task runs: {', '.join(f'{n} {name}' for name, n in counts.items())}\n")
    if state is not None and (state.is_failed() or state.is_crashed()):
        _report_failures(store, run)
    if state is not None and state.is_paused():
        write(_what_it_waits_for(run))
    command = _how_to_go_on(run)
    if command:
        write(f"Go on with it: {command}\n")


def _counts(store: Store, run_id: UUID) -> dict[str, int]:
    counts: dict[str, int] = {}
    for state_type, name, number in store.read(sql.COUNT_TASK_RUNS_BY_STATE, (run_id.bytes,)):
        counts[name or state_type] = counts.get(name or state_type, 0) + number
    return counts


def _report_failures(store: Store, run: FlowRun) -> None:
    failed = _failures(store, run.id)
    of_flow = _place_of_flow(store, run.id)
    if of_flow is not None and of_flow not in [each.place for each in failed]:
        write(f"  {_shown(of_flow)}\n")
    for each in failed[:_SHOWN_LIMIT]:
        write(f"{each.state_name}: {visible_line(each.name)}: {visible_line(each.message)}\n")
        if each.place is not None:
            write(f"  {_shown(each.place)}\n")
    if len(failed) > _SHOWN_LIMIT:
        write(f"and more: penstock flow-run inspect {run.id}\n")


def _failures(store: Store, run_id: UUID) -> list[_Failure]:
    rows = store.read(failures.READ_FAILED_TASK_RUNS, (run_id.bytes, _SHOWN_LIMIT + 1))
    found: list[_Failure] = []
    for each in map(encoding.task_run_from_row, rows):
        values = (run_id.bytes, each.id.bytes, _ERRORS_LIMIT)
        place = _place_in(store.read(failures.READ_ERRORS_OF_TASK_RUN, values))
        message = "" if each.state is None else each.state.message or ""
        found.append(_Failure(str(each.id), each.name, each.state_name or "", message, place))
    return found


def _place_of_flow(store: Store, run_id: UUID) -> Place | None:
    return _place_in(store.read(failures.READ_ERRORS_OF_FLOW, (run_id.bytes, _ERRORS_LIMIT)))


def _place_in(rows: list[tuple[str]]) -> Place | None:
    for (text,) in rows:
        place = last_place_in(text)
        if place is not None:
            return place
    return None


def _shown(place: Place) -> str:
    # Only where something failed.
    import linecache

    file = Path(place.file)
    if file.is_relative_to(Path.cwd()):
        file = file.relative_to(Path.cwd())
    text = linecache.getline(place.file, place.line or 0).strip()
    return visible_line(f"{file}, line {place.line}" + (f": {text}" if text else ""))


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
    failed = _failures(store, run.id) if is_failed else []
    of_flow = _place_of_flow(store, run.id) if is_failed else None
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
                for each in failed[:_SHOWN_LIMIT]
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
