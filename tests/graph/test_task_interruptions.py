"""A run that is stopped: its tasks are interrupted, and that is no failure of theirs."""

from __future__ import annotations

import signal
import threading
import time
from datetime import timedelta

import pytest

from penstock.graph.ambient import context
from penstock.graph.results import Result
from penstock.graph.state import Success, TimedOut
from penstock.graph.task import Task
from penstock.graph.task_runner import TaskRunner
from penstock.task_runners import Call, perform
from penstock.task_runners.interrupts import run_under_deadline
from penstock.task_runners.pool import WorkerPool
from penstock.task_runners.waiting import Interrupted, this_thread

SOON_S = 5.0


class Body(Task):
    def __init__(self, body=lambda: None, **options):
        self.body = body
        super().__init__(**options)

    def run(self):
        return self.body()


class Hasty(Body):
    """A task whose seconds are short."""

    def __init__(self, body, **options):
        super().__init__(body, **options)
        self.timeout = 0.02


def compute():
    while True:
        pass


def in_main_thread(work):
    return work()


def in_another_thread(work):
    given = []
    thread = threading.Thread(target=lambda: given.append(work()))
    thread.start()
    thread.join(20)
    return given[0]


def on_a_worker(work):
    given, done = [], threading.Event()

    def call():
        given.append(work())
        done.set()

    pool = WorkerPool(1)
    pool.submit(call)
    done.wait(20)
    pool.close()
    return given[0]


WHERE = pytest.mark.parametrize("where", [in_main_thread, in_another_thread, on_a_worker])


def stopped_soon(work):
    """Run `work` and stop it after a moment; give its value and what it raised."""
    value, error, _ = run_under_deadline(work, 0.05)
    return value, error


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    handler = signal.getsignal(signal.SIGALRM)
    began = time.monotonic()
    before = context.to_dict()
    yield
    assert time.monotonic() - began < SOON_S
    assert signal.getsignal(signal.SIGALRM) is handler
    assert this_thread.gate is None
    assert context.to_dict() == before


@WHERE
def test_a_task_that_is_interrupted_has_not_failed(where):
    changes = []
    handlers = [lambda task, old, new: changes.append(type(new).__name__)]
    body = Body(compute, state_handlers=handlers, max_retries=3, retry_delay=timedelta(0))
    runner = TaskRunner(body)
    value, error = where(lambda: stopped_soon(runner.run))

    assert value is None
    assert isinstance(error, Interrupted)
    assert changes == ["Running"]
    assert [type(state).__name__ for state, _ in runner.transitions] == ["Running"]


@WHERE
def test_a_task_that_is_called_by_a_call_of_the_engine(where):
    def work():
        outcome = perform(Call(TaskRunner(Body(compute)).run, (), {}))
        raise outcome.error

    _, error = where(lambda: stopped_soon(work))
    assert isinstance(error, Interrupted)


@WHERE
def test_the_context_is_as_before(where):
    def work():
        try:
            stopped_soon(TaskRunner(Body(compute)).run)
        finally:
            left = "task_name" in context
        return left

    assert where(work) is False


@WHERE
def test_code_after_a_task_may_be_interrupted(where):
    def work():
        assert TaskRunner(Body(lambda: 1)).run().result == 1
        compute()

    _, error = where(lambda: stopped_soon(work))
    assert isinstance(error, Interrupted)


@WHERE
@pytest.mark.parametrize("step", ["run", "get_task_run_state"])
def test_code_after_a_single_step_may_be_interrupted(where, step):
    from penstock.graph.state import Running

    def work():
        runner = TaskRunner(Body(lambda: 1))
        if step == "run":
            runner.run()
        else:
            assert runner.get_task_run_state(state=Running(), inputs={}).result == 1
        compute()

    _, error = where(lambda: stopped_soon(work))
    assert isinstance(error, Interrupted)


@WHERE
@pytest.mark.parametrize("kind", ["handler", "runner's handler", "trigger", "validator", "name"])
def test_functions_of_the_user_may_be_interrupted(where, kind):
    def forever(*args, **kwargs):
        compute()

    task, handlers = Body(), None
    if kind == "handler":
        task = Body(state_handlers=[forever])
    elif kind == "runner's handler":
        handlers = [forever]
    elif kind == "trigger":
        task = Body(trigger=forever)
    elif kind == "name":
        task = Body(task_run_name=forever)
    else:
        task = Body(cache_for=timedelta(1), cache_validator=forever)

    def work():
        with context(caches={"Body": [Success()]}):
            return TaskRunner(task, state_handlers=handlers).run()

    _, error = where(lambda: stopped_soon(work))
    assert isinstance(error, Interrupted)


@WHERE
def test_a_result_is_written_whole(where):
    written = []

    class Slow(Result):
        def write(self, value_, **known):
            until = time.monotonic() + 0.1
            while time.monotonic() < until:
                pass
            written.append(value_)
            return self.from_value(value_)

    def work():
        with context(checkpointing=True):
            return TaskRunner(Body(lambda: 1, result=Slow())).run()

    _, error = where(lambda: stopped_soon(work))
    assert written == [1]
    assert isinstance(error, Interrupted)


@WHERE
def test_a_tasks_own_time_is_over_and_the_run_goes_on(where):
    def work():
        state = TaskRunner(Hasty(compute)).run()
        return type(state), sum(range(1000))

    value, error, fired = where(lambda: run_under_deadline(work, 20))
    assert value == (TimedOut, sum(range(1000)))
    assert error is None
    assert not fired


@WHERE
def test_a_run_that_is_stopped_stops_a_task_that_has_its_own_time(where):
    runner = TaskRunner(Body(compute, timeout=20))
    _, error = where(lambda: stopped_soon(runner.run))

    assert isinstance(error, Interrupted)
    assert [type(state).__name__ for state, _ in runner.transitions] == ["Running"]


@WHERE
def test_an_interruption_that_came_before_the_body_is_raised_in_its_place(where):
    ran = []

    def work():
        gate = this_thread.gate
        gate.enter_engine()
        gate.pending = True
        gate.in_user_code = True
        return TaskRunner(Body(lambda: ran.append(1))).run()

    _, error, _ = where(lambda: run_under_deadline(work, 20))
    assert isinstance(error, Interrupted)
    assert ran == []


def test_a_worker_that_waits_for_a_task_with_a_timeout_is_one_of_the_pools():
    lock, running, most = threading.Lock(), [], []
    left = threading.Semaphore(0)

    def body():
        with lock:
            running.append(1)
            most.append(len(running))
        time.sleep(0.02)
        with lock:
            running.pop()

    def call():
        TaskRunner(Body(body, timeout=20)).run()
        left.release()

    pool = WorkerPool(2)
    for _ in range(6):
        pool.submit(call)
    for _ in range(6):
        assert left.acquire(timeout=20)
    pool.close()

    assert max(most) <= 2
