"""Tasks of a graph that are paused: who may let them go on, and how a run rests (6.6)."""

from __future__ import annotations

import logging
import os
import select
import sys
from typing import TYPE_CHECKING, Any

from penstock.exceptions import PausedRun
from penstock.graph.state import Mapped, Paused, State
from penstock.states import Paused as StoredPaused

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from penstock.graph.task import Task

_logger = logging.getLogger("penstock.graph.flow")

Place = tuple[Any, int | None]
"""A task, or one child of a mapped task by its index."""


def places(states: Mapping[Task, State], kind: type[State]) -> list[Place]:
    """Give the tasks, and children of mapped tasks, that are in a state of a kind."""
    found: list[Place] = []
    for task, state in states.items():
        if isinstance(state, kind):
            found.append((task, None))
        elif isinstance(state, Mapped):
            children = enumerate(state.map_states)
            found += [(task, index) for index, child in children if isinstance(child, kind)]
    return found


def start_time_of(states: Mapping[Task, State], place: Place) -> dt.datetime | None:
    """Give the start time of a scheduled state."""
    task, index = place
    state: Any = states[task]
    if index is not None:
        state = state.map_states[index]
    return state.start_time


def put(states: dict[Task, State], place: Place, state: State) -> None:
    """Put a state in the place of one that waited; attempts are counted on."""
    task, index = place
    former: Any = states[task]
    paused = former if index is None else former.map_states[index]
    kept = ("task_run_count", "_loop_count")
    state.context.update({key: value for key, value in paused.context.items() if key in kept})
    if "_loop_count" in state.context:
        state.result = paused.result
    if index is None:
        states[task] = state
    else:
        former.map_states[index] = state


def may_resume(task: Task, index: int | None) -> bool:
    """Ask whether a paused task may go on; where nobody can be asked, it may not."""
    if not _can_ask():
        return False
    name = task.name if index is None else f"{task.name}[{index}]"
    try:
        answer = input("" if _is_piped() else f"Task {name!r} is paused. Resume it? (y/n) ")
    except (EOFError, OSError):
        return False
    return answer.strip().lower() in ("y", "yes")


def _can_ask() -> bool:
    """Tell whether a question would be answered, or its absence at once seen."""
    try:
        # A pipe that nobody writes to has nothing to read, not even its end.
        return not _is_piped() or bool(select.select([sys.stdin], [], [], 0)[0])
    except (AttributeError, OSError, ValueError):
        return False


def _is_piped() -> bool:
    """Tell whether answers come from a file or a pipe: no question is shown there."""
    try:
        os.fstat(sys.stdin.fileno())
        return not sys.stdin.isatty()
    except (AttributeError, OSError, ValueError):
        return False  # no file at all: whoever put it there answers `input`


def resting(flow: Any, states: Mapping[Task, State]) -> PausedRun:
    """Say for what a run rests: somebody has to let its paused tasks go on."""
    names = [
        repr(task.name if index is None else f"{task.name}[{index}]")
        for task, index in places(states, Paused)
    ]
    if names:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")  # noqa: PLR2004
        message = f"Paused at {shown}: resume the flow run to let them go on."
    else:
        unfinished = [repr(task.name) for task, one in states.items() if not one.is_finished()]
        message = f"Nothing can be done: {', '.join(unfinished[:5])} cannot begin."
    _logger.info("Flow %r rests. %s", flow.name, message)
    return PausedRun(message, state=StoredPaused(message=message))


def held_back(flow: Any) -> PausedRun:
    """Say that a run rests as somebody has asked it to."""
    message = f"Flow {flow.name!r} was asked to rest: resume the flow run to let it go on."
    return PausedRun(message, state=StoredPaused(message=message))


def not_begun(flow: Any, state: State) -> PausedRun:
    """Say that a run rests as the flow itself is paused, or its start time has not come."""
    start_time = getattr(state, "start_time", None)
    reason = state.message or "the flow is paused"
    if start_time is not None:
        reason = f"its start time is {start_time.isoformat()}"
    message = f"Flow {flow.name!r} has not begun, {reason}: resume the flow run to let it go on."
    _logger.info(message)
    return PausedRun(message, state=StoredPaused(message=message))
