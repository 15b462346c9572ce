"""Random flows, several at a time, on real threads and event loops: none waits for ever.

Each repetition draws flows from its seed: calls, submissions and maps of sync and async tasks that
depend on each other, tasks and flows within tasks, retries and hooks, on pools of a few workers.
They share one process, one store and one journal. A flow that is not over in time is a lost
wake-up or a deadlock, and fails with the stacks of all threads.
"""

from __future__ import annotations

import asyncio
import faulthandler
import sys
import tempfile
import threading
from random import Random

import pytest

from penstock import flow, task
from penstock.context import get_run_context
from penstock.futures import PenstockFuture
from penstock.store import get_store
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from penstock.testing import Simulation
from penstock.utilities.annotations import quote

REPETITIONS = 200
REPETITIONS_PER_TEST = 20
FLOWS_AT_ONCE = 4
TIME_LIMIT_S = 30
SIMULATIONS = 100

LEAF, ADD, MAP, TASK, FLOW = "leaf", "add", "map", "task", "flow"
CALL, SUBMIT, CALL_ASYNC, SUBMIT_ASYNC = "call", "submit", "call async", "submit async"
STYLES = (CALL, SUBMIT, SUBMIT, CALL_ASYNC, SUBMIT_ASYNC)


@pytest.fixture(autouse=True)
def eager_threads(monkeypatch):
    """Let threads and heartbeats come in between as often as can be."""
    monkeypatch.setenv("PENSTOCK_HEARTBEAT_INTERVAL_S", "0.005")
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "CRITICAL")
    former = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(former)


# -- what is drawn --------------------------------------------------------------------------------


def draw(random, depth):
    """Draw a sum: how it is made up, and which way each part of it is computed."""
    if depth == 0 or random.random() < 0.15:
        return LEAF, random.randrange(100)
    style = random.choice(STYLES)
    kind = random.choice((ADD, ADD, ADD, MAP, TASK, FLOW))
    if kind == ADD:
        return ADD, style, draw(random, depth - 1), draw(random, depth - 1)
    if kind == MAP:
        return MAP, style, [draw(random, depth - 1) for _ in range(random.randint(1, 5))]
    return kind, style, draw(random, depth - 1)


def value_of(node):
    """Compute the sum without any of it."""
    kind, *parts = node
    if kind == LEAF:
        return parts[0]
    if kind == ADD:
        return value_of(parts[1]) + value_of(parts[2])
    if kind == MAP:
        return sum(value_of(part) for part in parts[1])
    return value_of(parts[1])


# -- tasks ----------------------------------------------------------------------------------------


def fail_now_and_then(one, other):
    """Fail for some of the values, the first time that a run is tried."""
    if (one + other) % 7 == 0 and get_run_context().task_run.run_count == 1:
        raise ConnectionError


def calls_a_task(task, task_run, state):
    add(1, 1)


@task(retries=1)
def add(one, other):
    fail_now_and_then(one, other)
    return one + other


@task(retries=1, retry_delay_seconds=0.001)
async def add_async(one, other):
    fail_now_and_then(one, other)
    await asyncio.sleep(0)
    return one + other


@task
def same(value):
    return value


@task
async def same_async(value):
    await asyncio.sleep(0)
    return value


@task(on_completion=[calls_a_task])
def total(values):
    return sum(values)


@task
def within_task(node):
    return known(compute(node))


@task
async def within_async_task(node):
    return await known_async(await compute_async(node))


# -- how it is computed ---------------------------------------------------------------------------


def known(value):
    return value.result() if isinstance(value, PenstockFuture) else value


def compute(node):
    """Compute a sum from sync code; give the value or its future."""
    kind, *parts = node
    if kind == LEAF:
        return parts[0]
    style = parts[0]
    if kind == ADD:
        one, other = compute(parts[1]), compute(parts[2])
        adds = add if style in (CALL, SUBMIT) else add_async
        return adds(one, other) if style in (CALL, CALL_ASYNC) else adds.submit(one, other)
    if kind == MAP:
        gives = same if style in (CALL, SUBMIT) else same_async
        return total.submit(gives.map([compute(part) for part in parts[1]]))
    if kind == FLOW:
        return (subflow if style in (CALL, SUBMIT) else async_subflow)(parts[1])
    works = within_task if style in (CALL, SUBMIT) else within_async_task
    node = quote(parts[1])
    return works(node) if style in (CALL, CALL_ASYNC) else works.submit(node)


async def known_async(value):
    value = await value if asyncio.iscoroutine(value) else value
    if not isinstance(value, PenstockFuture):
        return value
    return await value.result() if value.asynchronous else await asyncio.to_thread(value.result)


async def compute_async(node):
    """Compute a sum from async code, its parts beside each other; give the value or its future."""
    kind, *parts = node
    if kind == LEAF:
        return parts[0]
    style = parts[0]
    if kind == ADD:
        one, other = await asyncio.gather(compute_async(parts[1]), compute_async(parts[2]))
        if style == CALL:
            return add(await known_async(one), await known_async(other))
        return await in_style(style, add, add_async, one, other)
    if kind == MAP:
        values = await asyncio.gather(*[compute_async(part) for part in parts[1]])
        is_sync = style in (CALL, SUBMIT)
        return total.submit(same.map(values) if is_sync else await same_async.map(values))
    if kind == FLOW:
        return await async_subflow(parts[1])
    style = SUBMIT if style == CALL else style
    return await in_style(style, within_task, within_async_task, quote(parts[1]))


async def in_style(style, sync_task, async_task, *args):
    if style == SUBMIT:
        return sync_task.submit(*args)
    return await (async_task(*args) if style == CALL_ASYNC else async_task.submit(*args))


@flow(validate_parameters=False)
def subflow(node):
    return known(compute(node))


@flow(validate_parameters=False)
async def async_subflow(node):
    return await known_async(await compute_async(node))


# -- repetitions ----------------------------------------------------------------------------------


def runner_of(random):
    if random.random() < 0.1:
        return SequentialTaskRunner()
    return ConcurrentTaskRunner(max_workers=random.choice((1, 1, 2, 3, 8)))


def draw_flow(seed):
    """Draw a flow: give it, and the sum that it is to compute."""
    random = Random(seed)
    node = draw(random, random.randint(3, 6))
    root = random.choice((subflow, async_subflow)).with_options(task_runner=runner_of(random))
    return root, node


def run_one(seed, outcomes):
    """Run the flow of one seed, and note whether it gave what it should."""
    root, node = draw_flow(seed)
    try:
        value = asyncio.run(root(node)) if root.isasync else root(node)
    except BaseException as error:  # noqa: BLE001 - shown by the thread that waits
        outcomes[seed] = f"{error!r} for {node}"
        return
    expected = value_of(node)
    outcomes[seed] = None if value == expected else f"{value}, not {expected}, for {node}"


def stacks():
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        return file.read()


@pytest.mark.timeout(REPETITIONS_PER_TEST * TIME_LIMIT_S)
@pytest.mark.parametrize("first", range(0, REPETITIONS, REPETITIONS_PER_TEST))
def test_flows_side_by_side_come_to_their_end(first):
    for repetition in range(first, first + REPETITIONS_PER_TEST):
        outcomes = {}
        seeds = [f"{repetition}/{number}" for number in range(FLOWS_AT_ONCE)]
        threads = [
            threading.Thread(target=run_one, args=(seed, outcomes), name=seed, daemon=True)
            for seed in seeds
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIME_LIMIT_S)
            if thread.is_alive():
                pytest.fail(f"Flow {thread.name} waits for ever:\n{stacks()}")
        assert outcomes == dict.fromkeys(seeds)
    left = get_store().read(
        "select state_name from flow_run union all select state_name from task_run"
    )
    assert {name for (name,) in left} == {"Completed"}


@pytest.mark.parametrize("seed", range(SIMULATIONS))
def test_the_same_in_a_simulation(seed, tmp_path):
    root, node = draw_flow(seed)
    simulation = Simulation(seed, tmp_path / "simulated.db")
    try:
        life = simulation.run(root, {"node": node})
        simulation.recorder.finish()
    finally:
        simulation.close()

    assert life.answer() == repr(value_of(node))
    assert simulation.violations == []
