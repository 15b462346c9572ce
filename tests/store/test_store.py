from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from penstock import flow, get_client, task
from penstock.exceptions import (
    Abort,
    StoreError,
    StoreLocked,
    StoreTooNew,
    StoreTooOld,
    StoreUnusable,
)
from penstock.ids import new_id
from penstock.settings import temporary_settings
from penstock.store import Store, get_store, reset_store
from penstock.store import statements as sql
from penstock.store.revisions import SCHEMA_REVISION


@pytest.fixture
def path(tmp_path):
    return tmp_path / "place" / "store.db"


@pytest.fixture
def open_store(path):
    """Open the store at the test's path, and close it when the test is over."""
    opened = []

    def open_one(**options):
        store = Store(f"sqlite:///{path}", **options)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


# -- where it is ----------------------------------------------------------------------------------


def test_the_store_is_in_the_home(penstock_home):
    assert get_store().path == penstock_home / "penstock.db"
    assert get_store() is get_store()


def test_another_place_by_its_setting(tmp_path):
    with temporary_settings({"PENSTOCK_STORE_URL": f"sqlite:///{tmp_path}/here.db"}):
        assert get_store().path == tmp_path / "here.db"
    assert get_store().path != tmp_path / "here.db"


def test_it_is_made_with_its_folder_for_this_user_alone(open_store, path):
    open_store()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for name in ("store.db-wal", "store.db-shm"):
        beside = path.with_name(name)
        if beside.exists():
            assert stat.S_IMODE(beside.stat().st_mode) == 0o600


def test_a_home_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))

    store = Store("sqlite:///~/mine.db")

    store.close()
    assert store.path == tmp_path / "mine.db"


@pytest.mark.parametrize(
    "url", ["", "postgres://x", "/just/a/path", "sqlite://x", "sqlite+aiosqlite:///x"]
)
def test_a_url_that_is_not_understood(url):
    with pytest.raises(StoreError, match=r"not understood. Give sqlite:///"):
        Store(url)


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite:///:memory:"])
def test_a_store_without_a_file(url, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(StoreError, match="file"):
        Store(url)
    assert list(tmp_path.iterdir()) == []


def test_full_durability(open_store):
    for durability, level in (("normal", 1), ("full", 2)):
        store = open_store(durability=durability)
        synchronous = store.transact(lambda execute: execute("pragma synchronous").fetchone())
        mode = store.transact(lambda execute: execute("pragma journal_mode").fetchone())
        assert (synchronous, mode) == ((level,), ("wal",))


# -- what cannot be opened ------------------------------------------------------------------------


def test_a_directory(path, open_store):
    path.mkdir(parents=True)

    with pytest.raises(StoreUnusable, match=r"is a directory.*PENSTOCK_STORE_URL"):
        open_store()


def test_a_folder_that_cannot_be_made(path, open_store):
    path.parent.write_text("a file, where a folder should be")

    with pytest.raises(StoreUnusable, match=r"folder of the store.*PENSTOCK_HOME"):
        open_store()


@pytest.mark.parametrize("content", [b"this is no database, but text\n" * 100, b"\0" * 5000])
def test_what_is_no_database(path, open_store, content):
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(StoreUnusable, match=r"not a SQLite database.*move it away"):
        open_store()
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_an_empty_file_is_filled(path, open_store):
    path.parent.mkdir()
    path.touch()

    open_store().flow_id("ingest")


def test_a_database_of_another_program(path, open_store):
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("create table precious (x)")
        other.execute("insert into precious values (7)")
    other.close()
    before = path.read_bytes()

    with pytest.raises(StoreUnusable, match=r"another program.*PENSTOCK_STORE_URL"):
        open_store()
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def set_revision(path, revision):
    connection = sqlite3.connect(path)
    connection.execute("update alembic_version set version_num = ?", (revision,))
    connection.commit()
    connection.close()


def test_a_newer_schema(path, open_store):
    open_store().close()
    set_revision(path, "9999")

    with pytest.raises(
        StoreTooNew, match=r"revision 9999.*made by a newer one.*Nothing was changed"
    ):
        open_store()
    connection = sqlite3.connect(path)
    assert connection.execute("select * from alembic_version").fetchall() == [("9999",)]
    connection.close()


def test_an_older_schema(path, open_store, monkeypatch):
    open_store().close()
    monkeypatch.setattr("penstock.store.revisions.KNOWN_REVISIONS", ("0000", SCHEMA_REVISION))
    set_revision(path, "0000")

    with pytest.raises(StoreTooOld, match=r"revision 0000.*penstock db upgrade"):
        open_store()


def test_a_revision_that_was_taken_away(path, open_store):
    open_store().close()
    connection = sqlite3.connect(path)
    connection.execute("delete from alembic_version")
    connection.commit()
    connection.close()

    with pytest.raises(StoreError, match="revision None"):
        open_store()


def test_a_damaged_file(path, open_store):
    store = open_store()
    for number in range(300):
        store.write(sql.INSERT_FLOW, (new_id().bytes, f"flow {number}", None, 1.0))
    store.transact(lambda execute: None)
    store.close()
    content = bytearray(path.read_bytes())
    content[4096 : len(content)] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)

    with pytest.raises(StoreUnusable, match=r"content is damaged.*restore it from a backup"):
        open_store().read("select count(*) from flow_run")


def test_what_went_wrong_is_a_standard_error_too(path, open_store):
    path.mkdir(parents=True)

    with pytest.raises(OSError, match="directory"):
        open_store()


# -- busy -----------------------------------------------------------------------------------------


@pytest.fixture
def blocker(path):
    """A connection of another program, to hold the database with."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    yield connection
    connection.close()


class TestBusy:
    @pytest.fixture(autouse=True)
    def _there(self, open_store):
        open_store().close()

    def test_a_write_waits_for_its_turn(self, open_store, blocker):
        store = open_store()
        blocker.execute("begin immediate")
        threading.Timer(0.1, blocker.execute, ("commit",)).start()

        began = time.monotonic()
        store.write(sql.INSERT_FLOW, (new_id().bytes, "ingest", None, 1.0))

        assert time.monotonic() - began >= 0.05
        assert store.read(sql.READ_FLOW_BY_NAME, ("ingest",))

    def test_it_does_not_wait_for_ever(self, open_store, blocker):
        store = open_store(busy_timeout_s=0.1)
        blocker.execute("begin immediate")

        with pytest.raises(StoreLocked, match=r"more than 0.1 s.*PENSTOCK_STORE_BUSY_TIMEOUT_S"):
            store.write(sql.INSERT_FLOW, (new_id().bytes, "ingest", None, 1.0))
        with pytest.raises(TimeoutError):
            store.transact(lambda execute: None)
        blocker.execute("rollback")
        store.write(sql.INSERT_FLOW, (new_id().bytes, "ingest", None, 1.0))
        assert len(store.read("select * from flow")) == 1

    def test_reads_do_not_wait_for_a_writer(self, open_store, blocker):
        store = open_store(busy_timeout_s=0.1)
        blocker.execute("begin immediate")

        assert store.read("select * from flow") == []

    def test_it_opens_while_another_writes(self, open_store, blocker):
        blocker.execute("begin immediate")

        assert open_store(busy_timeout_s=0.1).read("select * from flow") == []

    def test_many_who_are_kept_waiting_give_up_together(self, open_store, blocker):
        store = open_store(busy_timeout_s=0.2)
        blocker.execute("begin immediate")
        errors = []

        def work(name):
            try:
                store.write(sql.INSERT_FLOW, (new_id().bytes, name, None, 1.0))
            except StoreLocked as error:
                errors.append(error)

        began = time.monotonic()
        threads = [threading.Thread(target=work, args=(f"flow {n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(errors) == 8
        assert time.monotonic() - began < 1.0


def test_processes_that_make_the_store_at_once(path, tmp_path):
    source = textwrap.dedent("""
        import sys, time
        from penstock.store import Store
        while time.time() < float(sys.argv[2]):
            pass
        store = Store("sqlite:///" + sys.argv[1])
        print(store.flow_id("ingest"))
    """)
    at = str(time.time() + 0.8)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", source, str(path), at],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    ended = [process.communicate(timeout=60) for process in running]

    assert [errors for _out, errors in ended] == [""] * 4
    assert len({out for out, _errors in ended}) == 1


def test_a_store_that_was_reset_opens_again():
    before = get_store()
    before.flow_id("ingest")

    reset_store()

    assert get_store() is not before
    assert get_store().read(sql.READ_FLOW_BY_NAME, ("ingest",))


# -- threads and forks ----------------------------------------------------------------------------


fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


def in_a_fork(work):
    """Run `work` in a forked process; give what it returned, or raise what it raised."""
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    def child():
        try:
            queue.put((work(), None))
        except BaseException as error:  # noqa: BLE001 - raised again in the parent
            queue.put((None, f"{type(error).__name__}: {error}"))

    process = context.Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    value, error = queue.get()
    if error is not None:
        raise RuntimeError(error)
    return value


@task
def add(x):
    return x + 1


@flow
def adds(x):
    return add(x) + add.submit(x).result()


@fork
def test_a_forked_process_has_a_store_of_its_own():
    here = get_store()

    assert adds(1) == 4
    assert in_a_fork(lambda: get_store() is here) is False
    assert in_a_fork(lambda: adds(2)) == 6
    assert adds(3) == 8

    assert here.read("select count(*) from flow_run") == [(3,)]
    assert here.read("select count(*) from task_run") == [(6,)]


@fork
def test_a_process_that_is_forked_while_others_write():
    stop = threading.Event()

    def write():
        while not stop.is_set():
            adds(1)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for thread in writers:
        thread.start()
    try:
        for number in range(5):
            assert in_a_fork(lambda n=number: adds(n)) == 2 * (number + 1)
    finally:
        stop.set()
        for thread in writers:
            thread.join()


@fork
def test_a_process_that_is_forked_in_a_flow():
    """It is another process: the flow run is not its own to go on with."""

    @flow
    def parent():
        before = add(1)
        child = in_a_fork(in_the_child)
        return before, child, add(2)

    def in_the_child():
        try:
            return "called", add(1), None
        except Abort as error:
            return "refused", str(error), adds(5)

    before, (what, said, own), after = parent()

    assert (before, after) == (2, 3)
    assert (what, own) == ("refused", 12)
    assert "forked" in said
    with get_client(sync_client=True) as client:
        runs = {run.id: run.flow_name for run in client.read_flow_runs()}
        tasks = [runs[run.flow_run_id] for run in client.read_task_runs()]
    assert sorted(tasks) == ["adds", "adds", "parent", "parent"]


def test_the_schema_file_is_part_of_the_package():
    import penstock.store

    assert (Path(penstock.store.__file__).parent / "schema.sql").is_file()
