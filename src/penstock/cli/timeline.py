"""A run drawn as bars: when each task run was executed, when it waited, and how long it took."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, NamedTuple

from penstock import clock
from penstock.cli.choosing import title_of_task
from penstock.cli.output import duration, here, write, write_renderable
from penstock.cli.visible import visible_line
from penstock.states import StateType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from penstock.records import FlowRun, TaskRun

DRAWN_LIMIT = 1000
"""How many task runs have a line of their own; those that follow are folded by task."""

_PIPE_WIDTH = 100
_SMALLEST_BAR = 8
_TOOK_WIDTH = 9
_MARKS = {"gap": " ", "wait": "·", "rest": "░", "run": "█"}
_PLAIN_MARKS = {"gap": " ", "wait": ".", "rest": "-", "run": "#"}
_ORDER = ("gap", "wait", "rest", "run")
_STYLES = {StateType.FAILED: "red", StateType.CRASHED: "magenta", StateType.CANCELLED: "yellow"}


class Span(NamedTuple):
    """Some of a run's time, and what the run did in it. Times are in seconds since the epoch."""

    start: float
    end: float
    kind: str


class Line(NamedTuple):
    """One bar: its name, its spans, how long it was executed, what is to be said of it."""

    name: str
    spans: list[Span]
    took_s: float
    note: str
    state: StateType | None


def spans_of(history: Iterable[tuple[StateType, datetime]], until: float) -> list[Span]:
    """Give what a run did when.

    Parameters:
        history: the types of its states with the times at which it came into them.
        until: to when the last state lasts if it is not final, in seconds since the epoch.
    """
    spans: list[Span] = []
    former: tuple[str, float] | None = None
    for state_type, moment in history:
        at = moment.timestamp()
        if former is not None:
            spans.append(Span(former[1], max(at, former[1]), former[0]))
        kind = _kind_of(state_type)
        former = None if kind is None else (kind, at)
    if former is not None:
        spans.append(Span(former[1], max(until, former[1]), former[0]))
    return spans


def _kind_of(state_type: StateType) -> str | None:
    if state_type in (StateType.RUNNING, StateType.CANCELLING):
        return "run"
    if state_type is StateType.PAUSED:
        return "rest"
    if state_type in (StateType.PENDING, StateType.SCHEDULED):
        return "wait"
    return None


def draw_timeline(run: FlowRun, task_runs: Iterable[TaskRun], *, is_alive: bool) -> None:
    """Write a flow run and its task runs as bars on one scale.

    Parameters:
        run: the flow run.
        task_runs: its task runs, in the order in which they were made.
        is_alive: somebody executes it: what is not over lasts until now.
    """
    history = run.history
    if not history:
        write("\nIt has no state yet: there is nothing to draw.\n")
        return
    until = clock.epoch() if is_alive else _last_moment(run)
    lines = [_line_of(run, until, run.name), *_lines_of(task_runs, until)]
    begin = min(span.start for line in lines for span in line.spans or [Span(until, until, "")])
    end = max((span.end for line in lines for span in line.spans), default=begin)
    _write(lines, begin, max(end, begin))


def _last_moment(run: FlowRun) -> float:
    return max(each.timestamp.timestamp() for each in run.history)


def _line_of(run: FlowRun | TaskRun, until: float, name: str) -> Line:
    spans = spans_of(((each.type, each.timestamp) for each in run.history), until)
    state = run.state
    parts: list[str] = []
    if (state is not None and not state.is_completed()) or (
        state is not None and state.name != "Completed"
    ):
        parts.append(state.name)
    if run.run_count > 1:
        parts.append(f"{run.run_count} attempts")
    took_s = sum(span.end - span.start for span in spans if span.kind == "run")
    return Line(name, spans, took_s, ", ".join(parts), run.state_type)


def _lines_of(task_runs: Iterable[TaskRun], until: float) -> Iterator[Line]:
    folded: dict[str, _Folded] = {}
    for number, run in enumerate(task_runs):
        line = _line_of(run, until, f"  {run.name}")
        if number < DRAWN_LIMIT:
            yield line
        else:
            folded.setdefault(run.task_key, _Folded()).add(run, line)
    for task_key, each in folded.items():
        yield each.line(task_key)


class _Folded:
    """One line for many task runs of a task, which are not kept."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._counts: dict[str, int] = {}
        self._worst: StateType | None = None
        self._took_s = 0.0

    def add(self, run: TaskRun, line: Line) -> None:
        self._spans += line.spans
        self._took_s += line.took_s
        name = run.state_name or "no state"
        self._counts[name] = self._counts.get(name, 0) + 1
        if self._worst is None and run.state_type in _STYLES:
            self._worst = run.state_type

    def line(self, task_key: str) -> Line:
        note = ", ".join(f"{count} {name}" for name, count in self._counts.items())
        name = f"  {title_of_task(task_key)} x {sum(self._counts.values())}"
        return Line(name, self._spans, self._took_s, note, self._worst)


def _write(lines: list[Line], begin: float, end: float) -> None:
    # rich is imported with it.
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    width = shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else _PIPE_WIDTH
    names = [visible_line(line.name) if line.name.strip() else "" for line in lines]
    names = [f"  {name}" if line.name[:1] == " " else name for name, line in zip(names, lines)]  # noqa: B905 - of one length
    name_width = min(max(map(cell_len, names)), max(width // 3, 8))
    bar_width = max(width - name_width - _TOOK_WIDTH - 4, _SMALLEST_BAR)
    notes = max((cell_len(line.note) for line in lines), default=0)
    if notes and bar_width - notes - 2 >= 2 * _SMALLEST_BAR:
        bar_width -= notes + 2
    marks = _MARKS if _can_draw() else _PLAIN_MARKS
    scale = f"{duration(end - begin)}".rjust(bar_width)
    write(f"\nTimeline from {_clock_time(begin)}\n")
    write(f"{' ' * (name_width + 2)}{'0 s' + scale[3:]}\n")
    for name, line in zip(names, lines, strict=True):
        text = Text(set_cell_size(name, name_width) + "  ")
        bar = _bar(line.spans, begin, end, bar_width, marks)
        text.append(bar, style=_STYLES.get(line.state, "") if line.state else "")
        text.append(f"  {duration(line.took_s):>{_TOOK_WIDTH}}")
        if line.note:
            text.append(f"  {line.note}")
        text.no_wrap = True
        text.overflow = "ellipsis"
        write_renderable(text)
    legend = (("run", "executed"), ("wait", "waiting"), ("rest", "paused"))
    write("  ".join(f"{marks[kind]} {meaning}" for kind, meaning in legend) + "\n")


def _clock_time(moment: float) -> str:
    return here(clock.from_epoch(moment))


def _can_draw() -> bool:
    try:
        "·░█".encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def _bar(spans: list[Span], begin: float, end: float, width: int, marks: dict[str, str]) -> str:
    """Draw spans; of several in one cell, that counts in which most is done."""
    per_cell = (end - begin) / width or 1.0
    cells = [0] * width
    for span in spans:
        first = min(int((span.start - begin) / per_cell), width - 1)
        last = min(int((span.end - begin) / per_cell), width - 1)
        weight = _ORDER.index(span.kind)
        if weight < _ORDER.index("run") and last > first:
            last -= 1  # what follows it begins there
        for cell in range(first, last + 1):
            cells[cell] = max(cells[cell], weight)
    return "".join(marks[_ORDER[weight]] for weight in cells)
