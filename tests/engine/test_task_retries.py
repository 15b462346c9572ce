"""Task runs that are tried again: when, after how long, and what is recorded (spec 3.12, T7)."""

from __future__ import annotations

import asyncio
import itertools
import threading
from datetime import timedelta

import pytest

from penstock import flow, task
from penstock.clock import VirtualClock, use_clock
from penstock.context import TaskRunContext, get_run_context
from penstock.states import Cancelled, Crashed, Failed
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from penstock.tasks import exponential_backoff

RETRY = ["AwaitingRetry", "Retrying"]


@pytest.fixture
def clock():
    with use_clock(VirtualClock()) as virtual:
        yield virtual


def run(work, **options):
    """Run `work` as a flow's body; give what it returns, whatever its tasks came to."""
    given = []

    @flow(**options)
    def runs():
        given.append(work())
        return "fine"

    runs()
    return given[0]


def flaky(failures, **options):
    """Make a task that fails so often, and gives the number of the attempt then."""

    @task(name="flaky", **options)
    def tries():
        count = TaskRunContext.get().task_run.run_count
        if count <= failures:
            raise ValueError(f"attempt {count}")
        return count

    return tries


def flaky_async(failures, **options):
    tries = flaky(failures).fn

    async def tries_async():
        await asyncio.sleep(0)
        return tries()

    return task(name="flaky", **options)(tries_async)


def call(made):
    return made(return_state=True)


def submit(made):
    return made.submit().wait()


HOW = pytest.mark.parametrize("how", [call, submit])
MAKE = pytest.mark.parametrize("make", [flaky, flaky_async], ids=["sync", "async"])


# -- histories ------------------------------------------------------------------------------------


@HOW
@MAKE
@pytest.mark.parametrize(
    ("retries", "failures", "last"),
    [
        (0, 0, "Completed"),
        (0, 1, "Failed"),
        (1, 1, "Completed"),
        (3, 2, "Completed"),
        (3, 9, "Failed"),
    ],
)
def test_histories(retries, failures, last, make, how, records, history):
    state = run(lambda: how(make(failures, retries=retries)))

    made = records.task_run()
    count = min(retries, failures)
    assert history(made) == ["Pending", "Running", *RETRY * count, last]
    assert made.run_count == count + 1
    assert state.name == last
    assert state.result(raise_on_failure=False) is not None
    if last == "Completed":
        assert state.result() == made.state.result() == count + 1
    else:
        assert state.message == (
            f"Task run encountered an exception ValueError: attempt {count + 1}"
        )


def test_in_an_async_flow(records, history):
    @flow
    async def runs():
        called = await flaky_async(1, retries=1)()
        submitted = await flaky_async(1, retries=1).submit()
        return called, await submitted.result(), flaky(1, retries=1)()

    assert asyncio.run(runs()) == (2, 2, 2)
    assert [history(made) for made in records.task_runs()] == [
        ["Pending", "Running", *RETRY, "Completed"]
    ] * 3


@pytest.mark.parametrize("runner", [SequentialTaskRunner, ConcurrentTaskRunner])
def test_the_count_is_in_the_context(runner):
    counts = []

    @task(retries=3)
    def fails():
        counts.append(get_run_context().task_run.run_count)
        raise ValueError("boom")

    run(lambda: fails.submit().wait(), task_runner=runner)

    assert counts == [1, 2, 3, 4]


def test_each_attempt_has_a_start_time_of_its_own(clock):
    times = []

    @task(retries=2, retry_delay_seconds=10)
    def fails():
        times.append(TaskRunContext.get().start_time)
        raise ValueError("boom")

    run(lambda: call(fails))

    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [
        timedelta(seconds=10)
    ] * 2


def test_an_exception_of_any_kind_is_retried():
    class Own(Exception):
        pass

    tries = []

    @task(retries=2)
    def fails():
        tries.append(1)
        raise Own if len(tries) == 1 else OSError

    assert run(lambda: call(fails)).is_failed()
    assert len(tries) == 3


def test_what_a_child_does_counts_from_the_start_in_each_attempt(records):
    @task
    def child():
        return 1

    @task(retries=1)
    def parent():
        child()
        if TaskRunContext.get().task_run.run_count == 1:
            raise ValueError("boom")

    run(parent)

    keys = [made.dynamic_key.split("@")[0] for made in records.task_runs("child")]
    assert keys == ["0", "0"]


def test_the_log_says_which_attempt_it_is(records):  # spec 13: attempt k of n
    run(lambda: call(flaky(2, retries=2)))

    said = [line for line in records.logs() if "AwaitingRetry" in line]
    assert len(said) == 2
    assert "1 of 3" in said[0]
    assert "2 of 3" in said[1]


# -- delays ---------------------------------------------------------------------------------------

DELAYS = [
    ({"retry_delay_seconds": 7}, [7, 7, 7]),
    ({"retry_delay_seconds": 0.5}, [0.5, 0.5, 0.5]),
    ({"retry_delay_seconds": [1, 20]}, [1, 20, 20]),
    ({"retry_delay_seconds": [1, 2, 3, 4]}, [1, 2, 3]),
    ({"retry_delay_seconds": []}, [0, 0, 0]),
    ({"retry_delay_seconds": exponential_backoff(2)}, [2, 4, 8]),
    ({"retry_delay_seconds": lambda n: [n] * n}, [3, 3, 3]),
    ({}, [0, 0, 0]),
]


@pytest.mark.parametrize(("options", "delays"), DELAYS, ids=range(len(DELAYS)))
@pytest.mark.parametrize("in_flow", [True, False], ids=["in a flow", "alone"])
def test_delays_of_a_call(options, delays, in_flow, clock, records):
    fails = flaky(9, retries=3, **options)
    before = clock.time()

    if in_flow:
        run(lambda: call(fails))
    else:
        call(fails)

    made = records.task_run()
    waits = [
        (state.state_details.scheduled_time - state.timestamp).total_seconds()
        for state in made.history
        if state.name == "AwaitingRetry"
    ]
    assert waits == delays
    assert clock.time() - before == pytest.approx(sum(delays))
    assert made.total_run_time == timedelta(0)


@pytest.mark.parametrize("make", [flaky, flaky_async], ids=["sync", "async"])
def test_the_delay_of_a_submission(make, records):
    run(lambda: submit(make(1, retries=1, retry_delay_seconds=0.1)))

    _, running, waiting, retried, _ = records.task_run().history
    assert waiting.state_details.scheduled_time >= running.timestamp + timedelta(seconds=0.1)
    assert retried.timestamp >= waiting.state_details.scheduled_time


def test_delays_with_jitter_are_spread_within_bounds(clock, records):
    fails = flaky(999, retries=200, retry_delay_seconds=10, retry_jitter_factor=0.5)

    run(lambda: call(fails))

    waits = [
        (state.state_details.scheduled_time - state.timestamp).total_seconds()
        for state in records.task_run().history
        if state.name == "AwaitingRetry"
    ]
    assert len(waits) == 200
    assert max(waits) <= 15.000001
    assert min(waits) > 0
    assert len({round(wait, 3) for wait in waits}) > 10
    assert 8 < sum(waits) / len(waits) < 12


def test_many_submissions_wait_for_their_retries_beside_each_other(records):
    fails = flaky(1, retries=1, retry_delay_seconds=0.2)

    run(
        lambda: [future.wait() for future in [fails.submit() for _ in range(40)]],
        task_runner=ConcurrentTaskRunner(max_workers=2),
    )

    made = records.task_runs()
    assert all(one.state.is_completed() for one in made)
    took = max(one.end_time for one in made) - min(one.start_time for one in made)
    assert took < timedelta(seconds=3)


# -- the condition --------------------------------------------------------------------------------


def answers(value):
    def condition(task, task_run, state):
        return value

    return condition


def answers_async(value):
    async def condition(task, task_run, state):
        await asyncio.sleep(0)
        return value

    return condition


@HOW
@MAKE
@pytest.mark.parametrize("condition", [answers, answers_async], ids=["plain", "coroutine"])
@pytest.mark.parametrize(
    ("value", "attempts"), [(True, 3), (False, 1), ("yes", 3), (None, 1)], ids=repr
)
def test_the_condition_decides(value, attempts, condition, make, how, records):
    fails = make(9, retries=2, retry_condition_fn=condition(value))

    assert run(lambda: how(fails)).is_failed()

    made = records.task_run()
    assert made.run_count == attempts
    assert made.state.state_details.retriable is bool(value)


def test_what_the_condition_is_given():
    given = []

    def condition(task, task_run, state):
        given.append((task, task_run.name, task_run.run_count, state))
        with pytest.raises(ValueError, match="attempt"):
            state.result()
        return True

    fails = flaky(9, retries=1, retry_condition_fn=condition)
    run(lambda: call(fails))

    assert [one[:3] for one in given] == [(fails, "flaky-0", 1), (fails, "flaky-0", 2)]
    assert all(one[3].is_failed() for one in given)


def test_it_may_ask_for_the_context_and_log(records):
    from penstock import get_run_logger

    def condition(task, task_run, state):
        get_run_logger().info("asked in %s", TaskRunContext.get().task_run.name)
        return True

    run(lambda: call(flaky(1, retries=1, retry_condition_fn=condition)))

    assert "asked in flaky-0" in records.logs()


@HOW
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_a_condition_that_raises_ends_it(kind, how, records):
    def condition(task, task_run, state):
        raise RuntimeError("what now")

    async def condition_async(task, task_run, state):
        raise RuntimeError("what now")

    chosen = condition if kind == "plain" else condition_async

    assert run(lambda: how(flaky(9, retries=2, retry_condition_fn=chosen))).is_failed()
    assert records.task_run().run_count == 1
    assert any("retry_condition_fn" in line and "what now" in line for line in records.logs())


def test_it_is_not_called_for_what_did_not_fail():
    called = []

    @task(retries=2, retry_condition_fn=lambda *_: called.append(1))
    def gives(x):
        return x

    @task
    def fails():
        raise ValueError("boom")

    def work():
        gives(1)
        gives(fails(return_state=True), return_state=True)
        gives.with_options(retries=0)(Crashed(), return_state=True)

    run(work)

    assert called == []


# -- what is retried, and what is not -------------------------------------------------------------


def test_a_failed_state_that_is_returned_is_retried(records, history):
    @task(retries=1)
    def tries():
        count = TaskRunContext.get().task_run.run_count
        return Failed(message="not yet") if count == 1 else "done"

    assert run(tries) == "done"
    assert history(records.task_run()) == ["Pending", "Running", *RETRY, "Completed"]


@pytest.mark.parametrize("state", [Cancelled(message="no"), Crashed(message="no")], ids=["a", "b"])
def test_other_final_states_that_are_returned_are_not(state, records):
    @task(retries=2)
    def tries():
        return state.copy()

    assert run(lambda: tries(return_state=True)).type is state.type
    assert records.task_run().run_count == 1


def test_hooks_run_for_the_last_attempt_only():
    seen = []
    hook = lambda task, task_run, state: seen.append((state.name, task_run.run_count))

    run(lambda: call(flaky(1, retries=3, on_completion=[hook], on_failure=[hook])))
    run(lambda: call(flaky(9, retries=1, on_completion=[hook], on_failure=[hook])))

    assert seen == [("Completed", 2), ("Failed", 2)]


def test_a_timed_out_attempt_is_retried(records, history):
    @task(retries=1, timeout_seconds=0.05)
    def slow():
        if TaskRunContext.get().task_run.run_count == 1:
            threading.Event().wait(20)
        return "done"

    assert run(slow) == "done"
    assert history(records.task_run()) == ["Pending", "Running", *RETRY, "Completed"]


def test_what_depends_on_it_waits_for_the_last_attempt():
    gives = task(lambda x: x, name="gives")

    def work():
        return gives.submit(flaky(2, retries=2, retry_delay_seconds=0.02).submit()).result()

    assert run(work) == 3


def test_a_task_with_other_options_has_other_retries(records):
    run(lambda: call(flaky(9, retries=5).with_options(retries=1)))

    assert records.task_run().run_count == 2


def test_the_settings_default(records):
    from penstock.settings import temporary_settings

    settings = {
        "PENSTOCK_TASK_DEFAULT_RETRIES": 2,
        "PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS": [0, 0.01],
    }
    with temporary_settings(settings):
        fails = flaky(9)

    run(lambda: call(fails))

    assert records.task_run().run_count == 3
