"""Mapping over what a function builds: edges, widths, branches inside, and what it gives."""

from __future__ import annotations

import cloudpickle
import pytest

from penstock.graph.ambient import context
from penstock.graph.annotations import flatten, unmapped
from penstock.graph.apply_map import apply_map
from penstock.graph.control_flow import CompareValue, case, merge
from penstock.graph.flow import Flow
from penstock.graph.parameter import Parameter
from penstock.graph.resource_manager import resource_manager
from penstock.graph.task import Task, task
from penstock.graph.wrapping import Constant


@task
def add(x, y):
    return x + y


@task
def inc(x):
    return x + 1


@task
def numbers(n):
    return list(range(n))


def result_of(flow, wanted, **parameters):
    state = flow.run(parameters=parameters)
    assert state.is_successful(), [s for s in state.result.values() if s.is_failed()]
    return state.result[wanted].result


def edge_kinds(flow, below):
    return {edge.upstream_task: (edge.key, edge.mapped) for edge in flow.edges_to(below)}


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, None, {1, 2}, 2.5, iter([1])])
def test_what_has_no_elements_by_place_cannot_be_mapped(value):
    with Flow("bad"), pytest.raises(TypeError, match=r"argument 1.*unmapped"):
        apply_map(inc, value)
    with Flow("bad"), pytest.raises(TypeError, match=r"argument 'x'.*unmapped"):
        apply_map(inc, x=value)


def test_it_needs_a_flow():
    with pytest.raises(ValueError, match="no flow is active"):
        apply_map(inc, [1])


@pytest.mark.parametrize(
    "body",
    [
        inc.map,
        lambda x: inc(x, mapped=True),
        lambda x: apply_map(inc, x),
        lambda x: inc(x).set_upstream(x, mapped=True),
    ],
    ids=["map", "mapped", "apply_map", "set_upstream"],
)
def test_nothing_is_mapped_inside(body):
    with Flow("inside") as flow:
        with pytest.raises(ValueError, match="mapped context"):
            apply_map(body, numbers(3))
        assert flow.get_tasks(name="inc") == []
        assert not context.get("mapped")
        assert context.get("flow") is flow


# -- the graph ------------------------------------------------------------------------------------


def test_edges_of_the_body_are_mapped():
    def body(x, y):
        a = add(x, y)
        b = inc(a)
        return a, b

    with Flow("body") as flow:
        one, other = numbers(3), numbers(4)
        a, b = apply_map(body, one, other)
    assert edge_kinds(flow, a) == {one: ("x", True), other: ("y", True)}
    assert edge_kinds(flow, b) == {a: ("x", True)}
    assert result_of(flow, b) == [1, 3, 5]


def test_unmapped_arguments_stay_whole():
    with Flow("unmapped") as flow:
        one, other = numbers(3), Parameter("p")
        total = apply_map(add, one, unmapped(other))
    assert edge_kinds(flow, total) == {one: ("x", True), other: ("y", False)}
    assert result_of(flow, total, p=10) == [10, 11, 12]


def test_unmapped_values_are_constants():
    with Flow("constants") as flow:
        one = numbers(3)
        total = apply_map(add, one, unmapped(5))
    assert flow.constants[total] == {"y": 5}
    assert flow.get_tasks(task_type=Constant) == []
    assert result_of(flow, total) == [5, 6, 7]


def test_values_in_the_body_are_constants():
    with Flow("in the body") as flow:
        total = apply_map(lambda x: add(x, 100) * 2, numbers(2))
    assert result_of(flow, total) == [200, 202]


@pytest.mark.parametrize("values", [[1, 2, 3], (1, 2, 3), range(1, 4)])
def test_sequences_are_mapped_over(values):
    with Flow("sequence") as flow:
        total = apply_map(lambda x: inc(inc(x)), values)
    (constant,) = flow.get_tasks(task_type=Constant)
    assert constant.value == values
    assert result_of(flow, total) == [3, 4, 5]


def test_sequences_by_name():
    with Flow("names") as flow:
        total = apply_map(add, y=[1, 2], x=unmapped(10))
    assert result_of(flow, total) == [11, 12]


def test_sequences_with_tasks_in_them():
    with Flow("tasks inside") as flow:
        a, b = Parameter("a"), Parameter("b")
        total = apply_map(inc, [a, b])
    assert result_of(flow, total, a=1, b=10) == [2, 11]


def test_flattened_arguments():
    @task
    def nested():
        return [[1, 2], [3]]

    with Flow("flatten") as flow:
        total = apply_map(lambda x: inc(inc(x)), flatten(nested()))
    assert result_of(flow, total) == [3, 4, 5]


def test_mapped_tasks_as_arguments():
    with Flow("chained") as flow:
        once = inc.map(numbers(3))
        twice = apply_map(inc, once)
        total = apply_map(add, twice, once)
    assert result_of(flow, total) == [3, 5, 7]


def test_one_task_mapped_and_unmapped():
    @task
    def share(x, everything):
        return x / sum(everything)

    with Flow("both") as flow:
        values = numbers(4)
        shares = apply_map(share, values, unmapped(values))
    assert sum(result_of(flow, shares)) == pytest.approx(1)
    assert result_of(flow, shares)[3] == pytest.approx(0.5)


def test_the_flow_can_be_given():
    flow = Flow("given")
    with flow:
        values = numbers(2)
    total = apply_map(inc, values, flow=flow)
    assert total in flow.tasks
    assert result_of(flow, total) == [1, 2]


def test_what_the_function_gives_is_given():
    with Flow("returns") as flow:
        values = numbers(2)
        assert apply_map(lambda x: None, values) is None
        assert apply_map(lambda x: 5, values) == 5
        assert apply_map(lambda x: x, values) is values
        found = apply_map(lambda x, y: {"x": x, "rest": [y, inc(y)]}, values, [1, 2])
        (constant,) = flow.get_tasks(task_type=Constant)
        assert found["x"] is values
        assert found["rest"][0] is constant
        assert found["rest"][1] in flow.tasks


def test_arguments_that_are_not_used_still_give_the_width():
    def body(x, y, z):
        return inc(x), Task(name="alone")()

    with Flow("width") as flow:
        x, y, z = numbers(3), numbers(2), Parameter("z")
        more, alone = apply_map(body, x, y, unmapped(z))
    assert edge_kinds(flow, more) == {x: ("x", True), y: (None, True), z: (None, False)}
    assert edge_kinds(flow, alone) == {x: (None, True), y: (None, True), z: (None, False)}
    state = flow.run(parameters={"z": 1})
    assert state.result[more].result == [1, 2]
    assert state.result[alone].n_map_states == 2


def test_only_first_tasks_come_after_all_arguments():
    with Flow("first") as flow:
        x, y = numbers(3), numbers(2)
        last = apply_map(lambda x, y: inc(inc(x)), x, y)
    assert y not in flow.upstream_tasks(last)
    (first,) = flow.upstream_tasks(last)
    assert y in flow.upstream_tasks(first)


def test_unmapped_constants_are_no_upstream():
    with Flow("no upstream") as flow:
        x = numbers(3)
        alone = apply_map(lambda x, y: Task(name="alone")(), x, unmapped(5))
    assert flow.upstream_tasks(alone) == {x}


# -- branches and resources -----------------------------------------------------------------------


@task
def is_even(x):
    return x % 2 == 0


def halved_or_more(x):
    with case(is_even(x), True):
        half = x // 2
    with case(is_even(x), False):
        more = inc(x * 3)
    return merge(half, more)


def test_branches_inside_are_taken_by_each_child():
    with Flow("collatz") as flow:
        total = apply_map(halved_or_more, [1, 2, 3, 4])
    assert result_of(flow, total) == [4, 1, 10, 2]
    for compare in flow.get_tasks(task_type=CompareValue):
        assert all(edge.mapped for edge in flow.edges_to(compare))


def test_arguments_belong_to_no_branch_inside():
    def body(condition, x):
        with case(condition, True):
            return x + 1

    with Flow("arguments") as flow:
        conditions, x = numbers(2), numbers(3)
        apply_map(body, conditions, x)
    assert not any(isinstance(t, CompareValue) for t in flow.upstream_tasks(x))


def test_tasks_from_around_belong_to_no_branch_inside():
    with Flow("around") as flow:
        around = numbers(2)

        def body(x):
            with case(x, 0):
                return add(x, around)

        apply_map(body, numbers(3))
    assert flow.upstream_tasks(around) == set()


@pytest.mark.parametrize(("go", "expected"), [(True, [3, 4]), (False, None)])
def test_mapping_inside_of_a_case(go, expected):
    with Flow("in a case") as flow:
        with case(Parameter("go"), True):
            total = apply_map(lambda x: inc(inc(x)), [1, 2])
        after = merge(total)
    state = flow.run(parameters={"go": go})
    assert state.is_successful()
    assert state.result[after].result == expected
    assert state.result[after].is_skipped() is (not go)


def test_branches_inside_of_a_case():
    with Flow("in a case") as flow, case(Parameter("go"), True):
        total = apply_map(halved_or_more, [1, 2])
    assert result_of(flow, total, go=True) == [4, 1]


def test_mapping_inside_of_a_resource_block():
    events = []

    @resource_manager
    class Place:
        def setup(self):
            events.append("setup")
            return 10

        def cleanup(self, resource):
            events.append("cleanup")

    @task
    def note(x, place):
        events.append(x + place)

    with Flow("resource") as flow, Place() as place:
        apply_map(note, numbers(3), unmapped(place))
    assert flow.run().is_successful()
    assert events[0] == "setup"
    assert sorted(events[1:4]) == [10, 11, 12]
    assert events[4:] == ["cleanup"]


def test_a_resource_for_each_child():
    events = []

    @resource_manager
    class Place:
        def __init__(self, name):
            self.name = name

        def setup(self):
            events.append(f"setup {self.name}")
            return self.name

        def cleanup(self, resource):
            events.append(f"cleanup {resource}")

    @task
    def note(place):
        events.append(f"use {place}")

    def body(name):
        with Place(name) as place:
            note(place)

    with Flow("resources") as flow:
        apply_map(body, ["a", "b"])
    assert flow.run().is_successful()
    for name in "ab":
        places = [events.index(f"{what} {name}") for what in ("setup", "use", "cleanup")]
        assert places == sorted(places)


def test_two_maps_of_one_function():
    with Flow("twice") as flow:
        one = apply_map(halved_or_more, [1])
        other = apply_map(halved_or_more, [2])
        total = add(one, other)
    assert result_of(flow, total) == [4, 1]


def test_a_flow_with_all_of_it_can_be_pickled():
    with Flow("pickled") as flow:
        limit = Parameter("limit", default=3)
        small = apply_map(lambda x, y: (x < y).or_(x[0:1]), ["a", "b"], unmapped("b"))
        with case(limit > 2, True):
            one = numbers(limit)
        total = merge(one, small)
    copied = cloudpickle.loads(cloudpickle.dumps(flow))
    (merged,) = copied.get_tasks(name=total.name)
    assert result_of(copied, merged) == [0, 1, 2]
    assert result_of(copied, merged, limit=1) == [True, "b"]
