"""What is recorded, read from the store as another program would see it."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from penstock.client import get_client


class Records:
    """The records of the test's store."""

    def flow_runs(self):
        """Give all flow runs, in the order they were made."""
        with get_client(sync_client=True) as client:
            return sorted(client.read_flow_runs(), key=lambda run: run.id)

    def flow_run(self, name=None):
        """Give the only flow run, or the only one of the flow called `name`."""
        (found,) = [run for run in self.flow_runs() if name in (None, run.flow_name)]
        return found

    def task_runs(self, name=None):
        """Give all task runs, or those of the task called `name`, in the order they were made."""
        with get_client(sync_client=True) as client:
            found = sorted(client.read_task_runs(), key=lambda run: run.id)
        return [run for run in found if name is None or run.name.rpartition("-")[0] == name]

    def task_run(self, name=None):
        """Give the only task run, or the only one of the task called `name`."""
        (found,) = self.task_runs(name)
        return found

    def logs(self):
        """Give the messages that were logged, in order."""
        with get_client(sync_client=True) as client:
            return [log.message for log in client.read_logs(limit=10_000)]


def names_of(run):
    """Give the names of the states that a run went through."""
    return [state.name for state in run.history]


@pytest.fixture
def records():
    return Records()


@pytest.fixture
def history():
    return names_of


@pytest.fixture
def run_script(tmp_path):
    """Run a script in a process of its own, on the test's store."""

    def run(source, *arguments, timeout_s=60):
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(source))
        return subprocess.run(
            [sys.executable, str(path), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run
