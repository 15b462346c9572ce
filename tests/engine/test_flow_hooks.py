"""Functions that are called when a flow run comes into a state (spec 8)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
import time

import pytest

from penstock import flow, get_run_logger, task
from penstock.context import get_run_context
from penstock.states import Cancelled, Cancelling, Completed, Crashed, Failed, Paused

KINDS = ["running", "completion", "failure", "cancellation", "crashed"]


def what_ends_a_program():
    return contextlib.suppress(SystemExit, KeyboardInterrupt, asyncio.CancelledError)


@pytest.fixture
def called():
    """What was called, and with which state."""
    return []


@pytest.fixture
def all_hooks(called):
    """Give hooks of every kind, each of which notes that it was called."""

    def note(kind):
        def hook(flow, flow_run, state):
            called.append((kind, state.name))

        return hook

    return {f"on_{kind}": [note(kind)] for kind in KINDS}


def sleeps_too_long():
    time.sleep(30)


def fails():
    raise ValueError("boom")


def exits():
    raise SystemExit(3)


def interrupted():
    raise KeyboardInterrupt


ROWS = [  # what the function does, options, hooks that run after on_running
    ("returns", lambda: 1, {}, [("completion", "Completed")]),
    ("returns a named state", lambda: Completed(name="Skipped"), {}, [("completion", "Skipped")]),
    ("raises", fails, {}, [("failure", "Failed")]),
    ("returns a failed state", Failed, {}, [("failure", "Failed")]),
    ("takes too long", sleeps_too_long, {"timeout_seconds": 0.1}, [("failure", "TimedOut")]),
    ("fails for good", fails, {"retries": 1}, [("failure", "Failed")]),
    ("returns Cancelling", Cancelling, {}, [("cancellation", "Cancelling")]),
    ("returns Crashed", Crashed, {}, [("crashed", "Crashed")]),
    ("returns Cancelled", Cancelled, {}, []),
    ("returns Paused", Paused, {}, []),
    ("exits", exits, {}, [("crashed", "Crashed")]),
    ("is interrupted", interrupted, {}, [("crashed", "Crashed")]),
]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("fn", "options", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_which_hooks_run(called, all_hooks, fn, options, expected, is_async):
    if is_async:

        async def main():
            if fn is sleeps_too_long:
                await asyncio.sleep(30)
            if fn is interrupted or fn is exits:
                # Out of a task, these end the loop before anything else is told.
                raise asyncio.CancelledError
            return fn()

        made = flow(name="hooked", **options, **all_hooks)(main)
        with what_ends_a_program():
            asyncio.run(made(return_state=True))
    else:
        made = flow(name="hooked", **options, **all_hooks)(fn)
        with what_ends_a_program():
            made(return_state=True)

    assert called == [("running", "Running"), *expected]


def test_hooks_of_one_kind_run_in_order(called):
    def hook(name, flow, flow_run, state):
        called.append(name)

    async def awaited(flow, flow_run, state):
        await asyncio.sleep(0)
        called.append("third")

    @flow(
        on_completion=[
            functools.partial(hook, "first"),
            functools.partial(hook, "second"),
            awaited,
            functools.partial(hook, "fourth"),
        ]
    )
    def ingest(): ...

    ingest()

    assert called == ["first", "second", "third", "fourth"]


def test_what_a_hook_does_to_the_state_reaches_neither_the_run_nor_the_next_hook(records):
    names = []

    def renames(flow, flow_run, state):
        state.name = "Ruined"
        state.state_details.pause_key = "mine"

    def notes(flow, flow_run, state):
        names.append((state.name, state.state_details.pause_key))

    def of_a_task(task, task_run, state):
        renames(task, task_run, state)

    @task(on_completion=[of_a_task])
    def step(): ...

    @flow(on_completion=[renames, notes])
    def ingest():
        names.append(step(return_state=True).name)

    state = ingest(return_state=True)

    assert (state.name, state.state_details.pause_key) == ("Completed", None)
    assert names == ["Completed", ("Completed", None)]


def test_what_a_hook_is_given(records):
    given = {}

    def hook(flow, flow_run, state):
        given.update(flow=flow, run=flow_run, state=state)

    @flow(on_completion=[hook])
    def ingest(day):
        return 7

    ingest("monday")

    run = records.flow_run()
    assert given["flow"] is ingest
    assert given["run"].id == run.id
    assert given["run"].name == run.name
    assert given["run"].parameters == {"day": "monday"}
    assert given["state"].id == run.state.id
    assert given["state"].result() == 7


def test_hooks_get_everything_by_name(called):
    def other_order(state, flow_run, flow, extra="default"):
        called.append((state.name, extra))

    def takes_all(**kwargs):
        called.append(sorted(kwargs))

    @flow(on_completion=[other_order, functools.partial(other_order, extra="bound"), takes_all])
    def ingest(): ...

    ingest()

    assert called == [
        ("Completed", "default"),
        ("Completed", "bound"),
        ["flow", "flow_run", "state"],
    ]


class Notifier:
    def __init__(self, called):
        self.called = called

    def __call__(self, flow, flow_run, state):
        self.called.append("object")

    def method(self, flow, flow_run, state):
        self.called.append("method")


class AsyncNotifier(Notifier):
    async def __call__(self, flow, flow_run, state):
        await asyncio.sleep(0)
        self.called.append("async object")


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_anything_callable_is_a_hook(called, is_async):
    hooks = [
        Notifier(called),
        Notifier(called).method,
        AsyncNotifier(called),
        functools.partial(AsyncNotifier(called)),
    ]

    if is_async:

        @flow(on_completion=hooks)
        async def ingest_async(): ...

        asyncio.run(ingest_async())
    else:

        @flow(on_completion=hooks)
        def ingest(): ...

        ingest()

    assert called == ["object", "method", "async object", "async object"]


def test_a_hook_that_fails_is_logged_and_the_next_one_runs(called, records):
    def breaks(flow, flow_run, state):
        raise RuntimeError("hook broke")

    async def breaks_too(flow, flow_run, state):
        raise RuntimeError("async hook broke")

    def runs(flow, flow_run, state):
        called.append("ran")

    @flow(on_completion=[breaks, breaks_too, runs])
    def ingest():
        return 1

    assert ingest() == 1

    assert called == ["ran"]
    logs = records.logs()
    assert any("running hook 'breaks'" in line and "hook broke" in line for line in logs)
    assert any("running hook 'breaks_too'" in line for line in logs)
    assert records.flow_run().state.is_completed()


def test_a_hook_with_a_wrong_signature_is_logged(records):
    def wants_more(flow, flow_run, state, more): ...

    @flow(on_completion=[wants_more])
    def ingest(): ...

    ingest()

    assert any("wants_more" in line and "TypeError" in line for line in records.logs())


def test_a_hook_cannot_change_the_state(records):
    def meddles(flow, flow_run, state):
        state.name = "Mine"
        return Completed()

    @flow(on_failure=[meddles])
    def ingest():
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        ingest()
    assert records.flow_run().state.is_failed()
    assert records.flow_run().state.name == "Failed"


def test_the_log_tells_of_each_hook(records, caplog):
    def first(flow, flow_run, state): ...

    @flow(on_completion=[first, functools.partial(first), Notifier([])])
    def ingest(): ...

    with caplog.at_level(logging.INFO):
        ingest()

    logs = [line for line in records.logs() if "ook '" in line]
    assert len(logs) == 6
    assert logs[0] == "Running hook 'first' in response to entering state 'Completed'"
    assert logs[1] == "Hook 'first' finished running successfully"
    assert "'first'" in logs[2]
    assert "'Notifier'" in logs[4]


def test_hooks_log_as_their_run(records):
    def hook(flow, flow_run, state):
        get_run_logger().info("from the hook")
        assert get_run_context().flow_run.id == flow_run.id

    @flow(on_completion=[hook], on_running=[hook])
    def ingest(): ...

    ingest()

    assert records.logs().count("from the hook") == 2


def test_hooks_run_before_the_call_returns_and_after_the_state_is_recorded(records):
    seen = []

    def hook(flow, flow_run, state):
        seen.append(records.flow_run().state.name)

    @flow(on_completion=[hook], on_running=[hook])
    def ingest(): ...

    ingest()

    assert seen == ["Running", "Completed"]


def test_sync_hooks_do_not_block_the_loop_of_an_async_flow():
    ticks, released = [], threading.Event()

    def waits(flow, flow_run, state):
        assert released.wait(10)

    @flow(on_completion=[waits])
    async def ingest(): ...

    async def main():
        async def tick():
            while not released.is_set():
                ticks.append(1)
                if len(ticks) > 3:
                    released.set()
                await asyncio.sleep(0.001)

        await asyncio.gather(ingest(), tick())

    asyncio.run(main())

    assert len(ticks) > 3


def test_on_running_is_not_repeated_for_retries(called, all_hooks):
    attempts = []

    @flow(retries=2, **all_hooks)
    def ingest():
        attempts.append(1)
        if len(attempts) < 3:
            raise ValueError("boom")

    ingest()

    assert called == [("running", "Running"), ("completion", "Completed")]


def test_on_running_comes_before_the_function(called):
    @flow(on_running=[lambda flow, flow_run, state: called.append("hook")])
    def ingest():
        called.append("function")

    ingest()

    assert called == ["hook", "function"]


def test_the_hooks_of_a_subflow_run_before_those_of_its_parent(called):
    def note(name):
        return lambda flow, flow_run, state: called.append(name)

    @flow(on_failure=[note("child")])
    def child():
        raise ValueError("boom")

    @flow(on_failure=[note("parent")])
    def parent():
        child()

    parent(return_state=True)

    assert called == ["child", "parent"]


def test_a_crash_of_a_subflow_runs_the_hooks_of_both(called):
    def note(name):
        return lambda flow, flow_run, state: called.append((name, state.name))

    @flow(on_crashed=[note("child")])
    def child():
        raise KeyboardInterrupt

    @flow(on_crashed=[note("parent")])
    def parent():
        child()

    with pytest.raises(KeyboardInterrupt):
        parent()

    assert called == [("child", "Crashed"), ("parent", "Crashed")]


def test_a_run_that_waits_for_what_failed_runs_no_hooks(called, all_hooks):
    @task
    def breaks():
        raise ValueError("boom")

    @flow(**all_hooks)
    def child(): ...

    @flow
    def parent():
        return child(wait_for=[breaks.submit()], return_state=True).name

    assert parent() == "NotReady"
    assert called == []


@pytest.mark.parametrize(
    ("value", "hooks_run"), [("false", False), ("False", False), ("true", True), ("", True)]
)
@pytest.mark.parametrize(
    ("fn", "kind"), [(interrupted, "crashed"), (Crashed, "crashed"), (Cancelling, "cancellation")]
)
def test_hooks_that_somebody_else_runs(monkeypatch, called, all_hooks, fn, kind, value, hooks_run):
    # A runner that watches the process runs them itself.
    monkeypatch.setenv("PENSTOCK__ENABLE_CANCELLATION_AND_CRASHED_HOOKS", value)
    del all_hooks["on_running"]

    with what_ends_a_program():
        flow(name="hooked", **all_hooks)(fn)(return_state=True)

    assert [name for name, _ in called] == ([kind] if hooks_run else [])


def test_hooks_of_with_options_replace(called):
    def note(name):
        return lambda flow, flow_run, state: called.append(name)

    @flow(on_completion=[note("first")])
    def ingest(): ...

    ingest.with_options(on_completion=[note("second")])()

    assert called == ["second"]


def test_a_hook_may_call_flows(called, records):
    @flow
    def notify(message):
        called.append(message)

    @flow(on_failure=[lambda flow, flow_run, state: notify(state.message)])
    def ingest():
        raise ValueError("boom")

    ingest(return_state=True)

    assert called == ["Flow run encountered an exception. ValueError: boom"]
    assert records.flow_run("notify").parent_task_run_id is None
    assert records.flow_run("notify").state.is_completed()
    assert records.flow_run("ingest").state.is_failed()


def test_a_hook_that_exits_does_not_lose_the_state(records):
    def exits_now(flow, flow_run, state):
        raise SystemExit(3)

    @flow(on_completion=[exits_now])
    def ingest():
        return 1

    with pytest.raises(SystemExit):
        ingest()
    assert records.flow_run().state.is_completed()
