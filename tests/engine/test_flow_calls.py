"""Which flow may be called from where, and what the call gives (spec 2.2)."""

from __future__ import annotations

import asyncio
import inspect
import threading

import pytest

from penstock import flow, task
from penstock.exceptions import WouldDeadlock
from penstock.states import State


@flow
def sync_child(x):
    return x + 1


@flow
async def async_child(x):
    await asyncio.sleep(0)
    return x + 1


@flow
def sync_fails():
    raise ValueError("boom")


@flow
async def async_fails():
    raise ValueError("boom")


# -- the table ------------------------------------------------------------------------------------


def test_sync_from_plain_code():
    assert sync_child(1) == 2
    state = sync_child(1, return_state=True)
    assert isinstance(state, State)
    assert state.is_completed()
    assert state.result() == 2
    with pytest.raises(ValueError, match="boom"):
        sync_fails()
    assert sync_fails(return_state=True).is_failed()


def test_sync_from_a_sync_flow():
    @flow
    def parent():
        state = sync_child(1, return_state=True)
        with pytest.raises(ValueError, match="boom"):
            sync_fails()
        assert sync_fails(return_state=True).is_failed()
        return sync_child(1), state.result()

    assert parent() == (2, 2)


def test_sync_from_an_async_flow():
    @flow
    async def parent():
        state = sync_child(1, return_state=True)
        with pytest.raises(ValueError, match="boom"):
            sync_fails()
        assert sync_fails(return_state=True).is_failed()
        return sync_child(1), state.result()

    assert asyncio.run(parent()) == (2, 2)


def test_async_from_plain_code():
    given = async_child(1)
    assert inspect.iscoroutine(given)
    assert asyncio.run(given) == 2
    assert asyncio.run(async_child(1, return_state=True)).result() == 2
    with pytest.raises(ValueError, match="boom"):
        asyncio.run(async_fails())
    assert asyncio.run(async_fails(return_state=True)).is_failed()


def test_async_from_plain_async_code():
    async def main():
        given = async_child(1)
        assert inspect.iscoroutine(given)
        return await given, (await async_child(1, return_state=True)).result()

    assert asyncio.run(main()) == (2, 2)


def test_async_from_an_async_flow():
    @flow
    async def parent():
        given = async_child(1)
        assert inspect.iscoroutine(given)
        with pytest.raises(ValueError, match="boom"):
            await async_fails()
        assert (await async_fails(return_state=True)).is_failed()
        return await given, (await async_child(1, return_state=True)).result()

    assert asyncio.run(parent()) == (2, 2)


def test_async_from_a_sync_flow():
    @flow
    def parent():
        state = async_child(1, return_state=True)
        with pytest.raises(ValueError, match="boom"):
            async_fails()
        assert async_fails(return_state=True).is_failed()
        return async_child(1), state.result()

    assert parent() == (2, 2)


def test_async_from_a_sync_flow_in_an_async_flow():
    @flow
    def middle():
        return async_child(1)

    @flow
    async def outer():
        return middle()

    assert asyncio.run(outer()) == 2


@pytest.mark.parametrize("called_in_task", [False, True])
def test_flows_may_be_called_in_tasks(called_in_task):
    @task
    def call():
        return sync_child(1), async_child(2)

    @flow
    def parent():
        return call() if called_in_task else call.submit().result()

    assert parent() == (2, 3)


def test_async_flows_may_be_called_in_async_tasks():
    @task
    async def call():
        return await async_child(1), sync_child(2)

    @flow
    async def parent():
        return await call()

    assert asyncio.run(parent()) == (2, 3)


def test_a_sync_flow_in_running_async_code():
    async def main():
        return sync_child(1)

    assert asyncio.run(main()) == 2


def test_the_old_alias_for_the_state():
    assert sync_child._run(1).result() == 2
    assert sync_fails._run().is_failed()


# -- where the function runs ----------------------------------------------------------------------


def test_a_sync_flow_runs_in_the_thread_that_called_it():
    @flow
    def where():
        return threading.get_ident()

    @flow
    def parent():
        return where()

    assert where() == threading.get_ident()
    assert parent() == threading.get_ident()


def test_an_async_flow_runs_on_the_loop_that_awaits_it():
    @flow
    async def where():
        return id(asyncio.get_running_loop()), threading.get_ident()

    async def main():
        return await where(), (id(asyncio.get_running_loop()), threading.get_ident())

    found, expected = asyncio.run(main())
    assert found == expected


def test_an_async_flow_in_a_sync_flow_has_a_loop_of_its_own():
    @flow
    async def where():
        return threading.get_ident()

    @flow
    def parent():
        return where()

    assert parent() != threading.get_ident()


def test_a_sync_flow_in_an_async_flow_has_a_thread_of_its_own():
    async def one():
        return 1

    @flow
    def child():
        return threading.get_ident(), asyncio.run(one())

    @flow
    async def parent():
        return child()

    thread, value = asyncio.run(parent())

    assert thread != threading.get_ident()
    assert value == 1


def test_a_sync_flow_that_waits_for_the_loop_of_its_async_parent_says_so():
    @task
    async def sleeps():
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    @flow
    async def parent():
        future = await sleeps.submit()
        await asyncio.sleep(0)

        @flow
        def child():
            future.block()

        with pytest.raises(WouldDeadlock, match="event loop"):
            child()
        await future.wait()
        return "said"

    assert asyncio.run(parent()) == "said"


def test_flows_run_in_any_thread():
    values = []
    thread = threading.Thread(target=lambda: values.append(sync_child(1)))

    thread.start()
    thread.join()

    assert values == [2]


def test_one_flow_in_two_threads_at_once(records):
    both_run = threading.Barrier(2, timeout=30)

    @task
    def add(x):
        return x + 1

    @flow
    def meets(x):
        both_run.wait()
        return add(x) + add.submit(x).result()

    values = {}
    threads = [threading.Thread(target=lambda x=x: values.update({x: meets(x)})) for x in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert values == {1: 4, 2: 6}
    first, second = records.flow_runs()
    assert first.state.is_completed()
    assert second.state.is_completed()
    for run in (first, second):
        of_run = [t.name for t in records.task_runs() if t.flow_run_id == run.id]
        assert sorted(of_run) == ["add-0", "add-1"]


# -- recursion and gathering ----------------------------------------------------------------------


def test_a_sync_flow_may_call_itself(records):
    @flow
    def factorial(n):
        return 1 if n <= 1 else n * factorial(n - 1)

    assert factorial(5) == 120
    assert len(records.flow_runs()) == 5


def test_an_async_flow_may_call_itself(records):
    @flow
    async def factorial(n):
        return 1 if n <= 1 else n * await factorial(n - 1)

    assert asyncio.run(factorial(5)) == 120
    assert len(records.flow_runs()) == 5


def test_async_subflows_are_gathered(records):
    order = []

    @flow
    async def child(x):
        order.append(f"begin {x}")
        await asyncio.sleep(0)
        order.append(f"end {x}")
        return x

    @flow
    async def parent():
        return await asyncio.gather(*(child(x) for x in range(3)))

    assert asyncio.run(parent()) == [0, 1, 2]
    assert order[:3] == ["begin 0", "begin 1", "begin 2"]
    assert [run.name for run in records.task_runs("child")] == ["child-0", "child-1", "child-2"]


def test_async_root_flows_are_gathered(records):
    async def main():
        return await asyncio.gather(*(async_child(x) for x in range(3)))

    assert asyncio.run(main()) == [1, 2, 3]
    assert {run.parent_task_run_id for run in records.flow_runs()} == {None}


# -- refused --------------------------------------------------------------------------------------


def test_waiting_for_runs_outside_of_a_flow_is_refused(records):
    with pytest.raises(ValueError, match=r"'sync-child'.*wait_for outside of a flow"):
        sync_child(1, wait_for=[])
    with pytest.raises(ValueError, match="wait_for outside of a flow"):
        async_child(1, wait_for=[])
    assert records.flow_runs() == []


def test_a_coroutine_that_is_not_awaited_makes_no_run(records):
    async_child(1).close()

    assert records.flow_runs() == []


def test_an_async_flow_awaited_in_a_sync_flow_says_what_is_wrong():
    # A sync function cannot await; the value is there at once.
    @flow
    def parent():
        return asyncio.run(async_child(1))

    with pytest.raises(ValueError, match="coroutine"):
        parent()
