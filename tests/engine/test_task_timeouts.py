"""Tasks whose time is over: interrupted, or let go, and TimedOut at once (issue 2; PAINS 5)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import pytest

from penstock import flow, task
from penstock.futures import resolve_futures_to_data
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner

LIMIT_S = 0.05
MESSAGE = "Task run exceeded timeout of 0.05 seconds"
SOON_S = 5.0
"""Far less than anything here would take if it were not stopped."""


def run(work, **options):
    """Run `work` as a flow's body; give what it returns, whatever its tasks came to."""
    given = []

    @flow(**options)
    def runs():
        given.append(work())
        return "fine"

    runs()
    return given[0]


def run_async(work, **options):
    given = []

    @flow(**options)
    async def runs():
        given.append(await work())
        return "fine"

    asyncio.run(runs())
    return given[0]


def in_another_thread(work):
    """Run `work` in a thread that is not the main one; give what it returns."""
    given = []
    thread = threading.Thread(target=lambda: given.append(work()))
    thread.start()
    thread.join(30)
    return given[0]


@pytest.fixture
def let_go():
    """An event that a function may block on; set after the test, so that no thread stays."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture(autouse=True)
def over_soon():
    started = time.monotonic()
    yield
    assert time.monotonic() - started < SOON_S


@task(timeout_seconds=LIMIT_S)
def sleeps():
    time.sleep(60)


@task(timeout_seconds=LIMIT_S)
def computes():
    while True:
        pass


@task(timeout_seconds=LIMIT_S)
async def sleeps_async():
    await asyncio.sleep(60)


@pytest.fixture
def blocks(let_go):
    """A task that no asynchronous exception reaches: it waits for a lock."""

    @task(timeout_seconds=LIMIT_S)
    def blocks():
        let_go.wait(60)

    return blocks


def check(state, records, history):
    assert (state.type.value, state.name) == ("FAILED", "TimedOut")
    assert state.message == MESSAGE
    with pytest.raises(TimeoutError, match=MESSAGE):
        state.result()
    made = records.task_run()
    assert history(made) == ["Pending", "Running", "TimedOut"]
    assert made.state.message == MESSAGE
    with pytest.raises(TimeoutError, match=MESSAGE):
        made.state.result()


# -- wherever it runs -----------------------------------------------------------------------------

CALLS = {
    "called in the main thread": lambda made: run(lambda: made(return_state=True)),
    "called in another thread": lambda made: in_another_thread(
        lambda: run(lambda: made(return_state=True))
    ),
    "called alone": lambda made: made(return_state=True),
    "called alone in another thread": lambda made: in_another_thread(
        lambda: made(return_state=True)
    ),
    "submitted": lambda made: run(lambda: made.submit().wait()),
    "submitted to a sequential runner": lambda made: run(
        lambda: made.submit().wait(), task_runner=SequentialTaskRunner
    ),
}


@pytest.mark.parametrize("how", CALLS)
class TestSync:
    def test_it_sleeps(self, how, records, history):
        check(CALLS[how](sleeps), records, history)

    def test_it_computes(self, how, records, history):
        check(CALLS[how](computes), records, history)

    def test_it_blocks(self, how, blocks, records, history):
        check(CALLS[how](blocks), records, history)


async def _awaited(made):
    return await made(return_state=True)


async def _submitted(made):
    return await (await made.submit()).wait()


CALLS_ASYNC = {
    "awaited": lambda made: run_async(lambda: _awaited(made)),
    "submitted in an async flow": lambda made: run_async(lambda: _submitted(made)),
    "awaited alone": lambda made: asyncio.run(made(return_state=True)),
    "called in a sync flow": lambda made: run(lambda: made(return_state=True)),
    "submitted in a sync flow": lambda made: run(lambda: made.submit().wait()),
    "on a sequential runner": lambda made: run_async(
        lambda: _submitted(made), task_runner=SequentialTaskRunner
    ),
}


@pytest.mark.parametrize("how", CALLS_ASYNC)
def test_async(how, records, history):
    check(CALLS_ASYNC[how](sleeps_async), records, history)


def test_a_sync_task_in_an_async_flow(records, history):
    async def work():
        return sleeps(return_state=True)

    check(run_async(work), records, history)


def test_a_call_raises():
    with pytest.raises(TimeoutError, match=MESSAGE):
        run(sleeps)


def test_one_that_is_fast_enough_is_left_alone(records):
    fast = task(lambda: time.sleep(0.01) or "done", name="fast", timeout_seconds=60)

    assert run(lambda: [fast(), fast.submit().result()]) == ["done", "done"]
    assert all(made.state.is_completed() for made in records.task_runs())


def test_a_deadline_that_is_over_interrupts_nothing_later():
    fast = task(lambda: "done", name="fast", timeout_seconds=0.05)

    def work():
        values = [fast() for _ in range(20)] + [fast.submit().result() for _ in range(20)]
        time.sleep(0.1)
        return values

    assert run(work) == ["done"] * 40


# -- nothing waits for it -------------------------------------------------------------------------


def test_the_flow_goes_on_while_the_thread_is_stuck(let_go, blocks):
    def work():
        state = blocks.submit().wait()
        assert not let_go.is_set()
        return state.name

    assert run(work) == "TimedOut"


def test_the_flow_ends_while_the_thread_is_stuck(let_go, blocks):
    @flow
    def runs():
        blocks.submit()

    assert runs(return_state=True).is_failed()
    assert not let_go.is_set()


def test_a_worker_that_is_stuck_is_replaced(let_go, blocks):
    def work():
        stuck = [blocks.submit() for _ in range(3)]
        states = [future.wait().name for future in stuck]
        return [*states, task(lambda: "done", name="next").submit().result()]

    names = run(work, task_runner=ConcurrentTaskRunner(max_workers=1))

    assert names == ["TimedOut", "TimedOut", "TimedOut", "done"]


def test_that_it_was_let_go_is_logged(let_go, blocks, records, caplog):
    def work():
        blocks.submit().wait()
        deadline = time.monotonic() + SOON_S
        while "let go" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)

    run(work)

    assert "'blocks-0' timed out" in caplog.text
    assert "ProcessTaskRunner" in caplog.text


def test_the_process_ends_while_a_thread_is_stuck(run_script):
    started = time.monotonic()
    done = run_script(
        """
        import threading, time
        from penstock import flow, task

        @task(timeout_seconds=0.2)
        def sleeps():
            time.sleep(60)

        @flow
        def runs():
            states = [sleeps(return_state=True), sleeps.submit().wait()]
            print([state.name for state in states])
            return "fine"

        if __name__ == "__main__":
            thread = threading.Thread(target=runs)
            thread.start()
            thread.join()
            runs()
        """
    )

    assert done.stdout.splitlines() == ["['TimedOut', 'TimedOut']"] * 2, done.stderr
    assert done.returncode == 0
    assert time.monotonic() - started < SOON_S


# -- what the function makes of it ----------------------------------------------------------------


HOW = pytest.mark.parametrize(
    "how",
    [lambda made: made(return_state=True), lambda made: made.submit().wait()],
    ids=["call", "submit"],
)


@HOW
def test_catching_exceptions_does_not_catch_it(how):
    caught = []

    @task(timeout_seconds=LIMIT_S)
    def careless():
        while True:
            with contextlib.suppress(Exception):
                computes.fn()
            caught.append(1)

    assert run(lambda: how(careless)).name == "TimedOut"
    assert caught == []


@HOW
def test_its_finally_is_run(how):
    closed = threading.Event()

    @task(timeout_seconds=LIMIT_S)
    def closes():
        try:
            computes.fn()
        finally:
            closed.set()

    assert run(lambda: how(closes)).name == "TimedOut"
    assert closed.wait(SOON_S)


@HOW
def test_what_it_returns_after_its_time_does_not_count(how, records):
    @task(timeout_seconds=LIMIT_S)
    def stubborn():
        try:
            computes.fn()
        except BaseException:  # noqa: BLE001 - as stubborn users write
            return "too late"

    assert run(lambda: how(stubborn)).name == "TimedOut"
    assert records.task_run().state_name == "TimedOut"


@HOW
def test_what_it_raises_after_its_time_does_not_count(how):
    @task(timeout_seconds=LIMIT_S)
    def stubborn():
        try:
            computes.fn()
        except BaseException:  # noqa: BLE001 - as stubborn users write
            raise ValueError("too late") from None

    assert run(lambda: how(stubborn)).name == "TimedOut"


@HOW
@pytest.mark.parametrize("limit_s", [None, 60])
def test_a_timeout_error_of_its_own_is_a_failure(limit_s, how):
    @task(timeout_seconds=limit_s)
    def fails():
        raise TimeoutError("mine")

    state = run(lambda: how(fails))

    assert state.name == "Failed"
    assert state.message.endswith("TimeoutError: mine")


def test_a_timeout_of_its_own_in_async_code_is_a_failure():
    @task(timeout_seconds=60)
    async def fails():
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    assert run_async(lambda: fails(return_state=True)).name == "Failed"


def test_a_generator_is_timed_while_it_is_read():
    @task(timeout_seconds=LIMIT_S)
    def counts():
        while True:
            yield 1

    assert run(lambda: counts(return_state=True)).name == "TimedOut"


def test_hooks_run_for_it():
    seen = []
    hook = lambda task, task_run, state: seen.append(state.name)

    run(lambda: sleeps.with_options(on_failure=[hook])(return_state=True))
    run(lambda: sleeps.with_options(on_failure=[hook]).submit().wait())

    assert seen == ["TimedOut", "TimedOut"]


# -- tasks in tasks -------------------------------------------------------------------------------


@HOW
def test_an_inner_time_is_over_first(how, records):
    @task(timeout_seconds=60)
    def outer():
        return sleeps(return_state=True).name

    assert run(lambda: how(outer)).result() == "TimedOut"


@HOW
def test_an_outer_time_is_over_first(how, records):
    inner = computes.with_options(name="inner", timeout_seconds=60)

    @task(timeout_seconds=LIMIT_S)
    def outer():
        inner()

    assert run(lambda: how(outer)).name == "TimedOut"

    assert records.task_run("outer").state_name == "TimedOut"
    assert wait_until_final(records, "inner") in ("Crashed", "Cancelled")


def wait_until_final(records, name):
    """The inner run ends by itself, a moment after the outer one is over."""
    deadline = time.monotonic() + SOON_S
    while time.monotonic() < deadline:
        for made in records.task_runs(name):
            if made.state.is_final():
                return made.state_name
        time.sleep(0.01)
    return None


@HOW
def test_an_inner_task_without_a_limit_is_interrupted_too(how, records):
    inner = computes.with_options(name="inner", timeout_seconds=0)

    @task(timeout_seconds=LIMIT_S)
    def outer():
        inner()

    assert run(lambda: how(outer)).name == "TimedOut"


@HOW
def test_what_is_recorded_in_it_is_not_cut_in_half(how, records, history):
    """While the engine writes, the interruption waits: each child has a whole history."""
    child = task(lambda: None, name="child")

    @task(timeout_seconds=LIMIT_S)
    def outer():
        while True:
            child()

    assert run(lambda: how(outer)).name == "TimedOut"

    children = records.task_runs("child")
    assert len(children) > 5
    assert all(
        history(made) in (["Pending", "Running", "Completed"], ["Pending", "Running", "Crashed"])
        for made in children
    )


WAITS = {
    "result": lambda slow: slow.submit().result(),
    "wait": lambda slow: slow.submit().wait(),
    "state of a submission": lambda slow: slow.submit(return_state=True),
    "states of a map": lambda slow: slow.map([1], return_state=True),
    "map over it": lambda slow: gives.map(slow.submit()),
    "call with it": lambda slow: gives(slow.submit()),
    "call that waits for it": lambda slow: gives(1, wait_for=[slow.submit()]),
    "subflow with it": lambda slow: passes(slow.submit()),
    "in a collection": lambda slow: resolve_futures_to_data([slow.submit()]),
}


@task
def gives(x):
    return x


@flow
def passes(x):
    return x


@HOW
@pytest.mark.parametrize("wait", WAITS)
def test_waiting_for_another_run_is_interrupted(wait, how, let_go):
    slow = task(lambda x=1: let_go.wait(60) and [x], name="slow")
    outer = task(lambda: WAITS[wait](slow), name="outer", timeout_seconds=LIMIT_S)

    def work():
        state = how(outer)
        assert not let_go.is_set()
        let_go.set()
        return state

    assert run(work).name == "TimedOut"


@HOW
def test_what_a_sequential_runner_runs_is_interrupted_with_its_caller(how):
    begun = []
    inner = computes.with_options(name="inner", timeout_seconds=0)

    @task(timeout_seconds=LIMIT_S)
    def outer():
        while True:
            begun.append(1)
            inner.submit()

    state = run(lambda: how(outer), task_runner=SequentialTaskRunner)

    assert state.name == "TimedOut"
    assert begun == [1]


def test_waiting_for_a_retry_is_not_the_functions_time(records):
    @task(timeout_seconds=LIMIT_S, retries=1, retry_delay_seconds=0.2)
    def flaky():
        if records.task_runs() == [] and not tries:
            tries.append(1)
            raise ValueError("boom")
        return "done"

    tries = []

    assert run(flaky) == "done"


def test_waiting_for_an_input_is_not_the_functions_time():
    slow = task(lambda: time.sleep(0.2) or 1, name="slow")
    fast = task(lambda x: x, name="fast", timeout_seconds=LIMIT_S)

    assert run(lambda: fast.submit(slow.submit()).result()) == 1


def test_many_at_once():
    def work():
        futures = [sleeps.submit() for _ in range(10)] + [computes.submit() for _ in range(2)]
        return {future.wait().name for future in futures}

    assert run(work) == {"TimedOut"}
