"""What every test has: a home and a store of its own; in CI, no skipping either.

And a PostgreSQL server for those that ask for one.

Penstock is looked up in `sys.modules` and not imported here: a test of a lower room then pays for
that room alone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import settings as hypothesis_settings
from tools.postgres_server import PostgresServer, find_or_install

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

# With CI set, hypothesis tries the same examples each time, and a skip is a failure.
IN_CI = bool(os.environ.get("CI"))

hypothesis_settings.register_profile("dev", deadline=None)
hypothesis_settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis_settings.load_profile("ci" if IN_CI else "dev")


def call_if_loaded(module: str, function: str) -> None:
    """Call `function` of `module`, if anything has imported the module so far."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        getattr(loaded, function)()


@pytest.fixture(autouse=True)
def penstock_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test an empty home and a fresh store; close the store when the test is over."""
    for name in list(os.environ):
        if name.startswith("PENSTOCK_"):
            monkeypatch.delenv(name)
    home = tmp_path / "penstock-home"
    monkeypatch.setenv("PENSTOCK_HOME", str(home))
    # Its thread would be at work while the test is over and its store is closed.
    monkeypatch.setenv("PENSTOCK_RETENTION_RUNS_DAYS", "0")
    monkeypatch.setenv("PENSTOCK_RETENTION_LOGS_DAYS", "0")
    call_if_loaded("penstock.store", "reset_store")
    call_if_loaded("penstock.settings", "reload_settings")
    yield home
    call_if_loaded("penstock.store", "reset_store")


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure in CI: whatever it missed has to be there."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and nothing may be missing in CI: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Look at how a test ended."""
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Look at how a file was collected: it may have skipped itself whole."""
    report = yield
    refuse_skip(report)
    return report


# -- PostgreSQL -----------------------------------------------------------------------------------

END_SESSIONS = """select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()"""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Give a server that runs; one for all tests of a process."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    binaries = find_or_install()
    if binaries is None:
        pytest.skip("there is no PostgreSQL, and it could not be installed")
    server = PostgresServer(binaries)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[Callable[[], str]]:
    """Make empty databases; give their URLs. They are dropped when the test is over."""
    made: list[str] = []

    def make() -> str:
        name = f"test_{uuid4().hex}"
        postgres_server.execute(f"create database {name} template template0")
        made.append(name)
        return postgres_server.url(name)

    yield make
    call_if_loaded("penstock.store", "reset_store")
    for name in made:
        postgres_server.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="session")
def postgres_records(postgres_server: PostgresServer) -> str:
    """Name the database that the tests keep their records in, one after the other."""
    from penstock.store import Store

    postgres_server.execute("create database records")
    Store(postgres_server.url("records")).close()
    return "records"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, postgres_records: str) -> Iterator[str]:
    """Give the URL of a store on a server, with nothing in it."""
    from penstock.store.statements import EMPTY_TABLES

    yield postgres_server.url(postgres_records)
    call_if_loaded("penstock.store", "reset_store")
    # Sooner done than to make a database for each test, and to drop it.
    empty = [*(delete for _, delete in EMPTY_TABLES.values()), "delete from chore"]
    postgres_server.execute(END_SESSIONS, *empty, database=postgres_records)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of a store of each kind in turn: for what is promised of both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'place' / 'store.db'}"
    return request.getfixturevalue("postgres_url")
