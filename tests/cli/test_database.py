"""`penstock db path | upgrade | downgrade | reset` and `penstock version`."""

from __future__ import annotations

import os
import pty
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

import penstock as package
from penstock import flow, task
from penstock.settings import PENSTOCK_LOCAL_STORAGE_PATH
from penstock.store import reset_store
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
    assert found["schema_revision"] == SCHEMA_REVISION


# -- upgrade --------------------------------------------------------------------------------------


def test_a_new_store_is_made_and_then_up_to_date(penstock, penstock_home):
    path = penstock_home / "penstock.db"

    made = penstock("db", "upgrade")
    again = penstock("db", "upgrade")

    assert (
        made.out == f"The store {str(path)!r} was made, with schema revision {SCHEMA_REVISION}.\n"
    )
    assert again.out == (
        f"The store {str(path)!r} is up to date: schema revision {SCHEMA_REVISION}.\n"
    )
    assert path.is_file()


def test_an_upgrade_as_json(penstock, penstock_home):
    (made,) = penstock("db", "upgrade", "--json").objects

    assert made == {
        "store": str(penstock_home / "penstock.db"),
        "former_revision": None,
        "revision": SCHEMA_REVISION,
    }


# -- downgrade ------------------------------------------------------------------------------------


def revision_of(penstock_home):
    with closing(sqlite3.connect(penstock_home / "penstock.db")) as connection:
        return connection.execute("select version_num from alembic_version").fetchone()[0]


def test_back_to_an_older_schema_and_forth_again(penstock, penstock_home):
    small()

    ended = penstock("db", "downgrade", "0001", "--yes")

    assert ended.code == 0
    assert f"was downgraded from schema revision {SCHEMA_REVISION} to 0001." in ended.out
    assert "does not use it until `penstock db upgrade`" in ended.out
    assert revision_of(penstock_home) == "0001"
    refused = penstock("flow-run", "ls")
    assert (refused.code, "Run `penstock db upgrade`" in refused.err) == (2, True)
    assert penstock("db", "upgrade").code == 0
    assert [run["flow_name"] for run in runs(penstock)] == ["small"]


def test_what_an_older_schema_cannot_hold_is_said_to_be_lost(penstock, penstock_home):
    small()
    with closing(sqlite3.connect(penstock_home / "penstock.db")) as connection, connection:
        connection.execute(
            "insert into flow_run_input (flow_run_id, key, value, created) values (?, ?, ?, ?)",
            (b"0" * 16, "answer", "42", 1.0),
        )

    ended = penstock("db", "downgrade", "0001", "--yes", "--json")

    assert ended.objects[0]["lost"] == {"inputs": 1}
    assert ended.objects[0]["former_revision"] == SCHEMA_REVISION


def test_a_downgrade_asks(process, penstock_home):
    small()

    ended = process("db", "downgrade", "0001")

    assert ended.code == 2
    assert "Nobody can be asked here whether to downgrade the store. Give --yes." in ended.err
    assert revision_of(penstock_home) == SCHEMA_REVISION


def test_no_downgrade_while_a_run_is_executed(write, started, penstock, penstock_home):
    write("flows.py", WAITING)
    started("run", "flows.py")

    ended = penstock("db", "downgrade", "0001", "--yes")

    assert ended.code == 2
    assert "is being executed by process " in ended.err
    assert revision_of(penstock_home) == SCHEMA_REVISION


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("7", "There is no schema revision '7'. Those that were released: 0001"),
        ("0001", "no store"),
    ],
)
def test_what_cannot_be_downgraded(penstock, penstock_home, revision, said):
    ended = penstock("db", "downgrade", revision, "--yes")

    assert ended.code == 2
    assert said in ended.err
    assert not penstock_home.exists()


def test_what_is_at_a_revision_stays_at_it(penstock):
    penstock("db", "upgrade")

    ended = penstock("db", "downgrade", SCHEMA_REVISION)

    assert "already" in ended.out


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


def test_a_reset_as_json(penstock, penstock_home):
    place = str(penstock_home / "penstock.db")
    assert penstock("db", "reset", "--json").objects == [{"store": place, "deleted": {}}]
    small()

    (done,) = penstock("db", "reset", "--yes", "--json").objects

    assert done["deleted"]["flow_runs"] == done["deleted"]["task_runs"] == 1


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
