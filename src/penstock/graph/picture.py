"""What a drawing of a graph shows, in any format: a box for each task, an arrow for each edge.

A mapped task is one box, however many children it has: after a run it says how many of them are in
which state.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from penstock.graph.state import Mapped, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from penstock.graph.task import Task

PARAMETER, MAPPED, TASK = "parameter", "mapped", "task"
"""The kinds of boxes."""

_COLOR = re.compile(r"#(?:[0-9a-fA-F]{3}){1,2}")
_SHORT = 3


class Box(NamedTuple):
    """A task.

    Attributes:
        key: what the box is known by in one picture: `n0`, `n1`, ...
        name: the task's name.
        slug: what it is known by in its flow.
        kind: `parameter`, `mapped` or `task`.
        state: what became of it, as a line; none before a run.
        state_name: the name of the state that gives the box its colour.
        color: that colour, as `#rrggbb`.
        note: the message of that state.
    """

    key: str
    name: str
    slug: str
    kind: str
    state: str | None
    state_name: str | None
    color: str | None
    note: str | None

    @property
    def title(self) -> str:
        """Give the name, and that the task is mapped if it is."""
        return f"{self.name} (mapped)" if self.kind == MAPPED else self.name


class Arrow(NamedTuple):
    """An edge from one box to another, by their keys."""

    upstream: str
    downstream: str
    key: str | None
    is_mapped: bool
    is_flattened: bool

    @property
    def label(self) -> str:
        """Give the argument that the edge brings, and what is done with it on the way."""
        parts = [self.key or "", "(flattened)" if self.is_flattened else ""]
        return " ".join(part for part in parts if part)


class Picture(NamedTuple):
    """A graph to draw: boxes in the order of the graph, arrows in that of their ends."""

    name: str
    boxes: list[Box]
    arrows: list[Arrow]

    @property
    def has_states(self) -> bool:
        """Tell whether it shows what became of tasks."""
        return any(box.state is not None for box in self.boxes)


def picture_of(flow: Any, flow_state: Any = None) -> Picture:
    """Make the picture of a flow's graph.

    Parameters:
        flow: the graph flow.
        flow_state: what `flow.run()` returned, or the states of tasks by task; none before a run.

    Raises:
        TypeError: that is neither.
        ValueError: the graph has a cycle.
    """
    states = _states_of(flow_state)
    tasks: tuple[Task, ...] = flow.sorted_tasks()
    parameters: set[Any] = set(flow.parameters())
    boxes: list[Box] = []
    arrows: list[Arrow] = []
    keys = {task: f"n{place}" for place, task in enumerate(tasks)}
    for task, key in keys.items():
        edges = sorted(flow.edges_to(task), key=lambda edge: (edge.key or "", edge.mapped))
        is_mapped = any(edge.mapped for edge in edges)
        kind = PARAMETER if task in parameters else MAPPED if is_mapped else TASK
        slug = flow.slugs.get(task, task.name)
        boxes.append(Box(key, task.name, slug, kind, *_told(states.get(task))))
        arrows += [
            Arrow(keys[edge.upstream_task], key, edge.key, bool(edge.mapped), bool(edge.flattened))
            for edge in edges
        ]
    return Picture(flow.name, boxes, arrows)


def _states_of(flow_state: Any) -> Mapping[Any, State]:
    """Give the states of tasks that a flow's state has; none for one that broke."""
    if flow_state is None:
        return {}
    found = flow_state.result if isinstance(flow_state, State) else flow_state
    if isinstance(found, dict):
        return cast("dict[Any, State]", found)
    if isinstance(flow_state, State) and (found is None or isinstance(found, BaseException)):
        return {}
    message = (
        f"A {type(found).__name__} has no states of tasks to draw: give what flow.run() returned,"
        " or a dictionary of states by task."
    )
    raise TypeError(message)


def _told(state: State | None) -> tuple[str | None, str | None, str | None, str | None]:
    """Give what a box tells of a state: a line, a name, a colour, a message."""
    if state is None:
        return None, None, None, None
    shown, line = state, type(state).__name__
    if isinstance(state, Mapped):
        children = [child for child in state.map_states if child is not None]
        shown = _loudest(state, children)
        line = _counted(children, state.n_map_states)
    note = None if shown.message is None else str(shown.message)
    return line, type(shown).__name__, _full(shown.color), note


def _full(color: str) -> str | None:
    """Give a colour with all its six digits; none for what is no colour."""
    if _COLOR.fullmatch(color) is None:
        return None
    digits = color.removeprefix("#")
    return color if len(digits) > _SHORT else f"#{''.join(digit * 2 for digit in digits)}"


def _counted(children: list[State], count: int) -> str:
    """Give how many children are in which state: `9,998 Success, 2 Failed`."""
    counts = Counter(type(child).__name__ for child in children)
    parts = [f"{number:,} {name}" for name, number in counts.most_common()]
    unknown = max(count, len(children)) - len(children)
    if unknown:
        parts.append(f"{unknown:,} of unknown state" if children else f"{unknown:,} children")
    return ", ".join(parts) or "no children"


def _loudest(mapped: State, children: Iterable[State]) -> State:
    """Give the child whose colour the folded box has: a failed one, or one that is not over."""
    loudest, volume = mapped, 0
    for child in children:
        if child.is_failed():
            return child
        own = 2 if child.is_running() else 0 if child.is_successful() else 1
        if own > volume:
            loudest, volume = child, own
    return loudest
