"""Prefect 3: a server of its own on an SQLite database, started by the first flow run."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import common
from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.task_runners import ThreadPoolTaskRunner

COMPLETED = "select count(*) from task_run where state_name = 'Completed'"
POLL_S = 0.1
NOTES: dict[str, int] = {}


@task
def inc(x):
    return common.inc(x)


@task(cache_policy=INPUTS, persist_result=True)
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


@flow(task_runner=ThreadPoolTaskRunner(max_workers=8))
def fan(n):
    return sum(inc.map(range(n)).result())


def flows(n):
    for _ in range(n):
        empty()


def recorded(n):
    """The chain, until the database holds all of its task runs as completed."""
    path = Path(os.environ["PREFECT_HOME"], "prefect.db")
    with closing(sqlite3.connect(path, timeout=30)) as database:

        def completed():
            return database.execute(COMPLETED).fetchone()[0]

        before = completed()
        value = chain(n)
        NOTES["recorded_at_return"] = completed() - before
        while completed() - before < n:
            time.sleep(POLL_S)
    return value


if __name__ == "__main__":
    common.main(
        version("prefect"),
        {
            "chain": lambda a: lambda: chain(a.n),
            "recorded": lambda a: lambda: recorded(a.n),
            "fan": lambda a: lambda: fan(a.n),
            "flows": lambda a: lambda: flows(a.n),
            "cold": lambda _: one,
            "kill": lambda a: lambda: chain(a.n),
            "kill_stored": lambda a: lambda: chain_stored(a.n),
        },
        warm_up=empty,
        more=lambda _: NOTES,
    )
