"""Graphs as steps of flows, and flows and tasks as steps of the tasks of a graph."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

import penstock
from penstock.graph import Flow, Parameter, context, pause_task, task
from penstock.graph.debug import raise_on_exception
from penstock.graph.executors import LocalDaskExecutor, LocalExecutor
from penstock.graph.state import State
from penstock.graph.triggers import manual_only


@pytest.fixture(
    params=[LocalExecutor, lambda: LocalDaskExecutor(num_workers=2)], ids=["one by one", "threads"]
)
def graph(request, ledger):
    """A graph of two tasks; what came of it is in `graph.last`."""
    with Flow("graph", executor=request.param()) as flow:
        flow.last = ledger.noted(ledger.noted(Parameter("n", default=0)))
    return flow


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def decorate(request):
    """Make a flow of a function, a sync or an async one; calling it gives its value."""

    def made(fn):
        if not request.param:
            return penstock.flow(name="parent")(fn)

        async def awaited():
            await asyncio.sleep(0)
            return fn()

        flow = penstock.flow(name="parent")(awaited)

        class Called:
            def __call__(self, **options):
                return asyncio.run(flow(**options))

            def resume(self, flow_run_id, **options):
                return asyncio.run(flow.resume(flow_run_id, **options))

        return Called()

    return made


# -- a graph in a flow ----------------------------------------------------------------------------


def test_a_graph_has_the_context_of_the_code_that_calls_it(decorate):
    @task(cache_for=dt.timedelta(hours=1), name="asked")
    def asks():
        return context.get("of_the_caller")

    with Flow("asking") as asking:
        asked = asks()

    @decorate
    def parent():
        with context(of_the_caller=5, caches={}):
            first, second = asking.run(), asking.run()
            return [each.result[asked].result for each in (first, second)], len(context.caches)

    values, kept = parent()
    assert values == [5, 5]
    assert kept == 1


def test_exceptions_are_raised_out_of_a_graph_where_its_caller_says_so(decorate):
    @task
    def fails():
        raise LookupError("here")

    with Flow("failing") as failing:
        fails()

    @decorate
    def parent():
        with raise_on_exception(), pytest.raises(LookupError, match="here"):
            failing.run()
        return "raised"

    assert parent() == "raised"


def test_a_graph_is_a_subflow(graph, decorate, ledger, records):
    @decorate
    def parent():
        states = [graph.run(n=n) for n in (1, 2)]
        assert all(isinstance(state, State) for state in states)
        return [state.result[graph.last].result for state in states]

    assert parent() == [1, 2]

    called = [run.id for run in records.task_runs("graph")]
    assert len(called) == 2
    for run in records.flow_runs("graph"):
        assert run.parent_task_run_id in called
        assert run.state.is_completed()
    assert records.flow_run("parent").parent_task_run_id is None
    records.check()


def test_a_completed_graph_is_taken_from_its_record(graph, decorate, ledger, records):
    fails = [True]

    @decorate
    def parent():
        found = graph.run(n=5).result[graph.last].result
        if fails:
            fails.clear()
            raise ValueError("once")
        return found

    with pytest.raises(ValueError, match="once"):
        parent()
    assert parent.resume(records.flow_run("parent").id) == 5
    assert ledger == [5, 5]
    assert len(records.flow_runs("graph")) == 1
    records.check()


def test_a_flow_that_broke_in_the_middle_of_a_graph(decorate, ledger, records):
    breaks = [True]

    @task
    def dies(x):
        if breaks:
            breaks.clear()
            raise KeyboardInterrupt
        return x

    with Flow("graph") as graph:
        last = ledger.noted(dies(ledger.noted("before")))

    @decorate
    def parent():
        ledger.append("parent")
        return graph.run().result[last].result

    with pytest.raises(KeyboardInterrupt):
        parent()
    assert {run.state.name for run in records.flow_runs()} == {"Crashed"}

    assert parent.resume(records.flow_run("parent").id) == "before"
    assert ledger == ["parent", "before", "parent", "before"]
    assert len(records.flow_runs("graph")) == 1
    records.check()


def test_a_graph_that_fails_raises_nothing(decorate, ledger, records):
    fails = [True]

    @task
    def may_fail(x):
        if fails:
            raise ValueError("no")
        return x

    with Flow("graph") as graph:
        last = may_fail(ledger.noted("first"))

    @decorate
    def parent():
        state = graph.run()
        if state.is_failed():
            raise RuntimeError(state.message)
        return state.result[last].result

    with pytest.raises(RuntimeError, match="reference tasks failed"):
        parent()
    fails.clear()

    assert parent.resume(records.flow_run("parent").id) == "first"
    records.check()


def test_a_flow_that_lets_a_graphs_failure_be_completes(decorate, records):
    @task
    def fails():
        raise ValueError("no")

    with Flow("graph") as graph:
        fails()

    @decorate
    def parent():
        return graph.run().is_failed()

    assert parent() is True
    assert records.flow_run("graph").state.is_failed()


def test_a_flow_rests_with_its_graph(decorate, ledger, records):
    @task(trigger=manual_only)
    def approved(x):
        return f"approved {x}"

    with Flow("graph") as graph:
        last = approved(ledger.noted("first"))

    @decorate
    def parent():
        state = graph.run()
        ledger.append("parent goes on")
        return state.result[last].result

    with pytest.raises(penstock.exceptions.PausedRun, match="'approved'"):
        parent()
    assert ledger == ["first"]
    assert {run.state.name for run in records.flow_runs()} == {"Paused"}
    assert "'approved'" in records.flow_run("parent").state.message

    assert parent.resume(records.flow_run("parent").id) == "approved first"
    assert ledger == ["first", "parent goes on"]
    assert {run.state.name for run in records.flow_runs()} == {"Completed"}
    assert len(records.flow_runs()) == 2
    records.check()


def test_the_graph_alone_may_be_resumed_first(ledger, records):
    @task
    def asks(x):
        ledger.append("asks")
        pause_task("may I?")
        return x

    with Flow("graph") as graph:
        last = asks(ledger.noted("first"))

    @penstock.flow
    def parent():
        return graph.run().result[last].result

    assert parent(return_state=True).is_paused()
    assert graph.resume(records.flow_run("graph").id).is_successful()

    assert parent.resume(records.flow_run("parent").id) == "first"
    assert ledger == ["first", "asks", "asks"]


# -- in the tasks of a graph ----------------------------------------------------------------------


def test_a_graph_in_a_task_of_a_graph_lets_it_rest(ledger, records):
    @task(trigger=manual_only)
    def approved(x):
        return f"approved {x}"

    with Flow("inner") as inner:
        last = approved(ledger.noted("first"))

    @task
    def calls():
        return inner.run().result[last].result

    with Flow("outer") as outer:
        called = calls()
        beside = ledger.noted("beside")

    state = outer.run()
    assert state.is_running()
    assert type(state.result[called]).__name__ == "Paused"
    assert state.result[beside].is_successful()
    assert {run.state.name for run in records.flow_runs()} == {"Paused"}

    state = outer.resume(records.flow_run("outer").id)
    assert state.result[called].result == "approved first"
    assert sorted(ledger) == ["beside", "first"]
    assert len(records.flow_runs("inner")) == 1
    records.check()


@pytest.mark.parametrize("executor", [LocalExecutor, LocalDaskExecutor])
def test_tasks_and_flows_that_a_task_calls_are_recorded_beneath_it(executor, ledger, records):
    breaks = [True]

    @penstock.task
    def step(x):
        ledger.append(f"step {x}")
        return x + 1

    @penstock.flow(name="child")
    def child(x):
        return step(x) + step(x + 10)

    @task
    def body(x):
        value = step(x) + child(x)
        if x == 1 and breaks:
            breaks.clear()
            raise KeyboardInterrupt
        return value

    with Flow("outer", executor=executor()) as flow:
        values = body.map([0, 1])
    with pytest.raises(KeyboardInterrupt):
        flow.run()

    assert flow.resume(records.flow_run("outer").id).result[values].result == [13, 16]
    called = ["step 0", "step 0", "step 10", "step 1", "step 1", "step 11"]
    assert sorted(ledger) == sorted(called), "what had completed is not executed again"
    outer = records.flow_run("outer").id
    steps = [
        run for run in records.task_runs() if run.name == "step-0" and run.flow_run_id == outer
    ]
    assert len(steps) == 2
    assert len(records.flow_runs("child")) == 2
    assert {run.parent_task_run_id for run in records.flow_runs("child")} == {
        run.id for run in records.task_runs() if run.name == "child-0"
    }
    records.check()
