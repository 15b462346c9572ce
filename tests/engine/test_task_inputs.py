"""What a task gets for futures and states among its arguments (spec 5.2, 5.4, 3.12 step 1)."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import itertools
from collections import OrderedDict
from typing import Any, NamedTuple

import pydantic
import pytest

from penstock import allow_failure, flow, task
from penstock.exceptions import PenstockException, UnfinishedRun
from penstock.states import Cancelled, Completed, Crashed, Failed, Paused, Pending, Running
from penstock.utilities.annotations import quote


@task
def gives(x):
    return x


@task
def fails(text="boom"):
    raise ValueError(text)


@task
async def gives_async(x):
    await asyncio.sleep(0)
    return x


def as_future(value):
    return gives.submit(value)


def as_state(value):
    return gives(value, return_state=True)


def as_future_of_an_async_task(value):
    return gives_async.submit(value)


def as_state_made_by_hand(value):
    return Completed(data=value)


def run(work, **options):
    """Run `work` as a flow's body; give what it returns, whatever its tasks came to."""
    given = []

    @flow(**options)
    def runs():
        given.append(work())
        return "fine"

    runs()
    return given[0]


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 0


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenPoint:
    x: Any


class Model(pydantic.BaseModel, arbitrary_types_allowed=True, extra="allow"):
    x: Any
    inner: Any = None


class Pair(NamedTuple):
    left: Any
    right: Any


class Colour(enum.Enum):
    RED = 1


# -- where they are found -------------------------------------------------------------------------

NESTED = {
    "itself": (lambda f: f(1), 1),
    "list": (lambda f: [f(1), 2, f(3)], [1, 2, 3]),
    "tuple": (lambda f: (f(1), 2), (1, 2)),
    "set": (lambda f: {f(1), 2}, {1, 2}),
    "dictionary value": (lambda f: {"a": f(1)}, {"a": 1}),
    "dictionary key": (lambda f: {f("k"): 2}, {"k": 2}),
    "ordered dictionary": (lambda f: OrderedDict(a=f(1)), OrderedDict(a=1)),
    "deep": (lambda f: {"a": [({"b": f(1)},)]}, {"a": [({"b": 1},)]}),
    "dataclass": (lambda f: Point(f(1), [f(2)]), Point(1, [2])),
    "frozen dataclass": (lambda f: FrozenPoint(f(1)), FrozenPoint(1)),
    "model": (lambda f: Model(x=f(1), inner=Model(x=[f(2)])), Model(x=1, inner=Model(x=[2]))),
    "extra of a model": (lambda f: Model(x=0, more=f(1)), Model(x=0, more=1)),
    "generator": (lambda f: (f(n) for n in (1, 2)), [1, 2]),
    "iterator": (lambda f: iter([f(1), f(2)]), [1, 2]),
}

MADE = pytest.mark.parametrize(
    "made", [as_future, as_state, as_future_of_an_async_task, as_state_made_by_hand]
)
HOW = pytest.mark.parametrize("how", ["call", "submit"])


def received(argument, how, **options):
    future_or_value = gives.submit if how == "submit" else gives
    given = future_or_value(argument, **options)
    return given.result() if how == "submit" else given


@HOW
@MADE
@pytest.mark.parametrize("where", NESTED)
def test_a_result_is_found(where, made, how):
    build, expected = NESTED[where]
    if where in ("set", "dictionary key") and made is as_state_made_by_hand:
        made = as_state

    assert run(lambda: received(build(made), how)) == expected


@HOW
def test_the_value_itself_is_passed_on(how):
    thing = object()

    assert run(lambda: received(gives.submit(thing), how)) is thing


LEAVES = [
    lambda f: Pair(f(1), 2),
    lambda f: Colour.RED,
    lambda f: "text",
    lambda f: b"bytes",
    lambda f: range(3),
    lambda f: type("Own", (), {"x": f(1)})(),
    lambda f: type("OwnList", (list,), {})([f(1)]),
    lambda f: Point,
    lambda f: Model,
]


@HOW
@pytest.mark.parametrize("build", LEAVES, ids=range(len(LEAVES)))
def test_what_is_not_looked_into_is_passed_on_as_it_is(build, how):
    def work():
        thing = build(as_future)
        return received(thing, how) is thing

    assert run(work)


@HOW
def test_a_collection_without_results_is_passed_on_as_it_is(how):
    thing = {"a": [1, (2, {3})], "b": Point(1)}

    assert run(lambda: received(thing, how)) is thing


def test_the_callers_collection_is_not_changed():
    def work():
        future = gives.submit(1)
        thing = {"a": [future]}
        gives(thing)
        return thing["a"][0] is future

    assert run(work)


def test_in_keyword_and_variadic_arguments():
    @task
    def takes(*args, key, **named):
        return args, key, named

    def work():
        return takes(gives.submit(1), [gives.submit(2)], key=gives.submit(3), x=gives.submit(4))

    assert run(work) == ((1, [2]), 3, {"x": 4})


def test_an_iterator_that_is_given_twice():
    def work():
        numbers = (as_future(n) for n in range(3))
        return gives([numbers, numbers])

    assert run(work) == [[0, 1, 2], [0, 1, 2]]


def test_an_endless_iterator_is_left_to_the_function():
    @task
    def takes(numbers, n):
        return [next(numbers) for _ in range(n)]

    assert run(lambda: takes(itertools.count(), gives.submit(3))) == [0, 1, 2]


def test_an_iterator_that_is_returned_is_left_as_it_is():
    @task
    def makes():
        return map(str, [1, 2])

    assert run(lambda: list(makes())) == ["1", "2"]


def test_in_the_default_of_a_parameter():
    state = Completed(data=5)

    @task
    def takes(x=state):
        return x

    assert run(takes) == 5


@HOW
def test_a_collection_that_contains_itself(how):
    def work():
        thing = [gives.submit(1)]
        thing.append(thing)
        return received(thing, how)[0]

    assert run(work) == 1


def test_a_part_that_is_there_twice_stays_one():
    def work():
        shared = [gives.submit(1)]
        return gives([shared, shared])

    assert run(work) == [[1], [1]]


def test_the_results_of_subflows():
    @flow
    def child(x):
        return x + 1

    def work():
        return gives([child(1, return_state=True), child(2)])

    assert run(work) == [2, 3]


@HOW
def test_a_model_that_will_not_take_the_value_says_so(how):
    class Strict(pydantic.BaseModel, arbitrary_types_allowed=True):
        x: Any

        @pydantic.field_validator("x")
        @classmethod
        def check(cls, value):
            if value == 1:
                raise ValueError("not 1")
            return value

    @dataclasses.dataclass
    class StrictPoint:
        x: Any

        def __post_init__(self):
            if self.x == 1:
                raise ValueError("not 1")

    def work(kind):
        with pytest.raises(PenstockException, match=r"'x'.*quote.*not 1") as caught:
            received(kind(x=gives.submit(1)), how)
        return caught.value

    assert isinstance(run(lambda: work(StrictPoint)), PenstockException)


# -- quote ----------------------------------------------------------------------------------------


@task
def names_types(parts):
    return [type(part).__name__ for part in parts]


def types_received(argument, how):
    return names_types.submit(argument).result() if how == "submit" else names_types(argument)


@HOW
def test_what_is_quoted_is_not_looked_into(how):
    assert run(lambda: types_received(quote([as_future(1)]), how)) == ["PenstockFuture"]


@HOW
def test_quoted_within_a_collection(how):
    def work():
        future = as_future(1)
        return types_received([quote(future), future], how)

    assert run(work) == ["PenstockFuture", "int"]


@HOW
def test_a_quoted_run_that_failed_blocks_nothing(how):
    assert run(lambda: types_received(quote([fails(return_state=True)]), how)) == ["State"]


@HOW
def test_a_quoted_generator_stays_one(how):
    @task
    def sums(numbers):
        return sum(numbers)

    def work():
        numbers = quote(n for n in range(3))
        return sums.submit(numbers).result() if how == "submit" else sums(numbers)

    assert run(work) == 3


# -- upstreams that did not complete --------------------------------------------------------------

NOT_COMPLETED = {
    "failed": Failed(message="no"),
    "timed out": Failed(name="TimedOut", message="no"),
    "crashed": Crashed(message="no"),
    "cancelled": Cancelled(message="no"),
    "pending": Pending(name="NotReady"),
    "running": Running(),
    "paused": Paused(),
}
FAILED = {"failed", "timed out"}


def submitted_state(how, *args, **options):
    made = gives.submit if how == "submit" else gives
    return made(*args, return_state=True, **options)


@HOW
@pytest.mark.parametrize("state", NOT_COMPLETED)
@pytest.mark.parametrize(
    "build", [lambda s: s, lambda s: [s], lambda s: {"a": (s,)}], ids=["whole", "list", "deep"]
)
class TestNotCompleted:
    def test_the_run_is_not_ready(self, build, state, how, records, history):
        argument = build(NOT_COMPLETED[state])

        made = run(lambda: submitted_state(how, argument))

        assert (made.type.value, made.name) == ("PENDING", "NotReady")
        assert "did not reach a 'COMPLETED' state" in made.message
        recorded = records.task_run()
        assert history(recorded) == ["Pending", "NotReady"]
        assert recorded.run_count == 0
        assert recorded.state.message == made.message

    def test_with_allow_failure(self, build, state, how, records):
        argument = allow_failure(build(NOT_COMPLETED[state]))

        made = run(lambda: submitted_state(how, argument))

        assert made.name == ("Completed" if state in FAILED else "NotReady")
        if state in FAILED:
            value = made.result()
            while isinstance(value, (list, dict, tuple)):
                value = next(iter(value.values() if isinstance(value, dict) else value))
            assert isinstance(value, Exception)
            assert str(value) == "no"

    def test_as_something_to_wait_for(self, build, state, how):
        argument = build(NOT_COMPLETED[state])

        made = run(lambda: submitted_state(how, 1, wait_for=[argument]))

        assert made.name == "NotReady"

    def test_as_something_to_wait_for_with_allow_failure(self, build, state, how):
        argument = allow_failure(build(NOT_COMPLETED[state]))

        made = run(lambda: submitted_state(how, 1, wait_for=[argument]))

        assert made.name == ("Completed" if state in FAILED else "NotReady")


class TestNotReady:
    def test_the_message_names_the_upstream(self, records):
        def work():
            return gives(fails.submit(), return_state=True)

        message = run(work).message

        upstream = records.task_run("fails")
        assert message.startswith(
            f"Upstream task run '{upstream.id}' did not reach a 'COMPLETED' state."
        )
        assert "boom" in message  # spec 13: the blocking upstream is shown

    def test_function_hooks_and_retries_are_not_touched(self, records):
        called = []

        @task(retries=3, on_failure=[lambda **_: called.append("hook")])
        def never(x):
            called.append("function")

        run(lambda: never(fails.submit(), return_state=True))

        assert called == []
        assert records.task_run("never").run_count == 0

    def test_what_depends_on_it_is_not_ready_either(self, records):
        def work():
            future = gives.submit(gives.submit(fails.submit()))
            future.wait()

        run(work)

        assert [r.state_name for r in records.task_runs("gives")] == ["NotReady", "NotReady"]

    def test_its_result_raises_unfinished(self):
        def work():
            future = gives.submit(fails.submit())
            with pytest.raises(UnfinishedRun):
                future.result()

        run(work)

    def test_a_flow_that_ends_with_it_is_failed(self, records):
        @flow
        def runs():
            return gives.submit(fails(return_state=True))

        assert runs(return_state=True).is_failed()

    def test_outside_of_a_flow(self, records):
        state = gives(Failed(message="no"), return_state=True)

        assert state.name == "NotReady"
        assert records.task_run().state_name == "NotReady"


class TestAllowFailure:
    def test_the_exception_is_passed(self):
        value = run(lambda: gives(allow_failure(fails.submit("bang"))))

        assert isinstance(value, ValueError)
        assert str(value) == "bang"

    def test_around_a_collection(self):
        value = run(lambda: gives(allow_failure([fails.submit(), gives.submit(1)])))

        assert isinstance(value[0], ValueError)
        assert value[1] == 1

    def test_every_annotation_around_a_place_counts(self):  # spec 13
        value = run(lambda: gives([allow_failure({"a": [fails.submit()]}), 1]))

        assert isinstance(value[0]["a"][0], ValueError)

    def test_beside_it_failures_are_not_allowed(self):
        def work():
            failed = fails.submit()
            return gives([allow_failure(failed), failed], return_state=True)

        assert run(work).name == "NotReady"

    def test_one_that_completed(self):
        assert run(lambda: gives(allow_failure(gives.submit(1)))) == 1

    def test_a_plain_value(self):
        assert run(lambda: gives(allow_failure([1, 2]))) == [1, 2]


# -- that take long to look at --------------------------------------------------------------------


def test_arguments_that_take_long_to_look_at_are_pointed_out(records):
    from penstock.settings import temporary_settings

    with temporary_settings({"PENSTOCK_TASK_INTROSPECTION_WARN_THRESHOLD": 0.000001}):
        run(lambda: gives([Completed(data=1)] * 1000))

    assert any("quote(...)" in line for line in records.logs())


def test_that_can_be_switched_off(records):
    from penstock.settings import temporary_settings

    with temporary_settings({"PENSTOCK_TASK_INTROSPECTION_WARN_THRESHOLD": 0}):
        run(lambda: gives([Completed(data=1)] * 1000))

    assert not any("quote(...)" in line for line in records.logs())
