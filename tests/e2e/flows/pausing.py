"""Flows that are paused, and gone on with by other processes."""

from __future__ import annotations

import asyncio
import sys

from ledger import note

from penstock import flow, pause_flow_run, suspend_flow_run, task
from penstock.exceptions import Pause


@task
def step(index: int) -> int:
    note("step", str(index))
    return index


@flow
def approved() -> int:
    first = step(1)
    pause_flow_run(timeout=60)
    return first + step(2)


@flow
def leaves(start: int = 1, limit: float | None = 60) -> int:
    """Suspend twice."""
    first = step(start)
    suspend_flow_run(timeout=limit)
    second = first + step(start + 1)
    suspend_flow_run(timeout=limit)
    return second + within(start + 2)


@flow
def within(index: int) -> int:
    return step(index)


@flow
async def leaves_async() -> int:
    first = step(1)
    await suspend_flow_run(timeout=60)
    return first + step(2)


@flow
def steps() -> int:
    """Make a step for each line on stdin, until it is closed."""
    sys.stdout.write("up\n")
    sys.stdout.flush()
    return sum(step(int(line)) for line in sys.stdin)


if __name__ == "__main__":
    chosen = globals()[sys.argv[1]]
    try:
        answer = asyncio.run(chosen()) if chosen.isasync else chosen()
    except Pause as pause:
        answer = pause.state.name
    sys.stdout.write(f"value {answer}\n")
