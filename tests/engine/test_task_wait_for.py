"""Tasks that wait for others without taking their results (spec 2.4, 5.2)."""

from __future__ import annotations

import asyncio

import pytest

from penstock import flow, task
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner


@task
def gives(x):
    return x


def run(work, **options):
    given = []

    @flow(**options)
    def runs():
        given.append(work())

    runs()
    return given[0]


@pytest.mark.parametrize("runner", [SequentialTaskRunner, ConcurrentTaskRunner])
@pytest.mark.parametrize(
    "build",
    [
        lambda f: [f],
        lambda f: f,
        lambda f: {"a": [f]},
        lambda f: (x for x in [f]),
        lambda f: [f.wait()],
    ],
    ids=["list", "bare", "nested", "generator", "state"],
)
@pytest.mark.parametrize("how", ["call", "submit", "map"])
def test_it_runs_after_what_it_waits_for(how, build, runner):
    order = []
    notes = task(order.append, name="notes")

    def work():
        before = notes.submit("before")
        wait_for = build(before)
        if how == "map":
            notes.map(["after"], wait_for=wait_for)[0].wait()
        elif how == "submit":
            notes.submit("after", wait_for=wait_for).wait()
        else:
            notes("after", wait_for=wait_for)

    run(work, task_runner=runner)

    assert order == ["before", "after"]


def test_nothing_to_wait_for():
    assert run(lambda: (gives(1, wait_for=[]), gives(2, wait_for=None))) == (1, 2)


def test_its_values_are_not_read():
    """A result that is gone is no obstacle: only the order counts."""

    @task(persist_result=False, cache_result_in_memory=False)
    def forgets():
        return object()

    def work():
        return gives(1, wait_for=[forgets.submit()])

    assert run(work) == 1


def test_in_an_async_flow():
    order = []

    @task
    async def notes(what):
        await asyncio.sleep(0)
        order.append(what)

    @flow
    async def runs():
        before = await notes.submit("before")
        await notes("after", wait_for=[before])
        last = await notes.submit("last", wait_for=[before])
        await last.wait()

    asyncio.run(runs())

    assert order == ["before", "after", "last"]
