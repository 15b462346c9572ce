"""Operators on tasks: the tasks they make, their edges, what they give when they run."""

from __future__ import annotations

import json
import pickle
from types import SimpleNamespace

import pytest

from penstock.graph import context, operators
from penstock.graph.flow import Flow
from penstock.graph.operators import GetAttr, GetItem
from penstock.graph.parameter import Parameter
from penstock.graph.results import LocalResult
from penstock.graph.serializers import JSONSerializer
from penstock.graph.task import Task, task
from penstock.graph.wrapping import Constant

BINARY = {
    "Add": (lambda x, y: x + y, 7, 2, 9),
    "Sub": (lambda x, y: x - y, 7, 2, 5),
    "Mul": (lambda x, y: x * y, 7, 2, 14),
    "Div": (lambda x, y: x / y, 7, 2, 3.5),
    "FloorDiv": (lambda x, y: x // y, 7, 2, 3),
    "Mod": (lambda x, y: x % y, 7, 2, 1),
    "Pow": (lambda x, y: x**y, 7, 2, 49),
    "And": (lambda x, y: x & y, 7, 2, 2),
    "GreaterThan": (lambda x, y: x > y, 7, 2, True),
    "GreaterThanOrEqual": (lambda x, y: x >= y, 7, 7, True),
    "LessThan": (lambda x, y: x < y, 7, 2, False),
    "LessThanOrEqual": (lambda x, y: x <= y, 7, 7, True),
}
METHODS = {
    "Equal": (lambda x, y: x.is_equal(y), 7, 7, True),
    "NotEqual": (lambda x, y: x.is_not_equal(y), 7, 7, False),
    "Or": (lambda x, y: x.or_(y), 0, 7, 7),
}
MIRRORED = {
    "GreaterThan": "LessThan",
    "GreaterThanOrEqual": "LessThanOrEqual",
    "LessThan": "GreaterThan",
    "LessThanOrEqual": "GreaterThanOrEqual",
}


def result_of(flow: Flow, wanted: Task, **parameters):
    state = flow.run(parameters=parameters)
    assert state.is_successful(), state.result
    return state.result[wanted].result


@pytest.mark.parametrize("name", BINARY | METHODS)
def test_two_tasks(name):
    operate, one, other, expected = (BINARY | METHODS)[name]
    with Flow("two tasks") as flow:
        x, y = Parameter("x"), Parameter("y")
        made = operate(x, y)
    assert type(made) is getattr(operators, name)
    assert made.name == name
    assert flow.upstream_tasks(made) == {x, y}
    assert result_of(flow, made, x=one, y=other) == expected
    assert made.run(one, other) == expected


@pytest.mark.parametrize("name", BINARY | METHODS)
def test_a_task_and_a_value(name):
    operate, one, other, expected = (BINARY | METHODS)[name]
    with Flow("a value") as flow:
        x = Parameter("x")
        made = operate(x, other)
    assert flow.tasks == {x, made}
    assert flow.constants[made] == {"y": other}
    assert result_of(flow, made, x=one) == expected


@pytest.mark.parametrize("name", BINARY)
def test_a_value_and_a_task(name):
    operate, one, other, expected = BINARY[name]
    with Flow("a value first") as flow:
        y = Parameter("y")
        made = operate(one, y)
    assert type(made) is getattr(operators, MIRRORED.get(name, name))
    assert flow.tasks == {y, made}
    assert result_of(flow, made, y=other) == expected


@pytest.mark.parametrize(("value", "expected"), [(1, False), ("", True), ([], True)])
def test_not(value, expected):
    with Flow("not") as flow:
        x = Parameter("x")
        made = x.not_()
    assert result_of(flow, made, x=value) is expected


@pytest.mark.parametrize(
    ("x", "y", "both", "either"),
    [(0, 5, 0, 5), ([], "a", [], "a"), (3, 5, 5, 3), (3, None, None, 3)],
)
def test_and_and_or_are_those_of_python(x, y, both, either):
    assert operators.And().run(x, y) == both
    assert operators.Or().run(x, y) == either


def test_tasks_are_compared_as_objects():
    x, y = Parameter("x"), Parameter("y")
    with Flow("objects") as flow:
        assert (x == y) is False
        assert (x == x) is True  # noqa: PLR0124 - an object is equal to itself
        assert (x != y) is True
    assert not flow.tasks


def test_operators_need_a_flow():
    with pytest.raises(ValueError, match="Flow"):
        Parameter("x") + 1


def test_operators_nest():
    with Flow("nested") as flow:
        x = Parameter("x")
        made = ((2 * x + 1) ** 2 - 1) // 4
    assert result_of(flow, made, x=3) == 12


# -- items and attributes -------------------------------------------------------------------------


@task
def pair():
    return {"a": 1, "b": [10, 20]}


def test_items():
    with Flow("items") as flow:
        x = pair()
        made = x["b"][1]
    assert made.name == "pair['b'][1]"
    assert result_of(flow, made) == 20


def test_an_item_by_a_task():
    with Flow("by a task") as flow:
        key = Parameter("key")
        made = pair()[key]
    assert made.name == "pair[key]"
    assert result_of(flow, made, key="a") == 1


def test_an_item_that_is_missing_fails():
    with Flow("missing") as flow:
        made = pair()["c"]
    state = flow.run()
    assert state.is_failed()
    assert isinstance(state.result[made].result, KeyError)


def test_an_item_keeps_how_its_task_keeps_results(tmp_path):
    result = LocalResult(dir=str(tmp_path))
    with Flow("kept") as flow:
        kept = Task(name="kept", checkpoint=False, result=result, nout=1)
        flow.add_task(kept)
        made = kept[0]
    assert made.checkpoint is False
    assert made.result is result


@pytest.mark.parametrize(
    "kept",
    [{"target": "rows.json"}, {"result": "rows.json"}, {"result": lambda **_: "rows.json"}],
    ids=["target", "location", "formatter"],
)
def test_an_item_is_not_written_over_what_it_is_taken_out_of(kept, tmp_path):
    result = LocalResult(dir=str(tmp_path), location=kept.pop("result", None))
    result.serializer = JSONSerializer()
    with Flow("kept") as flow:
        rows = task(lambda: {"a": 1}, name="rows", result=result, **kept)()
        item = rows["a"]

    with context(config={"flows": {"checkpointing": True}}):
        state = flow.run()
        again = flow.run()

    assert json.loads((tmp_path / "rows.json").read_text()) == {"a": 1}
    assert state.result[item].result == again.result[item].result == 1


@pytest.mark.parametrize(
    ("value", "key", "expected"),
    [({"a": 1}, "a", 1), ({"a": 1}, "b", 5), ([1, 2], 1, 2), ([1, 2], 2, 5), ((), 0, 5)],
)
def test_a_default_for_items(value, key, expected):
    assert GetItem(default=5).run(value, key) == expected
    assert GetItem().run(value, key, default=5) == expected
    assert GetItem(default=6).run(value, key, default=5) == expected


def test_none_is_a_default():
    assert GetItem(default=None).run({}, "a") is None
    assert GetAttr(default=None).run(1, "a") is None


@pytest.mark.parametrize(
    ("get", "key", "error"),
    [
        (GetItem(), 3, LookupError),
        (GetAttr(), "x", AttributeError),
        (GetItem(default=1), "x", TypeError),
    ],
)
def test_what_is_missing_without_a_default_is_an_error(get, key, error):
    with pytest.raises(error):
        get.run([1], key)


def test_no_default_is_still_none_after_pickling():
    with pytest.raises(LookupError):
        pickle.loads(pickle.dumps(GetItem())).run([1], 3)


@pytest.mark.parametrize(("path", "expected"), [("x", 1), ("y.z", 2), ("y.w", 5), ("w.x", 5)])
def test_attributes_by_path(path, expected):
    value = SimpleNamespace(x=1, y=SimpleNamespace(z=2))
    assert GetAttr(default=5).run(value, path) == expected


def test_attributes_in_a_flow():
    with Flow("attributes") as flow:
        made = GetAttr()(Parameter("x"), "real")
    assert result_of(flow, made, x=3 + 4j) == 3.0


# -- unpacking ------------------------------------------------------------------------------------


def test_unpacking_by_number():
    @task(nout=2)
    def two():
        return 1, 2

    with Flow("unpacked") as flow:
        x, y = two()
        total = x + 10 * y
    assert (x.name, y.name) == ("two[0]", "two[1]")
    assert result_of(flow, total) == 21


def test_unpacking_by_annotation():
    @task
    def three() -> tuple[int, int, int]:
        return 1, 2, 3

    with Flow("annotated"):
        assert len(list(three())) == 3


def test_unpacking_nothing():
    with Flow("none"):
        assert list(Task(nout=0)()) == []


def test_what_does_not_say_how_many_it_gives_cannot_be_unpacked():
    with Flow("not iterable") as flow:
        x = pair()
        with pytest.raises(TypeError, match=r"Task is not iterable.*'pair'.*nout"):
            _, _ = x
    assert flow.tasks == {x}


# -- the dependency pipe --------------------------------------------------------------------------


def test_a_pipe_lets_one_run_after_the_other():
    a, b, c = Task(name="a"), Task(name="b"), Task(name="c")
    with Flow("pipe") as flow:
        assert (a | b | c) is c
    assert flow.upstream_tasks(b) == {a}
    assert flow.upstream_tasks(c) == {b}
    assert all(edge.key is None and not edge.mapped for edge in flow.edges)


def test_a_pipe_from_a_value():
    with Flow("from") as flow:
        below = Task(name="below")
        assert (1 | below) is below
    (above,) = flow.upstream_tasks(below)
    assert isinstance(above, Constant)


def test_a_pipe_to_a_value():
    with Flow("to") as flow:
        above = Task(name="above")
        below = above | 1
    assert isinstance(below, Constant)
    assert flow.upstream_tasks(below) == {above}
    assert flow.run().is_successful()


def test_a_pipe_needs_a_flow():
    with pytest.raises(ValueError, match="No Flow was passed"):
        Task() | Task()


def test_every_operator_task_is_handed_on():
    made = {
        name
        for name, value in vars(operators).items()
        if isinstance(value, type) and value.__module__ == operators.__name__ and name[0] != "_"
    }
    assert made | {"TaskOperators"} == set(operators.__all__)
