"""One of many processes that begin at once on a database file that is not there yet."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from ledger import note

from penstock import flow, get_run_logger, task
from penstock.task_runners import ConcurrentTaskRunner

BATCH = 50


@task
def called(index: int) -> int:
    note("ran", str(index))
    return index


@task
def logged(index: int) -> int:
    get_run_logger().info("task %d of process %d", index, os.getpid())
    note("ran", str(index))
    return index


@flow
def calls(count: int) -> int:
    return sum([called(index) for index in range(count)])


@flow(task_runner=ConcurrentTaskRunner(max_workers=4))
def maps(count: int) -> int:
    total = 0
    for start in range(0, count, BATCH):
        total += sum(future.result() for future in logged.map(range(start, start + BATCH)))
    return total


if __name__ == "__main__":
    kind, size, gate = sys.argv[1:]
    sys.stdout.write("up\n")
    sys.stdout.flush()
    while not Path(gate).exists():
        time.sleep(0.0005)
    sys.stdout.write(f"value {globals()[kind](int(size))}\n")
