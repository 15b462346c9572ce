"""Resources that are set up before some tasks of a graph and cleaned up after them."""

from __future__ import annotations

import pytest

from penstock.graph.ambient import context
from penstock.graph.control_flow import CompareValue, case
from penstock.graph.flow import Flow
from penstock.graph.parameter import Parameter
from penstock.graph.resource_manager import (
    ResourceCleanupTask,
    ResourceInitTask,
    ResourceManager,
    ResourceSetupTask,
    resource_manager,
)
from penstock.graph.signals import SKIP
from penstock.graph.state import Pending, Success
from penstock.graph.task import Task, task
from penstock.graph.triggers import all_successful, resource_cleanup


class Journal:
    """A manager that writes down what happens."""

    lines: list[str] = []  # noqa: RUF012 - shared on purpose, and cleared by each test

    def __init__(self, name="r", fail_at=None, skip_at=None):
        self.name = name
        self.fail_at = fail_at
        self.skip_at = skip_at
        self.note("init")

    def note(self, stage):
        if self.fail_at == stage:
            raise ValueError(f"{stage} failed")
        if self.skip_at == stage:
            raise SKIP(f"{stage} skipped")
        self.lines.append(f"{self.name} {stage}")

    def setup(self):
        self.note("setup")
        return f"resource {self.name}"

    def cleanup(self, resource):
        self.note(f"cleanup of {resource}")


class NoSetup:
    seen: list[object] = []  # noqa: RUF012 - shared on purpose

    def cleanup(self, resource):
        self.seen.append(resource)


Manager = resource_manager(Journal)


@pytest.fixture(autouse=True)
def lines():
    Journal.lines.clear()
    NoSetup.seen.clear()
    return Journal.lines


@task
def use(resource):
    Journal.lines.append(f"use {resource}")
    return resource


@task
def other():
    Journal.lines.append("other")


@task
def fail(resource):
    raise ValueError(resource)


def states_of(flow, **parameters):
    state = flow.run(parameters=parameters)
    return state, {t.name: s for t, s in state.result.items()}


# -- making managers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        resource_manager,
        resource_manager(),
        ResourceManager,
        lambda cls: resource_manager(cls, name="Journal"),
    ],
)
def test_a_class_becomes_a_manager(make):
    manager = make(Journal)
    assert isinstance(manager, ResourceManager)
    assert manager.name == "Journal"
    assert manager.resource_class is Journal


def test_options_go_to_the_tasks():
    manager = resource_manager(
        name="db",
        init_task_kwargs={"tags": ["i"]},
        setup_task_kwargs={"tags": ["s"], "checkpoint": True, "name": "connect"},
        cleanup_task_kwargs={"trigger": all_successful},
    )(Journal)
    with Flow("options"):
        block = manager()
    assert (block.init_task.name, block.setup_task.name) == ("db", "connect")
    assert block.cleanup_task.name == "db.cleanup"
    assert block.init_task.tags == {"i"}
    assert block.setup_task.checkpoint is True
    assert block.cleanup_task.trigger is all_successful
    assert block.cleanup_task.skip_on_upstream_skip is False


def test_defaults_of_the_tasks():
    with Flow("defaults"):
        block = Manager()
    assert block.init_task.checkpoint is None
    assert block.setup_task.checkpoint is False
    assert block.cleanup_task.checkpoint is False
    assert block.cleanup_task.trigger is resource_cleanup


def test_a_class_without_cleanup_manages_nothing():
    with pytest.raises(TypeError, match="cleanup"):
        resource_manager(int)


def test_a_manager_needs_a_flow():
    with pytest.raises(ValueError, match="Flow"):
        Manager()


# -- the graph ------------------------------------------------------------------------------------


def test_three_tasks_and_their_edges():
    with Flow("three") as flow:
        block = Manager(Parameter("name"), skip_at=None)
        with block as resource:
            assert resource is block.setup_task
            assert context.get("resource") is block
        assert "resource" not in context
    assert isinstance(block.init_task, ResourceInitTask)
    assert isinstance(block.setup_task, ResourceSetupTask)
    assert isinstance(block.cleanup_task, ResourceCleanupTask)
    assert {edge.key for edge in flow.edges_to(block.setup_task)} == {"mgr"}
    assert {edge.key: edge.upstream_task for edge in flow.edges_to(block.cleanup_task)} == {
        "mgr": block.init_task,
        "resource": block.setup_task,
    }


def test_tasks_of_the_block_run_between_setup_and_cleanup():
    with Flow("between") as flow:
        before = other()
        block = Manager()
        with block as resource:
            a = use(resource)
            b = use(a)
            c = other()
    up, down = flow.upstream_tasks, flow.downstream_tasks
    setup, cleanup = block.setup_task, block.cleanup_task
    assert up(a) == {setup}
    assert up(b) == {a}
    assert up(c) == {setup}
    assert down(a) == {b}
    assert down(b) == {cleanup}
    assert down(c) == {cleanup}
    assert down(before) == set()
    assert len(flow.edges_to(a)) == 1  # it takes the resource, which is edge enough


def test_reference_tasks_are_those_that_do_the_work():
    with Flow("reference") as flow, Manager() as resource:
        a = use(use(resource))
        b = other()
    assert flow.reference_tasks() == {a, b}


def test_a_manager_for_a_flow_that_is_given():
    flow = Flow("given")
    block = Manager(flow=flow)
    assert {block.init_task, block.setup_task, block.cleanup_task} == flow.tasks


def test_a_block_is_of_one_flow():
    elsewhere = Flow("elsewhere")
    with Flow("here"), Manager(), pytest.raises(ValueError, match=r"'here'.*'elsewhere'"):
        elsewhere.add_task(Task())


def test_a_block_that_could_not_be_built_adds_no_edges():
    with Flow("broken") as flow, pytest.raises(KeyError), Manager():
        a = other()
        raise KeyError
    assert flow.edges_to(a) == set()
    assert "resource" not in context


def test_a_resource_without_setup():
    with Flow("no setup") as flow:
        block = resource_manager(NoSetup)()
        with block as resource:
            a = other()
    assert resource is None
    assert block.setup_task is None
    assert flow.upstream_tasks(a) == {block.init_task}
    assert flow.downstream_tasks(a) == {block.cleanup_task}
    assert flow.run().is_successful()
    assert NoSetup.seen == [None]


# -- runs -----------------------------------------------------------------------------------------


def test_a_resource_is_set_up_used_and_cleaned_up(lines):
    with Flow("run") as flow, Manager("db") as resource:
        use(resource)
        other()
    assert flow.run().is_successful()
    assert lines[:2] == ["db init", "db setup"]
    assert set(lines[2:4]) == {"use resource db", "other"}
    assert lines[4:] == ["db cleanup of resource db"]


FAILURES = [
    # where it fails, where it is skipped, flow, init, setup, use, cleanup
    (None, None, "Success", "Success", "Success", "Success", "Success"),
    ("init", None, "Failed", "Failed", "TriggerFailed", "TriggerFailed", "Skipped"),
    ("setup", None, "Failed", "Success", "Failed", "TriggerFailed", "Skipped"),
    (None, "init", "Success", "Skipped", "Skipped", "Skipped", "Skipped"),
    (None, "setup", "Success", "Success", "Skipped", "Skipped", "Skipped"),
    ("cleanup of resource r", None, "Success", "Success", "Success", "Success", "Failed"),
]


@pytest.mark.parametrize(
    ("fail_at", "skip_at", "whole", "init", "setup", "use_", "cleanup"), FAILURES
)
def test_what_happens_when_a_stage_fails(fail_at, skip_at, whole, init, setup, use_, cleanup):
    with Flow("failures") as flow, Manager(fail_at=fail_at, skip_at=skip_at) as resource:
        use(resource)
    state, states = states_of(flow)
    assert type(state).__name__ == whole
    kinds = {name: type(state).__name__ for name, state in states.items()}
    assert kinds == {
        "Journal": init,
        "Journal.setup": setup,
        "use": use_,
        "Journal.cleanup": cleanup,
    }


def test_cleanup_comes_after_a_failure_too(lines):
    with Flow("a task fails") as flow, Manager() as resource:
        use(fail(resource))
    assert flow.run().is_failed()
    assert lines == ["r init", "r setup", "r cleanup of resource r"]


def test_cleanup_comes_after_skipped_tasks_too(lines):
    with Flow("a case") as flow, Manager() as resource, case(Parameter("go"), True):
        used = use(resource)
    (compare,) = flow.get_tasks(task_type=CompareValue)
    assert resource in flow.upstream_tasks(compare)
    state = flow.run(parameters={"go": False})
    assert state.result[used].is_skipped()
    assert lines == ["r init", "r setup", "r cleanup of resource r"]


def test_a_resource_in_a_case_that_is_not_taken_is_never_made(lines):
    with Flow("in a case") as flow, case(Parameter("go"), True), Manager() as resource:
        use(resource)
    assert flow.run(parameters={"go": False}).is_successful()
    assert lines == []
    flow.run(parameters={"go": True})
    assert lines == ["r init", "r setup", "use resource r", "r cleanup of resource r"]


def test_resources_nest(lines):
    with Flow("nested") as flow, Manager("outer") as outer:
        block = Manager("inner")
        with block as inner:
            use(inner)
        use(outer)
    assert outer in flow.upstream_tasks(block.init_task)
    assert flow.run().is_successful()
    order = {line: place for place, line in enumerate(lines)}
    assert order["outer setup"] < order["inner init"] < order["inner setup"]
    assert order["inner cleanup of resource inner"] < order["outer cleanup of resource outer"]
    assert lines[-1] == "outer cleanup of resource outer"


def test_cleanup_waits_for_all_children_of_a_mapped_task(lines):
    with Flow("mapped") as flow, Manager() as resource:
        use.map([resource, resource, "x"])
    assert flow.run().is_successful()
    assert lines.count("use resource r") == 2
    assert lines[-1] == "r cleanup of resource r"


def test_a_resource_is_set_up_again_in_another_pass(lines):
    with Flow("again") as flow:
        block = Manager()
        with block as resource:
            used = use(resource)
    first = flow.run()
    lines.clear()
    flow.run(task_states={**first.result, used: Pending()})
    assert lines == ["r setup", "use resource r", "r cleanup of resource r"]
    assert isinstance(first.result[block.init_task], Success)
