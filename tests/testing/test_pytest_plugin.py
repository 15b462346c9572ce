"""The fixtures that users find in pytest, in test suites of their own, run as processes."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time

import pytest

from penstock import flow, task
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

    with pytest.raises(AssertionError, match=r"point 0 \(before .*counting.*: 2 for 1"):
        CrashSweep()(counting)


def test_a_task_that_runs_twice_for_want_of_its_result_is_found_and_may_be_allowed():
    @task(persist_result=False, cache_result_in_memory=False)
    def forgetful():
        return bytes(200_000)

    @flow
    def forgetting():
        return add(len(forgetful()), 1)

    with pytest.raises(AssertionError, match=r"result was not recorded.*forgetful"):
        CrashSweep()(forgetting)
    assert CrashSweep().with_options(every_task=False)(forgetting).failures == []


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
