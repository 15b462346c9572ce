"""Flows that somebody cancels at each of their effects: they end, and nothing of them is left."""

from __future__ import annotations

import asyncio

import pytest

from penstock import flow, task
from penstock.client.transitions import set_flow_run_state
from penstock.states import Cancelling
from penstock.store import Store
from penstock.testing import Simulation


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "CRITICAL")


@task
def add(one, other):
    return one + other


@task
async def async_add(one, other):
    await asyncio.sleep(0.1)
    return one + other


@flow
def inner(number):
    later = [add.submit(number, index) for index in range(3)]
    return sum(one.result() for one in later)


@flow
def outer():
    return add(inner(1), 1) + sum(one.result() for one in add.map([1, 2], 3))


@flow
async def asynchronous():
    first, second = await asyncio.gather(async_add(1, 2), async_add(3, 4))
    return add(first, second)


@pytest.mark.parametrize("each", [inner, outer, asynchronous], ids=lambda each: each.name)
@pytest.mark.parametrize("seed", range(2))
def test_it_ends_wherever_it_is_cancelled(tmp_path, each, seed):
    parameters = {"number": 1} if each is inner else None
    whole = Simulation(seed, tmp_path / "whole.db")
    points = len(whole.run(each, parameters).points)
    whole.close()
    endings = set()
    for point in range(points):
        path = tmp_path / f"{point}.db"
        simulation = Simulation(seed, path)

        def ask(simulation=simulation, path=path):
            run_id = simulation.flow_run_id
            if run_id is not None:
                store = Store(f"sqlite:///{path}")
                set_flow_run_state(store, run_id, Cancelling(), force=False)
                store.close()

        life = simulation.run(each, parameters, stall_at=point, meanwhile=ask)
        simulation.recorder.finish()
        assert simulation.violations == [], point
        store = Store(f"sqlite:///{path}")
        run = store.read_flow_run(simulation.flow_run_id)
        left = [one for one in store.read_task_runs(run.id) if not one.state.is_final()]
        store.close()
        simulation.close()
        assert run.state.is_final(), (point, life.answer())
        assert left == [], point
        endings.add(run.state.name)
    assert endings == {"Cancelled", "Completed"}
