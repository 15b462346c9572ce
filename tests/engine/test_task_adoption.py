"""Task runs met again by a second execution of their flow run (DESIGN 5; PAINS 19, 22)."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections import Counter
from typing import Any

import pytest

from penstock import flow, get_client, task, unmapped
from penstock.exceptions import MissingResult
from penstock.states import Completed, Failed
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from penstock.utilities.annotations import quote


@pytest.fixture
def executed():
    """How often each thing was executed."""
    return Counter()


@pytest.fixture
def adds(executed):
    @task
    def adds(x, y=1):
        executed["adds"] += 1
        return [x, y]

    return adds


def executions(count, work, **options):
    """Execute a flow run `count` times: each but the last fails when its work is done."""
    values = []

    @flow(name="runs", retries=count - 1, **options)
    def runs():
        values.append(work(len(values)))
        if len(values) < count:
            raise ValueError("once more")
        return "fine"

    assert runs() == "fine"
    return values


def warned(records):
    return sum("executed again: its inputs differ" in line for line in records.logs())


@dataclasses.dataclass
class Point:
    x: Any


class Plain:
    def __init__(self, x):
        self.x = x


# -- the same inputs ------------------------------------------------------------------------------

SAME = {
    "number": lambda: 7,
    "text": lambda: "a text" * 1000,
    "none": lambda: None,
    "list": lambda: [1, [2, {"a": (3,)}]],
    "set": lambda: {"b", "a", "c"},
    "dataclass": lambda: Point([1]),
    "object": lambda: Plain(1),
    "large": lambda: b"x" * 200_000,
    "function": lambda: len,
    "quoted": lambda: quote([1]),
    "generator": lambda: (n for n in range(3)),
}


@pytest.mark.parametrize("how", ["call", "submit", "map"])
@pytest.mark.parametrize("kind", SAME)
def test_the_same_inputs(kind, how, executed, records):
    @task
    def sees(x, y=1):
        executed["sees"] += 1
        return type(x).__name__

    def work(_):
        value = SAME[kind]()
        if how == "call":
            return sees(value)
        if how == "submit":
            return sees.submit(value).result()
        return sees.map(unmapped(value), [1])[0].result()

    first, second = executions(2, work)

    assert first == second
    assert executed["sees"] == 1
    assert warned(records) == 0
    assert len(records.task_runs()) == 1


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner(max_workers=2)])
def test_inputs_that_come_from_other_runs(runner, adds, executed, records):
    def work(_):
        first = adds.submit(1)
        second = adds.submit({"a": [first]})
        return [f.result() for f in adds.map([second, adds(first, return_state=True)], y=first)]

    first, second = executions(2, work, task_runner=runner)

    assert first == second
    assert executed["adds"] == 5
    assert warned(records) == 0


def test_inputs_that_come_from_a_run_that_is_executed_again(adds, executed, records):
    """They count by the run they come from, whatever it gives this time (DESIGN 5)."""

    @task(persist_result=False)
    def forgets():
        executed["forgets"] += 1
        return executed["forgets"]

    first, second = executions(2, lambda _: adds.submit(forgets.submit()).result())

    assert first == second == [1, 1]
    assert executed == {"forgets": 2, "adds": 1}
    assert warned(records) == 0


def test_what_it_waits_for_is_no_input(adds, executed):
    def work(attempt):
        return adds(1, wait_for=[adds.submit(attempt)])

    executions(2, work)

    assert executed["adds"] == 3


def test_async_tasks(executed):
    @task
    async def gives(x):
        executed[x] += 1
        return x

    values = []

    @flow(retries=1)
    async def runs():
        submitted = await gives.submit("submitted")
        values.append(await asyncio.gather(gives("a"), gives("b"), submitted.result()))
        if len(values) == 1:
            raise ValueError("once more")
        return "fine"

    assert asyncio.run(runs()) == "fine"
    assert values == [["a", "b", "submitted"]] * 2
    assert executed == {"a": 1, "b": 1, "submitted": 1}


# -- other inputs ---------------------------------------------------------------------------------

OTHER = {
    "number": lambda n: n,
    "type": lambda n: [1, 1.0][n],
    "list": lambda n: [1, [2, n]],
    "set": lambda n: {"a", n},
    "dictionary": lambda n: {"a": {"b": n}},
    "dataclass": lambda n: Point([n]),
    "object": Plain,
    "size": lambda n: b"x" * (200_000 + n),
    "class": lambda n: [Point, Plain][n](1),
    "function": lambda n: [len, max][n],
    "quoted": lambda n: quote([n]),
}


@pytest.mark.parametrize("how", ["call", "submit", "map"])
@pytest.mark.parametrize("kind", OTHER)
def test_other_inputs_are_executed_again_and_it_is_said(kind, how, executed, records):
    @task
    def sees(x, y=1):
        executed["sees"] += 1
        return executed["sees"]

    def work(attempt):
        value = OTHER[kind](attempt)
        if how == "call":
            return sees(value)
        if how == "submit":
            return sees.submit(value).result()
        return sees.map(unmapped(value), [1])[0].result()

    assert executions(2, work) == [1, 2]
    assert warned(records) == 1


def test_inputs_that_come_from_another_run(adds, executed, records):
    def work(attempt):
        futures = [adds.submit(1), adds.submit(1)]
        return adds.submit(futures[attempt]).result()

    executions(2, work)

    assert executed["adds"] == 4
    assert warned(records) == 1


def test_a_value_in_place_of_a_future(executed, adds, records):
    def work(attempt):
        future = adds.submit(1)
        return adds.submit(future if attempt == 0 else [1, 1]).result()

    first, second = executions(2, work)

    assert first == second
    assert executed["adds"] == 3
    assert warned(records) == 1


def test_another_default(executed, records):
    values = []

    def make(default):
        @task(name="gives")
        def gives(x=default):
            executed["gives"] += 1
            return x

        return gives

    tasks = [make(1), make(2)]
    values = executions(2, lambda attempt: tasks[attempt]())

    assert values == [1, 2]
    assert executed["gives"] == 2


def test_the_newest_record_counts_in_a_third_execution(adds, executed, records):
    inputs = [1, 2, 2]

    values = executions(3, lambda attempt: adds(inputs[attempt]))

    assert values == [[1, 1], [2, 1], [2, 1]]
    assert executed["adds"] == 2
    assert warned(records) == 1


def test_another_order_of_calls_executes_what_it_has_to(executed, records):
    """Calls are met by task and position: what was given to another is not taken for it."""

    @task
    def gives(x):
        executed[x] += 1
        return x

    orders = ["abc", "acb"]
    values = executions(2, lambda attempt: [gives(x) for x in orders[attempt]])

    assert values == [["a", "b", "c"], ["a", "c", "b"]]
    assert executed == {"a": 1, "b": 2, "c": 2}
    assert warned(records) == 2


def test_another_branch_is_another_task(executed):
    first = task(lambda: executed.update(["first"]) or "first", name="first")
    second = task(lambda: executed.update(["second"]) or "second", name="second")

    values = executions(2, lambda attempt: [first, second][attempt]())

    assert values == ["first", "second"]


def test_more_and_fewer_calls(adds, executed):
    counts = [2, 3, 1]

    values = executions(3, lambda attempt: [adds(n) for n in range(counts[attempt])])

    assert [len(value) for value in values] == counts
    assert executed["adds"] == 3


def test_a_branch_does_not_disturb_the_numbers_of_another(executed, records):
    """The calls of a task run are numbered within it (DESIGN 5, identity)."""

    @task
    def inner(x):
        executed[x] += 1
        return x

    @task
    def outer(name, n):
        return [inner(f"{name}{i}") for i in range(n)]

    def work(attempt):
        if attempt:
            outer("new", 2)
        futures = [outer.submit("a", 2), outer.submit("b", 3)]
        return [future.result() for future in futures]

    # The first execution breaks off within `outer`, so that it is executed again.
    values = executions(2, lambda attempt: work(0))

    assert values[0] == values[1] == [["a0", "a1"], ["b0", "b1", "b2"]]
    assert set(executed.values()) == {1}


# -- what came of it ------------------------------------------------------------------------------


def test_histories(adds, records, history):
    executions(2, lambda _: adds(1))

    made = records.task_run()
    assert history(made) == ["Pending", "Running", "Completed"]
    assert made.flow_run_run_count == 1
    assert records.flow_run().run_count == 2


def test_one_that_failed_goes_on_with_its_record(executed, records, history):
    @task(retries=1)
    def fails():
        executed["fails"] += 1
        if executed["fails"] < 4:
            raise ValueError("boom")
        return "done"

    executions(2, lambda _: fails(return_state=True))

    made = records.task_run()
    again = ["Failed", "Pending", "Retrying", "AwaitingRetry", "Retrying", "Completed"]
    assert history(made)[:4] == ["Pending", "Running", "AwaitingRetry", "Retrying"]
    assert [name for name in history(made)[4:] if name != "Pending"] == [
        name for name in again if name != "Pending"
    ]
    assert made.run_count == 2
    assert made.flow_run_run_count == 2


def test_its_result_is_linked_again(adds, records):
    takes = task(lambda x: x, name="takes")

    def work(attempt):
        value = adds(1)
        if attempt:
            takes(value)

    executions(2, work)

    assert [source.id for source in records.task_run("takes").task_inputs["x"]] == [
        records.task_run("adds").id
    ]


def test_hooks_are_not_run_again(executed):
    made = task(lambda: 1, name="made", on_completion=[lambda **_: executed.update(["hook"])])

    executions(2, lambda _: (made(), made.submit().result()))

    assert executed["hook"] == 2


def test_what_a_task_that_failed_had_finished_is_not_executed_again(executed, records):
    @task
    def inner(n):
        executed[f"inner {n}"] += 1
        return n

    @task
    def outer():
        values = [inner(1), inner.submit(2).result()]
        executed["outer"] += 1
        if executed["outer"] == 1:
            raise ValueError("boom")
        return values

    first, second = executions(2, lambda _: outer(return_state=True))

    assert first.is_failed()
    assert second.result() == [1, 2]
    assert executed == {"inner 1": 1, "inner 2": 1, "outer": 2}


def test_a_result_that_cannot_be_read_any_more(adds, executed, records, penstock_home):
    """Its file is gone: the run has completed, and says why its value is not to be had."""

    @task(persist_result=True)
    def keeps():
        executed["keeps"] += 1
        return [1]

    def work(attempt):
        if attempt:
            for path in (penstock_home / "storage").iterdir():
                path.unlink()
        state = keeps(return_state=True)
        if attempt == 0:
            return state.result()
        with pytest.raises(MissingResult, match="is gone"):
            state.result()
        return "gone"

    assert executions(2, work) == [[1], "gone"]


# -- results that are not there -------------------------------------------------------------------


@pytest.mark.parametrize("persist", [None, True, False])
def test_a_value_that_could_not_be_recorded_is_made_again(persist, executed, records):
    @task(persist_result=persist)
    def locks():
        executed["locks"] += 1
        return threading.Lock()

    first, second = executions(2, lambda _: locks())

    assert type(first) is type(second) is type(threading.Lock())
    assert executed["locks"] == 2
    assert len(records.task_runs()) == 1


@pytest.mark.parametrize(("persist", "count"), [(None, 1), (True, 1), (False, 2)])
def test_a_run_that_was_completed_by_hand(persist, count, executed, records):  # spec 3.12, step 5
    @task(persist_result=persist)
    def fails():
        executed["fails"] += 1
        raise ValueError("boom")

    @flow
    def runs():
        return "by hand" if fails(return_state=True).is_completed() else Failed()

    assert runs(return_state=True).is_failed()
    with get_client(sync_client=True) as client:
        client.set_task_run_state(records.task_run().id, Completed(), force=True)

    state = runs.resume(records.flow_run().id, return_state=True)

    assert executed["fails"] == count
    assert state.is_completed() is (count == 1)
