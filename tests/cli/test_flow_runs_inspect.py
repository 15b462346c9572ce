"""`penstock flow-run inspect --timeline | --states` and `logs --follow`: what a run did, when."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from penstock import flow, get_run_logger, task
from penstock.cli.timeline import spans_of
from penstock.states import StateType

FLOWS = """
import time
from pathlib import Path
from penstock import flow, get_run_logger, pause_flow_run, task

@task
def look(number):
    get_run_logger().info("look %d", number)
    get_run_logger().warning("watch out %d", number)
    time.sleep(0.01)
    return Path("stop").exists()

@flow
def watch():
    print("waiting", flush=True)
    number = 0
    while not look(number):
        number += 1
    if Path("fail").exists():
        raise ValueError("boom")
"""


@task(retries=1, retry_delay_seconds=0.01)
def twice(seen):
    seen.append(1)
    if len(seen) < 2:
        raise ValueError("not yet")


@task
def one(x):
    get_run_logger().warning("one of %s\x1b[2J", x)
    return x


@flow
def mixed(n=3):
    for x in range(n):
        one(x)
    twice([])


def run(of, *args):
    return str(of(*args, return_state=True).state_details.flow_run_id)


def test_the_spans_of_a_history():
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    types = ["PENDING", "RUNNING", "PAUSED", "RUNNING", "SCHEDULED", "RUNNING", "COMPLETED"]
    history = [(StateType(each), moment + timedelta(seconds=i)) for i, each in enumerate(types)]
    start = moment.timestamp()

    spans = spans_of(history, start + 99)

    assert [span.kind for span in spans] == ["wait", "run", "rest", "run", "wait", "run"]
    assert [span.start - start for span in spans] == [0, 1, 2, 3, 4, 5]
    assert spans[-1].end == start + 6
    assert spans_of(history[:2], start + 99)[-1] == (start + 1, start + 99, "run")


def test_the_timeline(penstock):
    run_id = run(mixed)

    lines = penstock("flow-run", "inspect", run_id, "--timeline").out.splitlines()

    bars = [line for line in lines if "█" in line or "#" in line]
    assert [line.split()[0] for line in bars[1:-1]] == ["one-0", "one-1", "one-2", "twice-0"]
    assert bars[-2].endswith("2 attempts")


def test_the_timeline_of_many_task_runs_is_folded_by_task(penstock, monkeypatch):
    monkeypatch.setattr("penstock.cli.timeline.DRAWN_LIMIT", 2)
    run_id = run(mixed, 5)

    out = penstock("flow-run", "inspect", run_id, "--timeline").out

    assert "one-1" in out
    assert "one-2" not in out
    assert "one x 3" in out
    assert "3 Completed" in out


@pytest.mark.parametrize("width", [40, 60, 120])
def test_the_timeline_fits_the_terminal(in_terminal, width):
    run_id = run(mixed)

    shown = re.sub(
        r"\x1b\[[\d;]*m", "", in_terminal(width, "flow-run", "inspect", run_id, "--timeline")
    )

    drawn = shown.partition("Timeline")[2].splitlines()
    assert len(drawn) >= 7
    assert all(len(line) <= width for line in drawn)


def test_every_state_of_the_task_runs(penstock):
    run_id = run(mixed)

    out = penstock("flow-run", "inspect", run_id, "--states").out
    assert "AwaitingRetry" in out.partition("Task run twice-0")[2]
    (found,) = penstock("flow-run", "inspect", run_id, "--states", "--json").objects
    assert [state["name"] for state in found["task_runs"][-1]["states"]][-3:] == [
        "AwaitingRetry",
        "Retrying",
        "Completed",
    ]


# -- logs -----------------------------------------------------------------------------------------


def test_logs_of_a_level_and_a_task(penstock):
    run_id = run(mixed)

    assert "Finished in state" in penstock("flow-run", "logs", run_id).out
    of_one = penstock("flow-run", "logs", run_id, "--task", "one").out.splitlines()
    assert len(of_one) == 3
    assert all("Task run 'one-" in line for line in of_one)
    assert len(penstock("flow-run", "logs", run_id, "--task", "one-1").out.splitlines()) == 1
    errors = penstock("flow-run", "logs", run_id, "--level", "error", "--json").objects
    assert {each["level_name"] for each in errors} == {"ERROR"}


def test_logs_cannot_steer_the_terminal(penstock):
    out = penstock("flow-run", "logs", run(mixed)).out

    assert "\x1b" not in out
    assert r"one of 0\x1b[2J" in out


def test_a_level_and_a_task_that_are_none(penstock):
    run_id = run(mixed)

    ended = penstock("flow-run", "logs", run_id, "--level", "warn!")
    assert ended.code == 2
    assert "There is no level 'warn!'. Did you mean 'warn'?" in ended.err
    assert "Its tasks are: one, twice." in penstock("flow-run", "logs", run_id, "--task", "o").err


@pytest.mark.parametrize(
    ("ending", "code", "name"), [("stop", 0, "Completed"), ("fail", 1, "Failed")]
)
def test_following_ends_when_the_run_does(write, project, started, command, ending, code, name):
    write("flows.py", FLOWS)
    child = started("run", "flows.py")
    follower = subprocess.Popen(
        command("flow-run", "logs", "-", "--follow"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in follower.stdout:
        if "look 5" in line:
            break
    (project / ending).touch()
    (project / "stop").touch()
    out = follower.stdout.read()
    _, err = follower.communicate(timeout=30)

    assert follower.returncode == code
    assert f"The flow run is {name}" in err
    assert f"Finished in state {name}" in out.splitlines()[-1]
    numbers = [int(each) for each in re.findall(r"look (\d+)", out)]
    assert numbers == list(range(6, numbers[-1] + 1))
    child.communicate(timeout=30)


def test_following_survives_a_pause(write, project, started, command, process):
    write("flows.py", FLOWS)
    child = started("run", "flows.py")
    follower = subprocess.Popen(
        command("flow-run", "logs", "-", "-f"), stdout=subprocess.PIPE, text=True
    )
    assert process("flow-run", "pause", "-").code == 0
    for line in follower.stdout:
        if "paused" in line.lower():
            break
    assert follower.poll() is None
    (project / "stop").touch()
    assert process("flow-run", "resume", "-").code == 0

    out = follower.stdout.read()
    follower.communicate(timeout=30)
    assert follower.returncode == 0
    assert "Finished in state Completed" in out
    child.communicate(timeout=30)


def test_following_ends_when_the_process_is_gone(write, started, command):
    write("flows.py", FLOWS)
    child = started("run", "flows.py")
    follower = subprocess.Popen(
        command("flow-run", "logs", "-", "-f"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in follower.stdout:
        if "look" in line:
            break
    child.kill()
    child.wait()

    _, err = follower.communicate(timeout=30)
    assert follower.returncode == 3
    assert "is gone" in err
    assert "penstock flow-run resume" in err
