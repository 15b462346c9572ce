"""Tasks in tasks, and flows in them (spec 2.4, 5.5)."""

from __future__ import annotations

import asyncio

import pytest

from penstock import flow, task
from penstock.context import TaskRunContext
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner


@task
def adds(x, y=1):
    return x + y


@task
async def adds_async(x, y=1):
    await asyncio.sleep(0)
    return x + y


@task
def fails(_=None):
    raise ValueError("boom")


def run_in_sync_flow(work, **options):
    """Run `work` as the body of a sync flow and give what it returns."""
    given = []

    @flow(**options)
    def runs():
        given.append(work())

    runs()
    return given[0]


def run_in_async_flow(work, **options):
    """Await `work()` in the body of an async flow and give what it returns."""
    given = []

    @flow(**options)
    async def runs():
        given.append(await work())

    asyncio.run(runs())
    return given[0]


ON_EACH_RUNNER = pytest.mark.parametrize("runner", [SequentialTaskRunner, ConcurrentTaskRunner])


@pytest.mark.parametrize("how", ["call", "submit", "map"])
@ON_EACH_RUNNER
def test_the_child_belongs_to_the_same_flow_run(how, runner, records):
    @task
    def parent():
        if how == "call":
            return adds(1)
        if how == "submit":
            return adds.submit(1).result()
        return adds.map([1])[0].result()

    assert run_in_sync_flow(lambda: parent.submit().result(), task_runner=runner) == 2

    flow_run = records.flow_run()
    assert {run.flow_run_id for run in records.task_runs()} == {flow_run.id}
    assert len(records.task_runs()) == 2


@pytest.mark.parametrize("how", ["call", "submit", "map"])
def test_what_fails_in_a_task_does_not_decide_the_flow(how, records):  # spec 13
    @task
    def parent():
        if how == "call":
            return fails(return_state=True).is_failed()
        future = fails.submit() if how == "submit" else fails.map(["x"])[0]
        return future.wait().is_failed()

    @flow
    def runs():
        assert parent()

    assert runs(return_state=True).is_completed()
    assert records.task_run("fails").state_type == "FAILED"


def test_what_fails_in_a_task_that_is_retried_well():
    tries = []

    @task
    def child():
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("boom")

    @task(retries=1)
    def parent():
        child()

    @flow
    def runs():
        parent()

    assert runs(return_state=True).is_completed()
    assert len(tries) == 2


def test_an_async_task_in_a_sync_task_in_an_async_flow():
    @task
    def parent():
        return adds_async(1)

    async def work():
        return await asyncio.to_thread(parent), parent.submit().result()

    assert run_in_async_flow(work) == (2, 2)


def test_a_sync_task_in_an_async_task():
    @task
    async def parent():
        return adds(1) + adds.submit(1).result()

    assert run_in_async_flow(parent) == 4
    assert run_in_sync_flow(parent) == 4


def test_async_tasks_in_async_tasks():
    @task
    async def parent():
        future = await adds_async.submit(1)
        return await adds_async(1) + await future.result()

    async def work():
        return await parent() + await (await parent.submit()).result()

    assert run_in_async_flow(work) == 8
    assert run_in_sync_flow(lambda: parent() + parent.submit().result()) == 8


def test_a_flow_in_a_task(records):
    @flow
    def child(x):
        return adds(x)

    @task
    def parent():
        return child(1)

    assert run_in_sync_flow(lambda: parent() + parent.submit().result()) == 4
    assert len(records.flow_runs()) == 3


def test_deep_recursion_of_submitted_tasks_on_one_worker():
    @task
    def counts(n):
        return 0 if n == 0 else 1 + counts.submit(n - 1).result()

    work = lambda: counts.submit(20).result()
    assert run_in_sync_flow(work, task_runner=ConcurrentTaskRunner(max_workers=1)) == 20


def test_the_contexts_are_those_of_the_child_and_then_the_parents_again():
    @task
    def child():
        return TaskRunContext.get().task_run.name

    @task
    def parent():
        before = TaskRunContext.get().task_run.name
        return before, child(), TaskRunContext.get().task_run.name

    assert run_in_sync_flow(parent) == ("parent-0", "child-0", "parent-0")
