"""Flows whose process is stopped in the middle of a task, for longer than its lease lasts."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from ledger import note

from penstock import flow, task
from penstock.task_runners import ConcurrentTaskRunner

COUNT = 12
MIDDLE = 5
GATE = Path(os.environ["GATE"])


def work(index: int) -> int:
    """Do what each task does; those from the middle on wait until the gate is open."""
    note("begin", str(index))
    if index >= MIDDLE and not GATE.exists():
        sys.stdout.write("up\n")
        sys.stdout.flush()
        while not GATE.exists():
            time.sleep(0.001)
    note("end", str(index))
    return index + 1


@task(task_run_name="{index}")
def step(index: int) -> int:
    return work(index)


@task(task_run_name="{index}")
async def step_async(index: int) -> int:
    await asyncio.sleep(0)
    return work(index)


@flow
def called() -> int:
    return sum([step(index) for index in range(COUNT)])


@flow(task_runner=ConcurrentTaskRunner(max_workers=2))
def mapped() -> int:
    return sum(future.result() for future in step.map(range(COUNT)))


@flow
async def asynchronous() -> int:
    return sum([await step_async(index) for index in range(COUNT)])


@flow
def outer() -> int:
    return called()


if __name__ == "__main__":
    what, kind, *rest = sys.argv[1:]
    chosen = globals()[kind]
    answer = chosen() if what == "run" else chosen.resume(rest[0])
    if chosen.isasync:
        answer = asyncio.run(answer)
    sys.stdout.write(f"value {answer}\n")
