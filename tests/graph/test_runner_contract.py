"""What a graph is promised by whatever runs its tasks: one suite over all task runners."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import penstock
from penstock.client import get_client
from penstock.graph import Flow, Parameter, context, signals, task, triggers, unmapped
from penstock.graph.executors import LocalExecutor
from penstock.states import StateType
from penstock.task_runners import (
    BaseTaskRunner,
    Call,
    ConcurrentTaskRunner,
    Outcome,
    SequentialTaskRunner,
    perform,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class OwnRunner(BaseTaskRunner):
    """A user's: it says where a call is made, and nothing else."""

    def duplicate(self) -> OwnRunner:
        """Give a fresh runner."""
        return type(self)()

    def run(self, call: Call, done: Callable[[Outcome], None]) -> None:
        """Make the call on a thread of its own."""
        threading.Thread(target=lambda: done(perform(call))).start()


RUNNERS: dict[str, Callable[[], Any]] = {
    "this thread": LocalExecutor,
    "sequential": SequentialTaskRunner,
    "threads": ConcurrentTaskRunner,
    "one thread": lambda: ConcurrentTaskRunner(max_workers=1),
    "a user's own": OwnRunner,
}


@pytest.fixture(params=RUNNERS)
def executor(request):
    return RUNNERS[request.param]()


@task
def give(value):
    return value


@task
def double(x):
    return 2 * x


@task
def total(values):
    return sum(values)


@task
def join(**words):
    return "-".join(f"{key}:{word}" for key, word in sorted(words.items()))


@task
def breaks(message):
    raise ValueError(message)


def recorded():
    """Give what the store has of task runs: by name, the names of their states."""
    with get_client(sync_client=True) as client:
        return {run.name: [state.name for state in run.history] for run in client.read_task_runs()}


def test_results_are_handed_on(executor):
    with Flow("diamond", executor=executor) as flow:
        n = Parameter("n")
        both = join(left=double(n), right=give([n, n]))
    state = flow.run(n=4)

    assert state.is_successful()
    assert state.result[both].result == "left:8-right:[4, 4]"


def test_a_map_of_a_map_and_what_comes_of_it(executor):
    with Flow("maps", executor=executor) as flow:
        numbers = give([1, 2, 3])
        sums = total(double.map(double.map(numbers)))
        words = join.map(one=numbers, all=unmapped(numbers))
    state = flow.run()

    assert state.result[sums].result == 24
    assert state.result[words].result[0] == "all:[1, 2, 3]-one:1"


def test_an_empty_map(executor):
    with Flow("empty", executor=executor) as flow:
        summed = total(double.map(give([])))

    assert flow.run().result[summed].result == 0


def test_failures_stop_what_needs_them_and_nothing_else(executor):
    with Flow("failures", executor=executor) as flow:
        broken = breaks("as asked for")
        needs = double(broken)
        mends = give.copy(trigger=triggers.any_failed, name="mends").bind(
            "mended", upstream_tasks=[broken]
        )
        beside = double(2)
    state = flow.run()

    kinds = {one.name: type(done).__name__ for one, done in state.result.items()}
    assert state.is_failed()
    assert str(state.result[broken].result) == "as asked for"
    assert state.result[needs].is_failed()
    assert kinds["mends"] == "Success"
    assert state.result[mends].result == "mended"
    assert state.result[beside].result == 4


def test_one_child_fails_and_the_others_do_not(executor):
    @task
    def invert(x):
        return 1 / x

    with Flow("children", executor=executor) as flow:
        inverted = invert.map([1, 0, 4])
    state = flow.run()

    kinds = [type(child).__name__ for child in state.result[inverted].map_states]
    assert kinds == ["Success", "Failed", "Success"]
    assert recorded()["invert[1]"] == ["Pending", "Running", "Failed"]


def test_retries_are_waited_for(executor):
    @task(max_retries=2, retry_delay=timedelta(seconds=0.01))
    def third_time():
        if context.task_run_count < 3:
            raise ValueError("not yet")
        return context.task_run_count

    with Flow("retries", executor=executor) as flow:
        tried = third_time()
        after = double(tried)
    state = flow.run()

    assert state.result[after].result == 6
    waits = ["Running", "AwaitingRetry"]
    assert recorded()["third_time"] == ["Pending", *waits, *waits, "Running", "Completed"]


def test_skips_and_loops(executor):
    @task
    def skips():
        raise signals.SKIP("not today")

    @task
    def counts():
        turn = context.get("task_loop_count", 1)
        if turn < 5:
            raise signals.LOOP(result=turn)
        return context.task_loop_result

    with Flow("skips and loops", executor=executor) as flow:
        skipped = skips()
        after = double(skipped)
        counted = counts()
    state = flow.run()

    assert state.result[after].is_skipped()
    assert state.result[counted].result == 4


def test_a_time_limit(executor):
    over = threading.Event()

    @task(timeout=1)
    def waits():
        over.wait(30)

    with Flow("time", executor=executor) as flow:
        waiting = waits()
    state = flow.run()
    over.set()

    assert type(state.result[waiting]).__name__ == "TimedOut"
    assert recorded()["waits"][-1] == "TimedOut"


def test_each_task_finds_its_own_context(executor):
    @task
    def looks():
        return context.task_full_name, context.map_index, context.parameters["n"]

    with Flow("contexts", executor=executor) as flow:
        Parameter("n", default=7)()
        seen = looks.map(upstream_tasks=[give([1, 2])])
    state = flow.run()

    assert state.result[seen].result == [("looks[0]", 0, 7), ("looks[1]", 1, 7)]


def test_each_task_logs_to_its_own_run(executor):
    @task
    def speaks(word):
        penstock.get_run_logger().warning("said %s", word)

    with Flow("logs", executor=executor) as flow:
        speaks.map(["one", "two"])
    flow.run()

    with get_client(sync_client=True) as client:
        names = {run.id: run.name for run in client.read_task_runs()}
        said = {
            (names[log.task_run_id], log.message)
            for log in client.read_logs()
            if log.task_run_id is not None
        }
    assert {("speaks[0]", "said one"), ("speaks[1]", "said two")} <= said


def test_tasks_of_penstock_keep_what_they_are(executor):
    @penstock.task(retries=1, retry_delay_seconds=0, task_run_name="load-{day}")
    def load(day, attempts):
        attempts.append(day)
        if len(attempts) == 1:
            raise ValueError("the first time")
        return day

    attempts: list[str] = []
    with Flow("decorated", executor=executor) as flow:
        day = Parameter("day")
        loaded = load(day, give.copy(checkpoint=False).bind(attempts))
    state = flow.run(day="monday")

    assert state.result[loaded].result == "monday"
    assert attempts == ["monday", "monday"]
    assert "load-monday" in recorded()


def test_everything_is_recorded_when_the_run_returns(executor):
    with Flow("recorded", executor=executor) as flow:
        total(double.map(give(list(range(20)))))
    flow.run()

    with get_client(sync_client=True) as client:
        (flow_run,) = client.read_flow_runs()
        task_runs = client.read_task_runs(limit=200)
    assert flow_run.state_type is StateType.COMPLETED
    assert len(task_runs) == 23
    assert {run.state_type for run in task_runs} == {StateType.COMPLETED}
