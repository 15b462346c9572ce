"""`penstock task-run ls | inspect`: what is recorded of task runs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from penstock.cli.choosing import chosen_states, is_of_task, title_of_task
from penstock.cli.finding import find_flow_run, find_task_run
from penstock.cli.listing import took_of
from penstock.cli.objects import child_of, state_object, task_run_object
from penstock.cli.output import (
    here,
    write,
    write_fields,
    write_json,
    write_runs,
    write_table,
)
from penstock.cli.ownership import ownership_of
from penstock.cli.reading import state_row
from penstock.cli.stores import existing_store
from penstock.store import encoding, listing
from penstock.store.encoding import NO_FLOW_RUN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.records import TaskRun
    from penstock.store import Store

PAGE = 200
"""How many task runs are read at once."""


def list_task_runs(
    reference: str,
    states: Sequence[str],
    task: str | None,
    limit: int,
    after: str | None,
    *,
    as_json: bool,
) -> None:
    """Print the task runs of a flow run, in the order in which they were made.

    Parameters:
        reference: which flow run; see `find_flow_run`.
        states: names or types of states; any of them.
        task: only those of this task.
        limit: the most to print.
        after: the task run after which to go on.
        as_json: print objects for programs.

    Raises:
        CommandError: what was typed means no run, or no state.
    """
    store = existing_store()
    run = store.read_flow_run(find_flow_run(store, reference))
    chosen = chosen_states(store, states)
    last = bytes(16) if after is None else find_task_run(store, after, run.id).bytes
    found = _read(store, run.id.bytes, last, chosen, task)
    if as_json:
        write_json(task_run_object(each) for each, _ in zip(found, range(limit), strict=False))
        return
    runs = [each for each, _ in zip(found, range(limit + 1), strict=False)]
    if not runs:
        is_all = not states and task is None and after is None
        write("No task runs are recorded of it.\n" if is_all else "No task run is such a one.\n")
        return
    is_alive = ownership_of(store, run).is_alive
    rows = [
        (
            str(each.id),
            each.name,
            each.state_name or "",
            here(each.start_time),
            took_of(each, is_alive=is_alive),
            str(each.run_count),
        )
        for each in runs[:limit]
    ]
    write_runs(("ID", "Name", "State", "Started", "Took", "Runs"), rows)
    if len(runs) > limit:
        parts = ["penstock", "task-run", "ls", str(run.id)]
        for state in chosen:
            parts += ["--state", state]
        parts += [] if task is None else ["--task", task]
        parts += ["--limit", str(limit), "--after", str(runs[limit - 1].id)]
        write(f"More: {shlex.join(parts)}\n")


def _read(
    store: Store, key: bytes, after: bytes, states: Sequence[str], task: str | None
) -> Iterator[TaskRun]:
    while True:
        rows = listing.read_task_runs(store, key, after, PAGE, states)
        for row in rows:
            if task is None or is_of_task(task, row[4], row[2]):
                yield encoding.task_run_from_row(row)
        if len(rows) < PAGE:
            return
        after = bytes(rows[-1][1])


def inspect_task_run(reference: str, flow_run: str, *, as_json: bool) -> None:
    """Print all there is to know of a task run.

    Parameters:
        reference: which; see `find_task_run`.
        flow_run: to which flow run it belongs, where `reference` is not its whole id.
        as_json: print a list with one object for programs.

    Raises:
        CommandError: it cannot be told which is meant.
    """
    store = existing_store()
    run = read_task_run(store, reference, flow_run)
    result = None if run.state is None else run.state.data
    description = getattr(result, "artifact_description", None)
    if as_json:
        inputs = {
            name: [str(each.id) for each in given] for name, given in run.task_inputs.items()
        }
        more: dict[str, Any] = {
            "task_inputs": inputs,
            "result_type": getattr(result, "type", None),
            "result_description": description,
            "states": [state_object(state) for state in run.history],
        }
        write_json([task_run_object(run) | more])
        return
    is_alive = False
    owner = ""
    if run.flow_run_id is not None:
        flow_run_of_it = store.read_flow_run(run.flow_run_id)
        owner = f"{flow_run_of_it.name} ({flow_run_of_it.id})"
        is_alive = ownership_of(store, flow_run_of_it).is_alive
    state = run.state
    write_fields(
        [
            ("Task run", run.name),
            ("ID", str(run.id)),
            ("Task", title_of_task(run.task_key)),
            ("Flow run", owner),
            ("Subflow run", str(child_of(run) or "")),
            ("State", "" if state is None else state.name),
            ("Message", "" if state is None else state.message or ""),
            ("Created", here(run.created)),
            ("Started", here(run.start_time)),
            ("Ended", here(run.end_time)),
            ("Took", took_of(run, is_alive=is_alive)),
            ("Attempts", str(run.run_count)),
            ("Tags", ", ".join(run.tags)),
            ("Cache key", run.cache_key or ""),
            ("Result", description or "None is recorded."),
        ]
    )
    if any(run.task_inputs.values()):
        write("\nInputs from task runs\n")
        write_fields(
            (f"  {name}", ", ".join(_name_of(store, run, each.id.bytes) for each in given) or "-")
            for name, given in run.task_inputs.items()
        )
    write("\nStates\n")
    write_table(("  Time", "State", "Message"), [state_row(state) for state in run.history])


def read_task_run(store: Store, reference: str, flow_run: str) -> TaskRun:
    """Give the task run that is meant, with its result.

    Raises:
        CommandError: it cannot be told which.
    """
    return store.read_task_run(find_task_run(store, reference, flow_run))


def _name_of(store: Store, run: TaskRun, key: bytes) -> str:
    owner = NO_FLOW_RUN if run.flow_run_id is None else run.flow_run_id.bytes
    rows = store.read(listing.READ_TASK_RUN_NAME, (owner, key))
    return rows[0][0] if rows else key.hex()
