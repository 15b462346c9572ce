"""A flow's own code takes note of what was asked of its run, without a task."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from penstock import checkpoint, flow, resume_flow_run, suspend_flow_run, task
from penstock.client import get_client
from penstock.context import FlowRunContext
from penstock.engine.pausing import ask_to_pause
from penstock.exceptions import CancelledRun, FlowPauseTimeout, Pause
from penstock.states import Cancelling, Paused
from penstock.store import get_store

LIMIT_S = 20

passed: list[object] = []


@pytest.fixture(autouse=True)
def nothing_passed():
    passed.clear()


def own_id():
    return FlowRunContext.get().flow_run.id


@flow
def leaves():
    suspend_flow_run(flow_run_id=own_id(), timeout=60, key="once")
    passed.append("before")
    checkpoint()
    passed.append("after")
    return 1


@flow
async def leaves_async():
    await suspend_flow_run(flow_run_id=own_id(), timeout=60)
    passed.append("before")
    await checkpoint()
    passed.append("after")


def test_a_run_leaves_at_a_checkpoint(records):
    with pytest.raises(Pause) as pause:
        leaves()

    assert pause.value.state.name == "Suspended"
    assert passed == ["before"]
    run = records.flow_run()
    assert (run.state_name, run.state.state_details.pause_key) == ("Suspended", "once")
    assert f"penstock flow-run resume {run.id}" in run.state.message


def test_in_async_code_it_is_awaited(records):
    with pytest.raises(Pause):
        asyncio.run(leaves_async())
    assert passed == ["before"]
    assert records.flow_run().state_name == "Suspended"


def test_a_run_rests_at_a_checkpoint_and_fails_if_nobody_resumes_it(records):
    @flow
    def rests():
        ask_to_pause(get_store(), own_id(), Paused(timeout_seconds=0.1))
        checkpoint()

    with pytest.raises(FlowPauseTimeout, match="paused and never resumed"):
        rests()
    names = [state.name for state in records.flow_run().history]
    assert names == ["Pending", "Running", "Paused", "Failed"]


def test_a_run_that_is_cancelled_goes_no_further(records):
    @flow
    def stops():
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(own_id(), Cancelling())
        checkpoint()
        passed.append("after")

    with pytest.raises(CancelledRun):
        stops()
    assert records.flow_run().state_name == "Cancelled"
    assert passed == []


def test_where_nothing_was_asked_it_does_nothing(records):
    @task
    def calls():
        return checkpoint()

    @flow
    def plain():
        return [checkpoint(), calls(), calls.submit().result()]

    assert checkpoint() is None
    assert calls() is None
    assert plain() == [None, None, None]


def test_in_a_task_what_was_asked_waits_for_the_flow(records):
    @task
    def asks():
        ask_to_pause(get_store(), own_id(), Paused(timeout_seconds=0.1))
        checkpoint()
        passed.append("task")

    @flow
    def rests():
        asks()
        checkpoint()

    with pytest.raises(FlowPauseTimeout):
        rests()
    assert passed == ["task"]


SCRIPT = """
import time
from penstock import checkpoint, flow

@flow
def walks():
    for number in range(100_000):
        checkpoint()
        if number == 0:
            print("walks", flush=True)
        time.sleep(0.001)

if __name__ == "__main__":
    walks()
"""


def test_another_process_asks(records, tmp_path):
    script = tmp_path / "walks.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout.readline() == "walks\n"
        run = records.flow_run()
        suspend_flow_run(flow_run_id=run.id, timeout=60)
        assert process.wait(LIMIT_S) == 1

    assert records.flow_run().state_name == "Suspended"
    resume_flow_run(run.id)
    assert records.flow_run().state_name == "Resuming"
