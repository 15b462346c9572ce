"""Flows whose time is over (spec 3.7, 13; PAINS 5). Limits are short; what they stop is not."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import pytest

from penstock import flow, task
from penstock.exceptions import CrashedRun

LIMIT_S = 0.2
LONG_S = 30
SOON_S = 5


@pytest.fixture(autouse=True)
def over_soon():
    """Every test ends long before what it stops would."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON_S


def in_a_thread(call):
    """Call in another thread; give what it gave, or raise what it raised."""
    values, errors = [], []

    def work():
        try:
            values.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return values[0]


def directly(call):
    return call()


def spin():
    until = time.monotonic() + LONG_S
    while time.monotonic() < until:
        sum(range(100))


WAYS = [directly, in_a_thread]


@pytest.mark.parametrize("way", WAYS)
class TestSync:
    def test_a_blocking_call_is_stopped(self, records, history, way):
        @flow(timeout_seconds=LIMIT_S)
        def slow():
            time.sleep(LONG_S)

        with pytest.raises(TimeoutError, match=r"Flow run exceeded timeout of 0.2 seconds"):
            way(slow)

        run = records.flow_run()
        assert history(run) == ["Pending", "Running", "TimedOut"]
        assert run.state.is_failed()
        assert run.state.message == "Flow run exceeded timeout of 0.2 seconds"

    def test_the_state(self, way):
        @flow(timeout_seconds=LIMIT_S)
        def slow():
            time.sleep(LONG_S)

        state = way(lambda: slow(return_state=True))

        assert (state.type.value, state.name) == ("FAILED", "TimedOut")
        assert isinstance(state.result(raise_on_failure=False), TimeoutError)

    def test_computing_is_stopped(self, way):
        stopped = threading.Event()

        @flow(timeout_seconds=LIMIT_S)
        def slow():
            try:
                spin()
            finally:
                stopped.set()

        assert way(lambda: slow(return_state=True)).name == "TimedOut"
        assert stopped.wait(SOON_S)

    def test_a_users_except_does_not_swallow_it(self, way):
        @flow(timeout_seconds=LIMIT_S)
        def slow():
            with contextlib.suppress(Exception):
                spin()
            spin()

        assert way(lambda: slow(return_state=True)).name == "TimedOut"

    def test_one_that_is_quick_enough(self, way):
        @flow(timeout_seconds=LONG_S)
        def quick():
            return 1

        assert way(quick) == 1

    def test_a_time_out_of_its_own_is_a_plain_failure(self, way):
        @flow(timeout_seconds=LONG_S)
        def quick():
            raise TimeoutError("mine")

        state = way(lambda: quick(return_state=True))
        assert (state.name, "mine" in state.message) == ("Failed", True)

    def test_a_task_called_in_it_is_stopped(self, records, way):
        reached = []

        @task
        def sleeps():
            time.sleep(LONG_S)
            reached.append("end of task")

        @flow(timeout_seconds=LIMIT_S)
        def slow():
            sleeps()
            reached.append("end of flow")

        assert way(lambda: slow(return_state=True)).name == "TimedOut"

        assert reached == []
        run = records.task_run("sleeps")
        assert run.state.is_crashed()

    def test_tasks_that_were_submitted_are_not_left_running(self, records, way):  # issue 10926
        began, ended = [], []

        @task
        def spins(x):
            began.append(x)
            spin()
            ended.append(x)

        @task
        def after(x):
            began.append("after")

        @flow(timeout_seconds=LIMIT_S)
        def slow():
            first = spins.submit(1)
            after.submit(first)
            time.sleep(LONG_S)

        assert way(lambda: slow(return_state=True)).name == "TimedOut"

        assert began == [1]
        assert ended == []
        assert {run.state.name for run in records.task_runs()} <= {"Crashed", "Cancelled"}

    def test_nothing_is_begun_after_it(self, records, way):
        @task
        def add(x):
            return x

        @flow(timeout_seconds=LIMIT_S)
        def stubborn():
            try:
                spin()
            except BaseException:
                with pytest.raises(TimeoutError, match="Flow run timed out"):
                    add(1)
                with pytest.raises(TimeoutError, match="Flow run timed out"):
                    add.submit(1)
                with pytest.raises(TimeoutError, match="Flow run timed out"):
                    child()
                raise

        @flow
        def child():
            return 1

        state = way(lambda: stubborn(return_state=True))
        assert state.name == "TimedOut"

    def test_waiting_for_a_future_is_stopped(self, way):
        @task
        def spins():
            spin()

        @flow(timeout_seconds=LIMIT_S)
        def slow():
            spins.submit().wait()

        assert way(lambda: slow(return_state=True)).name == "TimedOut"

    def test_waiting_for_a_retry_is_stopped(self, way):
        @task(retries=1, retry_delay_seconds=LONG_S)
        def fails():
            raise ValueError("boom")

        @flow(timeout_seconds=LIMIT_S)
        def slow():
            fails()

        assert way(lambda: slow(return_state=True)).name == "TimedOut"

    def test_a_subflow_that_is_slow(self, records, way):
        @flow(timeout_seconds=LIMIT_S)
        def child():
            time.sleep(LONG_S)

        @flow
        def parent():
            with pytest.raises(TimeoutError):
                child()
            assert child(return_state=True).name == "TimedOut"
            return "went on"

        assert way(parent) == "went on"

    def test_a_parent_that_is_slow_stops_its_subflow(self, records, way):  # issue 7683
        @flow
        def child():
            time.sleep(LONG_S)

        @flow(timeout_seconds=LIMIT_S)
        def parent():
            child()

        assert way(lambda: parent(return_state=True)).name == "TimedOut"
        assert records.flow_run("parent").state.name == "TimedOut"
        child_run = records.flow_run("child")
        assert child_run.state.is_crashed()
        assert records.task_run("child").state.is_crashed()

    def test_the_shorter_time_of_the_two_counts(self, records, way):
        @flow(timeout_seconds=LONG_S)
        def child():
            time.sleep(LONG_S)

        @flow(timeout_seconds=LIMIT_S)
        def parent():
            child()

        assert way(lambda: parent(return_state=True)).name == "TimedOut"
        assert records.flow_run("parent").state.name == "TimedOut"
        assert records.flow_run("child").state.is_final()

    def test_a_task_with_a_time_of_its_own(self, way):
        @task(timeout_seconds=LIMIT_S)
        def sleeps():
            time.sleep(LONG_S)

        @flow(timeout_seconds=LONG_S)
        def patient():
            return [
                sleeps(return_state=True).name,
                sleeps.submit().wait().name,
            ]

        assert way(patient) == ["TimedOut", "TimedOut"]

    def test_an_async_task_in_it_is_stopped(self, way):
        cancelled = []

        @task
        async def sleeps():
            try:
                await asyncio.sleep(LONG_S)
            except asyncio.CancelledError:
                cancelled.append(1)
                raise

        @flow(timeout_seconds=LIMIT_S)
        def slow():
            sleeps()

        assert way(lambda: slow(return_state=True)).name == "TimedOut"

    def test_an_async_subflow_in_it_is_stopped(self, records, way):
        @flow
        async def child():
            await asyncio.sleep(LONG_S)

        @flow(timeout_seconds=LIMIT_S)
        def parent():
            child()

        assert way(lambda: parent(return_state=True)).name == "TimedOut"
        assert records.flow_run("child").state.is_final()

    def test_the_hooks_run(self, way):
        hooked = []

        def hook(flow, flow_run, state):
            hooked.append(state.name)

        @flow(timeout_seconds=LIMIT_S, on_failure=[hook], on_completion=[hook])
        def slow():
            time.sleep(LONG_S)

        way(lambda: slow(return_state=True))

        assert hooked == ["TimedOut"]

    def test_the_next_flow_runs_as_ever(self, way):
        @task
        def add(x):
            return x + 1

        @flow(timeout_seconds=LIMIT_S)
        def slow(seconds):
            time.sleep(seconds)
            return add(1) + add.submit(1).result()

        def both():
            first = slow(LONG_S, return_state=True).name
            second = slow(0)
            time.sleep(LIMIT_S)
            return first, second

        assert way(both) == ("TimedOut", 4)


class TestAsync:
    def test_it_is_cancelled(self, records, history):
        cleaned = []

        @flow(timeout_seconds=LIMIT_S)
        async def slow():
            try:
                await asyncio.sleep(LONG_S)
            finally:
                cleaned.append(1)

        with pytest.raises(TimeoutError, match="Flow run exceeded timeout"):
            asyncio.run(slow())

        assert cleaned == [1]
        assert history(records.flow_run()) == ["Pending", "Running", "TimedOut"]

    def test_its_awaited_tasks_and_subflows_are_cancelled(self, records):
        @task
        async def sleeps():
            await asyncio.sleep(LONG_S)

        @flow
        async def child():
            await asyncio.sleep(LONG_S)

        @flow(timeout_seconds=LIMIT_S)
        async def slow():
            await asyncio.gather(sleeps(), child())

        state = asyncio.run(slow(return_state=True))

        assert state.name == "TimedOut"
        assert records.task_run("sleeps").state.is_crashed()
        assert records.flow_run("child").state.is_crashed()

    def test_its_submitted_tasks_are_cancelled(self, records):
        ended = []

        @task
        async def sleeps():
            await asyncio.sleep(LONG_S)
            ended.append(1)

        @task
        def spins():
            spin()
            ended.append(2)

        @flow(timeout_seconds=LIMIT_S)
        async def slow():
            await sleeps.submit()
            spins.submit()
            await asyncio.sleep(LONG_S)

        state = asyncio.run(slow(return_state=True))

        assert state.name == "TimedOut"
        assert ended == []
        assert {run.state.name for run in records.task_runs()} <= {"Crashed", "Cancelled"}

    def test_a_slow_subflow_raises_in_its_parent(self):
        @flow(timeout_seconds=LIMIT_S)
        async def child():
            await asyncio.sleep(LONG_S)

        @flow
        async def parent():
            with pytest.raises(TimeoutError):
                await child()
            return (await child(return_state=True)).name

        assert asyncio.run(parent()) == "TimedOut"

    def test_one_of_several_that_are_gathered(self):
        @flow(timeout_seconds=LIMIT_S)
        async def child(seconds):
            await asyncio.sleep(seconds)
            return seconds

        @flow
        async def parent():
            return await asyncio.gather(child(0), child(LONG_S), return_exceptions=True)

        quick, slow = asyncio.run(parent())
        assert quick == 0
        assert isinstance(slow, TimeoutError)

    def test_a_cancellation_that_is_not_ours_is_a_crash(self, records, history):
        @flow(timeout_seconds=LONG_S)
        async def slow():
            await asyncio.sleep(LONG_S)

        async def main():
            running = asyncio.ensure_future(slow())
            await asyncio.sleep(0.05)
            running.cancel()
            await running

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())

        run = records.flow_run()
        assert history(run) == ["Pending", "Running", "Crashed"]
        assert "cancelled by the runtime environment" in run.state.message
        with pytest.raises(CrashedRun, match="cancelled by the runtime environment"):
            run.state.result()

    def test_the_next_flow_runs_as_ever(self):
        @flow(timeout_seconds=LIMIT_S)
        async def slow(seconds):
            await asyncio.sleep(seconds)
            return "done"

        async def main():
            return (await slow(LONG_S, return_state=True)).name, await slow(0)

        assert asyncio.run(main()) == ("TimedOut", "done")


def test_the_clock_starts_with_the_function_and_not_with_what_it_waits_for(records):
    @task
    def slow_upstream():
        time.sleep(LIMIT_S)
        return 1

    @flow(timeout_seconds=LIMIT_S)
    def child(x):
        return x

    @flow
    def parent():
        return child(slow_upstream.submit())

    assert parent() == 1


def test_a_flow_without_a_limit_is_not_stopped():
    @flow(timeout_seconds=0)
    def takes_its_time():
        time.sleep(0.05)
        return "done"

    assert takes_its_time() == "done"


def test_a_thread_that_cannot_be_stopped_is_let_go_at_the_exit(run_script):
    done = run_script(
        """
        import threading, time
        from penstock import flow

        @flow(timeout_seconds=0.2)
        def slow():
            time.sleep(60)

        def work():
            print(slow(return_state=True).name, flush=True)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    """,
        timeout_s=20,
    )

    assert done.stdout == "TimedOut\n"
    assert done.returncode == 0, done.stderr
