"""`concurrency` and `rate_limit` as code uses them, in one process."""

from __future__ import annotations

import asyncio
import threading

import pytest

from penstock import flow, task
from penstock.concurrency import concurrency, rate_limit
from penstock.concurrency.asyncio import ConcurrencySlotAcquisitionError
from penstock.concurrency.asyncio import concurrency as async_concurrency
from penstock.concurrency.asyncio import rate_limit as async_rate_limit
from penstock.settings import reload_settings
from penstock.store import get_store, limits


@pytest.fixture(autouse=True)
def store(store_url, monkeypatch):
    """Have the records in a store of each kind in turn."""
    monkeypatch.setenv("PENSTOCK_STORE_URL", store_url)
    reload_settings()
    return get_store()


def holders(store, name="db"):
    return [each.holder for each in limits.read_limit(store, name).holders]


def test_a_block_has_its_slots_while_it_lasts(store):
    limits.create_limit(store, "db", 2)

    with concurrency("db", occupy=2):
        assert limits.read_limit(store, "db").taken == 2

    assert limits.read_limit(store, "db").taken == 0


def test_a_block_that_raises_gives_them_back(store):
    limits.create_limit(store, "db", 2)

    with pytest.raises(KeyError), concurrency("db"):
        raise KeyError

    assert holders(store) == []


def test_the_time_may_be_over_first(store):
    limits.create_limit(store, "db", 1)

    with (
        concurrency("db"),
        pytest.raises(TimeoutError, match=r"0 s\..*'db' \(1 of 1 taken, by process \d+ on"),
        concurrency("db", timeout_seconds=0),
    ):
        pytest.fail("it has no slot")

    assert limits.read_limit(store, "db").waiting == []


def test_more_than_there_are_is_an_error(store):
    limits.create_limit(store, "db", 1)

    with pytest.raises(ConcurrencySlotAcquisitionError), concurrency("db", occupy=2):
        pytest.fail("it has no slots")


@pytest.mark.parametrize("names", ["", "tag:db", [1], 5])
def test_what_is_no_name_is_said_so(names):
    with pytest.raises(ValueError, match="not the name"), concurrency(names):
        pytest.fail("it has no slot")


def test_threads_take_turns(store):
    limits.create_limit(store, "db", 2)
    lock, inside, most = threading.Lock(), [0], [0]

    def work():
        for _ in range(3):
            with concurrency("db"):
                with lock:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                assert len(holders(store)) <= 2
                with lock:
                    inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] <= 2
    assert holders(store) == []


def test_flows_and_tasks_are_named_as_holders(store):
    limits.create_limit(store, "db", 1)

    @task
    def load():
        with concurrency("db"):
            return holders(store)

    @flow(flow_run_name="nightly")
    def ingest():
        with concurrency("db"):
            mine = holders(store)
        return mine + load()

    assert ingest() == ["flow run 'nightly'", "task run 'load-0' of flow run 'nightly'"]


def test_a_task_that_times_out_while_it_waits_leaves_the_queue(store):
    limits.create_limit(store, "db", 1)

    @task(timeout_seconds=0.2)
    def waits():
        with concurrency("db"):
            return 1

    @flow
    def ingest():
        with concurrency("db"):
            state = waits.submit().wait()
            left = threading.Event()
            for _ in range(200):
                if not limits.read_limit(store, "db").waiting:
                    break
                left.wait(0.01)
            return state.name, limits.read_limit(store, "db").waiting

    assert ingest() == ("TimedOut", [])


def test_async_code_waits_without_holding_the_loop(store):
    limits.create_limit(store, "db", 1)
    order = []

    async def use(name):
        async with async_concurrency("db"):
            order.append(name)
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(*[use(number) for number in range(5)])

    asyncio.run(main())
    assert sorted(order) == list(range(5))
    assert holders(store) == []


def test_async_code_that_is_cancelled_leaves_the_queue(store):
    limits.create_limit(store, "db", 1)

    async def main():
        async with async_concurrency("db"):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2), async_concurrency("db"):
                    pytest.fail("it has no slot")
            return limits.read_limit(store, "db").waiting

    assert asyncio.run(main()) == []


def test_a_rate_limit_lets_through_what_is_free_again(store):
    limits.create_limit(store, "mail", 2, slot_decay_per_second=1000.0)
    for _ in range(10):
        rate_limit("mail")
    asyncio.run(async_rate_limit("mail"))

    limits.update_limit(store, "mail", {"slot_decay_per_second": 0.001})
    limits.reset_limit(store, "mail")
    rate_limit("mail", occupy=2)
    with pytest.raises(TimeoutError):
        rate_limit("mail", timeout_seconds=0.05)


def test_a_limit_that_is_raised_lets_in_who_waits(store):
    limits.create_limit(store, "db", 1)
    entered = threading.Event()

    def wait():
        with concurrency("db"):
            entered.set()

    with concurrency("db"):
        thread = threading.Thread(target=wait)
        thread.start()
        while not limits.read_limit(store, "db").waiting:
            pass
        limits.update_limit(store, "db", {"slots": 2})
        assert entered.wait(5)
    thread.join()
