"""Flows that are killed at any moment and gone on with.

Each task run has a label, by which it is named in the records and in the ledger alike. It notes
"begin" and "end" around its effect, and the flow notes "reported" with a value it was given.
"""

from __future__ import annotations

import asyncio
import sys
import time

from ledger import note

from penstock import flow, task
from penstock.runtime import task_run
from penstock.task_runners import ConcurrentTaskRunner

EFFECT_S = 0.002
RETRY_DELAY_S = 0.004


@task(task_run_name="{label}")
def add(label: str, value: int) -> int:
    note("begin", label)
    time.sleep(EFFECT_S)
    note("end", label)
    return value + 1


@task(task_run_name="{label}")
async def add_async(label: str, value: int) -> int:
    note("begin", label)
    await asyncio.sleep(EFFECT_S)
    note("end", label)
    return value + 1


@task(task_run_name="{label}", retries=2, retry_delay_seconds=RETRY_DELAY_S)
def add_at_second_attempt(label: str, value: int) -> int:
    note("begin", label)
    if task_run.run_count < 2:
        raise ConnectionError(label)
    time.sleep(EFFECT_S)
    note("end", label)
    return value + 1


def reported(label: str, value: int) -> int:
    note("reported", label, value)
    return value


@flow
def chain(count: int) -> int:
    value = 0
    for index in range(count):
        value = reported(f"chain-{index}", add(f"chain-{index}", value))
    return value


@flow(task_runner=ConcurrentTaskRunner(max_workers=4))
def mapped(count: int) -> int:
    """Maps batches over threads; a chain of submitted tasks runs beside them."""
    beside, total = 0, 0
    for start in range(0, count, 50):
        beside = add.submit(f"beside-{start}", beside)
        labels = [f"mapped-{index}" for index in range(start, min(start + 50, count))]
        futures = add.map(labels, range(start, start + len(labels)))
        for label, future in zip(labels, futures, strict=True):
            total += reported(label, future.result())
    return total + reported(f"beside-{start}", beside.result())


@flow
def child(index: int, value: int) -> int:
    note("begin", f"child-{index}")
    for step in range(8):
        label = f"inner-{index}-{step}"
        value = reported(label, add(label, value))
    labels = [f"inner-{index}-{step}" for step in range(8, 12)]
    futures = add.map(labels, [value] * 4)
    note("end", f"child-{index}")
    return value + sum(future.result() for future in futures)


@flow
def subflow(count: int) -> int:
    value = 0
    for index in range(count):
        value = reported(f"outer-{index}", add(f"outer-{index}", value))
        value = reported(f"child-{index}", child(index, value % 100))
    return value


@flow
async def asynchronous(count: int) -> int:
    """A chain, and tasks that are awaited together."""
    value = 0
    for index in range(count):
        label = f"awaited-{index}"
        value = reported(label, await add_async(label, value))
        labels = [f"together-{index}-{step}" for step in range(5)]
        values = await asyncio.gather(*(add_async(label, value) for label in labels))
        for label, each in zip(labels, values, strict=True):
            value += reported(label, each) % 7
    return value


@flow
def retried(count: int) -> int:
    value = 0
    for index in range(count):
        label = f"called-{index}"
        value = reported(label, add_at_second_attempt(label, value))
        labels = [f"submitted-{index}-{step}" for step in range(3)]
        futures = add_at_second_attempt.map(labels, [value] * 3)
        for label, future in zip(labels, futures, strict=True):
            value += reported(label, future.result()) % 7
    return value


sys.stdout.write("up\n")
sys.stdout.flush()

if __name__ == "__main__":
    what, kind, *rest = sys.argv[1:]
    called = globals()[kind]
    answer = called(int(rest[0])) if what == "run" else called.resume(rest[0])
    if called.isasync:
        answer = asyncio.run(answer)
    sys.stdout.write(f"value {answer}\n")
