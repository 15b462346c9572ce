"""Flows that rest until somebody lets them go on: they die, stall and fail at every effect."""

from __future__ import annotations

import asyncio

import pytest

from penstock import clock, flow, pause_flow_run, resume_flow_run, suspend_flow_run, task, world
from penstock.exceptions import NotPausedError, Pause
from penstock.runtime import flow_run
from penstock.testing import Simulation, crash_sweep, fault_sweep, stall_sweep

TRIES = 100


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "CRITICAL")


@task
def add(one, other):
    return one + other


def let_go(run_id):
    """Resume a run as soon as it rests, as another program would; it may rest no more."""

    def resume():
        for _ in range(TRIES):
            try:
                resume_flow_run(run_id)
            except NotPausedError:
                clock.sleep(0.05)
            else:
                return

    world.start_thread(resume, "somebody")


@flow
def rests():
    first = add(1, 2)
    let_go(flow_run.id)
    pause_flow_run(timeout=3600)
    later = add.submit(first, 10)
    return later.result() + add(0, 1)


@flow
async def rests_in_async_code():
    first = add(1, 2)
    let_go(flow_run.id)
    _, other = await asyncio.gather(pause_flow_run(timeout=3600), async_add(first, 1))
    return other


@task
async def async_add(one, other):
    await asyncio.sleep(0.1)
    return one + other


@flow
def outer():
    return rests() + add(1, 1)


@flow
def leaves():
    later = add.submit(1, 2)
    suspend_flow_run(timeout=3600)
    return add(later, 1)


FLOWS = [rests, rests_in_async_code, outer]
each_flow = pytest.mark.parametrize("each", FLOWS, ids=lambda each: each.name)


@each_flow
def test_a_flow_that_dies_at_any_effect_goes_on(each):
    sweep = crash_sweep(each, seed=1)
    sweep.check()
    assert any("(Paused)" in point for point in sweep.points)


@each_flow
def test_an_owner_that_comes_back_late_writes_nothing(each):
    stall_sweep(each, seed=4).check()


@each_flow
def test_a_store_that_fails_once_loses_nothing(each):
    fault_sweep(each, seed=5).check()


@pytest.mark.parametrize("seed", range(3))
def test_a_flow_that_dies_while_it_leaves_goes_on(tmp_path, seed):
    point = 0
    while True:
        simulation = Simulation(seed, tmp_path / f"{point}.db")
        life = simulation.run(leaves, die_at=point)
        died = life.died
        if simulation.flow_run_id is None:
            life = simulation.run(leaves)
        for _ in range(3):
            if not isinstance(life.error, Pause) and not life.died:
                break
            life = simulation.resume(leaves)
        simulation.recorder.finish()
        assert (life.value, simulation.violations) == (4, []), f"died at {point}"
        simulation.close()
        if not died:
            break
        point += 1
    assert point > 10
