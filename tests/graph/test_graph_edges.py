"""What follows from a flow's tasks and edges: neighbours, orders, ends, slugs, cycles."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.graph import Edge, Flow, Parameter, Task, resource_manager, tags, task


@task
def inc(x):
    return x + 1


def names(tasks):
    return [one.name for one in tasks]


def chain(*letters: str) -> tuple[Flow, dict[str, Task]]:
    """Give a flow of edges that are each written as `ab`, and its tasks."""
    found = {name: Task(name) for edge in letters for name in edge}
    flow = Flow("f", tasks=found.values(), edges=[Edge(found[a], found[b]) for a, b in letters])
    return flow, found


# -- of one task ----------------------------------------------------------------------------------


def test_neighbours():
    flow, t = chain("ab", "ac", "bd", "cd")
    assert flow.edges_to(t["d"]) == {Edge(t["b"], t["d"]), Edge(t["c"], t["d"])}
    assert flow.edges_from(t["a"]) == {Edge(t["a"], t["b"]), Edge(t["a"], t["c"])}
    assert flow.upstream_tasks(t["d"]) == flow.downstream_tasks(t["a"]) == {t["b"], t["c"]}
    assert flow.edges_to(t["a"]) == flow.edges_from(t["d"]) == set()
    assert flow.all_upstream_edges()[t["d"]] == flow.edges_to(t["d"])
    assert flow.all_downstream_edges()[t["a"]] == flow.edges_from(t["a"])


@pytest.mark.parametrize(
    "question", ["edges_to", "edges_from", "upstream_tasks", "downstream_tasks"]
)
def test_neighbours_of_an_unknown_task(question):
    flow, _ = chain("ab")
    with pytest.raises(ValueError, match="Task 'stranger' was not found in Flow 'f'"):
        getattr(flow, question)(Task("stranger"))


def test_what_is_given_can_be_changed_without_harm():
    flow, t = chain("ab")
    flow.edges_to(t["b"]).clear()
    flow.root_tasks().clear()
    flow.terminal_tasks().clear()
    flow.reference_tasks().clear()
    assert flow.edges_to(t["b"])
    assert flow.root_tasks() == {t["a"]}
    assert flow.terminal_tasks() == flow.reference_tasks() == {t["b"]}


# -- orders ---------------------------------------------------------------------------------------


def test_a_sorted_flow():
    flow, t = chain("cd", "bc", "ab", "ad")
    assert names(flow.sorted_tasks()) == ["a", "b", "c", "d"]
    assert isinstance(flow.sorted_tasks(), tuple)
    assert tuple(flow) == flow.sorted_tasks()
    assert names(flow.sorted_tasks(root_tasks=[t["b"]])) == ["b", "c", "d"]
    assert names(flow.sorted_tasks(root_tasks=[t["d"], t["c"]])) == ["c", "d"]
    assert flow.sorted_tasks(root_tasks=[]) == flow.sorted_tasks()
    with pytest.raises(ValueError, match="'stranger' was not found"):
        flow.sorted_tasks(root_tasks=[Task("stranger")])


@given(
    pairs=st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=60),
    seed=st.integers(0, 5),
)
def test_each_task_is_after_all_that_it_comes_after(pairs, seed):
    tasks = [Task(str(number)) for number in range(15)]
    edges = [Edge(tasks[min(pair)], tasks[max(pair)]) for pair in pairs if pair[0] != pair[1]]
    random.Random(seed).shuffle(tasks)
    flow = Flow("f", tasks=tasks, edges=edges)
    place = {one: number for number, one in enumerate(flow.sorted_tasks())}
    assert place.keys() == flow.tasks
    assert all(place[edge.upstream_task] < place[edge.downstream_task] for edge in edges)
    for root in tasks[:3]:
        below = {root}
        for one in flow.sorted_tasks():
            if flow.upstream_tasks(one) & below:
                below.add(one)
        assert set(flow.sorted_tasks([root])) == below


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=30))
def test_checked_edges_never_make_a_cycle_and_refuse_only_those(pairs):
    tasks = [Task(str(number)) for number in range(8)]
    checked, unchecked = Flow("f", tasks=tasks), Flow("f", tasks=tasks)
    for above, below in pairs:
        if above == below:
            continue
        before = len(checked.edges)
        try:
            checked.add_edge(tasks[above], tasks[below], validate=True)
        except ValueError:
            assert len(checked.edges) == before
            trial = checked.copy()
            trial.add_edge(tasks[above], tasks[below])
            with pytest.raises(ValueError, match="Cycle found"):
                trial.sorted_tasks()
        else:
            checked.sorted_tasks()
        unchecked.add_edge(tasks[above], tasks[below])
    if len(unchecked.edges) == len(checked.edges):
        unchecked.validate()
    else:
        with pytest.raises(ValueError, match="Cycle found"):
            unchecked.validate()


# -- cycles ---------------------------------------------------------------------------------------


def test_a_cycle_is_named_by_its_tasks_and_edges():
    a, b, c, d = Task("a"), inc.copy(name="b"), Task("c", slug="sea"), Task("d")
    flow = Flow("f", edges=[Edge(a, b, key="x"), Edge(b, c), Edge(c, a), Edge(c, d)])
    for ask in (flow.sorted_tasks, flow.validate, lambda: list(flow), flow.serialize):
        with pytest.raises(ValueError, match="Cycle found; flows must be acyclic") as caught:
            ask()
        text = str(caught.value)
        assert "flow 'f'" in text
        assert "'a-1' -(x)-> 'b-1'" in text
        assert "'b-1' -> 'c' (slug 'sea')" in text
        assert "'c' (slug 'sea') -> 'a-1'" in text
        assert "d-1" not in text


def test_a_cycle_far_down():
    flow, _ = chain("ab", "bc", "cd", "de", "ef", "fd", "ag", "fh")
    with pytest.raises(ValueError, match="Cycle found") as caught:
        flow.sorted_tasks()
    for edge in ("'d-1' -> 'e-1'", "'e-1' -> 'f-1'", "'f-1' -> 'd-1'"):
        assert edge in str(caught.value)


def test_an_edge_that_would_close_a_cycle_is_refused():
    flow, t = chain("ab", "bc", "xc")
    with pytest.raises(ValueError, match="Cycle found") as caught:
        flow.add_edge(t["c"], t["a"], validate=True)
    assert "the edge from 'c-1' to 'a-1' would close: 'a-1' -> 'b-1' -> 'c-1' -> 'a-1'" in str(
        caught.value
    )
    assert len(flow.edges) == 3
    flow.validate()
    flow.add_edge(t["a"], t["c"], validate=True)


# -- ends and references --------------------------------------------------------------------------


def test_roots_and_ends():
    flow, t = chain("ab", "ac", "bd", "cd", "xd")
    alone = flow.add_task(Task("alone"))
    assert flow.root_tasks() == {t["a"], t["x"], alone}
    assert flow.terminal_tasks() == {t["d"], alone}
    assert flow.reference_tasks() == flow.terminal_tasks()


def test_reference_tasks_that_are_set():
    flow, t = chain("ab", "bc")
    flow.set_reference_tasks([t["a"], t["b"]])
    assert flow.reference_tasks() == {t["a"], t["b"]}
    flow.add_edge(t["c"], Task("d"))
    assert flow.reference_tasks() == {t["a"], t["b"]}
    flow.set_reference_tasks([])
    assert names(flow.reference_tasks()) == ["d"]
    with pytest.raises(ValueError, match="'stranger' was not found"):
        flow.set_reference_tasks([Task("stranger")])
    for single in (5, t["a"], Task("pair", nout=2), None):
        with pytest.raises(TypeError, match="reference tasks of flow 'f' must be a list"):
            flow.set_reference_tasks(single)
    assert names(flow.reference_tasks()) == ["d"]


def test_tasks_of_resources_do_not_decide():
    @resource_manager
    class Cluster:
        def setup(self):
            return 1

        def cleanup(self, resource):
            return None

    with Flow("f") as flow, Cluster() as cluster:
        last = inc(inc(cluster))
        beside = inc(1)
    assert flow.reference_tasks() == {last, beside}
    assert len(flow.terminal_tasks()) == 1


# -- questions are answered anew when the graph has changed ---------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda flow: flow.add_task(Task()),
        lambda flow: flow.add_edge(Task(), Task()),
        lambda flow: flow.set_reference_tasks([]),
        lambda flow: flow.replace(next(iter(flow.tasks)), Task()),
        lambda flow: flow.update(Flow("g", tasks=[Task()])),
    ],
    ids=["add_task", "add_edge", "set_reference_tasks", "replace", "update"],
)
def test_what_was_worked_out_is_forgotten_by_a_change(change):
    flow, _ = chain("ab")
    flow.sorted_tasks()
    flow._cache["a mark"] = 1
    change(flow)
    assert "a mark" not in flow._cache
    assert flow.terminal_tasks() <= set(flow.sorted_tasks()) == set(flow.tasks)


def test_what_was_worked_out_is_kept():
    flow, _ = chain("ab")
    assert flow._cache == {}
    assert flow.sorted_tasks() is flow.sorted_tasks()
    assert flow._cache
    assert flow.copy()._cache == {}


# -- slugs ----------------------------------------------------------------------------------------


def test_slugs_are_names_and_tags_numbered():
    with Flow("f") as flow:
        made = [inc(1), inc(2), Parameter("p")(), inc(3, task_args={"name": "other"})]
        with tags("z", "a"):
            made += [inc(4), inc(5)]
        made.append(inc(6))
        made.append(flow.add_task(Task("own", slug="mine")))
    assert [flow.slugs[one] for one in made] == [
        "inc-1",
        "inc-2",
        "p",
        "other-1",
        "inc-a-z-1",
        "inc-a-z-2",
        "inc-3",
        "mine",
    ]
    assert made[0].slug is None
    made[0].name = "renamed"
    flow.add_task(made[0])
    assert flow.slugs[made[0]] == "inc-1"


def test_slugs_that_are_taken_are_passed_over():
    flow = Flow("f", tasks=[Task("own", slug="a-1"), Task("own", slug="a-3"), Task("a")])
    flow.add_task(Task("a"))
    assert list(flow.slugs.values()) == ["a-1", "a-3", "a-2", "a-4"]


def test_a_slug_can_be_given_once():
    flow = Flow("f", tasks=[Task("a", slug="s"), Task("b")])
    for slug, other in (("s", "<Task: a>"), ("b-1", "<Task: b>")):
        with pytest.raises(ValueError, match=f"slug '{slug}' already exists in flow 'f': {other}"):
            flow.add_task(Task("c", slug=slug))
    assert len(flow.tasks) == 2
    made = Task("d", slug="s")
    with pytest.raises(ValueError, match="slug 's-copy' already exists in flow 'f'"), flow:
        made()
        made()


# -- finding tasks --------------------------------------------------------------------------------


def test_finding_tasks():
    class Own(Task):
        pass

    a, b, c = Task("a", tags=["x", "y"]), Own("a", tags=["x"], slug="s"), Own("c")
    flow = Flow("f", tasks=[c, a, b])
    assert flow.get_tasks() == [c, a, b]
    assert flow.get_tasks(name="a") == [a, b]
    assert flow.get_tasks(tags=["x"]) == [a, b]
    assert flow.get_tasks(tags=["x", "y"]) == [a]
    assert flow.get_tasks(slug="s") == [b]
    assert flow.get_tasks(slug="a-x-y-1") == [a]
    assert flow.get_tasks(task_type=Own) == [c, b]
    assert flow.get_tasks(name="a", task_type=Own, tags=["x"], slug="s") == [b]
    assert flow.get_tasks(name="c", tags=["x"]) == []


def test_parameters():
    x, y = Parameter("x"), Parameter("y")
    flow = Flow("f", tasks=[x, Task(), y])
    assert flow.parameters() == {x, y}


# -- whether it can be ----------------------------------------------------------------------------


def test_edges_whose_tasks_are_gone():
    flow, t = chain("ab")
    flow.slugs.pop(t["a"])
    with pytest.raises(ValueError, match=r"not contained in flow 'f': <Edge: a to b>"):
        flow.validate()


def test_reference_tasks_that_are_gone():
    flow = Flow("f", tasks=[Task("a"), Task("b")])
    (task_a,) = flow.get_tasks(name="a")
    flow.set_reference_tasks([task_a])
    flow.slugs.pop(task_a)
    with pytest.raises(ValueError, match=r"Reference tasks are not in flow 'f': \[<Task: a>\]"):
        flow.validate()


# -- what it costs --------------------------------------------------------------------------------


def chained(count: int) -> Flow:
    with Flow("chain") as flow:
        last = Parameter("x")
        for _ in range(count):
            last = inc(last)
    return flow


def fanned(count: int) -> Flow:
    with Flow("fan") as flow:
        made = [inc(number) for number in range(count)]
        inc(made, upstream_tasks=made)
    return flow


def checked(count: int) -> Flow:
    flow = Flow("checked")
    tasks = [inc.copy() for _ in range(count)]
    hub = inc.copy()
    for above, below in pairwise(tasks):
        flow.add_edge(above, below, key="x", validate=True)
        flow.add_edge(above, hub, validate=True)
    return flow


def questions(count: int) -> Flow:
    flow = chained(count)
    for one in flow.tasks:
        flow.edges_to(one), flow.edges_from(one), flow.has_edges(one)
    flow.sorted_tasks(), flow.reference_tasks(), flow.validate(), flow.copy(), flow.serialize()
    Flow("other").update(flow)
    return flow


def calls(build, count: int) -> int:
    """Give how many functions are called to do something with `count` tasks."""
    found = 0

    def note(_frame, event, _arg):
        nonlocal found
        found += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        build(count)
    finally:
        sys.setprofile(before)
    return found


@pytest.mark.parametrize("build", [chained, fanned, checked, questions])
def test_a_graph_ten_times_as_large_takes_ten_times_as_many_steps(build):
    # In a process of its own: nothing of other tests is called there, and counted.
    ran = subprocess.run(
        [sys.executable, __file__, build.__name__], capture_output=True, text=True, check=True
    )
    small, large = map(int, ran.stdout.split())
    assert 10_000 < large < 10.5 * small


@pytest.mark.slow
@pytest.mark.parametrize("build", [chained, fanned])
def test_a_graph_of_50_000_tasks_is_built_and_sorted_in_seconds(build):
    start = time.perf_counter()
    flow = build(50_000)
    assert len(flow.sorted_tasks()) > 50_000
    flow.validate()
    # A few seconds; a quadratic step would take minutes.
    assert time.perf_counter() - start < 60


if __name__ == "__main__":
    counted = {each.__name__: each for each in (chained, fanned, checked, questions)}[sys.argv[1]]
    counted(10)
    sys.stdout.write(f"{calls(counted, 200)} {calls(counted, 2000)}")
