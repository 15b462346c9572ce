"""The simulation itself: a seed gives one run, time is virtual, and defects are found."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from penstock import clock, flow, task, world
from penstock.engine import task_transitions
from penstock.engine.execution import Execution
from penstock.exceptions import Abort
from penstock.futures import PenstockFuture
from penstock.store import Store, journal, sqlite
from penstock.store import statements as sql
from penstock.testing import (
    Simulation,
    Stuck,
    checking,
    crash_sweep,
    fault_sweep,
    stall_sweep,
    sweeping,
)

SEEDS = range(12)


@pytest.fixture
def simulate(tmp_path):
    """Give what makes a simulation on a fresh store."""
    made = []

    def make(seed=0, **options):
        made.append(Simulation(seed, tmp_path / f"{len(made)}.db", **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def promises(sweep):
    return {violation.promise for _, violations in sweep.failures for violation in violations}


@task
def double(number):
    return 2 * number


@flow
def mapped():
    return sum(future.result() for future in double.map([1, 2, 3]))


@flow
def chain():
    return double(double(double(1)))


@flow
async def gathered():
    @task
    async def later(number):
        await asyncio.sleep(number)
        return number

    return await asyncio.gather(later(3), later(1), later(2))


# -- order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", [mapped, gathered], ids=lambda each: each.name)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_seed_gives_the_same_run(simulate, each, seed):
    one, other = simulate(seed), simulate(seed)

    lives = one.run(each), other.run(each)

    assert lives[0].points == lives[1].points
    assert one.flow_run_id == other.flow_run_id
    assert lives[0].value == lives[1].value


def test_another_seed_gives_another_order(simulate):
    orders = {tuple(simulate(seed).run(mapped).points) for seed in SEEDS}

    assert len(orders) > len(SEEDS) / 2


def test_threads_take_turns_within_functions(simulate):
    def order_of(seed):
        order = []

        @task
        def twice(name):
            order.append(name)
            clock.sleep(0.001)
            order.append(name)

        @flow
        def both():
            twice.map(["a", "b"])

        simulate(seed).run(both)
        return "".join(order)

    assert len({order_of(seed) for seed in SEEDS}) > 2


# -- time -----------------------------------------------------------------------------------------


def test_hours_pass_at_once(simulate):
    @task(retries=1, retry_delay_seconds=3600)
    def second_time(times):
        times.append(clock.epoch())
        if len(times) == 1:
            raise ConnectionError
        clock.sleep(7200)

    @flow
    def slow():
        second_time(times)

    times = []
    simulation = simulate()
    began = time.monotonic()
    simulation.run(slow)

    assert times[1] - times[0] == pytest.approx(3600, abs=1)
    assert simulation.clock.monotonic() == pytest.approx(3600 + 7200, abs=1)
    assert time.monotonic() - began < 30


def test_a_lease_is_extended_while_its_owner_sleeps(simulate):
    @flow
    def slow():
        clock.sleep(3600)
        held.append(simulation.reader.read("select lease_expires from flow_run")[0][0])
        return clock.epoch()

    held = []
    simulation = simulate()
    now = simulation.run(slow).value

    assert now < held[0] < now + 15


def test_async_code_sleeps_in_virtual_time(simulate):
    simulation = simulate()

    assert simulation.run(gathered).value == [3, 1, 2]
    assert simulation.clock.monotonic() == pytest.approx(3, abs=0.5)


# -- death ----------------------------------------------------------------------------------------


def test_a_dead_process_writes_nothing_more(simulate):
    @flow
    def stubborn():
        try:
            return double(1)
        finally:
            double(2)

    simulation = simulate()
    life = simulation.run(stubborn, die_at=8)

    assert life.died
    run_id = simulation.flow_run_id
    assert [run.state.name for run in simulation.reader.read_task_runs(run_id)] == ["Completed"]
    assert simulation.reader.read_flow_run(run_id).state.name == "Running"
    assert simulation.resume(stubborn).value == 2


def test_a_sweep_can_be_told_to_look_at_one_point():
    sweep = crash_sweep(chain, only=5)

    assert sweep.stops == 1
    with pytest.raises(ValueError, match="There is no point 500: the run has points 0 to"):
        crash_sweep(chain, only=500)


# -- deadlocks ------------------------------------------------------------------------------------


def test_a_deadlock_is_found_and_shown(simulate):
    @flow
    def waits_for_ever():
        lock = threading.Lock()
        lock.acquire()
        world.acquire(lock)

    with pytest.raises(Stuck, match="waits_for_ever"):
        simulate().run(waits_for_ever)


def test_two_locks_in_two_orders_deadlock_for_some_seed(simulate):
    def run(seed):
        locks = threading.Lock(), threading.Lock()

        @task
        def holds_both(first, second):
            for index in (first, second):
                world.acquire(locks[index])
                clock.sleep(0)
            for lock in locks:
                lock.release()

        @flow
        def crossed():
            holds_both.map([0, 1], [1, 0])

        simulate(seed).run(crossed)

    found = 0
    for seed in SEEDS:
        try:
            run(seed)
        except Stuck:
            found += 1

    assert 0 < found < len(SEEDS)


# -- planted defects ------------------------------------------------------------------------------


def test_a_lost_wake_up_is_found(monkeypatch):
    def set_state(future, state):
        future._state = state

    monkeypatch.setattr(PenstockFuture, "set_state", set_state)

    assert sweeping.HANGS in promises(crash_sweep(mapped))


def test_a_forgotten_commit_is_found(monkeypatch):
    commit = Execution.commit

    def forgets_tasks(execution, rows, behind=None):
        rows = [row for row in rows if row[0] != sql.WRITE_TASK_RUN]
        if rows:
            commit(execution, rows, behind)

    monkeypatch.setattr(Execution, "commit", forgets_tasks)

    assert checking.COMMITTED_FIRST in promises(crash_sweep(chain))


def test_a_value_that_is_handed_over_uncommitted_is_found(monkeypatch):
    commit = Execution.commit
    held = []

    def too_late(execution, rows, behind=None):
        if held:
            commit(*held.pop())
        if rows[0][0] == sql.WRITE_TASK_RUN:
            held.append((execution, rows, behind))
        else:
            commit(execution, rows, behind)

    monkeypatch.setattr(Execution, "commit", too_late)

    sweep = crash_sweep(chain, before_each=held.clear)

    assert checking.COMMITTED_FIRST in promises(sweep)


def test_a_second_execution_is_found(monkeypatch):
    monkeypatch.setattr(Execution, "take_recorded", lambda *_: None)

    assert checking.EXECUTED_AGAIN in promises(crash_sweep(chain))


def test_a_record_that_is_rewritten_is_found(monkeypatch):
    load = Execution.load_recorded

    def forgets_history(execution):
        load(execution)
        execution.flow_run.history[:] = execution.flow_run.history[-1:]

    monkeypatch.setattr(Execution, "load_recorded", forgets_history)

    assert checking.APPEND_ONLY in promises(crash_sweep(chain))


def test_a_fence_that_does_not_grow_is_found(monkeypatch):
    same = sql.CLAIM_FLOW_RUN.replace("fence = fence + 1,", "")
    assert same != sql.CLAIM_FLOW_RUN
    monkeypatch.setattr(sql, "CLAIM_FLOW_RUN", same)
    claim = Store.claim

    def claims(store, flow_run_id, ttl_s, silence):
        fence = claim(store, flow_run_id, ttl_s, silence)
        return journal.Fence(fence.flow_run_id, fence.token - 1)

    monkeypatch.setattr(Store, "claim", claims)

    assert checking.ONE_OWNER in promises(crash_sweep(chain))


def test_a_fence_that_nobody_looks_at_is_found(monkeypatch):
    monkeypatch.setattr(sqlite, "_check_fence", lambda *_: True)

    assert checking.ONE_OWNER in promises(stall_sweep(chain))


def test_a_living_owner_that_is_robbed_is_found(monkeypatch):
    monkeypatch.setattr(Simulation, "is_owner_alive", lambda *_: True)

    assert checking.ONE_OWNER in promises(crash_sweep(chain, only=10))


def test_an_answer_that_differs_is_found():
    calls = []

    @flow
    def counts_calls():
        calls.append(1)
        return double(len(calls))

    sweep = crash_sweep(counts_calls, before_each=calls.clear)

    assert checking.SAME_ANSWER in promises(sweep)
    with pytest.raises(AssertionError, match=r"point 5 \(before Invoke of double-0"):
        sweep.check()


def test_a_transition_that_failed_and_is_kept_is_found(monkeypatch):
    monkeypatch.setattr(task_transitions, "take_back", lambda *_: None)

    assert checking.COMMITTED_FIRST in promises(fault_sweep(chain))


def test_a_late_owner_is_told_that_it_has_lost_its_run(simulate):
    simulation = simulate(one_host=False)

    def take_over():
        simulation.clock.elapsed_s += 15
        assert simulation.resume(chain).value == 8

    life = simulation.run(chain, stall_at=6, meanwhile=take_over)

    assert isinstance(life.error, Abort)
    assert "taken over by another process" in str(life.error)
