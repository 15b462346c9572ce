"""Programs that use penstock, as processes of their own; and what they leave in the store."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

FLOWS = Path(__file__).parent / "flows"
SEED = os.environ.get("E2E_SEED", "penstock")
"""Decides all that is random in these tests: E2E_SEED=... repeats a run that failed."""


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str


def command(script, *arguments):
    """Give the command line of a program in `flows`, of `penstock` itself, or of Python."""
    program = [FLOWS / script] if str(script).endswith(".py") else [script]
    program = ["-m", "penstock"] if script == "penstock" else program
    return [sys.executable, "-W", "error", *map(str, [*program, *arguments])]


class Programs:
    """Starts programs, and sees to it that none outlives its test."""

    def __init__(self, folder, environment):
        self.flows = FLOWS
        self.folder = folder
        self.environment = environment
        self.started = []

    def start(self, script, *arguments, **options):
        """Start a program; its output comes as pipes of text."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        options = {"stdin": subprocess.DEVNULL, **pipes, **options}
        child = subprocess.Popen(
            command(script, *arguments),
            text=True,
            cwd=self.folder,
            env=os.environ | self.environment,
            **options,
        )
        self.started.append(child)
        return child

    def run(self, script, *arguments, timeout_s=60):
        """Start a program and wait for its end."""
        return self.end(self.start(script, *arguments), timeout_s)

    @staticmethod
    def end(child, timeout_s=60):
        """Wait for the end of a program that was started."""
        out, err = child.communicate(timeout=timeout_s)
        return Ended(child.returncode, out, err)

    @staticmethod
    def wait_until(child, line="up"):
        """Wait until a program prints a line; give those that it printed before."""
        before = []
        for printed in child.stdout:
            if printed == f"{line}\n":
                return before
            before.append(printed.removesuffix("\n"))
        child.wait()
        errors = child.stderr.read() if child.stderr else ""
        raise AssertionError(f"ended with {child.returncode} before {line!r}: {before} {errors}")

    def close(self):
        for child in self.started:
            if child.poll() is None:
                child.kill()
            child.communicate()


class Database:
    """The store's file as another program reads it, at whatever moment."""

    def __init__(self, path):
        self.path = path

    def read(self, statement, values=()):
        """Give the rows of a query; none if the store has not been made yet."""
        if not self.path.exists():
            return []
        with closing(sqlite3.connect(self.path, timeout=30)) as connection:
            try:
                return connection.execute(statement, values).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def write(self, statement, values=()):
        """Change rows, as another program would; give how many."""
        with closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            return connection.execute(statement, values).rowcount

    @contextmanager
    def held(self):
        """Keep everybody else from writing while the block lasts."""
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as connection:
            connection.execute("begin immediate")
            yield
            connection.execute("rollback")

    def counts(self, table):
        """Give how many runs there are of each state, by name."""
        return dict(
            self.read(f"select state_name, count(*) from {table} group by state_name order by 1")
        )

    def is_sound(self):
        """Tell whether SQLite finds nothing wrong with the file."""
        return self.read("pragma integrity_check") == [("ok",)]


@pytest.fixture
def seeded(request):
    """Random numbers of this test's own, and how to have the same again."""
    seed = f"{SEED}/{request.node.name}"
    return random.Random(seed), f"to repeat: E2E_SEED={SEED}"


@pytest.fixture
def ledger(tmp_path):
    """The file in which programs note what really happened."""
    return tmp_path / "ledger.txt"


@pytest.fixture
def programs(tmp_path, ledger):
    made = Programs(tmp_path, {"LEDGER": str(ledger)})
    yield made
    made.close()


@pytest.fixture
def database(penstock_home):
    return Database(penstock_home / "penstock.db")
