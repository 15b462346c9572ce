"""Flow runs that somebody cancels (spec 3.10, 4.6, 8; issue: cancelling cascades)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from penstock import flow, get_client, pause_flow_run, task
from penstock.exceptions import CancelledRun
from penstock.settings import reload_settings
from penstock.states import Cancelling

LONG_S = 60
SOON_S = 5.0
"""Much less than what is interrupted would take, much more than it should on a busy machine."""

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="nothing wakes a main thread there"
)


class Canceller:
    """Cancels the only root flow run from another thread, as soon as it is told to."""

    def __init__(self, records):
        self._records = records
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._cancel)
        self._thread.start()
        self.asked_at = None

    def begin(self):
        self._begun.set()

    def _cancel(self):
        assert self._begun.wait(LONG_S)
        root = next(run for run in self._records.flow_runs() if not run.state.is_final())
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(root.id, Cancelling())
        self.asked_at = time.monotonic()

    def join(self):
        """Check that it took little time to end since it was asked for."""
        self._thread.join()
        assert time.monotonic() - self.asked_at < SOON_S


@pytest.fixture
def canceller(records):
    made = Canceller(records)
    yield made
    made.begin()
    made._thread.join()


@pytest.fixture
def each_store(store_url, monkeypatch):
    """Keep the records of the test in a store of each kind."""
    monkeypatch.setenv("PENSTOCK_STORE_URL", store_url)
    reload_settings()


@pytest.mark.usefixtures("each_store")
def test_it_is_noticed_soon_though_nothing_is_committed(records):
    """The best of three: the machine may be busy with other things."""
    took_s = []
    for _ in range(3):
        canceller = Canceller(records)

        @flow
        def sleeps(begin=canceller.begin):
            time.sleep(0.2)
            begin()
            time.sleep(LONG_S)

        assert sleeps(return_state=True).is_cancelled()
        ended = time.monotonic()
        canceller.join()
        took_s.append(ended - canceller.asked_at)
    assert min(took_s) < 0.2


# PAINS 11
class TestSync:
    def test_a_task_that_sleeps_in_the_main_thread(self, canceller, records, history):
        @task
        def sleeps():
            canceller.begin()
            time.sleep(LONG_S)

        @flow
        def waits():
            sleeps()

        with pytest.raises(CancelledRun):
            waits()

        canceller.join()
        assert history(records.flow_run()) == ["Pending", "Running", "Cancelling", "Cancelled"]
        run = records.task_run()
        assert history(run) == ["Pending", "Running", "Cancelled"]
        assert run.state.message == "Interrupted: the flow run was cancelled."

    def test_the_flow_itself(self, canceller, records):
        @flow
        def sleeps():
            canceller.begin()
            time.sleep(LONG_S)

        state = sleeps(return_state=True)

        canceller.join()
        assert state.is_cancelled()
        assert records.flow_run().state.is_cancelled()

    @pytest.mark.parametrize("blocked_in", ["lock", "process"])
    def test_what_blocks_otherwise(self, canceller, records, blocked_in):
        @task
        def blocks():
            canceller.begin()
            if blocked_in == "lock":
                threading.Event().wait(LONG_S)
            else:
                code = f"import time; time.sleep({LONG_S})"
                subprocess.run([sys.executable, "-c", code], check=True)

        @flow
        def waits():
            blocks()

        assert waits(return_state=True).is_cancelled()
        canceller.join()
        assert records.task_run().state.is_cancelled()

    def test_queued_and_running_tasks_of_workers(self, canceller, records):
        called = []

        @task
        def spins(number):
            called.append(number)
            if len(called) == 2:
                canceller.begin()
            while True:
                time.sleep(0.01)

        from penstock.task_runners import ConcurrentTaskRunner

        @flow(task_runner=ConcurrentTaskRunner(max_workers=2))
        def maps():
            for future in spins.map(range(10)):
                future.wait()

        assert maps(return_state=True).is_cancelled()

        canceller.join()
        assert len(called) == 2
        messages = [run.state.message for run in records.task_runs("spins")]
        assert {run.state.name for run in records.task_runs()} == {"Cancelled"}
        assert sum(text.startswith("Interrupted") for text in messages) == 2
        assert sum(text.startswith("Not started") for text in messages) == 8

    def test_what_comes_after_a_caught_cancellation_does_not_begin(self, canceller, records):
        reached = []

        @task
        def sleeps():
            canceller.begin()
            time.sleep(LONG_S)

        @flow
        def stubborn():
            try:
                sleeps()
            except BaseException:  # noqa: BLE001 - as badly as a user may write it
                reached.append("caught")
            sleeps()
            reached.append("not reached")

        assert stubborn(return_state=True).is_cancelled()
        assert reached == ["caught"]

    def test_a_flow_in_another_thread(self, canceller, records):
        states = []

        @task
        def spins():
            canceller.begin()
            while True:
                time.sleep(0.01)

        @flow
        def waits():
            spins()

        thread = threading.Thread(target=lambda: states.append(waits(return_state=True)))
        thread.start()
        thread.join()

        canceller.join()
        assert states[0].is_cancelled()
        assert records.task_run().state.is_cancelled()

    def test_what_was_done_stays_done(self, canceller, records):
        @task
        def quick():
            return 1

        @flow
        def waits():
            quick()
            canceller.begin()
            time.sleep(LONG_S)

        assert waits(return_state=True).is_cancelled()
        assert records.task_run().state.is_completed()


class TestBlockedWorkers:
    def test_the_run_waits_for_what_cannot_be_interrupted(self, canceller, records):
        release = threading.Lock()
        release.acquire()

        @task
        def blocks():
            canceller.begin()
            release.acquire()

        def let_go(flow, flow_run, state):
            assert "blocks-0" in state.message
            assert records.flow_run().state.is_cancelling()
            assert records.task_run().state.is_cancelled()
            release.release()

        @flow(on_cancellation=[let_go])
        def waits():
            blocks.submit().wait()

        assert waits(return_state=True).is_cancelled()
        assert any("cannot be interrupted" in line for line in records.logs())


class TestSubflows:
    def test_the_inner_hooks_come_first(self, canceller, records):
        called = []

        def note(flow, flow_run, state):
            called.append((flow.name, state.name))

        @task
        def sleeps():
            canceller.begin()
            time.sleep(LONG_S)

        @flow(on_cancellation=[note])
        def inner():
            sleeps()

        @flow(on_cancellation=[note])
        def outer():
            inner()

        assert outer(return_state=True).is_cancelled()

        canceller.join()
        assert called == [("inner", "Cancelling"), ("outer", "Cancelling")]
        assert {run.state.name for run in records.flow_runs()} == {"Cancelled"}
        assert {run.state.name for run in records.task_runs()} == {"Cancelled"}

    def test_a_parent_that_looks_at_states_only_is_stopped_too(self, canceller, records):
        @flow
        def inner():
            canceller.begin()
            time.sleep(LONG_S)

        @flow
        def outer():
            inner(return_state=True)
            time.sleep(LONG_S)

        assert outer(return_state=True).is_cancelled()
        canceller.join()

    def test_a_task_that_calls_one_is_cancelled_too(self, canceller, records):
        @flow
        async def inner():
            canceller.begin()
            await asyncio.sleep(LONG_S)

        @task
        async def calls():
            await inner()

        @flow
        async def outer():
            await calls()

        assert asyncio.run(outer(return_state=True)).is_cancelled()

        canceller.join()
        assert {run.state.name for run in records.flow_runs()} == {"Cancelled"}
        assert {run.state.name for run in records.task_runs()} == {"Cancelled"}

    @pytest.mark.parametrize("outer_is_async", [True, False])
    def test_of_async_code(self, canceller, records, outer_is_async):
        @flow
        async def inner():
            canceller.begin()
            await asyncio.sleep(LONG_S)

        if outer_is_async:

            @flow
            async def outer():
                await asyncio.gather(inner(), inner())

            state = asyncio.run(outer(return_state=True))
        else:

            @flow
            def outer():
                inner()

            state = outer(return_state=True)

        canceller.join()
        assert state.is_cancelled()
        assert {run.state.name for run in records.flow_runs()} == {"Cancelled"}


class TestAsync:
    def test_tasks_are_cancelled_and_the_loop_goes_on(self, canceller, records):
        @task
        async def sleeps():
            canceller.begin()
            await asyncio.sleep(LONG_S)

        @flow
        async def waits():
            await asyncio.gather(sleeps(), sleeps(), await sleeps.submit())

        async def main():
            state = await waits(return_state=True)
            assert not asyncio.current_task().cancelling()
            await asyncio.sleep(0)
            return state

        assert asyncio.run(main()).is_cancelled()

        canceller.join()
        assert records.flow_run().state.is_cancelled()
        assert {run.state.name for run in records.task_runs()} == {"Cancelled"}

    def test_a_sync_task_that_blocks_the_loop(self, canceller, records):
        @task
        def sleeps():
            canceller.begin()
            time.sleep(LONG_S)

        @flow
        async def waits():
            sleeps()

        assert asyncio.run(waits(return_state=True)).is_cancelled()

        canceller.join()
        assert records.task_run().state.is_cancelled()


class TestRests:
    def test_a_paused_run_wakes_up_and_is_cancelled(self, records, history):
        canceller = Canceller(records)

        @flow
        def rests():
            canceller.begin()
            pause_flow_run(timeout=LONG_S)

        assert rests(return_state=True).is_cancelled()

        canceller.join()
        assert history(records.flow_run())[-2:] == ["Cancelling", "Cancelled"]

    def test_a_retry_that_is_waited_for(self, canceller, records):
        @flow(retries=1, retry_delay_seconds=LONG_S)
        def fails():
            canceller.begin()
            raise ValueError

        assert fails(return_state=True).is_cancelled()
        canceller.join()

    def test_a_task_that_waits_for_its_retry(self, canceller, records):
        @task(retries=1, retry_delay_seconds=LONG_S)
        def fails():
            canceller.begin()
            raise ValueError

        @flow
        def waits():
            fails()

        assert waits(return_state=True).is_cancelled()
        canceller.join()
        assert records.task_run().state.is_cancelled()
