"""Flows whose processes die, or are stopped for a while."""

from __future__ import annotations

import sys
import time
from typing import Any

from ledger import note

from penstock import flow, task
from penstock.exceptions import Abort


@task
def step(index: int) -> int:
    note("begin", f"step-{index}")
    time.sleep(0.02)
    note("end", f"step-{index}")
    return index


@task
def sleeps() -> None:
    note("begin", "sleeps")
    time.sleep(60)


def hook(flow: Any, flow_run: Any, state: Any) -> None:
    note("hook", f"{flow.name}-{state.name}")


def up() -> None:
    sys.stdout.write("up\n")
    sys.stdout.flush()


HOOKS: dict[str, Any] = {"on_crashed": [hook], "on_completion": [hook], "on_failure": [hook]}


@flow(**HOOKS)
def called(index: int) -> int:
    return sum(step(10 * index + each) for each in range(3))


@flow(on_crash="resume", **HOOKS)
def resumed(count: int) -> int:
    """Call tasks, and now and then a flow."""
    return sum(called(index) if index % 4 == 1 else step(1000 + index) for index in range(count))


@flow(**HOOKS)
def commits_tasks() -> int:
    """Be somewhere between tasks that are over soon."""
    up()
    return sum(step(index) for index in range(1000))


@flow(**HOOKS)
def is_in_a_task() -> None:
    step(0)
    up()
    sleeps()


@flow(**HOOKS)
def is_in_its_own_code() -> int:
    first = step(0)
    up()
    return first + len(sys.stdin.readline())


@flow(on_crash="resume")
def kills_itself() -> None:
    import os
    import signal

    note("begin", "killing")
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    try:
        value = globals()[sys.argv[1]](*map(int, sys.argv[2:]))
    except Abort as abort:
        value = f"aborted: {abort}"
    sys.stdout.write(f"value {value}\n")
