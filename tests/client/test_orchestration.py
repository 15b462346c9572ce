"""The two clients: one implementation, cheap to import, and what the store says if it cannot."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys

import pytest

from penstock.client import (
    PenstockClient,
    PrefectClient,
    SyncPenstockClient,
    SyncPrefectClient,
    get_client,
)
from penstock.client.local import LocalPort
from penstock.exceptions import StoreUnusable
from penstock.settings import PENSTOCK_STORE_URL, temporary_settings
from penstock.store import Store, get_store
from penstock.store.urls import without_password


def methods_of(client):
    return {
        name: member
        for name, member in inspect.getmembers(client)
        if not name.startswith("_") and callable(member)
    }


def test_the_clients_have_the_same_methods():
    plain, awaited = methods_of(SyncPenstockClient), methods_of(PenstockClient)

    assert set(plain) == set(awaited)
    for name, method in awaited.items():
        assert inspect.iscoroutinefunction(method), name
        assert inspect.signature(method) == inspect.signature(plain[name])
        assert method.__doc__ == plain[name].__doc__
        assert method.__doc__, f"{name} says what it does"


def test_the_names_of_migrating_programs_are_there():
    from penstock.client.orchestration import PrefectClient as Again

    assert PrefectClient is PenstockClient is Again
    assert SyncPrefectClient is SyncPenstockClient


def test_a_client_is_used_in_a_block():
    with get_client(sync_client=True) as client:
        assert isinstance(client, SyncPenstockClient)

    async def main():
        async with get_client() as client:
            assert isinstance(client, PenstockClient)
            return await client.read_flow_runs()

    assert asyncio.run(main()) == []


def test_the_event_loop_is_not_held_up():
    """A call that waits for the store leaves the loop free for others."""

    async def main():
        async with get_client() as client:
            holding = asyncio.Event()
            loop = asyncio.get_running_loop()

            def hold(execute):
                loop.call_soon_threadsafe(holding.set)
                return asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(30)

            blocked = asyncio.create_task(asyncio.to_thread(get_store().transact, hold))
            await holding.wait()
            # Both need the writer; the loop must stay free for the first to end.
            made = await client.create_flow_from_name("nightly")
            await blocked
            return made

    assert asyncio.run(main())


def test_many_calls_may_be_awaited_at_once():
    async def main():
        async with get_client() as client:
            names = [f"flow-{index % 5}" for index in range(20)]
            ids = await asyncio.gather(*map(client.create_flow_from_name, names))
            return len(set(ids)), await client.count_flows()

    assert asyncio.run(main()) == (5, 5)


def test_the_store_says_hello(any_client):
    assert any_client.hello() == without_password(get_store().url)
    assert any_client.api_healthcheck() is None


def test_what_is_wrong_with_the_store_is_told(any_client, tmp_path):
    with temporary_settings({PENSTOCK_STORE_URL: f"sqlite:///{tmp_path}"}):
        problem = any_client.api_healthcheck()

        assert isinstance(problem, StoreUnusable)
        assert "is a directory" in str(problem)
        with pytest.raises(StoreUnusable, match="is a directory"):
            any_client.hello()


def test_a_client_knows_where_the_records_are(client):
    assert client.api_url == get_client().api_url == without_password(get_store().url)


def test_the_store_of_the_settings_in_force_is_read(client, tmp_path):
    client.create_flow_from_name("here")
    elsewhere = f"sqlite:///{tmp_path / 'other.db'}"

    with temporary_settings({PENSTOCK_STORE_URL: elsewhere}):
        assert client.read_flows() == []
    assert [flow.name for flow in client.read_flows()] == ["here"]


def test_a_client_can_be_given_its_store(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'given.db'}")
    client = SyncPenstockClient(LocalPort(store))

    client.create_flow_from_name("there")

    assert client.api_url == store.url
    assert get_client(sync_client=True).read_flows() == []
    store.close()


FRUGAL = """
import sys
from penstock.client import get_client
client = get_client(sync_client=True)
client.read_flow_runs(limit=5)
client.create_flow_from_name("nightly")
one_run = {"any_": ["01890a5d-ac96-774b-bcce-b302099a8057"]}
client.read_logs({"flow_run_id": one_run}, sort="ID_ASC")
print(sorted({"asyncio", "sqlalchemy", "pydantic", "alembic"} & set(sys.modules)))
"""


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_plain_reads_load_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-c", FRUGAL], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == "[]"
