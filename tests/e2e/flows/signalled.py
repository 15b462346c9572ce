"""Flows in the middle of something when a signal comes, and ones that leave a thread stuck."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import sys
import time

from penstock import flow, get_run_logger, task


def is_up() -> None:
    sys.stdout.write("up\n")
    sys.stdout.flush()


@task
def quick(index: int) -> int:
    get_run_logger().info("quick %d", index)
    return index


@task
def sleeps() -> None:
    get_run_logger().info("about to sleep")
    is_up()
    time.sleep(60)


@task
def sleeps_in_c() -> None:
    """Cannot be interrupted: a thread that is in C looks at nothing."""
    get_run_logger().info("about to sleep")
    is_up()
    ctypes.CDLL(None).sleep(60)


@task
async def sleeps_async(*, last: bool) -> None:
    get_run_logger().info("about to sleep")
    if last:
        is_up()
    await asyncio.sleep(60)


@flow
def called() -> None:
    quick(0)
    sleeps()


@flow
def submitted() -> None:
    quick.map(range(3))
    sleeps.submit().result()


@flow
def unwoken() -> None:
    """Waits with a main thread that signals do not wake: they come to the other threads."""
    quick.submit(0).result()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    sleeps.submit().result()


@flow
def stuck() -> None:
    quick(0)
    sleeps_in_c.submit().result()


@flow
def stuck_at_the_end() -> None:
    quick(0)
    sleeps_in_c.submit()


@flow
async def asynchronous() -> None:
    quick(0)
    await asyncio.gather(sleeps_async(last=False), sleeps_async(last=True))


@flow
def outer() -> None:
    quick(0)
    called()


@flow
def timed_out() -> str:
    """Comes to its end while a thread is stuck: the task's time was over."""
    state = sleeps_in_c.with_options(timeout_seconds=0.2).submit().wait()
    quick(0)
    return state.name


@flow(timeout_seconds=0.3)
def timed_out_itself() -> None:
    quick(0)
    sleeps_in_c.submit().result()


@flow
def fails_beside_a_stuck_one() -> None:
    sleeps_in_c.with_options(timeout_seconds=0.2).submit()
    message = "on purpose"
    raise ValueError(message)


def former_handler(_number: int, _frame: object) -> None:
    sys.stdout.write("former handler\n")
    sys.stdout.flush()
    sys.exit(7)


if __name__ == "__main__":
    if "--with-handler" in sys.argv:
        signal.signal(signal.SIGTERM, former_handler)
    chosen = globals()[sys.argv[1]]
    answer = chosen()
    if chosen.isasync:
        answer = asyncio.run(answer)
    sys.stdout.write(f"value {answer}\n")
