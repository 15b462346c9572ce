"""Runs that one process pauses and another one lets go on."""

from __future__ import annotations

import signal
import subprocess
import time
from uuid import UUID

END_TIMEOUT_S = 20


def wait_until(database, state):
    """Wait until the only flow run is in a state; give its id."""
    until = time.monotonic() + END_TIMEOUT_S
    while time.monotonic() < until:
        rows = database.read("select id from flow_run where state_name = ?", (state,))
        if rows:
            return UUID(bytes=rows[0][0])
        time.sleep(0.005)
    raise AssertionError(f"no run became {state}: {database.counts('flow_run')}")


def noted(ledger):
    """Give what was done, whichever process did it."""
    return [" ".join(line.split()[:2]) for line in ledger.read_text().splitlines()]


def test_another_process_resumes_it(programs, database, ledger):
    paused = programs.start("pausing.py", "approved")
    run_id = wait_until(database, "Paused")
    shown = programs.run("penstock", "flow-run", "inspect", run_id)
    assert "Paused: it waits until" in shown.out
    assert f"It is executed by process {paused.pid}" in shown.out

    resumed = programs.run("penstock", "flow-run", "resume", run_id)

    assert resumed.code == 0, resumed.err
    assert f"goes on in process {paused.pid} on host" in resumed.out
    ended = programs.end(paused, END_TIMEOUT_S)
    assert (ended.code, ended.out) == (0, "value 3\n")
    assert noted(ledger) == ["step 1", "step 2"]
    again = programs.run("penstock", "flow-run", "resume", run_id)
    assert "has completed: there is nothing to go on with" in again.out


def test_another_process_pauses_it(programs, database):
    child = programs.start("pausing.py", "steps", stdin=subprocess.PIPE)
    programs.wait_until(child)
    run_id = wait_until(database, "Running")

    asked = programs.run("penstock", "flow-run", "pause", "-")
    assert asked.code == 0, asked.err
    assert f"was asked to pause: it rests in process {child.pid}" in asked.out
    child.stdin.write("1\n2\n")
    child.stdin.close()
    child.stdin = None
    wait_until(database, "Paused")
    assert programs.run("penstock", "flow-run", "resume", run_id).code == 0

    ended = programs.end(child, END_TIMEOUT_S)
    assert (ended.code, ended.out) == (0, "value 3\n")


def test_what_cannot_be_paused(programs, database):
    paused = programs.start("pausing.py", "approved")
    run_id = wait_until(database, "Paused")
    asked = programs.run("penstock", "flow-run", "pause", run_id)
    assert asked.code == 2
    assert "Only a running flow run can be paused; this one is Paused" in asked.err
    paused.kill()
    programs.end(paused)
    asked = programs.run("penstock", "flow-run", "pause", run_id)
    assert asked.code == 2
    assert "is in state Paused, and no process executes it: it cannot pause" in asked.err


def test_a_paused_process_that_is_killed_leaves_a_run_that_can_be_resumed(
    programs, database, ledger
):
    paused = programs.start("pausing.py", "approved")
    run_id = wait_until(database, "Paused")
    paused.send_signal(signal.SIGKILL)
    programs.end(paused)

    resumed = programs.run("penstock", "flow-run", "resume", run_id)

    assert resumed.code == 0, resumed.err
    assert "ended in state Completed" in resumed.out
    assert noted(ledger) == ["step 1", "step 2"]


def test_an_interrupted_pause(programs, database):
    paused = programs.start("pausing.py", "approved")
    wait_until(database, "Paused")
    paused.send_signal(signal.SIGINT)
    ended = programs.end(paused, END_TIMEOUT_S)
    assert ended.code != 0
    assert database.counts("flow_run") == {"Crashed": 1}
