"""The commands over a store on a PostgreSQL server, and what they say where there is none."""

from __future__ import annotations

import pytest

from penstock import flow, task
from penstock.settings import reload_settings
from penstock.store.revisions import SCHEMA_REVISION
from penstock.store.urls import without_password


@task
def one():
    return 1


@flow
def small():
    return one()


@pytest.fixture
def on_server(monkeypatch):
    """Keep the records of the test at a URL."""

    def use(url):
        monkeypatch.setenv("PENSTOCK_STORE_URL", url)
        reload_settings()
        return without_password(url)

    return use


def test_the_path_is_the_url_without_its_password(penstock, on_server, postgres_url):
    place = on_server(postgres_url)

    assert "otter@" in place
    assert penstock("db", "path").out == f"{place}\n"
    assert penstock("db", "path", "--json").objects == [
        {"path": None, "url": place, "exists": None, "size_bytes": None}
    ]


def test_a_new_store_is_made_and_then_up_to_date(penstock, on_server, postgres_database):
    place = on_server(postgres_database())

    made, again = penstock("db", "upgrade"), penstock("db", "upgrade")

    assert made.out == f"The store {place!r} was made, with schema revision {SCHEMA_REVISION}.\n"
    assert again.out == f"The store {place!r} is up to date: schema revision {SCHEMA_REVISION}.\n"


def test_runs_are_shown_and_every_record_goes(penstock, on_server, postgres_url):
    place = on_server(postgres_url)
    assert f"no flow runs in the store {place!r}" in penstock("flow-run", "ls").out
    small()

    (run,) = penstock("flow-run", "ls", "--json").objects
    assert "one-0" in penstock("flow-run", "inspect", run["id"]).out
    assert "Finished in state" in penstock("flow-run", "logs", run["id"]).out

    ended = penstock("db", "reset", "--yes")
    assert ended.code == 0
    assert "Deleted flow runs (1), task runs (1), log records (" in ended.out
    assert "is empty already" in penstock("db", "reset").out


@pytest.mark.parametrize("command", [("flow-run", "ls"), ("db", "upgrade"), ("db", "reset")])
def test_a_server_that_is_not_there(penstock, on_server, command):
    place = on_server("postgresql://me:secret@127.0.0.1:1/penstock")

    ended = penstock(*command)

    assert ended.code == 2
    assert ended.err.startswith(f"Error: The store {place!r} cannot be reached: ")
    assert ended.err.count("\n") == 1
    assert "secret" not in ended.err
