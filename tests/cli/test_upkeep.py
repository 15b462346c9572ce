"""`penstock db status | prune | vacuum | backup | check`."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from penstock import flow, task
from penstock.settings import PENSTOCK_LOCAL_STORAGE_PATH
from penstock.store import get_store
from penstock.store.checking import check_history
from penstock.store.revisions import SCHEMA_REVISION

WAITING = """
    import time
    from penstock import flow, task

    @task
    def one():
        return 1

    @flow
    def main():
        one()
        print("waiting", flush=True)
        for _ in range(600):
            one()
            time.sleep(0.1)
"""


@task(persist_result=True)
def one():
    return 1


@flow
def small():
    return one()


@flow
def other():
    return one()


@pytest.fixture
def path(penstock_home):
    return penstock_home / "penstock.db"


def flows(penstock):
    return sorted(run["flow_name"] for run in penstock("flow-run", "ls", "--json").objects)


@pytest.mark.parametrize(
    "arguments", [("status",), ("prune",), ("vacuum",), ("backup", "copy.db"), ("check",)]
)
def test_where_there_is_no_store_none_is_made(penstock, penstock_home, arguments):
    ended = penstock("db", *arguments)

    assert ended.code == 2
    assert "There is no store" in ended.err
    assert "PENSTOCK_STORE_URL" in ended.err
    assert not penstock_home.exists()


@pytest.mark.parametrize(
    "arguments", [("status",), ("prune",), ("vacuum",), ("backup", "copy.db"), ("check",)]
)
def test_a_database_of_another_program_is_refused(penstock, project, arguments):
    with closing(sqlite3.connect(project / "songs.db")) as connection:
        connection.execute("create table song (title text)")

    url = f"sqlite:///{project / 'songs.db'}"
    ended = penstock("db", *arguments, PENSTOCK_STORE_URL=url)

    assert ended.code == 2
    assert "database of another program" in ended.err
    assert not (project / "copy.db").exists()


# -- status ---------------------------------------------------------------------------------------


def test_the_status(penstock, path):
    small()
    small()

    (status,) = penstock("db", "status", "--json").objects
    text = penstock("db", "status").out

    assert status["store"] == str(path)
    assert (status["kind"], status["revision"]) == ("sqlite", SCHEMA_REVISION)
    assert status["journal_mode"] == "wal"
    assert status["size_bytes"] >= path.stat().st_size
    assert (status["counts"]["flow_runs"], status["counts"]["task_runs"]) == (2, 2)
    assert status["oldest_flow_run"]["name"] in text
    assert status["owners"] == []
    assert "Executed by      nobody\n" in text


def test_the_status_of_an_empty_store(penstock):
    penstock("db", "upgrade")

    (status,) = penstock("db", "status", "--json").objects

    assert status["oldest_flow_run"] is None
    assert set(status["counts"].values()) == {0}


def test_the_status_names_who_executes_runs(penstock, write, started):
    write("flows.py", WAITING)
    child = started("run", "flows.py")

    (owner,) = penstock("db", "status", "--json").objects[0]["owners"]
    assert (owner["flow_runs"], owner["is_alive"]) == (1, True)
    assert f":{child.pid}:" in owner["owner"]

    child.kill()
    child.wait()
    (owner,) = penstock("db", "status", "--json").objects[0]["owners"]
    assert owner["is_alive"] is False
    assert "it is dead" in penstock("db", "status").out


# -- prune ----------------------------------------------------------------------------------------


def test_runs_that_ended_long_enough_ago_are_deleted(penstock):
    small()

    assert "is to be deleted" in penstock("db", "prune", "--older-than", "1h").out
    ended = penstock("db", "prune", "--older-than", "0s")

    assert ended.out.startswith("Deleted flow runs (1), task runs (1), log records (")
    assert "result files (1)" in ended.out
    assert list(PENSTOCK_LOCAL_STORAGE_PATH.value().iterdir()) == []
    assert flows(penstock) == []


def test_the_newest_runs_of_each_flow_are_kept(penstock):
    for each in (small, small, other, small):
        each()

    assert penstock("db", "prune", "--keep", "1").code == 0
    assert flows(penstock) == ["other", "small"]


def test_a_dry_run_says_what_would_be_deleted(penstock):
    small()

    (trial,) = penstock("db", "prune", "--keep", "1", "--dry-run", "--json").objects
    assert (trial["is_trial"], trial["deleted"]) == (True, {})
    ended = penstock("db", "prune", "--older-than", "0d", "--dry-run")

    assert ended.out.startswith("Would delete flow runs (1), task runs (1)")
    assert flows(penstock) == ["small"]


def test_without_options_it_goes_by_the_settings(penstock):
    small()

    assert "kept for ever" in penstock("db", "prune").out
    days = {"PENSTOCK_RETENTION_RUNS_DAYS": "0.000000001"}
    assert "flow runs (1)" in penstock("db", "prune", **days).out


def test_a_run_that_is_executed_is_not_deleted(penstock, write, started):
    write("flows.py", WAITING)
    started("run", "flows.py")

    penstock("db", "prune", "--older-than", "0s")

    assert flows(penstock) == ["main"]


@pytest.mark.parametrize("age", ["", "soon", "3q", "-1d"])
def test_what_is_no_age(penstock, age):
    small()

    ended = penstock("db", "prune", f"--older-than={age}")

    assert ended.code == 2
    assert "is no age. Give a number and s, m, h, d or w" in ended.err
    assert flows(penstock) == ["small"]


# -- vacuum ---------------------------------------------------------------------------------------


def test_the_store_takes_less_room_afterwards(penstock, path):
    @task
    def large():
        return os.urandom(60_000)

    @flow
    def heavy():
        for _ in range(20):
            large()

    heavy()
    penstock("db", "prune", "--older-than", "0s")

    (sizes,) = penstock("db", "vacuum", "--json").objects

    assert sizes["size_bytes"] < 300_000 < sizes["former_size_bytes"]
    assert path.stat().st_size == sizes["size_bytes"]
    assert check_history(get_store()) == []


def test_no_vacuum_while_a_run_is_executed(penstock, write, started):
    write("flows.py", WAITING)
    started("run", "flows.py")

    ended = penstock("db", "vacuum")

    assert ended.code == 2
    assert "is being executed by process " in ended.err
    assert "--force" in ended.err


# -- backup ---------------------------------------------------------------------------------------


def names_in(file):
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("pragma integrity_check").fetchone()[0] == "ok"
        return sorted(row[0] for row in connection.execute("select name from flow"))


def test_a_copy_can_be_used_as_a_store(penstock, project):
    small()

    ended = penstock("db", "backup", "copy.db")

    assert ended.code == 0
    assert ended.out.startswith("Copied the store ")
    assert [each.name for each in project.iterdir()] == ["copy.db"]
    assert Path("copy.db").stat().st_mode & 0o77 == 0
    url = f"sqlite:///{project / 'copy.db'}"
    listed = penstock("flow-run", "ls", "--json", PENSTOCK_STORE_URL=url).objects
    assert [run["flow_name"] for run in listed] == ["small"]


def test_a_file_that_is_there_is_only_replaced_by_force(penstock, project):
    small()
    Path("copy.db").write_text("precious")

    refused = penstock("db", "backup", "copy.db")

    assert refused.code == 2
    assert "is there already. Name another one, or give --force." in refused.err
    assert Path("copy.db").read_text() == "precious"
    assert penstock("db", "backup", "copy.db", "--force").code == 0
    assert names_in("copy.db") == ["small"]
    assert [each.name for each in project.iterdir()] == ["copy.db"]


@pytest.mark.parametrize(
    ("name", "said"),
    [(".", "is a folder"), ("none/copy.db", "cannot be written: No such file or directory")],
)
def test_where_no_copy_can_be_made(penstock, project, name, said):
    small()

    ended = penstock("db", "backup", name)

    assert ended.code == 2
    assert said in ended.err
    assert list(project.iterdir()) == []


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_the_store_is_not_copied_over_itself(penstock, path, force):
    small()

    ended = penstock("db", "backup", path, *force)

    assert ended.code == 2
    assert "is the store itself" in ended.err
    assert flows(penstock) == ["small"]


def test_a_copy_that_is_made_while_others_write_is_consistent(penstock, project):
    stop = threading.Event()

    def write():
        while not stop.is_set():
            small()

    small()
    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        codes = [penstock("db", "backup", f"copy-{number}.db").code for number in range(5)]
    finally:
        stop.set()
        for writer in writers:
            writer.join()

    assert codes == [0] * 5
    for number in range(5):
        url = f"sqlite:///{project / f'copy-{number}.db'}"
        found = penstock("db", "check", "--json", PENSTOCK_STORE_URL=url).objects
        assert [each for each in found if each["kind"] != "stuck"] == []


def test_a_store_on_a_server_is_copied_by_its_own_tools(penstock, monkeypatch, postgres_url):
    from penstock.settings import reload_settings

    monkeypatch.setenv("PENSTOCK_STORE_URL", postgres_url)
    reload_settings()

    ended = penstock("db", "backup", "copy.dump")

    assert ended.code == 2
    assert "pg_dump --format=custom --file=copy.dump 'postgresql://otter@" in ended.err
    assert penstock("db", "vacuum").code == 2
    small()
    (status,) = penstock("db", "status", "--json").objects
    assert (status["kind"], status["counts"]["flow_runs"]) == ("postgresql", 1)
    assert penstock("db", "check").code == 0
    assert penstock("db", "downgrade", "0001", "--yes").code == 0
    assert "needs" in penstock("db", "status").err
    assert penstock("db", "upgrade").code == 0
    assert flows(penstock) == ["small"]


# -- check ----------------------------------------------------------------------------------------


def test_a_store_that_is_in_order(penstock):
    small()

    ended = penstock("db", "check")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith("is in order.\n")
    assert penstock("db", "check", "--json").objects == []


def test_what_is_wrong_is_said(penstock, path):
    state = small(return_state=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update flow_run set run_time_s = 500, owner = 'host:1:1'")

    ended = penstock("db", "check")
    found = penstock("db", "check", "--json")

    run_id = str(state.state_details.flow_run_id)
    assert ended.code == found.code == 1
    assert f"({run_id}): Its run time is 500" in ended.out
    assert ended.out.endswith(": 2 errors, 0 warnings.\n")
    assert {each["kind"] for each in found.objects} == {"inconsistent", "owned-after-end"}
    assert {each["id"] for each in found.objects} == {run_id}
    assert penstock("db", "check", "--limit", "1").out.endswith("1 error, 0 warnings or more.\n")


def test_what_does_no_harm_is_a_warning(penstock, path):
    small()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("insert into cache_entry values ('key', ?, ?, null)", (b"1", b"2"))

    ended = penstock("db", "check")

    assert ended.code == 0
    assert ended.out.startswith("warning: cache entry 'key' (32): Its cache key leads nowhere.\n")
