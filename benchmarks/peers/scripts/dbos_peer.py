"""DBOS: an SQLite system database by default, PostgreSQL by DBOS_SYSTEM_DATABASE_URL."""

from __future__ import annotations

import asyncio
import os
from importlib.metadata import version

import common
from dbos import DBOS, SetWorkflowID

CHAIN_ID = "the-chain"


@DBOS.step()
def inc(x):
    return common.inc(x)


@DBOS.step()
async def inc_async(x):
    return common.inc(x)


@DBOS.workflow()
def empty():
    pass


@DBOS.workflow()
def one():
    return inc(0)


@DBOS.workflow()
def chain(n):
    x = 0
    for _ in range(n):
        x = inc(x)
    return x


@DBOS.workflow()
async def fan(n):
    return sum(await asyncio.gather(*[inc_async(i) for i in range(n)]))


def launch():
    # The version is fixed so that a second process takes the first one's workflows up again.
    config = {"name": "bench", "log_level": "WARNING", "application_version": "1"}
    if os.environ.get("DBOS_SYSTEM_DATABASE_URL"):
        config["system_database_url"] = os.environ["DBOS_SYSTEM_DATABASE_URL"]
    DBOS(config=config)
    DBOS.launch()


def warm_up():
    launch()
    empty()


def flows(n):
    for _ in range(n):
        empty()


def cold(_):
    def run():
        launch()
        return one()

    return run


def kill(arguments):
    def run():
        launch()
        if arguments.again:
            return DBOS.retrieve_workflow(CHAIN_ID).get_result()
        with SetWorkflowID(CHAIN_ID):
            return chain(arguments.n)

    return run


if __name__ == "__main__":
    common.main(
        version("dbos"),
        {
            "chain": lambda a: lambda: chain(a.n),
            "fan": lambda a: lambda: asyncio.run(fan(a.n)),
            "flows": lambda a: lambda: flows(a.n),
            "cold": cold,
            "kill": kill,
        },
        warm_up=warm_up,
    )
    DBOS.destroy()
