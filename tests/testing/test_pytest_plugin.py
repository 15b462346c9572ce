"""The fixtures that users find in pytest, in test suites of their own, run as processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import time

import pytest

from penstock import flow, pause_flow_run, suspend_flow_run, task
from penstock.graph import Flow, Parameter, unmapped
from penstock.testing.proving import CrashSweep

calls = {"n": 0}


@pytest.fixture
def suite(tmp_path):
    """Run a file of tests in a process of its own; give how it ended and what it printed."""

    def suite(text, *options):
        folder = tmp_path / "suite"
        folder.mkdir()
        (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
        (folder / "test_it.py").write_text(textwrap.dedent(text))
        line = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
        return subprocess.run(
            line, cwd=folder, capture_output=True, text=True, timeout=100, check=False
        )

    return suite


@task
def add(one, other):
    return one + other


@flow
def chain(start, seed=1):
    return add(add.submit(start, seed), 1)


@flow
async def achain(start):
    return add(add(start, 1), 1)


@flow
def leaving():
    first = add(1, 1)
    suspend_flow_run(timeout=60)
    return add(first, 1)


@flow
def parent(limit):
    return chain(limit) + sum(f.result() for f in add.map([1, 2], 3))


# -- crash sweeps ---------------------------------------------------------------------------------


def test_flows_that_keep_what_they_did_pass_and_take_parameters_of_any_name():
    sweep = CrashSweep(limit=20)

    assert sweep(chain, 1, seed=2).stops > 10
    assert sweep(achain, start=1).stops > 10
    assert sweep(parent, limit=2).stops == 20


def test_a_flow_whose_answer_depends_on_what_is_outside_is_found():
    @task
    def next_number():
        calls["n"] += 1
        return calls["n"]

    @flow
    def counting():
        return next_number()

    with pytest.raises(AssertionError, match="was not: 2 instead of 1") as found:
        CrashSweep()(counting)
    report = str(found.value)
    assert "stopped at point 0 (before Read of counting on main#0)" in report
    assert (
        "What to do:\n  - It gave something else even when it was stopped before its first"
        in report
    )
    assert "\n  - A task that had begun, and was not recorded, runs again" in report


def test_a_task_that_runs_twice_for_want_of_its_result_is_found_and_may_be_allowed():
    @task(persist_result=False)
    def forgetful():
        return bytes(200_000)

    @flow
    def forgetting():
        return add(len(forgetful()), 1)

    with pytest.raises(AssertionError, match=r"result was not recorded.*'forgetful-0'"):
        CrashSweep()(forgetting)
    assert CrashSweep().with_options(every_task=False)(forgetting).failures == []


def test_what_a_run_leaves_outside_is_cleared_before_the_next(tmp_path):
    notes = tmp_path / "notes"

    @task
    def note():
        notes.write_text("noted")

    @flow
    def first_time():
        was_there = notes.exists()
        note()
        return "again" if was_there else "for the first time"

    with pytest.raises(AssertionError, match=r"before its first step.*with_options.before_each"):
        CrashSweep()(first_time)

    cleared = CrashSweep().with_options(before_each=lambda: notes.unlink(missing_ok=True))
    with pytest.raises(AssertionError) as found:
        cleared(first_time)
    assert "(after Commit of note-0 (Completed)" in str(found.value)
    assert "stopped at point 0 " not in str(found.value)


def test_a_task_that_is_given_something_else_is_found_with_what_differs():
    @flow
    def fresh():
        calls["n"] += 1
        add(add(1, 2), calls["n"])

    with pytest.raises(AssertionError) as found:
        CrashSweep()(fresh)
    assert re.search(
        r"the inputs it had: task run 'add-1': its input 'other' was (\d+), and is (?!\1)\d+\n"
        r"    seen in process 1, stopped at point \d+ \(after Commit of add-1 \(Completed\)",
        str(found.value),
    )
    assert "Take that in a task, whose result is recorded" in str(found.value)


def test_code_that_takes_another_way_after_a_crash_is_found():
    @task
    def subtract(one, other):
        return one - other

    @flow
    def wavering():
        calls["n"] += 1
        return (add if calls["n"] % 2 else subtract)(3, 0)

    with pytest.raises(
        AssertionError, match=r"task run '(add|subtract)-0' was not called any more"
    ):
        CrashSweep()(wavering)


def test_a_task_that_changes_what_it_is_given_is_found():
    @task
    def make():
        return [0]

    @task
    def extend(numbers):
        numbers.append(1)

    @flow
    def changing():
        made = make()
        extend(made)
        return add(made, [2])

    with pytest.raises(AssertionError) as found:
        CrashSweep()(changing)
    assert "[0, 2] instead of [0, 1, 2]" in str(found.value)
    assert "task run 'add-0': its input 'one' was [0, 1], and is [0]" in str(found.value)
    assert "have it return a changed copy" in str(found.value)


def test_a_flow_that_fails_anyway_is_said_and_may_be_meant():
    @flow
    def failing():
        add(1, 2)
        raise ValueError("it must be")

    with pytest.raises(AssertionError, match=r"fails when nothing disturbs it.*it must be"):
        CrashSweep()(failing)
    assert CrashSweep().with_options(may_fail=True)(failing).stops > 10


# -- flows that rest, and graphs ------------------------------------------------------------------


def test_whoever_is_to_resume_a_flow_does_so_at_once():
    @flow
    def pausing():
        first = add(1, 1)
        pause_flow_run(timeout=60)
        return add(first, 1)

    @flow
    def outer():
        return add(pausing(), 1)

    sweep = CrashSweep()(outer)

    assert sweep.answer == "4"
    assert any("(Paused)" in point for point in sweep.points)


def test_a_flow_that_leaves_its_process_is_crashed_before_and_after():
    sweep = CrashSweep()(leaving)

    assert sweep.answer == "3"
    assert [point for point in sweep.points if "add-1" in point]
    assert sweep.stops == len(sweep.points)


def test_a_flow_that_waits_for_input_is_given_it():
    @flow
    def asking():
        return add(pause_flow_run(wait_for_input=int), 1)

    assert CrashSweep().with_options(run_input={"value": 41})(asking).answer == "42"
    with pytest.raises(ValueError, match=r"is given none: .*required.*with_options\(run_input="):
        CrashSweep()(asking)


def test_a_graph_is_swept_as_a_flow_is():
    with Flow("summing") as summing:
        number = Parameter("number", default=1)
        add.map([1, 2], other=unmapped(add(number, 1)))

    sweep = CrashSweep(limit=30)(summing, number=3)

    assert "[5, 6]" in sweep.answer.replace("['Success', 5], ['Success', 6]", "[5, 6]")
    assert sweep.stops == 30
    with pytest.raises(TypeError, match="parameters of the graph 'summing' by name"):
        CrashSweep()(summing, 3)
    with pytest.raises(ValueError, match="nummer"):
        CrashSweep()(summing, nummer=3)


def test_a_graph_that_fails_anyway_is_said():
    @task
    def breaks():
        raise ValueError("it must be")

    with Flow("breaking") as breaking:
        breaks()

    with pytest.raises(AssertionError, match="'breaking' fails when nothing disturbs it"):
        CrashSweep()(breaking)


def test_what_cannot_be_swept_is_said():
    with pytest.raises(TypeError, match="takes a flow and its arguments, not <function"):
        CrashSweep()(lambda: 1)
    with pytest.raises(TypeError, match="'chain' cannot be called so"):
        CrashSweep()(chain, 1, 2, 3)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        CrashSweep(limit=0)


# -- in a suite of a user's -----------------------------------------------------------------------

SUITE = """
    import time
    from penstock import flow, task

    tries = []

    @task(retries=2, retry_delay_seconds=3600)
    def flaky():
        tries.append(time.monotonic())
        if len(tries) % 3:
            raise ConnectionError("not yet")
        return len(tries)

    @flow
    def direct():
        return flaky()

    @flow
    def submitted():
        return flaky.submit().result()

    @flow
    async def later():
        return flaky()

    def test_time_jumps(penstock_store, virtual_clock):
        start = virtual_clock.time()
        direct()
        submitted()
        assert virtual_clock.time() - start >= 4 * 3600
        assert [run.state.name for run in penstock_store.read_flow_runs()] == ["Completed"] * 2

    async def in_async(): return await later()

    def test_async(penstock_store, virtual_clock):
        import asyncio
        asyncio.run(in_async())

    def test_fresh(penstock_store):
        assert penstock_store.read_flow_runs() == []

    @task
    def double(n): return 2 * n

    @flow
    def twice(n): return double(double(n))

    def test_sweep(crash_sweep):
        assert crash_sweep(twice, 3).failures == []

    def test_planted(crash_sweep):
        crash_sweep(direct)
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_the_fixtures_work_alone_and_side_by_side(suite, options):
    began = time.monotonic()
    ended = suite(SUITE, *options)

    assert "4 passed" in ended.stdout, ended.stdout
    assert "1 failed" in ended.stdout
    assert "gives what one gives that was not" in ended.stdout
    assert time.monotonic() - began < 60


def test_a_suite_that_does_not_use_them_imports_nothing_for_them(suite):
    ended = suite(
        """
        import json, sys

        def test_nothing():
            print(json.dumps(sorted(name for name in sys.modules if "penstock" in name)))
        """,
        "-s",
    )

    line = next(line for line in ended.stdout.splitlines() if '"penstock"' in line)
    found = json.loads(line[line.index("[") : line.rindex("]") + 1])
    assert found == ["penstock", "penstock.testing", "penstock.testing.pytest_plugin"]
