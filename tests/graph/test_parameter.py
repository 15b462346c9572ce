"""Parameters of a graph."""

from __future__ import annotations

import datetime as dt
import pickle

import cloudpickle
import pytest

from penstock.graph import DateTimeParameter, Flow, Parameter, Task, context, task
from penstock.graph.results import PrefectResult
from penstock.graph.signals import FAIL


@task
def same(value):
    return value


def test_its_slug_is_its_name():
    made = Parameter("x", tags=["a"])
    assert (made.name, made.slug, made.tags) == ("x", "x", {"a"})
    assert made.checkpoint is True
    assert made.result == PrefectResult()
    assert repr(made) == "<Parameter: x>"


@pytest.mark.parametrize(
    ("options", "required", "default"),
    [
        ({}, True, None),
        ({"default": 1}, False, 1),
        ({"default": None}, False, None),
        ({"default": 1, "required": True}, True, 1),
        ({"required": False}, False, None),
    ],
)
def test_it_is_required_without_a_default(options, required, default):
    made = Parameter("x", **options)
    assert (made.required, made.default) == (required, default)


@pytest.mark.parametrize("name", ["", None, 5])
def test_its_name_is_a_text(name):
    with pytest.raises(TypeError, match=repr(name)):
        Parameter(name)


def test_calling_it_adds_itself():
    x = Parameter("x")
    with Flow("f") as flow:
        assert x() is x
    assert flow.tasks == {x}
    other = Flow("g")
    assert x(flow=other) is x
    assert other.tasks == {x}
    assert other.slugs[x] == "x"
    with pytest.raises(ValueError, match=r"active Flow context.*Parameter: x"):
        x()
    for arguments in [{"mapped": True}, {"upstream_tasks": [x]}, {"task_args": {}}]:
        with pytest.raises(TypeError):
            x(flow=flow, **arguments)


def test_a_copy_needs_another_name():
    x = Parameter("x", default=3)
    y = x.copy("y")
    assert (y.name, y.slug, y.default) == ("y", "y", 3)
    assert x.name == "x"
    with pytest.raises(TypeError):
        x.copy()


def test_two_of_one_name_cannot_be_in_a_flow():
    flow = Flow("f", tasks=[Parameter("x")])
    with pytest.raises(ValueError, match=r"slug 'x' already exists in flow 'f'.*Parameter: x"):
        flow.add_task(Parameter("x"))
    assert len(flow.tasks) == 1


def test_nothing_can_come_before_it():
    x, a = Parameter("x"), Task("a")
    flow = Flow("f")
    for add in (
        lambda: flow.add_edge(a, x),
        lambda: x.set_upstream(a, flow=flow),
        lambda: a.set_downstream(x, flow=flow),
        lambda: x.set_dependencies(flow=flow, upstream_tasks=[a]),
    ):
        with pytest.raises(ValueError, match="'a' cannot come before parameter 'x'"):
            add()
    assert not flow.edges


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        ({}, {"x": 1}, 1),
        ({}, {"x": None}, None),
        ({"default": 2}, {}, 2),
        ({"default": 2}, {"x": 1}, 1),
        ({"default": None}, {}, None),
        ({"required": False}, {}, None),
        ({"default": 2}, None, 2),
    ],
)
def test_it_gives_what_is_given_or_the_default(options, given, expected):
    with context(parameters=given):
        assert Parameter("x", **options).run() == expected


@pytest.mark.parametrize("given", [{}, None, {"y": 1}])
def test_a_required_one_that_is_not_given_fails(given):
    with context(parameters=given), pytest.raises(FAIL, match=r'"x".*required but not provided'):
        Parameter("x").run()
    with context(parameters=given), pytest.raises(FAIL, match="required but not provided"):
        Parameter("x", default=1, required=True).run()


@pytest.mark.parametrize("pickles", [pickle, cloudpickle])
def test_it_can_be_pickled(pickles):
    made = pickles.loads(pickles.dumps(Parameter("x")))
    assert (made.name, made.required, made.default) == ("x", True, None)


# -- times ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2013-01-31", dt.datetime(2013, 1, 31, tzinfo=dt.UTC)),
        ("2013-01-31T12:00:00", dt.datetime(2013, 1, 31, 12, tzinfo=dt.UTC)),
        ("2013-01-31T12:00:00+02:00", dt.datetime(2013, 1, 31, 10, tzinfo=dt.UTC)),
        ("2013-01-31T12:00:00Z", dt.datetime(2013, 1, 31, 12, tzinfo=dt.UTC)),
        (dt.datetime(2013, 1, 31), dt.datetime(2013, 1, 31, tzinfo=dt.UTC)),  # noqa: DTZ001
        (dt.datetime(2013, 1, 31, tzinfo=dt.UTC), dt.datetime(2013, 1, 31, tzinfo=dt.UTC)),
        (None, None),
    ],
)
def test_times_are_read(given, expected):
    with Flow("f") as flow:
        found = same(DateTimeParameter("when"))
    value = flow.run(when=given).result[found].result
    assert value == expected
    assert value is None or value.tzinfo is not None


def test_a_time_may_be_optional():
    assert DateTimeParameter("when").required
    assert not DateTimeParameter("when", required=False).required
    with context(parameters={}):
        assert DateTimeParameter("when", required=False).run() is None
        with pytest.raises(FAIL, match="required but not provided"):
            DateTimeParameter("when").run()


@pytest.mark.parametrize("given", ["yesterday", 5, "", ["2013-01-31"]])
def test_what_is_no_time_is_refused_by_name(given):
    with (
        context(parameters={"when": given}),
        pytest.raises((TypeError, ValueError), match="Parameter 'when' must be a datetime"),
    ):
        DateTimeParameter("when").run()
