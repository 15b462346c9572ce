"""The work of the row about the live display: `penstock run` on a terminal, with it and without.

Both sides run the same flow in the same way on a terminal; one terminal cannot draw, and so has
nothing but lines. What is counted is the processor time of the whole process, as the display is
drawn by a thread of its own: on a machine with cores to spare the clock would not show it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.work import Bench

Sample = dict[str, float]

CAN_DRAW, CANNOT_DRAW = "xterm-256color", "dumb"
READ_BYTES, SHOWN_BYTES = 65_536, 1_000
ROWS_AND_COLUMNS = (30, 100)
DRAWN = b"\x1b[J"
COMMAND = "import sys; from penstock.cli import main; sys.exit(main())"

SCRIPT = """\
from penstock import flow, task


@task
def inc(x):
    return x + 1


@flow
def chain(n: int):
    x = 0
    for _ in range(n):
        x = inc(x)
    return x
"""


def bench_live(bench: Bench) -> list[Sample]:
    """`penstock run` of a chain of tasks: processor time for each task, start and end included."""
    script = bench.folder / "chain.py"
    script.write_text(SCRIPT)

    def seconds(terminal: str) -> float:
        bench.made(bench.count, None, None)
        return processor_seconds(script, bench.count, terminal) / bench.count

    seconds(CAN_DRAW)  # compiles modules, and makes the database
    samples: list[Sample] = []
    for number in range(bench.pairs):
        # By turns who is first: the store grows, and other programs come and go.
        both = {CAN_DRAW: 0.0, CANNOT_DRAW: 0.0}
        for terminal in sorted(both, reverse=number % 2 == 0):
            both[terminal] = seconds(terminal)
        samples.append({"floor": both[CANNOT_DRAW], "work": both[CAN_DRAW]})
    return samples


def processor_seconds(script: Path, count: int, terminal: str) -> float:
    """Run the script's flow with so many tasks on a terminal; the processor time it took."""
    ours, theirs = pty.openpty()
    set_size(theirs)
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", COMMAND, "run", str(script), "-p", f"n={count}"],
        os.environ | {"TERM": terminal},
        file_actions=[(os.POSIX_SPAWN_DUP2, theirs, stream) for stream in (0, 1, 2)],
    )
    os.close(theirs)
    shown = read_to_end(ours)
    _, status, usage = os.wait4(child, 0)
    if status or (DRAWN in shown) != (terminal == CAN_DRAW):
        end = shown[-SHOWN_BYTES:].decode(errors="replace")
        sys.exit(f"wait status {status} with TERM={terminal}; the end of what it showed:\n{end}")
    return usage.ru_utime + usage.ru_stime


def set_size(terminal: int) -> None:
    """Have a terminal say how large it is."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *ROWS_AND_COLUMNS, 0, 0))


def read_to_end(terminal: int) -> bytes:
    """Read what is shown on a terminal until nobody has it open any more."""
    shown = b""
    try:
        while part := os.read(terminal, READ_BYTES):
            shown += part
    except OSError:  # Linux says so at the end
        pass
    os.close(terminal)
    return shown
