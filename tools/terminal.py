"""A terminal of one's own, for tests: what a program shows there, and keys that are pressed.

The screen is that of an emulator, so what a test sees is what somebody who sits there would see.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING, Self

import pyte

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence

PATIENCE_S = 30.0
READ_BYTES = 65_536
SCROLLED_LIMIT = 10_000
CTRL_C, CTRL_Z = "\x03", "\x1a"

# A session's leader that opens a terminal has it as the one that controls it: Ctrl-C reaches it.
_OPENED = 'exec "$@" <"$0" >"$0" 2>&1'


class Terminal:
    """A program in a terminal that controls it.

    Parameters:
        command: the program and its arguments.
        columns: how wide the terminal is.
        rows: how high it is.
        environment: what to add to this process's own.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 100,
        rows: int = 30,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=SCROLLED_LIMIT, ratio=0.5)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        """All that the program has written, as it is."""
        self._ours, theirs = pty.openpty()
        self._set_size(columns, rows)
        # Whoever runs the tests may have said how large their own terminal is.
        env = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
        env |= {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"} | dict(environment or {})
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", _OPENED, os.ttyname(theirs), *command],
            env=env,
            start_new_session=True,
        )
        # Kept open until the program has ended: it opens the terminal by its name.
        self._theirs: int | None = theirs

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the program, if it has not ended, and close the terminal."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for end in (self._ours, self._theirs):
            if end is not None:
                os.close(end)
        self._theirs = None

    # -- what somebody does there ---------------------------------------------------------------

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Make the window larger or smaller; who runs there is told by SIGWINCH."""
        self.screen.resize(rows, columns)
        self._set_size(columns, rows)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    # -- what is seen there ---------------------------------------------------------------------

    def lines(self) -> list[str]:
        """Give the lines on the screen, without those that are empty at its end."""
        shown = [line.rstrip() for line in self.screen.display]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def text(self) -> str:
        """Give what is on the screen."""
        return "\n".join(self.lines())

    def all_lines(self) -> list[str]:
        """Give the lines that have left the screen at its top, and those on it."""
        above = [
            "".join(row[column].data for column in range(self.screen.columns)).rstrip()
            for row in self.screen.history.top
        ]
        return above + self.lines()

    def until(self, is_so: str | Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """Wait until a text is on the screen, or something is so.

        Raises:
            AssertionError: it does not come to be so; with what is on the screen instead.
        """
        ends_at = time.monotonic() + patience_s
        seen = (lambda: is_so in self.text()) if isinstance(is_so, str) else is_so
        while not seen():
            if time.monotonic() > ends_at or not self._read(ends_at):
                message = f"{is_so!r} did not come to be; on the screen is:\n{self.text()}"
                raise AssertionError(message)

    def until_ended(self, patience_s: float = PATIENCE_S) -> int:
        """Wait until the program has ended; give its exit code, negative where by a signal."""
        ends_at = time.monotonic() + patience_s
        while self.process.poll() is None:
            self._read(time.monotonic() + 0.05)
            if time.monotonic() > ends_at:
                message = f"the program has not ended; on the screen is:\n{self.text()}"
                raise AssertionError(message)
        while self._read(time.monotonic()):
            pass
        return self.process.returncode

    def is_cursor_shown(self) -> bool:
        """Tell whether somebody who types sees where."""
        return not self.screen.cursor.hidden

    def echoes(self) -> bool:
        """Tell whether what is typed is shown, and read in lines."""
        flags: int = termios.tcgetattr(self._ours)[3]
        return bool(flags & termios.ECHO and flags & termios.ICANON)

    def send(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        self.process.send_signal(number)

    def _read(self, until: float) -> bool:
        """Show what has been written, if there is any before a time; tell whether there was."""
        wait_s = max(0.0, until - time.monotonic())
        ready, _, _ = select.select([self._ours], [], [], wait_s)
        if not ready:
            return False
        part = os.read(self._ours, READ_BYTES)
        self.written += part
        self._stream.feed(part)
        return True
