"""Prefect 1: `flow.run()` with no server; nothing is recorded unless a result is asked for."""

from __future__ import annotations

from importlib.metadata import version

import common
from prefect import Flow, task
from prefect.engine.results import LocalResult
from prefect.executors import LocalDaskExecutor, LocalExecutor

EMPTY = Flow("empty")


@task
def inc(x):
    return common.inc(x)


@task
def total(xs):
    return sum(xs)


def stored(i):
    """A task whose result is kept in a file of the current folder."""

    @task(name=f"inc{i}", result=LocalResult(dir="."), target=f"inc-{i}")
    def inc_stored(x):
        return common.inc(x)

    return inc_stored


def chain(n, *, is_stored=False):
    with Flow("chain") as flow:
        x = 0
        for i in range(n):
            x = stored(i)(x) if is_stored else inc(x)
    return flow.run(executor=LocalExecutor()).result[x].result


def fan(n):
    with Flow("fan") as flow:
        y = total(inc.map(list(range(n))))
    executor = LocalDaskExecutor(scheduler="threads", num_workers=8)
    return flow.run(executor=executor).result[y].result


def flows(n):
    for _ in range(n):
        EMPTY.run()


if __name__ == "__main__":
    common.main(
        version("prefect"),
        {
            "chain": lambda a: lambda: chain(a.n),
            "fan": lambda a: lambda: fan(a.n),
            "flows": lambda a: lambda: flows(a.n),
            "cold": lambda _: lambda: chain(1),
            "kill": lambda a: lambda: chain(a.n),
            "kill_stored": lambda a: lambda: chain(a.n, is_stored=True),
        },
        warm_up=EMPTY.run,
    )
