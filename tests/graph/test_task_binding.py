"""Tasks in a flow: called, bound, mapped, given edges, piped; what warns when a block is left."""

from __future__ import annotations

import pytest

import penstock
from penstock.graph import Edge, Flow, Parameter, Task, flatten, mapped, task, unmapped
from penstock.graph.wrapping import Constant, List


class Add(Task):
    def run(self, x, y=1):
        return x + y


@task
def add(x, y=1):
    return x + y


@task
def gather(**values):
    return values


@task
def mixed(a, *, b=2, **more):
    return a, b, more


def edges(flow, to):
    return {edge.key: edge for edge in flow.edges_to(to)}


# -- without a flow -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "example"),
    [
        (lambda: add(1), r"add\.run\(\.\.\.\)"),
        (lambda: add.bind(1), r"add\.run\(\.\.\.\)"),
        (lambda: add.map([1]), r"add\.run\(\.\.\.\)"),
        (lambda: Add(name="named")(1), r"Add\(\.\.\.\)\.run\(\.\.\.\)"),
        (lambda: Add().bind(1), r"Add\(\.\.\.\)\.run\(\.\.\.\)"),
        (lambda: Add().map([1]), r"Add\(\.\.\.\)\.run\(\.\.\.\)"),
    ],
    ids=["call", "bind", "map", "call-class", "bind-class", "map-class"],
)
def test_calling_a_task_outside_of_a_flow_says_what_to_call(call, example):
    with pytest.raises(ValueError, match=rf"infer an active Flow context.*<Task: .*`{example}`"):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda made: made.set_dependencies(upstream_tasks=[1]),
        lambda made: made.set_upstream(Task()),
        lambda made: made.set_downstream(Task()),
    ],
    ids=["set_dependencies", "set_upstream", "set_downstream"],
)
def test_edges_need_a_flow(call):
    with pytest.raises(ValueError, match=r"No Flow was passed.*task 'lonely'"):
        call(Task("lonely"))


# -- called and bound -----------------------------------------------------------------------------


def test_a_call_adds_a_copy():
    with Flow("f") as flow:
        one, two = add(1), add(2, y=3)
    assert add not in flow.tasks
    assert flow.tasks == {one, two}
    assert flow.constants == {one: {"x": 1}, two: {"x": 2, "y": 3}}


def test_binding_adds_the_task_itself():
    made = Add()
    with Flow("f") as flow:
        assert made.bind(1) is made
    assert flow.tasks == {made}


def test_a_flow_can_be_given():
    flow, other = Flow("f"), Flow("g")
    with other:
        made = add(1, flow=flow)
        bound = Add().bind(1, flow=flow)
        children = add.map([1], flow=flow)
    assert flow.tasks >= {made, bound, children}
    assert not other.tasks


def test_only_arguments_that_are_given_become_edges():
    with Flow("f") as flow:
        x, y = Parameter("x"), Parameter("y")
        one, two = add(x), add(y=y, x=x)
    assert edges(flow, one) == {"x": Edge(x, one, "x")}
    assert edges(flow, two) == {"x": Edge(x, two, "x"), "y": Edge(y, two, "y")}


def test_keywords_of_run_are_expanded():
    with Flow("f") as flow:
        x = Parameter("x", default=1)
        made = gather(a=x, b=2)
        other = mixed(x, c=x, d=4)
    assert set(edges(flow, made)) == {"a"}
    assert set(edges(flow, other)) == {"a", "c"}
    assert flow.constants == {made: {"b": 2}, other: {"d": 4}}
    result = flow.run().result
    assert result[made].result == {"a": 1, "b": 2}
    assert result[other].result == (1, 2, {"c": 1, "d": 4})


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (add, "missing a required argument: 'x'"),
        (lambda: add(1, 2, 3), "too many positional"),
        (lambda: add(1, x=1), "multiple values for argument 'x'"),
        (lambda: add(1, z=1), "unexpected keyword argument 'z'"),
        (lambda: add.map(y=[1]), "missing a required argument: 'x'"),
        (add.bind, "missing a required argument: 'x'"),
    ],
    ids=["none", "many", "twice", "unknown", "map", "bind"],
)
def test_arguments_that_do_not_fit(call, problem):
    with pytest.raises(TypeError, match=rf"task 'add'.*\(x, y=1\).*{problem}"), Flow("f") as flow:
        call()
    assert not flow.tasks


def test_attributes_of_the_copy():
    with Flow("f") as flow:
        made = add(1, task_args={"name": "named", "tags": ["t"]})
        children = add.map([1], task_args={"name": "children", "nout": 2})
    assert (made.name, made.tags, add.name, add.tags) == ("named", {"t"}, "add", set())
    assert (children.name, children.nout) == ("children", 2)
    assert flow.slugs[made] == "named-t-1"


def test_what_comes_before_besides():
    with Flow("f") as flow:
        first = Task("first")
        made = add(1, upstream_tasks=[first, [first, 2]])
    assert Edge(first, made) in flow.edges
    (of_list,) = flow.get_tasks(task_type=List)
    assert Edge(of_list, made) in flow.edges


@pytest.mark.parametrize("given", [Task("single", nout=2), add, 5])
@pytest.mark.parametrize("option", ["upstream_tasks", "downstream_tasks"])
def test_a_single_task_is_no_list_of_tasks(given, option):
    made = Add(name="made")
    with Flow("f"), pytest.raises(TypeError, match=rf"{option} of task 'made'.*into a list"):
        made.set_dependencies(**{option: given})


# -- mapped ---------------------------------------------------------------------------------------


def test_map_maps_all_arguments_but_those_that_say_otherwise():
    with Flow("f") as flow:
        x, y = Parameter("x"), Parameter("y")
        made = add.map(x, unmapped(y), upstream_tasks=[Task("a"), unmapped(Task("b"))])
    assert edges(flow, made)["x"].mapped
    assert not edges(flow, made)["y"].mapped
    kinds = {
        edge.upstream_task.name: edge.mapped for edge in flow.edges_to(made) if edge.key is None
    }
    assert kinds == {"a": True, "b": False}


def test_map_is_a_call_with_mapped():
    with Flow("f") as flow:
        one, two = add(Parameter("x"), mapped=True), Add().bind([1], mapped=True)
    assert edges(flow, one)["x"].mapped
    assert edges(flow, two)["x"].mapped
    assert not flow.constants


def test_a_constant_to_map_over_is_a_task():
    with Flow("f") as flow:
        made = add.map([1, 2], y=unmapped(3))
    assert edges(flow, made)["x"].upstream_task.value == [1, 2]
    assert len(flow.get_tasks(task_type=Constant)) == 1
    assert flow.constants == {made: {"y": 3}}


def test_map_forgets_how_many_values_a_child_gives():
    @task(nout=2)
    def pair(x):
        return x, x

    with Flow("f"):
        assert pair(1).nout == 2
        assert pair.map([1]).nout is None


@pytest.mark.parametrize(
    "value", [1, None, {1, 2}, 2.5, iter([1])], ids=lambda v: type(v).__name__
)
def test_what_cannot_be_mapped_over(value):
    kind = type(value).__name__
    with Flow("f") as flow:
        with pytest.raises(TypeError, match=rf"task 'add' over its argument 'x'.* {kind} "):
            add.map(value)
        with pytest.raises(TypeError, match=rf"task 'add' over its argument 'y'.* {kind} "):
            add.map([1], value)
        with pytest.raises(TypeError, match=rf"'gather' over its argument number 2.* {kind} "):
            gather.map([1], value)
    assert not flow.tasks


def test_what_may_be_mapped_over():
    with Flow("f") as flow:
        for value in ([1], (1,), "ab", {0: 1}, range(2), Task("a"), penstock.task(lambda: [1])):
            add.map(value)
        for value in (unmapped(1), mapped(1), flatten(1), penstock.unmapped({1})):
            add.map(value, [1])
    assert len(flow.get_tasks(name="add")) == 11


def test_keywords_that_cannot_be_mapped_over_are_seen_when_the_flow_runs():
    with Flow("f") as flow:
        made = add.map(x=5)
    state = flow.run().result[made]
    assert state.is_failed()
    assert "unmappable result" in state.message


# -- edges ----------------------------------------------------------------------------------------


def test_set_dependencies():
    flow = Flow("f")
    made = Add(name="made")
    a, b, c, d = (Task(name) for name in "abcd")
    found = made.set_dependencies(
        flow=flow,
        upstream_tasks=[a],
        downstream_tasks=[b, mapped(c)],
        keyword_tasks={"x": d, "y": 1},
        mapped=True,
    )
    assert found is made
    # What comes after is never mapped by this; an annotation says so of its edge.
    assert flow.edges == {
        Edge(a, made, mapped=True),
        Edge(made, b),
        Edge(made, c, mapped=True),
        Edge(d, made, "x", mapped=True),
        *(edge for edge in flow.edges_to(made) if edge.key == "y"),
    }


@pytest.mark.parametrize("is_active", [True, False])
def test_edges_to_and_from_a_task(is_active):
    made, above, below = Add(), Task("above"), Task("below")
    flow, active = Flow("f"), Flow("active")
    with flow if is_active else active:
        given = {} if is_active else {"flow": flow}
        assert made.set_upstream(above, key="x", mapped=True, **given) is made
        assert made.set_downstream(below, **given) is made
    assert not active.tasks
    assert flow.edges == {Edge(above, made, "x", mapped=True), Edge(made, below)}


def test_downstream_with_a_key():
    flow = Flow("f")
    made, above = Add(), Task("above")
    above.set_downstream(made, flow=flow, key="y", mapped=True)
    assert flow.edges == {Edge(above, made, "y", mapped=True)}


# -- piped ----------------------------------------------------------------------------------------


def test_pipes():
    with Flow("f") as flow:
        x = Parameter("x", default=[1, 2])
        found = x.pipe(add.map, y=unmapped(2)).pipe(add.map, y=x)
    assert flow.run().result[found].result == [4, 6]


def test_a_pipe_takes_no_self():
    with Flow("f"), pytest.raises(ValueError, match="'x' takes no keyword named 'self'"):
        Parameter("x")().pipe(gather, self=1)


# -- blocks ---------------------------------------------------------------------------------------


def test_tasks_that_are_made_and_not_used():
    names = "added to flow 'f': <Parameter: p>, <Task: alone>"
    with pytest.warns(UserWarning, match=names), Flow("f"):  # noqa: PT031 - two are named
        Task("alone")
        Parameter("p")
        Constant(5)


def test_tasks_that_are_copied_and_not_used():
    made = Add()
    with pytest.warns(UserWarning, match="<Task: copied>"), Flow("f"):
        made.copy(name="copied")


def test_tasks_that_are_used_do_not_warn():
    outside = Task("outside")
    other = Flow("other")
    with Flow("f") as flow:
        Add(name="copied")(1)  # its copy is what the flow has
        Add(name="bound").bind(1)
        flow.add_task(Task("added"))
        Task("upstream").set_downstream(Task("downstream"))
        outside.copy().bind()
        other.add_task(Task("elsewhere"))
    assert len(flow.tasks) == 6
    assert outside not in flow.tasks


def test_a_block_that_breaks_says_what_broke_it():
    with pytest.raises(KeyError), Flow("f"):
        Task("alone")
        raise KeyError("x")


def test_blocks_in_blocks():
    from penstock.graph import context

    with Flow("outer") as outer:
        first = add(1)
        with Flow("inner") as inner:
            assert context.flow is inner
            second = add(2)
            with outer:
                third = add(3)
        assert context.flow is outer
        fourth = add(4)
    assert context.get("flow") is None
    assert outer.tasks == {first, third, fourth}
    assert inner.tasks == {second}


def test_what_is_unused_is_said_of_the_block_that_it_is_in():
    with Flow("outer") as outer:
        outer.add_task(Task("used"))
        with pytest.warns(UserWarning, match="flow 'inner': <Task: alone>"), Flow("inner"):
            Task("alone")
