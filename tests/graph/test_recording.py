"""What is recorded of a graph's tasks, and how it reads back."""

from __future__ import annotations

import datetime as dt
import threading
from uuid import uuid4

import pytest

from penstock.graph import Flow, Parameter, context, pause_task, signals, state, task, triggers
from penstock.graph.executors import Executor, LocalDaskExecutor, LocalExecutor
from penstock.graph.recording import KEPT_LOOPS, READ_AS, STORED_AS, to_graph, to_stored
from penstock.graph.resuming import recorded_states
from penstock.graph.state import State
from penstock.ids import new_id
from penstock.records import FlowRun, TaskRun
from penstock.rules import Facts, record
from penstock.states import StateType
from penstock.store import get_store
from penstock.store import statements as sql
from penstock.store.encoding import task_run_row
from penstock.store.sqlite import SqliteDialect

WHEN = dt.datetime(2030, 5, 1, 12, tzinfo=dt.UTC)
FIELDS = {
    "Scheduled": {"start_time": WHEN},
    "Resume": {"start_time": WHEN},
    "Paused": {"start_time": None},
    "Retrying": {"start_time": WHEN, "run_count": 3},
    "Looped": {"loop_count": 7},
    "Mapped": {"n_map_states": 4},
    "Cached": {"cached_result_expiration": WHEN},
    "Queued": {"start_time": WHEN},
}


class Protocol(Executor):
    """An executor that has only what executors have to have."""

    def submit(self, fn, *args, extra_context=None, **kwargs):
        return fn(*args, **kwargs)

    def wait(self, futures):
        return futures


EXECUTORS = {
    "one by one": LocalExecutor,
    "threads": lambda: LocalDaskExecutor(num_workers=2),
    "an executor of a user's": Protocol,
}


@pytest.fixture(params=EXECUTORS.values(), ids=EXECUTORS.keys())
def executor(request):
    return request.param()


def through_the_store(made, **fields):
    """Write a task run in a state, and read it back."""
    store = get_store()
    flow_run = FlowRun(name="flow-run", flow_name="flow", flow_id=store.flow_id("flow"))
    run = TaskRun(
        name="task", flow_run_id=flow_run.id, task_key="task-1", dynamic_key="0", **fields
    )
    record(run, to_stored(made, WHEN), Facts(now=WHEN))
    store.commit([(sql.WRITE_TASK_RUN, task_run_row(run))])
    (read,) = store.read_task_runs(flow_run.id)
    return read


# -- the table ------------------------------------------------------------------------------------


def test_each_class_of_states_has_a_row_of_its_own():
    classes = {State, *State.children()}

    assert set(STORED_AS) == classes
    assert len(set(STORED_AS.values())) == len(classes)
    assert all(READ_AS[stored] is kind for kind, stored in STORED_AS.items())


@pytest.mark.parametrize("kind", STORED_AS, ids=lambda kind: kind.__name__)
def test_each_state_reads_back_as_itself(kind):
    made = kind(message="why", **FIELDS.get(kind.__name__, {}))

    run = through_the_store(made)
    read = to_graph(run)

    assert (run.state.type, run.state.name) == STORED_AS[kind]
    assert type(read) is kind
    assert read.message == "why"
    for name, value in FIELDS.get(kind.__name__, {}).items():
        assert getattr(read, name) == value, name


def test_a_paused_state_with_a_time_keeps_it():
    assert to_graph(through_the_store(state.Paused(start_time=WHEN))).start_time == WHEN


def test_a_class_of_a_users_is_stored_as_the_nearest_of_ours():
    class Late(state.Retrying):
        pass

    run = through_the_store(Late(start_time=WHEN, run_count=2))

    assert (run.state.type, run.state.name) == (StateType.SCHEDULED, "AwaitingRetry")
    assert to_graph(run).run_count == 2


def test_what_only_the_flow_engine_makes_has_a_state_too():
    run = TaskRun(name="task")
    assert type(to_graph(run)) is state.Pending
    for kind, expected in {
        "CRASHED": state.Failed,
        "CANCELLED": state.Cancelled,
        "COMPLETED": state.Success,
        "SCHEDULED": state.Scheduled,
    }.items():
        stored = to_stored(state.Pending(), WHEN)
        stored.type, stored.name = StateType(kind), "Whatever"
        run = TaskRun(name="task", flow_run_id=new_id())
        record(run, stored, Facts(now=WHEN))
        assert type(to_graph(run)) is expected


# -- one row, one commit --------------------------------------------------------------------------


@task
def one():
    return 1


@task
def add(x, y=1):
    return x + y


@task
def fails():
    raise ValueError("no")


@task(max_retries=2, retry_delay=dt.timedelta(milliseconds=5))
def third_time():
    if context.task_run_count < 3:
        raise ValueError(f"attempt {context.task_run_count}")
    return context.task_run_count


@task
def skips():
    raise signals.SKIP("not today")


@task
def turns(count):
    turn = context.get("task_loop_count", 1)
    if turn < count:
        raise signals.LOOP(result=turn)
    return turn


@pytest.fixture
def written(monkeypatch):
    """Count the rows of task runs that reach the database, but for notes that they run."""
    rows = []
    apply = SqliteDialect.apply

    def apply_noted(self, group):
        apply(self, group)
        rows.extend(
            values
            for write in group
            for statement, values in write.rows
            if statement is sql.WRITE_TASK_RUN and values[6] != "Running"
        )

    monkeypatch.setattr(SqliteDialect, "apply", apply_noted)
    return rows


def test_a_task_is_written_once(executor, written, records):
    with Flow("once", executor=executor) as flow:
        n = Parameter("n", default=4)
        add(add(one()), n)
        fails()
        skips()
        add.map([1, 2, 3])
    assert flow.run().is_finished()

    runs = records.task_runs()
    assert len(written) == len(runs) == 10
    assert len({row[1] for row in written}) == 10
    records.check()


def test_a_task_that_waits_is_written_as_it_begins_to(executor, written, records):
    with Flow("waits", executor=executor) as flow:
        third_time()
        turns(4)
    assert flow.run().is_successful()

    names = [row[6] for row in written if row[2].startswith("third_time")]
    assert names == ["AwaitingRetry", "AwaitingRetry", "Completed"]
    names = [row[6] for row in written if row[2].startswith("turns")]
    assert names == ["Looped", "Looped", "Looped", "Completed"]
    records.check()


# -- histories ------------------------------------------------------------------------------------


def test_histories_say_what_has_happened(executor, records, history):
    @task(cache_for=dt.timedelta(hours=1), cache_key=uuid4().hex)
    def kept():
        return 1

    @task(trigger=triggers.manual_only)
    def approved():
        pass

    @task
    def asks():
        pause_task("may I?")

    @task(timeout=1)
    def slow():
        raise signals.FAIL("said so itself")

    with Flow("all", executor=executor) as flow:
        succeeded = one()
        failed = fails()
        add(failed)
        kept()
        third_time()
        skips()
        turns(3)
        slow()
        approved(upstream_tasks=[succeeded])
        asks()
        add.copy(name="child").map([1])
    flow.run()

    found = {run.task_key.rpartition("-")[0]: history(run) for run in records.task_runs()}
    records.check()
    assert found == {
        "one": ["Pending", "Running", "Completed"],
        "fails": ["Pending", "Running", "Failed"],
        "add": ["Pending", "TriggerFailed"],
        "kept": ["Pending", "Running", "Cached"],
        "third_time": [
            *["Pending", "Running", "AwaitingRetry", "Running", "AwaitingRetry"],
            *["Running", "Completed"],
        ],
        "skips": ["Pending", "Running", "Skipped"],
        "turns": ["Pending", *["Running", "Looped"] * 2, "Running", "Completed"],
        "slow": ["Pending", "Running", "Failed"],
        "approved": ["Pending", "Paused"],
        "asks": ["Pending", "Running", "Paused"],
        "child": ["Pending", "Running", "Completed"],
    }
    by_key = {run.task_key.rpartition("-")[0]: run for run in records.task_runs()}
    assert by_key["third_time"].run_count == 3
    assert "attempt 2" in by_key["third_time"].history[4].message
    assert "ValueError('no')" in by_key["fails"].state.message


def test_paused_tasks_that_go_on_have_legal_histories(executor, records, history):
    @task(trigger=triggers.manual_only)
    def approved():
        return "yes"

    @task
    def asks():
        pause_task("may I?")
        return "yes"

    with Flow("paused", executor=executor) as flow:
        approved()
        asks()
    flow.run()
    assert flow.resume(records.flow_run().id).is_successful()

    records.check()
    assert history(records.task_run("approved"))[-2:] == ["Running", "Completed"]
    assert history(records.task_run("asks"))[-2:] == ["Running", "Completed"]


def test_the_history_of_a_long_loop_is_bounded_and_in_order(executor, records):
    with Flow("long", executor=executor) as flow:
        last = turns(300)

    assert flow.run().result[last].result == 300

    run = records.task_run("turns")
    records.check()
    assert run.run_count == 300
    assert len(run.history) <= 2 * KEPT_LOOPS + 6
    assert sum((one.state_details.graph or {}).get("left_out", [0])[0] for one in run.history)


def test_a_long_loop_whose_turns_fail_is_bounded_too(records):
    @task(max_retries=1, retry_delay=dt.timedelta(0))
    def stumbles():
        turn = context.get("task_loop_count", 1)
        if context.task_run_count == 1:
            raise ValueError("once")
        if turn < 150:
            raise signals.LOOP(result=turn)
        return turn

    with Flow("stumbling") as flow:
        last = stumbles()

    assert flow.run().result[last].result == 150
    run = records.task_run("stumbles")
    records.check()
    assert run.run_count == 300
    assert len(run.history) <= 2 * KEPT_LOOPS + 6


# -- what a record tells --------------------------------------------------------------------------


def test_names_of_runs_are_those_that_tasks_give(executor, records):
    @task(task_run_name="load {name}")
    def load(name):
        return name

    @task(task_run_name=lambda **given: f"of {given['name']}, for {given['who']}")
    def by_function(name):
        return name

    @task(task_run_name="{name}", max_retries=1, retry_delay=dt.timedelta(0))
    def fails_first(name):
        if context.task_run_count == 1:
            raise ValueError(name)

    with Flow("names", executor=executor) as flow:
        who = Parameter("who", default="Ada")
        loaded = load("a")
        by_function(loaded, upstream_tasks=[who])
        load.copy(name="each").map(["x", "y"])
        fails_first("tried")
        one()
        add.copy(name="plain").map([1])
    flow.run()

    names = sorted(run.name for run in records.task_runs())
    assert names == sorted(
        [
            "who",
            "load a",
            "of a, for Ada",
            "each",
            "load x",
            "load y",
            "tried",
            "one",
            "plain",
            "plain[0]",
        ]
    )


def test_the_name_of_a_run_is_there_while_it_loops(records):
    names = []

    @task(task_run_name="turning {n}")
    def loops(n):
        names.append(records.task_runs("loops") and records.task_run("loops").name)
        if context.get("task_loop_count", 1) < 2:
            raise signals.LOOP
        return n

    with Flow("named") as flow:
        loops(7)
    flow.run()

    assert names == [[], "turning 7"]


def test_tags_policies_and_inputs_are_recorded(executor, records):
    @task(tags={"slow"}, max_retries=2, retry_delay=dt.timedelta(seconds=3))
    def tagged(x, y):
        return x + y

    with Flow("inputs", executor=executor) as flow:
        first = one()
        second = add(first)
        tagged(first, second, upstream_tasks=[add.copy(name="before")(5)])
    flow.run()

    run = records.task_run("tagged-slow")
    by_name = {one.name: one.id for one in records.task_runs()}
    assert run.tags == ["slow"]
    assert run.empirical_policy.retries == 2
    assert run.empirical_policy.retry_delay == 3
    assert {name: [one.id for one in inputs] for name, inputs in run.task_inputs.items()} == {
        "x": [by_name["one"]],
        "y": [by_name["add"]],
        "wait_for": [by_name["before"]],
    }


def test_inputs_of_children_are_the_children_that_they_come_from(executor, records):
    with Flow("children", executor=executor) as flow:
        first = add.copy(name="first").map([1, 2])
        add.copy(name="second").map(first)
    flow.run()

    firsts = {run.dynamic_key: run.id for run in records.task_runs("first")}
    for run in records.task_runs("second"):
        (found,) = run.task_inputs["x"]
        assert found.id == firsts[run.dynamic_key]


# -- results --------------------------------------------------------------------------------------


def test_large_results_go_to_storage_and_come_back(executor, records, penstock_home):
    size = 100_000

    @task
    def large():
        return "x" * size

    @task
    def largest(parts):
        return len(parts)

    with Flow("large", executor=executor) as flow:
        whole = large()
        parts = add.map(["a" * size, "b" * size], ["1"])
        largest(whole)
    assert flow.run().is_successful()

    run = records.task_run("large")
    assert run.state.data.type == "reference"
    files = [file for file in (penstock_home / "storage").rglob("*") if file.is_file()]
    assert len(files) == 2
    states = recorded_states(flow, records.flow_run().id)
    assert states[whole].result == "x" * size
    assert states[parts].result == ["a" * size + "1"]


def test_turns_with_large_results_are_recorded(records):
    seen = []

    @task
    def grows():
        so_far = context.get("task_loop_result", "")
        seen.append(len(so_far))
        if context.get("task_loop_count", 1) == 3 and len(seen) == 3:
            raise KeyboardInterrupt
        if len(so_far) < 400_000:
            raise signals.LOOP(result=so_far + "x" * 100_000)
        return len(so_far)

    with Flow("grows") as flow:
        length = grows()
    with pytest.raises(KeyboardInterrupt):
        flow.run()

    final = flow.resume(records.flow_run().id)
    assert final.result[length].result == 400_000
    assert seen == [0, 100_000, 200_000, 200_000, 300_000, 400_000]


def test_results_that_cannot_be_pickled_stay_in_the_run(executor, records, caplog):
    @task
    def opens():
        return threading.Lock()

    @task
    def uses(lock):
        return lock.locked()

    with Flow("locks", executor=executor) as flow:
        used = uses(opens())

    assert flow.run().result[used].result is False
    assert records.task_run("opens").state.is_completed()
    assert records.task_run("opens").state.data is None or (
        records.task_run("opens").state.data.type == "unpersisted"
    )


def test_states_of_a_record_are_those_of_the_run(executor, records):
    with Flow("same", executor=executor) as flow:
        failed = fails()
        tasks = [one(), skips(), third_time(), turns(2), add(2), failed, add(failed, 2)]
        mapped = add.map([1, 2, 3])
    ran = flow.run()

    states = recorded_states(flow, records.flow_run().id)
    for each in tasks:
        assert type(states[each]) is type(ran.result[each]), each
        assert str(states[each].message) == str(ran.result[each].message)
        if states[each].is_successful() and not states[each].is_skipped():
            assert states[each].result == ran.result[each].result
    assert isinstance(states[failed].result, ValueError)
    assert states[mapped].result == ran.result[mapped].result == [2, 3, 4]
    assert [child.result for child in states[mapped].map_states] == [2, 3, 4]


def test_without_results_none_is_read(records):
    with Flow("shown") as flow:
        first = one()
    flow.run()

    states = recorded_states(flow, records.flow_run().id, with_results=False)
    assert states[first].is_successful()
    assert states[first].result is None
