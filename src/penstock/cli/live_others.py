"""Who else writes to the terminal, or reads from it, while the live display is drawn there.

What asks somebody for a line, and what starts programs, is called through functions of this file
meanwhile, so that the display steps aside. (An audit hook would hear of it, too, but costs each
task run more than all of the display.)
"""

from __future__ import annotations

import builtins
import os
import signal
import subprocess
import threading
import weakref
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager
    from types import FrameType

_PROGRAMS_LIMIT = 100
"""So many programs are looked after at most, of which most have ended long ago."""


class Yielding(Protocol):
    """What is drawn on a terminal and can step aside; in a forked process there is none."""

    def make_room(self) -> None:
        """Take everything away that is drawn; it may be drawn anew."""
        ...

    def wait_for_line_end(self) -> None:
        """Take everything away, and draw nothing until a line has come to its end."""
        ...

    def line_ended(self) -> None:
        """The line has come to its end."""
        ...

    def make_room_for_program(self) -> None:
        """Take everything away; where the cursor is when it is drawn anew, nobody knows."""
        ...


class Programs:
    """The programs that were started and may write to the terminal.

    Parameters:
        terminal: the number of the terminal's device.
    """

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._started: list[weakref.ref[Any]] = []
        self.waits: set[object] = set()
        """One for each thread that waits for a program that has the terminal."""

    def add(self, program: Any) -> None:
        """Look after a program that is about to start: a `subprocess.Popen`."""
        self._started = [*self._started[-_PROGRAMS_LIMIT:], weakref.ref(program)]

    def any_writes_here(self) -> bool:
        """Tell whether one is executed that has the terminal to write to."""
        if self.waits:
            return True
        if not self._started:
            return False
        self._started = [each for each in self._started if self._writes_here(each())]
        return bool(self._started)

    def _writes_here(self, program: Any) -> bool:
        if program is None or getattr(program, "returncode", None) is not None:
            return False
        pid: int | None = getattr(program, "pid", None)
        if pid is None:  # it is being started
            return True
        if not os.path.isdir("/proc/self/fd"):  # noqa: PTH112 - several times a second
            return program.stdout is None or program.stderr is None
        return any(self._is_here(f"/proc/{pid}/fd/{stream}") for stream in (1, 2))

    def _is_here(self, path: str) -> bool:
        try:
            return os.stat(path).st_rdev == self._terminal  # noqa: PTH116 - the same
        except OSError:  # it has ended
            return False


@contextmanager
def stepping_aside(display: Yielding, terminal: int) -> Generator[Programs]:
    """Have a display step aside in the block for whoever else uses its terminal.

    Parameters:
        display: what is drawn.
        terminal: the terminal's file descriptor.
    """
    programs = Programs(os.fstat(terminal).st_rdev)
    with ExitStack() as ending:
        ending.enter_context(_asking_seen(display))
        ending.enter_context(_programs_seen(display, programs))
        ending.enter_context(_shells_seen(display, programs))
        ending.enter_context(_stopped_without_traces(display))
        yield programs


@contextmanager
def _put_in_place(owner: Any, name: str, function: Callable[..., Any]) -> Generator[None]:
    former = getattr(owner, name)
    setattr(owner, name, function)
    try:
        yield
    finally:
        setattr(owner, name, former)


def _asking_seen(display: Yielding) -> AbstractContextManager[None]:
    """Leave the line to who is asked by `input`, and is shown there what they type."""
    ask = builtins.input

    def input_below(*prompt: Any) -> str:
        display.wait_for_line_end()
        answer = ask(*prompt)
        display.line_ended()
        return answer

    return _put_in_place(builtins, "input", input_below)


def _programs_seen(display: Yielding, programs: Programs) -> AbstractContextManager[None]:
    """Leave the terminal to programs, as long as they are executed and have it."""
    make = subprocess.Popen.__init__

    def make_above(self: Any, *values: Any, **options: Any) -> None:
        programs.add(self)
        display.make_room_for_program()
        make(self, *values, **options)

    return _put_in_place(subprocess.Popen, "__init__", make_above)


def _shells_seen(display: Yielding, programs: Programs) -> AbstractContextManager[None]:
    """The same for commands that are waited for."""
    execute: Callable[[Any], int] = vars(os)["system"]

    def execute_above(command: Any) -> int:
        waits = object()
        programs.waits.add(waits)
        display.make_room_for_program()
        try:
            return execute(command)
        finally:
            programs.waits.discard(waits)

    return _put_in_place(os, "system", execute_above)


@contextmanager
def _stopped_without_traces(display: Yielding) -> Generator[None]:
    """Take the lines away when the process is stopped by Ctrl-Z: the shell writes there next."""
    is_ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
    )
    if not is_ours:
        yield
        return

    def stop(number: int, _frame: FrameType | None) -> None:
        # Where the signal came in the midst of writing, the stream refuses to be written to.
        with suppress(RuntimeError, OSError, ValueError):
            display.make_room()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # it returns when the process goes on
        signal.signal(number, stop)

    signal.signal(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)


def is_in_background(terminal: int) -> bool:
    """Tell whether another process group than this one's has the terminal now."""
    with suppress(OSError):  # not the terminal that controls this process
        return os.tcgetpgrp(terminal) != os.getpgrp()
    return False


def is_read_by_keys(terminal: int) -> bool:
    """Tell whether somebody reads keys there, or a line that is not shown."""
    # Here, as other systems have none.
    import termios

    flags: int = termios.tcgetattr(terminal)[3]
    return not (flags & termios.ICANON and flags & termios.ECHO)
