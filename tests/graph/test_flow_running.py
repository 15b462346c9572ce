"""`Flow.run`: parameters, schedules, waits, prompts, caches, and what it returns (6.6)."""

from __future__ import annotations

import builtins
import datetime as dt
import os
import threading
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock import clock
from penstock.client import get_client
from penstock.graph import Flow, Parameter, cache_validators, context, signals, task, triggers
from penstock.graph import pause_task as pause
from penstock.graph.debug import raise_on_exception
from penstock.graph.executors import LocalDaskExecutor, LocalExecutor
from penstock.graph.flow_runner import FlowRunner
from penstock.graph.state import (
    Cached,
    Failed,
    Mapped,
    Paused,
    Pending,
    Resume,
    Retrying,
    Running,
    Scheduled,
    Skipped,
    Success,
    TriggerFailed,
)
from penstock.settings import reload_settings

SOON = dt.timedelta(milliseconds=20)
NOW = dt.timedelta(0)


@pytest.fixture(params=["local", "threads", "protocol"])
def executor(request: pytest.FixtureRequest) -> Any:
    class Protocol(LocalExecutor):
        def submit(self, fn, *args, extra_context=None, **kwargs):
            return super().submit(fn, *args, extra_context=extra_context, **kwargs)

    return {
        "local": LocalExecutor,
        "threads": lambda: LocalDaskExecutor(num_workers=2),
        "protocol": Protocol,
    }[request.param]()


@task
def one():
    return 1


@task
def inc(x):
    return x + 1


def reads(*names: str) -> Any:
    @task
    def read():
        return {name: context.get(name) for name in names}

    return read


def recorded() -> list[Any]:
    with get_client(sync_client=True) as client:
        return client.read_flow_runs()


# -- parameters -----------------------------------------------------------------------------------


def with_parameters() -> tuple[Flow, Any]:
    with Flow("parameters") as flow:
        needed, other = Parameter("needed"), Parameter("other", default=10)

        @task
        def both(a, b):
            return (a, b)

        made = both(needed, other)
    return flow, made


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"parameters": {"needed": 1}}, (1, 10)),
        ({"needed": 1}, (1, 10)),
        ({"parameters": {"needed": 1}, "other": 2}, (1, 2)),
        ({"parameters": {"needed": 1}, "needed": 3}, (3, 10)),
        ({"parameters": {"needed": None, "other": None}}, (None, None)),
    ],
)
def test_parameters(given, wanted):
    flow, made = with_parameters()
    assert flow.run(**given).result[made].result == wanted


def test_parameters_are_recorded():
    flow, _made = with_parameters()
    flow.run(needed=1)
    assert recorded()[0].parameters == {"needed": 1}


def test_parameters_may_come_with_the_context():
    flow, made = with_parameters()
    with context(parameters={"needed": 5}):
        assert flow.run().result[made].result == (5, 10)
    assert flow.run(context={"parameters": {"needed": 6}}).result[made].result == (6, 10)


@pytest.mark.parametrize(
    ("given", "error", "parts"),
    [
        ({}, ValueError, ["did not receive the following required parameters: needed"]),
        ({"other": 1}, ValueError, ["required parameters: needed"]),
        ({"parameters": {"needed": 1, "odd": 2}}, ValueError, ["odd", "needed, other"]),
        ({"needed": 1, "return_tasks": []}, ValueError, ["return_tasks"]),
        ({"needed": 1, "odd": 2}, TypeError, ["odd", "needed, other"]),
        ({"needed": 1, "executor": 5}, TypeError, ["executor", "5"]),
    ],
)
def test_what_is_given_wrongly_is_refused_before_anything_runs(given, error, parts):
    flow, _made = with_parameters()
    with pytest.raises(error) as caught:
        flow.run(**given)
    for part in parts:
        assert part in str(caught.value)
    assert recorded() == []


def test_a_runner_may_take_keywords_of_its_own():
    class Mine(FlowRunner):
        def run(self, *args, mine=None, **kwargs):
            found.append(mine)
            return super().run(*args, **kwargs)

    found: list[Any] = []
    with Flow("mine") as flow:
        one()
    assert flow.run(runner_cls=Mine, mine=5).is_successful()
    assert found == [5]


# -- where it may not run -------------------------------------------------------------------------


def test_a_flow_does_not_run_inside_of_its_own_block():
    with Flow("outer") as flow:
        one()
        with pytest.raises(RuntimeError, match="outer"):
            flow.run()
        with Flow("inner") as inner:
            one()
        assert inner.run().is_successful()


def test_a_flow_does_not_run_while_it_is_loaded():
    with Flow("loaded") as flow:
        one()
    with context(loading_flow=True), pytest.warns(UserWarning, match="loaded"):
        assert flow.run() is None
    assert recorded() == []


# -- what it returns ------------------------------------------------------------------------------


def test_the_result_has_the_state_of_each_task(executor):
    with Flow("returns") as flow:
        first = one()
        second = inc(first)
    state = flow.run(executor=executor)
    assert type(state) is Success
    assert set(state.result) == {first, second}
    assert state.result[second].result == 2


def test_tasks_that_never_ran_are_pending():
    class Nothing(FlowRunner):
        def run(self, *args, **kwargs):
            return Success(result={})

    with Flow("nothing") as flow:
        made = one()
    state = flow.run(runner_cls=Nothing)
    assert type(state.result[made]) is Pending


@pytest.mark.parametrize("result", [ValueError("so"), 5, None], ids=repr)
def test_a_result_that_is_no_dictionary_is_returned_as_it_is(result):
    class Ends(FlowRunner):
        def run(self, *args, **kwargs):
            return Failed(result=result)

    with Flow("ends") as flow:
        one()
    state = flow.run(runner_cls=Ends)
    assert type(state) is Failed
    assert state.result is result


def test_a_flow_that_fails_returns_its_state(executor):
    with Flow("fails") as flow:
        made = inc("a")
        below = inc(made)
    state = flow.run(executor=executor)
    assert state.message == "Some reference tasks failed."
    assert isinstance(state.result[made].result, TypeError)
    assert isinstance(state.result[below], TriggerFailed)
    assert recorded()[0].state_name == "Failed"


@pytest.mark.parametrize("name", ["local", "threads"])
def test_exceptions_are_raised_if_that_is_wanted(name):
    with Flow("raises") as flow:
        inc("a")
    executor = LocalExecutor() if name == "local" else LocalDaskExecutor()
    with raise_on_exception(), pytest.raises(TypeError):
        flow.run(executor=executor)
    assert recorded()[0].state_type.value == "FAILED"


def test_what_a_flow_runner_raises_is_raised():
    class Wrong(FlowRunner):
        def run(self, *args, **kwargs):
            raise LookupError("no way")

    with Flow("wrong") as flow:
        one()
    with pytest.raises(LookupError, match="no way"):
        flow.run(runner_cls=Wrong)


def test_an_interruption_comes_through():
    @task
    def interrupted():
        raise KeyboardInterrupt

    with Flow("interrupted") as flow:
        interrupted()
    with pytest.raises(KeyboardInterrupt):
        flow.run()


# -- states that are given ------------------------------------------------------------------------


def test_states_of_tasks(executor):
    with Flow("given") as flow:
        first = one()
        second = inc(first)
    given = {first: Success(result=10)}
    state = flow.run(task_states=given, executor=executor)
    assert state.result[second].result == 11
    assert given == {first: Success(result=10)}


@pytest.mark.parametrize(
    ("given", "kind", "ran"),
    [
        (Success(), Success, False),
        (Failed(result=5), Failed, False),
        (Success(result="odd"), Success, False),
        (Pending(), Success, True),
        (Scheduled(), Success, True),
        (Running(result=7), Success, True),
    ],
    ids=["success", "failed", "success with a result", "pending", "scheduled", "running"],
)
def test_the_state_of_the_flow(given, kind, ran):
    with Flow("given") as flow:
        made = one()
    state = flow.run(state=given)
    assert type(state) is kind
    assert isinstance(state.result[made], Success if ran else Pending)


def test_states_of_tasks_that_come_with_the_flows():
    with Flow("given") as flow:
        first = one()
        second = inc(first)
    state = flow.run(state=Scheduled(result={first: Success(result=10)}))
    assert state.result[second].result == 11


def test_a_flow_whose_time_has_not_come_is_given_up():
    with Flow("later") as flow:
        made = one()
    given = Scheduled(start_time=dt.datetime(2120, 1, 1, tzinfo=dt.UTC))
    state = flow.run(state=given)
    assert type(state) is Scheduled
    assert state.start_time == given.start_time
    assert type(state.result[made]) is Pending
    (run,) = recorded()
    assert run.state_name == "Paused"
    assert "2120-01-01" in str(run.state.message)
    assert flow.resume(run.id).result[made].result == 1


# -- the context ----------------------------------------------------------------------------------


def test_names_and_ids_of_the_run():
    names = ("flow_id", "flow_run_id", "flow_run_name", "task_id", "task_run_id", "flow_name")
    with Flow("named") as flow:
        made = reads(*names)()
    found = flow.run().result[made].result
    (run,) = recorded()
    with get_client(sync_client=True) as client:
        (task_run,) = client.read_task_runs()
    assert found == {
        "flow_id": "named",
        "flow_name": "named",
        "flow_run_id": str(run.id),
        "flow_run_name": run.name,
        "task_id": "read-1",
        "task_run_id": str(task_run.id),
    }


def test_names_and_ids_that_are_given():
    with Flow("named") as flow:
        made = reads("flow_run_id", "flow_run_name")()
    given = {"flow_run_id": "my run", "flow_run_name": "my name"}
    assert flow.run(**given).result[made].result == given
    assert recorded()[0].name == "my name"
    other = "01a20480-3334-7aa3-8186-a049104944c6"
    flow.run(flow_run_id=other)
    assert other in {str(run.id) for run in recorded()}


def test_names_and_ids_that_are_in_the_context_of_the_run():
    with Flow("named") as flow:
        made = reads("flow_run_id", "flow_run_name")()
    given = {"flow_run_id": "my run", "flow_run_name": "my name"}
    assert flow.run(context=given).result[made].result == given


def test_caches_are_there_in_the_first_run():
    with Flow("caches") as flow:
        made = reads("caches")()
    with context(caches={}):
        del context["caches"]
        assert flow.run().result[made].result == {"caches": {}}


def test_the_scheduled_start_time_is_the_same_in_each_attempt():
    found = []

    @task(max_retries=2, retry_delay=NOW)
    def flaky():
        found.append(context.scheduled_start_time)
        if len(found) < 3:
            raise ValueError

    with Flow("flaky") as flow:
        flaky()
    ours = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    with context(scheduled_start_time=ours):
        assert flow.run(context={"scheduled_start_time": ours}).is_successful()
        assert context.scheduled_start_time == ours
    assert len(set(found)) == 1
    assert found[0] > ours
    assert "scheduled_start_time" not in dict(context)


def test_contexts_of_the_run_and_of_tasks():
    with Flow("contexts") as flow:
        first = reads("here", "mine")()
        second = reads("here", "mine")()
    state = flow.run(context={"here": 1}, task_contexts={first: {"mine": 2}})
    assert state.result[first].result == {"here": 1, "mine": 2}
    assert state.result[second].result == {"here": 1, "mine": None}


def test_handlers_of_task_runners():
    seen = []
    with Flow("handlers") as flow:
        one()
    flow.run(task_runner_state_handlers=[lambda runner, old, new: seen.append(type(new))])
    assert seen == [Running, Success]


# -- waiting --------------------------------------------------------------------------------------


def test_retries_are_waited_for(executor):
    tries = []

    @task(max_retries=3, retry_delay=SOON)
    def flaky():
        tries.append(clock.epoch())
        if len(tries) < 3:
            raise ValueError
        return context.task_run_count

    with Flow("retries") as flow:
        made = flaky()
        below = inc(made)
    state = flow.run(executor=executor)
    assert state.is_successful()
    assert state.result[below].result == 4
    assert all(after - before >= 0.02 for before, after in pairwise(tries))


def test_retries_come_to_an_end(executor):
    tries = []

    @task(max_retries=2, retry_delay=NOW)
    def broken():
        tries.append(1)
        raise ValueError

    with Flow("retries") as flow:
        made = broken()
    state = flow.run(executor=executor)
    assert state.is_failed()
    assert type(state.result[made]) is Failed
    assert len(tries) == 3


def test_a_task_may_ask_for_its_retry(executor):
    tries = []

    @task
    def flaky():
        tries.append(1)
        if len(tries) < 3:
            raise signals.RETRY(start_time=clock.now() + SOON)

    with Flow("retries") as flow:
        flaky()
    assert flow.run(executor=executor).is_successful()
    assert len(tries) == 3


@pytest.mark.parametrize("kind", [Scheduled, Retrying, Paused, Resume])
def test_start_times_are_waited_for(executor, kind):
    begun = []

    @task
    def note():
        begun.append(clock.now())

    with Flow("later") as flow:
        made = note()
    due = clock.now() + SOON
    state = flow.run(task_states={made: kind(start_time=due)}, executor=executor)
    assert state.is_successful()
    assert begun[0] >= due


def test_start_times_of_children(executor):
    with Flow("later") as flow:
        made = inc.map([1, 2])
    due = Retrying(start_time=clock.now() + SOON)
    former = Mapped(map_states=[Success(result=10), due])
    state = flow.run(task_states={made: former}, executor=executor)
    assert state.result[made].result == [10, 3]


def test_a_wait_of_one_task_does_not_hold_up_the_others(executor):
    order = []

    @task(max_retries=1, retry_delay=SOON)
    def flaky():
        order.append("flaky")
        if context.task_run_count == 1:
            raise ValueError

    @task
    def note(word):
        order.append(word)

    with Flow("beside") as flow:
        flaky()
        first = note("first")
        note("second", upstream_tasks=[first])
    assert flow.run(executor=executor).is_successful()
    assert sorted(order[:3]) == ["first", "flaky", "second"]
    assert order[3] == "flaky"


def test_a_thousand_retries_that_wait_hold_no_worker():
    """A single worker takes all of them, and other tasks meanwhile."""
    count = 1000
    tries: dict[int, int] = {}
    waiting_at_once = [0]
    threads = set()

    @task(max_retries=1, retry_delay=dt.timedelta(seconds=1))
    def flaky(x):
        threads.add(threading.get_ident())
        tries[x] = tries.get(x, 0) + 1
        if tries[x] == 1:
            raise ValueError(x)
        return x

    @task(trigger=triggers.all_finished)
    def beside(xs):
        waiting_at_once[0] = sum(each == 1 for each in tries.values())

    with Flow("waits") as flow:
        numbers = list(range(count))
        flaky.map(numbers)
        first = one()
        for _ in range(5):
            first = inc(first)
        beside(first)
    begun = time.monotonic()
    state = flow.run(executor=LocalDaskExecutor(num_workers=1))
    assert state.is_successful()
    assert set(tries.values()) == {2}
    assert len(threads) == 1
    assert time.monotonic() - begun < 30, "one after the other they would take 1,000 s"


# -- prompts for what is paused -------------------------------------------------------------------


class Answers:
    """Stands for the keyboard."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, text: str = "") -> str:
        self.asked.append(text)
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Answers:
    answers = Answers()
    monkeypatch.setattr(builtins, "input", answers)
    monkeypatch.setattr("sys.stdin", SimpleNamespace())
    return answers


def approved() -> tuple[Flow, Any, Any]:
    with Flow("approval") as flow:
        approve = inc(one(), task_args={"name": "approve", "trigger": triggers.manual_only})
        below = inc(approve)
    return flow, approve, below


@pytest.mark.parametrize("answer", ["y", "Y", " yes "])
def test_somebody_who_says_yes_lets_a_task_go_on(keyboard, executor, answer):
    keyboard.answers = [answer]
    flow, approve, below = approved()
    state = flow.run(executor=executor)
    assert state.is_successful()
    assert (state.result[approve].result, state.result[below].result) == (2, 3)
    assert len(keyboard.asked) == 1
    assert "'approve'" in keyboard.asked[0]


def test_who_stands_in_for_input_is_asked_whatever_stdin_is(monkeypatch, executor):
    answers = Answers("y")
    monkeypatch.setattr(builtins, "input", answers)
    flow, _, below = approved()
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        state = flow.run(executor=executor)
    assert state.result[below].result == 3
    assert answers.asked == [""], "no question where nobody would see it"


@pytest.mark.parametrize("answers", [["n"], [""], []], ids=repr)
def test_otherwise_the_run_rests(keyboard, executor, answers):
    keyboard.answers = answers
    flow, approve, below = approved()
    state = flow.run(executor=executor)
    assert type(state) is Running
    assert type(state.result[approve]) is Paused
    assert type(state.result[below]) is Pending
    (run,) = recorded()
    assert run.state_name == "Paused"
    assert "'approve'" in str(run.state.message)
    resumed = flow.resume(run.id)
    assert resumed.is_successful()
    assert resumed.result[below].result == 3


def test_each_pause_is_asked_for(keyboard, executor):
    @task
    def with_a_pause():
        pause("look at it")
        return 1

    keyboard.answers = ["y", "n"]
    with Flow("pauses") as flow:
        first = with_a_pause()
        second = with_a_pause(upstream_tasks=[first])
    state = flow.run(executor=executor)
    assert [type(state.result[each]) for each in (first, second)] == [Success, Paused]
    assert len(keyboard.asked) == 2


def test_paused_children(keyboard, executor):
    keyboard.answers = ["y", "n", "y"]
    with Flow("children") as flow:
        made = inc.map([1, 2, 3], task_args={"trigger": triggers.manual_only})
    state = flow.run(executor=executor)
    assert ["inc[0]" in keyboard.asked[0], "inc[2]" in keyboard.asked[2]] == [True, True]
    kinds = [type(child) for child in state.result[made].map_states]
    assert kinds.count(Success) >= 2
    assert kinds[1] is Paused


def test_a_pause_of_some_time_ends_by_itself(keyboard, executor):
    @task
    def with_a_pause():
        pause(duration=SOON)
        return 1

    with Flow("pauses") as flow:
        made = with_a_pause()
    state = flow.run(executor=executor)
    assert state.result[made].result == 1
    assert keyboard.asked == []


def test_a_flow_that_a_handler_pauses_rests(keyboard):
    def handler(flow, old, new):
        if type(new) is Running and not allowed:
            raise signals.PAUSE("not yet")

    allowed: list[bool] = []
    with Flow("handler", state_handlers=[handler]) as flow:
        one()
    state = flow.run()
    assert type(state) is Paused
    assert recorded()[0].state_name == "Paused"


# -- schedules ------------------------------------------------------------------------------------


class Schedule:
    """Any object with `next(n)`."""

    def __init__(self, *events: Any) -> None:
        self.events = list(events)

    def next(self, n: int) -> list[Any]:
        """Give the next events; each of them once."""
        given, self.events = self.events[:n], self.events[n:]
        return given


def scheduled(schedule: Any, **options: Any) -> tuple[Flow, list[Any]]:
    seen: list[Any] = []
    with Flow("scheduled", schedule=schedule, **options) as flow:
        p = Parameter("p", default=0)

        @task
        def note(p):
            seen.append((context.scheduled_start_time, p))
            return p

        note(p)
    return flow, seen


@pytest.fixture
def at() -> dt.datetime:
    return clock.now()


def test_a_flow_runs_at_each_time_of_its_schedule(at):
    events = [at, at + SOON, at + 2 * SOON]
    flow, seen = scheduled(Schedule(*events))
    state = flow.run()
    assert state.is_successful()
    assert [start for start, _p in seen] == events
    assert clock.now() >= events[-1]
    assert len(recorded()) == 3


def test_events_may_have_parameters(at):
    events = [
        SimpleNamespace(start_time=at, parameter_defaults={"p": 1}),
        SimpleNamespace(start_time=at, parameter_defaults=None),
        SimpleNamespace(start_time=at, parameter_defaults={"p": 2}),
        at,
    ]
    flow, seen = scheduled(Schedule(*events))
    flow.run(p=7)
    assert [p for _start, p in seen] == [1, 7, 2, 7]


def test_required_parameters_may_come_with_events(at):
    event = SimpleNamespace(start_time=at, parameter_defaults={"needed": 1})
    flow, made = with_parameters()
    flow.schedule = Schedule(event)
    assert flow.run().result[made].result == (1, 10)
    flow.schedule = Schedule(at + dt.timedelta(days=1))
    with pytest.raises(ValueError, match="required parameters: needed"):
        flow.run()


@pytest.mark.parametrize("how", ["argument", "configuration", "setting"])
def test_a_flow_may_run_now_whatever_its_schedule(how, monkeypatch):
    flow, seen = scheduled(Schedule(dt.datetime(2120, 1, 1, tzinfo=dt.UTC)))
    if how == "argument":
        state = flow.run(run_on_schedule=False)
    elif how == "configuration":
        with context(config={"flows": {"run_on_schedule": False}}):
            state = flow.run()
    else:
        monkeypatch.setenv("PENSTOCK_GRAPH_RUN_ON_SCHEDULE", "false")
        reload_settings()
        state = flow.run()
    assert state.is_successful()
    assert len(seen) == 1


def test_a_schedule_without_a_time_left():
    flow, seen = scheduled(Schedule())
    with pytest.raises(ValueError, match="no more scheduled runs"):
        flow.run()
    assert seen == []


def test_a_schedule_that_gives_nonsense():
    flow, _seen = scheduled(Schedule("tomorrow"))
    with pytest.raises(TypeError, match="'tomorrow'"):
        flow.run()


def test_times_without_a_zone_are_utc(at):
    flow, seen = scheduled(Schedule(at.replace(tzinfo=None)))
    flow.run()
    assert seen[0][0] == at


def test_the_start_is_slept_for_whatever_it_is(at):
    slept = []

    class Watched(clock.VirtualClock):
        def sleep(self, seconds):
            slept.append(seconds)
            super().sleep(seconds)

    virtual = Watched()
    start = clock.from_epoch(virtual.time())
    flow, seen = scheduled(Schedule(start, start + dt.timedelta(hours=1)))
    with clock.use_clock(virtual):
        flow.run()
    assert slept == [0.0, 3600.0]
    assert len(seen) == 2


def test_a_schedule_goes_on_after_a_failure(at):
    class Breaks(LocalExecutor):
        submitted = 0

        def submit(self, fn, *args, extra_context=None, **kwargs):
            Breaks.submitted += 1
            if Breaks.submitted == 1:
                raise OSError("no room")
            return super().submit(fn, *args, extra_context=extra_context, **kwargs)

    flow, seen = scheduled(Schedule(at, at), executor=Breaks())
    assert flow.run().is_successful()
    assert len(seen) == 1
    assert [run.state_name for run in recorded()] in (
        ["Completed", "Failed"],
        ["Failed", "Completed"],
    )


# -- caches ---------------------------------------------------------------------------------------


@pytest.fixture
def no_caches():
    with context(caches={}):
        yield


@pytest.mark.usefixtures("no_caches")
class TestCaches:
    """What is kept in this process for the runs to come."""

    def test_a_cached_result_is_used_by_the_next_run(self, executor):
        ran = []

        @task(cache_for=dt.timedelta(hours=1))
        def costly():
            ran.append(1)
            return len(ran)

        with Flow("caches") as flow:
            made = costly()
        first, second = flow.run(executor=executor), flow.run(executor=executor)
        assert type(first.result[made]) is Cached
        assert second.result[made].result == 1
        assert ran == [1]
        assert context.caches["costly"] == [first.result[made]]

    def test_other_tasks_of_the_name_or_key_use_it_too(self, executor):
        ran = []

        def body():
            ran.append(1)
            return "made once"

        options = {"cache_for": dt.timedelta(hours=1), "cache_key": "shared"}
        with Flow("first") as first:
            task(body, name="a", **options)()
        with Flow("second") as second:
            made = task(body, name="b", **options)()
        first.run(executor=executor)
        assert second.run(executor=executor).result[made].result == "made once"
        assert ran == [1]

    def test_children_are_kept(self, executor):
        ran = []

        @task(
            cache_for=dt.timedelta(hours=1),
            cache_validator=cache_validators.all_inputs,
        )
        def costly(x):
            ran.append(x)
            return x * 10

        with Flow("caches") as flow:
            made = costly.map([1, 2, 3])
        flow.run(executor=executor)
        state = flow.run(executor=executor)
        assert state.result[made].result == [10, 20, 30]
        assert sorted(ran) == [1, 2, 3]
        assert len(context.caches["costly"]) == 3

    def test_what_is_over_is_dropped(self):
        ran = []

        @task(cache_for=dt.timedelta(hours=1))
        def costly():
            ran.append(1)
            return len(ran)

        with Flow("caches") as flow:
            made = costly()
        virtual = clock.VirtualClock()
        with clock.use_clock(virtual):
            flow.run()
            virtual.sleep(3601)
            assert flow.run().result[made].result == 2
        assert [each.result for each in context.caches["costly"]] == [2]

    def test_what_a_target_gave_is_not_kept(self, tmp_path):
        from penstock.graph.results import LocalResult

        with Flow("target", result=LocalResult(str(tmp_path))) as flow:
            made = one(task_args={"target": "one", "checkpoint": True})
        with context(config={"flows": {"checkpointing": True}}):
            flow.run()
            assert type(flow.run().result[made]) is Cached
        assert context.caches.get("one", []) == []

    def test_one_pass_alone_keeps_nothing(self):
        with Flow("caches") as flow:
            one(task_args={"cache_for": dt.timedelta(hours=1)})
        assert FlowRunner(flow).run().is_successful()
        assert context.caches == {}

    def test_a_run_that_is_given_up_keeps_nothing(self):
        with Flow("caches") as flow:
            made = one(task_args={"cache_for": dt.timedelta(hours=1)})
        later = dt.datetime(2120, 1, 1, tzinfo=dt.UTC)
        until = clock.now() + dt.timedelta(hours=1)
        cached = Cached(result=1, cached_result_expiration=until)
        flow.run(state=Scheduled(start_time=later), task_states={made: cached})
        assert context.caches == {}


# -- bad tasks in a recorded run ------------------------------------------------------------------


def test_a_handler_of_the_flow_that_breaks_fails_the_run():
    def handler(flow, old, new):
        raise LookupError("in a handler")

    with Flow("handler", state_handlers=[handler]) as flow:
        one()
    state = flow.run()
    assert isinstance(state.result, LookupError)
    assert recorded()[0].state_name == "Failed"
    assert "in a handler" in str(recorded()[0].state.message)


def test_what_a_users_executor_runs_logs_to_its_task_run(executor):
    @task
    def speak(word):
        context.logger.warning("said: %s", word)

    with Flow("talk") as flow:
        speak("hello")
    flow.run(executor=executor)
    with get_client(sync_client=True) as client:
        runs = {run.id: run.name for run in client.read_task_runs()}
        logs = [(runs.get(log.task_run_id), log.message) for log in client.read_logs()]
    assert ("speak", "said: hello") in logs


def test_a_skip_ends_well(executor):
    with Flow("skips") as flow:
        made = inc(task(lambda: (_ for _ in ()).throw(signals.SKIP("no")), name="skip")())
    state = flow.run(executor=executor)
    assert state.is_successful()
    assert type(state.result[made]) is Skipped
