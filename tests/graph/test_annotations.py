"""How edges hand on what comes over them."""

from __future__ import annotations

import pytest

import penstock
from penstock.graph import Edge, Flow, Task, flatten, mapped, task, unmapped
from penstock.graph.annotations import EdgeAnnotation, annotated
from penstock.utilities.annotations import quote


@task
def inc(x):
    return x + 1


@task
def same(x):
    return x


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (mapped(1), {"mapped": True}),
        (unmapped(1), {"mapped": False}),
        (flatten(1), {"flattened": True}),
        (mapped(flatten(1)), {"mapped": True, "flattened": True}),
        (flatten(unmapped(1)), {"mapped": False, "flattened": True}),
        (flatten(flatten(flatten(1))), {"flattened": True}),
        # The inner one counts.
        (mapped(unmapped(1)), {"mapped": False}),
        (unmapped(mapped(1)), {"mapped": True}),
        (mapped(penstock.unmapped(1)), {"mapped": False}),
    ],
)
def test_annotations_nest_and_merge(annotation, said):
    assert annotation.annotations == said
    assert annotation.value == 1
    assert annotated(annotation) == (1, said)
    assert isinstance(annotation, EdgeAnnotation)


def test_what_is_not_annotated_says_nothing():
    assert annotated("x") == ("x", {})


def test_they_show_what_is_inside():
    assert repr(mapped(flatten([1]))) == "mapped([1])"
    assert repr(unmapped(Task("a"))) == "unmapped(<Task: a>)"


@pytest.mark.parametrize(
    ("above", "keywords", "is_mapped", "is_flattened"),
    [
        (lambda t: t, {}, False, False),
        (lambda t: t, {"mapped": True}, True, False),
        (lambda t: t, {"flattened": True}, False, True),
        (mapped, {}, True, False),
        (mapped, {"mapped": False}, True, False),
        (unmapped, {"mapped": True}, False, False),
        (penstock.unmapped, {"mapped": True}, False, False),
        (flatten, {"mapped": True}, True, True),
        (lambda t: flatten(mapped(t)), {"flattened": False}, True, True),
    ],
)
def test_they_override_what_an_edge_is_given(above, keywords, is_mapped, is_flattened):
    a, b = Task("a"), Task("b")
    edge = Edge(above(a), b, **keywords)
    assert (edge.mapped, edge.flattened) == (is_mapped, is_flattened)
    assert edge.upstream_task is a
    assert edge.downstream_task is b


def test_the_downstream_end_beats_the_upstream_end():
    a, b = Task("a"), Task("b")
    assert Edge(unmapped(a), mapped(b)).mapped is True
    assert Edge(mapped(a), unmapped(b)).mapped is False
    assert Edge(mapped(a), flatten(b)).flattened is True


def test_they_say_how_arguments_come():
    with Flow("f") as flow:
        one = inc(mapped([1, 2]))
        two = inc.map(unmapped(one))
        three = inc.map(flatten(one))
    kinds = {
        edge.downstream_task: (edge.mapped, edge.flattened)
        for edge in flow.edges
        if edge.key == "x"
    }
    assert kinds == {one: (True, False), two: (False, False), three: (True, True)}


@pytest.mark.parametrize(
    "place", [lambda x: x, lambda x: [x], lambda x: {"key": x}], ids=["bare", "list", "dict"]
)
def test_what_is_quoted_is_not_looked_into(place):
    with Flow("f") as flow:
        quoted = [inc]
        made = same(place(quote(quoted)))
    assert flow.run().result[made].result == place(quoted)


@pytest.mark.parametrize("place", [lambda x: x, lambda x: [x]], ids=["bare", "list"])
def test_what_is_allowed_to_fail_is_for_triggers_to_say(place):
    with Flow("f") as flow:
        first = inc(1)
        with pytest.raises(TypeError, match="trigger=all_finished"):
            inc(place(penstock.allow_failure(first)))
    flow.add_task(first)


@pytest.mark.parametrize(
    "kind", [mapped, unmapped, flatten, pytest.param(penstock.unmapped, id="of-flows")]
)
def test_a_task_that_is_piped_into_one_stays_itself(kind):
    made = Task("a")
    assert made.pipe(kind) is made
