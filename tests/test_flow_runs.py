"""Waiting for a flow run that another process executes."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading

import pytest

from penstock import clock, flow
from penstock.client import get_client
from penstock.exceptions import FlowRunWaitTimeout, ObjectNotFound
from penstock.flow_runs import wait_for_flow_run
from penstock.states import Pending

UNKNOWN = "01a20480-3334-7aa3-8186-a049104944c6"

LIMIT_S = 30


@flow
def fails():
    raise ValueError("no")


@pytest.fixture
def waiting_run():
    """Give the id of a run that nobody executes."""
    with get_client(sync_client=True) as client:
        return client.create_flow_run(fails, state=Pending()).id


def test_a_run_that_has_finished_is_given_at_once_however_it_ended():
    state = fails(return_state=True)
    run_id = state.state_details.flow_run_id

    assert wait_for_flow_run(run_id, timeout=0).state.is_failed()
    assert wait_for_flow_run(str(run_id)).id == run_id


SCRIPT = """
import sys
from penstock import flow
from penstock.context import FlowRunContext

@flow
def waits():
    print(FlowRunContext.get().flow_run.id, flush=True)
    sys.stdin.readline()

if __name__ == "__main__":
    waits()
"""


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_run_of_another_process_is_waited_for(how, tmp_path, caplog):
    (tmp_path / "waits.py").write_text(SCRIPT)
    caplog.set_level(logging.INFO, "penstock")
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "waits.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        run_id = process.stdout.readline().strip()
        with pytest.raises(FlowRunWaitTimeout, match="it is in state Running, and goes on"):
            wait_for_flow_run(run_id, timeout=0)
        threading.Timer(0.2, process.stdin.close).start()
        if how == "sync":
            run = wait_for_flow_run(run_id, timeout=LIMIT_S, log_states=True)
        else:
            run = asyncio.run(awaited(run_id))

    assert run.state.is_completed()
    seen = [each.message for each in caplog.records if each.name == "penstock.wait_for_flow_run"]
    assert seen == [
        f"Flow run {run.name!r} is in state 'Running'",
        f"Flow run {run.name!r} is in state 'Completed'",
    ]


async def awaited(run_id):
    return await wait_for_flow_run(run_id, timeout=LIMIT_S, log_states=True)


@pytest.mark.parametrize("how", ["sync", "async"])
def test_one_that_does_not_finish_in_time(how, waiting_run):
    virtual = clock.VirtualClock()
    with clock.use_clock(virtual):
        began = virtual.monotonic()
        with pytest.raises(FlowRunWaitTimeout, match="has not finished within 60 seconds"):
            if how == "sync":
                wait_for_flow_run(waiting_run, timeout=60, poll_interval=7)
            else:
                asyncio.run(awaited_for_a_minute(waiting_run))
    assert virtual.monotonic() - began == pytest.approx(60, abs=1)


async def awaited_for_a_minute(run_id):
    await wait_for_flow_run(run_id, timeout=60)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="timeout=-1: give a number of seconds"):
        wait_for_flow_run(UNKNOWN, timeout=-1)
    with pytest.raises(ValueError, match="poll_interval=-1"):
        wait_for_flow_run(UNKNOWN, poll_interval=-1)
    with pytest.raises(ValueError, match="'otter' is not the id of a flow run"):
        wait_for_flow_run("otter")
    with pytest.raises(ObjectNotFound):
        wait_for_flow_run(UNKNOWN)
