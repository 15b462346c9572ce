"""Runs of graphs that somebody cancels: what is interrupted is Cancelled (PAINS 11)."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from penstock import get_client
from penstock import states as stored
from penstock.graph import Flow, task
from penstock.graph.executors import LocalDaskExecutor, LocalExecutor
from penstock.graph.state import Cancelled

LONG_S = 60

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="nothing wakes a main thread there"
)


@pytest.fixture
def cancel_when():
    """Give an event: when it is set, the only flow run is cancelled."""
    begun = threading.Event()

    def cancel():
        assert begun.wait(LONG_S)
        with get_client(sync_client=True) as client:
            (run,) = client.read_flow_runs()
            client.set_flow_run_state(run.id, stored.Cancelling())

    thread = threading.Thread(target=cancel)
    thread.start()
    yield begun
    begun.set()
    thread.join()


def read_runs():
    with get_client(sync_client=True) as client:
        (flow_run,) = client.read_flow_runs()
        return flow_run, client.read_task_runs()


@pytest.mark.parametrize("executor", [None, LocalExecutor(), LocalDaskExecutor()])
@pytest.mark.parametrize("prints", [True, False])
def test_a_task_that_is_executed_is_interrupted(cancel_when, executor, prints):
    @task
    def quick():
        return 1

    @task(log_stdout=prints)
    def sleeps(number):
        cancel_when.set()
        for _ in range(LONG_S * 100):
            time.sleep(0.01)
        return number

    @task
    def after(number):
        raise AssertionError

    with Flow("graph") as graph:
        after(sleeps(quick()))

    began = time.monotonic()
    state = graph.run(executor=executor)
    assert time.monotonic() - began < LONG_S / 2

    assert type(state) is Cancelled
    flow_run, task_runs = read_runs()
    assert flow_run.state.is_cancelled()
    assert {run.name: run.state.name for run in task_runs} == {
        "quick": "Completed",
        "sleeps": "Cancelled",
    }


def test_mapped_tasks_are_dropped_and_interrupted(cancel_when):
    called = []

    @task
    def spins(number):
        called.append(number)
        if len(called) == 2:
            cancel_when.set()
        while True:
            time.sleep(0.01)

    with Flow("graph") as graph:
        spins.map(list(range(8)))

    graph.run(executor=LocalDaskExecutor(num_workers=2))

    flow_run, task_runs = read_runs()
    assert flow_run.state.is_cancelled()
    assert len(called) == 2
    ended = [run for run in task_runs if run.state.name == "Cancelled"]
    assert len(ended) >= 2
    assert not [run for run in task_runs if run.state.is_running()]
