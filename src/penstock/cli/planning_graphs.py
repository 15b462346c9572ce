"""The plan of going on with a graph: its tasks are kept or not by the states of those before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.visible import visible_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from penstock.records import FlowRun, TaskRun
    from penstock.states import State

Deed = tuple[str, str]
"""What becomes of a task run (`take`, `execute`, `go on`), and why."""

_ONLY_IN_GRAPHS = frozenset(("Mapped", "Skipped", "TriggerFailed", "Looped", "Resume"))
_TAKE: Deed = ("take", "")
_COMES_AFTER: Deed = ("execute", "it comes after what is executed again")


def is_of_graph(task_runs: Iterable[TaskRun]) -> bool:
    """Tell by its records whether a flow run is a graph's, as far as that makes a difference."""
    return any(
        each.state_name in _ONLY_IN_GRAPHS
        or (each.state is not None and each.state.state_details.graph is not None)
        for each in task_runs
    )


def deeds_in_graph(
    flow_run: FlowRun, task_runs: Iterable[TaskRun], alone: Callable[[TaskRun], Deed]
) -> list[Deed]:
    """Say for each task run of a graph what going on with the graph's run makes of it.

    Parameters:
        flow_run: the graph's run.
        task_runs: the latest of each task and mapped child, each after those it comes after.
        alone: says it of a completed run, and of one that a task has called.
    """
    runs = list(task_runs)
    parents = {each.task_key: each.id for each in runs if each.dynamic_key == "0"}
    anew: set[UUID] = set()
    in_part: set[UUID] = set()
    deeds: list[Deed] = []
    for run in runs:
        if "@" in run.dynamic_key:
            deeds.append(alone(run))
            continue
        parent = parents.get(run.task_key) if run.dynamic_key != "0" else None
        sources = {each.id for given in run.task_inputs.values() for each in given}
        follows = parent in anew or not sources.isdisjoint(anew)
        if run.state_name != "Mapped":  # a map over a map follows it child by child
            follows = follows or not sources.isdisjoint(in_part)
        deed = _COMES_AFTER if follows else _deed(flow_run, run, alone)
        deeds.append(deed)
        if deed[0] != "take":
            anew.add(run.id)
            if parent is not None:
                in_part.add(parent)
    return deeds


def _deed(flow_run: FlowRun, run: TaskRun, alone: Callable[[TaskRun], Deed]) -> Deed:
    state = run.state
    if state is None:
        return alone(run)
    if state.name == "Mapped" or (state.name == "Skipped" and state.data is None):
        return _TAKE
    if state.is_completed():
        return alone(run)
    if state.is_failed():
        has_failed = flow_run.state is not None and flow_run.state.is_failed()
        return ("execute", f"it is {_shown(state)}") if has_failed else _TAKE
    if state.is_paused() or state.is_scheduled():
        return "go on", f"it is {_shown(state)}"
    verb = "is" if state.is_final() else "was not finished:"
    return "execute", f"it {verb} {_shown(state)}"


def _shown(state: State) -> str:
    return f"{state.name}: {visible_line(state.message)}" if state.message else f"{state.name}"
