"""Limits of tags, and the tasks of graphs: how many are executed at once, and what frees slots."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from penstock import flow as decorated_flow
from penstock import task as decorated_task
from penstock.client import get_client
from penstock.concurrency import concurrency
from penstock.graph import Flow, Parameter, task, unmapped
from penstock.graph.executors import LocalDaskExecutor, LocalExecutor
from penstock.graph.triggers import all_finished
from penstock.store import get_store, limits


@pytest.fixture
def limit():
    def set_limit(tag, slots):
        with get_client(sync_client=True) as client:
            client.create_concurrency_limit(tag, slots)

    return set_limit


class Gauge:
    """How many are in at once, and how many were at most."""

    def __init__(self):
        self.lock = threading.Lock()
        self.now = self.most = self.count = 0

    def __enter__(self):
        with self.lock:
            self.now += 1
            self.count += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_):
        with self.lock:
            self.now -= 1


def held(tag="db"):
    found = limits.read_limit(get_store(), f"tag:{tag}")
    return len(found.holders)


@pytest.mark.parametrize("executor", [LocalExecutor(), LocalDaskExecutor(num_workers=8)])
def test_no_more_are_executed_at_once_than_the_limit(limit, executor, records):
    limit("db", 2)
    gauge = Gauge()
    seen = []

    @task(tags=["db"])
    def load(number):
        with gauge:
            seen.append(held())
        return number

    with Flow("ingest") as flow:
        load.map(list(range(20)))
    state = flow.run(executor=executor)

    assert state.is_successful()
    assert gauge.count == 20
    assert gauge.most <= 2
    assert min(seen) >= 1
    assert max(seen) <= 2
    assert held() == 0
    records.check()


def test_who_waits_for_a_slot_holds_no_worker(limit):
    """Else the two that wait for the only slot would leave none for the task that frees it."""
    limit("db", 1)
    may_end = threading.Event()

    @task(tags=["db"])
    def load(number):
        assert may_end.wait(30)
        return number

    @task
    def release():
        may_end.set()

    with Flow("ingest") as flow:
        load.map([1, 2, 3])
        release()
    state = flow.run(executor=LocalDaskExecutor(num_workers=2))

    assert state.is_successful()


def test_who_waits_says_why(limit, records):
    limit("db", 1)
    waits = threading.Event()

    @task(tags=["db"])
    def load(number):
        # Until another one has written why it waits.
        for _ in range(100):
            if any("tag limit 'db'" in (message or "") for message in messages()):
                waits.set()
                return number
            waits.wait(0.05)
        return number

    def messages():
        return [state.message for run in records.task_runs("load-db") for state in run.history]

    with Flow("ingest") as flow:
        load.map([1, 2])
    assert flow.run(executor=LocalDaskExecutor(num_workers=2)).is_successful()

    assert waits.is_set()
    (said,) = {message for message in messages() if message and "tag limit" in message}
    assert said.startswith(
        "It waits for a slot of tag limit 'db' (1 of 1 taken, by task run 'load"
    )
    records.check()


def test_a_limit_of_zero_fails_a_task_and_what_comes_after_it_may_see_to_that(limit, records):
    limit("db", 0)
    called = []

    @task(tags=["db"])
    def load():
        called.append("load")

    @task(trigger=all_finished)
    def tell(loaded):
        called.append(type(loaded).__name__)

    with Flow("ingest") as flow:
        loaded = load()
        told = tell(loaded)
        flow.set_reference_tasks([loaded])
    state = flow.run()

    assert state.is_failed()
    assert "limit on tag 'db' is 0" in state.result[loaded].message
    assert state.result[told].is_successful()
    assert "load" not in called
    assert records.task_run("load-db").state.is_failed()
    records.check()


def test_the_slot_is_free_between_attempts_and_after_a_failure(limit):
    limit("db", 1)
    seen = []

    @task(tags=["db"], max_retries=1, retry_delay=timedelta(0))
    def breaks():
        seen.append(held())
        raise ValueError

    @task(tags=["db"], trigger=all_finished)
    def next_one(broken):
        del broken
        seen.append(held())

    with Flow("ingest") as flow:
        next_one(breaks())
    flow.run()

    assert seen == [1, 1, 1]
    assert held() == 0


def test_decorated_tasks_in_a_graph_take_one_slot_each(limit):
    limit("db", 1)
    seen = []

    @decorated_task(tags=["db"])
    def load(number):
        seen.append(held())
        return number

    with Flow("ingest") as flow:
        load(1)
        load(2)
    assert flow.run().is_successful()

    assert seen == [1, 1]
    assert held() == 0


def test_parents_of_mapped_tasks_need_none(limit):
    limit("db", 1)

    @task(tags=["db"])
    def load(number, base):
        assert held() == 1
        return number + base

    with Flow("ingest") as flow:
        base = Parameter("base", default=10)
        load.map([1, 2, 3], base=unmapped(base))

    assert flow.run().is_successful()


def test_a_graph_in_a_flow_is_limited_with_it(limit):
    limit("db", 1)
    met = Gauge()

    @task(tags=["db"])
    def of_graph():
        with met:
            pass

    @decorated_task(tags=["db"])
    def of_flow():
        with met:
            pass

    with Flow("inner") as graph:
        of_graph()

    @decorated_flow
    def outer():
        future = of_flow.submit()
        assert graph.run().is_successful()
        future.result()

    outer()

    assert (met.count, met.most) == (2, 1)


def test_a_run_that_is_stopped_leaves_no_slot(limit):
    limit("db", 1)

    @task(tags=["db"])
    def interrupted():
        raise KeyboardInterrupt

    with Flow("ingest") as flow:
        interrupted()
    with pytest.raises(KeyboardInterrupt):
        flow.run()

    assert held() == 0
    with concurrency("other"):
        pass  # the desk is still in order
