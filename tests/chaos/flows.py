"""What is done under trouble: each step says in a ledger that it begins and that it has ended."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from penstock import flow, task
from penstock.concurrency import concurrency
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
    note("begin", key)
    time.sleep(STEP_S)
    note("end", key)


@task(task_run_name="called-{index}")
def called(index: int) -> int:
    work(f"called-{index}")
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


@flow(on_crash="resume")
def inner(start: int) -> int:
    return sum(called(index) for index in range(start, start + 3))


@flow(on_crash="resume")
def load() -> int:
    total = sum(called(index) for index in range(4))
    futures = [*limited.map(range(4)), *guarded.map(range(3))]
    total += inner(100)
    total += flaky(0)
    total += sum(future.result() for future in futures)
    return total + called(50)


EXPECTED = sum(range(4)) + sum(range(4)) + sum(range(3)) + 100 + 101 + 102 + 50

if __name__ == "__main__":
    assert load() == EXPECTED
    sys.stdout.write("value\n")
