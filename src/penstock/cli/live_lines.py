"""What the lines of the live display say: from what the engine keeps in memory of its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock import clock
from penstock.cli.output import duration
from penstock.cli.visible import visible
from penstock.states import StateType

if TYPE_CHECKING:
    from penstock.engine.execution import Execution
    from penstock.records import TaskRun

Line = list[tuple[str, str]]
"""Parts of a line: text, and the number of its colour or style for a terminal, if it has one."""

BOLD, DIM, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN = "1", "2", "31", "32", "33", "34", "35", "36"

SUBFLOWS_LIMIT = 3
TASKS_LIMIT = 3
"""So many subflow runs and task runs are named, at most."""

NAMED_AFTER_S = 1.0
"""A task run that has been running for less is counted and not named."""

LEAST_RATE = 1.0
"""Of fewer task runs a second no rate is told."""

_ENDED = (
    (StateType.COMPLETED, "completed", GREEN),
    (StateType.FAILED, "failed", RED),
    (StateType.CRASHED, "crashed", MAGENTA),
    (StateType.CANCELLED, "cancelled", YELLOW),
)


def lines_of(executions: list[Execution], elapsed_s: float) -> list[Line]:
    """Say how the runs are doing that are executed: the first of them, and what it waits for.

    Parameters:
        executions: of the run and its subflows.
        elapsed_s: for how long.

    Returns:
        The lines, of any length; none where nothing is executed.
    """
    in_order = sorted(executions, key=_order)
    root = next((each for each in in_order if each.parent is None), None)
    if root is None:
        return []
    subflows = [each for each in in_order if each.parent is not None]
    now = clock.epoch()
    lines = [[(_name(root), BOLD), (f"  {_time(elapsed_s)}  ", ""), *_counts(root, elapsed_s)]]
    lines += [[(f"  {why}", CYAN)] for why in map(_why_paused, in_order) if why]
    for each in subflows[:SUBFLOWS_LIMIT]:
        age_s = _age_s(each, now)
        lines.append([(f"  {_time(age_s)}  {_name(each)}  ", ""), *_counts(each, age_s)])
    if len(subflows) > SUBFLOWS_LIMIT:
        lines.append([(f"  and {len(subflows) - SUBFLOWS_LIMIT:,} subflow runs more", DIM)])
    return lines + _waited_for(in_order, now)


def _order(execution: Execution) -> bytes:
    """Runs that began first go first."""
    return b"" if execution.flow_run is None else execution.flow_run.id.bytes


def _name(execution: Execution) -> str:
    return "" if execution.flow_run is None else execution.flow_run.name


def _age_s(execution: Execution, now: float) -> float:
    run = execution.flow_run
    began = None if run is None else run.start_time
    return 0.0 if began is None else max(0.0, now - began.timestamp())


def _time(seconds: float) -> str:
    """Give a duration that changes as little as can be, as it is looked at all the time."""
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)  # noqa: PLR2004 - a minute


def _counts(execution: Execution, elapsed_s: float) -> Line:
    running = to_retry = waiting = 0
    for run in list(execution.in_flight):
        state = run.state
        if state is None or state.is_pending():
            waiting += 1
        elif state.is_scheduled():
            to_retry += 1
        else:
            running += 1
    tally = dict(execution.tally)
    counted = [(running, "running", BLUE)]
    counted += [(tally.get(state, 0), word, style) for state, word, style in _ENDED]
    counted += [(to_retry, "to be retried", YELLOW), (waiting, "waiting", "")]
    line: Line = []
    for number, word, style in counted:
        if number:
            line += [(", " if line else "", ""), (f"{number:,} {word}", style)]
    rate = sum(tally.values()) / elapsed_s if elapsed_s > 0 else 0.0
    if rate >= LEAST_RATE:
        line.append((f", {rate:,.0f}/s", ""))
    return line


def _why_paused(execution: Execution) -> str:
    run = execution.seen_flow_run or execution.flow_run
    state = None if run is None else run.state
    if run is None or state is None or not state.is_paused():
        return ""
    wants_input = state.state_details.run_input_keyset is not None
    waits = "for input" if wants_input else "to be resumed"
    more = " --input NAME=VALUE" if wants_input else ""
    return f"paused, waits {waits}: penstock flow-run resume {run.name}{more}"


def _waited_for(executions: list[Execution], now: float) -> list[Line]:
    """Name the task runs that run longest, and those that are to be retried next."""
    running: list[tuple[float, str]] = []
    to_retry: list[tuple[float, str]] = []
    for execution in executions:
        for run in list(execution.in_flight):
            state = run.state
            if state is None:
                continue
            if state.is_running() and now - state.timestamp.timestamp() >= NAMED_AFTER_S:
                running.append((now - state.timestamp.timestamp(), run.name))
            elif state.is_scheduled():
                to_retry.append((_seconds_to(run, now), run.name))
    running.sort(reverse=True)
    to_retry.sort()
    lines: list[Line] = [[(f"  {_time(age_s)}  {name}", "")] for age_s, name in running]
    lines += [[(f"  {name} is tried again in {_time(rest)}", "")] for rest, name in to_retry]
    return lines[:TASKS_LIMIT]


def _seconds_to(run: TaskRun, now: float) -> float:
    state = run.state
    at = None if state is None else state.state_details.scheduled_time
    return 0.0 if at is None else max(0.0, at.timestamp() - now)


def shown(line: Line, width: int, encoding: str = "utf-8", *, colors: bool = False) -> str:
    """Give a line that takes no more than so many columns, and cannot steer the terminal.

    Parameters:
        line: its parts.
        width: how many columns there are.
        encoding: of the terminal; what it lacks is escaped.
        colors: with the escape sequences for its colours.

    Example:
        >>> shown([("a long line", "")], 8)
        'a lon...'
    """
    parts = [(_showable(text, encoding), style) for text, style in line]
    if sum(columns_of(text) for text, _ in parts) > width:
        parts = _cut(parts, max(0, width - len("...")))
        parts.append(("..."[:width], ""))
    return "".join(
        f"\x1b[{style}m{text}\x1b[0m" if style and colors else text
        for text, style in parts
        if text
    )


def _showable(text: str, encoding: str) -> str:
    one_line = visible(text).replace("\n", " ").replace("\t", " ")
    if one_line.isascii():
        return one_line
    return one_line.encode(encoding, "backslashreplace").decode(encoding)


def _cut(parts: Line, width: int) -> Line:
    """Give the parts as far as they take no more than so many columns."""
    kept: Line = []
    for text, style in parts:
        taken = ""
        for character in text:
            width -= columns_of(character)
            if width < 0:
                break
            taken += character
        kept.append((taken, style))
        if width < 0:
            break
    return kept


def columns_of(text: str) -> int:
    """Say how many columns of a terminal a text takes, or a few more.

    Example:
        >>> columns_of("task"), columns_of("日本")
        (4, 4)
    """
    if text.isascii():
        return len(text)
    # Here, as most names need it not.
    from unicodedata import category, east_asian_width

    columns = 0
    for character in text:
        kind = category(character)
        if character == _WIDENS:
            columns += 1
        elif east_asian_width(character) in ("W", "F") or (
            character >= _PICTURES and kind in ("So", "No")
        ):
            columns += 2
        elif kind not in ("Mn", "Me"):
            columns += 1
    return columns


_PICTURES = "\u2600"
"""From here on there are symbols that newer terminals show in two columns."""
_WIDENS = "\ufe0f"
"""After a sign that may be shown as a picture: it is, and takes two columns."""
