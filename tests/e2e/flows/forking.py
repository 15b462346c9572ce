"""Flows in processes that are forked or spawned, while a flow runs and its threads are busy."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import traceback

from penstock import flow, get_run_logger, task
from penstock.exceptions import PenstockException
from penstock.futures import PenstockFuture
from penstock.task_runners import ConcurrentTaskRunner

CHILDREN = 6


@task
def double(number: int) -> int:
    get_run_logger().info("double %d", number)
    time.sleep(0.002)
    return 2 * number


@flow
def inner(number: int) -> int:
    called = double(number)
    return called + sum(future.result() for future in double.map([called] * 3))


def call_inner(number: int) -> int:
    """Run the flow in a worker of a pool."""
    return inner(number)


def call_task(number: int) -> str:
    """Call a task in a worker of a pool, which is in no flow of its own."""
    try:
        return f"gave {double(number)}"
    except (PenstockException, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"


def beside() -> list[PenstockFuture]:
    """Keep the threads of the flow busy meanwhile."""
    return double.map(range(60))


def run_in_child(number: int) -> int:
    """Run the flow in a forked child, and give its exit code."""
    child = os.fork()
    if child == 0:
        try:
            sys.stdout.write(f"child {inner(number)}\n")
            sys.stdout.flush()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a child ends here, however that is
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@flow(task_runner=ConcurrentTaskRunner(max_workers=3))
def forks() -> int:
    futures = beside()
    codes = [run_in_child(number) for number in range(CHILDREN)]
    return sum(codes) + sum(future.result() for future in futures)


@flow(task_runner=ConcurrentTaskRunner(max_workers=3))
def pools(method: str) -> int:
    futures = beside()
    with multiprocessing.get_context(method).Pool(3) as pool:
        values = pool.map(call_inner, range(CHILDREN), chunksize=1)
    sys.stdout.write("".join(f"child {value}\n" for value in values))
    return sum(future.result() for future in futures)


@flow
def calls_tasks(method: str) -> int:
    futures = beside()
    with multiprocessing.get_context(method).Pool(2) as pool:
        for answer in pool.map(call_task, range(2), chunksize=1):
            sys.stdout.write(f"task {answer}\n")
    return sum(future.result() for future in futures)


def pools_after_a_flow(method: str) -> int:
    """Start a pool in a program that has run a flow, and is in none."""
    value = beside_alone()
    with multiprocessing.get_context(method).Pool(3) as pool:
        values = pool.map(call_inner, range(CHILDREN), chunksize=1)
    sys.stdout.write("".join(f"child {value}\n" for value in values))
    return value


@flow
def beside_alone() -> int:
    return sum(future.result() for future in beside())


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    sys.stdout.write(f"value {globals()[kind](*arguments)}\n")
