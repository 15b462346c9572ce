"""What graphs leave in the records, read from the store as another program would see it."""

from __future__ import annotations

import pytest

from penstock.client import get_client
from penstock.graph import context, task
from penstock.rules import validate
from penstock.store import get_store


class Records:
    """The records of the test's store."""

    def flow_runs(self, name=None):
        """Give the flow runs, or those of the flow called `name`, in the order they were made."""
        with get_client(sync_client=True) as client:
            found = sorted(client.read_flow_runs(), key=lambda run: run.id)
        return [run for run in found if name in (None, run.flow_name)]

    def flow_run(self, name=None):
        """Give the only one of them."""
        (found,) = self.flow_runs(name)
        return found

    def task_runs(self, key=None):
        """Give the task runs, or those of the task with this slug or key, children in order."""
        found = [run for flow in self.flow_runs() for run in get_store().read_task_runs(flow.id)]
        found = [run for run in found if key is None or run.task_key.rpartition("-")[0] == key]
        return sorted(found, key=lambda run: (run.dynamic_key.partition(".")[2].zfill(9), run.id))

    def task_run(self, key):
        """Give the only task run of a task, which is not mapped."""
        (found,) = self.task_runs(key)
        return found

    def check(self):
        """Make sure that every history is legal, and the books agree with it."""
        for run in (*self.flow_runs(), *self.task_runs()):
            validate(run)


class Ledger(list):
    """What tasks have noted; a task of it notes its value, and gives it."""

    def __init__(self):
        super().__init__()

        @task
        def noted(value):
            self.append(value)
            return value

        self.noted = noted


@pytest.fixture
def records():
    return Records()


@pytest.fixture
def history():
    """Give the names of the states that a run went through."""
    return lambda run: [state.name for state in run.history]


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture(autouse=True)
def own_context():
    """Let what a test leaves in the ambient context, as caches of results, be gone after it."""
    kept = context.flat()
    for key in kept:
        del context[key]
    yield
    for key in context.flat():
        del context[key]
