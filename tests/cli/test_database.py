"""`penstock db path | upgrade | reset` and `penstock version`."""

from __future__ import annotations

import os
import pty
import sqlite3
import subprocess
from pathlib import Path

import pytest

import penstock as package
from penstock import flow, task
from penstock.settings import PENSTOCK_LOCAL_STORAGE_PATH
from penstock.store import reset_store

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


def runs(penstock):
    return penstock("flow-run", "ls", "--json").objects


# -- path and version -----------------------------------------------------------------------------


def test_the_path_is_printed_and_nothing_is_made(penstock, penstock_home):
    ended = penstock("db", "path")

    assert (ended.code, ended.out) == (0, f"{penstock_home / 'penstock.db'}\n")
    assert not penstock_home.exists()
    assert penstock("db", "path", "--json").objects == [
        {
            "path": str(penstock_home / "penstock.db"),
            "url": f"sqlite:///{penstock_home / 'penstock.db'}",
            "exists": False,
            "size_bytes": None,
        }
    ]


def test_the_path_of_a_store_that_is_there(penstock):
    small()

    (found,) = penstock("db", "path", "--json").objects

    assert found["exists"]
    assert found["size_bytes"] == Path(found["path"]).stat().st_size > 0


def test_the_version(penstock):
    ended = penstock("version")

    assert ended.code == 0
    assert ended.out.startswith(f"penstock {package.__version__} (Python 3.")
    (found,) = penstock("version", "--json").objects
    assert found["version"] == package.__version__
    assert found["sqlite"] == sqlite3.sqlite_version
    assert found["schema_revision"] == "0001"


# -- upgrade --------------------------------------------------------------------------------------


def test_a_new_store_is_made_and_then_up_to_date(penstock, penstock_home):
    path = penstock_home / "penstock.db"

    made = penstock("db", "upgrade")
    again = penstock("db", "upgrade")

    assert made.out == f"The store {str(path)!r} was made, with schema revision 0001.\n"
    assert again.out == f"The store {str(path)!r} is up to date: schema revision 0001.\n"
    assert path.is_file()


# -- reset ----------------------------------------------------------------------------------------


def test_nothing_to_reset(penstock, penstock_home):
    assert "There is no store" in penstock("db", "reset").out
    assert not penstock_home.exists()
    penstock("db", "upgrade")
    assert "is empty already" in penstock("db", "reset").out


def test_every_record_goes_and_result_files_stay(penstock, penstock_home):
    small()
    small()
    storage = PENSTOCK_LOCAL_STORAGE_PATH.value()
    files = list(storage.iterdir())

    ended = penstock("db", "reset", "--yes")

    assert ended.code == 0
    assert "Deleted flow runs (2), task runs (2), log records (" in ended.out
    assert f"Result files in {str(storage)!r} are left" in ended.out
    assert files
    assert list(storage.iterdir()) == files
    with sqlite3.connect(penstock_home / "penstock.db") as connection:
        tables = connection.execute("select name from sqlite_master where type = 'table'")
        left = {name: connection.execute(f"select count(*) from {name}").fetchone()[0]
                for (name,) in tables.fetchall()}  # fmt: skip
    connection.close()
    assert {name for name, count in left.items() if count} == {"alembic_version"}


def test_a_process_that_had_the_store_open_goes_on_recording(penstock):
    small()
    assert penstock("db", "reset", "--yes").code == 0

    small()

    assert [run["flow_name"] for run in runs(penstock)] == ["small"]


def test_where_nobody_can_be_asked_it_takes_yes(project, process, penstock):
    small()

    ended = process("db", "reset")

    assert ended.code == 2
    assert "Nobody can be asked here whether to delete all records. Give --yes." in ended.err
    assert len(runs(penstock)) == 1


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_somebody_is_asked(command, penstock, answer, left):
    small()
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        command("db", "reset"),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    _out, err = child.communicate(timeout=30)
    os.close(ours)

    assert "Delete flow runs (1), task runs (1), log records (" in err
    assert child.returncode == (0 if left == 0 else 2)
    assert len(runs(penstock)) == left
    assert ("Nothing was changed." in err) == bool(left)


def test_a_living_run_is_not_deleted_under_its_process(write, started, penstock):
    write("flows.py", WAITING)
    child = started("run", "flows.py")

    ended = penstock("db", "reset", "--yes")

    assert ended.code == 2
    first, second = ended.err.splitlines()
    assert "is being executed by process " in first
    assert f":{child.pid}:" in first
    assert second == "With --force, it is stopped at its next commit."
    assert len(runs(penstock)) == 1


def test_a_living_run_is_deleted_by_force_and_stops(write, started, penstock):
    write("flows.py", WAITING)
    child = started("run", "flows.py")

    ended = penstock("db", "reset", "--yes", "--force")

    assert ended.code == 0
    _out, err = child.communicate(timeout=20)
    assert child.returncode == 3
    assert "was deleted, so nothing more is written for it" in err
    assert "Traceback" not in err
    assert runs(penstock) == []


def test_a_dead_process_does_not_keep_its_runs(write, started, penstock):
    write("flows.py", WAITING)
    child = started("run", "flows.py")
    child.kill()
    child.wait()

    assert penstock("db", "reset", "--yes").code == 0
    assert runs(penstock) == []


def test_a_reset_that_cannot_be_made_changes_nothing(penstock, penstock_home):
    small()
    other = sqlite3.connect(penstock_home / "penstock.db", isolation_level=None)
    other.execute("begin immediate")
    reset_store()

    ended = penstock("db", "reset", "--yes", PENSTOCK_STORE_BUSY_TIMEOUT_S="0.1")

    other.execute("rollback")
    other.close()
    assert ended.code == 2
    assert "was kept busy by other processes" in ended.err
    reset_store()
    assert len(runs(penstock)) == 1
