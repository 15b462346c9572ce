"""Runs that wait for each other: no deadlock, or a clear error (PAINS 9, 21).

Issue 2 asks that a pool of one worker runs a chain and a diamond of submitted tasks to the end.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest

from penstock import flow, task
from penstock.exceptions import WouldDeadlock
from penstock.task_runners import ConcurrentTaskRunner, loops

ONE_WORKER = ConcurrentTaskRunner(max_workers=1)


@task
def adds(x, y=1):
    return x + y


@task
async def adds_async(x, y=1):
    await asyncio.sleep(0)
    return x + y


# -- one worker -----------------------------------------------------------------------------------


class TestOneWorker:
    def test_a_chain(self):
        @flow(task_runner=ONE_WORKER)
        def runs():
            future = adds.submit(0)
            for _ in range(30):
                future = adds.submit(future)
            return future.result()

        assert runs() == 31

    def test_a_diamond(self):
        @flow(task_runner=ONE_WORKER)
        def runs():
            top = adds.submit(0)
            left, right = adds.submit(top), adds.submit(top, y=10)
            return adds.submit(left, y=right).result()

        assert runs() == 13

    def test_a_diamond_of_waits_without_data(self):
        order = []
        notes = task(order.append, name="notes")

        @flow(task_runner=ONE_WORKER)
        def runs():
            top = notes.submit("top")
            left = notes.submit("left", wait_for=[top])
            right = notes.submit("right", wait_for=[top])
            notes.submit("bottom", wait_for=[left, right]).wait()

        runs()

        assert order[0] == "top"
        assert sorted(order[1:3]) == ["left", "right"]
        assert order[3] == "bottom"

    def test_a_chain_whose_last_is_submitted_first(self):
        """What waits for its inputs holds no worker: not even while these do not begin."""
        begin = threading.Event()

        @task
        def waits():
            assert begin.wait(20)
            return 1

        @flow(task_runner=ONE_WORKER)
        def runs():
            first = waits.submit()
            last = adds.submit(first)
            begin.set()
            return last.result()

        assert runs() == 2

    def test_a_task_that_waits_for_its_children(self):
        @task
        def parent(n):
            return sum(future.result() for future in adds.map(range(n)))

        @flow(task_runner=ONE_WORKER)
        def runs():
            return [future.result() for future in parent.map([3, 4])]

        assert runs() == [6, 10]

    def test_a_task_that_maps_over_its_childs_result(self):
        @task
        def lists(n):
            return list(range(n))

        @task
        def parent():
            return [future.result() for future in adds.map(lists.submit(3))]

        @flow(task_runner=ONE_WORKER)
        def runs():
            return parent.submit().result()

        assert runs() == [1, 2, 3]

    def test_a_direct_call_with_a_future(self):
        @task
        def parent():
            return adds(adds.submit(1))

        @flow(task_runner=ONE_WORKER)
        def runs():
            return parent.submit().result()

        assert runs() == 3

    def test_a_subflow_with_submitted_tasks(self):
        @flow(task_runner=ONE_WORKER)
        def child(x):
            return adds.submit(x).result()

        @task
        def parent():
            return child(1)

        @flow(task_runner=ONE_WORKER)
        def runs():
            return parent.submit().result()

        assert runs() == 2

    def test_no_more_than_one_works_at_once(self):
        lock = threading.Lock()
        together = []

        @task
        def works(n):
            together.append(lock.acquire(blocking=False))
            time.sleep(0.001)
            lock.release()
            return n

        @flow(task_runner=ONE_WORKER)
        def runs():
            return [future.result() for future in works.map(range(50))]

        assert runs() == list(range(50))
        assert all(together)

    def test_a_retry_that_waits_holds_no_worker(self):
        order = []

        @task(retries=1, retry_delay_seconds=0.1)
        def flaky():
            order.append("flaky")
            if order.count("flaky") == 1:
                raise ValueError("boom")

        @task
        def other():
            order.append("other")

        @flow(task_runner=ONE_WORKER)
        def runs():
            first = flaky.submit()
            second = other.submit()
            first.wait()
            second.wait()

        runs()

        assert order == ["flaky", "other", "flaky"]

    def test_a_direct_call_in_a_task_that_waits_for_its_retry_lends_its_worker(self):
        order = []

        @task(retries=1, retry_delay_seconds=0.1)
        def flaky():
            order.append("flaky")
            if order.count("flaky") == 1:
                raise ValueError("boom")

        @task
        def parent():
            flaky()

        @task
        def other():
            order.append("other")

        @flow(task_runner=ONE_WORKER)
        def runs():
            first = parent.submit()
            other.submit().wait()
            first.wait()

        runs()

        assert order == ["flaky", "other", "flaky"]

    def test_async_and_sync_tasks_in_turns(self):
        @flow(task_runner=ONE_WORKER)
        def runs():
            future = adds_async.submit(0)
            for _ in range(5):
                future = adds_async.submit(adds.submit(future))
            return future.result()

        assert runs() == 11

    def test_in_an_async_flow(self):
        @flow(task_runner=ONE_WORKER)
        async def runs():
            first = await adds_async.submit(0)
            last = await adds_async.submit(adds.submit(first))
            return await last.result()

        assert asyncio.run(runs()) == 3

    def test_recursion_of_async_tasks_in_sync_tasks(self):
        @task
        async def counts(n):
            return 0 if n == 0 else counts_in_sync(n)

        @task
        def counts_in_sync(n):
            return 1 + counts.submit(n - 1).result()

        @flow(task_runner=ONE_WORKER)
        def runs():
            return counts.submit(5).result()

        assert runs() == 5


# -- sync and async that would wait for each other ------------------------------------------------


class TestWaitsThatWouldNeverEnd:  # PAINS 9
    def check(self, work):
        @flow
        async def runs():
            gate = asyncio.Event()

            @task
            async def slow():
                await gate.wait()
                return 1

            future = await slow.submit()
            await asyncio.sleep(0)  # it begins
            with pytest.raises(WouldDeadlock, match=r"slow-0.*await future.result\(\)"):
                work(future)
            gate.set()
            return "fine"

        assert asyncio.run(asyncio.wait_for(runs(), 20)) == "fine"

    def test_calling_a_sync_task_with_an_unfinished_async_future(self):
        self.check(adds)

    def test_the_state_of_such_a_call(self):
        def work(future):
            state = adds(future, return_state=True)
            assert state.is_crashed()
            state.result()

        self.check(work)

    def test_deep_in_a_collection(self):
        self.check(lambda future: adds({"a": [future]}))

    def test_waiting_for_it_only(self):
        self.check(lambda future: adds(1, wait_for=[future]))

    def test_waiting_for_a_submission_that_waits_for_it(self):
        self.check(lambda future: adds.submit(future).result())

    def test_mapping_over_it(self):
        self.check(adds.map)

    def test_of_several_one_has_begun(self):
        def work(future):
            adds.submit(adds.submit(1), y=adds.submit(future)).result()

        self.check(work)

    def test_submitting_is_no_problem(self):
        @task
        async def slow():
            await asyncio.sleep(0.01)
            return 1

        async def work():
            future = adds.submit(await slow.submit())
            return await asyncio.to_thread(future.result)

        assert asyncio.run(flow(work)()) == 2

    def test_calling_it_once_the_future_is_finished(self):
        async def work():
            future = await adds_async.submit(1)
            await future.wait()
            return adds(future)

        assert asyncio.run(flow(work)()) == 3


class TestAsyncTasksThatHaveNotBegun:  # PAINS 9
    """Sync code on their event loop waits for them: they go on on another one."""

    def check(self, work, expected, **options):
        threads = []

        @task(**options)
        async def slow(x):
            threads.append(threading.current_thread())
            await asyncio.sleep(0.01)
            return x + 1

        @flow
        async def runs():
            return work(await slow.submit(await slow.submit(0)))

        assert asyncio.run(asyncio.wait_for(runs(), 20)) == expected
        assert len(threads) >= 2
        assert threading.main_thread() not in threads

    def test_a_sync_task_is_called(self):
        self.check(adds, 3)

    def test_the_state_of_such_a_call(self):
        self.check(lambda future: adds(future, return_state=True).result(), 3)

    def test_deep_in_a_collection(self):
        first = task(lambda given: given["a"][0], name="first")
        self.check(lambda future: first({"a": [future]}), 2)

    def test_waiting_for_it_only(self):
        self.check(lambda future: adds(1, wait_for=[future]), 2)

    def test_a_sync_task_is_submitted(self):
        self.check(lambda future: adds.submit(future).result(), 3)

    def test_a_sync_flow_is_called(self):
        self.check(flow(lambda x: x, name="inner"), 2)

    def test_with_a_limited_time(self):
        self.check(adds, 3, timeout_seconds=20)

    def test_one_that_is_tried_again(self):
        tries = []

        @task(retries=2, retry_delay_seconds=0.01)
        async def third_time():
            tries.append(1)
            await asyncio.sleep(0)
            if len(tries) < 3:
                raise ValueError
            return 1

        @flow
        async def runs():
            return adds(await third_time.submit())

        assert asyncio.run(asyncio.wait_for(runs(), 20)) == 2

    def test_those_beside_it_go_on_too(self):
        both = threading.Barrier(2)

        @task
        async def meets():
            return await asyncio.to_thread(both.wait, 20) >= 0

        @flow
        async def runs():
            futures = [await meets.submit(), await meets.submit()]
            return [adds(future) for future in futures]

        assert asyncio.run(asyncio.wait_for(runs(), 30)) == [2, 2]

    def test_mapping(self):
        @task
        async def slow(x):
            await asyncio.sleep(0.01)
            return x

        @flow
        async def runs():
            futures = await slow.map(range(5))
            return [future.result() for future in adds.map(futures)]

        assert asyncio.run(asyncio.wait_for(runs(), 20)) == [1, 2, 3, 4, 5]

    def test_they_are_awaited_afterwards(self):
        @task
        async def slow(x):
            await asyncio.sleep(0.01)
            return x

        @flow
        async def runs():
            future, other = await slow.submit(1), await slow.submit(2)
            return adds(future), await future.result(), await other.result()

        assert asyncio.run(asyncio.wait_for(runs(), 20)) == (2, 1, 2)

    def test_those_that_nobody_waits_for_in_sync_code_stay(self):
        threads = []

        @task
        async def notes():
            threads.append(threading.current_thread())

        @flow
        async def runs():
            future = await notes.submit()
            adds.submit(1).result()  # does not depend on it
            await future.wait()

        asyncio.run(asyncio.wait_for(runs(), 20))
        assert threads == [threading.main_thread()]

    def test_on_a_loop_in_the_background(self):
        @task
        async def slow():
            await asyncio.sleep(0.01)
            return 1

        @task
        async def waits_in_sync_code():
            return adds(await slow.submit())

        @flow
        def runs():
            return waits_in_sync_code(), waits_in_sync_code.submit().result()

        assert runs() == (2, 2)

    @pytest.mark.parametrize("how", ["submitted", "called"])
    def test_a_wait_that_may_never_end_is_told(self, how, monkeypatch, caplog):
        """The async task waits for what only code on the loop does that waits for it."""
        monkeypatch.setattr(loops, "WAIT_TOLD_AFTER_S", 0.05)
        may_end = threading.Event()

        class Told(logging.Handler):
            def emit(self, record):
                if "stood still for 0.05 s" in record.getMessage():
                    may_end.set()

        @task
        async def waits_for_the_loop():
            assert await asyncio.to_thread(may_end.wait, 20)
            return 1

        @task
        def calls():
            return waits_for_the_loop()

        @flow
        async def runs():
            if how == "called":
                return calls() + 1
            return adds(await waits_for_the_loop.submit())

        logger, told = logging.getLogger("penstock.task_runners"), Told()
        logger.addHandler(told)
        try:
            assert asyncio.run(asyncio.wait_for(runs(), 30)) == 2
        finally:
            logger.removeHandler(told)
        (said,) = [each for each in caplog.messages if "stood still" in each]
        assert "waits for task run 'waits_for_the_loop-0', which goes on on another loop" in said
        assert "await it in async code" in said

    def test_one_that_was_moved_is_alone_in_its_context(self, caplog):
        began, may_end = threading.Event(), threading.Event()

        @task
        async def busy():
            began.set()
            may_end.wait(20)
            return 1

        @flow
        async def runs():
            waits = adds.submit(await busy.submit())
            assert waits.wait(0.01) is None
            began.wait(20)
            await asyncio.sleep(0.01)  # what it had here comes to its end
            may_end.set()
            return waits.result()

        assert asyncio.run(asyncio.wait_for(runs(), 20)) == 2
        assert [each.message for each in caplog.records if each.name == "asyncio"] == []
