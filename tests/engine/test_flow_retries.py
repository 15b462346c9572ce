"""Flow runs that are tried again (spec 3.7, 4.2 F11, 5.6; PAINS 19, 22)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from penstock import allow_failure, flow, get_client, task
from penstock.context import get_run_context
from penstock.states import Failed

FIVE = ["Pending", "Running", "AwaitingRetry", "Running", "AwaitingRetry", "Running"]


class Counter:
    """Counts how often each thing is executed."""

    def __init__(self):
        self.counts = {}

    def __call__(self, name):
        self.counts[name] = self.counts.get(name, 0) + 1
        return self.counts[name]


@pytest.fixture
def count():
    return Counter()


# -- the run itself -------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
class TestTheRun:
    def make(self, count, fail_times, *, is_async, **options):
        def attempt():
            seen = get_run_context().flow_run.run_count
            assert count("attempt") == seen
            if seen <= fail_times:
                raise ValueError(f"attempt {seen}")
            return seen

        async def attempt_async():
            return attempt()

        made = flow(name="tries", **options)(attempt_async if is_async else attempt)
        return (lambda **given: asyncio.run(made(**given))) if is_async else made

    def test_until_it_succeeds(self, count, records, history, is_async):
        tries = self.make(count, 2, is_async=is_async, retries=5)

        assert tries() == 3

        run = records.flow_run()
        assert history(run) == [*FIVE, "Completed"]
        assert run.run_count == 3

    def test_until_no_retry_is_left(self, count, records, history, is_async):
        tries = self.make(count, 9, is_async=is_async, retries=2)

        with pytest.raises(ValueError, match="attempt 3"):
            tries()

        run = records.flow_run()
        assert history(run) == [*FIVE, "Failed"]
        assert count.counts["attempt"] == 3
        assert run.state.message.endswith("ValueError: attempt 3")

    def test_no_retry_without_being_asked(self, count, is_async):
        assert self.make(count, 1, is_async=is_async)(return_state=True).is_failed()
        assert count.counts["attempt"] == 1

    def test_the_delay_is_kept(self, count, records, is_async):
        tries = self.make(count, 1, is_async=is_async, retries=1, retry_delay_seconds=0.2)

        tries()

        run = records.flow_run()
        waiting, retried = run.history[2:4]
        assert waiting.name == "AwaitingRetry"
        assert waiting.state_details.scheduled_time >= run.history[1].timestamp + timedelta(
            seconds=0.2
        )
        assert retried.timestamp >= waiting.state_details.scheduled_time
        assert run.total_run_time < run.end_time - run.start_time - timedelta(seconds=0.15)


def test_a_retry_says_which_it_is(records, history):  # spec 13: attempt k of n
    @flow(retries=2)
    def tries():
        raise ValueError("boom")

    tries(return_state=True)

    said = [line for line in records.logs() if "is retried" in line]
    assert len(said) == 2
    assert "1 of 3" in said[0]
    assert "2 of 3" in said[1]
    waiting = records.flow_run().history[2]
    assert "boom" in waiting.message


def test_a_failed_state_that_is_returned_is_retried(count):
    @flow(retries=1)
    def tries():
        return Failed(message="not yet") if count("attempt") == 1 else "done"

    assert tries() == "done"


def test_a_flow_that_fails_for_its_tasks_is_retried(count):
    @task
    def fails_once():
        if count("task") == 1:
            raise ValueError("boom")

    @flow(retries=1)
    def tries():
        fails_once.submit()

    assert tries(return_state=True).is_completed()
    assert count.counts == {"task": 2}


# -- what is in it --------------------------------------------------------------------------------


def failing_once(count, **options):
    @flow(retries=1, **options)
    def tries(work):
        count("attempt")
        value = work()
        if count.counts["attempt"] == 1:
            raise ValueError("once")
        return value

    return tries


def test_completed_tasks_are_not_executed_again(count, records):
    @task
    def add(x):
        count("add")
        return x + 1

    def work():
        first = add(1)
        second = add.submit(first)
        mapped = add.map([second, 10])
        return [first, second.result(), *(future.result() for future in mapped)]

    assert failing_once(count)(work) == [2, 3, 4, 11]

    assert count.counts == {"attempt": 2, "add": 4}
    runs = records.task_runs("add")
    assert [run.name for run in runs] == ["add-0", "add-1", "add-2", "add-3"]
    assert {run.run_count for run in runs} == {1}


def test_what_is_not_kept_is_executed_again(count):
    @task(persist_result=False, cache_result_in_memory=False)
    def forgets():
        count("forgets")
        return 1

    @task
    def keeps():
        count("keeps")
        return 1

    failing_once(count)(lambda: (forgets(return_state=True), keeps()))

    assert count.counts == {"attempt": 2, "forgets": 2, "keeps": 1}


def test_none_is_a_result_like_any_other(count):
    @task
    def nothing():
        count("nothing")

    failing_once(count)(nothing)

    assert count.counts["nothing"] == 1


def test_failed_tasks_are_executed_again_with_all_their_retries(count, records, history):
    @task(retries=1)
    def stubborn():
        if count("stubborn") <= 3:
            raise ValueError("boom")
        return "done"

    @flow(retries=1)
    def tries():
        return stubborn()

    assert tries() == "done"

    run = records.task_run("stubborn")
    assert history(run) == [
        "Pending",
        "Running",
        "AwaitingRetry",
        "Retrying",
        "Failed",
        "Retrying",
        "AwaitingRetry",
        "Retrying",
        "Completed",
    ]
    assert run.flow_run_run_count == 2


def test_tasks_that_were_not_ready_are_executed_when_they_are(count, records, history):
    @task
    def first():
        if count("first") == 1:
            raise ValueError("boom")
        return 1

    @task
    def second(x):
        count("second")
        return x + 1

    @flow(retries=1)
    def tries():
        return second(first.submit())

    assert tries() == 2
    assert count.counts == {"first": 2, "second": 1}
    assert history(records.task_run("second"))[:2] == ["Pending", "NotReady"]
    assert records.task_run("second").state.is_completed()


def test_tasks_that_may_fail_upstream(count):
    @task
    def first():
        if count("first") == 1:
            raise ValueError("boom")
        return "value"

    @task
    def second(x):
        count("second")
        return str(x)

    def work():
        return second(allow_failure(first.submit()))

    # The second was completed with another input (the exception's run): it stands for that run.
    assert failing_once(count)(work) in ("boom", "value")
    assert count.counts["first"] == 2


def test_other_inputs_execute_a_task_again_and_say_so(count, records):  # PAINS 22
    @task
    def add(x):
        count("add")
        return x + 1

    @flow(retries=1)
    def tries():
        attempt = count("attempt")
        value = add(attempt)
        if attempt == 1:
            raise ValueError("once")
        return value

    assert tries() == 3
    assert count.counts["add"] == 2
    assert any("its inputs differ" in line for line in records.logs())


def test_a_cached_task_run_counts_as_completed(count, records):
    @task(cache_key_fn=lambda context, parameters: "key", persist_result=True)
    def cached():
        count("cached")
        return 1

    @flow
    def first():
        return cached()

    first()

    failing_once(count)(cached)

    assert count.counts["cached"] == 1
    assert records.task_runs("cached")[-1].state.name == "Cached"


def test_nested_tasks_are_known_by_their_caller(count):
    @task
    def inner(x):
        count(f"inner {x}")
        return x

    @task
    def outer(x):
        count(f"outer {x}")
        value = inner(x)
        if x == 2 and count.counts["outer 2"] == 1:
            raise ValueError("boom")
        return value

    @flow(retries=1)
    def tries():
        futures = outer.map([1, 2, 3])
        return [future.result() for future in futures]

    assert tries() == [1, 2, 3]
    assert count.counts == {
        "outer 1": 1,
        "outer 2": 2,
        "outer 3": 1,
        "inner 1": 1,
        "inner 2": 1,
        "inner 3": 1,
    }


def test_async_tasks_gathered_are_not_executed_again(count):
    @task
    async def add(x):
        count(f"add {x}")
        await asyncio.sleep(0)
        return x + 1

    @flow(retries=1)
    async def tries():
        values = await asyncio.gather(*(add(x) for x in range(3)))
        if count("attempt") == 1:
            raise ValueError("once")
        return values

    assert asyncio.run(tries()) == [1, 2, 3]
    assert count.counts == {"add 0": 1, "add 1": 1, "add 2": 1, "attempt": 2}


# -- subflows -------------------------------------------------------------------------------------


def test_a_completed_subflow_is_not_executed_again(count, records):
    @flow
    def child(x):
        count("child")
        return x + 1

    assert failing_once(count)(lambda: child(1)) == 2

    assert count.counts == {"attempt": 2, "child": 1}
    assert len([run for run in records.flow_runs() if run.flow_name == "child"]) == 1


def test_a_failed_subflow_is_run_anew_under_the_same_task_run(count, records, history):
    @flow
    def child():
        if count("child") == 1:
            raise ValueError("boom")
        return "done"

    @flow(retries=1)
    def parent():
        return child()

    assert parent() == "done"

    first, second = [run for run in records.flow_runs() if run.flow_name == "child"]
    dummy = records.task_run("child")
    assert first.parent_task_run_id == second.parent_task_run_id == dummy.id
    assert (first.state.name, second.state.name) == ("Failed", "Completed")
    assert dummy.state.state_details.child_flow_run_id == second.id
    assert dummy.state.is_completed()


def test_a_subflow_has_all_its_retries_again(count):
    @flow(retries=1)
    def child():
        if count("child") <= 3:
            raise ValueError("boom")
        return "done"

    @flow(retries=1)
    def parent():
        return child()

    assert parent() == "done"
    assert count.counts["child"] == 4


def test_a_retried_subflow_keeps_its_completed_tasks(count):
    @task
    def add():
        count("add")
        return 1

    @flow(retries=1)
    def child():
        add()
        if count("child") == 1:
            raise ValueError("boom")

    @flow
    def parent():
        child()

    parent()

    assert count.counts == {"add": 1, "child": 2}


def test_a_subflow_with_other_inputs_is_executed_again(count, records):
    @flow
    def child(x):
        count("child")
        return x

    @flow(retries=1)
    def parent():
        attempt = count("attempt")
        value = child(attempt)
        if attempt == 1:
            raise ValueError("once")
        return value

    assert parent() == 2
    assert count.counts["child"] == 2
    assert any("its inputs differ" in line for line in records.logs())


def test_a_subflow_that_was_not_ready_runs_when_it_is(count, records, history):
    @task
    def first():
        if count("first") == 1:
            raise ValueError("boom")

    @flow
    def child():
        count("child")
        return "done"

    @flow(retries=1)
    def parent():
        return child(wait_for=[first.submit()])

    assert parent() == "done"
    assert count.counts == {"first": 2, "child": 1}
    assert history(records.flow_run("child")) == [
        "Pending",
        "NotReady",
        "Running",
        "Completed",
    ]


# -- not retried ----------------------------------------------------------------------------------


def test_a_crash_is_not_retried(count, records, history):
    @flow(retries=3)
    def crashes():
        count("attempt")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crashes()

    assert count.counts["attempt"] == 1
    assert history(records.flow_run()) == ["Pending", "Running", "Crashed"]


def test_a_time_out_is_retried(count, records, history):  # spec 13: timeout plus retries
    import time

    @flow(retries=1, timeout_seconds=0.2)
    def slow():
        if count("attempt") == 1:
            time.sleep(30)
        return "done"

    assert slow() == "done"
    assert history(records.flow_run()) == [
        "Pending",
        "Running",
        "AwaitingRetry",
        "Running",
        "Completed",
    ]


def test_time_outs_until_no_retry_is_left(records, history):
    import time

    @flow(retries=1, timeout_seconds=0.1)
    def slow():
        time.sleep(30)

    state = slow(return_state=True)

    assert (state.type.value, state.name) == ("FAILED", "TimedOut")
    assert history(records.flow_run())[-1] == "TimedOut"
    assert records.flow_run().run_count == 2


def test_the_record_says_what_waits_while_it_waits(count):  # PAINS 18
    seen = []

    @flow(retries=1, retry_delay_seconds=0.1)
    def tries():
        if count("attempt") == 1:
            raise ValueError("once")
        with get_client(sync_client=True) as client:
            seen.extend(client.read_flow_runs())
        return 1

    tries()

    waited = seen[0].history[2]
    assert waited.name == "AwaitingRetry"
    assert "once" in waited.message
