"""PostgreSQL's own: what cannot be opened, what the SQL becomes, and how the schema is made."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import psycopg
import pytest

from penstock.exceptions import (
    StoreError,
    StoreLocked,
    StoreTooNew,
    StoreTooOld,
    StoreUnreachable,
    StoreUnusable,
)
from penstock.ids import new_id
from penstock.store import Store, schema
from penstock.store import statements as sql
from penstock.store.postgres_sql import GATE, KEYS, quick_form, translate
from penstock.store.revisions import SCHEMA_REVISION
from penstock.store.upgrade import current_revision, upgrade

SECRET = "otter%3A%26%2F7"


def refused(url, error, match, **options):
    """Open a store that cannot be opened; the message is short, and keeps the password."""
    with pytest.raises(error, match=match) as raised:
        Store(url, **options).close()
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 450
    assert "secret" not in message
    assert SECRET not in message
    assert "otter:&/7" not in message


def database_of(url):
    return urlsplit(url).path[1:]


def as_user(url, user, password="secret"):
    return re.sub("//[^@]*@", f"//{user}:{password}@", url)


@pytest.fixture
def stranger(postgres_server):
    """A user who may connect, and owns nothing."""
    postgres_server.execute("create role stranger login password 'secret'")
    yield "stranger"
    postgres_server.execute("drop role stranger")


# -- what cannot be opened ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:sec ret@db/penstock",
        "postgresql://me:secret@db:port/penstock",
        "postgresql://me:secret@[::1/penstock",
        "postgresql://me:secret@db/penstock?bogus=1",
    ],
)
def test_a_malformed_url(url):
    refused(url, StoreError, r"postgresql://me@.* is malformed\. Give postgresql://")


def test_what_is_malformed_is_told_where_no_secret_is():
    refused("postgresql://db/penstock?bogus=1", StoreError, r'malformed \(.*"bogus"\)')


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+asyncpg", "mysql"])
def test_another_scheme(scheme):
    refused(f"{scheme}://me:secret@db/x", StoreError, r"not understood.*or postgresql://")


def test_a_server_that_is_not_there():
    refused(
        "postgresql://me:secret@127.0.0.1:1/penstock",
        StoreUnreachable,
        r"me@127\.0\.0\.1:1/penstock' cannot be reached: .*Connection refused.*Start the server",
    )
    with pytest.raises(ConnectionError):
        Store("postgresql://127.0.0.1:1/penstock")


def test_a_host_that_is_not_known():
    refused("postgresql://me:secret@no.such.host.invalid/x", StoreUnreachable, "cannot be reached")


def test_wrong_credentials(postgres_url):
    refused(
        as_user(postgres_url, "otter", "secret-and-wrong"),
        StoreUnusable,
        r"refuses the connection: .*password authentication failed.*Check the user",
    )
    refused(as_user(postgres_url, "nobody"), StoreUnusable, "Check the user")


def test_a_database_that_is_not_there(postgres_server):
    refused(postgres_server.url("missing"), StoreUnusable, r'"missing" does not exist.*createdb')


def test_no_permission_to_make_the_tables(postgres_database, postgres_server, stranger):
    url = postgres_database()
    revoke = "revoke create on schema public from public"
    postgres_server.execute(revoke, database=database_of(url))

    refused(as_user(url, stranger), StoreUnusable, "permission is denied.*owner grant")
    assert current_revision(url) is None


def test_no_permission_to_read_the_tables(postgres_url, stranger):
    refused(as_user(postgres_url, stranger), StoreUnusable, "permission is denied")


def test_a_database_that_is_read_only(postgres_url):
    store = Store(f"{postgres_url}?options=-cdefault_transaction_read_only%3Don")

    assert store.read("select count(*) from flow") == [(0,)]
    with pytest.raises(StoreUnusable, match=r"read-only.*primary"):
        store.flow_id("ingest")
    store.close()


def test_a_database_of_another_program(postgres_database, postgres_server):
    url = postgres_database()
    postgres_server.execute("create table song (title text)", database=database_of(url))

    refused(url, StoreUnusable, r"another program.*'song'.*Nothing was changed")
    tables = "select tablename from pg_tables where schemaname = 'public'"
    assert postgres_server.execute(tables, database=database_of(url)) == [("song",)]


def test_a_schema_of_its_own_beside_another_program(postgres_database, postgres_server):
    url = postgres_database()
    made = ["create table song (title text)", "create schema penstock"]
    postgres_server.execute(*made, database=database_of(url))

    store = Store(f"{url}?options=-csearch_path%3Dpenstock")

    assert store.flow_id("ingest") == store.flow_id("ingest")
    store.close()
    found = postgres_server.execute("select name from penstock.flow", database=database_of(url))
    assert found == [("ingest",)]


def test_a_schema_that_is_not_there(postgres_database):
    url = f"{postgres_database()}?options=-csearch_path%3Dnowhere"

    refused(url, StoreUnusable, "search_path names no schema")


@pytest.fixture
def set_revision(postgres_server):
    changed = []

    def set_it(url, revision):
        changed.append(url)
        write = f"update alembic_version set version_num = '{revision}'"
        postgres_server.execute(write, database=database_of(url))

    yield set_it
    for url in changed:
        set_it(url, SCHEMA_REVISION)
        break


def test_another_schema(postgres_url, set_revision, monkeypatch):
    set_revision(postgres_url, "9999")
    refused(postgres_url, StoreTooNew, "revision 9999.*newer one.*Nothing was changed")

    monkeypatch.setattr("penstock.store.revisions.KNOWN_REVISIONS", ("0000", SCHEMA_REVISION))
    set_revision(postgres_url, "0000")
    refused(postgres_url, StoreTooOld, "revision 0000.*penstock db upgrade")
    assert current_revision(postgres_url) == "0000"


def test_psycopg_is_not_installed():
    code = """
import sys
sys.modules["psycopg"] = None
from penstock.store import Store
from penstock.store.upgrade import current_revision
for ask in Store, current_revision:
    try:
        ask("postgresql://me:secret@db/penstock")
    except ImportError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    first, second = done.stdout.splitlines()
    assert first == second
    assert "pip install 'penstock[postgres]'" in first
    assert "secret" not in first


# -- busy -----------------------------------------------------------------------------------------


def test_a_write_waits_for_its_turn_but_not_for_ever(postgres_url):
    store = Store(postgres_url, busy_timeout_s=0.3)
    with psycopg.connect(postgres_url) as other:
        other.execute(f"select pg_advisory_xact_lock({GATE})")
        with pytest.raises(StoreLocked, match=r"more than 0\.3 s.*PENSTOCK_STORE_BUSY_TIMEOUT_S"):
            store.flow_id("ingest")
        with pytest.raises(TimeoutError):
            store.transact(lambda execute: None)
        assert store.read("select count(*) from flow") == [(0,)]

        threading.Timer(0.1, other.rollback).start()
        began = time.monotonic()
        store.flow_id("ingest")
        assert time.monotonic() - began < 0.3
    store.close()


def test_work_of_two_processes_is_done_one_after_the_other(postgres_url):
    stores = [Store(postgres_url) for _ in range(2)]
    stores[0].write(sql.INSERT_FLOW, (new_id().bytes, "0", None, 1.0))

    def count(execute):
        number = int(execute("select name from flow").fetchone()[0])
        execute("update flow set name = ?", (str(number + 1),))

    def work(store):
        for _ in range(50):
            store.transact(count)

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert stores[0].read("select name from flow") == [("100",)]
    for store in stores:
        store.close()


# -- what is written ------------------------------------------------------------------------------


def test_a_text_with_the_one_character_that_has_no_place(postgres_url):
    store = Store(postgres_url)
    store.write(sql.INSERT_LOG, (b"run", b"id", None, "name", 20, "a\0b", 1.0))

    assert store.read("select message from log") == [("a\N{REPLACEMENT CHARACTER}b",)]
    store.close()


def test_full_durability(postgres_url):
    url = f"{postgres_url}?options=-csynchronous_commit%3Doff"
    for durability, level in (("normal", "off"), ("full", "on")):
        store = Store(url, durability=durability)
        found = store.transact(lambda execute: execute("show synchronous_commit").fetchone())
        assert found == (level,)
        store.close()


def test_the_keys_are_those_of_the_tables():
    for table, keys in KEYS.items():
        assert tuple(schema.metadata.tables[table].primary_key.columns.keys()) == keys


@pytest.mark.parametrize("name", [name for name in vars(sql) if name.isupper()])
def test_each_statement_is_one_that_the_server_takes(postgres_url, name):
    given = getattr(sql, name)
    for statement in [given] if isinstance(given, str) else sum(given.values(), ()):
        if not re.match("select|insert|update|delete", statement):
            continue  # a list of columns
        with psycopg.connect(postgres_url) as connection:
            numbered = translate(statement).replace(b"%(id)s", b"$1").replace(b"%%", b"%")
            for number in range(1, numbered.count(b"%s") + 1):
                numbered = numbered.replace(b"%s", b"$%d" % number, 1)
            connection.execute(b"prepare statement as " + numbered)


def test_only_what_may_be_written_twice_is_written_in_one_step():
    log, task_run = sql.INSERT_LOG, sql.WRITE_TASK_RUN

    assert quick_form((task_run,))
    assert quick_form((task_run, log, log))
    assert quick_form((log,))
    for statements in ((), (sql.INSERT_FLOW_RUN,), (task_run, task_run), (log, sql.INSERT_FLOW)):
        assert quick_form(statements) is None


# -- the schema -----------------------------------------------------------------------------------


def test_alembic_sees_no_difference_from_the_tables(postgres_database):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import create_engine

    url = postgres_database()
    assert upgrade(url) == (None, SCHEMA_REVISION)
    assert upgrade(url) == (SCHEMA_REVISION, SCHEMA_REVISION)
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), schema.metadata)
    engine.dispose()

    assert differences == []


def test_a_migration_that_breaks_leaves_nothing_behind(postgres_database, postgres_server):
    from penstock.store.postgres_link import Server
    from penstock.store.postgres_schema import migrate

    url = postgres_database()
    # In the way of the last table that the first migration makes.
    postgres_server.execute("create table block_document (id int)", database=database_of(url))

    with pytest.raises(StoreError, match="block_document"):
        migrate(Server(url, "normal", 30, 30))
    tables = "select tablename from pg_tables where schemaname = 'public'"
    assert postgres_server.execute(tables, database=database_of(url)) == [("block_document",)]


OPEN = """
import sys
from penstock.store import Store
from penstock.store.upgrade import upgrade
sys.stdin.readline()
upgrade(sys.argv[1])
print(Store(sys.argv[1]).flow_id("ingest"))
"""


def test_processes_that_make_the_schema_at_once(postgres_database):
    url = postgres_database()
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", OPEN, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in running:
        process.stdin.write("\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=60) for process in running]

    assert [errors for _out, errors in ended] == [""] * 3
    assert len({out for out, _errors in ended}) == 1
    assert current_revision(url) == SCHEMA_REVISION
