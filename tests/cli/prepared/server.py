"""Execute commands in forked processes: as real ones, without the time that imports take.

It is given a socket. Each message is a JSON object with `arguments`, `environment`, `folder` and
`encoding`, and comes with three descriptors: stdin, stdout and stderr. The answer is the exit
code.
"""

from __future__ import annotations

import json
import os
import socket
import sys

import rich.console
import rich.table
import typer.main

import penstock.cli.app
import penstock.cli.listing
import penstock.cli.reading
import penstock.cli.running
import penstock.cli.upkeep
from penstock.cli import main
from penstock.settings import reload_settings

LONGEST_MESSAGE = 100_000
PRELOADED = (rich, typer, penstock)


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
    reload_settings()


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
