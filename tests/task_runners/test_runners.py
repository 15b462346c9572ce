"""What every task runner promises: one suite over all that run in this process (spec 2.6)."""

from __future__ import annotations

import pickle
import threading
import time

import cloudpickle
import pytest

from penstock.exceptions import PenstockException
from penstock.states import Completed, Failed
from penstock.task_runners import (
    BaseTaskRunner,
    Call,
    ConcurrentTaskRunner,
    SequentialTaskRunner,
    TaskConcurrencyType,
    duplicate_of,
    perform,
)

RUNNERS = {
    "sequential": SequentialTaskRunner,
    "threads": ConcurrentTaskRunner,
    "two threads": lambda: ConcurrentTaskRunner(max_workers=2),
}


@pytest.fixture(params=RUNNERS)
def runner(request):
    return RUNNERS[request.param]()


@pytest.fixture
def started(runner):
    with runner.start():
        yield runner


# -- starting -------------------------------------------------------------------------------------


def test_a_runner_is_started_for_a_block(runner):
    with runner.start() as started:
        assert started is runner
        runner.submit("key", lambda: Completed(data=1))
        assert runner.wait("key").result() == 1

    with pytest.raises(RuntimeError, match="must be started"):
        runner.submit("key", Completed)
    with pytest.raises(RuntimeError, match="must be started"):
        runner.wait("key")


def test_a_block_alone_starts_it(runner):
    with runner:
        runner.submit("key", lambda: Completed(data=1))
        assert runner.wait("key").result() == 1


def test_a_second_start_is_refused(started):
    with pytest.raises(RuntimeError, match=r"started already.*duplicate\(\)"):
        started.start()
    started.submit("key", lambda: Completed(data=1))
    assert started.wait("key").result() == 1


def test_closing_twice_is_harmless(runner):
    runner.start()
    runner.close()
    runner.close()


def test_work_is_refused_before_it_is_started(runner):
    if isinstance(runner, SequentialTaskRunner):
        return  # it needs nothing started to make a call
    with pytest.raises(PenstockException, match="must be started"):
        runner.run(Call(lambda: 1, (), {}), lambda outcome: None)


# -- submitting and waiting -----------------------------------------------------------------------


def test_the_state_that_the_call_gives(started):
    state = Failed(message="no")
    started.submit("key", lambda: state)

    assert started.wait("key") is state
    assert started.wait("key") is state
    assert started.wait("key", 0) is state


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_waiting_never_raises_what_the_call_raised(error, started):
    def call():
        raise error("boom")

    started.submit("key", call)
    state = started.wait("key", 20)

    assert state.is_crashed()
    assert "boom" in state.message or "aborted" in state.message
    with pytest.raises(error):
        state.result()


def test_waiting_for_less_than_it_takes():
    event = threading.Event()
    with ConcurrentTaskRunner().start() as runner:
        runner.submit("key", lambda: event.wait(20) and Completed(data=1))

        assert runner.wait("key", 0.01) is None
        assert runner.wait("key", 0) is None
        event.set()
        assert runner.wait("key", 20).result() == 1


# -- duplicates and pickles -----------------------------------------------------------------------


def test_a_duplicate_is_fresh_and_equal(started):
    copy = started.duplicate()

    assert copy is not started
    assert copy == started
    assert hash(copy) == hash(started)
    with copy.start():
        copy.submit("key", lambda: Completed(data=1))
        assert copy.wait("key").result() == 1


def test_runners_with_other_options_differ():
    assert ConcurrentTaskRunner(2) != ConcurrentTaskRunner(3)
    assert ConcurrentTaskRunner() != SequentialTaskRunner()
    assert ConcurrentTaskRunner(2).duplicate().max_workers == 2


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloud"])
def test_a_started_runner_can_be_pickled_but_is_not_started_there(started, dumps):
    back = pickle.loads(dumps(started))

    assert back == started
    with pytest.raises(RuntimeError, match="must be started"):
        back.submit("key", Completed)
    with pytest.raises(RuntimeError, match="must be started"):
        back.wait("key")
    with back.start():
        back.submit("key", lambda: Completed(data=1))
        assert back.wait("key").result() == 1


class Own(BaseTaskRunner):
    concurrency_type = TaskConcurrencyType.SEQUENTIAL

    def run(self, call, done):
        done(perform(call))


def test_a_runner_without_duplicates_is_used_itself_with_a_warning():
    runner = Own()

    assert runner.duplicate() is NotImplemented
    with pytest.warns(UserWarning, match=r"Own does not implement duplicate\(\)"):
        assert duplicate_of(runner) is runner


@pytest.mark.filterwarnings("ignore:Own does not implement")
def test_a_runner_of_ones_own_runs_a_flow():
    from penstock import flow, task

    gives = task(lambda x: x, name="gives")

    @flow(task_runner=Own())
    def runs():
        return [future.result() for future in gives.map([1, gives.submit(2)])]

    assert runs() == [1, 2]


def test_names_and_types():
    assert SequentialTaskRunner().name == "sequential"
    assert ConcurrentTaskRunner().name == "concurrent"
    assert SequentialTaskRunner.concurrency_type is TaskConcurrencyType.SEQUENTIAL
    assert ConcurrentTaskRunner.concurrency_type is TaskConcurrencyType.CONCURRENT
    assert [kind.value for kind in TaskConcurrencyType] == [
        "SEQUENTIAL",
        "CONCURRENT",
        "PARALLEL",
    ]


@pytest.mark.parametrize("workers", [0, -1, 1.5, "2"])
def test_a_number_of_workers_that_makes_no_sense(workers):
    with pytest.raises(ValueError, match=f"max_workers must be a positive.*{workers!r}"):
        ConcurrentTaskRunner(workers)


# -- calls and outcomes ---------------------------------------------------------------------------


def outcome_of(runner, call):
    outcomes = []
    over = threading.Event()

    def done(outcome):
        outcomes.append(outcome)
        over.set()

    runner.run(call, done)
    assert over.wait(20)
    return outcomes[0]


def test_a_call_of_limited_time(started):
    began = time.monotonic()

    outcome = outcome_of(started, Call(time.sleep, (60,), {}, timeout_s=0.05))

    assert outcome.timed_out
    assert time.monotonic() - began < 5


def test_a_call_can_be_pickled_without_what_belongs_to_this_process():
    from contextvars import copy_context

    call = Call(max, (1, 2), {}, timeout_s=3.0, context=copy_context(), name="run")
    back = pickle.loads(pickle.dumps(call))

    assert (back.fn, back.args, back.timeout_s, back.name) == (max, (1, 2), 3.0, "run")
    assert back.context is back.inside is None
    assert perform(back).value == 2
