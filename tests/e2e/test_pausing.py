"""Runs that one process pauses and another one lets go on."""

from __future__ import annotations

import signal
import subprocess
import time
from uuid import UUID

import pytest

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


# -- suspending -----------------------------------------------------------------------------------


def suspended(programs, database, kind="leaves"):
    """Run a flow that suspends itself; give its id."""
    ended = programs.run("pausing.py", kind)
    assert (ended.code, ended.out) == (0, "value Suspended\n"), ended.err
    assert "Currently paused and suspending execution. Resume before" in ended.err
    return wait_until(database, "Suspended")


def owner(database):
    return database.read("select owner from flow_run where parent_task_run_id is null")[0][0]


def test_a_suspended_run_leaves_its_process_and_goes_on_in_others(programs, database, ledger):
    run_id = suspended(programs, database)
    assert owner(database) is None
    assert noted(ledger) == ["step 1"]
    shown = programs.run("penstock", "flow-run", "inspect", run_id)
    assert "Suspended: it has left its process, and waits until" in shown.out

    again = programs.run("penstock", "flow-run", "resume", run_id)
    assert again.code == 5, again.err
    assert noted(ledger) == ["step 1", "step 2"]
    last = programs.run("penstock", "flow-run", "resume", "-")

    assert last.code == 0, last.err
    assert noted(ledger) == ["step 1", "step 2", "step 3"]
    assert database.read("select run_count from flow_run order by id limit 1") == [(1,)]


@pytest.mark.parametrize("kind", ["leaves_async", "leaves"])
def test_a_process_is_started_for_a_run_that_was_resumed(programs, database, ledger, kind):
    run_id = suspended(programs, database, kind)

    early = programs.run("-m", "penstock.engine", run_id)
    assert early.code == 1
    assert "is Suspended and waits to be resumed first" in early.err

    resumed = programs.run("-c", f"import penstock; penstock.resume_flow_run('{run_id}')")
    assert resumed.code == 0, resumed.err
    assert database.counts("flow_run") == {"Resuming": 1}
    ended = programs.run("-m", "penstock.engine", run_id)

    assert ended.code == 0, ended.err
    assert noted(ledger) == ["step 1", "step 2"]
    state = "Completed" if kind == "leaves_async" else "Suspended"
    assert state in database.counts("flow_run")


def test_execute_takes_a_run_that_was_resumed(programs, database):
    run_id = suspended(programs, database, "leaves_async")
    refused = programs.run("penstock", "flow-run", "execute", run_id)
    assert refused.code == 2
    assert "waits to be resumed first" in refused.err
    programs.run("-c", f"import penstock; penstock.resume_flow_run('{run_id}')")

    ended = programs.run("penstock", "flow-run", "execute", run_id)

    assert ended.code == 0, ended.err
    assert "ended in state Completed" in ended.out


def test_the_id_and_the_flow_may_come_from_the_environment(programs, database, tmp_path):
    run_id = suspended(programs, database, "leaves_async")
    programs.run("-c", f"import penstock; penstock.resume_flow_run('{run_id}')")
    moved = tmp_path / "moved.py"
    moved.write_text((programs.flows / "pausing.py").read_text())
    programs.environment |= {
        "PENSTOCK__FLOW_RUN_ID": str(run_id),
        "PENSTOCK__FLOW_ENTRYPOINT": f"{moved}:leaves_async",
        "PYTHONPATH": str(programs.flows),
    }

    ended = programs.run("-m", "penstock.engine")

    assert ended.code == 0, ended.err
    assert database.counts("flow_run") == {"Completed": 1}


def test_a_run_that_is_asked_to_leave(programs, database, ledger):
    child = programs.start("pausing.py", "steps", stdin=subprocess.PIPE)
    programs.wait_until(child)
    run_id = wait_until(database, "Running")
    asked = programs.run("penstock", "flow-run", "suspend", run_id)
    assert asked.code == 0, asked.err
    child.stdin.write("1\n2\n")
    child.stdin.close()
    child.stdin = None

    ended = programs.end(child, END_TIMEOUT_S)

    assert ended.code == 1
    assert "PausedRun" in ended.err
    assert database.counts("flow_run") == {"Suspended": 1}
    assert owner(database) is None
    assert noted(ledger) in ([], ["step 1"])  # it takes note with a commit, or with a heartbeat


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda file: file.unlink(), "The file of flow 'leaves-async' is gone"),
        (
            lambda file: file.write_text(file.read_text().replace("leaves_async", "otherwise")),
            "Flow 'leaves-async' is not at",
        ),
        (lambda file: file.write_text("import nowhere"), "The flow's file could not be imported"),
    ],
)
def test_a_file_that_is_not_what_it_was(programs, database, tmp_path, change, told):
    file = tmp_path / "flows.py"
    file.write_text((programs.flows / "pausing.py").read_text())
    programs.environment |= {"PYTHONPATH": str(programs.flows)}
    programs.run(file, "leaves_async")
    run_id = wait_until(database, "Suspended")
    kept = file.read_text()
    change(file)

    refused = programs.run("penstock", "flow-run", "resume", run_id)

    assert refused.code == 2
    assert told in refused.err
    assert database.counts("flow_run") == {"Suspended": 1}
    file.write_text(kept)
    assert programs.run("penstock", "flow-run", "resume", run_id).code == 0


def test_ids_that_lead_to_no_run(programs):
    for text in ("otter", ""):
        ended = programs.run("-m", "penstock.engine", text)
        assert ended.code == 1
        assert f"{text!r} is not the id of a flow run" in ended.err
    ended = programs.run("-m", "penstock.engine", "01a20480-3334-7aa3-8186-a049104944c6")
    assert ended.code == 1
    assert "There is no flow run" in ended.err
