"""What is mapped over, what every child gets whole, and what is refused (spec 3.9)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from typing import Any

import pytest

from penstock import allow_failure, flow, task, unmapped
from penstock.exceptions import (
    MappingLengthMismatch,
    MappingMissingIterable,
    UnfinishedRun,
    UpstreamTaskError,
)
from penstock.states import Completed
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from penstock.utilities.annotations import quote


@task
def pairs(x, y=None):
    return x, y


@task
def gives(x):
    return x


@task
def fails(text="boom"):
    raise ValueError(text)


@task
async def pairs_async(x, y=None):
    await asyncio.sleep(0)
    return x, y


def run(work, **options):
    """Run `work` as a flow's body; give what it returns, whatever its tasks came to."""
    given = []

    @flow(**options)
    def runs():
        given.append(work())
        return "fine"

    runs()
    return given[0]


def mapped(*args, of=pairs, **kwargs):
    """Map over the arguments that `make` gives, and give the values."""
    return run(lambda: [future.result() for future in of.map(*args, **kwargs)])


# -- what is iterated -----------------------------------------------------------------------------


class OwnIterable:
    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items)


class OldIterable:
    def __getitem__(self, index):
        return [1, 2][index]


ITERABLES = {
    "list": lambda: [1, 2],
    "tuple": lambda: (1, 2),
    "range": lambda: range(1, 3),
    "set": lambda: {1, 2},
    "dictionary, by its keys": lambda: {1: "a", 2: "b"},
    "ordered dictionary": lambda: OrderedDict({1: "a", 2: "b"}),
    "own dictionary": lambda: defaultdict(int, {1: 0, 2: 0}),
    "generator": lambda: (n for n in (1, 2)),
    "iterator": lambda: iter([1, 2]),
    "map object": lambda: map(int, "12"),
    "view": {1: 0, 2: 0}.keys,
    "own class": lambda: OwnIterable([1, 2]),
    "old protocol": OldIterable,
    "quoted": lambda: quote([1, 2]),
    "allowed to fail": lambda: allow_failure([1, 2]),
}


@pytest.mark.parametrize("kind", ITERABLES)
@pytest.mark.parametrize("of", [pairs, pairs_async], ids=["sync", "async"])
def test_iterables(kind, of):
    assert mapped(ITERABLES[kind](), of=of) == [(1, None), (2, None)]


@pytest.mark.parametrize("kind", ["list", "tuple", "range", "set", "own class", "generator"])
def test_iterables_that_a_task_gave(kind):
    def work():
        return [future.result() for future in pairs.map(gives.submit(ITERABLES[kind]()))]

    assert run(work) == [(1, None), (2, None)]


WHOLE = [5, None, "text", b"bytes", bytearray(b"x"), 1.5, object()]


@pytest.mark.parametrize("value", WHOLE, ids=[type(value).__name__ for value in WHOLE])
def test_what_every_child_gets_whole(value):
    assert mapped([1, 2], value) == [(1, value), (2, value)]


def test_columns_of_a_table():
    class Table:
        """Like a data frame: iterating gives the names of the columns."""

        columns = ("a", "b")

        def __iter__(self):
            return iter(self.columns)

        def __eq__(self, other):
            raise AssertionError("tables are not compared")

        __hash__ = None

    assert mapped(Table()) == [("a", None), ("b", None)]


def test_several_iterables_go_side_by_side():
    assert mapped([1, 2], y=(3, 4)) == [(1, 3), (2, 4)]


@pytest.mark.parametrize("value", [[3, 4, 5], "text", None, {}], ids=repr)
def test_unmapped(value):
    assert mapped([1, 2], unmapped(value)) == [(1, value), (2, value)]


def test_an_unmapped_generator_is_given_to_each_child_whole():
    numbers = (n for n in range(2))

    assert mapped([1, 2], unmapped(numbers)) == [(1, [0, 1]), (2, [0, 1])]


def test_a_default_is_static_even_when_it_can_be_iterated():
    @task
    def takes(x, y=(1, 2, 3)):
        return x, y

    assert mapped([1, 2], of=takes) == [(1, (1, 2, 3)), (2, (1, 2, 3))]
    assert mapped([1, 2], [7, 8], of=takes) == [(1, 7), (2, 8)]


@pytest.mark.parametrize("empty", [[], (), {}, set(), range(0)], ids=repr)
def test_nothing_in_it(empty, records):
    assert mapped(empty) == []
    assert records.task_runs() == []


def test_nothing_in_it_gives_no_states():
    assert run(lambda: pairs.map([], return_state=True)) == []


def test_variadic_arguments():
    """`**named` are mapped over each by itself; `*rest` is one parameter, a tuple."""

    @task
    def takes(first, *rest, **named):
        return first, rest, named

    assert mapped([1, 2], [3, 4], [5, 6], key=["a", "b"], whole=9, of=takes) == [
        (1, (3, 4), {"key": "a", "whole": 9}),
        (2, (5, 6), {"key": "b", "whole": 9}),
    ]
    assert mapped([1, 2, 3], of=takes) == [(1, (), {}), (2, (), {}), (3, (), {})]
    assert mapped(5, key=["a", "b"], of=takes) == [(5, (), {"key": "a"}), (5, (), {"key": "b"})]


def test_keyword_arguments_only():
    @task
    def takes(*, x, **named):
        return x, named

    assert mapped(x=[1, 2], y=["a", "b"], of=takes) == [(1, {"y": "a"}), (2, {"y": "b"})]


# -- what is refused ------------------------------------------------------------------------------


def test_nothing_that_can_be_iterated(records):
    with pytest.raises(MappingMissingIterable, match=r"'pairs'.*x: int, y: str.*list"):
        mapped(1, "text")
    assert records.task_runs() == []


def test_no_parameters_at_all():
    with pytest.raises(MappingMissingIterable, match=r"'nothing'.*none"):
        mapped(of=task(lambda: 1, name="nothing"))


def test_all_unmapped():
    with pytest.raises(MappingMissingIterable):
        mapped(unmapped([1]), unmapped([2]))


@pytest.mark.parametrize("of", [pairs, pairs_async], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(([1, 2], [1, 2, 3]), {}), (([1, 2],), {"y": []}), (([1, 2],), {"y": range(3)})],
    ids=repr,
)
def test_lengths_that_differ(args, kwargs, of, records):
    with pytest.raises(MappingLengthMismatch, match=rf"{of.name}.*'x': 2, 'y': \d.*unmapped"):
        mapped(*args, of=of, **kwargs)
    assert records.task_runs() == []


def test_in_an_async_flow_it_is_raised_where_the_map_is_awaited():
    @flow
    async def runs():
        with pytest.raises(MappingLengthMismatch):
            await pairs_async.map([1], [1, 2])
        with pytest.raises(MappingMissingIterable):
            await pairs_async.map(1)
        return "fine"

    assert asyncio.run(runs()) == "fine"


# -- futures and states ---------------------------------------------------------------------------


class TestUpstreams:
    def test_a_future_is_mapped_over(self):
        assert mapped_over(lambda: gives.submit([1, 2])) == [1, 2]

    def test_a_state_is_mapped_over(self):
        assert mapped_over(lambda: gives([1, 2], return_state=True)) == [1, 2]

    def test_a_state_made_by_hand_is_mapped_over(self):
        assert mapped_over(lambda: Completed(data=[1, 2])) == [1, 2]

    def test_a_list_of_futures(self):
        assert mapped_over(lambda: [gives.submit(1), gives.submit(2)]) == [1, 2]

    def test_the_futures_of_another_map(self):
        assert mapped_over(lambda: gives.map(gives.map([1, 2]))) == [1, 2]

    def test_futures_deep_in_the_elements(self):
        built = lambda: [{"a": [gives.submit(1)]}, {"a": [gives.submit(2)]}]
        assert mapped_over(built) == [{"a": [1]}, {"a": [2]}]

    def test_an_unmapped_future_is_given_to_each_child_whole(self):
        work = lambda: [f.result() for f in pairs.map([1, 2], unmapped(gives.submit([7, 8])))]
        assert run(work) == [(1, [7, 8]), (2, [7, 8])]

    def test_a_future_of_something_that_cannot_be_iterated(self):
        work = lambda: [f.result() for f in pairs.map([1, 2], gives.submit(7))]
        assert run(work) == [(1, 7), (2, 7)]

    @pytest.mark.parametrize("made", [fails.submit, lambda: fails(return_state=True)])
    def test_one_that_did_not_complete_is_raised_to_the_caller(self, made, records):
        def work():
            with pytest.raises(UpstreamTaskError, match="did not reach a 'COMPLETED' state"):
                gives.map(made())

        run(work)
        assert records.task_runs("gives") == []

    def test_an_element_that_did_not_complete_blocks_its_child_only(self, records):
        def work():
            first, second = gives.map([fails.submit(), gives.submit(2)])
            with pytest.raises(UnfinishedRun):
                first.result()
            return second.result()

        assert run(work) == 2

    def test_a_whole_future_that_may_fail_is_given_to_each_child(self):
        def work():
            allowed = allow_failure(fails.submit())
            return [future.result() for future in pairs.map([1, 2], allowed)]

        values = run(work)

        assert [x for x, _ in values] == [1, 2]
        assert all(isinstance(error, ValueError) for _, error in values)

    def test_an_unmapped_failure_that_may_be_one(self):
        def work():
            allowed = unmapped(allow_failure(fails.submit()))
            return [future.result() for future in pairs.map([1, 2], allowed)]

        assert all(isinstance(error, ValueError) for _, error in run(work))

    def test_elements_that_may_fail(self):
        def work():
            futures = [fails.submit(), gives.submit(2)]
            return [future.result() for future in gives.map(allow_failure(futures))]

        failed, two = run(work)

        assert isinstance(failed, ValueError)
        assert two == 2

    def test_quoted_elements_are_not_looked_into(self):
        names = task(lambda x: type(x).__name__, name="names")

        def work():
            return [future.result() for future in names.map(quote([gives.submit(1), 2]))]

        assert run(work) == ["PenstockFuture", "int"]


def mapped_over(build) -> list[Any]:
    return run(lambda: [future.result() for future in gives.map(build())])


# -- runners and records --------------------------------------------------------------------------

RUNNERS = [SequentialTaskRunner(), ConcurrentTaskRunner(), ConcurrentTaskRunner(max_workers=1)]


@pytest.mark.parametrize("runner", RUNNERS, ids=["sequential", "threads", "one thread"])
def test_the_futures_are_in_the_order_of_the_elements(runner, records):
    def work():
        return [future.result() for future in gives.map(range(100))]

    assert run(work, task_runner=runner) == list(range(100))

    by_name = {r.name: r.state.result() for r in records.task_runs()}
    assert by_name == {f"gives-{n}": n for n in range(100)}


def test_one_that_fails_leaves_the_others_alone(records):
    @task
    def odd(n):
        if n % 2 == 0:
            raise ValueError(f"{n} is even")
        return n

    states = run(lambda: odd.map(range(4), return_state=True))

    assert [state.name for state in states] == ["Failed", "Completed", "Failed", "Completed"]
    assert str(states[2].result(raise_on_failure=False)) == "2 is even"


def test_children_are_retried_each_on_its_own(records):
    tries = []

    @task(retries=2)
    def flaky(n):
        tries.append(n)
        if tries.count(n) <= n:
            raise ValueError("not yet")
        return n

    assert mapped(range(3), of=flaky) == [0, 1, 2]
    assert sorted(tries) == [0, 1, 1, 2, 2, 2]
    assert [r.run_count for r in records.task_runs()] == [1, 2, 3]


def test_in_a_task():
    @task
    def parent():
        return [future.result() for future in gives.map([1, 2])]

    assert run(parent) == [1, 2]


def test_of_a_task_with_other_options(records):
    of = gives.with_options(name="other", tags=["x"])

    assert mapped([1, 2], of=of) == [1, 2]
    assert [(r.name, r.tags) for r in records.task_runs()] == [
        ("other-0", ["x"]),
        ("other-1", ["x"]),
    ]
