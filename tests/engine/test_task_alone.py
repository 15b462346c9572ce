"""Tasks called outside of any flow: recorded, without a flow run (spec 2.4, 10.1)."""

from __future__ import annotations

import asyncio
import threading

import pytest

from penstock import flow, task
from penstock.context import FlowRunContext


@task
def adds(x, y=1):
    return x + y


@task
async def adds_async(x, y=1):
    await asyncio.sleep(0)
    return x + y


BOTH = pytest.mark.parametrize("made", [adds, adds_async], ids=["sync task", "async task"])


@BOTH
def test_a_call_gives_the_value(made):
    value = made(1)
    assert (asyncio.run(value) if made.isasync else value) == 2


@BOTH
def test_a_call_gives_the_state(made):
    state = made(1, return_state=True)
    state = asyncio.run(state) if made.isasync else state
    assert state.is_completed()
    assert state.result() == 2


@BOTH
def test_it_is_recorded_without_a_flow_run(made, records, history):
    value = made(1)
    if made.isasync:
        asyncio.run(value)

    run = records.task_run()
    assert run.flow_run_id is None
    assert history(run) == ["Pending", "Running", "Completed"]
    assert run.state.result() == 2
    assert len(run.dynamic_key) == 36
    assert run.name == f"{made.name}-{run.dynamic_key[:8]}"
    assert records.flow_runs() == []


@pytest.mark.parametrize("how", ["submit", "map"])
@BOTH
def test_submitting_and_mapping_are_refused(made, how, records):
    with pytest.raises(RuntimeError, match="enable task scheduling, is not there yet"):
        getattr(made, how)([1])

    assert records.task_runs() == []


def test_retries(records, history):
    tries = []

    @task(retries=2)
    def flaky():
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("boom")
        return "done"

    assert flaky() == "done"
    assert history(records.task_run()) == [
        "Pending",
        "Running",
        "AwaitingRetry",
        "Retrying",
        "AwaitingRetry",
        "Retrying",
        "Completed",
    ]


@pytest.mark.parametrize("how", ["call", "submit", "map"])
def test_tasks_in_it(how, records):
    @task
    def parent():
        if how == "call":
            return adds(1)
        if how == "submit":
            return adds.submit(1).result()
        return adds.map([1])[0].result()

    assert parent() == 2
    assert [run.flow_run_id for run in records.task_runs()] == [None, None]
    assert [run.state_name for run in records.task_runs()] == ["Completed", "Completed"]


def test_async_tasks_in_it():
    @task
    async def parent():
        inner = await adds_async.submit(1)
        return await adds_async(1) + await inner.result()

    @task
    def outer():
        return parent()

    assert asyncio.run(parent()) == 4
    assert outer() == 4


def test_a_flow_in_it_is_a_root(records):
    @flow
    def child():
        return adds(1)

    @task
    def parent():
        return child()

    assert parent() == 2
    assert records.flow_run().parent_task_run_id is None


def test_its_logs_are_there_when_it_returns(records):
    from penstock import get_run_logger

    @task
    def says():
        get_run_logger().info("hello from outside")

    says()

    assert "hello from outside" in records.logs()


def test_two_runs_at_once_do_not_disturb_each_other(records):
    threads = [threading.Thread(target=adds, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(run.state.result() for run in records.task_runs()) == [1, 2, 3, 4]
    assert FlowRunContext.get() is None
