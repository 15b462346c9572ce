"""Flows: what they are made of, blocks, copies, pickles, where they are found, JSON."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import textwrap
from typing import Any

import cloudpickle
import pytest

from penstock.graph import Edge, Flow, Parameter, Task, context, task, triggers
from penstock.graph.executors import LocalExecutor
from penstock.graph.results import PrefectResult
from penstock.graph.state import Failed, Success
from penstock.settings import PENSTOCK_GRAPH_EAGER_EDGE_VALIDATION, temporary_settings


@task
def add(x, y=1):
    return x + y


# -- what it is made of ---------------------------------------------------------------------------


def test_a_flow_needs_a_name():
    with pytest.raises(TypeError):
        Flow()
    for name in ("", None):
        with pytest.raises(ValueError, match=r"name must be provided.*Flow\('nightly'\)"):
            Flow(name)
    with pytest.raises(TypeError, match="must be a text, not 5"):
        Flow(5)
    assert repr(Flow("n")) == "<Flow: name='n'>"


def test_what_is_given_is_kept():
    class Schedule:
        def next(self, n):
            return []

    given = {
        "schedule": Schedule(),
        "executor": LocalExecutor(),
        "run_config": object(),
        "storage": object(),
        "result": PrefectResult(),
        "terminal_state_handler": lambda *_: None,
        "state_handlers": [lambda *_: None],
    }
    flow = Flow(name="n", **given)
    assert {key: getattr(flow, key) for key in given} == given
    assert list(inspect.signature(Flow).parameters) == [
        "name",
        "schedule",
        "executor",
        "run_config",
        "storage",
        "tasks",
        "edges",
        "reference_tasks",
        "state_handlers",
        "on_failure",
        "validate",
        "result",
        "terminal_state_handler",
    ]


def test_without_options():
    flow = Flow("n")
    assert (len(flow.tasks), len(flow.edges), flow.slugs, flow.constants) == (0, 0, {}, {})
    assert flow.sorted_tasks() == ()
    assert flow.reference_tasks() == flow.parameters() == set()
    for key in "schedule executor run_config storage result terminal_state_handler".split():  # noqa: SIM905
        assert getattr(flow, key) is None


def test_tasks_references_and_edges_are_added_in_this_order():
    a, b, c = (Task(name) for name in "abc")
    flow = Flow(
        "n", tasks=[b, a], reference_tasks=[a], edges=[Edge(a, c), Edge(c, b, mapped=True)]
    )
    assert list(flow.tasks) == [b, a, c]
    assert list(flow.edges) == [Edge(a, c), Edge(c, b, mapped=True)]
    assert flow.reference_tasks() == {a}
    with pytest.raises(ValueError, match="'c' was not found in Flow 'n'"):
        Flow("n", tasks=[a], reference_tasks=[c], edges=[Edge(a, c)])


class _Handle:
    def __call__(self, *_):
        """Be told of a change of state."""

    def __repr__(self):
        return "handle"


handle = _Handle()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": [1]}, "flow 'n' received int: 1"),
        ({"tasks": [None]}, "flow 'n' received NoneType"),
        ({"edges": [("a", "b")]}, r"Edges of flow 'n' must be Edge instances, not \('a', 'b'\)"),
        ({"reference_tasks": 5}, "reference tasks of flow 'n' must be a list of tasks, not 5"),
        ({"state_handlers": handle}, "of flow 'n' must be a sequence"),
        ({"state_handlers": [5]}, "of flow 'n' must be functions"),
    ],
    ids=str,
)
def test_what_cannot_be_in_a_flow(options, message):
    with pytest.raises(TypeError, match=message):
        Flow("n", **options)


def test_a_constant_in_an_edge_folds():
    b = add.copy()
    flow = Flow("n", edges=[Edge(1, b, key="x")])
    assert flow.constants == {b: {"x": 1}}
    assert not flow.edges


def test_on_failure_is_told_of_failures():
    told: list[Any] = []
    flow = Flow("n", on_failure=lambda *about: told.append(about))
    flow.state_handlers[0](flow, None, Success())
    failed = Failed("no")
    flow.state_handlers[0](flow, None, failed)
    assert told == [(flow, failed)]


@pytest.mark.parametrize("how", ["option", "setting", "context"])
def test_checks_while_it_is_made(how):
    a, b = Task("a"), Task("b")
    cycle = [Edge(a, b), Edge(b, a)]
    options = {"validate": True} if how == "option" else {}
    with temporary_settings({PENSTOCK_GRAPH_EAGER_EDGE_VALIDATION: how == "setting"}):
        over = {"flows": {"eager_edge_validation": True}} if how == "context" else {}
        with context(config=over):
            for edges, error in (
                (cycle, ValueError),
                ([Edge(a, b, key="x")], TypeError),
                ([Edge(a, add, key="x"), Edge(b, add, key="x")], ValueError),
            ):
                with pytest.raises(error):
                    Flow("n", edges=edges, **options)
            Flow("n", edges=cycle, validate=False)
    Flow("n", edges=cycle)


# -- equality and copies --------------------------------------------------------------------------


def test_flows_are_equal_with_the_same_graph():
    a, b, c = (Task(name) for name in "abc")

    def make(name="n", tasks=(a, b, c), edges=None, reference_tasks=()):
        edges = [Edge(a, b), Edge(b, c)] if edges is None else edges
        return Flow(name, tasks=tasks, edges=edges, reference_tasks=reference_tasks)

    flow = make()
    assert flow == make()
    assert flow == make(tasks=(c, b, a))
    assert flow == make(reference_tasks=[c])
    for other in (
        make(name="m"),
        make(tasks=(a, b, c, Task("d"))),
        make(edges=[Edge(a, b)]),
        make(edges=[Edge(a, b), Edge(b, c, mapped=True)]),
        make(reference_tasks=[a]),
        None,
        "n",
        {a, b, c},
    ):
        assert flow != other
    assert len({flow, make(name="m")}) == 2


def test_a_copy_is_equal_and_goes_its_own_way():
    a, b, c = Task("a"), Task("b"), add.copy()
    flow = Flow("n", edges=[Edge(a, b), Edge(1, c, key="x")], state_handlers=[lambda *_: None])
    flow.set_reference_tasks([b])
    copied = flow.copy()
    assert copied == flow
    assert copied.slugs == flow.slugs
    before = (list(flow.tasks), list(flow.edges), {c: {"x": 1}}, {b}, flow.sorted_tasks())
    copied.add_edge(b, Task("d"))
    copied.add_edge(2, c, key="y")
    copied.set_reference_tasks([a])
    copied.state_handlers.clear()
    copied.replace(a, Task("e"))
    after = (
        list(flow.tasks),
        list(flow.edges),
        flow.constants,
        flow.reference_tasks(),
        flow.sorted_tasks(),
    )
    assert after == before
    assert len(flow.state_handlers) == 1
    assert flow.add_task(Task("a")) is not None
    assert sorted(flow.slugs.values()) == ["a-1", "a-2", "add-1", "b-1"]


def test_a_copy_of_a_subclass_is_one():
    class Own(Flow):
        extra = None

    flow = Own("n")
    flow.extra = 5
    assert type(flow.copy()) is Own
    assert flow.copy().extra == 5


def test_a_flow_can_be_pickled():
    with Flow("n") as flow:
        x = Parameter("x", default=1)
        found = add(x, y=2)
        add.map([found, x])
    flow.set_reference_tasks([found])
    flow.sorted_tasks()
    made = cloudpickle.loads(cloudpickle.dumps(flow))
    assert list(made.slugs.values()) == list(flow.slugs.values())
    assert [repr(edge) for edge in made.edges] == [repr(edge) for edge in flow.edges]
    assert [one.name for one in made.sorted_tasks()] == [one.name for one in flow.sorted_tasks()]
    (reference,) = made.reference_tasks()
    assert made.run(x=5).result[reference].result == 7
    made.add_edge(reference, Task("later"))


# -- where it is ----------------------------------------------------------------------------------


def test_where_another_process_finds_it(tmp_path):
    path = tmp_path / "graphs.py"
    path.write_text(
        textwrap.dedent(
            """
            from penstock.graph import Flow
            at_module_level = Flow("one")
            def make():
                return Flow("two")
            print(at_module_level.entrypoint)
            print(make().entrypoint)
            given = make()
            print(given.entrypoint)
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == [f"{path}:at_module_level", "None", f"{path}:given"]


def test_where_it_is_can_be_said():
    flow = Flow("n")
    assert flow.entrypoint is None
    flow._given_entrypoint = "here.py:flow"
    assert flow.entrypoint == "here.py:flow"


# -- as JSON --------------------------------------------------------------------------------------


def build(order: int = 1, name: str = "n", **add_options: Any) -> Flow:
    flow = Flow(name)
    x, y = Parameter("x", default={"b": 1, "a": {3, 1}}), Parameter("y")
    one = add.copy(name="one", trigger=triggers.some_failed(at_least=1), **add_options)
    two = add.copy(name="two", tags=["u", "t"])
    dependencies = [(one, {"x": x, "y": y}), (two, {"x": one, "y": 3})]
    for made, keywords in dependencies[::order]:
        made.set_dependencies(
            flow=flow, keyword_tasks=dict(list(keywords.items())[::order]), mapped=made is two
        )
    return flow


def test_a_flow_as_json():
    flow = build()
    written = flow.serialize()
    assert json.loads(json.dumps(written)) == written
    assert written["name"] == "n"
    assert [entry["slug"] for entry in written["tasks"]] == [
        "3-1",
        "one-1",
        "two-t-u-1",
        "x",
        "y",
    ]
    assert [(entry["name"], entry["required"]) for entry in written["parameters"]] == [
        ("x", False),
        ("y", True),
    ]
    assert {
        "upstream_task": {"slug": "one-1"},
        "downstream_task": {"slug": "two-t-u-1"},
        "key": "x",
        "mapped": True,
        "flattened": False,
    } in written["edges"]
    assert len(written["edges"]) == 4
    assert written["reference_tasks"] == ["two-t-u-1"]


def test_the_hash_is_that_of_the_graph():
    flow = build()
    assert len(flow.serialized_hash()) == 64
    assert flow.serialized_hash() == flow.copy().serialized_hash() == build().serialized_hash()
    assert flow.serialized_hash() == build(order=-1).serialized_hash()
    others = [build(name="m"), build(max_retries=0, timeout=5), build(order=-1)]
    others[2].add_task(Task())
    assert len({flow.serialized_hash(), *(other.serialized_hash() for other in others)}) == 4


def test_the_hash_is_the_same_in_every_process():
    code = textwrap.dedent(
        """
        from penstock.graph import Flow, Parameter, task
        from penstock.graph.triggers import some_failed
        class Thing: pass
        @task(trigger=some_failed(at_least=1), tags={"a", "b", "c"})
        def add(x: set[str], y=Thing(), *, z=frozenset({"p", "q", "r"})): return x
        with Flow("n") as flow:
            add(Parameter("x", default={"one", "two", "three"}))
            add(Parameter("y", default=Thing()))
        print(flow.serialized_hash())
        """
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


def test_a_flow_that_is_not_valid_is_not_written():
    a, b = Task("a"), Task("b")
    with pytest.raises(ValueError, match="Cycle found"):
        Flow("n", edges=[Edge(a, b), Edge(b, a)]).serialize()
    with pytest.raises(ValueError, match="Cycle found"):
        Flow("n", edges=[Edge(a, b), Edge(b, a)]).serialized_hash()
