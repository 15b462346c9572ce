"""Commands as their users give them: in this process where that is enough, else in another."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import textwrap
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from penstock.cli import main


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self):
        """What it printed with `--json`."""
        return json.loads(self.out)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder to work in; what is imported from it is forgotten after the test."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    path, modules = list(sys.path), set(sys.modules)
    yield folder
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        module = sys.modules[name]
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", [])]
        if any(Path(place).is_relative_to(tmp_path) for place in places if place):
            del sys.modules[name]


@pytest.fixture
def write(project):
    """Write a file of the project."""

    def write(name, text):
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    return write


@pytest.fixture
def penstock(project, capfd, monkeypatch):
    """Give a command in this process."""

    def penstock(*arguments, **environment):
        from penstock.settings import reload_settings

        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            if environment:
                reload_settings()
            capfd.readouterr()
            code = main([str(each) for each in arguments])
            out, err = capfd.readouterr()
        if environment:
            reload_settings()
        return Ended(code, out, err)

    return penstock


def command_line(*arguments):
    return [sys.executable, "-W", "error", "-m", "penstock", *map(str, arguments)]


@pytest.fixture
def command(project):
    """Give the whole command line of a command."""
    return command_line


@pytest.fixture
def in_terminal(project):
    """Give a command in a terminal of so many columns; give what it shows there."""

    def in_terminal(width, *arguments, **environment):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        # Whoever runs the tests may have said how wide their own terminal is.
        env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        env |= {"TERM": "xterm-256color"} | environment
        child = subprocess.Popen(command_line(*arguments), stdin=theirs, stdout=theirs, env=env)
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # Linux says so when the other end is closed
            pass
        os.close(ours)
        assert child.wait(timeout=30) == 0
        return shown.decode().replace("\r\n", "\n")

    return in_terminal


@pytest.fixture
def process(project):
    """Give a command in a process of its own."""

    def process(*arguments, **environment):
        done = subprocess.run(
            command_line(*arguments),
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return process


@pytest.fixture
def started(project):
    """Start a command and wait until it prints a line with `waiting`."""
    running = []

    def started(*arguments, **environment):
        child = subprocess.Popen(
            command_line(*arguments),
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(child)
        for line in child.stdout:
            if "waiting" in line:
                return child
        raise AssertionError(child.stderr.read())

    yield started
    for child in running:
        child.kill()
        child.communicate()


@pytest.fixture
def store(penstock_home):
    from penstock.store import get_store

    return get_store()


@pytest.fixture
def latest(penstock):
    """Give the latest flow run as an object."""

    def latest():
        return penstock("flow-run", "inspect", "-", "--json").objects[0]

    return latest


# -- a store with runs that ended in every way ----------------------------------------------------

PREPARED = Path(__file__).parent / "prepared"


class Shop:
    """A folder with flows and a store, in which commands are processes.

    They are forked from one that has all imported (`prepared/server.py`).
    """

    def __init__(self, folder, connection, prepared=None):
        self.folder = folder
        self._prepared = prepared
        self.changes = {}
        self._connection = connection

    def renew(self):
        """Put everything to how it was prepared."""
        for each in self.folder.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        shutil.copytree(self._prepared, self.folder, dirs_exist_ok=True)
        move = "update flow_run set entrypoint = replace(entrypoint, ?, ?)"
        with closing(sqlite3.connect(self.folder / "home" / "penstock.db")) as connection:
            connection.execute(move, (str(self._prepared), str(self.folder)))
            connection.commit()

    def environment(self, **changes):
        """Give the environment of its commands, with changes; what is None is left out."""
        env = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        env |= {"HOME": str(self.folder), "PENSTOCK_HOME": str(self.folder / "home"), "TZ": "UTC"}
        # What is prepared is old.
        env |= {"PENSTOCK_RETENTION_RUNS_DAYS": "0", "PENSTOCK_RETENTION_LOGS_DAYS": "0"}
        env |= {"TERM": "xterm-256color"} | self.changes | changes
        return {name: str(value) for name, value in env.items() if value is not None}

    def __call__(self, *arguments, encoding="utf-8", read=True, unprivileged=False, **environment):
        """Give a command; with `read=False` nobody reads its stdout.

        With `unprivileged`, root is not let through where it has no permission.
        """
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        stdin = os.open(os.devnull, os.O_RDONLY)
        if not read:
            os.close(out)
        streams = [stdin, out_end, err_end]
        self._send(arguments, environment, encoding, streams, unprivileged=unprivileged)
        with ThreadPoolExecutor() as pool:
            printed = pool.submit(_read_all, out) if read else None
            complained = _read_all(err)
            text = printed.result() if printed else b""
        return Ended(self._code(), text.decode(encoding), complained.decode(encoding))

    def on_terminal(self, columns, *arguments, **environment):
        """Give a command in a terminal of so many columns; all that it shows is `out`."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        streams = [theirs, os.dup(theirs), os.dup(theirs)]
        self._send(arguments, environment, "utf-8", streams)
        shown = _read_all(ours).decode().replace("\r\n", "\n")
        return Ended(self._code(), shown, "")

    def _send(self, arguments, environment, encoding, streams, *, unprivileged=False):
        message = {
            "arguments": [str(each) for each in arguments],
            "environment": self.environment(**environment),
            "folder": str(self.folder),
            "encoding": encoding,
            "unprivileged": unprivileged,
        }
        socket.send_fds(self._connection, [json.dumps(message).encode()], streams)
        for stream in streams:
            os.close(stream)

    def _code(self):
        return int(self._connection.recv(16))


def _read_all(descriptor):
    parts = []
    try:
        while part := os.read(descriptor, 65536):
            parts.append(part)
    except OSError:  # so Linux says that the other end of a terminal is closed
        pass
    os.close(descriptor)
    return b"".join(parts)


@pytest.fixture(scope="session")
def command_server():
    """Give the connection to a process that executes commands."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    command = [sys.executable, "-W", "error", PREPARED / "server.py", str(theirs.fileno())]
    server = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()
    yield ours
    ours.close()
    assert server.wait(timeout=30) == 0


@pytest.fixture(scope="session")
def prepared_shop(tmp_path_factory, command_server):
    """Prepare what each test has a copy of."""
    folder = tmp_path_factory.mktemp("shop")
    for name in ("shop.py", "drawn.py"):
        shutil.copy(PREPARED / name, folder)
    shop = Shop(folder, command_server)
    subprocess.run(
        [sys.executable, "-W", "error", PREPARED / "prepare.py"],
        env=shop.environment(PYTHONPATH=folder, PENSTOCK_LOGGING_LEVEL="DEBUG"),
        cwd=folder,
        capture_output=True,
        check=True,
    )
    # All in one file: what is left beside it would be taken for a part of whatever is put there.
    with closing(sqlite3.connect(folder / "home" / "penstock.db")) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    profiles = '[profiles.default]\nPENSTOCK_LOGGING_LEVEL = "INFO"\n[profiles.work]\n'
    (folder / "home" / "profiles.toml").write_text(profiles)
    return folder


@pytest.fixture
def shop(prepared_shop, command_server):
    """Give a folder with flows, and with runs that ended in every way."""
    # Its name is as long whoever the tests are run by: it is shown in tables.
    with tempfile.TemporaryDirectory(prefix="penstock-", dir="/tmp") as name:
        folder = Path(name)
        shop = Shop(folder, command_server, prepared_shop)
        shop.renew()
        yield shop
