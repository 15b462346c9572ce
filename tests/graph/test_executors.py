"""Executors: the protocol, ours, and those of users (6.7)."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import multiprocessing
import pickle
import signal
import threading
import time
from contextlib import contextmanager
from typing import Any

import cloudpickle
import pytest

from penstock import get_client
from penstock.graph import Flow, context, task
from penstock.graph.executors import (
    Executor,
    LocalDaskExecutor,
    LocalExecutor,
    TaskRunnerExecutor,
    executor_of,
)
from penstock.graph.flow_runner import FlowRunner
from penstock.graph.state import Failed, Success
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner


@task
def give(value):
    return value


@task
def inc(x):
    return x + 1


@task
def total(xs):
    return sum(xs)


@task
def where():
    return threading.get_ident()


def ten() -> tuple[Flow, Any, Any]:
    with Flow("ten") as flow:
        made = inc.map(list(range(10)))
        summed = total(made)
    return flow, made, summed


# -- the base -------------------------------------------------------------------------------------


def test_the_base_says_what_a_subclass_has_to_do():
    executor = Executor()
    with executor.start():
        with pytest.raises(NotImplementedError, match="submit"):
            executor.submit(max, 1, 2)
        with pytest.raises(NotImplementedError, match="wait"):
            executor.wait([1])
    assert repr(executor) == "<Executor: Executor>"


@pytest.mark.parametrize(
    "make",
    [Executor, LocalExecutor, LocalDaskExecutor, lambda: LocalDaskExecutor("sync", 3)],
    ids=["base", "local", "threads", "one by one"],
)
def test_executors_are_pickled_also_when_started(make):
    executor = make()
    assert type(pickle.loads(pickle.dumps(executor))) is type(executor)
    with executor.start():
        copied = pickle.loads(pickle.dumps(executor))
    assert repr(copied) == repr(executor)
    if isinstance(copied, LocalDaskExecutor):
        assert (copied.scheduler, copied.num_workers) == (executor.scheduler, executor.num_workers)
        with pytest.raises(ValueError, match="started"):
            copied.submit(max, 1, 2)


def test_the_local_one_calls_at_once():
    executor = LocalExecutor()
    assert executor.submit(lambda *a, **k: (a, k), 1, x=2, extra_context={"task_name": "a"}) == (
        (1,),
        {"x": 2},
    )
    given = [1, {"a": object()}]
    assert executor.wait(given) is given


# -- on task runners ------------------------------------------------------------------------------


@pytest.fixture(params=["threads", "synchronous"])
def started(request: pytest.FixtureRequest) -> Any:
    executor = LocalDaskExecutor(request.param, num_workers=2)
    with executor.start():
        yield executor


def test_futures_are_waited_for_in_any_shape(started):
    one, two = started.submit(max, 1, 1), started.submit(max, 2, 1)
    assert started.wait(one) == 1
    assert started.wait([one, {"two": two, "deep": [(two,)]}, 5]) == [
        1,
        {"two": 2, "deep": [(2,)]},
        5,
    ]
    assert started.wait("no future") == "no future"


def test_futures_in_arguments_are_resolved_first(started):
    def show(*args, **kwargs):
        return args, kwargs

    one = started.submit(max, 1, 1)
    two = started.submit(lambda x: x + 1, one)
    shown = started.submit(show, [one, {"a": two}], named={"deep": [[two]]})
    assert started.wait(shown) == (([1, {"a": 2}],), {"named": {"deep": [[2]]}})


def test_a_unit_runs_once_however_often_it_is_waited_for(started):
    ran = []
    future = started.submit(ran.append, 1)
    below = started.submit(lambda x: x, future)
    started.wait([future, future, below])
    started.wait(future)
    assert ran == [1]


def test_what_a_call_raises_is_raised_by_waiting(started):
    def broken():
        raise LookupError("so")

    future = started.submit(broken)
    with pytest.raises(LookupError, match="so"):
        started.wait([future])
    below = started.submit(lambda x: x, future)
    with pytest.raises(LookupError, match="so"):
        started.wait(below)


def test_submitting_before_the_start_is_refused():
    executor = LocalDaskExecutor()
    with pytest.raises(ValueError, match=r"LocalDaskExecutor must be started"):
        executor.submit(max, 1, 2)
    with executor.start():
        pass
    with pytest.raises(ValueError, match=r"must be started"):
        executor.submit(max, 1, 2)


def test_starts_may_be_in_each_other():
    executor = LocalDaskExecutor()
    with executor.start():
        with executor.start():
            assert executor.wait(executor.submit(max, 1, 2)) == 2
        assert executor.wait(executor.submit(max, 1, 2)) == 2


@pytest.mark.parametrize(
    ("given", "scheduler", "kind"),
    [
        ("threads", "threads", ConcurrentTaskRunner),
        ("threading", "threads", ConcurrentTaskRunner),
        ("Threads", "threads", ConcurrentTaskRunner),
        ("synchronous", "synchronous", SequentialTaskRunner),
        ("sync", "synchronous", SequentialTaskRunner),
        ("single-threaded", "synchronous", SequentialTaskRunner),
    ],
)
def test_schedulers_and_their_other_names(given, scheduler, kind):
    executor = LocalDaskExecutor(scheduler=given)
    assert executor.scheduler == scheduler
    assert isinstance(executor.task_runner, kind)
    with Flow("where", executor=executor) as flow:
        made = where()
    here = flow.run().result[made].result == threading.get_ident()
    assert here is (kind is SequentialTaskRunner)


@pytest.mark.parametrize("scheduler", ["processes", "multiprocessing", "threds", "", None])
def test_schedulers_that_there_are_not(scheduler):
    with pytest.raises(ValueError, match="scheduler") as caught:
        LocalDaskExecutor(scheduler=scheduler)
    assert repr(scheduler) in str(caught.value)
    assert "threads" in str(caught.value)


def test_the_number_of_workers_is_kept_to():
    at_once, most = [0], [0]
    lock = threading.Lock()

    @task
    def busy(x):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.005)
        with lock:
            at_once[0] -= 1

    with Flow("busy", executor=LocalDaskExecutor(num_workers=2)) as flow:
        busy.map(list(range(10)))
    assert flow.run().is_successful()
    assert most[0] <= 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_exception_in_the_block_interrupts_what_runs(error):
    begun, ended = threading.Event(), threading.Event()
    ran = []

    def endless():
        begun.set()
        try:
            while True:
                time.sleep(0.002)
        finally:
            ended.set()

    def interrupted(executor):
        running = executor.submit(endless)
        waiting = executor.submit(ran.append, 1)
        assert begun.wait(5)
        made.extend([running, waiting])
        raise error

    made: list[Any] = []
    executor = LocalDaskExecutor(num_workers=1)
    with pytest.raises(error), executor.start():
        interrupted(executor)
    assert ended.wait(5)
    running, waiting = made
    assert running.exception(5) is not None or running.cancelled()
    assert waiting.cancelled()
    assert ran == [], "what had not begun does not begin"


def test_an_interruption_of_a_pass_interrupts_its_tasks():
    begun, ended = threading.Event(), threading.Event()

    @task
    def endless():
        begun.set()
        try:
            while True:
                time.sleep(0.002)
        finally:
            ended.set()

    @task
    def interrupt():
        begun.wait(5)
        signal.raise_signal(signal.SIGINT)

    with Flow("interrupted") as flow:
        endless()
        interrupt()
    with pytest.raises(KeyboardInterrupt):
        FlowRunner(flow).run(executor=LocalDaskExecutor(num_workers=2))
    assert ended.wait(5)


# -- which executor -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (LocalExecutor(), LocalExecutor),
        (LocalExecutor, LocalExecutor),
        (ConcurrentTaskRunner(), TaskRunnerExecutor),
        (SequentialTaskRunner, TaskRunnerExecutor),
    ],
    ids=["executor", "class", "task runner", "class of task runners"],
)
def test_what_may_be_given_as_executor(given, kind):
    assert type(executor_of(given)) is kind
    flow, _made, summed = ten()
    assert flow.run(executor=given).result[summed].result == 55


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ("threads", "'threads'"),
        (5, "5"),
        (concurrent.futures.ThreadPoolExecutor, "no start and no wait"),
    ],
)
def test_what_is_no_executor(given, part):
    flow, _made, _summed = ten()
    with pytest.raises(TypeError, match="executor") as caught:
        flow.run(executor=given)
    assert part in str(caught.value)
    state = FlowRunner(flow).run(executor=given)
    assert isinstance(state, Failed)
    assert isinstance(state.result, TypeError)


def test_a_task_runner_that_is_none():
    with pytest.raises(TypeError):
        TaskRunnerExecutor("threads")  # type: ignore[arg-type]


class Named(LocalExecutor):
    used = 0

    def submit(self, fn, *args, extra_context=None, **kwargs):
        Named.used += 1
        return super().submit(fn, *args, extra_context=extra_context, **kwargs)


def test_the_argument_wins_over_the_flows_and_that_over_the_configured():
    Named.used = 0
    flow, _made, _summed = ten()
    configured = {"engine": {"executor": {"default_class": f"{__name__}.Named"}}}
    with context(config=configured):
        assert flow.run().is_successful()
        assert Named.used == 12
        assert flow.run(executor=LocalExecutor()).is_successful()
        flow.executor = LocalExecutor()
        assert flow.run().is_successful()
        assert FlowRunner(flow).run().is_successful()
    assert Named.used == 12


def test_a_configured_class_that_there_is_not():
    flow, _made, summed = ten()
    configured = {"engine": {"executor": {"default_class": "nowhere.Executor"}}}
    with context(config=configured), pytest.warns(UserWarning, match=r"nowhere\.Executor"):
        state = FlowRunner(flow).run(return_tasks=[summed])
    assert state.result[summed].result == 55


def test_flows_in_two_threads_may_have_one_executor():
    """The one that has begun first goes on when the other has ended, and its threads with it."""
    begun, beside, ended = threading.Event(), threading.Event(), threading.Event()

    class Shared(LocalDaskExecutor):
        @contextmanager
        def start(self):
            with super().start() as started:
                if begun.is_set():
                    beside.set()
                else:
                    begun.set()
                    assert beside.wait(10)
                yield started

    @task
    def waits():
        assert ended.wait(10)
        return [1, 2, 3]

    executor = Shared(num_workers=2)
    with Flow("first", executor=executor) as first:
        summed = total(inc.map(waits()))
    with Flow("second", executor=executor) as second:
        give(1)
    states = []

    def run_first():
        states.append(FlowRunner(first).run(return_tasks=[summed]))

    thread = threading.Thread(target=run_first, daemon=True)
    thread.start()
    assert begun.wait(10)
    assert FlowRunner(second).run().is_successful()
    ended.set()
    thread.join(10)
    assert [state.result[summed].result for state in states] == [9]


# -- executors of users ---------------------------------------------------------------------------


class Counting(Executor):
    """Counts, and calls at once."""

    def __init__(self) -> None:
        self.submitted: list[Any] = []
        self.started = 0

    @contextmanager
    def start(self):
        self.started += 1
        yield

    def submit(self, fn, *args, extra_context=None, **kwargs):
        self.submitted.append(extra_context)
        return fn(*args, **kwargs)

    def wait(self, futures):
        return futures


class OnThreads(Counting):
    """One with futures that tell when they are done."""

    @contextmanager
    def start(self):
        self.started += 1
        with concurrent.futures.ThreadPoolExecutor(2) as self.pool:
            yield

    def submit(self, fn, *args, extra_context=None, **kwargs):
        self.submitted.append(extra_context)
        return self.pool.submit(fn, *args, **kwargs)

    def wait(self, futures):
        return futures.result() if isinstance(futures, concurrent.futures.Future) else futures


class Promise:
    """A future that has to be asked."""

    def __init__(self, future: Any) -> None:
        self.future = future


class Asked(OnThreads):
    """One with futures that tell nobody."""

    def submit(self, fn, *args, extra_context=None, **kwargs):
        return Promise(super().submit(fn, *args, extra_context=extra_context, **kwargs))

    def wait(self, futures):
        return super().wait(futures.future if isinstance(futures, Promise) else futures)


class Lazy(Counting):
    """Calls when it is asked for the answer."""

    def submit(self, fn, *args, extra_context=None, **kwargs):
        self.submitted.append(extra_context)
        return lambda: fn(*args, **kwargs)

    def wait(self, futures):
        return futures() if callable(futures) else futures


FOREIGN = [Counting, OnThreads, Asked, Lazy]


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "one pass"])
def test_ten_elements_are_eleven_submissions(kind, recorded):
    executor = kind()
    with Flow("ten") as flow:
        made = inc.map(list(range(10)))
    if recorded:
        state = flow.run(executor=executor)
    else:
        state = FlowRunner(flow).run(executor=executor, return_tasks=[made])
    assert state.result[made].result == list(range(1, 11))
    assert executor.started == 1
    assert len(executor.submitted) == 11
    assert all(each["task_name"] == "inc" for each in executor.submitted)
    assert [each["task_index"] for each in executor.submitted] == [None, *range(10)]


@pytest.mark.parametrize("kind", FOREIGN)
def test_graphs_on_executors_of_users(kind):
    @task(max_retries=1, retry_delay=dt.timedelta(0))
    def flaky(x):
        if context.task_run_count == 1:
            raise ValueError(x)
        return x

    with Flow("all of it") as flow:
        numbers = give([1, 2, 3])
        first = inc.map(numbers)
        second = flaky.map(first)
        broken = total(give(5))
        summed = total(second)
        flow.set_reference_tasks([summed])
    state = flow.run(executor=kind())
    assert state.is_successful()
    assert state.result[summed].result == 9
    assert isinstance(state.result[broken], Failed)


class OnProcesses(OnThreads):
    """One whose calls are made in another process, as pickles."""

    @contextmanager
    def start(self):
        with concurrent.futures.ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn")
        ) as self.pool:
            yield

    def submit(self, fn, *args, extra_context=None, **kwargs):
        packed = cloudpickle.dumps((fn, args, kwargs))
        return self.pool.submit(call_packed, packed)

    def wait(self, futures):
        return pickle.loads(super().wait(futures))


def call_packed(packed):
    fn, args, kwargs = pickle.loads(packed)
    return cloudpickle.dumps(fn(*args, **kwargs))


def test_an_executor_in_another_process_gives_states_and_what_is_recorded_of_them():
    with Flow("away") as flow:
        made = inc.copy(task_run_name="after {x}")(2)
    state = flow.run(executor=OnProcesses())
    assert state.result[made].result == 3
    with get_client(sync_client=True) as client:
        (run,) = client.read_task_runs()
        states = client.read_task_run_states(run.id)
    assert run.name == "after 2"
    assert [each.name for each in states] == ["Pending", "Running", "Completed"]


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "one pass"])
def test_what_is_submitted_gives_the_state(recorded):
    seen = []

    class Looking(LocalExecutor):
        def submit(self, fn, *args, extra_context=None, **kwargs):
            seen.append(super().submit(fn, *args, extra_context=extra_context, **kwargs))
            return seen[-1]

    with Flow("seen") as flow:
        made = inc(2)
    if recorded:
        state = flow.run(executor=Looking())
    else:
        state = FlowRunner(flow).run(executor=Looking(), return_tasks=[made])
    assert seen == [Success(result=3)]
    assert seen[0] is state.result[made]


def test_an_executor_that_gives_what_is_no_state():
    class Odd(LocalExecutor):
        def wait(self, futures):
            return 5

    state = FlowRunner(ten()[0]).run(executor=Odd())
    assert isinstance(state, Failed)
    assert "The executor gave 5 for task 'inc'" in str(state.result)


@pytest.mark.parametrize("kind", [OnThreads, Asked])
def test_their_threads_are_used_beside_each_other(kind):
    meet = threading.Barrier(2)

    @task
    def met(x):
        meet.wait(10)
        return x

    with Flow("meet") as flow:
        made = met.map([1, 2])
    state = FlowRunner(flow).run(executor=kind(), return_tasks=[made])
    assert state.result[made].result == [1, 2]


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("where_", ["start", "submit", "wait"])
def test_an_executor_that_raises(kind, where_):
    class Wrong(kind):
        pass

    def broken(self, *args, **kwargs):
        raise OSError("no room")

    setattr(Wrong, where_, broken)
    flow, _made, _summed = ten()
    state = FlowRunner(flow).run(executor=Wrong(), return_tasks=flow.tasks)
    assert isinstance(state, Failed)
    assert "Unexpected error" in str(state.message)
    assert isinstance(state.result, OSError)


@pytest.mark.parametrize("kind", FOREIGN)
def test_an_executor_that_breaks_half_way(kind):
    class Wrong(kind):
        def submit(self, fn, *args, extra_context=None, **kwargs):
            if len(self.submitted) == 5:
                raise OSError("no room")
            return super().submit(fn, *args, extra_context=extra_context, **kwargs)

    flow, _made, _summed = ten()
    state = flow.run(executor=Wrong())
    assert isinstance(state, Failed)
    assert isinstance(state.result, OSError)


def test_a_unit_that_breaks_on_a_users_thread():
    class Breaks(OnThreads):
        def submit(self, fn, *args, extra_context=None, **kwargs):
            def broken():
                raise OSError("worker lost")

            return self.pool.submit(broken)

    flow, _made, _summed = ten()
    state = FlowRunner(flow).run(executor=Breaks())
    assert isinstance(state.result, OSError)


def test_a_subclass_of_ours_is_asked():
    class Mine(LocalDaskExecutor):
        asked = 0

        def submit(self, fn, *args, extra_context=None, **kwargs):
            Mine.asked += 1
            return super().submit(fn, *args, extra_context=extra_context, **kwargs)

    flow, _made, summed = ten()
    for scheduler in ("threads", "sync"):
        Mine.asked = 0
        state = flow.run(executor=Mine(scheduler))
        assert state.result[summed].result == 55
        assert Mine.asked == 12


def test_what_is_handed_to_an_executor_can_be_pickled():
    cloudpickle = pytest.importorskip("cloudpickle")

    class Elsewhere(Counting):
        """As if each unit went to another process and back."""

        def submit(self, fn, *args, extra_context=None, **kwargs):
            self.submitted.append(extra_context)
            sent = cloudpickle.dumps((fn, args, kwargs))

            def there():
                function, its_args, its_kwargs = pickle.loads(sent)
                return cloudpickle.dumps(function(*its_args, **its_kwargs))

            return pickle.loads(there())

    def add_one(x):
        return x + 1

    def add_up(xs):
        return sum(xs)

    with Flow("elsewhere") as flow:
        made = task(add_one, name="one").map([1, 2])
        summed = task(add_up, name="sum")(made)
    state = FlowRunner(flow).run(executor=Elsewhere(), return_tasks=[summed])
    assert isinstance(state, Success)
    assert state.result[summed].result == 5
