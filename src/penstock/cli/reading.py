"""`penstock flow-run inspect`: what is recorded of a flow run.

Reads by named SQL, a page at a time; neither SQLAlchemy nor pydantic is imported for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from penstock.cli.finding import find_flow_run
from penstock.cli.listing import took_of
from penstock.cli.objects import (
    child_of,
    flow_run_object,
    state_object,
    task_run_object,
)
from penstock.cli.output import (
    here,
    write,
    write_fields,
    write_json_of_many,
    write_table,
)
from penstock.cli.ownership import ownership_of, why_it_waits
from penstock.cli.stores import existing_store
from penstock.cli.timeline import draw_timeline
from penstock.cli.visible import visible_line
from penstock.store import encoding
from penstock.store import statements as sql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from penstock.cli.ownership import Ownership
    from penstock.records import FlowRun, TaskRun
    from penstock.states import State
    from penstock.store import Store

PAGE = 200
_SMALLEST_ID = bytes(16)


# -- inspect --------------------------------------------------------------------------------------


def inspect_flow_run(
    reference: str, task_limit: int, *, states: bool, timeline: bool, as_json: bool
) -> None:
    """Print all there is to know of a flow run.

    Parameters:
        reference: which; see `find_flow_run`.
        task_limit: the most task runs to print for people.
        states: print each state of each task run, too.
        timeline: draw what was executed when, in place of the lists.
        as_json: print a list with one object for programs.

    Raises:
        CommandError: it cannot be told which is meant.
    """
    store = existing_store()
    run = store.read_flow_run(find_flow_run(store, reference))
    ownership = ownership_of(store, run)
    if as_json:
        whole = flow_run_object(run, ownership) | {
            "waiting_for": why_it_waits(run, ownership),
            "states": [state_object(state) for state in run.history],
        }
        task_runs = (_task_run_object(each, states=states) for each in _task_runs(store, run.id))
        write_json_of_many(whole, "task_runs", task_runs)
        return
    write_fields(_fields_of(run, ownership))
    if timeline:
        draw_timeline(run, _task_runs(store, run.id), is_alive=ownership.is_alive)
        return
    if run.parameters:
        write("\nParameters\n")
        write_fields((f"  {name}", _as_text(value)) for name, value in run.parameters.items())
    write("\nStates\n")
    write_table(("  Time", "State", "Message"), [state_row(state) for state in run.history])
    if states:
        _write_states_of_task_runs(store, run.id, task_limit)
    else:
        _write_task_runs(store, run.id, task_limit, is_alive=ownership.is_alive)


def _task_run_object(run: TaskRun, *, states: bool) -> dict[str, Any]:
    made = task_run_object(run)
    return made | {"states": [state_object(state) for state in run.history]} if states else made


def _write_states_of_task_runs(store: Store, flow_run_id: UUID, limit: int) -> None:
    for number, run in enumerate(_task_runs(store, flow_run_id)):
        if number == limit:
            write("\n... and more. Give --tasks with a greater number to see them, or --json.\n")
            return
        write(f"\nTask run {visible_line(run.name)} ({run.id})\n")
        write_table(("  Time", "State", "Message"), [state_row(state) for state in run.history])


def _fields_of(run: FlowRun, ownership: Ownership) -> list[tuple[str, str]]:
    state = run.state
    return [
        ("Flow run", run.name),
        ("ID", str(run.id)),
        ("Flow", run.flow_name),
        ("State", "" if state is None else state.name),
        ("Message", "" if state is None else state.message or ""),
        ("Waits", why_it_waits(run, ownership) or ""),
        ("Go on", _how_to_go_on(run)),
        ("Created", here(run.created)),
        ("Started", here(run.start_time)),
        ("Ended", here(run.end_time)),
        ("Took", took_of(run, is_alive=ownership.is_alive)),
        ("Attempts", str(run.run_count)),
        ("Tags", ", ".join(run.tags)),
        ("Subflow of task run", str(run.parent_task_run_id or "")),
        ("Entrypoint", run.entrypoint or ""),
    ]


def _how_to_go_on(run: FlowRun) -> str:
    """Say what can be done with a run that is over and did not complete."""
    state = run.state
    if state is None or not (state.is_failed() or state.is_crashed()):
        return ""
    if run.parent_task_run_id is not None:
        return "With its parent, of which it is a subflow run."
    return f"penstock flow-run resume {run.id}"


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def state_row(state: State) -> tuple[str, str, str]:
    """Give a state as a row: when the run came into it, its name, its message."""
    moment = state.timestamp.astimezone()
    message = state.message or ""
    scheduled = state.state_details.scheduled_time
    if scheduled is not None and scheduled > state.timestamp:
        message = f"{message} (for {here(scheduled)})".strip()
    return (f"  {moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03}", state.name, message)


def _task_runs(store: Store, flow_run_id: UUID) -> Iterator[TaskRun]:
    """Give the task runs of a flow run in the order they were made, without their results."""
    after = _SMALLEST_ID
    while True:
        rows = store.read(sql.SHOW_TASK_RUNS, (flow_run_id.bytes, after, PAGE))
        for row in rows:
            yield encoding.task_run_from_row(row)
        if len(rows) < PAGE:
            return
        after = rows[-1][1]


def _write_task_runs(store: Store, flow_run_id: UUID, limit: int, *, is_alive: bool) -> None:
    counts = store.read(sql.COUNT_TASK_RUNS_BY_STATE, (flow_run_id.bytes,))
    total = sum(count for _type, _name, count in counts)
    if not total:
        write("\nNo task runs are recorded.\n")
        return
    write(f"\nTask runs: {', '.join(f'{count} {name}' for _type, name, count in counts)}\n")
    if total <= limit:
        runs = list(_task_runs(store, flow_run_id))
    else:
        rows = store.read(sql.SHOW_TASK_RUNS_THAT_MATTER, (flow_run_id.bytes, limit))
        runs = [encoding.task_run_from_row(row) for row in rows]
    headings = ("  Name", "State", "Started", "Took", "Runs", "Message")
    write_table(headings, [_task_row(run, is_alive=is_alive) for run in runs])
    if total > limit:
        write(
            f"  ... and {total - limit} more. Give --tasks {total} to see them all, or --json.\n"
        )


def _task_row(run: TaskRun, *, is_alive: bool) -> tuple[str, ...]:
    message = "" if run.state is None else run.state.message or ""
    child = child_of(run)
    if child is not None:
        message = f"{message} (flow run {child})".strip()
    return (
        f"  {run.name}",
        run.state_name or "",
        here(run.start_time),
        took_of(run, is_alive=is_alive),
        str(run.run_count),
        message,
    )
