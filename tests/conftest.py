"""What every test has: a home and a store of its own; in CI, no skipping either.

And a PostgreSQL server for those that ask for one.

Penstock is looked up in `sys.modules` and not imported here: a test of a lower room then pays for
that room alone.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import settings as hypothesis_settings

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

INSTALL_TIMEOUT_S = 90
STARTING_TIMEOUT_S = 30
END_SESSIONS = """select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()"""
WATCH = 'cat; kill -QUIT "$0"; rm -rf "$1"'
PASSWORD = "otter:&/7"  # needs to be percent-encoded in a URL


class PostgresServer:
    """A PostgreSQL server of the tests' own, on a free port, with its data in a temporary folder.

    What it writes is not flushed to the disk, so that it is fast; it survives being killed, as the
    operating system does not die with it.
    """

    def __init__(self, binaries: Path) -> None:
        self.binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="penstock-postgres-"))
        # The server refuses to run as root.
        self.user = unprivileged_user() if os.geteuid() == 0 else None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.watcher: subprocess.Popen[bytes] | None = None
        self._make()

    def _make(self) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if self.user is not None:
            shutil.chown(self.folder, self.user)
            shutil.chown(password, self.user)
        options = ["--auth=scram-sha-256", f"--pwfile={password}", "--username=otter"]
        options += ["--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run(
            [self.binaries / "initdb", "-D", self.folder / "data", "--no-sync", *options],
            check=True,
            capture_output=True,
            user=self.user,
            cwd=self.folder,
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "shared_buffers": "32MB",
            "max_connections": 100,
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.folder / "data", *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.user,
                cwd=self.folder,
                process_group=0,
            )
        # Tests that hang are ended without any cleaning up: then the server ends with them.
        self.watcher = subprocess.Popen(
            ["sh", "-c", WATCH, str(self.process.pid), self.folder],
            stdin=subprocess.PIPE,
            user=self.user,
            cwd="/",
            process_group=0,
        )
        ready = [self.binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + STARTING_TIMEOUT_S
        while subprocess.run(ready, check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: by SIGINT in an orderly way, by SIGQUIT as if it had crashed."""
        if self.watcher is not None:
            self.watcher.kill()
            self.watcher.communicate()
            self.watcher = None
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def close(self) -> None:
        """Stop it for good."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """Give the URL of one of its databases."""
        return f"postgresql://otter:otter%3A%26%2F7@127.0.0.1:{self.port}/{database}"

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements as an administrator; give the rows of the last one."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


def unprivileged_user() -> str:
    """Name the user that a server runs as which root starts."""
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return "nobody"
    return "postgres"


def postgres_binaries() -> Path | None:
    """Find the folder of PostgreSQL's programs; the newest, where there are several."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def install_postgres() -> None:
    """Install it where that can be done without asking anybody."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    install = "apt-get update && apt-get install --yes --no-install-recommends postgresql"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(
            ["sh", "-c", install],
            check=False,
            capture_output=True,
            env=environment,
            timeout=INSTALL_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Give a server that runs; one for all tests of a process."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    if postgres_binaries() is None:
        install_postgres()
    binaries = postgres_binaries()
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
    empty = [delete for _, delete in EMPTY_TABLES.values()]
    postgres_server.execute(END_SESSIONS, *empty, database=postgres_records)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of a store of each kind in turn: for what is promised of both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'place' / 'store.db'}"
    return request.getfixturevalue("postgres_url")
