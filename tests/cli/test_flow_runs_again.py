"""`penstock flow-run resume --plan | retry | delete`."""

from __future__ import annotations

import pytest

FLOWS = """
import time
from pathlib import Path
from penstock import flow, task

def note(what):
    with Path("ledger.txt").open("a") as file:
        print(what, file=file)

@task
def fetch(x):
    note(f"fetch {x}")
    return x

@task
def clean(x):
    note(f"clean {x}")
    return x

@task
def apart():
    note("apart")
    return 1

@task
def total(xs):
    note("total")
    return sum(xs)

@task(persist_result=False)
def volatile():
    note("volatile")
    return 1

@task
def last(x):
    note("last")
    if not Path("fine").exists():
        raise LookupError("no file fine")
    if Path("wait").exists():
        print("waiting", flush=True)
        time.sleep(60)
    return x

@flow
def inner(x):
    note("inner")
    return x

@flow
def main():
    volatile()
    rows = fetch.map([1, 2])
    cleaned = clean.map(rows)
    rows_alone = total.submit(rows)
    rows_alone.wait()
    inner(4)
    return last(cleaned[0].result())
"""


@pytest.fixture
def ledger(write, project):
    write("flows.py", FLOWS)
    file = project / "ledger.txt"

    def ledger():
        lines = sorted(file.read_text().splitlines()) if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    return ledger


# -- resume --plan --------------------------------------------------------------------------------


def test_the_plan_is_what_happens(penstock, ledger, project):
    assert penstock("run", "flows.py:main").code == 1
    ledger()

    planned = penstock("flow-run", "resume", "-", "--plan", "--json").objects
    shown = penstock("flow-run", "resume", "-", "--plan").out
    assert ledger() == []

    executed = {each["name"]: each["reason"] for each in planned if each["action"] == "execute"}
    assert set(executed) == {"volatile-0", "last-0"}
    assert "in the memory of its process only" in executed["volatile-0"]
    assert executed["last-0"].startswith("it is Failed: ")
    assert {each["name"] for each in planned if each["action"] == "take"} == {
        *("fetch-0", "fetch-1", "clean-0", "clean-1", "total-0", "inner-0"),
    }
    assert "6 of 8 task runs are taken from the record." in shown
    assert "known only when the flow's code runs" in shown
    (project / "fine").touch()
    run_id = penstock("flow-run", "ls", "--flow", "main", "--json").objects[0]["id"]
    assert penstock("flow-run", "resume", run_id).code == 0
    assert ledger() == ["last", "volatile"]


def test_the_plan_of_a_run_that_has_completed(penstock, ledger, project):
    (project / "fine").touch()
    assert penstock("run", "flows.py:main").code == 0

    run_id = penstock("flow-run", "ls", "--flow", "main", "--json").objects[0]["id"]
    assert "there is nothing to go on with" in penstock("flow-run", "resume", run_id, "--plan").out
    assert penstock("flow-run", "resume", run_id, "--plan", "--json").objects == []


# -- retry ----------------------------------------------------------------------------------------


def completed(penstock, project):
    (project / "fine").touch()
    assert penstock("run", "flows.py:main").code == 0
    return penstock("flow-run", "ls", "--flow", "main", "--json").objects[0]["id"]


def test_a_failed_run_is_retried_as_it_is_resumed(penstock, ledger, project):
    assert penstock("run", "flows.py:main").code == 1
    ledger()
    (project / "fine").touch()

    assert penstock("flow-run", "retry", "-").code == 0
    assert ledger() == ["last", "volatile"]


def test_a_completed_run_is_only_retried_from_a_task_on(penstock, ledger, project):
    run_id = completed(penstock, project)
    ledger()

    refused = penstock("flow-run", "retry", run_id)
    assert refused.code == 2
    assert "Give --from TASK" in refused.err
    assert ledger() == []


def test_what_depends_on_the_task_is_executed_again_and_the_rest_is_not(penstock, ledger, project):
    run_id = completed(penstock, project)
    ledger()

    assert penstock("flow-run", "retry", run_id, "--from", "clean").code == 0

    # `total` takes what `fetch` gave, and nothing else; where `inner` and `last` get theirs from
    # is not known.
    assert ledger() == ["clean 1", "clean 2", "inner", "last", "volatile"]
    (run,) = penstock("flow-run", "inspect", run_id, "--json").objects
    assert [state["name"] for state in run["states"]][-3:] == ["Retrying", "Running", "Completed"]
    assert len(run["task_runs"]) > 9
    assert penstock("db", "check").code == 0
    assert penstock("flow-run", "retry", run_id, "--from", "last-0").code == 0
    assert ledger() == ["last", "volatile"]
    assert penstock("db", "check").code == 0


def test_the_name_of_a_task_run_means_the_latest_execution(penstock, ledger, project):
    run_id = completed(penstock, project)
    assert penstock("flow-run", "retry", run_id, "--from", "last").code == 0
    listed = penstock("task-run", "ls", run_id, "--task", "last", "--json").objects

    (meant,) = penstock("task-run", "inspect", "last-0", "--run", run_id, "--json").objects

    assert len(listed) == 2
    assert meant["id"] == listed[-1]["id"]


def test_a_retry_that_is_killed_goes_on_where_it_was(penstock, ledger, project, started, process):
    run_id = completed(penstock, project)
    ledger()
    (project / "wait").touch()
    child = started("flow-run", "retry", run_id, "--from", "fetch")
    child.kill()
    child.wait()
    assert ledger() == [
        "clean 1",
        "clean 2",
        "fetch 1",
        "fetch 2",
        "inner",
        "last",
        "total",
        "volatile",
    ]
    (project / "wait").unlink()

    assert process("flow-run", "resume", run_id).code == 0
    assert ledger() == ["last", "volatile"]


@pytest.mark.parametrize("task", ["fetc", "nothing"])
def test_a_task_that_is_not_there(penstock, ledger, project, task):
    run_id = completed(penstock, project)

    ended = penstock("flow-run", "retry", run_id, "--from", task)
    assert ended.code == 2
    assert "Its tasks are: clean, fetch, inner, last, total, volatile." in ended.err


# -- delete ---------------------------------------------------------------------------------------


def test_deleting(penstock, ledger, project):
    run_id = completed(penstock, project)
    assert penstock("run", "flows.py:inner", "-p", "x=1").code == 0

    assert penstock("flow-run", "delete", run_id, "nope", "--yes").code == 2
    assert len(penstock("flow-run", "ls", "--json").objects) == 3
    assert penstock("flow-run", "delete", run_id, "-", "--yes").code == 0
    assert run_id not in penstock("flow-run", "ls").out
    assert len(penstock("flow-run", "ls", "--json").objects) == 1


def test_deleting_asks_where_it_can(process, penstock, ledger, project):
    completed(penstock, project)

    ended = process("flow-run", "delete", "-")
    assert ended.code == 2
    assert "give --yes" in ended.err


def test_a_run_that_is_executed_is_not_deleted(ledger, project, started, process):
    (project / "fine").touch()
    (project / "wait").touch()
    started("run", "flows.py:main")

    ended = process("flow-run", "delete", "-", "--yes")
    assert ended.code == 2
    assert "nothing was deleted" in ended.err
