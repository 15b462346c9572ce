"""What `penstock run` shows on a terminal while a flow runs: some lines below all that it prints.

The lines are drawn under whatever was printed last, and the cursor is left where they begin: what
anything else writes goes over them, and nothing of it is lost. A thread draws them anew a few
times a second, from what the engine keeps in memory anyway; a task costs nothing more for it.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from penstock import clock, world
from penstock.cli.output import duration
from penstock.cli.visible import visible
from penstock.engine.cancelling import attendant
from penstock.states import StateType

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from penstock.engine.execution import Execution

INTERVAL_S = 0.125
"""How often the lines are drawn at most."""

REST_FACTOR = 200
"""The thread rests so much longer than it drew, so that it takes 0.5 % of a core at most."""

FIRST_S = 0.4
"""Runs that are over before show nothing."""

SLOWEST_LIMIT = 3
LOOKED_AT_LIMIT = 1_000
"""Of so many running task runs the slowest are sought, at most."""

_COLUMNS, _HEIGHT = 80, 24
_ERASE = "\r\x1b[J"
_SHOWN_STATES = (
    StateType.COMPLETED,
    StateType.FAILED,
    StateType.CRASHED,
    StateType.CANCELLED,
)


@contextmanager
def live_display(*, wanted: bool) -> Generator[None]:
    """Show how a run in the block is doing, if stderr is a terminal that can.

    Parameters:
        wanted: false shows nothing, wherever that is.
    """
    if not wanted or not _can_show(sys.stderr):
        yield
        return
    display = _Display(sys.stderr)
    former = sys.stdout, sys.stderr
    sys.stderr = cast("Any", _Above(former[1], display))
    if former[0].isatty():
        sys.stdout = cast("Any", _Above(former[0], display))
    world.start_thread(display.run, "penstock-live")
    try:
        yield
    finally:
        sys.stdout, sys.stderr = former
        display.end()


def _can_show(stream: Any) -> bool:
    """Tell whether lines can be drawn anew on a stream."""
    try:
        return (
            stream.isatty()
            and os.environ.get("TERM", "dumb") not in {"", "dumb"}
            and sys.platform != "win32"
        )
    except (AttributeError, OSError, ValueError):
        return False


class _Above:
    """A stream whose text goes above the lines, otherwise as it is."""

    def __init__(self, stream: Any, display: _Display) -> None:
        self._stream = stream
        self._display = display

    def write(self, text: str) -> int:
        display = self._display
        if display.is_elsewhere():  # in a forked child, where the lock may be held for ever
            return cast("int", self._stream.write(text))
        with display.lock:
            display.make_room()
            if text:
                display.is_at_line_start = text.endswith("\n")
            written: int = self._stream.write(text)
            return written

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Display:
    """The lines, and the thread that draws them."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        # Re-entrant, as a signal may interrupt a thread here and its handler may print.
        self.lock = threading.RLock()
        self.is_at_line_start = True
        self._is_drawn = False
        self._is_over = False
        self._began = clock.monotonic()
        self._process = os.getpid()

    def is_elsewhere(self) -> bool:
        """Tell whether this is another process than the one that draws."""
        return os.getpid() != self._process

    def make_room(self) -> None:
        """Take the lines away; who calls it holds the lock."""
        if self._is_drawn:
            self._is_drawn = False
            self.stream.write(_ERASE)
            self.stream.flush()

    def end(self) -> None:
        """Take the lines away for good."""
        with self.lock:
            self._is_over = True
            with suppress(OSError, ValueError):
                self.make_room()

    def run(self) -> None:
        """Draw until the end."""
        rest_s = FIRST_S
        while not self._is_over:
            world.sleep(rest_s)
            began = clock.monotonic()
            # Whatever is wrong with the lines is no reason to disturb the run.
            with suppress(Exception):
                self._draw(began - self._began)
            rest_s = max(INTERVAL_S, (clock.monotonic() - began) * REST_FACTOR)

    def _draw(self, elapsed_s: float) -> None:
        size = os.get_terminal_size(self.stream.fileno())
        # Some terminals, of containers for one, do not say how large they are.
        columns, height = size.columns or _COLUMNS, size.lines or _HEIGHT
        lines = [fitted(line, columns - 1) for line in lines_of(_executions(), elapsed_s)]
        with self.lock:
            if self._is_over or not self.is_at_line_start or not lines or self._is_others():
                return
            # A stream of stdout may hold text back still that belongs above.
            with suppress(OSError, ValueError):
                sys.stdout.flush()
            if len(lines) >= height:
                return
            back = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
            self._is_drawn = True
            text = "\n".join(lines)
            self.stream.write(f"{_ERASE}{text}{back}\r")
            self.stream.flush()

    def _is_others(self) -> bool:
        """Tell whether somebody types there, or a command in front has the terminal."""
        import termios

        terminal = self.stream.fileno()
        with suppress(OSError):  # not the terminal that controls this process
            if os.tcgetpgrp(terminal) != os.getpgrp():
                return True
        flags = termios.tcgetattr(terminal)[3]
        return not (flags & termios.ICANON and flags & termios.ECHO)


def _executions() -> list[Execution]:
    return [one for one in attendant().executions() if one.flow_run is not None]


def lines_of(executions: list[Execution], elapsed_s: float) -> list[str]:
    """Say how the runs are doing that are executed, in a few lines of ASCII.

    Parameters:
        executions: of the run and its subflows.
        elapsed_s: for how long.

    Returns:
        The lines, of any length; none where nothing is executed.
    """
    roots = [one for one in executions if one.parent is None]
    if not roots:
        return []
    root = roots[0]
    run, tally = root.flow_run, dict(root.tally)
    running = sum(len(one.in_flight) for one in executions)
    ended = sum(tally.values())
    counts = [
        f"{tally[state]} {state.name.lower()}" for state in _SHOWN_STATES if tally.get(state)
    ]
    if running:
        counts.insert(0, f"{running} running")
    if subflows := len(executions) - len(roots):
        counts.append(f"{subflows} subflows running")
    rate = f", {ended / elapsed_s:.1f}/s" if ended else ""
    name = "" if run is None else run.name
    lines = [f"{name}  {duration(elapsed_s)}  {', '.join(counts) or 'no task runs yet'}{rate}"]
    lines += [f"  paused: {why}" for why in map(_why_paused, executions) if why]
    return lines + [f"  {duration(age_s)}  {name}" for age_s, name in _slowest(executions)]


def _why_paused(execution: Execution) -> str:
    run = execution.seen_flow_run or execution.flow_run
    state = None if run is None else run.state
    if run is None or state is None or not state.is_paused():
        return ""
    details = state.state_details
    waits = "for input" if details.run_input_keyset is not None else "until it is resumed"
    return f"waits {waits} (penstock flow-run resume {run.name})"


def _slowest(executions: list[Execution]) -> list[tuple[float, str]]:
    now = clock.epoch()
    ages: list[tuple[float, str]] = []
    for execution in executions:
        for run in islice(list(execution.in_flight), LOOKED_AT_LIMIT):
            state = run.state
            if state is not None and state.is_running():
                ages.append((max(0.0, now - state.timestamp.timestamp()), run.name))
    return sorted(ages, reverse=True)[:SLOWEST_LIMIT]


def fitted(line: str, width: int) -> str:
    """Give a line that takes no more than so many columns, and cannot steer the terminal.

    Example:
        >>> fitted("a long line", 8)
        'a lon...'
    """
    shown = visible(line).replace("\n", " ").replace("\t", " ")
    shown = shown.encode("ascii", "backslashreplace").decode("ascii")
    return shown if len(shown) <= width else f"{shown[: max(0, width - 3)]}..."[: max(0, width)]
