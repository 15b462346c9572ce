"""Graphs that are run in tasks of graphs, and cancelled from outside."""

from __future__ import annotations

import threading

from penstock.client import get_client
from penstock.graph import Flow, context, signals, task
from penstock.graph.executors import LocalDaskExecutor
from penstock.states import Cancelling


@task
def seen():
    return context.get("task_loop_count"), context.get("resume"), context.get("map_index")


def test_a_graph_in_a_task_of_a_graph_is_at_its_own_beginning():
    with Flow("inner") as inner:
        looked = seen()

    @task
    def outer_task(number):
        if context.get("task_loop_count", 1) < 3:
            raise signals.LOOP(result=number)
        return inner.run().result[looked].result

    with Flow("outer") as outer:
        found = outer_task.map([1, 2])
    state = outer.run()

    assert state.result[found].result == [(None, None, None)] * 2
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs()
        parents = {run.parent_task_run_id for run in runs if run.flow_name == "inner"}
        tasks = {run.id: run.name for run in client.read_task_runs()}
    assert len(runs) == 3
    assert sorted(tasks[parent] for parent in parents) == ["inner-0", "inner-0"]


def test_a_graph_that_is_cancelled_stops_and_says_so():
    begun, goes_on = threading.Event(), threading.Event()

    @task
    def holds(number):
        begun.set()
        goes_on.wait(30)
        return number

    with Flow("held", executor=LocalDaskExecutor(num_workers=1)) as flow:
        held = holds.map([1, 2, 3])

    def cancel():
        begun.wait(30)
        with get_client(sync_client=True) as client:
            (run,) = client.read_flow_runs()
            client.set_flow_run_state(run.id, Cancelling())
        goes_on.set()

    other = threading.Thread(target=cancel)
    other.start()
    state = flow.run()
    other.join()

    assert type(state).__name__ == "Cancelled"
    assert state.result[held].map_states[0].is_successful()
    assert not state.result[held].map_states[2]
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs()
    assert run.state.is_cancelled()
