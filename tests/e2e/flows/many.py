"""A flow of very many tasks, which says how much memory its process keeps on the way."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from penstock import flow, task
from penstock.task_runners import ConcurrentTaskRunner

BATCH = 1_000
PAGE_BYTES = 4_096


@task
def square(number: int) -> int:
    return number * number


def say_memory(count: int) -> None:
    """Print how many bytes the process has in memory after `count` tasks."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    sys.stdout.write(f"{count} {pages * PAGE_BYTES}\n")


@flow
def calls(first: int, count: int) -> int:
    total = 0
    for number in range(count):
        if number == first:
            say_memory(number)
        total += square(number)
    say_memory(count)
    return total


@flow(task_runner=ConcurrentTaskRunner(max_workers=4))
def maps(first: int, count: int) -> int:
    total = 0
    for start in range(0, count, BATCH):
        if start == first:
            say_memory(start)
        total += sum(future.result() for future in square.map(range(start, start + BATCH)))
    say_memory(count)
    return total


if __name__ == "__main__":
    kind, begin, end = sys.argv[1:]
    sys.stdout.write(f"value {globals()[kind](int(begin), int(end))}\n")
