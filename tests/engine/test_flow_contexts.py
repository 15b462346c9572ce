from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from penstock import flow, tags, task
from penstock.context import FlowRunContext, TaskRunContext, get_run_context


@task
def a_task():
    return 1


def test_what_a_flow_finds(records):
    seen = {}

    @flow
    def ingest(day, limit=3):
        context = get_run_context()
        assert context is FlowRunContext.get()
        seen.update(
            run_id=context.flow_run.id,
            flow=context.flow,
            parameters=context.parameters,
            runner=type(context.task_runner).__name__,
            autonomous=context.autonomous_task_run,
            log_prints=context.log_prints,
            start=context.start_time,
            pauses=context.observed_flow_pauses,
            no_task=TaskRunContext.get(),
        )
        a_task()
        a_task()
        with pytest.raises(ValueError, match="no"):
            fails()
        child()
        seen["keys"] = list(context.task_run_dynamic_keys.values())
        seen["states"] = [state.name for state in context.task_run_states]
        seen["children"] = [state.name for state in context.flow_run_states]
        seen["futures"] = context.task_run_futures
        return 1

    @flow
    def child():
        return 1

    @task
    def fails():
        raise ValueError("no")

    ingest("monday")

    run = records.flow_run("ingest")
    assert seen["run_id"] == run.id
    assert seen["flow"] is ingest
    assert seen["parameters"] == {"day": "monday", "limit": 3}
    assert seen["runner"] == "ConcurrentTaskRunner"
    assert seen["autonomous"] is None
    assert seen["log_prints"] is False
    assert run.start_time <= seen["start"] <= run.end_time
    assert seen["pauses"] == {"counter": 0}
    assert seen["no_task"] is None
    assert seen["keys"] == [2, 1, 1]
    assert seen["states"] == ["Completed", "Completed", "Failed", "Completed"]
    assert seen["children"] == ["Completed"]
    assert seen["futures"] == []


def test_what_a_task_finds(records):
    seen = {}

    @task
    def add(number):
        context = get_run_context()
        assert context is TaskRunContext.get()
        seen.update(
            task=context.task,
            run_id=context.task_run.id,
            parameters=context.parameters,
            flow_run_id=FlowRunContext.get().flow_run.id,
            start=context.start_time,
        )

    @flow
    def ingest():
        add(a_task.submit())
        return 1

    ingest()

    run = records.task_run("add")
    assert seen["task"] is add
    assert seen["run_id"] == run.id
    assert seen["parameters"] == {"number": 1}  # resolved
    assert seen["flow_run_id"] == records.flow_run().id
    assert run.created - timedelta(milliseconds=1) <= seen["start"] <= run.end_time


def test_tags_of_runs(records):
    @task(tags=["own"])
    def add():
        return 1

    @flow
    def child():
        return add()

    @flow
    def parent():
        add()
        add.submit().wait()
        with tags("inside"):
            add()
            add.submit().wait()
            child()
        add()
        return 1

    with tags("outside"):
        parent()
    parent()

    of_flows = {run.id: (run.flow_name, run.tags) for run in records.flow_runs()}
    first, first_child, second, second_child = of_flows
    assert of_flows[first] == ("parent", ["outside"])
    assert of_flows[first_child] == ("child", ["inside", "outside"])
    assert of_flows[second] == ("parent", [])
    assert of_flows[second_child] == ("child", ["inside"])
    tags_of = {
        flow_run_id: [run.tags for run in records.task_runs() if run.flow_run_id == flow_run_id]
        for flow_run_id in of_flows
    }
    assert tags_of[first] == [
        ["outside", "own"],
        ["outside", "own"],
        ["inside", "outside", "own"],
        ["inside", "outside", "own"],
        ["inside", "outside"],  # what stands for the subflow
        ["outside", "own"],
    ]
    assert tags_of[first_child] == [["inside", "outside", "own"]]
    assert tags_of[second][0] == ["own"]
    assert tags_of[second_child] == [["inside", "own"]]
    assert add.tags == {"own"}


def test_tags_of_async_runs(records):
    @task
    async def add():
        return 1

    @flow
    async def parent():
        with tags("a"):
            first = add()
        with tags("b"):
            second = add()
        await asyncio.gather(first, second)
        return 1

    asyncio.run(parent())

    assert [run.tags for run in records.task_runs()] == [["a"], ["b"]]


def test_the_context_of_the_run_itself_is_entered_already():
    @task
    def enters():
        with pytest.raises(RuntimeError, match="entered already"), TaskRunContext.get():
            pass
        return 1

    @flow
    def runs():
        context = FlowRunContext.get()
        with pytest.raises(RuntimeError, match="entered already"), context:
            pass
        with context.copy() as copy:
            assert get_run_context() is copy
        assert get_run_context() is context
        return enters()

    assert runs() == 1
