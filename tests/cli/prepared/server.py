"""Execute commands in forked processes: as real ones, without the time that imports take.

It is given a socket. Each message is a JSON object with `arguments`, `environment`, `folder` and
`encoding`, and comes with three descriptors: stdin, stdout and stderr. The answer is the exit
code.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
from contextlib import suppress

import rich.console
import rich.table
import typer.main

import penstock.cli.app
import penstock.cli.listing
import penstock.cli.reading
import penstock.cli.running
import penstock.cli.upkeep
from penstock.cli import main

LONGEST_MESSAGE = 100_000
PRELOADED = (rich, typer, penstock)
with suppress(ImportError):
    import penstock.store.postgres


def _give_up_powers() -> None:
    """Have root obey the permissions of its own files: it may read and write any otherwise."""
    version_3_of_this_process = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(version_3_of_this_process, nothing):
        raise OSError(ctypes.get_errno(), "capset")


def _become(message: dict, streams: list[int], encoding: str) -> None:
    os.chdir(message["folder"])
    os.environ.clear()
    os.environ.update(message["environment"])
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    sys.stdin = os.fdopen(0, encoding=encoding, errors="surrogateescape", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding=encoding, closefd=False)
    sys.stderr = os.fdopen(
        2, "w", encoding=encoding, errors="backslashreplace", closefd=False, buffering=1
    )
    sys.argv = ["penstock", *message["arguments"]]
    sys.path[0] = message["folder"]
    if message["unprivileged"] and os.geteuid() == 0:
        _give_up_powers()


def serve(connection: socket.socket) -> int | None:
    """Serve until nobody asks any more; give the exit code in a process that is a command's."""
    while True:
        data, streams, _, _ = socket.recv_fds(connection, LONGEST_MESSAGE, 3)
        if not data:
            return None
        child = os.fork()
        if child == 0:
            connection.close()
            message = json.loads(data)
            _become(message, streams, message["encoding"])
            return main()
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(child, 0)
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())


if __name__ == "__main__":
    # As the interpreter itself begins and ends a program: what it does at its end is part of it.
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        code = serve(asked)
    sys.exit(code)
