"""A PostgreSQL server of one's own, for tests and benchmarks: found or installed, started, ended.

It needs no rights but those of whoever starts it, and leaves nothing behind.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

INSTALL_TIMEOUT_S = 90
STARTING_TIMEOUT_S = 30
WATCH = 'cat; kill -QUIT "$0"; rm -rf "$1"'
PASSWORD = "otter:&/7"  # noqa: S105 - of a server that lives for a moment; it needs to be percent-encoded in a URL


class PostgresServer:
    """A server on a free port, with its data in a temporary folder.

    Parameters:
        binaries: the folder of PostgreSQL's programs.
        flushes: what it writes is flushed to the disk. If it is not, it is faster, and survives
            being killed all the same, as the operating system does not die with it.
    """

    def __init__(self, binaries: Path, *, flushes: bool = False) -> None:
        self.flushes = flushes
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
        options: dict[str, object] = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
        }
        if not self.flushes:
            options |= {"fsync": "off", "shared_buffers": "32MB", "max_connections": 100}
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


def find_or_install() -> Path | None:
    """Find PostgreSQL's programs, after having installed them if they are not there yet."""
    if postgres_binaries() is None:
        install_postgres()
    return postgres_binaries()
