"""Edges: their ends, keys and equality, and what cannot be one."""

from __future__ import annotations

import pickle

import cloudpickle
import pytest

from penstock.graph import Edge, Flow, Parameter, Task
from penstock.graph.wrapping import Constant, List


@pytest.mark.parametrize("same", [1, None, Task("alone")])
def test_both_ends_cannot_be_the_same(same):
    name = getattr(same, "name", same)
    with pytest.raises(ValueError, match=rf"both ends.*{name!r}"):
        Edge(same, same)


@pytest.mark.parametrize("key", [1, "", "a b", "1a", "class", "a.b", b"x", (), 1.5, True])
def test_a_key_is_the_name_of_an_argument(key):
    with pytest.raises(ValueError, match=r"key of the edge from 'a' to 'b'"):
        Edge(Task("a"), Task("b"), key=key)


@pytest.mark.parametrize("key", [None, "x", "_x", "größe", "x1"])
def test_keys_that_are_names_will_do(key):
    assert Edge(Task("a"), Task("b"), key=key).key == key


def test_the_ends_become_tasks():
    b = Task("b")
    edge = Edge(1, b)
    assert isinstance(edge.upstream_task, Constant)
    assert edge.upstream_task.value == 1
    flow = Flow("f")
    edge = Edge([Task("a"), 2], b, flow=flow)
    assert isinstance(edge.upstream_task, List)
    assert edge.upstream_task in flow.tasks
    assert edge.tasks == {edge.upstream_task, b}


def test_edges_are_equal_that_say_the_same():
    a, b, c = Task("a"), Task("b"), Task("c")
    edge = Edge(a, b, key="x", mapped=True, flattened=True)
    assert edge == Edge(a, b, key="x", mapped=True, flattened=True)
    assert hash(edge) == hash(Edge(a, b, key="x", mapped=True, flattened=True))
    others = [
        Edge(c, b, key="x", mapped=True, flattened=True),
        Edge(a, c, key="x", mapped=True, flattened=True),
        Edge(a, b, key="y", mapped=True, flattened=True),
        Edge(a, b, key="x", flattened=True),
        Edge(a, b, key="x", mapped=True),
    ]
    assert edge not in others
    assert edge != "edge"
    assert len({edge, *others}) == 6


def test_edges_that_are_made_anew_are_found_among_a_flow_s():
    a, b = Task("a"), Task("b")
    flow = Flow("f", edges=[Edge(a, b, key=None, mapped=True)])
    assert Edge(a, b, mapped=True) in flow.edges
    assert Edge(a, b) not in flow.edges
    assert flow.edges == {Edge(a, b, mapped=True)}
    assert {Edge(a, b): 1}[Edge(a, b)] == 1


def test_what_is_not_said_is_false():
    edge = Edge(Task("a"), Task("b"), mapped=None, flattened=None)
    assert (edge.mapped, edge.flattened) == (False, False)


def test_it_shows_its_ends():
    a, b = Task("a"), Task("b")
    assert repr(Edge(a, b)) == "<Edge: a to b>"
    assert repr(Edge(a, b, "x", mapped=True, flattened=True)) == (
        "<Edge mapped flattened (x): a to b>"
    )


@pytest.mark.parametrize("pickles", [pickle, cloudpickle])
def test_it_is_found_again_after_pickling(pickles):
    edge = Edge(Parameter("a"), Parameter("b"), key="x", mapped=True)
    states = pickles.loads(pickles.dumps({edge: "state"}))
    (found,) = states
    assert states[found] == "state"
    assert (found.key, found.mapped, found.flattened) == ("x", True, False)
    assert (found.upstream_task.name, found.downstream_task.name) == ("a", "b")


def test_it_can_be_written_as_json():
    assert Edge(Task("a"), Task("b"), key="x").serialize() == {
        "upstream_task": "a",
        "downstream_task": "b",
        "key": "x",
        "mapped": False,
        "flattened": False,
    }
