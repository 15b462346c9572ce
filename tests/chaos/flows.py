"""What is done under trouble: each step says in a ledger that it begins and that it has ended."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from penstock import flow, pause_flow_run, suspend_flow_run, task
from penstock.concurrency import concurrency
from penstock.exceptions import Abort, Pause
from penstock.graph import Flow
from penstock.graph import task as graph_task
from penstock.graph.executors import LocalDaskExecutor
from penstock.input import receive_input
from penstock.runtime import flow_run

LEDGER = Path(os.environ["LEDGER"])
STEP_S = 0.04


def note(what: str, key: str) -> None:
    """Add a line to the ledger, in one write."""
    line = f"{time.time():.6f} {what} {flow_run.id} {key} {os.getpid()}\n".encode()
    descriptor = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def work(key: str) -> None:
    try:
        note("begin", key)
        time.sleep(STEP_S)
    finally:  # a run that is cancelled is interrupted
        note("end", key)


@task(task_run_name="called-{index}")
def called(index: int) -> int:
    work(f"called-{index}")
    return index


@task(task_run_name="called-{index}")
async def called_async(index: int) -> int:
    key = f"called-{index}"
    note("begin", key)
    await asyncio.sleep(STEP_S)
    note("end", key)
    return index


@task(task_run_name="limited-{index}", tags=["chaos"])
def limited(index: int) -> int:
    work(f"limited-{index}")
    return index


@task(task_run_name="guarded-{index}")
def guarded(index: int) -> int:
    with concurrency("gate"):
        work(f"guarded-{index}")
    return index


@task(task_run_name="flaky-{index}", retries=2)
def flaky(index: int) -> int:
    key = f"flaky-{index}"
    known = LEDGER.read_text() if LEDGER.exists() else ""
    note("begin", key)
    if f"{flow_run.id} {key}-tried" not in known:
        note("tried", f"{key}-tried")
        message = "once"
        raise ConnectionError(message)
    note("end", key)
    return index


@graph_task(name="mapped", tags=["chaos"], task_run_name="limited-{index}")
def limited_in_graph(index: int) -> int:
    work(f"limited-{index}")
    return index


with Flow("drawn", executor=LocalDaskExecutor(num_workers=4)) as drawn:
    limited_in_graph.map([200, 201, 202])


@flow(on_crash="resume")
def inner(start: int) -> int:
    return sum(called(index) for index in range(start, start + 3))


@flow(on_crash="resume")
def inner_asking(start: int) -> int:
    note("took", f"inner={pause_flow_run(wait_for_input=int, timeout=None)}")
    return called(start)


@flow(on_crash="resume")
def load() -> int:
    total = sum(called(index) for index in range(4))
    futures = [*limited.map(range(4)), *guarded.map(range(3))]
    total += inner(100)
    total += flaky(0)
    total += sum(future.result() for future in futures)
    return total + called(50)


@flow(on_crash="resume")
def drawing() -> int:
    total = called(0)
    drawn.run()
    return total + called(1)


@flow(on_crash="resume")
def asking() -> int:
    """Wait for a number in this process, and for another one in none."""
    total = called(0)
    futures = limited.map(range(2))
    note("took", f"first={pause_flow_run(wait_for_input=int, timeout=None, key='first')}")
    total += called(1)
    note("took", f"second={suspend_flow_run(wait_for_input=int, timeout=None, key='second')}")
    total += called(2) + inner_asking(100)
    return total + sum(future.result() for future in futures)


@flow(on_crash="resume")
async def asking_async() -> int:
    total = await called_async(0)
    given = await pause_flow_run(wait_for_input=int, timeout=None, key="first")
    note("took", f"first={given}")
    total += await called_async(1)
    given = await suspend_flow_run(wait_for_input=int, timeout=None, key="second")
    note("took", f"second={given}")
    return total + await called_async(2)


@flow(on_crash="resume")
def receiving() -> int:
    """Wait for two numbers that are sent to the run while it is executed."""
    total = called(0)
    note("wants", "numbers")
    receiver = receive_input(int, timeout=None)
    for index in (1, 2):
        note("took", f"number-{index}={receiver.next()}")
        total += called(index)
    return total


EXPECTED = {
    "load": sum(range(4)) + sum(range(4)) + sum(range(3)) + 100 + 101 + 102 + 50,
    "drawing": 0 + 1,
    "asking": 0 + 1 + 2 + 100 + 0 + 1,
    "asking_async": 0 + 1 + 2,
    "receiving": 0 + 1 + 2,
}


def main(name: str) -> None:
    try:
        state = globals()[name](return_state=True)
        if asyncio.iscoroutine(state):
            state = asyncio.run(state)
    except (Pause, Abort):  # it goes on in another process
        return
    if state.is_completed():
        assert state.result() == EXPECTED[name]
    sys.stdout.write(f"{state.name}\n")


if __name__ == "__main__":
    main(sys.argv[1])
