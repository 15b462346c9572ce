"""Who else writes to the terminal, or reads from it, while the live display is drawn there.

Python tells its auditors before somebody is asked for a line, before another program is started,
and before a terminal is opened by its name: at each of these the display steps aside.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

_ASKS, _ANSWERED = "builtins.input", "builtins.input/result"
_STARTS, _OPENS = "subprocess.Popen", "open"
_WRITES_SOMETHING = frozenset({_ASKS, "os.system", "os.posix_spawn"})
_HEARD = _WRITES_SOMETHING | {_ANSWERED, _STARTS, _OPENS}
_TERMINAL = "/dev/tty"
_PROGRAMS_LIMIT = 100
"""So many programs are looked after at most, of which most have ended long ago."""


class Yielding(Protocol):
    """What is drawn on a terminal and can step aside."""

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


class _Auditor:
    """Hears what is about to happen in this process; Python has no way to take one away again."""

    is_there = False
    display: Yielding | None = None
    programs: Programs | None = None
    process = 0


class Programs:
    """The programs that were started and may write to the terminal.

    Parameters:
        terminal: the number of the terminal's device.
    """

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._started: list[weakref.ref[Any]] = []

    def add(self, program: Any) -> None:
        """Look after a program that is about to start: a `subprocess.Popen`."""
        self._started = [*self._started[-_PROGRAMS_LIMIT:], weakref.ref(program)]

    def any_writes_here(self) -> bool:
        """Tell whether one is executed that has the terminal to write to."""
        if not self._started:
            return False
        self._started = [each for each in self._started if self._writes_here(each())]
        return bool(self._started)

    def _writes_here(self, program: Any) -> bool:
        if program is None or program.returncode is not None:
            return False
        pid: int | None = program.pid
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
    _Auditor.display, _Auditor.programs, _Auditor.process = display, programs, os.getpid()
    if not _Auditor.is_there:
        _Auditor.is_there = True
        sys.addaudithook(_hear)
    try:
        with _stopped_without_traces(display):
            yield programs
    finally:
        _Auditor.display = _Auditor.programs = None


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _HEARD:  # first, as there are some for each task run
        return
    display = _Auditor.display
    if display is None or not _is_here():
        return
    # Whatever is wrong here is no reason to refuse what is about to happen.
    with suppress(Exception):
        if event == _ANSWERED:
            display.line_ended()
        elif event in _WRITES_SOMETHING:
            display.wait_for_line_end()
        elif event == _OPENS:
            if arguments[0] == _TERMINAL:
                display.make_room()
        else:
            program = sys._getframe(1).f_locals.get("self")  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            if _Auditor.programs is not None and program is not None:
                _Auditor.programs.add(program)
            display.make_room_for_program()


def _is_here() -> bool:
    """Tell whether this process draws; one that was forked has the display's lock as it was."""
    return _Auditor.process == os.getpid()


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
            if _is_here():
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
