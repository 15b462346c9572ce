"""What really happened: a file that each process appends to, a line at a time.

A line is written with one call, so that it is there whole or not at all, also when the process is
killed at that moment; and it is not lost with the process, as what the kernel has stays.
"""

from __future__ import annotations

import os

_file = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(event: str, label: str, value: object = "") -> None:
    """Append a line: what happened, to which task run, with which value, in which process."""
    os.write(_file, f"{event} {label} {value} {os.getpid()}\n".encode())
