"""What a recorded run of a graph has left behind, as states to go on from (DESIGN 5).

A task run that has finished is kept, and not run again, unless the graph is wired otherwise than
it was, or its task comes after one that is run again because it had failed.
"""


# pyright: reportPrivateUsage=false

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.graph.recording import (
    STORED_AS,
    fingerprint_of,
    has_value,
    index_of,
    result_of,
    to_graph,
    turn_of,
)
from penstock.graph.state import (
    Looped,
    Mapped,
    Paused,
    Pending,
    Resume,
    State,
    Success,
)
from penstock.graph.wrapping import Constant

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from penstock.graph.nodes import Node
    from penstock.graph.task import Task
    from penstock.records import TaskRun
    from penstock.states import State as StoredState

_logger = logging.getLogger("penstock.graph.resuming")


_LOOPED = STORED_AS[Looped]

_Again = set[int] | None
"""Which children of a mapped task begin anew, by index; None for a task that does as a whole."""


class Left(NamedTuple):
    """What a recorded run has left: the states of its tasks, and those among them that hold."""

    states: dict[Task, State]
    kept: set[Task]


class _Runs:
    """The recorded runs of one task: of itself or its mapped parent, and of its children."""

    __slots__ = ("children", "own")

    def __init__(self) -> None:
        self.own: TaskRun | None = None
        self.children: dict[int, TaskRun] = {}


def left_by(
    nodes: list[Node],
    recorded: Mapping[tuple[str, str], TaskRun],
    *,
    has_failed: bool = False,
    rested_at: datetime | None = None,
) -> Left:
    """Give the states to go on from.

    Parameters:
        nodes: the tasks in the order of the graph.
        recorded: the recorded task runs by task key and dynamic key.
        has_failed: the flow run had come to its end and failed: what failed is run again.
        rested_at: when the flow run rested for its paused tasks: as it goes on, those go on
            that were paused then.
    """
    by_slug = _by_slug(recorded)
    again: dict[Task, _Again] = {}
    states: dict[Task, State] = {}
    for node in nodes:
        task = node.task
        runs = by_slug.get(node.context["task_slug"])
        if runs is None or runs.own is None:
            continue
        anew = _follows(node, again)
        if anew is not None and runs.own.fingerprint != fingerprint_of(node):
            _logger.warning(
                "Task %r is run again: its inputs differ from those recorded.", task.name
            )
            anew = None
        state = None
        if anew is not None:
            state = _state_of(runs, task, has_failed=has_failed, rested_at=rested_at)
            state, anew = _begun_anew(state, anew, has_failed=has_failed)
        if anew is None or anew:
            again[task] = anew
        if state is not None:
            states[task] = state
    kept = _kept(nodes, states, by_slug)
    return Left(states, kept)


def _begun_anew(
    state: State | None, anew: set[int], *, has_failed: bool
) -> tuple[State | None, _Again]:
    """Take from a task's state what begins anew, as it comes after such; give what there is."""
    if not isinstance(state, Mapped):
        if anew:
            return None, None
        return state, None if has_failed and not (state and state.is_finished()) else anew
    children: list[Any] = state.map_states
    for index in anew & set(range(len(children))):
        children[index] = None
    return state, anew | _unfinished(state) if has_failed else anew


def _follows(node: Node, again: Mapping[Task, _Again]) -> _Again:
    """Give the children of a task that begin anew as they come after such; None for all of it."""
    found: set[int] = set()
    for edge, above in node.upstream:
        if above.task not in again:
            continue
        children = again[above.task]
        if children is None or not edge.mapped or edge.flattened:
            return None
        found |= children
    return found


def _unfinished(state: Mapped) -> set[int]:
    children: list[Any] = state.map_states
    return {
        index for index, child in enumerate(children) if child is None or not child.is_finished()
    }


def take_recorded(
    flow: Any, recorded: dict[tuple[str, str], TaskRun]
) -> dict[tuple[str, str], TaskRun]:
    """Take the task runs of a graph's own tasks out of all that is recorded of a flow run.

    What stays was called by them. Warns of tasks that the graph does not have any more.

    Parameters:
        flow: the graph.
        recorded: the recorded task runs by task key and dynamic key; those that are given are
            taken out.
    """
    slugs = set(flow.slugs.values())
    declared = [key for key in recorded if "@" not in key[1]]
    gone = sorted({slug for slug, _key in declared} - slugs)
    if gone:
        _logger.warning(
            "Flow %r has no tasks any more that were recorded as %s: what they did is not used."
            " Were they renamed, or declared in another order? A `slug` of its own lets a task be"
            " known by it.",
            flow.name,
            ", ".join(map(repr, gone[:5])) + (", ..." if len(gone) > 5 else ""),  # noqa: PLR2004
        )
    return {key: recorded.pop(key) for key in declared if key[0] in slugs}


def _by_slug(recorded: Mapping[tuple[str, str], TaskRun]) -> dict[str, _Runs]:
    found: dict[str, _Runs] = defaultdict(_Runs)
    for (slug, key), run in recorded.items():
        index = index_of(key)
        if index is not None:
            found[slug].children[index] = run
        elif key == "0":
            found[slug].own = run
    return found


def _state_of(
    runs: _Runs, task: Task, *, has_failed: bool, rested_at: datetime | None
) -> State | None:
    assert runs.own is not None
    state = _one_state(runs.own, task, has_failed=has_failed, rested_at=rested_at)
    if not isinstance(state, Mapped):
        return state
    count = max(state.n_map_states, len(runs.children))
    children: list[Any] = [None] * count
    for index, run in runs.children.items():
        if index < count:
            child = _one_state(run, task, has_failed=has_failed, rested_at=rested_at)
            children[index] = child
    state.map_states = children
    state.result = [None if child is None else child.result for child in children]
    return state


def _one_state(
    run: TaskRun, task: Task, *, has_failed: bool, rested_at: datetime | None
) -> State | None:
    """Give the state that one task run goes on from; none where it begins anew."""
    stored = run.state
    if stored is None or stored.is_pending():
        return None
    if stored.is_crashed() or stored.is_running() or (stored.type, stored.name) == _LOOPED:
        return _gone_on(run, stored, task)
    if stored.is_cancelled() or (has_failed and stored.is_failed()):
        return None  # it begins anew, and so does the count of its attempts
    if not stored.is_final() and not has_value(run):
        return None  # what its loop had come to is lost
    state = to_graph(run, task)
    is_approved = rested_at is not None and stored.timestamp <= rested_at
    if is_approved and isinstance(state, Paused) and state.start_time is None:
        resumed = Resume(context=state.context)
        resumed.result = state._result  # noqa: SLF001 - the result object, not its value alone
        return resumed
    return state


def _gone_on(run: TaskRun, stored: StoredState, task: Task) -> State | None:
    """Give the state to go on from, of a task run whose process died, or that loops."""
    extra = stored.state_details.graph or {}
    turn = turn_of(stored)
    if turn is None and stored.is_crashed():
        return None
    if turn is not None and not has_value(run):
        return None  # what the loop had come to is lost: it begins with its first turn
    attempt = 1
    if stored.is_running():
        attempt = extra.get("run_count", max(run.run_count, 1))
    state = Pending(context={"task_run_count": attempt})
    if turn is not None:
        state.context["_loop_count"] = turn
        state.result = result_of(stored, state, task)
    return state


def _kept(nodes: list[Node], states: dict[Task, State], by_slug: Mapping[str, _Runs]) -> set[Task]:
    """Give the tasks that are not run again; those are left out whose lost values are needed."""
    kept: set[Task] = set()
    for node in reversed(nodes):
        task = node.task
        state = states.get(task)
        is_over = state is not None and _is_over(state)
        if state is None or not (is_over or isinstance(state, Mapped)):
            continue
        runs = by_slug[node.context["task_slug"]]
        is_needed = any(
            (edge.key is not None or edge.mapped) and below.task not in kept
            for edge, below in node.downstream
        )
        if is_needed and not _has_values(runs, state):
            _forget_lost(runs, states, task, state)
        elif is_over:
            kept.add(task)
    return kept


def _is_over(state: State) -> bool:
    return not _unfinished(state) if isinstance(state, Mapped) else state.is_finished()


def _has_values(runs: _Runs, state: State) -> bool:
    if isinstance(state, Mapped):
        return all(has_value(run) for run in runs.children.values())
    return runs.own is not None and has_value(runs.own)


def _forget_lost(runs: _Runs, states: dict[Task, State], task: Task, state: State) -> None:
    """Have a task run again whose value was in the memory of a process that is gone."""
    _logger.info("Task %r is run again: its result was not recorded, and is needed.", task.name)
    if not isinstance(state, Mapped):
        del states[task]
        return
    children = state.map_states
    for index, run in runs.children.items():
        if index < len(children) and not has_value(run):
            children[index] = None


def recorded_states(
    flow: Any, flow_run_id: UUID, *, with_results: bool = True
) -> dict[Task, State]:
    """Give the states of a graph's tasks in a recorded run, by task; Pending for what has none.

    Parameters:
        flow: the graph flow.
        flow_run_id: the run's id.
        with_results: read the results, too, also those in storage.

    Raises:
        ObjectNotFound: there is no such run.
        MissingResult, UnreadableResult: a result is not in its storage, or cannot be read.
    """
    from penstock.store import get_store

    store = get_store()
    store.read_flow_run(flow_run_id)  # says so if there is none
    found = {(run.task_key, run.dynamic_key): run for run in store.read_task_runs(flow_run_id)}
    if not with_results:
        for run in found.values():
            _drop_result(run)
    by_slug = _by_slug(found)
    states: dict[Task, State] = {}
    for task, slug in flow.slugs.items():
        runs = by_slug.get(slug)
        if isinstance(task, Constant):
            states[task] = Success(result=task.value)
            continue
        states[task] = Pending() if runs is None else _present_state(runs, task)
    return states


def _drop_result(run: TaskRun) -> None:
    if run.state is not None:
        run.state.data = None
        (run.state.state_details.graph or {}).pop("location", None)


def _present_state(runs: _Runs, task: Task) -> State:
    if runs.own is None:
        return Pending()
    state = to_graph(runs.own, task)
    if isinstance(state, Mapped):
        count = max(state.n_map_states, len(runs.children))
        children: list[Any] = [None] * count
        for index, run in runs.children.items():
            children[index] = to_graph(run, task)
        state.map_states = children
        state.result = [None if child is None else child.result for child in children]
    return state
