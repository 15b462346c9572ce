"""Every crash there is: each kind of flow dies at every effect, is resumed, and is looked at."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from penstock import allow_failure, clock, flow, task, unmapped
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from penstock.tasks import task_input_hash
from penstock.testing import crash_sweep, fault_sweep, stall_sweep

failures: dict[str, int] = {}


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PENSTOCK_LOGGING_LEVEL", "CRITICAL")


def fails_first(name: str, times: int) -> None:
    """Raise the first `times` times in a process."""
    failures[name] = failures.get(name, 0) + 1
    if failures[name] <= times:
        raise ConnectionError(f"{name} is not there yet")


@task
def add(one, other):
    return one + other


@task
def total(numbers):
    return sum(numbers)


@task
def double(number):
    clock.sleep(0.01 * number)
    return 2 * number


@task
def fail(number):
    raise ValueError(f"{number} is no good")


# -- sync -----------------------------------------------------------------------------------------


@flow
def chain():
    value = 0
    for number in range(5):
        value = add(value, number)
    return value


@flow
def fan_out():
    return total.submit(double.map(range(6))).result()


@flow(task_runner=ConcurrentTaskRunner(max_workers=1))
def fan_out_with_one_worker():
    doubled = double.map([1, 2, 3])
    summed = add.map(doubled, unmapped(10))
    return total(summed)


@flow(task_runner=SequentialTaskRunner())
def one_after_the_other():
    return total.submit(double.map([1, 2, 3])).result()


@flow
def diamond():
    top = add.submit(1, 2)
    left, right = add.submit(top, 10), add.submit(top, 100)
    return add.submit(left, right).result()


@task(retries=2, retry_delay_seconds=[10, 60])
def flaky(name):
    fails_first(name, 2)
    return name


@flow
def retries_with_delays():
    background = flaky.map(["one", "other"])
    return flaky("here"), total.submit([1, 2]).result(), [each.result() for each in background]


@task(cache_key_fn=task_input_hash, cache_expiration=timedelta(hours=1))
def cached(number):
    return number + 1


@flow
def caching():
    first = cached(1)
    again = cached(1)
    third = cached.submit(1)
    fourth = cached.submit(2)
    return first, again, third.result(), fourth.result()


@flow
def innermost(number):
    return add(number, double.submit(number))


@flow
def inner(number):
    return total.submit([innermost(number), innermost(number + 1)]).result()


@flow
def subflows():
    return add(inner(1), innermost(2))


@task
def calls_tasks(number):
    return add(double(number), double.submit(number).result())


@flow
def nested_tasks():
    return [calls_tasks(1), *[each.result() for each in calls_tasks.map([2, 3])]]


@task
def calls_flow(number):
    return innermost(number)


@flow
def flows_in_tasks():
    return [calls_flow(1), calls_flow.submit(2).result()]


@flow
def failures_allowed():
    bad = fail.submit(1)
    told = told_of.submit(allow_failure(bad))
    not_reached = add.submit(bad, 1)
    after = add.submit(1, 2, wait_for=[allow_failure(bad)])
    return told.result(), not_reached.wait().name, after.result()


@task
def told_of(outcome):
    return repr(outcome)


def calls_a_task(task, task_run, state):
    add(1, 2)


@flow
def hooks_that_call_tasks():
    hooked = double.with_options(on_completion=[calls_a_task])
    failing = fail.with_options(on_failure=[calls_a_task])
    states = [future.wait() for future in (*hooked.map([1, 2]), failing.submit(1))]
    return hooked(3), [state.name for state in states]


@flow
def waits():
    first = double.submit(3)
    second = add.submit(1, 1, wait_for=[first])
    third = add(2, 2, wait_for=[second])
    return third, [each.result() for each in add.map([1, 2], [3, 4], wait_for=[first, second])]


@flow(retries=4, retry_delay_seconds=30)
def retried():
    done = [double(1), double.submit(2).result()]
    fails_first("flow", 2)
    return [*done, double(3)]


@flow
def fails_inside():
    value = add(1, 2)
    fails_first("inner flow", 1)
    return value + double(2)


@flow(retries=5, retry_delay_seconds=1)
def whose_subflow_fails():
    return double(1) + fails_inside() + innermost(2)


@flow
def fails():
    add(1, 2)
    failed = fail.submit(3)
    return failed.result() + add(3, 4)


@flow
def returns_nothing():
    double.map([1, 2])
    add(1, 2)


@flow
def whose_subflows_return_nothing():
    returns_nothing()
    returns_nothing()
    return add(3, 4)


@flow
def returns_futures():
    return {"sum": add.submit(1, 2), "list": double.map([1, 2])}


@flow
def keeps_its_results():
    kept = add.with_options(persist_result=True)
    return kept(1, kept.submit(2, 3))


@flow
def keeps_no_results():
    loose = add.with_options(persist_result=False)
    return loose(1, loose.submit(2, 3)) + double(4)


# -- async ----------------------------------------------------------------------------------------


@task
async def async_add(one, other):
    await asyncio.sleep(0.01 * one)
    return one + other


@task(retries=1, retry_delay_seconds=5)
async def async_flaky(name):
    fails_first(name, 1)
    return name


@flow
async def gathered():
    return await asyncio.gather(*[async_add(number, 1) for number in range(4)])


@flow
async def async_chain():
    value = 0
    for number in range(4):
        value = await async_add(value, number)
    return value


@flow
async def async_submitted():
    first = await async_add.submit(1, 2)
    others = await async_add.map([1, 2], [3, first])
    return [await first.result(), *[await each.result() for each in others]]


@flow
async def async_inner(number):
    return await async_add(number, 1)


@flow
async def async_mixed():
    threads = double.map([1, 2])
    inside = await asyncio.gather(async_inner(5), async_flaky("a"), async_add(1, 1))
    return inside, innermost(2), [each.result() for each in threads], add(1, 2)


@flow
def sync_with_async():
    background = async_add.submit(1, 2)
    both = [async_add(1, 2), double.submit(background).result(), async_inner(3)]
    return both, background.result()


@task
async def counts(number):
    return counts_in_sync.submit(number).result() if number else 0


@task
def counts_in_sync(number):
    return 1 + counts.submit(number - 1).result()


@flow(task_runner=ConcurrentTaskRunner(max_workers=1))
def turns_of_sync_and_async():
    return counts.submit(3).result() + counts(2)


FLOWS = [
    chain,
    fan_out,
    fan_out_with_one_worker,
    one_after_the_other,
    diamond,
    retries_with_delays,
    caching,
    subflows,
    nested_tasks,
    flows_in_tasks,
    failures_allowed,
    hooks_that_call_tasks,
    waits,
    retried,
    whose_subflow_fails,
    fails,
    returns_nothing,
    whose_subflows_return_nothing,
    returns_futures,
    keeps_its_results,
    keeps_no_results,
    gathered,
    async_chain,
    async_submitted,
    async_mixed,
    sync_with_async,
    turns_of_sync_and_async,
]


each_flow = pytest.mark.parametrize("each", FLOWS, ids=lambda each: each.name)


@each_flow
def test_a_flow_that_dies_at_any_effect_goes_on(each):
    sweep = crash_sweep(each, seed=1, before_each=failures.clear)

    sweep.check()
    assert sweep.stops == len(sweep.points) > 10


@each_flow
def test_a_flow_that_dies_twice_goes_on(each):
    crash_sweep(each, seed=2, deaths=2, before_each=failures.clear).check()


@each_flow
def test_a_dead_owner_on_another_host_is_waited_for(each):
    crash_sweep(each, seed=3, one_host=False, before_each=failures.clear).check()


@each_flow
def test_an_owner_that_comes_back_late_writes_nothing(each):
    stall_sweep(each, seed=4, before_each=failures.clear).check()


@each_flow
def test_a_store_that_fails_once_loses_nothing(each):
    fault_sweep(each, seed=5, before_each=failures.clear).check()
