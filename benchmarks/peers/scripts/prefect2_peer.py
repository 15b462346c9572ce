"""Prefect 2: its own API in this process, on its own SQLite database."""

from __future__ import annotations

from importlib.metadata import version

import common
from prefect import flow, task
from prefect.task_runners import ConcurrentTaskRunner
from prefect.tasks import task_input_hash


@task
def inc(x):
    return common.inc(x)


@task(cache_key_fn=task_input_hash, persist_result=True)
def inc_stored(x):
    return common.inc(x)


@flow
def empty():
    pass


@flow
def one():
    return inc(0)


@flow
def chain(n):
    x = 0
    for _ in range(n):
        x = inc(x)
    return x


@flow
def chain_stored(n):
    x = 0
    for _ in range(n):
        x = inc_stored(x)
    return x


@flow(task_runner=ConcurrentTaskRunner())
def fan(n):
    return sum(future.result() for future in inc.map(range(n)))


def flows(n):
    for _ in range(n):
        empty()


if __name__ == "__main__":
    common.main(
        version("prefect"),
        {
            "chain": lambda a: lambda: chain(a.n),
            "fan": lambda a: lambda: fan(a.n),
            "flows": lambda a: lambda: flows(a.n),
            "cold": lambda _: one,
            "kill": lambda a: lambda: chain(a.n),
            "kill_stored": lambda a: lambda: chain_stored(a.n),
        },
        warm_up=empty,
    )
