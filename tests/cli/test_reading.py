"""`penstock flow-run ls | inspect | logs`: for people and for programs."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime

import pytest

from penstock import flow, get_client, get_run_logger, task
from penstock.states import Cancelling, Paused, Pending, Scheduled
from penstock.store import get_store

ID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"


@task(tags=["slow"], retries=1)
def divide(one, other):
    get_run_logger().info("dividing by %s", other)
    return one / other


@flow(flow_run_name="run of {x}")
def halves(x=1):
    get_run_logger().warning("about to divide [red]%s[/red]", x)
    return divide(x, 2)


@flow
def outer():
    return halves(3)


@flow
def broken():
    divide(1, 0)


def run(of, *args):
    """Run a flow and give the run's id."""
    return str(of(*args, return_state=True).state_details.flow_run_id)


# -- ls -------------------------------------------------------------------------------------------


def test_a_store_without_runs(penstock):
    assert penstock("flow-run", "ls", "--json").objects == []
    assert re.match(
        r"There are no flow runs in the store '.*' yet\.\n$", penstock("flow-run", "ls").out
    )


def test_the_newest_runs_come_first(penstock):
    ids = [run(halves, x) for x in range(5)]

    listed = penstock("flow-run", "ls", "--json").objects

    assert [each["id"] for each in listed] == ids[::-1]
    assert [
        each["id"] for each in penstock("flow-run", "ls", "--limit", "2", "--json").objects
    ] == (ids[:-3:-1])


def test_more_runs_than_one_page(penstock, monkeypatch):
    monkeypatch.setattr("penstock.cli.listing.PAGE", 2)
    ids = [run(halves, x) for x in range(5)]

    for limit in (1, 2, 3, 4, 5, 9):
        listed = penstock("flow-run", "ls", "--limit", limit, "--json").objects
        assert [each["id"] for each in listed] == ids[::-1][:limit]


def test_a_run_as_an_object(penstock):
    before = datetime.now(UTC)
    run_id = run(halves, 3)

    (listed,) = penstock("flow-run", "ls", "--json").objects

    times = [listed.pop(name) for name in ("created", "start_time", "end_time", "state_timestamp")]
    for time in times:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time)
        assert abs((datetime.fromisoformat(time) - before).total_seconds()) < 60
    for varies in ("flow_id", "flow_version", "expected_start_time", "total_run_time_s"):
        assert listed.pop(varies)
    assert listed == {
        "id": run_id,
        "name": "run of 3",
        "flow_name": "halves",
        "state_type": "COMPLETED",
        "state_name": "Completed",
        "state_message": None,
        "run_count": 1,
        "tags": [],
        "parent_task_run_id": None,
        "deployment_id": None,
        "idempotency_key": None,
        "entrypoint": f"{__file__}:halves",
        "parameters": {"x": 3},
        "owner": None,
        "owner_is_alive": None,
        "asked_for": None,
    }


def test_the_table_for_people(penstock):
    outer_id = run(outer)

    heading, inner_row, outer_row = penstock("flow-run", "ls").out.splitlines()

    assert heading.split() == ["ID", "Name", "Flow", "State", "Created", "Took"]
    assert re.match(rf"{ID}  run of 3 +halves \(subflow\)  Completed  \d{{4}}-", inner_row)
    assert outer_row.startswith(outer_id)
    assert outer_row.endswith(" ms")


def test_numbers_that_json_lacks_are_null(penstock):
    run(halves, float("nan"))

    (listed,) = penstock("flow-run", "ls", "--json").objects

    assert listed["parameters"] == {"x": None}


@pytest.mark.parametrize("width", [20, 60, 80, 120])
def test_the_id_is_whole_however_narrow_the_terminal(in_terminal, width):
    run_id = run(halves, 1)

    shown = re.sub(r"\x1b\[[\d;]*m", "", in_terminal(width, "flow-run", "ls"))

    assert run_id in shown
    for part in ("run of 1", "halves", "Completed"):
        assert part in shown
    others = [line for line in shown.splitlines() if run_id not in line]
    assert all(len(line) <= width for line in others)


@pytest.mark.parametrize("verb", ["inspect", "logs"])
def test_narrow_terminals_show_everything(in_terminal, verb):
    run(broken)

    shown = in_terminal(24, "flow-run", verb, "-")

    assert "ZeroDivisionError" in shown.replace("\n", "").replace(" ", "")


def test_colours_are_for_terminals_that_want_them(in_terminal, process):
    run(halves, 1)

    assert "\x1b[" in in_terminal(120, "flow-run", "ls")
    assert "\x1b[3" not in in_terminal(120, "flow-run", "ls", NO_COLOR="1")
    assert "\x1b[" not in in_terminal(120, "flow-run", "ls", "--json")
    assert "\x1b[" not in process("flow-run", "ls").out


def test_a_pipe_gets_whole_lines(project, process):
    state = halves.with_options(flow_run_name="n" * 300)(1, return_state=True)

    ended = process("flow-run", "ls", COLUMNS="40")

    assert f"{state.state_details.flow_run_id}  {'n' * 300}  halves" in ended.out


@pytest.mark.parametrize(
    "arguments",
    [("flow-run", "ls"), ("flow-run", "ls", "--json"), ("flow-run", "logs", "-"), ("--help",)],
)
def test_a_pipe_that_closes_early(command, arguments):
    run(halves, 1)
    ours, theirs = os.pipe()
    os.close(ours)
    child = subprocess.run(command(*arguments), stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)

    assert child.stderr == b""
    assert child.returncode in (1, 141)


def test_a_terminal_without_these_characters(project, process):
    halves.with_options(flow_run_name="Grüße ✓")(1)

    ended = process("flow-run", "ls", PYTHONIOENCODING="ascii")

    assert (ended.code, ended.err) == (0, "")
    assert "Gr\\xfc\\xdfe" in ended.out
    assert process("flow-run", "ls", "--json", PYTHONIOENCODING="ascii").objects[0]["name"] == (
        "Grüße ✓"
    )


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_that_is_none(penstock, limit):
    ended = penstock("flow-run", "ls", "--limit", limit)

    assert ended.code == 2
    assert re.match(
        r"Error: Invalid value for '--limit': .*See `penstock flow-run ls --help`", ended.err
    )


# -- which run ------------------------------------------------------------------------------------


def test_a_run_is_found_by_its_id_the_beginning_of_it_its_name_or_a_dash(penstock):
    former, run_id = run(halves, 1), run(halves, 2)
    plain = run_id.replace("-", "")

    def found(reference):
        return penstock("flow-run", "inspect", reference, "--json").objects[0]["id"]

    for reference in (run_id, run_id.upper(), plain, run_id[:-1], plain[:30], "run of 2", "-"):
        assert found(reference) == run_id
    assert found("run of 1") == former


def test_the_latest_run_is_no_subflow(penstock):
    run_id = run(outer)

    assert penstock("flow-run", "inspect", "-", "--json").objects[0]["id"] == run_id


def test_a_name_that_looks_like_the_beginning_of_an_id(penstock):
    state = halves.with_options(flow_run_name="cafe")(1, return_state=True)

    (found,) = penstock("flow-run", "inspect", "cafe", "--json").objects

    assert found["id"] == str(state.state_details.flow_run_id)


@pytest.mark.parametrize("verb", ["inspect", "logs", "resume"])
def test_a_run_that_is_not_there(penstock, verb):
    run(halves, 1)

    for reference in ("nobody", "ffff", "00000000-0000-7000-8000-000000000000", "--", "é"):
        ended = penstock("flow-run", verb, "--", reference)
        assert ended.code == 2
        assert re.match(
            r"Error: There is no flow run '.+' in the store '.*'\. See `penst", ended.err
        )
        assert len(ended.err.splitlines()) == 1


def test_a_dash_where_nothing_has_run(penstock):
    get_store()

    ended = penstock("flow-run", "inspect", "-")

    assert ended.code == 2
    assert "There are no flow runs in the store" in ended.err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("flow-run ls", "There are no flow runs in the store '"),
        ("flow-run ls --json", "[]\n"),
        ("flow-run ls --state failed --since 2h", "There are no flow runs in the store '"),
        ("flow-run ls --flow halves", "There is no store '"),
        ("concurrency-limit ls", "There are no limits: there is no store '"),
        ("concurrency-limit ls --json", "[]\n"),
        ("concurrency-limit inspect gpu", "There is no store '"),
        ("global-concurrency-limit ls", "There are no limits: there is no store '"),
        ("global-concurrency-limit inspect mail", "There is no store '"),
        ("flow ls", "There are no flows in the store '"),
        ("flow ls --json", "[]\n"),
        ("recover", "There is no store '"),
        ("recover --json", "[]\n"),
        ("flow inspect halves", "There is no store '"),
        ("flow-run inspect -", "There is no store '"),
        ("flow-run logs friday", "There is no store '"),
        ("flow-run resume friday", "There is no store '"),
        ("flow-run resume friday --plan", "There is no store '"),
        ("flow-run retry friday", "There is no store '"),
        ("flow-run pause friday", "There is no store '"),
        ("flow-run cancel friday", "There is no store '"),
        ("flow-run delete friday --yes", "There is no store '"),
        ("task-run ls friday", "There is no store '"),
        ("task-run inspect load-0", "There is no store '"),
        ("task-run result load-0", "There is no store '"),
    ],
)
def test_no_store_is_made_by_looking_at_it(penstock, penstock_home, command, said):
    """As where PENSTOCK_HOME was mistyped."""
    ended = penstock(*command.split())

    answer = ended.out or ended.err.removeprefix("Error: ")
    assert answer.startswith(said)
    assert ended.code == (0 if ended.out else 2)
    assert len(answer.splitlines()) == 1
    assert not penstock_home.exists()


def test_the_id_of_a_task_run_leads_to_its_flow_run(penstock):
    run_id = run(halves, 1)
    (found,) = penstock("flow-run", "inspect", "-", "--json").objects

    ended = penstock("flow-run", "inspect", found["task_runs"][0]["id"])

    assert ended.code == 2
    assert f"It is the id of a task run of flow run {run_id}." in ended.err


def test_a_reference_that_may_be_several_runs(penstock):
    ids = [run(halves, 1) for _ in range(6)]

    by_name = penstock("flow-run", "inspect", "run of 1")
    by_id = penstock("flow-run", "inspect", ids[0][0])

    for ended in (by_name, by_id):
        assert ended.code == 2
        assert "may be each of several flow runs: " in ended.err
        assert ids[-1] in ended.err
        assert len(ended.err.splitlines()) == 2


# -- inspect --------------------------------------------------------------------------------------


def test_all_there_is_to_know_of_a_run_as_an_object(penstock):
    run_id = run(broken)

    (found,) = penstock("flow-run", "inspect", run_id, "--json").objects

    assert [state["name"] for state in found["states"]] == ["Pending", "Running", "Failed"]
    assert found["states"][-1]["message"].endswith("ZeroDivisionError: division by zero")
    assert found["states"][-1]["id"]
    assert found["states"][-1]["timestamp"].endswith("Z")
    (task_run,) = found["task_runs"]
    assert task_run["name"] == "divide-0"
    assert task_run["state_type"] == "FAILED"
    assert task_run["run_count"] == 2
    assert task_run["tags"] == ["slow"]
    assert task_run["flow_run_id"] == run_id
    assert task_run["start_time"] < task_run["end_time"]
    assert found["waiting_for"] is None


def test_all_there_is_to_know_of_a_run_for_people(penstock):
    run_id = run(halves, 3)

    shown = penstock("flow-run", "inspect", run_id).out

    assert re.search(r"^Flow run +run of 3$", shown, re.MULTILINE)
    assert re.search(rf"^ID +{run_id}$", shown, re.MULTILINE)
    assert re.search(r"^State +Completed$", shown, re.MULTILINE)
    assert re.search(rf"^Entrypoint +{re.escape(__file__)}:halves$", shown, re.MULTILINE)
    assert re.search(r"^Parameters\n  x  3$", shown, re.MULTILINE)
    states = re.search(r"^States\n(.*?)\n\n", shown, re.MULTILINE | re.DOTALL)[1].splitlines()
    assert [line.split()[2] for line in states[1:]] == ["Pending", "Running", "Completed"]
    assert re.search(r"^Task runs: 1 Completed$", shown, re.MULTILINE)
    assert re.search(
        r"^  divide-0  Completed  [-\d]{10} [:\d]{8}  \d+ ms  1$", shown, re.MULTILINE
    )
    assert "Waits" not in shown


def test_a_subflow_is_shown_with_its_run(penstock):
    run_id = run(outer)
    inner = penstock("flow-run", "ls", "--json").objects[0]["id"]

    (found,) = penstock("flow-run", "inspect", run_id, "--json").objects

    assert found["task_runs"][0]["child_flow_run_id"] == inner
    assert f"(flow run {inner})" in penstock("flow-run", "inspect", run_id).out


def test_of_many_task_runs_those_that_did_not_complete_are_shown_first(penstock, monkeypatch):
    monkeypatch.setattr("penstock.cli.reading.PAGE", 3)

    @flow
    def many():
        for other in (1, 1, 1, 0, 1, 1, 1):
            divide(1, other, return_state=True)

    run_id = run(many)

    shown = penstock("flow-run", "inspect", run_id, "--tasks", "2").out

    assert "Task runs: 6 Completed, 1 Failed" in shown
    listed = re.findall(r"^  (divide-\d)", shown, re.MULTILINE)
    assert listed == ["divide-3", "divide-0"]
    assert "... and 5 more. Give --tasks 7 to see them all, or --json." in shown
    every = [f"divide-{index}" for index in range(7)]
    whole = penstock("flow-run", "inspect", run_id).out
    assert re.findall(r"^  (divide-\d)", whole, re.MULTILINE) == every
    (found,) = penstock("flow-run", "inspect", run_id, "--tasks", "2", "--json").objects
    assert [each["name"] for each in found["task_runs"]] == every


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (Pending(), "It has not begun. No process executes it: go on with `penstock flow-run res"),
        (Pending(message="no slot is free"), "no slot is free No process"),
        (
            Scheduled(scheduled_time=datetime(2099, 1, 1, 12, tzinfo=UTC)),
            "It is to start at 2099-",
        ),
        (Paused(timeout_seconds=1000), r"It waits until \d{4}-.* to be resumed\."),
        (Paused(), r"It waits to be resumed\."),
    ],
)
def test_a_run_that_waits_says_why(penstock, state, reason):  # PAINS 18
    with get_client(sync_client=True) as client:
        client.create_flow_run(halves, parameters={"x": 1}, state=state)

    (found,) = penstock("flow-run", "inspect", "-", "--json").objects

    assert re.search(reason, found["waiting_for"])
    assert "Waits" in penstock("flow-run", "inspect", "-").out


def test_what_was_asked_of_a_run_is_shown(penstock):
    @flow
    def asked():
        with get_client(sync_client=True) as client:
            run_id = client.read_flow_runs()[0].id
            client.set_flow_run_state(run_id, Cancelling())
        (found,) = penstock("flow-run", "inspect", "-", "--json").objects
        seen.append(found)

    seen = []
    asked(return_state=True)

    assert seen[0]["asked_for"] == "CANCELLING"
    assert "It was asked to become CANCELLING" in seen[0]["waiting_for"]
    assert f"It is executed by process {os.getpid()} on host" in seen[0]["waiting_for"]


# -- logs -----------------------------------------------------------------------------------------


def test_logs_as_objects(penstock, monkeypatch):
    monkeypatch.setattr("penstock.cli.following.PAGE", 2)
    run_id = run(halves, 3)

    logs = penstock("flow-run", "logs", run_id, "--json").objects

    messages = [log["message"] for log in logs]
    assert "about to divide [red]3[/red]" in messages
    assert "dividing by 2" in messages
    assert sorted(log["timestamp"] for log in logs) == [log["timestamp"] for log in logs]
    assert {log["flow_run_id"] for log in logs} == {run_id}
    (warning,) = [log for log in logs if log["level"] == 30]
    assert warning["level_name"] == "WARNING"
    assert warning["task_run_id"] is None
    (found,) = penstock("flow-run", "inspect", run_id, "--json").objects
    by_task = {log["task_run_id"] for log in logs} - {None}
    assert by_task == {found["task_runs"][0]["id"]}


def test_logs_for_people(penstock):
    run(halves, 3)

    lines = penstock("flow-run", "logs", "-").out.splitlines()

    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}"
    assert any(
        re.match(rf"{time} \| WARNING \| Flow run 'run of 3' - about to divide \[red\]3", line)
        for line in lines
    )
    assert any(
        re.match(rf"{time} \| INFO    \| Task run 'divide-0' - dividing by 2$", line)
        for line in lines
    )


def test_a_run_without_logs(penstock):
    with get_client(sync_client=True) as client:
        client.create_flow_run(halves)

    assert penstock("flow-run", "logs", "-").out == ""
    assert penstock("flow-run", "logs", "-", "--json").objects == []
