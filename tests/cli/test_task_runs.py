"""`penstock task-run ls | inspect | result` and `penstock flow ls | inspect`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from penstock import flow, task


@task
def fetch(x):
    if x < 0:
        raise ValueError("negative")
    return {"x": x}


@task
def total(rows):
    return sum(row["x"] for row in rows)


@task(persist_result=False)
def unkept():
    return object()


@task
def text():
    return "a\x1b[2J"


@flow(name="sums")
def sums(n=3):
    rows = [each.wait() for each in fetch.map(range(n))]
    unkept()
    text()
    return total(rows)


@flow(name="bad")
def bad():
    fetch(-1)


def run(of, *args):
    return str(of(*args, return_state=True).state_details.flow_run_id)


def names(listed):
    return [each["name"] for each in listed]


def test_the_task_runs_of_a_run_in_pages(penstock, monkeypatch):
    monkeypatch.setattr("penstock.cli.task_runs.PAGE", 2)
    run_id = run(sums)

    everything = penstock("task-run", "ls", run_id, "--json").objects
    assert names(everything) == ["fetch-0", "fetch-1", "fetch-2", "unkept-0", "text-0", "total-0"]
    first = penstock("task-run", "ls", "-", "--limit", "4").out
    assert "fetch-2" in first
    assert "text-0" not in first
    command = first.partition("More: penstock ")[2].split()
    assert names(penstock(*command, "--json").objects) == ["text-0", "total-0"]


def test_task_runs_by_state_and_task(penstock):
    run(bad)
    run_id = run(sums)

    assert names(penstock("task-run", "ls", run_id, "--task", "fetch", "--json").objects) == [
        "fetch-0",
        "fetch-1",
        "fetch-2",
    ]
    assert penstock("task-run", "ls", run_id, "-s", "failed", "--json").objects == []


def test_a_task_run(penstock):
    run(sums)

    out = penstock("task-run", "inspect", "total-0").out
    assert "fetch-0, fetch-1, fetch-2" in out
    (found,) = penstock("task-run", "inspect", "total-0", "--run", "-", "--json").objects
    assert found["result_type"] == "inline"
    assert len(found["task_inputs"]["rows"]) == 3
    assert [state["name"] for state in found["states"]] == ["Pending", "Running", "Completed"]


def test_a_task_run_by_its_whole_id_alone(penstock):
    run(sums)
    (found,) = penstock("task-run", "inspect", "text-0", "--json").objects
    run(bad)

    assert penstock("task-run", "inspect", found["id"], "--json").objects[0]["name"] == "text-0"


def test_a_task_run_that_is_not_there(penstock):
    run(sums)

    ended = penstock("task-run", "inspect", "nope")
    assert ended.code == 2
    assert "There is no task run 'nope' in flow run" in ended.err


def test_an_ambiguous_beginning_lists_what_it_may_mean(penstock):
    run(sums)

    ended = penstock("task-run", "inspect", "0")
    assert ended.code == 2
    assert "may be each of several task runs" in ended.err
    assert "(total-0)" in ended.err


# -- results --------------------------------------------------------------------------------------


def test_a_result(penstock, project):
    run(sums)

    assert penstock("task-run", "result", "fetch-1").out == "{'x': 1}\n"
    assert penstock("task-run", "result", "total-0", "--json").objects[0]["value"] == 3
    assert penstock("task-run", "result", "text-0").out == "a\\x1b[2J\n"
    assert penstock("task-run", "result", "fetch-1", "-o", "row.json").code == 0
    assert json.loads((project / "row.json").read_text()) == {"x": 1}
    again = penstock("task-run", "result", "fetch-1", "-o", "row.json")
    assert again.code == 2
    assert "--force" in again.err
    assert penstock("task-run", "result", "text-0", "-o", "row.json", "--force").code == 0
    assert (project / "row.json").read_text() == "a\x1b[2J"


@pytest.mark.parametrize(
    ("of", "name", "why"),
    [(sums, "unkept-0", "persist_result=True"), (bad, "fetch-0", "it is Failed: ")],
)
def test_why_there_is_no_result(penstock, of, name, why):
    run(of)

    ended = penstock("task-run", "result", name)
    assert ended.code == 1
    assert ended.out == ""
    assert why in ended.err


def test_a_result_of_a_class_of_the_flows_file(penstock, write):
    text = """
        from dataclasses import dataclass
        from penstock import flow, task

        @dataclass
        class Model:
            weight: int

        @task
        def train():
            return Model(3)

        @flow
        def trains():
            train()

        if __name__ == "__main__":
            trains()
    """
    file = write("models/made.py", text)
    subprocess.run([sys.executable, file], check=True, capture_output=True, timeout=60)

    assert penstock("task-run", "result", "train-0").out == "Model(weight=3)\n"

    file.unlink()
    code = "import sys; from penstock.cli.entry import main; sys.exit(main(sys.argv[1:]))"
    ended = subprocess.run(
        [sys.executable, "-c", code, "task-run", "result", "train-0"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "'Model' of module" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_result_whose_file_is_gone(penstock, tmp_path):
    folder = tmp_path / "results"

    @task(result_storage=folder, persist_result=True)
    def stored():
        return list(range(100_000))

    @flow
    def keeps():
        stored()

    run(keeps)
    assert penstock("task-run", "result", "stored-0", "--json").code == 0
    for file in folder.rglob("*"):
        if file.is_file():
            file.unlink()

    ended = penstock("task-run", "result", "stored-0")
    assert ended.code == 1
    assert "is gone: nothing is there" in ended.err


# -- flows ----------------------------------------------------------------------------------------


def test_flows(penstock):
    run(bad)
    run(sums)
    latest = run(sums)

    first, second = penstock("flow", "ls", "--json").objects
    assert (first["name"], first["runs_by_state_type"]) == ("bad", {"FAILED": 1})
    assert (second["name"], second["runs"], second["latest_flow_run_id"]) == ("sums", 2, latest)
    assert (
        "More: penstock flow ls --limit 1 --after bad" in penstock("flow", "ls", "--limit", 1).out
    )
    assert names(penstock("flow", "ls", "--after", "bad", "--json").objects) == ["sums"]
    shown = penstock("flow", "inspect", "sums").out
    assert latest in shown
    assert "2 Completed" in shown


def test_a_flow_that_is_not_there(penstock):
    run(sums)

    ended = penstock("flow", "inspect", "sum")
    assert ended.code == 2
    assert "Did you mean 'sums'?" in ended.err


def test_a_cached_run_has_the_name_of_its_task(penstock):
    @task(
        cache_key_fn=lambda context, parameters: f"key {parameters['x']}", task_run_name="of {x}"
    )
    def cached(x):
        return x

    @flow
    def twice():
        cached(1)
        cached(1)

    run(twice)

    listed = penstock("task-run", "ls", "-", "--json").objects
    assert [(each["name"], each["state_name"]) for each in listed] == [
        ("of 1", "Completed"),
        ("of 1", "Cached"),
    ]


def test_the_version(penstock):
    from penstock import __version__

    assert penstock("--version").out == f"penstock {__version__}\n"
