"""`flow.tasks` and `flow.edges` are what those who know sets expect."""

from __future__ import annotations

import pytest

from penstock.graph import Edge, Flow, Task


@pytest.fixture
def chain():
    tasks = [Task(name) for name in "abc"]
    flow = Flow("chain", tasks=tasks)
    edges = flow.chain(*tasks)
    return flow, tasks, edges


def test_they_are_compared_and_combined_as_sets(chain):
    flow, (a, b, c), (ab, bc) = chain

    assert flow.tasks == {a, b, c}
    assert {ab, bc} == flow.edges
    assert flow.tasks != {a, b}
    assert flow.tasks - {a} == {b, c}
    assert {a} | flow.tasks == flow.tasks.union([a]) == {a, b, c}
    assert flow.tasks & {a, 1} == flow.tasks.intersection([a, 1]) == {a}
    assert flow.tasks.difference([a], [b]) == {c}
    assert flow.tasks.symmetric_difference([a, 1]) == {b, c, 1}
    assert flow.tasks.issubset([a, b, c, 1])
    assert not flow.tasks.issubset([a])
    assert flow.edges.issuperset([Edge(a, b)])
    assert not flow.edges.issuperset([Edge(a, c)])
    assert flow.edges.isdisjoint([Edge(a, c)])
    assert list(flow.tasks) == [a, b, c], "in their order"
    assert repr(flow.edges) == f"{{{ab!r}, {bc!r}}}"
    assert repr(Flow("empty").tasks) == "set()"


def test_a_copy_is_apart_from_the_graph(chain):
    flow, (a, b, c), _ = chain
    copied = flow.tasks.copy()
    copied.clear()
    (flow.tasks - {a}).clear()

    assert flow.tasks == {a, b, c}


def test_what_is_put_in_is_in_the_graph(chain):
    flow, (a, b, c), _ = chain
    flow.sorted_tasks()
    d = Task("d")
    flow.tasks.add(d)
    flow.tasks.add(d)
    flow.edges.update([Edge(d, a)])

    assert flow.sorted_tasks() == (d, a, b, c)
    assert flow.upstream_tasks(a) == {d}
    assert flow.slugs[d] == "d-1"


def test_what_is_taken_out_is_not(chain):
    flow, (a, b, c), (ab, bc) = chain
    flow.edges.remove(bc)
    flow.edges.discard(bc)

    assert flow.terminal_tasks() == {b, c}
    with pytest.raises(KeyError):
        flow.edges.remove(bc)

    flow.edges.clear()
    flow.tasks.remove(a)
    assert flow.sorted_tasks() == (b, c)
    assert ab not in flow.edges


def test_an_edge_whose_task_is_not_there_is_not_valid(chain):
    flow, (a, _, _), _ = chain
    flow.tasks.remove(a)

    with pytest.raises(ValueError, match="edges refer to tasks not contained in flow 'chain'"):
        flow.validate()

    flow = Flow("other")
    flow.edges.add(Edge(Task("x"), Task("y")))
    with pytest.raises(ValueError, match="edges refer to tasks not contained in flow 'other'"):
        flow.validate()
    with pytest.raises(ValueError, match="edges refer to tasks not contained in flow 'other'"):
        flow.sorted_tasks()
