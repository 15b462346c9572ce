"""Tasks of `penstock.task` in graphs: what they are by themselves, they are there, too."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
import time

import pytest

import penstock
from penstock.filesystems import LocalFileSystem
from penstock.graph import Flow, Parameter, case, signals, task, unmapped
from penstock.graph.decorated import DecoratedTask, adopt
from penstock.graph.executors import LocalDaskExecutor, LocalExecutor
from penstock.graph.triggers import all_finished, any_failed, manual_only


@pytest.fixture(
    params=[LocalExecutor, lambda: LocalDaskExecutor(num_workers=2)], ids=["one by one", "threads"]
)
def executor(request):
    return request.param()


def run_of(records, name):
    """Give the only task run of this name."""
    (found,) = [run for run in records.task_runs() if run.name == name]
    return found


# -- their own options ----------------------------------------------------------------------------


def test_it_is_called_with_its_inputs(executor, records):
    @penstock.task
    def add(x, y=10, *, z=0):
        return x + y + z

    with Flow("inputs", executor=executor) as flow:
        first = add(Parameter("n", default=1))
        second = add(first, z=first)

    state = flow.run()
    assert state.result[first].result == 11
    assert state.result[second].result == 32
    records.check()


def test_retries(executor, records, history):
    attempts = []

    @penstock.task(retries=2, retry_delay_seconds=0.02)
    def flaky():
        attempts.append(penstock.runtime.task_run.run_count)
        if len(attempts) < 3:
            raise ValueError(f"attempt {len(attempts)}")
        return len(attempts)

    with Flow("retries", executor=executor) as flow:
        value = flaky()

    assert flow.run().result[value].result == 3
    assert attempts == [1, 2, 3]
    assert history(run_of(records, "flaky")) == [
        *["Pending", "Running", "AwaitingRetry", "Retrying", "AwaitingRetry"],
        *["Retrying", "Completed"],
    ]
    assert run_of(records, "flaky").empirical_policy.retries == 2
    records.check()


def test_a_wait_for_a_retry_holds_no_worker():
    waited, order = threading.Event(), []

    @penstock.task(retries=1, retry_delay_seconds=0.1)
    def flaky():
        order.append("flaky")
        if len(order) == 1:
            raise ValueError("once")

    @task
    def beside():
        order.append("beside")
        waited.set()

    with Flow("waits", executor=LocalDaskExecutor(num_workers=1)) as flow:
        flaky()
        beside(upstream_tasks=[task(lambda: time.sleep(0.01), name="a_little")()])

    assert flow.run().is_successful()
    assert order == ["flaky", "beside", "flaky"]


def test_retries_that_are_used_up_fail(executor, records):
    @penstock.task(retries=1)
    def fails():
        raise ValueError("always")

    with Flow("fails", executor=executor) as flow:
        failed = fails()

    state = flow.run()
    assert state.is_failed()
    assert isinstance(state.result[failed].result, ValueError)
    assert run_of(records, "fails").run_count == 2
    records.check()


def test_a_condition_for_retries(executor, records):
    @penstock.task(retries=3, retry_condition_fn=lambda _task, _run, state: "no" in state.message)
    def fails():
        raise ValueError("never")

    with Flow("condition", executor=executor) as flow:
        fails()

    assert flow.run().is_failed()
    assert run_of(records, "fails").run_count == 1


def test_a_timeout(executor, records):
    @penstock.task(timeout_seconds=0.05)
    def slow():
        until = time.monotonic() + 10
        while time.monotonic() < until:
            time.sleep(0.005)

    with Flow("slow", executor=executor) as flow:
        late = slow()

    state = flow.run()
    assert type(state.result[late]).__name__ == "TimedOut"
    assert state.is_failed()
    assert run_of(records, "slow").state.name == "TimedOut"
    records.check()


def test_a_cache_outlives_the_run(executor, ledger, records):
    @penstock.task(cache_key_fn=penstock.tasks.task_input_hash)
    def loads(day):
        ledger.append(day)
        return [day]

    with Flow("cached", executor=executor) as flow:
        loaded = loads(Parameter("day"))

    assert type(flow.run(day="monday").result[loaded]).__name__ == "Success"
    again = flow.run(day="monday").result[loaded]
    assert (type(again).__name__, again.result) == ("Cached", ["monday"])
    assert flow.run(day="tuesday").result[loaded].result == ["tuesday"]
    assert ledger == ["monday", "tuesday"]
    assert sorted(run.state.name for run in records.task_runs() if run.name == "loads") == [
        *["Cached", "Completed", "Completed"]
    ]
    records.check()


def test_names_of_runs(executor, records):
    @penstock.task(task_run_name="load {name}")
    def load(name):
        return name

    with Flow("names", executor=executor) as flow:
        load("a")
        load.map(["b", "c"])
    flow.run()

    assert sorted(run.name for run in records.task_runs()) == [
        "load",
        "load a",
        "load b",
        "load c",
    ]


def test_hooks(executor, ledger):
    def noted(task, task_run, state):
        ledger.append(f"{task.name} {task_run.name} {state.name}")

    @penstock.task(on_completion=[noted])
    def succeeds(): ...

    @penstock.task(on_failure=[noted])
    def fails():
        raise ValueError("no")

    with Flow("hooks", executor=executor) as flow:
        succeeds()
        fails()
    flow.run()

    assert sorted(ledger) == ["fails fails Failed", "succeeds succeeds Completed"]


def test_state_handlers_of_the_graph_hear_of_it(ledger):
    @penstock.task
    def succeeds():
        return 1

    def handler(_task, old, new):
        ledger.append(f"{type(old).__name__} {type(new).__name__}")
        return new

    with Flow("handlers") as flow:
        adopt(succeeds, state_handlers=[handler])()
    flow.run()

    assert ledger == ["Pending Running", "Running Success"]


def test_prints_are_logged(executor):
    @penstock.task(log_prints=True)
    def prints():
        print("printed by a task")  # noqa: T201

    with Flow("prints", executor=executor) as flow:
        prints()
    flow.run()

    with penstock.get_client(sync_client=True) as client:
        (log,) = [log for log in client.read_logs() if log.message == "printed by a task"]
        (run,) = client.read_task_runs()
    assert log.task_run_id == run.id


def test_async_functions(executor, records):
    @penstock.task(retries=1)
    async def fetch(x):
        await asyncio.sleep(0)
        if x == 1 and penstock.runtime.task_run.run_count == 1:
            raise ValueError("once")
        return x * 10

    with Flow("async", executor=executor) as flow:
        one = fetch(4)
        many = fetch.map([0, 1, one])

    state = flow.run()
    assert state.result[one].result == 40
    assert state.result[many].result == [0, 10, 400]
    records.check()


def test_tags(executor, records):
    @penstock.task(tags=["slow", "net"])
    def tagged(): ...

    with Flow("tags", executor=executor) as flow:
        tagged()
        adopt(tagged, tags={"more"}, name="another")()
    flow.run()

    assert sorted(run_of(records, "tagged").tags) == ["net", "slow"]
    assert sorted(run_of(records, "another").tags) == ["more", "net", "slow"]


def test_results_go_where_the_task_says(executor, records, tmp_path):
    storage = LocalFileSystem(basepath=str(tmp_path / "results"))

    @penstock.task(persist_result=True, result_storage=storage, result_storage_key="here.pickle")
    def persisted():
        return [1]

    @penstock.task(persist_result=False)
    def in_memory():
        return object

    with Flow("results", executor=executor) as flow:
        kept = persisted()
        held = in_memory()
        both = task(lambda x, y: (x, y), name="both")(kept, held)

    assert flow.run().result[both].result == ([1], object)
    assert (tmp_path / "results" / "here.pickle").exists()
    assert run_of(records, "persisted").state.data.type == "reference"


# -- what is the graph's --------------------------------------------------------------------------


def test_triggers_and_skips(executor, ledger):
    @penstock.task
    def fails():
        raise ValueError("no")

    @penstock.task
    def runs(x=None):
        ledger.append(f"runs {type(x).__name__}")
        return x

    @task
    def skips():
        raise signals.SKIP("not today")

    with Flow("triggers", executor=executor) as flow:
        failed = fails()
        after = runs(failed)
        anyway = adopt(runs, trigger=all_finished)(failed)
        repaired = adopt(runs, trigger=any_failed)(upstream_tasks=[failed])
        skipped = runs(skips())
        with case(repaired, "no"):
            not_taken = runs()
        asked = adopt(runs, trigger=manual_only)()

    state = flow.run()
    kinds = [type(state.result[one]).__name__ for one in (after, anyway, repaired, skipped)]
    assert kinds == ["TriggerFailed", "Success", "Success", "Skipped"]
    assert type(state.result[not_taken]).__name__ == "Skipped"
    assert type(state.result[asked]).__name__ == "Paused"
    assert sorted(ledger) == ["runs NoneType", "runs ValueError"]


def test_signals_are_for_tasks_of_the_graph(executor, records):
    @penstock.task
    def skips():
        raise signals.SKIP("not today")

    with Flow("signals", executor=executor) as flow:
        failed = skips()
        repaired = task(lambda: "repaired", name="repairs", trigger=any_failed)(
            upstream_tasks=[failed]
        )

    state = flow.run()
    assert state.result[failed].is_failed()
    assert "SKIP: not today" in state.result[failed].message
    assert state.result[repaired].result == "repaired"
    records.check()


def test_mapping(executor, records):
    @penstock.task
    def add(x, y):
        return x + y

    @penstock.task
    def total(values):
        return sum(values)

    with Flow("maps", executor=executor) as flow:
        first = add.map([1, 2, 3], unmapped(10))
        second = add.map(first, first)
        summed = total(second)

    state = flow.run()
    assert state.result[second].result == [22, 24, 26]
    assert state.result[summed].result == 72
    children = [run for run in records.task_runs() if run.name.startswith("add[")]
    assert len(children) == 6
    records.check()


def test_submit_and_wait_for_declare(executor, ledger):
    @penstock.task
    def notes(name):
        ledger.append(name)
        return name

    with Flow("submits", executor=executor) as flow:
        last = notes.submit("first")
        after = notes("after", wait_for=[last])
        mapped = notes.map(["a"], wait_for=after)

    assert isinstance(last, DecoratedTask)
    assert flow.run().result[mapped].result == ["a"]
    assert ledger == ["first", "after", "a"]
    assert {edge.key for edge in flow.edges_to(after)} == {None}


def test_outside_of_a_graph_it_is_what_it_was(ledger):
    @penstock.task
    def add(x):
        return x + 1

    with Flow("declares"):
        declared = add(1)

    assert isinstance(declared, DecoratedTask)
    assert penstock.flow(lambda: add(1) + add.submit(1).result(), name="plain")() == 4


def test_a_flow_may_declare_graphs_and_a_graph_may_be_declared_around_a_flow(ledger):
    @penstock.task
    def add(x):
        ledger.append(x)
        return x + 1

    @penstock.flow
    def declares():
        with Flow("inner") as graph:
            declared = add(add(1))
        assert ledger == []
        return add(graph.run().result[declared].result)

    assert declares() == 4
    ledger.clear()

    with Flow("around") as graph:
        done = penstock.flow(lambda: add(5), name="plain")()
        declared = add(done)
    assert ledger == [5]
    assert graph.run().result[declared].result == 7


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_retries", 2),
        ("retry_delay", dt.timedelta(seconds=1)),
        ("retry_on", ValueError),
        ("timeout", 5),
        ("cache_for", dt.timedelta(hours=1)),
        ("cache_key", "key"),
        ("target", "here.pickle"),
        ("log_stdout", True),
        ("task_run_name", "name"),
    ],
)
def test_options_that_are_its_own(option, value):
    @penstock.task
    def load(): ...

    says = f"'{option}' cannot be set on 'load' in a graph"
    with pytest.raises(TypeError, match=says):
        adopt(load, **{option: value})
    with Flow("options") as flow:
        declared = load()
    with pytest.raises(TypeError, match=says):
        declared.copy(**{option: value})
    assert flow.tasks == {declared}


# -- going on -------------------------------------------------------------------------------------


def test_resuming(executor, ledger, records):
    breaks = [True]

    @penstock.task(retries=2, retry_delay_seconds=0.1)
    def flaky():
        ledger.append(f"flaky {penstock.runtime.task_run.run_count}")
        if penstock.runtime.task_run.run_count < 3:
            raise ValueError("not yet")
        return "flaky"

    @penstock.task
    def done(x):
        ledger.append(f"done {x}")
        return x

    @penstock.task
    def dies(x):
        if breaks:
            breaks.clear()
            raise KeyboardInterrupt
        return x

    with Flow("resumes", executor=executor) as flow:
        tried = flaky()
        many = done.map([1, 2])
        last = dies(many)
    with pytest.raises(KeyboardInterrupt):
        flow.run()

    state = flow.resume(records.flow_run().id)
    assert state.result[last].result == [1, 2]
    assert state.result[tried].result == "flaky"
    assert sorted(ledger)[:2] == ["done 1", "done 2"]
    assert max(ledger) == "flaky 3"
    assert len([line for line in ledger if line.startswith("done")]) == 2
    records.check()


def test_a_failed_one_is_run_again(executor, ledger, records):
    fails = [True]

    @penstock.task(retries=1)
    def may_fail(x):
        ledger.append(x)
        if fails and x == 1:
            raise ValueError("no")
        return x

    with Flow("again", executor=executor) as flow:
        values = may_fail.map([0, 1, 2])
    assert flow.run().is_failed()
    fails.clear()

    assert flow.resume(records.flow_run().id).result[values].result == [0, 1, 2]
    assert sorted(ledger) == [0, 1, 1, 1, 2]
    records.check()
