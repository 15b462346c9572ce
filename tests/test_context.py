from __future__ import annotations

import asyncio
import threading

import pytest

from penstock import Flow, Task, flow, tags, task
from penstock.client import PenstockClient
from penstock.client.orchestration import SyncPenstockClient
from penstock.context import (
    ContextModel,
    EngineContext,
    FlowRunContext,
    PenstockObjectRegistry,
    SettingsContext,
    TagsContext,
    TaskRunContext,
    get_run_context,
    get_settings_context,
    use_profile,
)
from penstock.exceptions import MissingContextError
from penstock.loading import load_flow_from_script
from penstock.records import FlowRun, TaskRun


@task
def a_task():
    return 1


def a_flow_context(**fields):
    return FlowRunContext(flow_run=FlowRun(name="brave-otter"), **fields)


def a_task_context(**fields):
    return TaskRunContext(task=a_task, task_run=TaskRun(name="add-0"), **fields)


def a_tags_context():
    return TagsContext({"a"})


KINDS = [a_flow_context, a_task_context, a_tags_context]


# -- 7.1: contexts as such ------------------------------------------------------------------------


@pytest.mark.parametrize("make", KINDS)
class TestContexts:
    def test_entered_and_left(self, make):
        context = make()
        kind = type(context)
        before = kind.get()

        with context as entered:
            assert entered is context
            assert kind.get() is context

        assert isinstance(context, ContextModel)
        assert type(kind.get()) is type(before)
        assert kind.get() is not context

    def test_nesting_restores_the_former(self, make):
        outer, inner = make(), make()
        kind = type(outer)

        with outer:
            with inner:
                assert kind.get() is inner
            assert kind.get() is outer

    def test_not_twice_at_once(self, make):
        context = make()

        with context, pytest.raises(RuntimeError, match=r"entered already.*copy\(\)"):
            context.__enter__()

    def test_twice_one_after_the_other(self, make):
        context = make()

        for _ in range(2):
            with context:
                assert type(context).get() is context

    def test_a_copy_may_be_entered(self, make):
        context = make()

        with context, context.copy() as copy:
            assert type(context).get() is copy
            assert copy is not context

    def test_not_left_without_having_been_entered(self, make):
        with pytest.raises(RuntimeError, match="without having been entered"):
            make().__exit__(None, None, None)

    def test_left_after_an_exception(self, make):
        context = make()

        with pytest.raises(ValueError, match="boom"), context:
            raise ValueError("boom")

        assert type(context).get() is not context

    def test_another_thread_starts_without_it(self, make):
        context, seen = make(), []
        with context:
            thread = threading.Thread(target=lambda: seen.append(type(context).get()))
            thread.start()
            thread.join()

        assert seen[0] is not context


def test_a_copy_takes_changes():
    context = a_task_context(parameters={"x": 1}, log_prints=True)

    copy = context.copy(log_prints=False)

    assert (copy.parameters, copy.log_prints) == ({"x": 1}, False)
    assert context.log_prints
    assert copy.start_time == context.start_time


def test_there_is_no_run_context_outside_of_runs():
    assert FlowRunContext.get() is None
    assert TaskRunContext.get() is None
    assert EngineContext is FlowRunContext
    with pytest.raises(MissingContextError, match="@flow or @task"):
        get_run_context()
    with pytest.raises(RuntimeError):
        get_run_context()


def test_the_innermost_run_is_given():
    flow_context, task_context = a_flow_context(), a_task_context()
    with flow_context:
        assert get_run_context() is flow_context
        with task_context:
            assert get_run_context() is task_context
        assert get_run_context() is flow_context


# -- what runs find in their contexts -------------------------------------------------------------


def test_a_subflow_called_in_a_task_is_in_no_task_any_more():
    @flow
    def child():
        return TaskRunContext.get(), FlowRunContext.get().flow.name

    @task
    def call():
        found = child()
        return found, TaskRunContext.get().task.name

    @flow
    def parent():
        return call()

    assert parent() == ((None, "child"), "call")


def test_a_context_gives_a_client():
    @flow
    def ingest():
        context = get_run_context()
        client = context.client
        assert client is context.client
        return type(client)

    assert ingest() in (PenstockClient, SyncPenstockClient)


def test_contexts_are_left_when_a_run_is_over():
    @flow
    def ingest(fail):
        a_task()
        if fail:
            raise ValueError("boom")

    ingest(fail=False)
    with pytest.raises(ValueError, match="boom"):
        ingest(fail=True)

    assert FlowRunContext.get() is None
    assert TaskRunContext.get() is None


def test_async_runs_beside_each_other_have_contexts_of_their_own():
    @task
    async def who():
        await asyncio.sleep(0)
        context = get_run_context()
        await asyncio.sleep(0)
        assert get_run_context() is context
        return context.task_run.name

    @flow
    async def ingest():
        names = await asyncio.gather(*(who() for _ in range(3)))
        assert get_run_context() is FlowRunContext.get()
        return names

    assert asyncio.run(ingest()) == ["who-0", "who-1", "who-2"]


# -- settings -------------------------------------------------------------------------------------


def test_the_settings_context():
    context = get_settings_context()

    assert isinstance(context, SettingsContext)
    assert context.settings.flow_default_retries == 0
    assert SettingsContext.get() is not None


def test_a_profile_applies_in_its_block(penstock_home):
    penstock_home.mkdir(parents=True)
    (penstock_home / "profiles.toml").write_text(
        "[profiles.patient]\nPENSTOCK_FLOW_DEFAULT_RETRIES = 7\n"
    )

    with use_profile("patient"):
        assert get_settings_context().settings.flow_default_retries == 7

        @flow
        def ingest():
            return 1

    assert ingest.retries == 7
    assert get_settings_context().settings.flow_default_retries == 0


# -- 7.2: tags ------------------------------------------------------------------------------------


def test_tags_add_up():
    assert TagsContext.get().current_tags == set()
    with tags("a", "b") as outer:
        assert outer == {"a", "b"}
        with tags("c", "a") as inner:
            assert inner == {"a", "b", "c"}
            assert TagsContext.get().current_tags == {"a", "b", "c"}
        assert TagsContext.get().current_tags == {"a", "b"}
    assert TagsContext.get().current_tags == set()


class TestRegistry:
    def test_it_collects_what_is_made_while_it_is_entered(self):
        with PenstockObjectRegistry() as registry:
            assert PenstockObjectRegistry.get() is registry
            made = [flow(a_task.fn, name="one"), task(a_task.fn), flow(a_task.fn, name="two")]
        later = task(a_task.fn)

        assert PenstockObjectRegistry.get() is None
        assert registry.get_instances(Flow) == [made[0], made[2]]
        assert registry.get_instances(Task) == [made[1]]
        assert registry.get_instances(object) == made
        assert later not in registry.get_instances(Task)

    def test_of_a_script_that_is_loaded_too(self, tmp_path):
        script = tmp_path / "of_the_registry.py"
        script.write_text("from penstock import flow\n@flow\ndef mine(): return 1\nmine()\n")
        with PenstockObjectRegistry() as registry:
            loaded = load_flow_from_script(script)
            assert loaded() == 1

        assert registry.get_instances(Flow) == [loaded]

    def test_it_can_keep_flows_from_running(self, caplog):
        @flow(name="mine")
        def mine():
            return 1

        with PenstockObjectRegistry(block_code_execution=True):
            assert mine() is None
        assert "'mine' was called while its script is being loaded" in caplog.text
        assert mine() == 1

    def test_failures_are_raised_unless_they_are_captured(self):
        with PenstockObjectRegistry() as registry, pytest.raises(ValueError, match="retries"):
            flow(a_task.fn, name="mine", retries=-1)
        assert registry.get_instance_failures(Flow) == []

        with PenstockObjectRegistry(capture_failures=True) as registry:
            made = flow(a_task.fn, name="mine", retries=-1)
        [(error, half_made)] = registry.get_instance_failures(Flow)
        assert "retries" in str(error)
        assert half_made is made
        assert registry.get_instances(Flow) == []
        assert registry.get_instance_failures(Task) == []


def test_a_flow_context_of_nothing_has_empty_fields():
    with FlowRunContext() as context:
        assert (context.task_run_futures, context.task_run_states) == ([], [])
        assert (context.flow_run_states, context.background_tasks) == ([], [])
        assert (context.task_run_dynamic_keys, context.task_run_results) == ({}, {})
        assert (context.observed_flow_pauses, context.timeout_scope) == ({}, None)
