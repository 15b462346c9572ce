"""Graphs that somebody asks to pause or to leave their process, while they run."""

from __future__ import annotations

import threading
import time
from collections import Counter
from uuid import UUID

import pytest

import penstock
from penstock.engine.pausing import ask_to_pause
from penstock.graph import Flow, context, task
from penstock.graph.executors import LocalDaskExecutor, LocalExecutor
from penstock.graph.triggers import manual_only
from penstock.states import Paused
from penstock.store import get_store


@pytest.fixture(
    params=[LocalExecutor, lambda: LocalDaskExecutor(num_workers=2)], ids=["one by one", "threads"]
)
def executor(request):
    return request.param()


class Asking:
    """What the second of the steps asks for, once."""

    def __init__(self):
        self.ask = None

    def __call__(self):
        ask, self.ask = self.ask, None
        if ask is not None:
            ask(context.flow_run_id)


@pytest.fixture
def asking():
    return Asking()


@pytest.fixture
def flow(executor, ledger, asking):
    """A graph of five steps, mapped; what they give together is in `flow.summed`."""

    @task
    def step(x):
        if x == 1:
            asking()
        ledger.append(x)
        return x

    @task
    def total(xs):
        ledger.append("total")
        return sum(xs)

    with Flow("asked", executor=executor) as made:
        made.summed = total(step.map([0, 1, 2, 3, 4]))
    made._given_entrypoint = "asked.py:flow"  # a run that leaves has to be found again
    return made


def suspend(flow_run_id):
    assert penstock.suspend_flow_run(flow_run_id=flow_run_id, timeout=60) is None


def pause(timeout_s):
    def ask(flow_run_id):
        ask_to_pause(get_store(), UUID(flow_run_id), Paused(timeout_seconds=timeout_s))

    return ask


def test_a_graph_that_is_suspended_leaves_and_goes_on_where_it_was(flow, asking, ledger, records):
    asking.ask = suspend

    state = flow.run()

    assert state.is_running()
    assert records.flow_run().state_name == "Suspended"
    assert "total" not in ledger
    assert flow.resume(records.flow_run().id).result[flow.summed].result == 10
    assert Counter(map(str, ledger)) == dict.fromkeys(["0", "1", "2", "3", "4", "total"], 1)
    records.check()


def test_a_graph_that_is_paused_waits_in_its_process(flow, asking, ledger, records):
    asking.ask = pause(60)
    done_before = []

    def resume():
        while not any(run.state.is_paused() for run in records.flow_runs()):
            time.sleep(0.01)
        done_before.extend(ledger)
        penstock.resume_flow_run(records.flow_run().id)

    resuming = threading.Thread(target=resume, daemon=True)
    resuming.start()
    state = flow.run()
    resuming.join()

    assert state.result[flow.summed].result == 10
    assert "total" not in done_before
    assert Counter(map(str, ledger)) == dict.fromkeys(["0", "1", "2", "3", "4", "total"], 1)
    names = [each.name for each in records.flow_run().history]
    assert names == ["Pending", "Running", "Paused", "Running", "Completed"]
    records.check()


def test_a_graph_that_nobody_lets_go_on_in_time_has_failed(flow, asking, ledger, records):
    asking.ask = pause(0.1)

    state = flow.run()

    assert state.is_failed()
    assert records.flow_run().state_name == "Failed"
    assert "total" not in ledger


def test_to_let_a_suspended_graph_go_on_approves_of_nothing(executor, asking, ledger, records):
    @task(trigger=manual_only)
    def approved():
        ledger.append("approved")

    @task
    def asks():
        asking()

    @task
    def last():
        ledger.append("last")

    with Flow("both", executor=executor) as flow:
        approved()
        last(upstream_tasks=[asks()])
    flow._given_entrypoint = "asked.py:flow"
    asking.ask = suspend
    flow.run()
    assert records.flow_run().state_name == "Suspended"

    flow.resume(records.flow_run().id)

    assert ledger == ["last"]
    assert records.flow_run().state_name == "Paused"
    assert flow.resume(records.flow_run().id).is_successful()
    assert ledger == ["last", "approved"]
    records.check()
