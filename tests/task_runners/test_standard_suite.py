"""The suite over every runner; and that it finds a runner out that does not keep its promises."""

from __future__ import annotations

import threading

import pytest

from penstock.task_runners import (
    BaseTaskRunner,
    ConcurrentTaskRunner,
    SequentialTaskRunner,
    TaskConcurrencyType,
    perform,
)
from penstock.task_runners.local import run_on_spare_thread
from penstock.testing import standard_test_suites
from penstock.testing.standard_test_suites import TaskRunnerStandardTestSuite


class OwnTaskRunner(BaseTaskRunner):
    """The least that a runner of one's own consists of."""

    concurrency_type = TaskConcurrencyType.CONCURRENT

    def duplicate(self):
        return type(self)()

    def run(self, call, done):
        if call.timeout_s:
            run_on_spare_thread(call, done)
        else:
            threading.Thread(target=lambda: done(perform(call)), daemon=True).start()


class TestSequentialTaskRunner(TaskRunnerStandardTestSuite):
    @pytest.fixture
    def task_runner(self):
        return SequentialTaskRunner()


class TestConcurrentTaskRunner(TaskRunnerStandardTestSuite):
    @pytest.fixture(params=[None, 2])
    def task_runner(self, request):
        return ConcurrentTaskRunner(max_workers=request.param)


class TestOwnTaskRunner(TaskRunnerStandardTestSuite):
    @pytest.fixture
    def task_runner(self):
        return OwnTaskRunner()


class Swallows(OwnTaskRunner):
    def run(self, call, done):
        def without_error(outcome):
            outcome.error = None
            done(outcome)

        super().run(call, without_error)


class Mixes(OwnTaskRunner):
    def submit(self, key, call):
        super().submit("one and the same", call)

    def wait(self, key, timeout=None):
        return super().wait("one and the same", timeout)


class Unequal(OwnTaskRunner):
    __eq__ = object.__eq__
    __hash__ = object.__hash__


class OneAtATime(OwnTaskRunner):
    turn = threading.Lock()

    def run(self, call, done):
        with self.turn:
            outcome = perform(call)
        done(outcome)


@pytest.mark.parametrize(
    ("runner", "test", "takes"),
    [
        (Swallows, "test_waiting_never_raises_what_a_call_raised", {"error": ValueError("x")}),
        (Swallows, "test_what_a_call_raises_is_in_its_outcome", {"error": ValueError("x")}),
        (Mixes, "test_it_tells_keys_apart", {}),
        (Mixes, "test_an_unknown_key_is_an_error", {}),
        (Unequal, "test_a_duplicate_is_fresh_and_equal", {}),
        (Unequal, "test_a_pickle_of_it_is_not_started", {}),
    ],
)
def test_a_runner_that_breaks_a_promise_is_found_out(runner, test, takes):
    with runner().start() as started:
        if runner is Mixes:
            started.submit("key", standard_test_suites._completes)
        with pytest.raises((AssertionError, pytest.fail.Exception, AttributeError)):
            getattr(TaskRunnerStandardTestSuite(), test)(started=started, **takes)


def test_a_runner_that_says_it_runs_tasks_beside_each_other_has_to(
    penstock_store, tmp_path, monkeypatch
):
    monkeypatch.setattr(standard_test_suites, "LIMIT_S", 0.05)
    with pytest.raises(AssertionError):
        TaskRunnerStandardTestSuite().test_tasks_run_beside_each_other_or_in_order(
            OneAtATime(), penstock_store, tmp_path
        )


def test_a_suite_without_a_runner_says_what_it_needs(tmp_path):
    import subprocess
    import sys

    (tmp_path / "test_it.py").write_text(
        "from penstock.testing.standard_test_suites import TaskRunnerStandardTestSuite\n"
        "class TestNothing(TaskRunnerStandardTestSuite): pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert "TestNothing needs a fixture `task_runner` that gives the runner" in done.stdout
