"""`penstock flow-run ls`: which flow runs there are, a page at a time, the newest first."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from penstock.cli.choosing import as_option, chosen_flow, chosen_states, chosen_time
from penstock.cli.finding import find_flow_run
from penstock.cli.objects import flow_run_object
from penstock.cli.output import duration, here, write, write_json, write_runs
from penstock.cli.ownership import ownership_in
from penstock.cli.stores import existing_store, has_store, is_empty_without_store
from penstock.store import encoding, listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.cli.ownership import Ownership
    from penstock.records import FlowRun, TaskRun
    from penstock.store import Store

PAGE = 200
"""How many runs are read at once."""

_NO_STORE = "There are no flow runs in the store {place!r} yet."


class Filters(NamedTuple):
    """What was typed to choose the runs; see `penstock flow-run ls --help`."""

    states: Sequence[str] = ()
    flow: str | None = None
    tags: Sequence[str] = ()
    since: str | None = None
    until: str | None = None
    after: str | None = None


def list_flow_runs(filters: Filters, limit: int, *, as_json: bool) -> None:
    """Print flow runs, the newest first.

    Parameters:
        filters: which.
        limit: the most to print.
        as_json: print objects for programs.

    Raises:
        CommandError: what was typed means no state, no flow, no time or no run.
    """
    if filters.flow is None and filters.after is None and not has_store():
        chosen_states(None, filters.states)
        chosen_time(filters.since, "--since")
        chosen_time(filters.until, "--until")
        is_empty_without_store(_NO_STORE, as_json=as_json)
        return
    store = existing_store()
    wanted = _wanted(store, filters)
    if as_json:
        runs = _read(store, wanted, limit)
        write_json(flow_run_object(run, ownership) for run, ownership in runs)
        return
    runs = list(_read(store, wanted, limit + 1))
    if not runs:
        _write_nothing(store, wanted)
        return
    shown = runs[:limit]
    rows = [_row_of(run, ownership) for run, ownership in shown]
    write_runs(("ID", "Name", "Flow", "State", "Created", "Took"), rows)
    if len(runs) > limit:
        write(f"Older runs: {_next_page(wanted, shown[-1][0], limit)}\n")


def _wanted(store: Store, filters: Filters) -> listing.Wanted:
    return listing.Wanted(
        chosen_states(store, filters.states),
        chosen_flow(store, filters.flow),
        filters.tags,
        chosen_time(filters.since, "--since"),
        chosen_time(filters.until, "--until"),
        None if filters.after is None else find_flow_run(store, filters.after).bytes,
    )


def _read(store: Store, wanted: listing.Wanted, limit: int) -> Iterator[tuple[FlowRun, Ownership]]:
    left = limit
    while left > 0:
        rows = listing.read_flow_runs(store, wanted, min(left, PAGE))
        for row in rows:
            run = encoding.flow_run_from_row(row)
            yield run, ownership_in(row, run)
        if len(rows) < min(left, PAGE):
            return
        wanted, left = wanted._replace(after=bytes(rows[-1][0])), left - len(rows)


def _write_nothing(store: Store, wanted: listing.Wanted) -> None:
    if wanted == listing.Wanted(states=[]):
        write(f"There are no flow runs in the store {store.place!r} yet.\n")
    else:
        write(f"No flow run in the store {store.place!r} is such a one.\n")


def _next_page(wanted: listing.Wanted, last: FlowRun, limit: int) -> str:
    parts = ["penstock", "flow-run", "ls"]
    for state in wanted.states:
        parts += ["--state", state]
    if wanted.flow is not None:
        parts += ["--flow", wanted.flow]
    for tag in wanted.tags:
        parts += ["--tag", tag]
    if wanted.since is not None:
        parts += ["--since", as_option(wanted.since)]
    parts += ["--limit", str(limit), "--after", str(last.id)]
    return shlex.join(parts)


def _row_of(run: FlowRun, ownership: Ownership) -> tuple[str, ...]:
    flow = run.flow_name if run.parent_task_run_id is None else f"{run.flow_name} (subflow)"
    state = run.state_name or ""
    if ownership.owner is not None and not ownership.is_alive:
        state = f"{state} (its process is gone)"
    took = took_of(run, is_alive=ownership.is_alive)
    return (str(run.id), run.name, flow, state, here(run.created), took)


def took_of(run: FlowRun | TaskRun, *, is_alive: bool = True) -> str:
    """Give for how long a run was executed; of one that is being executed, until now."""
    if run.start_time is None:
        return ""
    is_running = run.state is not None and run.state.is_running()
    if is_running and not is_alive:
        return duration(run.run_time_s) if run.run_time_s else ""
    spent_s = max(run.estimated_run_time.total_seconds(), 0.0)
    return f"{duration(spent_s)} so far" if is_running else duration(spent_s)
