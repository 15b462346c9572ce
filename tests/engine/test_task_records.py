"""What is recorded of a task run: names, keys, tags, versions, states, times (spec 2.3, 5.5)."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from uuid import UUID

import pytest

from penstock import flow, get_client, runtime, tags, task
from penstock.context import TaskRunContext
from penstock.states import Completed, StateType
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner

HOW = pytest.mark.parametrize("how", ["call", "submit", "map"])


@task
def gives(x):
    return x


@task
async def gives_async(x):
    return x


def make(of, how, value):
    """Run `of` once with `value`, in one of the three ways."""
    if how == "call":
        return of(value)
    return (of.submit(value) if how == "submit" else of.map([value])[0]).result()


def run(work, **options):
    given = []

    @flow(**options)
    def runs():
        given.append(work())
        return "fine"

    runs()
    return given[0]


# -- the record -----------------------------------------------------------------------------------


@HOW
@pytest.mark.parametrize("of", [gives, gives_async], ids=["sync", "async"])
def test_what_is_recorded(of, how, records, history):
    before = datetime.now(UTC)

    run(lambda: make(of, how, [1]))

    made, flow_run = records.task_run(), records.flow_run()
    assert isinstance(made.id, UUID)
    assert made.name == f"{of.name}-0"
    assert made.task_key == of.task_key
    assert made.dynamic_key == "0"
    assert made.flow_run_id == flow_run.id
    assert made.run_count == 1
    assert made.flow_run_run_count == 1
    assert made.tags == []
    assert made.task_version is None
    assert history(made) == ["Pending", "Running", "Completed"]
    pending, running, completed = made.history
    assert pending.type is StateType.PENDING
    assert before <= pending.timestamp <= running.timestamp <= completed.timestamp
    assert made.expected_start_time == pending.timestamp
    assert made.start_time == running.timestamp
    assert made.end_time == completed.timestamp
    assert made.total_run_time == completed.timestamp - running.timestamp
    assert made.state.id == completed.id
    for state in made.history:
        assert state.state_details.task_run_id == made.id
        assert state.state_details.flow_run_id == flow_run.id


def test_a_failed_run(records, history):
    @task
    def fails():
        raise ValueError("boom")

    run(lambda: fails(return_state=True))

    made = records.task_run()
    assert history(made) == ["Pending", "Running", "Failed"]
    assert made.state.message == "Task run encountered an exception ValueError: boom"
    with pytest.raises(ValueError, match="boom"):
        made.state.result()


def test_the_version(records):
    run(lambda: gives.with_options(name="x")(1))
    run(lambda: task(version="7")(gives.fn)(1))

    assert [made.task_version for made in records.task_runs()] == [None, "7"]


def test_the_retry_policy(records):
    of = gives.with_options(retries=3, retry_delay_seconds=[1, 2], retry_jitter_factor=0.5)

    run(lambda: of(1))

    policy = records.task_run().empirical_policy
    assert (policy.retries, policy.retry_delay, policy.retry_jitter_factor) == (3, [1, 2], 0.5)


def test_it_is_found_by_its_id():
    @task
    def looks():
        return TaskRunContext.get().task_run.id

    run_id = run(looks)

    with get_client(sync_client=True) as client:
        assert client.read_task_run(run_id).state.is_completed()


def test_a_value_reaches_the_caller_only_after_it_is_recorded(records):  # DESIGN 5
    def work():
        gives(1)
        assert records.task_run("gives").state_name == "Completed"
        assert gives.submit(2).result() == 2
        assert [made.state_name for made in records.task_runs("gives")] == ["Completed"] * 2

    run(work)


# -- keys and names -------------------------------------------------------------------------------


@HOW
def test_calls_are_numbered_in_their_order_for_each_task(how, records):
    other = gives.with_options(name="other")

    def work():
        for value in "abc":
            make(gives, how, value)
            make(other, how, value)

    run(work)

    found = {(made.name, made.dynamic_key, made.state.result()) for made in records.task_runs()}
    assert found == {
        (f"{name}-{index}", str(index), value)
        for name in ("gives", "other")
        for index, value in enumerate("abc")
    }


def test_each_flow_run_counts_from_the_start(records):
    work = lambda: (gives(1), gives(2))

    run(work)
    run(work)

    assert [made.dynamic_key for made in records.task_runs()] == ["0", "1", "0", "1"]


def test_each_subflow_run_counts_from_the_start(records):
    @flow
    def child():
        gives(1)

    def work():
        gives(0)
        child()
        child()

    run(work)

    assert [made.name for made in records.task_runs("gives")] == ["gives-0"] * 3
    assert [made.name for made in records.task_runs("child")] == ["child-0", "child-1"]


def test_what_is_called_in_a_task_is_numbered_within_it(records):  # DESIGN 5, identity
    @task
    def parent():
        return gives(1) + gives(2)

    def work():
        gives(0)
        [future.wait() for future in (parent.submit(), parent.submit())]

    run(work)

    keys = [made.dynamic_key for made in records.task_runs("gives")]
    assert keys[0] == "0"
    assert len(set(keys)) == 5
    assert sorted(key.split("@")[0] for key in keys[1:]) == ["0", "0", "1", "1"]
    assert len({key.split("@")[1] for key in keys[1:]}) == 2


def test_the_name_of_a_task_may_be_any_text(records):
    run(lambda: gives.with_options(name="läd / 5% <x>")(1))

    assert records.task_run().name == "läd / 5% <x>-0"


RUN_NAMES = {
    "constant": ("always", "always"),
    "template": ("x is {x}", "x is [1]"),
    "attribute": ("{x.__class__.__name__}", "list"),
    "item": ("{x[0]:03}", "001"),
    "default": ("{y}", "why"),
    "keyword arguments": ("{named[z]}", "zed"),
    "callable": (lambda: "made", "made"),
    "callable that asks where it is": (
        lambda: f"{runtime.task_run.name} {runtime.task_run.parameters['x']}",
        "takes-0 [1]",
    ),
}


@pytest.mark.parametrize("how", ["call", "submit"])
@pytest.mark.parametrize("case", RUN_NAMES)
def test_run_names(case, how, records):
    template, name = RUN_NAMES[case]

    @task(task_run_name=template)
    def takes(x, y="why", **named):
        return TaskRunContext.get().task_run.name

    def work():
        if how == "call":
            return takes([1], z="zed")
        return takes.submit([1], z="zed").result()

    assert run(work) == name
    assert records.task_run().name == name


def test_the_template_sees_results_not_futures(records):
    of = gives.with_options(task_run_name="got {x}")

    run(lambda: of(gives.submit(7)))

    assert {made.name for made in records.task_runs()} == {"gives-0", "got 7"}


def test_each_child_of_a_map_is_named(records):
    of = gives.with_options(task_run_name="number {x}")

    run(lambda: [future.wait() for future in of.map([1, 2])])

    assert sorted(made.name for made in records.task_runs()) == ["number 1", "number 2"]


def test_a_run_is_named_once_whatever_the_retries(records):
    names = iter("abc")

    @task(task_run_name=lambda: next(names), retries=2)
    def flaky():
        if TaskRunContext.get().task_run.run_count < 3:
            raise ValueError("boom")

    run(flaky)

    assert records.task_run().name == "a"


BAD_NAMES = {
    "unknown parameter": ("{z}", r"KeyError.*z|'z'"),
    "no text": (lambda: 7, "must return a str"),
    "raises": (lambda: 1 / 0, "division by zero"),
    "broken template": ("{", "expected '}'|Single"),
}


def key_for_a_name(context, arguments):
    return "key for a name"


@pytest.mark.parametrize("cache_key_fn", [None, key_for_a_name])
@pytest.mark.parametrize("how", ["call", "submit"])
@pytest.mark.parametrize("case", BAD_NAMES)
def test_a_name_that_cannot_be_made_fails_the_run(case, how, cache_key_fn, records):
    template, text = BAD_NAMES[case]
    called = []

    @task(task_run_name=template, cache_key_fn=cache_key_fn)
    def takes(x):
        called.append(x)

    def work():
        if how == "call":
            return takes(1, return_state=True)
        return takes.submit(1).wait()

    state = run(work)

    assert state.is_failed()
    assert re.search(text, state.message)
    assert records.task_run().state_type == state.type
    assert called == []


def test_a_name_that_cannot_be_made_is_tried_again_as_the_function_is(records):
    names = iter([7, "b"])

    @task(task_run_name=lambda: next(names), retries=1)
    def gives_one():
        return 1

    assert run(gives_one) == 1
    assert records.task_run().name == "b"


# -- tags -----------------------------------------------------------------------------------------


@HOW
def test_tags_of_the_task_and_of_the_context(how, records):
    of = gives.with_options(tags=["own", "both"])

    def work():
        with tags("around", "both"):
            make(of, how, 1)
        make(of, how, 2)

    run(work)

    assert [sorted(made.tags) for made in records.task_runs()] == [
        ["around", "both", "own"],
        ["both", "own"],
    ]
    assert of.tags == {"own", "both"}


def test_tags_around_the_flow_reach_its_tasks_and_theirs(records):
    @task
    def parent():
        gives(1)
        gives.submit(2).wait()

    with tags("outer"):
        run(lambda: parent.submit().wait())

    assert [made.tags for made in records.task_runs()] == [["outer"]] * 3


def test_tags_outside_of_a_flow(records):
    with tags("around"):
        gives(1)

    assert records.task_run().tags == ["around"]


# -- what is logged -------------------------------------------------------------------------------


@pytest.mark.parametrize("runner", [SequentialTaskRunner, ConcurrentTaskRunner])
def test_a_failure_is_logged_with_its_state(runner, records):
    @task
    def fails():
        raise ValueError("boom")

    run(lambda: fails.submit().wait(), task_runner=runner)

    logged = records.logs()
    assert any("Encountered exception during execution:" in line for line in logged)
    assert any("ValueError: boom" in line and "Traceback" in line for line in logged)
    assert any(line.startswith("Finished in state Failed(") for line in logged)


def test_a_state_made_by_hand_is_the_runs(records):
    @task
    def skips():
        return Completed(name="Skipped", message="nothing to do", data=5)

    assert run(skips) == 5

    made = records.task_run()
    assert (made.state_name, made.state.message) == ("Skipped", "nothing to do")
    assert made.state.result() == 5


def test_in_an_async_flow_gathered_calls_are_numbered_in_their_order(records):
    @flow
    async def runs():
        await asyncio.gather(*(gives_async(value) for value in "abc"))

    asyncio.run(runs())

    assert sorted((m.dynamic_key, m.state.result()) for m in records.task_runs()) == [
        ("0", "a"),
        ("1", "b"),
        ("2", "c"),
    ]
