"""Flows that are called in flows (spec 3.6, 5.3, 6.2)."""

from __future__ import annotations

import asyncio
import re

import pytest

from penstock import allow_failure, flow, task
from penstock.context import FlowRunContext
from penstock.exceptions import UnfinishedRun, UpstreamTaskError
from penstock.filesystems import LocalFileSystem
from penstock.states import Completed
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from penstock.utilities.annotations import quote


@task
def gives(x):
    return x


@task
def fails():
    raise ValueError("boom")


@flow
def child(x=None):
    return x


# -- what is recorded -----------------------------------------------------------------------------


def test_a_task_run_in_the_parent_stands_for_the_subflow(records, history):
    @flow(version="7")
    def my_child(x):
        return x + 1

    @flow
    def parent():
        my_child(1)
        return my_child(2)

    assert parent() == 3

    parent_run = records.flow_run("parent")
    first, second = records.task_runs()
    first_run, second_run = [run for run in records.flow_runs() if run.flow_name == "my-child"]
    assert (first.name, second.name) == ("my-child-0", "my-child-1")
    assert first.flow_run_id == second.flow_run_id == parent_run.id
    assert first.task_version == "7"
    assert first.task_key == second.task_key
    assert (first.dynamic_key, second.dynamic_key) == ("0", "1")
    assert first_run.parent_task_run_id == first.id
    assert second_run.parent_task_run_id == second.id
    assert history(first) == ["Pending", "Running", "Completed"]
    assert first.state.state_details.child_flow_run_id == first_run.id
    assert first_run.state.state_details.task_run_id == first.id
    assert second.state.result() == 3


def test_keys_of_tasks_start_anew_in_a_subflow(records):
    @flow
    def calls(n):
        for x in range(n):
            gives(x)

    @flow
    def parent():
        gives(0)
        calls(2)
        gives(1)

    parent()

    runs = {run.flow_name: run.id for run in records.flow_runs()}
    keys = {
        name: [run.dynamic_key for run in records.task_runs("gives") if run.flow_run_id == run_id]
        for name, run_id in runs.items()
    }
    assert keys == {"parent": ["0", "1"], "calls": ["0", "1"]}


def test_a_subflow_uses_its_own_runner():
    seen = []

    @flow(task_runner=SequentialTaskRunner)
    def sequential():
        seen.append(type(FlowRunContext.get().task_runner))

    @flow(task_runner=ConcurrentTaskRunner(max_workers=2))
    def parent():
        seen.append(FlowRunContext.get().task_runner)
        sequential()
        child()

    parent()
    parent()

    assert seen[1] is seen[3] is SequentialTaskRunner
    assert seen[0].max_workers == 2
    assert seen[0] is not seen[2], "each run has a runner of its own"
    assert seen[0] is not parent.task_runner


# -- inputs ---------------------------------------------------------------------------------------


def sources(run, name):
    return [source.id for source in run.task_inputs.get(name, [])]


INPUTS = [
    ("a future", lambda: gives.submit(3)),
    ("a state", lambda: gives(3, return_state=True)),
    ("a result", lambda: gives([3])),
]


@pytest.mark.parametrize("make", [case[1] for case in INPUTS], ids=[case[0] for case in INPUTS])
def test_inputs_are_resolved_and_their_sources_recorded(records, make):
    @flow
    def parent():
        return child(make())

    assert parent() in (3, [3])

    source = records.task_run("gives")
    assert sources(records.task_run("child"), "x") == [source.id]


def test_nested_inputs(records):
    @flow
    def parent():
        return child({"a": [gives.submit(1), gives(2, return_state=True)], "b": quote([1])})

    assert parent() == {"a": [1, 2], "b": [1]}
    assert len(sources(records.task_run("child"), "x")) == 2


def test_the_value_of_a_subflow_links_through_its_task_run(records):
    @flow
    def parent():
        state = child(3, return_state=True)
        return gives(state)

    assert parent() == 3
    assert sources(records.task_run("gives"), "x") == [records.task_run("child").id]


def test_async_subflows_take_futures(records):
    @task
    async def gives_async(x):
        return x

    @flow
    async def async_child(x):
        return x

    @flow
    async def parent():
        return await async_child(await gives_async.submit(3))

    assert asyncio.run(parent()) == 3


def test_an_input_that_failed_raises_into_the_parent(records):
    @flow
    def parent():
        with pytest.raises(UpstreamTaskError, match="did not reach a 'COMPLETED' state") as raised:
            child(fails.submit())
        assert raised.type is UpstreamTaskError
        with pytest.raises(UpstreamTaskError):
            child(fails.submit(), return_state=True)
        return "went on"

    assert parent() == "went on"
    assert [run.flow_name for run in records.flow_runs()] == ["parent"]


def test_an_input_that_may_fail():
    @flow
    def parent():
        return child(allow_failure(fails.submit()))

    assert isinstance(parent(), ValueError)


# -- wait_for -------------------------------------------------------------------------------------


def test_a_subflow_waits_without_taking_the_value(records):
    order = []

    @task
    def slow():
        order.append("task")
        return 1

    @flow
    def waits():
        order.append("flow")
        return 2

    @flow
    def parent():
        future = slow.submit()
        return waits(wait_for=[future])

    assert parent() == 2
    assert order == ["task", "flow"]
    run = records.task_run("waits")
    assert sources(run, "wait_for") == [records.task_run("slow").id]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_subflow_whose_upstream_failed_does_not_run(records, history, is_async):
    called = []

    def fn():
        called.append(1)

    async def async_fn():
        called.append(1)

    waits = flow(name="waits")(async_fn if is_async else fn)

    @flow
    def parent():
        future = fails.submit()
        state = waits(wait_for=[future], return_state=True)
        with pytest.raises(UnfinishedRun, match="NotReady"):
            waits(wait_for=[future])
        return state

    state = parent(return_state=True)

    assert called == []
    assert state.message == "1/1 states are not final."
    first, second = [run for run in records.flow_runs() if run.flow_name == "waits"]
    for run in (first, second):
        assert history(run) == ["Pending", "NotReady"]
        upstream = records.task_run("fails").id
        assert f"Upstream task run '{upstream}' did not reach a 'COMPLETED' state" in (
            run.state.message
        )
    assert {run.state.name for run in records.task_runs("waits")} == {"NotReady"}


def test_a_subflow_that_waits_for_what_may_fail():
    @flow
    def parent():
        return child(3, wait_for=[allow_failure(fails.submit())])

    assert parent() == 3


def test_wait_for_takes_nested_collections_and_states():
    @flow
    def parent():
        first, second = gives.submit(1), gives(2, return_state=True)
        return child(3, wait_for=[first, {"b": (second,)}])

    assert parent() == 3


# -- how the parent is affected -------------------------------------------------------------------


def test_a_failed_subflow_raises_in_its_parent(records):
    @flow
    def fails_too():
        raise ValueError("boom")

    @flow
    def parent():
        with pytest.raises(ValueError, match="boom"):
            fails_too()
        return 1

    assert parent() == 1
    assert records.task_run("fails-too").state.is_failed()
    assert "boom" in records.task_run("fails-too").state.message


def test_the_states_of_subflows_decide_a_parent_that_returns_nothing():
    @flow
    def fails_too():
        raise ValueError("boom")

    @flow
    def parent():
        fails_too(return_state=True)
        child()

    state = parent(return_state=True)
    assert (state.type.value, state.message) == ("FAILED", "1/2 states failed.")


def test_a_subflow_called_in_a_task_does_not_decide():  # as a task called in a task
    @flow
    def fails_too():
        raise ValueError("boom")

    @task
    def handles():
        fails_too(return_state=True)
        return 1

    @flow
    def parent():
        handles()

    assert parent(return_state=True).is_completed()


def test_a_state_made_by_hand_in_a_subflow():
    @flow
    def by_hand():
        return Completed(message="fine", data=7)

    @flow
    def parent():
        return by_hand()

    assert parent() == 7


# -- storage and prints ---------------------------------------------------------------------------


def test_storage_and_serializer_are_the_parents_unless_given(tmp_path, records):
    theirs = LocalFileSystem(basepath=str(tmp_path / "theirs"))
    own = LocalFileSystem(basepath=str(tmp_path / "own"))

    @task(persist_result=True)
    def kept(x):
        return x

    @flow(persist_result=True)
    def inherits():
        return kept([1])

    @flow(persist_result=True, result_storage=own, result_serializer="pickle")
    def has_own():
        return kept([2])

    @flow(persist_result=True, result_storage=theirs, result_serializer="json")
    def parent():
        inherits()
        has_own()
        return [3]

    parent()

    def contents(name):
        folder = tmp_path / name
        return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]

    assert len(contents("theirs")) == 3
    assert len(contents("own")) == 2
    assert all(re.search(rb'"?type"?: ?"json"|json', blob) for blob in contents("theirs"))
    for run in (*records.flow_runs(), *records.task_runs("kept")):
        assert run.state.result() in ([1], [2], [3])


def test_the_result_of_a_subflow_can_be_read_by_others(records):
    @flow
    def parent():
        child([1, 2])
        return 1

    parent()

    assert records.flow_run("child").state.result() == [1, 2]
    assert records.task_run("child").state.result() == [1, 2]


# -- deep and wide --------------------------------------------------------------------------------


def test_flows_within_flows_within_flows(records):
    @flow
    def level(n):
        return gives(n) if n == 0 else level(n - 1) + 1

    assert level(20) == 20

    runs = records.flow_runs()
    dummies = {run.id: run.flow_run_id for run in records.task_runs("level")}
    by_parent = {dummies.get(run.parent_task_run_id): run for run in runs}
    current, depth = by_parent[None], 0
    while current.id in by_parent:
        current, depth = by_parent[current.id], depth + 1
    assert depth == 20


def test_many_subflows_are_let_go():
    context = []

    @flow
    def parent():
        for x in range(200):
            child(x)
        execution = FlowRunContext.get().execution
        context.append((len(execution.subflows), len(execution.in_flight)))

    parent()

    assert context == [(0, 0)]
