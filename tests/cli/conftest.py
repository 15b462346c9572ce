"""Commands as their users give them: in this process where that is enough, else in another."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import textwrap
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
