"""What calling, submitting and mapping a task gives, in every allowed combination (spec 2.4)."""

from __future__ import annotations

import asyncio
import threading

import pytest

from penstock import flow, task
from penstock.context import TaskRunContext
from penstock.exceptions import UnfinishedRun, UpstreamTaskError
from penstock.futures import PenstockFuture
from penstock.states import State
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner


@task
def adds(x, y=1):
    return x + y


@task
async def adds_async(x, y=1):
    await asyncio.sleep(0)
    return x + y


@task
def fails(text="boom"):
    raise ValueError(text)


@task
async def fails_async(text="boom"):
    raise ValueError(text)


def run_in_sync_flow(work, **options):
    """Run `work` as the body of a sync flow and give what it returns."""
    given = []

    @flow(**options)
    def runs():
        given.append(work())

    runs()
    return given[0]


def run_in_async_flow(work, **options):
    """Await `work()` in the body of an async flow and give what it returns."""
    given = []

    @flow(**options)
    async def runs():
        given.append(await work())

    asyncio.run(runs())
    return given[0]


RUNNERS = [SequentialTaskRunner, ConcurrentTaskRunner]
BOTH = pytest.mark.parametrize("made", [adds, adds_async], ids=["sync task", "async task"])
ON_EACH_RUNNER = pytest.mark.parametrize("runner", RUNNERS)


# -- in a sync flow: nothing is awaited, whatever the task ----------------------------------------


@BOTH
class TestInASyncFlow:
    def test_a_call_gives_the_value(self, made):
        assert run_in_sync_flow(lambda: made(1)) == 2

    def test_a_call_gives_the_state(self, made):
        state = run_in_sync_flow(lambda: made(1, return_state=True))

        assert isinstance(state, State)
        assert state.is_completed()
        assert state.result() == 2

    @ON_EACH_RUNNER
    def test_submitting_gives_a_future(self, made, runner):
        def work():
            future = made.submit(1)
            assert isinstance(future, PenstockFuture)
            assert future.asynchronous is False
            return future.wait(), future.result(), future.get_state()

        waited, result, state = run_in_sync_flow(work, task_runner=runner)

        assert waited.is_completed()
        assert result == 2
        assert state.is_completed()

    @ON_EACH_RUNNER
    def test_submitting_gives_the_state(self, made, runner):
        state = run_in_sync_flow(lambda: made.submit(1, return_state=True), task_runner=runner)

        assert state.is_completed()
        assert state.result() == 2

    @ON_EACH_RUNNER
    def test_mapping_gives_futures(self, made, runner):
        def work():
            futures = made.map([1, 2, 3], y=10)
            assert all(isinstance(future, PenstockFuture) for future in futures)
            return [future.result() for future in futures]

        assert run_in_sync_flow(work, task_runner=runner) == [11, 12, 13]

    @ON_EACH_RUNNER
    def test_mapping_gives_states(self, made, runner):
        states = run_in_sync_flow(lambda: made.map([1, 2], return_state=True), task_runner=runner)

        assert [state.result() for state in states] == [2, 3]


# -- in an async flow -----------------------------------------------------------------------------


class TestASyncTaskInAnAsyncFlow:
    def run(self, work, **options):
        async def runs():
            return work()

        return run_in_async_flow(runs, **options)

    def test_a_call_gives_the_value(self):
        assert self.run(lambda: adds(1)) == 2

    def test_a_call_gives_the_state(self):
        assert self.run(lambda: adds(1, return_state=True)).result() == 2

    @ON_EACH_RUNNER
    def test_submitting_gives_a_future_with_sync_methods(self, runner):
        def work():
            future = adds.submit(1)
            assert future.asynchronous is False
            return future.wait().is_completed(), future.result()

        assert self.run(work, task_runner=runner) == (True, 2)

    @ON_EACH_RUNNER
    def test_submitting_gives_the_state(self, runner):
        work = lambda: adds.submit(1, return_state=True).result()
        assert self.run(work, task_runner=runner) == 2

    @ON_EACH_RUNNER
    def test_mapping(self, runner):
        def work():
            states = adds.map([1, 2], return_state=True)
            return [f.result() for f in adds.map([1, 2])], [s.result() for s in states]

        assert self.run(work, task_runner=runner) == ([2, 3], [2, 3])


class TestAnAsyncTaskInAnAsyncFlow:
    def test_a_call_gives_an_awaitable_of_the_value(self):
        assert run_in_async_flow(lambda: adds_async(1)) == 2

    def test_a_call_gives_an_awaitable_of_the_state(self):
        assert run_in_async_flow(lambda: adds_async(1, return_state=True)).result() == 2

    @ON_EACH_RUNNER
    def test_submitting_gives_an_awaitable_of_a_future_with_async_methods(self, runner):
        async def work():
            future = await adds_async.submit(1)
            assert future.asynchronous is True
            state = await future.wait()
            return state.is_completed(), await future.result(), await future.get_state()

        completed, result, state = run_in_async_flow(work, task_runner=runner)

        assert completed
        assert result == 2
        assert state.is_completed()

    @ON_EACH_RUNNER
    def test_submitting_gives_an_awaitable_of_the_state(self, runner):
        work = lambda: adds_async.submit(1, return_state=True)
        assert run_in_async_flow(work, task_runner=runner).result() == 2

    @ON_EACH_RUNNER
    def test_mapping_gives_an_awaitable_of_futures(self, runner):
        async def work():
            return [await future.result() for future in await adds_async.map([1, 2])]

        assert run_in_async_flow(work, task_runner=runner) == [2, 3]

    @ON_EACH_RUNNER
    def test_mapping_gives_an_awaitable_of_states(self, runner):
        work = lambda: adds_async.map([1, 2], return_state=True)
        states = run_in_async_flow(work, task_runner=runner)

        assert [state.result() for state in states] == [2, 3]

    @ON_EACH_RUNNER
    def test_mapping_over_the_result_of_an_async_task(self, runner):
        @task
        async def lists():
            await asyncio.sleep(0)
            return [1, 2]

        async def work():
            futures = await adds_async.map(await lists.submit())
            return [await future.result() for future in futures]

        assert run_in_async_flow(work, task_runner=runner) == [2, 3]

    @ON_EACH_RUNNER
    def test_mapping_over_a_result_that_is_not_there(self, runner):
        async def work():
            with pytest.raises(UpstreamTaskError):
                await adds_async.map(await fails_async.submit())

        run_in_async_flow_that_fails(work, task_runner=runner)

    def test_gathered_calls_run_beside_each_other(self):
        order = []

        @task
        async def steps(name, meeting):
            order.append(name)
            await meeting.wait()
            return name

        async def work():
            meeting = asyncio.Barrier(3)
            return await asyncio.gather(*(steps(name, meeting) for name in "abc"))

        assert run_in_async_flow(work) == ["a", "b", "c"]
        assert order == ["a", "b", "c"]

    def test_gathered_calls_and_one_that_fails(self, records):
        async def work():
            return await asyncio.gather(
                adds_async(1), fails_async(), adds_async(2), return_exceptions=True
            )

        first, failed, last = run_in_async_flow_that_fails(work)

        assert (first, last) == (2, 3)
        assert isinstance(failed, ValueError)
        assert sorted(run.state_name for run in records.task_runs()) == [
            "Completed",
            "Completed",
            "Failed",
        ]

    def test_gathered_submissions_on_a_sequential_runner_interleave(self):
        order = []

        @task
        async def steps(name):
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

        async def work():
            await asyncio.gather(steps.submit("a"), steps.submit("b"))

        run_in_async_flow(work, task_runner=SequentialTaskRunner)

        assert set(order[:2]) == {"a begins", "b begins"}


def run_in_async_flow_that_fails(work, **options):
    given = []

    @flow(**options)
    async def runs():
        given.append(await work())
        return "fine"

    assert asyncio.run(runs()) == "fine"
    return given[0]


# -- what a call raises ---------------------------------------------------------------------------


@pytest.mark.parametrize("made", [fails, fails_async], ids=["sync task", "async task"])
class TestFailures:
    def test_a_call_raises_the_tasks_exception(self, made):
        def work():
            with pytest.raises(ValueError, match=r"^boom$"):
                made()

        run_in_sync_flow_whatever(work)

    def test_outside_of_a_flow(self, made):
        with pytest.raises(ValueError, match=r"^boom$"):
            value = made()
            if made.isasync:
                asyncio.run(value)

    def test_a_state_is_given_and_nothing_raised(self, made):
        def work():
            state = made(return_state=True)
            assert state.is_failed()
            assert state.message == "Task run encountered an exception ValueError: boom"
            with pytest.raises(ValueError, match=r"^boom$"):
                state.result()

        run_in_sync_flow_whatever(work)

    @ON_EACH_RUNNER
    def test_a_future_raises_when_its_result_is_asked_for(self, made, runner):
        def work():
            future = made.submit()
            assert future.wait().is_failed()
            with pytest.raises(ValueError, match=r"^boom$"):
                future.result()
            assert isinstance(future.result(raise_on_failure=False), ValueError)

        run_in_sync_flow_whatever(work, task_runner=runner)


def run_in_sync_flow_whatever(work, **options):
    @flow(**options)
    def runs():
        work()
        return "fine"

    assert runs() == "fine"


def test_a_call_whose_upstream_is_not_ready_raises_unfinished(records):
    def work():
        with pytest.raises(UnfinishedRun, match="PENDING"):
            adds(fails(return_state=True))

    run_in_sync_flow_whatever(work)

    run = records.task_run("adds")
    assert (run.state_name, run.state_type) == ("NotReady", "PENDING")


# -- where it runs --------------------------------------------------------------------------------


def test_a_call_runs_in_the_thread_that_called():  # DESIGN 3
    thread = task(threading.get_ident, name="where")

    assert run_in_sync_flow(thread) == threading.get_ident()
    assert thread() == threading.get_ident()


def test_a_submission_runs_on_a_worker():
    where = task(threading.current_thread, name="where")

    worker = run_in_sync_flow(lambda: where.submit().result())

    assert worker is not threading.main_thread()
    assert worker.daemon


def test_a_submission_to_a_sequential_runner_is_over_when_it_returns():
    order = []
    notes = task(order.append, name="notes")

    def work():
        for number in range(3):
            future = notes.submit(number)
            assert future.get_state().is_completed()
            order.append("returned")

    run_in_sync_flow(work, task_runner=SequentialTaskRunner)

    assert order == [0, "returned", 1, "returned", 2, "returned"]


def test_mapped_children_on_a_sequential_runner_run_in_order():
    order = []
    notes = task(order.append, name="notes")

    run_in_sync_flow(lambda: notes.map(range(20)), task_runner=SequentialTaskRunner)

    assert order == list(range(20))


def test_submissions_run_beside_each_other():
    barrier = threading.Barrier(8, timeout=20)
    meets = task(lambda _: barrier.wait(), name="meets")

    def work():
        return sorted(future.result() for future in meets.map(range(8)))

    assert run_in_sync_flow(work) == list(range(8))


def test_a_direct_call_does_not_use_the_flows_runner():
    where = task(threading.get_ident, name="where")

    def work():
        return where() == threading.get_ident() != where.submit().result()

    assert run_in_sync_flow(work, task_runner=ConcurrentTaskRunner(max_workers=1))


def test_context_variables_of_the_caller_are_seen_in_a_submission():
    from contextvars import ContextVar

    who = ContextVar("who", default="nobody")
    reads = task(who.get, name="reads")

    def work():
        who.set("me")
        return reads(), reads.submit().result()

    assert run_in_sync_flow(work) == ("me", "me")


# -- generators and variadic arguments ------------------------------------------------------------


@pytest.mark.parametrize("how", ["call", "submit", "state"])
def test_the_result_of_a_generator_is_a_list(how):
    @task
    def counts(n):
        yield from range(n)

    def work():
        if how == "submit":
            return counts.submit(3).result()
        return counts(3, return_state=True).result() if how == "state" else counts(3)

    assert run_in_sync_flow(work) == [0, 1, 2]


def test_a_generator_that_fails_half_way():
    @task
    def counts():
        yield 1
        raise ValueError("boom")

    def work():
        with pytest.raises(ValueError, match="boom"):
            counts()

    run_in_sync_flow_whatever(work)


def test_a_generator_runs_in_its_context():
    @task
    def names():
        yield TaskRunContext.get().task_run.name

    assert run_in_sync_flow(names) == ["names-0"]


@pytest.mark.parametrize("how", ["call", "submit"])
def test_variadic_arguments(how):
    @task
    def takes(first, *rest, key=None, **named):
        return first, rest, key, named

    def work():
        call = takes if how == "call" else lambda *a, **k: takes.submit(*a, **k).result()
        return call(1, 2, 3, key=4, other=5), call(1)

    assert run_in_sync_flow(work) == (
        (1, (2, 3), 4, {"other": 5}),
        (1, (), None, {}),
    )


def test_positional_only_and_keyword_only():
    @task
    def takes(a, /, b, *, c):
        return a, b, c

    assert run_in_sync_flow(lambda: takes(1, 2, c=3)) == (1, 2, 3)
    assert run_in_sync_flow(lambda: takes.submit(1, b=2, c=3).result()) == (1, 2, 3)


def test_a_method_as_a_task():
    class Loader:
        def __init__(self):
            self.loads = task(self.load, name="loads")

        def load(self, x):
            return x + 1

    assert run_in_sync_flow(lambda: Loader().loads(1)) == 2


def test_the_same_task_in_flows_that_run_at_once(records):
    @flow
    def runs(x):
        return adds.submit(x).result()

    values = []
    threads = [threading.Thread(target=lambda n=n: values.append(runs(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(values) == [1, 2, 3, 4]
    assert len({run.flow_run_id for run in records.task_runs("adds")}) == 4


@pytest.mark.parametrize(
    ("forgets", "shown"),
    [
        (lambda: adds_async(1), "adds_async"),
        (lambda: adds_async.submit(1), "adds_async.submit"),
        (lambda: adds_async.map([1]), "adds_async.map"),
    ],
    ids=["called", "submitted", "mapped"],
)
@pytest.mark.parametrize("runner", [ConcurrentTaskRunner, SequentialTaskRunner])
def test_the_warning_about_a_forgotten_await_says_what_was_called(forgets, shown, runner):
    @flow(name="nightly", task_runner=runner)
    async def runs():
        with pytest.warns(RuntimeWarning, match=f"coroutine '{shown}' was never awaited"):
            forgets()
        return "went on"

    with pytest.warns(RuntimeWarning, match="coroutine 'nightly' was never awaited"):
        runs()
    assert asyncio.run(runs()) == "went on"
