"""Building flows: adding, taking over, replacing; what is refused, and leaves no trace."""

from __future__ import annotations

import pytest

from penstock.graph import (
    Edge,
    Flow,
    Parameter,
    Task,
    apply_map,
    case,
    flatten,
    mapped,
    task,
    unmapped,
)
from penstock.graph.wrapping import Constant, List


@task
def add(x, y=1):
    return x + y


@task
def inc(x):
    return x + 1


@task
def anything(**values):
    return values


def picture(flow):
    """Give all of a flow that a change could touch."""
    return (
        dict(flow.slugs),
        list(flow.edges),
        {one: dict(values) for one, values in flow.constants.items()},
        flow.reference_tasks(),
    )


# -- tasks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, None, "task", Task, [Task()]], ids=repr)
def test_only_tasks_can_be_added(value):
    flow = Flow("f")
    with pytest.raises(TypeError, match="flow 'f' received"):
        flow.add_task(value)
    assert not flow.tasks


def test_adding_a_task_gives_it_and_once_is_enough():
    flow, a = Flow("f"), Task("a")
    assert flow.add_task(a) is a
    assert flow.add_task(a) is a
    assert flow.slugs == {a: "a-1"}


def test_a_task_that_is_added_in_a_branch_belongs_to_it():
    with Flow("f") as flow:
        condition, before = Parameter("c"), flow.add_task(Task("before"))
        with case(condition, 1):
            flow.add_task(before)
            inside = flow.add_task(Task("inside"))
            flow.add_task(Parameter("p"))
            flow.add_task(Constant(1))
    (compare,) = flow.downstream_tasks(condition)
    assert flow.downstream_tasks(compare) == {inside}


# -- edges ----------------------------------------------------------------------------------------


def test_adding_an_edge_adds_its_tasks_and_gives_it():
    flow, a, b = Flow("f"), Task("a"), add.copy()
    edge = flow.add_edge(a, b, key="x", mapped=True, flattened=True)
    assert edge == Edge(a, b, "x", mapped=True, flattened=True)
    assert flow.edges == {edge}
    assert flow.tasks == {a, b}
    flow.add_edge(a, b, key="x", mapped=True, flattened=True)
    assert len(flow.edges) == 1


def test_a_task_without_constants_has_none():
    flow = Flow("f")
    made = flow.add_task(Task("a"))

    assert flow.constants[made] == {}
    assert flow.copy().constants[made] == {}
    assert not flow.has_edges(made)


@pytest.mark.parametrize(
    ("value", "options", "folds"),
    [
        (1, {"key": "x"}, True),
        ([1, 2], {"key": "x"}, True),
        (None, {"key": "x"}, True),
        (unmapped(1), {"key": "x", "mapped": True}, True),
        (1, {}, False),
        ([1], {"key": "x", "mapped": True}, False),
        ([[1]], {"key": "x", "flattened": True}, False),
        (mapped([1]), {"key": "x"}, False),
        (flatten([[1]]), {"key": "x"}, False),
    ],
    ids=repr,
)
def test_which_constants_are_no_tasks(value, options, folds):
    flow, made = Flow("f"), add.copy()
    edge = flow.add_edge(value, made, **options)
    assert isinstance(edge.upstream_task, Constant)
    if folds:
        assert flow.constants == {made: {"x": edge.upstream_task.value}}
        assert flow.tasks == {made}
        assert not flow.edges
    else:
        assert not flow.constants
        assert flow.edges == {edge}
        assert flow.tasks == {made, edge.upstream_task}


def test_chains():
    flow, a, b, c = Flow("f"), Task("a"), Task("b"), Task("c")
    assert flow.chain(a, b, c) == [Edge(a, b), Edge(b, c)]
    assert flow.edges == {Edge(a, b), Edge(b, c)}
    assert flow.chain(a) == flow.chain() == []
    one, two = flow.chain(c, 5, Task("d"))
    assert one.downstream_task is two.upstream_task
    assert [made.name for made in flow.sorted_tasks()] == ["a", "b", "c", "5", "d"]


def test_dependencies_of_any_task_or_value():
    flow, a, b = Flow("f"), Task("a"), anything.copy()
    flow.set_dependencies(
        b, upstream_tasks=[a, 1], keyword_tasks={"x": a, "y": [a], "z": 2}, mapped=True
    )
    kinds = {
        (edge.upstream_task.name, edge.key): edge.mapped
        for edge in flow.edges
        if edge.downstream_task is b
    }
    assert kinds == {
        ("a", None): True,
        ("1", None): True,
        ("a", "x"): True,
        ("List", "y"): True,
        ("2", "z"): True,
    }
    flow.set_dependencies(5, downstream_tasks=[b])
    assert len(flow.get_tasks(name="5")) == 1


# -- refused edges --------------------------------------------------------------------------------


def test_mapped_edges_in_what_is_mapped_already():
    def build(x):
        return inc.map(x)

    with pytest.raises(ValueError, match="to 'inc' in a mapped context"), Flow("f"):
        apply_map(build, [1, 2])


def test_checked_edges_that_are_refused_leave_no_trace():
    flow = Flow("f")
    p, a, b = flow.add_task(Parameter("p")), inc.copy(name="a"), add.copy(name="b")
    flow.add_edge(a, b, key="x")
    flow.add_edge(1, b, key="y")
    before = picture(flow)
    for edge, error, message in (
        ((Task("n"), b, "x"), ValueError, "Argument 'x' of task 'b' .* flow 'f'.* from 'n'"),
        ((Task("n"), b, "y"), ValueError, "Argument 'y' of task 'b' has already"),
        ((5, b, "x"), ValueError, "Argument 'x' of task 'b' .* from '5'"),
        ((Task("n"), b, "z"), TypeError, r"'b' has no argument 'z'.* from 'n'.*takes \(x, y=1\)"),
        ((b, a, "x"), ValueError, "Cycle found.*from 'b-1' to 'a-1'"),
        ((a, p, None), ValueError, "'a' cannot come before parameter 'p' of flow 'f'"),
        ((a, a, None), ValueError, "both ends.*'a'"),
        ((a, b, "no name"), ValueError, "'no name' cannot be the key of the edge from 'a' to 'b'"),
    ):
        with pytest.raises(error, match=message):
            flow.add_edge(*edge, validate=True)
        assert picture(flow) == before


def test_edges_that_are_not_checked_are_seen_by_validation_and_runs():
    flow = Flow("f")
    a, b = inc.copy(name="a"), inc.copy(name="b")
    flow.add_edge(a, b, key="x")
    flow.add_edge(b, a, key="x")
    with pytest.raises(ValueError, match="Cycle found"):
        flow.validate()
    other = Flow("f")
    other.add_edge(Task("c"), b, key="z")
    state = other.run().result[b]
    assert state.is_failed()
    assert isinstance(state.result, TypeError)


def test_keys_that_are_free_again_can_be_given():
    flow, a, b = Flow("f"), Task("a"), inc.copy()
    flow.add_edge(a, b, key="x", validate=True)
    flow.replace(a, Task("c"))
    with pytest.raises(ValueError, match="already been assigned"):
        flow.add_edge(Task("d"), b, key="x", validate=True)
    flow.replace(b, anything.copy())
    (made,) = flow.get_tasks(name="anything")
    flow.add_edge(Task("d"), made, key="y", validate=True)


def test_keyword_arguments_of_run_fit_any_key():
    flow, made = Flow("f"), anything.copy()
    flow.add_edge(Task("a"), made, key="whatever", validate=True)
    with pytest.raises(ValueError, match="already been assigned"):
        flow.add_edge(Task("b"), made, key="whatever", validate=True)


# -- taking over ----------------------------------------------------------------------------------


def test_taking_over_another_flow():
    a, b, c, made = Task("a"), Task("b"), Task("c"), add.copy()
    flow = Flow("f", edges=[Edge(a, b)])
    other = Flow("g", edges=[Edge(b, c, mapped=True), Edge(c, made, "x", flattened=True)])
    other.add_edge(5, made, key="y")
    flow.update(other)
    assert flow.tasks == {a, b, c, made}
    assert flow.edges == {Edge(a, b), *other.edges}
    assert flow.constants == {made: {"y": 5}}
    flow.constants[made]["y"] = 6
    assert other.constants == {made: {"y": 5}}
    before = picture(flow)
    flow.update(Flow("empty"))
    assert picture(flow) == before


def test_parameters_of_one_name_clash():
    x, other_x, a, b = Parameter("x"), Parameter("x"), inc.copy(), inc.copy()
    flow = Flow("f", edges=[Edge(x, a, key="x")])
    other = Flow("g", tasks=[Task("new")], edges=[Edge(other_x, b, key="x")])
    before = picture(flow)
    with pytest.raises(ValueError, match="slug 'x' already exists in flow 'f'"):
        flow.update(other)
    assert picture(flow) == before
    flow.set_reference_tasks([x])
    flow.update(other, merge_parameters=True)
    assert flow.parameters() == {other_x}
    assert flow.edges == {Edge(other_x, a, "x"), Edge(other_x, b, "x")}
    assert flow.reference_tasks() == {other_x}
    assert flow.slugs[other_x] == "x"


def test_a_parameter_of_both_does_not_clash():
    x, a, b = Parameter("x"), inc.copy(), inc.copy()
    flow = Flow("f", edges=[Edge(x, a, key="x")])
    for merge in (False, True):
        flow.update(Flow("g", edges=[Edge(x, b, key="x")]), merge_parameters=merge)
        assert flow.parameters() == {x}
    assert flow.downstream_tasks(x) == {a, b}


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [("", "", "bd"), ("a", "", "ad"), ("", "c", "bc"), ("a", "c", "ac")],
)
def test_reference_tasks_of_both(ours, theirs, expected):
    t = {name: Task(name) for name in "abcd"}
    flow = Flow("f", edges=[Edge(t["a"], t["b"])])
    other = Flow("g", edges=[Edge(t["b"], t["c"]), Edge(t["c"], t["d"])])
    flow.set_reference_tasks([t[name] for name in ours])
    other.set_reference_tasks([t[name] for name in theirs])
    alone = flow.copy()
    alone.update(other)
    assert alone.reference_tasks() == ({t["a"]} if ours else {t["d"]})
    flow.update(other, merge_reference_tasks=True)
    assert flow.reference_tasks() == {t[name] for name in expected}


def test_taking_over_can_be_checked():
    a, b = Task("a"), Task("b")
    flow, other = Flow("f", edges=[Edge(a, b)]), Flow("g", edges=[Edge(b, a)])
    with pytest.raises(ValueError, match="Cycle found"):
        flow.copy().update(other, validate=True)
    flow.update(other)


# -- replacing ------------------------------------------------------------------------------------


def test_a_task_in_the_place_of_another():
    a, b, c, d = Task("a"), add.copy(), Task("c"), add.copy(name="new")
    flow = Flow("f", edges=[Edge(a, b, "x", mapped=True), Edge(b, c, flattened=True)])
    flow.add_edge(5, b, key="y")
    flow.set_reference_tasks([b, c])
    flow.replace(b, d)
    assert flow.tasks == {a, c, d}
    assert flow.edges == {Edge(a, d, "x", mapped=True), Edge(d, c, flattened=True)}
    assert flow.constants == {d: {"y": 5}}
    assert flow.slugs[d] == "add-1"
    assert flow.reference_tasks() == {c, d}
    assert flow.add_task(add.copy()) is not None


def test_a_task_that_is_there_already_in_the_place_of_another():
    a, b, c = Task("a"), anything.copy(name="b"), anything.copy(name="c")
    flow = Flow("f", edges=[Edge(a, b, "x"), Edge(a, c, "y")])
    flow.replace(b, c)
    assert flow.edges == {Edge(a, c, "x"), Edge(a, c, "y")}
    assert flow.slugs == {a: "a-1", c: "c-1"}
    before = picture(flow)
    flow.replace(a, a)
    assert picture(flow) == before


def test_a_value_in_the_place_of_a_task():
    x, a, b = Parameter("x"), inc.copy(name="a"), inc.copy(name="b")
    flow = Flow("f", edges=[Edge(x, a, key="x"), Edge(a, b, key="x")])
    flow.replace(x, 5)
    assert flow.tasks == {a, b}
    assert flow.constants == {a: {"x": 5}}
    state = flow.run()
    assert state.result[b].result == 7


def test_a_value_that_stays_a_task():
    before, a, b, c = Task("before"), inc.copy(name="a"), inc.copy(name="b"), Task("c")
    flow = Flow("f", edges=[Edge(before, a, key="x"), Edge(a, b, "x", mapped=True), Edge(a, c)])
    flow.add_edge(1, a, key="y")
    flow.replace(a, [1, 2])
    (constant,) = flow.get_tasks(task_type=Constant)
    # Nothing can be given to a constant; that it comes after something stays.
    assert flow.edges == {
        Edge(before, constant),
        Edge(constant, b, "x", mapped=True),
        Edge(constant, c),
    }
    assert not flow.constants
    assert flow.run().result[b].result == [2, 3]


def test_a_value_in_the_place_of_the_last_task():
    a, b = Task("a"), Task("b")
    flow = Flow("f", edges=[Edge(a, b)])
    flow.replace(b, 5)
    (constant,) = flow.get_tasks(task_type=Constant)
    assert flow.edges == {Edge(a, constant)}
    assert flow.reference_tasks() == {constant}


def test_a_list_of_tasks_in_the_place_of_one():
    a, b, c = Task("a"), inc.copy(name="b"), Parameter("c")
    flow = Flow("f", edges=[Edge(a, b, key="x")])
    flow.replace(a, [c, 1])
    (made,) = flow.get_tasks(task_type=List)
    assert flow.edges_to(b) == {Edge(made, b, "x")}
    assert a not in flow.tasks


def test_replacements_that_are_refused_leave_no_trace():
    a, b, c = Task("a"), Task("b"), Task("c", slug="c")
    flow = Flow("f", edges=[Edge(a, b), Edge(b, c)])
    before = picture(flow)
    for old, new, message in (
        (Task("stranger"), Task("new"), "Task 'stranger' was not found in Flow 'f'"),
        (b, Parameter("p"), "'a' cannot come before parameter 'p' of flow 'f'"),
        (b, Task("new", slug="c"), "slug 'c' already exists in flow 'f'"),
        (a, b, "same task at both ends: 'b'"),
        (c, b, "same task at both ends: 'b'"),
    ):
        with pytest.raises(ValueError, match=message):
            flow.replace(old, new)
        assert picture(flow) == before


def test_a_slug_of_its_own_is_kept():
    x, a = Parameter("x"), inc.copy()
    flow = Flow("f", edges=[Edge(x, a, key="x")])
    y, other_x = Parameter("y", default=1), Parameter("x", default=2)
    flow.replace(x, y)
    assert flow.slugs[y] == "y"
    flow.replace(y, other_x)
    flow.replace(other_x, Parameter("x", default=3))
    assert flow.run().result[a].result == 4


def test_replacing_is_checked_unless_not_wanted():
    a, b, c = Task("a"), Task("b"), Task("c")
    flow = Flow("f", edges=[Edge(a, b), Edge(b, c)])
    with pytest.raises(ValueError, match="Cycle found"):
        flow.copy().replace(a, c)
    flow.replace(a, c, validate=False)
