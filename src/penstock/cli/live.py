"""What `penstock run` shows on a terminal while a flow runs: some lines below all that it prints.

The lines are drawn under whatever was printed last, and the cursor is left where they begin: what
anything else writes goes over them, and nothing of it is lost, whatever becomes of this process.
A thread draws them anew a few times a second, from what the engine keeps in memory anyway; a task
costs nothing more for it.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock import clock, world
from penstock.cli.live_lines import lines_of, shown
from penstock.cli.live_others import is_in_background, is_read_by_keys, stepping_aside
from penstock.engine.cancelling import attendant
from penstock.logging.colors import takes_color

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from penstock.cli.live_others import Programs

INTERVAL_S = 0.125
"""How often the lines are drawn at most."""

REST_FACTOR = 200
"""The thread rests so much longer than it drew, so that it takes 0.5 % of a core at most ..."""

REST_LIMIT_S = 2.0
"""... but for no longer: on a busy machine drawing takes long, and little of it is its own."""

FIRST_S = 0.4
"""Runs that are over before show nothing."""

WRITES_PER_S_LIMIT = 2_000
"""Where more is printed, in parts of lines, the lines give way: they would be most of it."""

_COLUMNS, _HEIGHT = 80, 24
_ERASE_BELOW = "\x1b[J"
_ERASE = f"\r{_ERASE_BELOW}"


@contextmanager
def live_display(*, wanted: bool) -> Generator[None]:
    """Show how a run in the block is doing, if stderr is a terminal that can.

    Parameters:
        wanted: false shows nothing, wherever that is.
    """
    if not wanted or not _can_show(sys.stderr):
        yield
        return
    stream = sys.stderr
    display = _Display(stream)
    with ExitStack() as ending:
        for each in {stream, sys.stdout} if _is_terminal(sys.stdout) else {stream}:
            ending.enter_context(_called_through(each, "write", display.write_above))
        if _is_terminal(sys.stdin):
            for name in ("read", "readline"):
                ending.enter_context(_called_through(sys.stdin, name, display.read_below))
        display.programs = ending.enter_context(stepping_aside(display, stream.fileno()))
        _Display.current = display
        ending.callback(end_display)
        world.start_thread(display.run, "penstock-live")
        yield


def end_display() -> None:
    """Take the lines away for good, if there are any: the process is about to end."""
    display, _Display.current = _Display.current, None
    if display is not None:
        display.end()


def _can_show(stream: Any) -> bool:
    """Tell whether lines can be drawn anew on a stream, and nobody unknown writes there, too."""
    return (
        _is_terminal(stream)
        and not _is_pipe(sys.stdout)
        and os.environ.get("TERM", "dumb") not in {"", "dumb"}
        and sys.platform != "win32"
    )


def _is_terminal(stream: Any) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, OSError, ValueError):
        return False


def _is_pipe(stream: Any) -> bool:
    """Tell whether a stream leads to another program, which may well write to the terminal."""
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (AttributeError, OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


@contextmanager
def _called_through(stream: Any, name: str, through: Callable[..., Any]) -> Generator[None]:
    """Have a method of a stream be called through another function, whoever holds the stream.

    What logs may have held it since long before, so it is not put in another's place.
    """
    former: Any = stream.__dict__.get(name)
    setattr(stream, name, partial(through, getattr(stream, name)))
    try:
        yield
    finally:
        delattr(stream, name)
        if former is not None:
            setattr(stream, name, former)


class _Display:
    """The lines, and the thread that draws them."""

    current: _Display | None = None

    def __init__(self, stream: Any) -> None:
        self.programs: Programs | None = None
        self._stream = stream
        self._write = stream.write  # before others' calls of it lead here
        self._encoding: str = stream.encoding or "ascii"
        self._colors = takes_color(stream)
        # Re-entrant, as a signal may interrupt a thread here and its handler may print.
        self._lock = threading.RLock()
        self._is_at_line_start = True
        self._is_column_known = True
        self._is_drawn = False
        self._block = ""
        """What was drawn last, if it is to be drawn again when a line was printed."""
        self._drawn_for = (0, 0)
        """How large the terminal was then."""
        self._writes = 0
        self._writes_limit = WRITES_PER_S_LIMIT * INTERVAL_S
        """How much may be printed until they are drawn anew by their thread."""
        self._is_over = False
        self._began = clock.monotonic()
        self._process = os.getpid()

    # -- for what else is printed and read ----------------------------------------------------

    def write_above(self, write: Callable[[str], int], text: str) -> int:
        """Write a text above the lines, otherwise as it is."""
        if self._is_elsewhere():
            return write(f"{_ERASE_BELOW}{text}") - len(_ERASE_BELOW)
        with self._lock:
            if self._is_drawn:
                self.make_room()
            written = write(text)
            if text:
                self._is_at_line_start = text[-1] == "\n"
                self._is_column_known |= self._is_at_line_start
            self._writes += 1
            if self._is_at_line_start and self._block and self._fits_still():
                self._put(self._block)
            return written

    def read_below(self, read: Callable[..., str], *values: Any) -> str:
        """Read from the terminal, where what is typed is to be seen."""
        self.wait_for_line_end()
        text = read(*values)
        if text.endswith("\n"):
            self.line_ended()
        return text

    def _is_elsewhere(self) -> bool:
        """Tell whether this process was forked from the one that draws, whose lock it has."""
        return os.getpid() != self._process

    def make_room(self) -> None:
        """Take the lines away."""
        if self._is_elsewhere():
            return
        with self._lock:
            if self._is_drawn:
                self._is_drawn = False
                self._write(_ERASE)
                self._stream.flush()

    def wait_for_line_end(self) -> None:
        """Take the lines away, and draw none until a line has come to its end."""
        if self._is_elsewhere():
            return
        with self._lock:
            self.make_room()
            self._is_at_line_start = False

    def line_ended(self) -> None:
        """The line has come to its end: the lines may be drawn again."""
        if self._is_elsewhere():
            return
        with self._lock:
            self._is_at_line_start = True
            self._is_column_known = True

    def make_room_for_program(self) -> None:
        """Take the lines away; a program writes there now, and may not end its last line."""
        if self._is_elsewhere():
            return
        with self._lock:
            self.make_room()
            self._is_column_known = False

    # -- drawing ------------------------------------------------------------------------------

    def end(self) -> None:
        """Take the lines away for good."""
        with self._lock:
            self._is_over = True
            self._block = ""
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
            drew_s = clock.monotonic() - began
            rest_s = min(max(INTERVAL_S, drew_s * REST_FACTOR), REST_LIMIT_S)
            self._writes_limit = WRITES_PER_S_LIMIT * rest_s

    def _draw(self, elapsed_s: float) -> None:
        columns, height = size = self._size()
        executions = [one for one in attendant().executions() if one.flow_run is not None]
        lines = [
            shown(line, columns - 1, self._encoding, colors=self._colors)
            for line in lines_of(executions, elapsed_s)[: height - 1]
        ]
        with self._lock:
            if self._is_over:
                return
            self._block = ""
            if self._may_draw() and lines:
                back = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
                self._block = f"{_ERASE}{chr(10).join(lines)}{back}\r"
                self._drawn_for = size
                # A stream of stdout may hold text back still that belongs above.
                with suppress(OSError, ValueError):
                    sys.stdout.flush()
                if not self._is_column_known:
                    # A line's width of spaces: a line that was begun is left with them, and one
                    # that was not is not, as the last column is left with what comes next.
                    self._write(f"{' ' * columns}\r")
                    self._is_column_known = True
                self._put(self._block)
            self._writes = 0

    def _fits_still(self) -> bool:
        """Tell whether what was drawn last may be drawn again."""
        return self._writes <= self._writes_limit and self._size() == self._drawn_for

    def _size(self) -> tuple[int, int]:
        """Give how wide and high the terminal is now."""
        size = os.get_terminal_size(self._stream.fileno())
        # Some terminals, of containers for one, do not say how large they are.
        return size.columns or _COLUMNS, size.lines or _HEIGHT

    def _may_draw(self) -> bool:
        """Tell whether the terminal is nobody else's now; take the lines away where it is."""
        terminal = self._stream.fileno()
        if is_in_background(terminal):
            self._is_drawn = False
            return False
        if is_read_by_keys(terminal):
            if self._is_drawn:  # over them stands what is asked for
                self._is_drawn = False
                self._write(_ERASE_BELOW)
                self._stream.flush()
            return False
        if self._writes > self._writes_limit:
            return False
        is_others = self.programs is not None and self.programs.any_writes_here()
        return self._is_at_line_start and not is_others

    def _put(self, block: str) -> None:
        self._is_drawn = True
        self._write(block)
        self._stream.flush()
