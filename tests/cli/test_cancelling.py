"""`penstock flow-run cancel`, of runs that other processes execute (PAINS 11)."""

from __future__ import annotations

import os
import signal
import time

import pytest

from penstock import get_client
from penstock.states import Scheduled
from penstock.store import get_store

FLOWS = """
    import subprocess, sys, time
    from penstock import flow, task, pause_flow_run
    from penstock.task_runners import ConcurrentTaskRunner

    @task
    def sleeps():
        print("waiting", flush=True)
        time.sleep(600)

    @flow
    def inner():
        sleeps()

    @task
    def spins(index):
        while True:
            time.sleep(0.01)

    @flow(task_runner=ConcurrentTaskRunner(max_workers=2))
    def main():
        spins.map(range(5))
        inner()

    @flow
    def rests():
        print("waiting", flush=True)
        pause_flow_run()

    @task
    def starts():
        code = "import time; print('waiting', flush=True); time.sleep(600)"
        subprocess.run([sys.executable, "-c", code])

    @flow
    def parent():
        starts()
"""


def only_root():
    with get_client(sync_client=True) as client:
        return next(run for run in client.read_flow_runs() if run.parent_task_run_id is None)


def test_everything_is_stopped_and_said(write, penstock, started):
    path = write("flows.py", FLOWS)
    child = started("run", f"{path}:main")
    began = time.monotonic()

    ended = penstock("flow-run", "cancel", "-")

    assert time.monotonic() - began < 20
    assert ended.code == 0, ended
    assert "is Cancelled." in ended.out
    assert "Interrupted: 3 task runs (spins-0, spins-1, sleeps-0)" in ended.out
    assert "Not started: 3 task runs (spins-2, spins-3, spins-4)" in ended.out
    assert "Cancelled: 1 subflow run" in ended.out
    assert child.wait(timeout=30) == 4
    with get_client(sync_client=True) as client:
        runs = [*client.read_flow_runs(), *client.read_task_runs()]
    assert {run.state.name for run in runs} == {"Cancelled"}

    again = penstock("flow-run", "cancel", "-")
    assert (again.code, "is Cancelled already" in again.out) == (0, True)


@pytest.mark.parametrize("flow", ["rests", "parent"])
def test_what_rests_or_has_children(write, penstock, started, flow):
    path = write("flows.py", FLOWS)
    child = started("run", f"{path}:{flow}")
    if flow == "rests":
        while not only_root().state.is_paused():
            time.sleep(0.01)

    assert penstock("flow-run", "cancel", "-").code == 0

    assert child.wait(timeout=30) == 4  # it had the pipe of its child, too


def test_a_process_that_does_not_answer_is_fenced_off(write, penstock, started):
    path = write("flows.py", FLOWS)
    child = started("run", f"{path}:main")
    os.kill(child.pid, signal.SIGSTOP)
    try:
        asked = penstock("flow-run", "cancel", "-", "--timeout", "0.2")
        assert asked.code == 1
        assert f"executed by process {child.pid}" in asked.out
        assert "--force" in asked.out
        assert only_root().state.is_running()

        ended = penstock("flow-run", "cancel", "-", "--timeout", "0.2", "--force")

        assert ended.code == 0
        assert "is Cancelled." in ended.out
    finally:
        os.kill(child.pid, signal.SIGCONT)
    child.wait(timeout=30)
    with get_client(sync_client=True) as client:
        runs = [*client.read_flow_runs(), *client.read_task_runs()]
    assert {run.state.name for run in runs} == {"Cancelled"}


def test_the_run_of_a_dead_process_is_cancelled_at_once(write, penstock, started):
    path = write("flows.py", FLOWS)
    child = started("run", f"{path}:main")
    child.kill()
    child.wait()

    ended = penstock("flow-run", "cancel", "-", "--timeout", "0")

    assert ended.code == 0
    assert "Cancelled: 1 subflow run" in ended.out
    with get_client(sync_client=True) as client:
        runs = [*client.read_flow_runs(), *client.read_task_runs()]
    assert {run.state.name for run in runs} == {"Cancelled"}


def test_what_is_over_cannot_be_cancelled(write, penstock):
    path = write("flows.py", "from penstock import flow\n\n@flow\ndef quick(): return 1\n")
    penstock("run", path)

    ended = penstock("flow-run", "cancel", "-")

    assert ended.code == 2
    assert "is Completed already: there is nothing to cancel" in ended.err


def test_a_scheduled_run_is_cancelled_at_once(write, penstock):
    from penstock import flow

    @flow
    def later():
        raise AssertionError

    with get_client(sync_client=True) as client:
        client.create_flow_run(later, state=Scheduled())

    assert penstock("flow-run", "cancel", "-", "--timeout", "0").code == 0
    assert only_root().state.is_cancelled()
    assert get_store().read_flow_run(only_root().id).history[-1].is_cancelled()
