"""The floors: what Python and SQLite alone cost here and now. Each gives seconds for one item.

A figure in microseconds says more about the machine and its other users than about an engine; the
same figure over a floor taken a moment before does not.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

INSERTS = 1_000
SUBMITS = 10_000
WORKERS = 8


class InsertFloor:
    """F1: one SQLite insert and commit, in WAL mode with `synchronous=NORMAL`.

    The file lies in `folder`, which should be on the disk of the store that is measured beside it.
    """

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "floor.db", isolation_level=None)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=normal")
        self._db.execute(
            "create table if not exists item"
            "(id blob primary key, type text, started real, result blob) without rowid"
        )
        self.inserts = 0
        self.seconds = 0.0

    def take(self, count: int = INSERTS) -> float:
        """Insert and commit `count` rows one by one; seconds for each.

        All that was ever taken adds up in `inserts` and `seconds`.
        """
        execute = self._db.execute
        begin = time.perf_counter()
        for _ in range(count):
            execute("begin immediate")
            execute(
                "insert into item values(?,?,?,?)", (os.urandom(16), "COMPLETED", 1.0, b"x" * 50)
            )
            execute("commit")
        seconds = time.perf_counter() - begin
        self.inserts += count
        self.seconds += seconds
        return seconds / count


def increment(x: int) -> int:
    """Do the least that still shows whether it was done."""
    return x + 1


def pool_submit(count: int = SUBMITS) -> float:
    """F2: submit `count` calls to a `ThreadPoolExecutor(8)`, wait for all; seconds for each."""
    with ThreadPoolExecutor(WORKERS) as pool:
        begin = time.perf_counter()
        for future in [pool.submit(increment, i) for i in range(count)]:
            future.result()
        return (time.perf_counter() - begin) / count


def process_start(arguments: Sequence[str], env: Mapping[str, str]) -> float:
    """Run this interpreter with `arguments` to its end; seconds. Raises if it fails."""
    command = [sys.executable, *arguments]
    begin = time.perf_counter()
    subprocess.run(
        command,
        env=env,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - begin


def bare_start(env: Mapping[str, str]) -> float:
    """F3: the whole of `python -c pass`; seconds."""
    return process_start(["-c", "pass"], env)
