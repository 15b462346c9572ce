"""Limits of tags: how many task runs are executed at once, and what frees their slots."""

from __future__ import annotations

import logging
import threading

import pytest

from penstock import flow, get_client, task
from penstock.store import get_store, limits


@pytest.fixture
def client():
    with get_client(sync_client=True) as made:
        yield made


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
    return len(limits.read_limit(get_store(), f"tag:{tag}").holders)


def test_no_more_are_executed_at_once_than_the_limit(client):
    client.create_concurrency_limit("db", 2)
    gauge = Gauge()

    @task(tags=["db"])
    def load(number):
        with gauge:
            assert held() <= 2
        return number

    @flow
    def ingest():
        return sum(future.result() for future in load.map(list(range(20))))

    assert ingest() == 190
    assert gauge.count == 20
    assert gauge.most <= 2
    assert held() == 0


def test_a_limit_of_one_lets_two_tasks_never_meet(client):
    client.create_concurrency_limit("db", 1)
    met = threading.Barrier(2)

    @task(tags=["db"])
    def meet():
        met.wait(0.3)

    @flow
    def both():
        return [future.wait().is_failed() for future in [meet.submit(), meet.submit()]]

    assert both() == [True, True]


def test_a_limit_of_zero_lets_none_start(client):
    client.create_concurrency_limit("db", 0)
    called = []

    @task(tags=["db"])
    def load():
        called.append(1)

    @flow
    def ingest():
        load.submit()

    ingest(return_state=True)
    assert called == []


def test_slots_are_freed_between_attempts_and_after_failures(client):
    client.create_concurrency_limit("db", 1)
    seen = []

    @task(tags=["db"], retries=2, retry_delay_seconds=0)
    def fails():
        seen.append(held())
        raise ValueError("no")

    @flow
    def ingest():
        fails(return_state=True)
        return held()

    assert ingest() == 0
    assert seen == [1, 1, 1]


def test_a_task_that_times_out_gives_its_slot_back(client):
    client.create_concurrency_limit("db", 1)
    never = threading.Event()

    @task(tags=["db"], timeout_seconds=0.05)
    def hangs():
        never.wait(5)

    @flow
    def ingest():
        return hangs(return_state=True).name, held()

    assert ingest() == ("TimedOut", 0)


def test_a_cached_task_needs_no_slot(client):
    @task(tags=["db"], cache_key_fn=lambda *_: "always", persist_result=True)
    def load():
        return 1

    @flow
    def ingest():
        return load(return_state=True).name

    assert ingest() == "Completed"
    client.create_concurrency_limit("db", 0)
    assert ingest() == "Cached"


@pytest.mark.parametrize("how", ["called", "submitted"])
def test_a_task_run_that_is_refused_for_good_is_recorded_with_the_reason(client, how):
    client.create_concurrency_limit("db", 0)

    @task(tags=["db"])
    def load():
        return 1

    @flow
    def ingest():
        return load(return_state=True) if how == "called" else load.submit().wait()

    state = ingest(return_state=True)

    assert (state.type.value, state.message) == ("FAILED", "1/1 states are not final.")
    [run] = get_store().read_task_runs(state.state_details.flow_run_id)
    assert (run.name, run.state.name) == ("load-0", "Pending")
    assert "'db'" in run.state.message
    assert "0" in run.state.message


def test_async_tasks_are_limited_too(client):
    import asyncio

    client.create_concurrency_limit("db", 2)
    gauge = Gauge()

    @task(tags=["db"])
    async def load():
        with gauge:
            await asyncio.sleep(0)

    @flow
    async def ingest():
        await asyncio.gather(*[load() for _ in range(8)])

    asyncio.run(ingest())
    assert (gauge.count, gauge.most <= 2, held()) == (8, True, 0)


def test_a_task_run_that_waits_says_why(client, caplog):
    client.create_concurrency_limit("db", 1)
    store = get_store()
    told, begun = threading.Event(), threading.Event()

    class Listens(logging.Handler):
        def emit(self, record):
            if "waits for a slot" in record.getMessage():
                told.set()

    @task(tags=["db"], task_run_name="holder")
    def holds():
        begun.set()
        assert told.wait(10)
        [line] = limits.waits_of_flow_run(store, run_ids[0], 10)
        assert "waiter" in line

    @task(tags=["db"], name="waiter")
    def waits():
        return 1

    run_ids = []

    @flow
    def ingest():
        from uuid import UUID

        from penstock.runtime import flow_run

        run_ids.append(UUID(str(flow_run.id)))
        first = holds.submit()
        assert begun.wait(10)
        return first, waits.submit(wait_for=[]).wait()

    handler = Listens()
    logging.getLogger("penstock.task_runs").addHandler(handler)
    try:
        ingest()
    finally:
        logging.getLogger("penstock.task_runs").removeHandler(handler)
    runs = client.read_task_runs(task_run_filter={"name": {"like_": "waiter"}})
    messages = [state.message for state in runs[0].history]
    assert any("tag limit 'db' (1 of 1 taken, by task run" in (text or "") for text in messages)
