"""Values as tasks: constants and collections."""

from __future__ import annotations

import pytest

import penstock
from penstock.graph import Flow, Parameter, Task, mapped, task, unmapped
from penstock.graph.results import ConstantResult
from penstock.graph.wrapping import Constant, Dict, List, Set, Tuple, as_task


@task
def same(value):
    return value


@penstock.task
def recorded(value=1):
    return value


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (1, "1"),
        (None, "None"),
        ("abcdef", "'abcdef'"),
        ("abcdefg", "Constant[str]"),
        (12345678, "12345678"),
        (123456789, "Constant[int]"),
        ([], "[]"),
        ([1, 2], "[1, 2]"),
        ([1, 2, 3], "Constant[list]"),
        ({}, "{}"),
        (range(100), "Constant[range]"),
        (list(range(100)), "Constant[list]"),
    ],
)
def test_constants_are_named_by_what_they_look_like(value, name):
    constant = as_task(value)
    assert type(constant) is Constant
    assert constant.name == name
    assert constant.value == constant.run() == value
    assert constant.auto_generated
    assert constant.result == ConstantResult(value=value)


def test_a_constant_may_have_a_name():
    constant = Constant(1, name="one", tags=["x"])
    assert (constant.name, constant.tags) == ("one", {"x"})
    assert not constant.auto_generated


def test_what_cannot_be_shown_is_named_by_its_type():
    class Shy:
        def __repr__(self):
            raise RuntimeError("no")

    assert as_task(Shy()).name == "Constant[Shy]"


@pytest.mark.parametrize("value", [[1, [2, (3, {4})]], {"a": {"b": [1]}}, (), {1}, {"a": 1}, "ab"])
def test_collections_without_tasks_are_one_constant(value):
    constant = as_task(value)
    assert type(constant) is Constant
    assert constant.value is value


def test_a_task_is_itself_and_an_annotation_what_is_inside():
    made = Task("a")
    assert as_task(made) is made
    assert as_task(mapped(unmapped(made))) is made
    assert as_task(mapped(5)).value == 5
    assert as_task(penstock.unmapped(made)) is made


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda x, y: [x, y], List),
        (lambda x, y: (x, y), Tuple),
        (lambda x, y: {x, y}, Set),
        (lambda x, y: {"a": x, "b": y}, Dict),
        (lambda x, y: [1, [2, (x, y)]], List),
        (lambda x, y: [mapped([x]), y], List),
    ],
    ids=["list", "tuple", "set", "dict", "nested", "annotated"],
)
def test_collections_with_tasks_become_tasks(make, kind):
    with Flow("f") as flow:
        made = as_task(make(Parameter("x"), Parameter("y")))
    assert type(made) is kind
    assert made.auto_generated
    assert made in flow.tasks


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda x, y: [x, y], 4),
        (lambda x, y: {"a": x, "b": y}, 5),
        (lambda x, y: {"a": [x, {"y": y}], "b": (y, {x})}, 10),
        (lambda x, y: [x, y, 1, "two"], 4),
    ],
    ids=["list", "dict", "nested", "values-beside"],
)
def test_as_many_tasks_as_collections(make, count):
    with Flow("f") as flow:
        same(make(Parameter("x"), Parameter("y")))
    assert len(flow.tasks) == count


MAKE = {
    "list": lambda x, y: [x, y],
    "tuple": lambda x, y: (y, x, 3, x),
    "set": lambda x, y: {x, y},
    "dict": lambda x, y: {"a": x, "b": y, 3: 4},
    "nested": lambda x, y: {"a": [x, {"y": y}], "b": (y, {x})},
    "empty": lambda x, y: [x, [], {}, (), None, [[y]]],
    "long": lambda x, y: [x if number % 2 else number for number in range(23)] + [y],
}


@pytest.mark.parametrize("kind", MAKE)
def test_runs_get_the_collection_with_what_came_of_its_tasks(kind):
    with Flow("f") as flow:
        found = same(MAKE[kind](Parameter("x"), Parameter("y")))
        keyed = same({Parameter("z"): found})
    state = flow.run(x=10, y=20, z="a task as a key")
    assert state.is_successful()
    expected = MAKE[kind](10, 20)
    assert state.result[found].result == expected
    if kind != "set":
        assert state.result[keyed].result == {"a task as a key": expected}


def test_the_order_holds_for_many_items():
    names = [f"p{number}" for number in range(30)]
    with Flow("f") as flow:
        found = same([Parameter(name, default=name) for name in names])
    assert flow.run().result[found].result == names


def test_keys_and_values_of_a_dictionary_must_be_as_many():
    with pytest.raises(ValueError, match=r"'Dict'.*2 and 1"):
        Dict().run(keys=["a", "b"], values=[1])
    with Flow("f") as flow:
        made = Dict()(keys=["a", "b"], values=[1])
    state = flow.run().result[made]
    assert state.is_failed()
    assert isinstance(state.result, ValueError)


def test_a_flow_can_be_given():
    flow, x = Flow("f"), Parameter("x")
    made = as_task([x, {"y": x}], flow=flow)
    assert {made, x} <= flow.tasks
    with pytest.raises(ValueError, match="active Flow context"):
        as_task([x])


# -- tasks of penstock.task -----------------------------------------------------------------------


def test_a_task_of_flows_is_one_task_of_a_graph_however_often_it_is_given():
    with Flow("f") as flow:
        one, two = same(recorded), same([recorded, recorded])
        flow.add_task(recorded)
    (adopted,) = flow.get_tasks(name="recorded")
    assert adopted.decorated is recorded
    assert adopted in flow.upstream_tasks(one)
    state = flow.run()
    assert state.result[one].result == 1
    assert state.result[two].result == [1, 1]


def test_a_task_of_flows_outside_of_a_flow():
    assert as_task(recorded).decorated is recorded


def test_edges_between_tasks_of_flows():
    other = penstock.task(name="other")(lambda: 2)
    flow = Flow("f")
    flow.chain(recorded, other)
    flow.add_edge(recorded, other, key=None)
    flow.chain(other, Task("last"))
    assert [made.name for made in flow.sorted_tasks()] == ["recorded", "other", "last"]
    assert len(flow.edges) == 2


def test_copies_of_a_flow_know_them_too():
    flow = Flow("f")
    flow.add_edge(recorded, Task("a"))
    copied = flow.copy()
    copied.add_edge(recorded, Task("b"))
    assert len(copied.get_tasks(name="recorded")) == 1
    assert len(flow.tasks) == 2
