"""What every task runner promises, as tests that the author of one runs over it.

The functions that the tests have called are at the top of this module, so that a runner whose
workers are other processes can be given them.
"""

# ruff: noqa: D102 - a test says in its name what it tests
from __future__ import annotations

import pickle
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penstock import allow_failure, flow, task
from penstock.exceptions import UnfinishedRun
from penstock.states import Completed, Failed, State
from penstock.task_runners import BaseTaskRunner, Call, Outcome, TaskConcurrencyType
from penstock.testing.utilities import exceptions_equal, penstock_test_harness

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TaskRunnerStandardTestSuite"]

LIMIT_S = 30.0
"""How long anything is waited for that is bound to come."""

_POLL_S = 0.005


def _completes(number: int = 1) -> State:
    return Completed(data=number)


def _fails() -> State:
    return Failed(message="no")


def _raises(error: BaseException) -> State:
    raise error


def _adds(left: int, right: int) -> int:
    return left + right


def _counts() -> Iterator[int]:
    yield from (1, 2)


class _Submission:
    """A call that gives a state, which a runner in another process can be given."""

    def __init__(self, fn: Any, *args: Any) -> None:
        self._fn, self._args = fn, args

    def __call__(self) -> State:
        return self._fn(*self._args)


@task
def _plus_one(number: int) -> int:
    return number + 1


@task
async def _plus_two(number: int) -> int:
    return number + 2


@task
def _breaks(number: int) -> int:
    raise ValueError(f"{number} is none")


@task
def _notes(file: Path, word: str) -> None:
    with file.open("a") as notes:
        notes.write(f"{word} ")


@task
def _meets(mine: Path, other: Path) -> bool:
    """Say that this is here, and tell whether another one came while it was."""
    mine.touch()
    until = time.monotonic() + LIMIT_S
    while not other.exists():
        if time.monotonic() > until:
            return False
        time.sleep(_POLL_S)
    return True


class TaskRunnerStandardTestSuite:
    """Subclass it in a test module, with a fixture `task_runner` that gives a runner not started.

    Example:
        >>> class TestMyRunner(TaskRunnerStandardTestSuite):
        ...     @pytest.fixture
        ...     def task_runner(self):
        ...         return MyRunner()
    """

    @pytest.fixture
    def task_runner(self) -> BaseTaskRunner:
        """Give the runner to test: what a subclass has to say."""
        message = f"{type(self).__name__} needs a fixture `task_runner` that gives the runner."
        raise NotImplementedError(message)

    @pytest.fixture
    def started(self, task_runner: BaseTaskRunner) -> Iterator[BaseTaskRunner]:
        """Give the runner, started while the test lasts."""
        with task_runner.start():
            yield task_runner

    @pytest.fixture
    def store(self) -> Iterator[Any]:
        """Give the test an empty store, and a client of it."""
        with penstock_test_harness() as client:
            yield client

    # -- what it is -------------------------------------------------------------------------------

    def test_it_says_how_its_tasks_run_beside_each_other(
        self, task_runner: BaseTaskRunner
    ) -> None:
        assert isinstance(task_runner.concurrency_type, TaskConcurrencyType)

    def test_a_duplicate_is_fresh_and_equal(self, started: BaseTaskRunner) -> None:
        copy = started.duplicate()
        assert copy is not started
        assert copy == started
        assert hash(copy) == hash(started)
        with copy.start():
            copy.submit("key", _completes)
            assert result_of(copy.wait("key", LIMIT_S)) == 1

    def test_a_pickle_of_it_is_not_started(self, started: BaseTaskRunner) -> None:
        back = pickle.loads(pickle.dumps(started))
        assert back == started
        with pytest.raises(RuntimeError):
            back.submit("key", _completes)
        with pytest.raises(RuntimeError):
            back.wait("key")

    # -- starting ---------------------------------------------------------------------------------

    def test_it_is_started_for_a_block(self, task_runner: BaseTaskRunner) -> None:
        for number in range(2):
            with task_runner.start() as started:
                assert started is task_runner
                task_runner.submit("key", _Submission(_completes, number))
                assert result_of(task_runner.wait("key", LIMIT_S)) == number
        with pytest.raises(RuntimeError):
            task_runner.submit("key", _completes)
        with pytest.raises(RuntimeError):
            task_runner.wait("key")

    def test_it_may_be_started_in_async_code(self, task_runner: BaseTaskRunner) -> None:
        import asyncio  # most suites do without

        async def work() -> State | None:
            async with task_runner.start():
                task_runner.submit("key", _completes)
                return task_runner.wait("key", LIMIT_S)

        assert result_of(asyncio.run(work())) == 1

    def test_a_second_start_is_refused(self, started: BaseTaskRunner) -> None:
        with pytest.raises(RuntimeError):
            started.start()
        started.submit("key", _completes)
        assert result_of(started.wait("key", LIMIT_S)) == 1

    # -- by key -----------------------------------------------------------------------------------

    def test_it_gives_the_state_that_a_call_gives(self, started: BaseTaskRunner) -> None:
        started.submit("key", _fails)
        for _again in range(2):
            state = started.wait("key", LIMIT_S)
            assert state is not None
            assert (state.is_failed(), state.message) == (True, "no")

    def test_it_tells_keys_apart(self, started: BaseTaskRunner) -> None:
        for number in range(20):
            started.submit(number, _Submission(_completes, number))
        states = [started.wait(number, LIMIT_S) for number in range(20)]
        assert [result_of(state) for state in states] == list(range(20))

    @pytest.mark.parametrize("error", [ValueError("boom"), KeyboardInterrupt(), SystemExit(3)])
    def test_waiting_never_raises_what_a_call_raised(
        self, started: BaseTaskRunner, error: BaseException
    ) -> None:
        started.submit("key", _Submission(_raises, error))
        state = started.wait("key", LIMIT_S)
        assert state is not None
        assert state.is_crashed()
        with pytest.raises(type(error)):
            state.result()

    def test_an_unknown_key_is_an_error(self, started: BaseTaskRunner) -> None:
        with pytest.raises(LookupError):
            started.wait("never submitted")

    # -- calls and outcomes -----------------------------------------------------------------------

    def test_a_call_is_answered_with_its_outcome(self, started: BaseTaskRunner) -> None:
        outcome = outcome_of(started, Call(_adds, (1,), {"right": 2}))
        assert (outcome.value, outcome.error, outcome.timed_out) == (3, None, False)

    @pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3)])
    def test_what_a_call_raises_is_in_its_outcome(
        self, started: BaseTaskRunner, error: BaseException
    ) -> None:
        outcome = outcome_of(started, Call(_raises, (error,), {}))
        assert outcome.error is not None
        assert exceptions_equal(outcome.error, error)
        assert outcome.value is None

    def test_a_generator_is_read_to_its_end(self, started: BaseTaskRunner) -> None:
        assert outcome_of(started, Call(_counts, (), {})).value == [1, 2]

    def test_a_call_of_limited_time_ends_in_time(self, started: BaseTaskRunner) -> None:
        began = time.monotonic()
        outcome = outcome_of(started, Call(time.sleep, (10 * LIMIT_S,), {}, timeout_s=0.05))
        assert outcome.timed_out
        assert time.monotonic() - began < LIMIT_S

    # -- in flows ---------------------------------------------------------------------------------

    def test_a_flow_runs_on_it(self, task_runner: BaseTaskRunner, store: Any) -> None:
        @flow(task_runner=task_runner)
        def runs() -> list[int]:
            first = _plus_one.submit(1)
            second = _plus_two.submit(first)
            mapped = _plus_one.map([10, second], wait_for=[first])
            return [first.result(), second.result(), *(each.result() for each in mapped)]

        assert runs() == [2, 4, 11, 5]
        states = [run.state.name for run in store.read_task_runs()]
        assert states == ["Completed"] * 4

    def test_an_async_flow_runs_on_it(self, task_runner: BaseTaskRunner, store: Any) -> None:
        import asyncio

        @flow(task_runner=task_runner)
        async def runs() -> int:
            first = await _plus_two.submit(1)
            second = _plus_one.submit(first)
            await first.wait()
            return second.result()

        assert asyncio.run(runs()) == 4  # noqa: PLR2004 - 1 and 2 and 1
        assert all(run.state.is_completed() for run in store.read_task_runs())

    def test_failures_stop_what_depends_on_them(
        self, task_runner: BaseTaskRunner, store: Any
    ) -> None:
        @flow(task_runner=task_runner)
        def runs() -> list[Any]:
            broken = _breaks.submit(1)
            stopped = _plus_one.submit(broken)
            unharmed = _plus_one.submit(1, wait_for=[allow_failure(broken)])
            return [broken.wait(), stopped.wait(), unharmed.wait()]

        broken, stopped, unharmed = runs(return_state=True).data.get()
        with pytest.raises(ValueError, match="1 is none"):
            broken.result()
        assert (stopped.type, stopped.name) == ("PENDING", "NotReady")
        with pytest.raises(UnfinishedRun):
            stopped.result()
        assert unharmed.result() == 2  # noqa: PLR2004 - one more than 1
        assert len(store.read_task_runs()) == 3  # noqa: PLR2004 - all of them

    def test_tasks_run_beside_each_other_or_in_order(
        self, task_runner: BaseTaskRunner, store: Any, tmp_path: Path
    ) -> None:
        if task_runner.concurrency_type is TaskConcurrencyType.SEQUENTIAL:
            self._check_order(task_runner, tmp_path / "notes")
        else:
            self._check_meeting(task_runner, tmp_path)
        assert len(store.read_flow_runs()) == 1

    @staticmethod
    def _check_order(task_runner: BaseTaskRunner, notes: Path) -> None:
        @flow(task_runner=task_runner)
        def in_order() -> None:
            _notes.submit(notes, "first")
            _notes.submit(notes, "second")
            _notes.map(notes, ["third", "fourth"])

        in_order()
        assert notes.read_text().split() == ["first", "second", "third", "fourth"]

    @staticmethod
    def _check_meeting(task_runner: BaseTaskRunner, folder: Path) -> None:
        @flow(task_runner=task_runner)
        def beside() -> list[bool]:
            here, there = folder / "here", folder / "there"
            futures = [_meets.submit(here, there), _meets.submit(there, here)]
            return [future.result() for future in futures]

        assert beside() == [True, True]


def result_of(state: State | None) -> Any:
    """Give the value of a state that has to be there by now."""
    assert state is not None, f"Nothing was given within {LIMIT_S:g} seconds."
    return state.result()


def outcome_of(runner: BaseTaskRunner, call: Call) -> Outcome:
    """Have a runner make a call, and wait for what comes of it."""
    outcomes: list[Outcome] = []
    over = threading.Event()

    def done(outcome: Outcome) -> None:
        outcomes.append(outcome)
        over.set()

    runner.run(call, done)
    assert over.wait(LIMIT_S), f"There was no outcome within {LIMIT_S:g} seconds."
    (outcome,) = outcomes
    return outcome
