"""Runs whose process died, gone on with before anybody has recorded that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from penstock import get_client, resume_flow_run
from penstock.states import Cancelling

FLOWS = """
import os, sys
from penstock import flow, pause_flow_run, task

def note(text):
    with open(os.environ["LEDGER"], "a") as file:
        file.write(text + "\\n")

@task
def step(x):
    note(f"step {x}")
    if "--stay" in sys.argv:
        print("ready", flush=True)
        sys.stdin.read()
    return x

@flow(on_crash="resume")
def asks():
    note("asks")
    return step(pause_flow_run(wait_for_input=int, timeout=None))

@flow
def steps():
    return step(1)

@flow
def outer():
    return steps()
"""


class Script:
    """A script of flows, started in processes of its own."""

    def __init__(self, folder):
        self.path = folder / "flows.py"
        self.path.write_text(textwrap.dedent(FLOWS))
        self.ledger = folder / "ledger"
        self.started = []

    def start(self, call, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", f"from flows import *; {call}", *arguments],
            cwd=self.path.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "LEDGER": str(self.ledger)},
        )
        self.started.append(process)
        return process

    def notes(self):
        return self.ledger.read_text().splitlines()


@pytest.fixture
def script(tmp_path):
    made = Script(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.communicate()


def wait_for_pause(records):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for run in records.flow_runs():
            if run.state is not None and run.state.is_paused():
                return run
        time.sleep(0.02)
    raise TimeoutError


def test_what_a_run_was_given_counts_when_it_goes_on_by_itself(script, records, history):
    """As it does if recovery has put it up again: who comes first is a matter of chance."""
    process = script.start("asks()", "--stay")
    run = wait_for_pause(records)
    resume_flow_run(run.id, {"value": 7})
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait(60)

    again = script.start(f"print(asks.resume('{run.id}'))")
    out, errors = again.communicate(timeout=30)

    assert (again.returncode, out) == (0, "7\n"), errors
    assert script.notes() == ["asks", "step 7", "asks", "step 7"]
    assert history(records.flow_run()) == [
        "Pending",
        "Running",
        "Paused",
        "Running",
        "AwaitingRetry",
        "Running",
        "Completed",
    ]


@pytest.mark.parametrize("flow", ["steps", "outer"])
def test_a_cancellation_that_the_dead_process_did_not_see_stands(script, records, flow):
    process = script.start(f"{flow}()", "--stay")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    run = records.flow_run(flow)
    with get_client(sync_client=True) as client:
        assert client.set_flow_run_state(run.id, Cancelling()).state.is_cancelling()
    process.kill()
    process.wait(60)

    again = script.start(f"print({flow}.resume('{run.id}', return_state=True).name)")
    out, errors = again.communicate(timeout=60)

    assert (again.returncode, out) == (0, "Cancelled\n"), errors
    assert script.notes() == ["step 1"]
    for each in (*records.flow_runs(), *records.task_runs()):
        assert each.state.is_cancelled(), (each.name, each.state)
