"""Async flows whose store is on a server: the event loop never waits for it."""

import asyncio

import pytest

from penstock import flow, task
from penstock.client import get_client
from penstock.settings import reload_settings
from penstock.store import get_store


@task
async def double(x):
    await asyncio.sleep(0)
    return 2 * x


@pytest.fixture
def records_on_server(postgres_url, monkeypatch):
    monkeypatch.setenv("PENSTOCK_STORE_URL", postgres_url)
    reload_settings()


def recorded():
    with get_client(sync_client=True) as client:
        return sorted(run.state_name for run in client.read_task_runs())


@pytest.mark.usefixtures("records_on_server")
def test_many_at_once():
    @flow
    async def doubled():
        return await asyncio.gather(*[double(x) for x in range(50)])

    assert asyncio.run(doubled()) == [2 * x for x in range(50)]
    assert recorded() == ["Completed"] * 50


@pytest.mark.usefixtures("records_on_server")
def test_the_loop_goes_on_while_the_server_is_away(postgres_server):
    is_away = asyncio.Event()

    async def outage():
        postgres_server.stop()
        is_away.set()
        # The task's commit is tried meanwhile: were the loop kept by it, nobody would go on.
        for _ in range(5):
            await asyncio.sleep(0.02)
        await asyncio.to_thread(postgres_server.start)

    @flow
    async def survives():
        away = asyncio.create_task(outage())
        await is_away.wait()
        doubled = await double(21)
        await away
        return doubled

    assert asyncio.run(survives()) == 42
    assert recorded() == ["Completed"]


@pytest.mark.usefixtures("records_on_server")
def test_what_is_cancelled_in_the_middle_of_its_commit_is_recorded():
    """Like any call that is cancelled: it is over, Crashed, and nothing of it comes later."""

    @flow
    async def ended():
        journal = get_store().journal
        await asyncio.to_thread(journal.hold)
        running = asyncio.create_task(double(1))
        while not journal._waiting:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
        running.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        was_done = running.done()
        await asyncio.to_thread(journal.release)
        with pytest.raises(asyncio.CancelledError):
            await running
        return was_done

    assert asyncio.run(ended()) is False
    assert len(recorded()) == 1
