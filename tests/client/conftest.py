"""The client in both forms, and processes that own flow runs."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys

import pytest

from penstock import flow, task
from penstock.client import get_client
from penstock.records import FlowRun
from penstock.settings import reload_settings
from penstock.store import get_store


@pytest.fixture(autouse=True)
def each_store(penstock_home, store_url, monkeypatch):
    """Run every test over each kind of store."""
    monkeypatch.setenv("PENSTOCK_STORE_URL", store_url)
    reload_settings()


class Awaited:
    """The asynchronous client, each of its calls awaited in an event loop of its own."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        method = getattr(self.client, name)

        @functools.wraps(method)
        def call(*args, **kwargs):
            async def wait():
                async with self.client:
                    return await method(*args, **kwargs)

            return asyncio.run(wait())

        return call


@pytest.fixture
def client(penstock_home):
    """The client that needs no awaiting."""
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(params=["sync", "async"])
def any_client(request, penstock_home):
    """Each of the two clients in turn."""
    if request.param == "sync":
        return get_client(sync_client=True)
    return Awaited(get_client())


OWN = """
import sys
from uuid import UUID
from penstock.store import get_store
store, run_id = get_store(), UUID(sys.argv[1])
fence = store.claim(run_id, 30.0)
print(fence.token, flush=True)
for line in sys.stdin:
    control = store.commit([], fence)
    print(control, flush=True)
"""


class OtherProcess:
    """A process that owns a flow run, as one that executes it does."""

    def __init__(self, run: FlowRun):
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", OWN, str(run.id)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.token = int(self.process.stdout.readline())

    def commit(self):
        """Have it commit, and give what it learned from the answer: a control word or an error."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer:
            return answer
        return self.process.communicate(timeout=30)[1].splitlines()[-1]

    def kill(self):
        self.process.kill()
        self.process.communicate(timeout=30)


@pytest.fixture
def owned_by_another():
    """Have another living process own a flow run."""
    started = []

    def own(run):
        other = OtherProcess(run)
        started.append(other)
        return other

    yield own
    for other in started:
        other.kill()


@pytest.fixture
def owned_elsewhere():
    """Have a process on another host own a flow run, with a lease that ends at the given time."""

    def own(run, lease_expires):
        statement = "update flow_run set owner = ?, lease_expires = ?, fence = 7 where id = ?"
        get_store().write(statement, ("other-host/boot/1:42:1000", lease_expires, run.id.bytes))

    return own


@pytest.fixture
def load():
    """A task with options."""

    @task(name="load", tags=["io"], version="3", retries=3, retry_delay_seconds=[1, 2, 3])
    def load(day):
        return f"loaded {day}"

    return load


@pytest.fixture
def nightly(load):
    """A flow with options that runs one task."""

    @flow(name="nightly", version="7", retries=2, retry_delay_seconds=5)
    def nightly(day: str = "monday", regions: set | None = None):
        return load(day)

    return nightly


@pytest.fixture
def hourly():
    """A flow that does nothing."""

    @flow
    def hourly():
        return True

    return hourly
