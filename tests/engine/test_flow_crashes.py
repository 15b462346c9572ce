"""Runs that break outside their own code (spec 3.10)."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from penstock import flow, task
from penstock.exceptions import Abort, CrashedRun, MissingContextError
from penstock.logging import pending
from penstock.store import get_store

ENDS = [(KeyboardInterrupt, "interrupt signal"), (SystemExit, "system exit")]


@pytest.mark.parametrize(("error", "text"), ENDS, ids=["Ctrl-C", "exit"])
class TestEnds:
    def test_in_a_flow(self, records, history, error, text):
        @flow
        def ends():
            raise error

        with pytest.raises(error):
            ends()

        run = records.flow_run()
        assert history(run) == ["Pending", "Running", "Crashed"]
        assert run.state.message.startswith("Execution was aborted")
        assert text in run.state.message
        with pytest.raises(CrashedRun, match=text):
            run.state.result()

    def test_even_if_only_the_state_is_asked_for(self, error, text):
        @flow
        def ends():
            raise error

        with pytest.raises(error):
            ends(return_state=True)

    @pytest.mark.parametrize("how", ["call", "submit", "map"])
    def test_in_a_task(self, records, history, error, text, how):
        @task
        def ends(x):
            raise error

        @flow
        def parent():
            if how == "call":
                ends(1)
            elif how == "submit":
                ends.submit(1).wait()
            else:
                ends.map([1, 2])
            return "gone on"

        with pytest.raises(error):
            parent()

        assert records.flow_run().state.is_crashed()
        assert text in records.flow_run().state.message
        for run in records.task_runs():
            assert history(run)[-1] == "Crashed"
            assert text in run.state.message

    def test_in_a_task_whose_state_alone_is_asked_for(self, records, error, text):
        @task
        def ends():
            raise error

        @flow
        def parent():
            assert ends(return_state=True).is_crashed()
            return 1

        with pytest.raises(error):
            parent()
        assert records.flow_run().state.is_crashed()

    def test_in_a_subflow(self, records, error, text):
        @flow
        def child():
            raise error

        @flow
        def parent():
            child()

        with pytest.raises(error):
            parent()
        for run in records.flow_runs():
            assert run.state.is_crashed()
            assert text in run.state.message
        assert records.task_run("child").state.is_crashed()

    def test_in_an_async_task_of_a_sync_flow(self, records, error, text):
        @task
        async def ends():
            raise error

        @flow
        def parent():
            ends()

        with pytest.raises(error):
            parent()
        assert records.flow_run().state.is_crashed()

    def test_everything_is_recorded_before_it_goes_on(self, records, error, text):  # PAINS 14
        from penstock import get_run_logger

        @flow
        def ends():
            get_run_logger().info("last words")
            raise error

        with pytest.raises(error):
            ends()

        assert pending() == 0
        logs = records.logs()
        assert "last words" in logs
        assert any("Crash detected! Execution was aborted" in line for line in logs)

    def test_submitted_tasks_are_not_left_running(self, records, error, text):
        began, ended = threading.Event(), []

        @task
        def spins():
            began.set()
            until = time.monotonic() + 30
            while time.monotonic() < until:
                sum(range(100))
            ended.append(1)

        @task
        def after(x):
            ended.append(2)

        @flow
        def ends():
            after.submit(spins.submit())
            assert began.wait(10)
            raise error

        with pytest.raises(error):
            ends()

        assert ended == []
        assert records.task_run("spins").state.is_crashed()
        assert {run.state.name for run in records.task_runs()} <= {"Crashed", "Cancelled"}

    def test_the_next_flow_runs_as_ever(self, records, error, text):
        @task
        def add(x):
            return x + 1

        @flow
        def ends(end):
            if end:
                raise error
            return add(1) + add.submit(1).result()

        with pytest.raises(error):
            ends(end=True)
        assert ends(end=False) == 4


def test_ctrl_c_in_an_async_flow(records):
    @flow
    async def ends():
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(ends())

    assert records.flow_run().state.is_crashed()
    assert "interrupt signal" in records.flow_run().state.message


def test_a_cancelled_async_task_crashes(records):
    @task
    async def sleeps():
        await asyncio.sleep(30)

    @flow
    async def parent():
        running = asyncio.ensure_future(sleeps())
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return "went on"

    assert asyncio.run(parent()) == "went on"
    assert records.task_run().state.is_crashed()
    assert "cancelled by the runtime environment" in records.task_run().state.message
    assert records.flow_run().state.is_completed()


# -- abort ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
class TestAbort:
    def make(self, fn, *, is_async, **options):
        async def main():
            return fn()

        made = flow(name="aborts", **options)(main if is_async else fn)
        return (lambda **given: asyncio.run(made(**given))) if is_async else made

    def test_the_state_stays_as_it_is(self, records, history, is_async):
        hooked = []

        def aborts():
            raise Abort("not here")

        hooks = {
            f"on_{kind}": [lambda flow, flow_run, state: hooked.append(1)]
            for kind in ("failure", "crashed", "completion", "cancellation")
        }
        with pytest.raises(Abort, match="not here"):
            self.make(aborts, is_async=is_async, **hooks)()

        assert history(records.flow_run()) == ["Pending", "Running"]
        assert hooked == []

    def test_the_run_can_go_on_at_once(self, records, is_async):
        aborted = []

        def aborts():
            if not aborted:
                aborted.append(1)
                raise Abort("not here")
            return "done"

        made = self.make(aborts, is_async=is_async)
        with pytest.raises(Abort):
            made()

        made = flow(name="aborts")(aborts)
        assert made.resume(records.flow_run().id) == "done"

    def test_a_user_does_not_swallow_it(self, is_async):
        def aborts():
            try:
                raise Abort("not here")
            except Exception:  # noqa: BLE001
                return "swallowed"

        with pytest.raises(Abort):
            self.make(aborts, is_async=is_async)()


def test_submitted_tasks_of_a_flow_that_aborts_are_stopped(records):
    began, ended = threading.Event(), []

    @task
    def spins():
        began.set()
        until = time.monotonic() + 30
        while time.monotonic() < until:
            sum(range(100))
        ended.append(1)

    @flow
    def aborts():
        spins.submit()
        assert began.wait(10)
        raise Abort("not here")

    with pytest.raises(Abort):
        aborts()
    assert ended == []
    assert records.task_run("spins").state.is_crashed()


# -- the engine itself ----------------------------------------------------------------------------


def test_an_error_of_the_store_in_the_middle_of_a_flow(records):
    from penstock.exceptions import StoreError

    @task
    def add(x):
        return x + 1

    @flow
    def ingest():
        add(1)
        get_store().close()
        add(2)

    with pytest.raises(StoreError):
        ingest()

    from penstock.store import reset_store

    reset_store()
    run = records.flow_run()
    assert run.state.is_running()
    assert [one.name for one in records.task_runs()] == ["add-0"]
    # Nothing was half written, and the run can go on from where it was.


def test_a_task_that_breaks_outside_its_own_code_counts_as_failed(records):
    class Touchy:
        def __getattribute__(self, name):
            if name == "__class__":
                return object.__getattribute__(self, name)
            raise RuntimeError("do not touch")

        def __reduce_ex__(self, protocol):
            raise RuntimeError("do not touch")

    @task
    def takes(x):
        return 1

    @flow
    def ingest():
        state = takes(Touchy(), return_state=True)
        return state.name

    assert ingest() in ("Completed", "Crashed")


def test_nothing_is_left_of_a_crash_in_this_thread():
    from penstock.context import get_run_context

    @flow
    def ends():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ends()
    with pytest.raises(MissingContextError):
        get_run_context()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_what_the_hooks_of_a_crash_say_is_recorded(records, is_async):  # PAINS 14
    from penstock import get_run_logger

    def hook(flow, flow_run, state):
        get_run_logger().info("from the hook")

    @flow(on_crashed=[hook])
    def ends():
        raise KeyboardInterrupt

    @flow(on_crashed=[hook])
    async def ends_async():
        raise asyncio.CancelledError

    if is_async:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(ends_async())
    else:
        with pytest.raises(KeyboardInterrupt):
            ends()

    assert pending() == 0
    assert "from the hook" in records.logs()
    assert "Hook 'hook' finished running successfully" in records.logs()
