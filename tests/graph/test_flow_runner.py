"""One pass over a graph: its states, its handlers, its context, the state that it comes to (6)."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import pytest

from penstock.graph import Flow, Parameter, Task, context, signals, task, triggers
from penstock.graph.debug import raise_on_exception
from penstock.graph.executors import LocalExecutor
from penstock.graph.flow_runner import FlowRunner
from penstock.graph.resource_manager import resource_manager
from penstock.graph.runner import ENDRUN
from penstock.graph.signals import FAIL, PAUSE, SKIP
from penstock.graph.state import (
    Cached,
    Cancelled,
    Failed,
    Finished,
    Looped,
    Mapped,
    Paused,
    Pending,
    Queued,
    Resume,
    Retrying,
    Running,
    Scheduled,
    Skipped,
    State,
    Submitted,
    Success,
    TriggerFailed,
)
from penstock.graph.task_runner import TaskRunner

LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
LATER = dt.datetime(2120, 1, 1, tzinfo=dt.UTC)


@task
def one():
    return 1


@task
def inc(x):
    return x + 1


@task
def broken():
    raise ValueError("as asked for")


def flow_of_one(**options: Any) -> tuple[Flow, Task]:
    with Flow("of one", **options) as flow:
        made = one()
    return flow, made


# -- the flow's own states (6.1) ------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        Success(),
        Failed(),
        Skipped(),
        Finished(),
        Cancelled(),
        Success("with a result", result=5),
        State(),
    ],
    ids=repr,
)
def test_a_flow_that_is_finished_or_in_no_state_to_run_stays_as_it_is(given):
    flow, made = flow_of_one()
    assert FlowRunner(flow).run(state=given, return_tasks=[made]) is given


@pytest.mark.parametrize(
    "given",
    [
        None,
        Pending(),
        Scheduled(),
        Scheduled("long ago", start_time=LONG_AGO),
        Paused(),
        Resume(),
        Retrying(),
        Running(),
        Submitted(state=Queued(state=Pending())),
    ],
    ids=repr,
)
def test_a_flow_that_is_pending_or_runs_is_run(given):
    flow, made = flow_of_one()
    state = FlowRunner(flow).run(state=given, return_tasks=[made])
    assert state.is_successful()
    assert state.result[made].result == 1


def test_a_flow_does_not_begin_before_its_start_time():
    flow, _made = flow_of_one()
    given = Scheduled(start_time=LATER)
    assert FlowRunner(flow).run(state=given) is given


def test_a_running_flow_stays_the_same_object_until_it_is_finished():
    with Flow("waits") as flow:
        inc(one(), task_args={"trigger": triggers.manual_only})
    given = Running()
    assert FlowRunner(flow).run(state=given) is given


# -- steps, each alone ----------------------------------------------------------------------------


def test_steps_end_the_run_with_the_same_state():
    runner = FlowRunner(Flow("none"))
    for step, state in (
        (runner.check_flow_is_pending_or_running, Success()),
        (runner.check_flow_reached_start_time, Scheduled(start_time=LATER)),
        (runner.set_flow_to_running, Failed()),
    ):
        with pytest.raises(ENDRUN) as end:
            step(state)
        assert end.value.state is state


def test_the_walk_is_for_running_flows_only():
    runner = FlowRunner(Flow("none"))
    given = Pending()
    with pytest.raises(ENDRUN) as end:
        runner.get_flow_run_state(given, {}, {}, None, None, LocalExecutor())
    assert end.value.state is given


def test_initialize_run_fills_the_context():
    with Flow("filled") as flow:
        p, q = Parameter("p", default=1)(), Parameter("q")()
        made = inc(p)
        inc(q)
    given = {"parameters": {"p": 5, "other": 6}}
    filled = dict(given)
    begun = FlowRunner(flow).initialize_run(
        Submitted(state=Queued(state=Retrying(run_count=2))),
        {},
        filled,
        {made: {"mine": 1}},
        {"q": 7},
    )
    state, states, known, contexts = begun
    assert isinstance(state, Retrying)
    assert states == {}
    assert known is filled
    assert begun == (begun.state, begun.task_states, begun.context, begun.task_contexts)
    assert filled["parameters"] == {"p": 5, "q": 7, "other": 6}
    assert given == {"parameters": {"p": 5, "other": 6}}, "what the caller gave is not changed"
    assert filled["flow_name"] == "filled"
    wanted = {"task_name": "inc", "task_slug": "inc-1", "mine": 1}
    assert {key: contexts[made][key] for key in wanted} == wanted
    assert (contexts[q]["task_name"], contexts[q]["task_slug"]) == ("q", "q")


@pytest.mark.parametrize(
    ("around", "given", "wanted"),
    [
        ({}, {}, 1),
        ({"p": 2}, {}, 2),
        ({"p": 2}, {"p": 3}, 3),
        ({}, {"p": 3}, 3),
        ({}, {"p": None}, None),
    ],
)
def test_arguments_win_over_the_context_and_that_over_defaults(around, given, wanted):
    with Flow("parameters") as flow:
        p = Parameter("p", default=1)()
    state = FlowRunner(flow).run(
        return_tasks=[p], parameters=given, context={"parameters": around}
    )
    assert state.result[p].result == wanted


def test_a_required_parameter_that_is_missing_fails_its_task():
    with Flow("parameters") as flow:
        p = Parameter("p")()
        below = inc(p)
    state = FlowRunner(flow).run(return_tasks=[p, below])
    assert state.is_failed()
    assert '"p"' in str(state.result[p].message)
    assert "required but not provided" in str(state.result[p].message)
    assert isinstance(state.result[below], TriggerFailed)


def test_what_is_given_is_not_changed():
    flow, made = flow_of_one()
    states, parameters, contexts = {}, {}, {made: {}}
    FlowRunner(flow).run(
        task_states=states, parameters=parameters, task_contexts=contexts, return_tasks=[made]
    )
    assert (states, parameters, contexts) == ({}, {}, {made: {}})


def reading(*names: str, **options: Any) -> dict[str, Any]:
    """Give what a task finds in the context."""

    @task
    def read():
        return {name: context.get(name) for name in names}

    with Flow("reads") as flow:
        made = read()
    state = FlowRunner(flow).run(return_tasks=[made], **options)
    assert state.is_successful()
    return state.result[made].result


DATES = (
    "date",
    "today",
    "yesterday",
    "tomorrow",
    "today_nodash",
    "yesterday_nodash",
    "tomorrow_nodash",
)


@pytest.mark.parametrize(
    "date",
    [
        dt.datetime(2000, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2000, 1, 1),  # noqa: DTZ001 - without a zone on purpose
        "2000-01-01",
        "20000101T00",
        "2000/01/01",
        "2000-01",
        "2000-001",
        "2000",
    ],
)
def test_dates_are_of_the_date_that_is_given(date):
    assert reading(*DATES, context={"date": date}) == {
        "date": dt.datetime(2000, 1, 1, tzinfo=dt.UTC),
        "today": "2000-01-01",
        "yesterday": "1999-12-31",
        "tomorrow": "2000-01-02",
        "today_nodash": "20000101",
        "yesterday_nodash": "19991231",
        "tomorrow_nodash": "20000102",
    }


def test_dates_are_of_now_otherwise():
    before = dt.datetime.now(dt.UTC)
    found = reading(*DATES, "scheduled_start_time", context={"date": None})
    assert before <= found["date"] <= dt.datetime.now(dt.UTC)
    assert found["today"] == f"{found['date']:%Y-%m-%d}"
    assert before <= found["scheduled_start_time"] <= dt.datetime.now(dt.UTC)


@pytest.mark.parametrize("date", ["the day after", 5])
def test_a_date_that_is_none_is_kept_with_a_warning(date, caplog):
    with caplog.at_level("WARNING"):
        found = reading(*DATES, context={"date": date})
    assert found["date"] == date
    assert found["today"] == f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    assert repr(date) in caplog.text


def test_what_is_in_the_context_already_wins():
    found = reading(
        "today",
        "tomorrow",
        "scheduled_start_time",
        context={"today": "never", "date": "2000-01-01"},
    )
    assert found["today"] == "never"
    assert found["tomorrow"] == "2000-01-02"


def test_tasks_find_the_context_around_and_their_own():
    @task
    def read():
        return {
            key: context.get(key) for key in ("around", "given", "own", "task_slug", "flow_name")
        }

    with Flow("reads") as flow:
        first, second = read(), read()
    with context(around=1, given=1, own=1):
        state = FlowRunner(flow).run(
            return_tasks=[first, second],
            context={"given": 2, "own": 2},
            task_contexts={first: {"own": 3}},
        )
    common = {"around": 1, "given": 2, "flow_name": "reads"}
    assert state.result[first].result == {**common, "own": 3, "task_slug": "read-1"}
    assert state.result[second].result == {**common, "own": 2, "task_slug": "read-2"}


def test_nothing_of_it_stays_in_the_context():
    flow, _made = flow_of_one()
    before = dict(context)
    FlowRunner(flow).run(context={"here": 1})
    assert dict(context) == before


# -- at top level (6.1) ---------------------------------------------------------------------------


def test_an_error_outside_of_the_steps_is_a_failure_that_handlers_are_told_of_once():
    seen = []

    class Wrong(FlowRunner):
        def initialize_run(self, *args, **kwargs):
            raise ZeroDivisionError("in the beginning")

    flow, _made = flow_of_one(state_handlers=[lambda flow, old, new: seen.append((old, new))])
    given = Scheduled()
    state = Wrong(flow).run(state=given)
    assert isinstance(state, Failed)
    assert isinstance(state.result, ZeroDivisionError)
    assert seen == [(given, state)]
    assert type(seen[0][0]) is Scheduled
    Wrong(flow).run()
    assert type(seen[1][0]) is Pending
    with raise_on_exception(), pytest.raises(ZeroDivisionError):
        Wrong(flow).run()


def test_a_handler_that_breaks_while_it_is_told_of_an_error_does_not_break_the_run():
    class Wrong(FlowRunner):
        def initialize_run(self, *args, **kwargs):
            raise ZeroDivisionError("in the beginning")

    def handler(flow, old, new):
        raise LookupError("in a handler")

    flow, _made = flow_of_one(state_handlers=[handler])
    state = Wrong(flow).run()
    assert isinstance(state, Failed)
    assert isinstance(state.result, LookupError)


def test_an_error_inside_of_the_walk_is_an_unexpected_one():
    class Wrong(LocalExecutor):
        def submit(self, fn, *args, extra_context=None, **kwargs):
            raise ZeroDivisionError("no room")

    flow, made = flow_of_one()
    state = FlowRunner(flow).run(executor=Wrong(), return_tasks=[made])
    assert isinstance(state, Failed)
    assert str(state.message).startswith("Unexpected error")
    assert isinstance(state.result, ZeroDivisionError)
    with raise_on_exception(), pytest.raises(ZeroDivisionError):
        FlowRunner(flow).run(executor=Wrong(), return_tasks=[made])


def test_tasks_to_return_that_are_not_in_the_flow():
    flow, _made = flow_of_one()
    state = FlowRunner(flow).run(return_tasks=[one])
    assert isinstance(state, Failed)
    assert isinstance(state.result, ValueError)
    assert "'one'" in str(state.result)
    assert "of one" in str(state.result)


def test_an_executor_that_is_none():
    flow, _made = flow_of_one()
    state = FlowRunner(flow).run(executor="threads")
    assert isinstance(state, Failed)
    assert isinstance(state.result, TypeError)
    assert "'threads'" in str(state.result)


def test_an_interruption_comes_through():
    @task
    def interrupted():
        raise KeyboardInterrupt

    with Flow("interrupted") as flow:
        interrupted()
    with pytest.raises(KeyboardInterrupt):
        FlowRunner(flow).run()


def test_the_hook_for_cancelling_is_around_the_walk():
    events: list[str] = []

    class Watched(FlowRunner):
        def check_for_cancellation(self):
            from contextlib import contextmanager

            @contextmanager
            def block():
                events.append("begin")
                yield
                events.append("end")

            return block()

    @task
    def note():
        events.append("task")

    with Flow("watched") as flow:
        note()
    Watched(flow).run()
    assert events == ["begin", "task", "end"]


# -- the flow's handlers (5.2) --------------------------------------------------------------------


def test_handlers_of_the_flow_come_before_the_runners():
    seen = []
    flow, _made = flow_of_one(
        state_handlers=[
            lambda target, old, new: seen.append(("first", target, type(old), type(new))),
            lambda target, old, new: seen.append(("second", target, type(old), type(new))),
        ]
    )
    runner = FlowRunner(
        flow,
        state_handlers=[
            lambda target, old, new: seen.append(("runner", target, type(old), type(new)))
        ],
    )
    runner.run()
    assert seen == [
        ("first", flow, Pending, Running),
        ("second", flow, Pending, Running),
        ("runner", runner, Pending, Running),
        ("first", flow, Running, Success),
        ("second", flow, Running, Success),
        ("runner", runner, Running, Success),
    ]


def test_handlers_are_not_told_of_what_does_not_change():
    seen = []
    with Flow("waits", state_handlers=[lambda f, o, n: seen.append(n)]) as flow:
        one(task_args={"trigger": triggers.manual_only})
    state = FlowRunner(flow).run()
    assert seen == [state]
    seen.clear()
    FlowRunner(flow).run(state=Success())
    assert seen == []


def test_on_failure_of_a_flow():
    seen = []
    with Flow("fails", on_failure=lambda flow, state: seen.append((flow, state))) as flow:
        broken()
    state = FlowRunner(flow).run()
    assert seen == [(flow, state)]


def handler_that(what: Any, at: type[State] = Running) -> Any:
    def handler(target: Any, old: State, new: State) -> Any:
        if type(new) is not at:
            return None
        if isinstance(what, BaseException):
            raise what
        return what

    return handler


class Told(Exception):
    pass


FAILED = Failed(message="by a handler")


@pytest.mark.parametrize("where", ["flow", "runner"])
@pytest.mark.parametrize(
    ("what", "kind", "result"),
    [
        (None, Success, dict),
        (FAILED, Failed, type(None)),
        (ENDRUN(Skipped(message="ended")), Skipped, type(None)),
        (FAIL("as a signal"), Failed, FAIL),
        (SKIP("as a signal"), Skipped, SKIP),
        (Told("broken"), Failed, Told),
        # Decided otherwise: it is the run's state, as it is a task's, and not an exception.
        (PAUSE("as a signal"), Paused, PAUSE),
        ("no state", Failed, AttributeError),
        (7, Failed, AttributeError),
    ],
    ids=repr,
)
def test_what_handlers_of_a_flow_do(where, what, kind, result):
    handlers = [handler_that(what)]
    with Flow("told", state_handlers=handlers if where == "flow" else None) as flow:
        one()
    runner = FlowRunner(flow, state_handlers=handlers if where == "runner" else None)
    state = runner.run()
    assert type(state) is kind
    assert isinstance(state.result, result)


def test_a_failure_of_a_handler_says_where_it_was(caplog):
    with Flow("told", state_handlers=[handler_that(Told("broken"))]) as flow:
        one()
    state = FlowRunner(flow).run()
    assert "state handlers" in str(state.message)
    assert "Told('broken')" in str(state.message)
    assert "told" in str(state.message)
    assert "state handlers" in caplog.text


@pytest.mark.parametrize("what", [Told("broken"), FAIL("as a signal")], ids=repr)
def test_errors_of_handlers_are_raised_if_that_is_wanted(what):
    with Flow("told", state_handlers=[handler_that(what)]) as flow:
        one()
    with raise_on_exception(), pytest.raises(type(what)):
        FlowRunner(flow).run()


def test_handlers_of_task_runners_are_given_to_each():
    seen = Counter()
    with Flow("told") as flow:
        inc(one())
        broken()
    FlowRunner(flow).run(
        task_runner_state_handlers=[lambda runner, old, new: seen.update([type(new).__name__])]
    )
    assert seen == {"Running": 3, "Success": 2, "Failed": 1}


# -- the walk (6.2) -------------------------------------------------------------------------------


class Counting(LocalExecutor):
    def __init__(self) -> None:
        self.submitted: list[dict[str, Any]] = []

    def submit(self, fn, *args, extra_context=None, **kwargs):
        self.submitted.append({"extra_context": extra_context, **kwargs})
        return super().submit(fn, *args, extra_context=extra_context, **kwargs)


def test_constants_are_not_submitted():
    with Flow("constants") as flow:
        made = inc.map([1, 2])
    executor = Counting()
    state = FlowRunner(flow).run(executor=executor, return_tasks=flow.tasks)
    assert len(executor.submitted) == 3
    assert state.result[made].result == [2, 3]
    (constant,) = flow.tasks - {made}
    assert state.result[constant].result == [1, 2]


def test_what_a_submission_has():
    with Flow("submits", result=None) as flow:
        made = inc(one(task_args={"tags": ["a"], "name": "first"}))
    executor = Counting()
    handlers = [lambda runner, old, new: None]
    FlowRunner(flow).run(
        executor=executor, task_runner_state_handlers=handlers, task_contexts={made: {"mine": 1}}
    )
    first, second = executor.submitted
    assert first["extra_context"] == {"task_name": "first", "task_tags": {"a"}, "task_index": None}
    assert second["task"] is made
    assert second["state"] is None
    assert [(edge.key, type(state)) for edge, state in second["upstream_states"].items()] == [
        ("x", Success)
    ]
    assert second["context"]["task_name"] == "inc"
    assert second["context"]["mine"] == 1
    assert second["context"]["map_index"] is None
    assert second["task_runner_cls"] is TaskRunner
    assert second["task_runner_state_handlers"] is handlers
    assert second["upstream_mapped_states"] == {}
    assert second["is_mapped_parent"] is False


@pytest.mark.parametrize(
    "given",
    [Success(result=10), Failed(), Skipped(), TriggerFailed(), Cancelled(), Looped(), Finished()],
    ids=repr,
)
def test_what_is_finished_is_not_submitted(given):
    flow, made = flow_of_one()
    executor = Counting()
    states = {made: given}
    state = FlowRunner(flow).run(task_states=states, executor=executor, return_tasks=[made])
    assert not executor.submitted
    assert state.result[made] is given


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (Pending(), Success),
        (Scheduled(), Success),
        (Retrying(start_time=LONG_AGO), Success),
        (Resume(), Success),
        (Paused(), Paused),
        (Scheduled("later", start_time=LATER), Scheduled),
        (Running(), Running),
        (Submitted(state=Pending()), Success),
        (Cached(result=5), Success),
        (Mapped(), Mapped),
    ],
    ids=repr,
)
def test_what_is_not_finished_is_submitted(given, kind):
    flow, made = flow_of_one()
    executor = Counting()
    state = FlowRunner(flow).run(task_states={made: given}, executor=executor, return_tasks=[made])
    assert len(executor.submitted) == 1
    assert type(state.result[made]) is kind


def test_a_given_result_goes_downstream():
    with Flow("goes on") as flow:
        first = one()
        second = inc(first)
    state = FlowRunner(flow).run(task_states={first: Success(result=10)}, return_tasks=[second])
    assert state.result[second].result == 11


def test_resources_are_made_anew():
    made_resources = []

    @resource_manager
    class Thing:
        def setup(self):
            made_resources.append("setup")
            return "thing"

        def cleanup(self, thing):
            made_resources.append(f"cleanup {thing}")

    with Flow("resource") as flow, Thing() as thing:
        inc(one(upstream_tasks=[thing]))
    tasks = flow.tasks
    state = FlowRunner(flow).run(return_tasks=tasks)
    assert made_resources == ["setup", "cleanup thing"]
    again = FlowRunner(flow).run(task_states=state.result, return_tasks=tasks)
    assert again.is_successful()
    assert made_resources == ["setup", "cleanup thing"] * 2
    assert again.result[thing] is not state.result[thing]


def test_upstream_states_are_pending_where_nothing_has_come():
    with Flow("waits") as flow:
        first = one(task_args={"trigger": triggers.manual_only})
        second = inc(first)
        third = inc(second)
    state = FlowRunner(flow).run(return_tasks=flow.tasks)
    assert isinstance(state, Running)
    kinds = [type(state.result[each]) for each in (first, second, third)]
    assert kinds == [Paused, Pending, Pending]


def test_a_constant_wins_over_an_edge_with_the_same_key():
    with Flow("keys") as flow:
        made = inc(5)
        flow.add_edge(one(), made, key="x", validate=False)
    state = FlowRunner(flow).run(return_tasks=[made])
    assert state.result[made].result == 6


def test_one_pass_does_not_wait_for_retries():
    tries = []

    @task(max_retries=3, retry_delay=dt.timedelta(0))
    def flaky():
        tries.append(1)
        if len(tries) < 3:
            raise ValueError
        return len(tries)

    with Flow("retries") as flow:
        made = flaky()
    states: dict[Any, Any] = {}
    kinds = []
    for _ in range(3):
        state = FlowRunner(flow).run(task_states=states, return_tasks=[made])
        states = dict(state.result)
        kinds.append((type(state), type(states[made])))
    assert kinds == [(Running, Retrying), (Running, Retrying), (Success, Success)]
    assert states[made].result == 3


def test_the_class_of_task_runners():
    class Mine(TaskRunner):
        def get_task_run_state(self, state, inputs):
            return Success(result="mine")

    flow, made = flow_of_one()
    state = FlowRunner(flow, task_runner_cls=Mine).run(return_tasks=[made])
    assert state.result[made].result == "mine"


def test_a_class_that_cannot_be_imported_is_replaced_with_a_warning(monkeypatch):
    flow, made = flow_of_one()
    with (
        context(config={"engine": {"task_runner": {"default_class": "no.such.Class"}}}),
        pytest.warns(UserWarning, match=r"no\.such\.Class"),
    ):
        runner = FlowRunner(flow)
    assert runner.task_runner_cls is TaskRunner
    assert runner.run(return_tasks=[made]).is_successful()


def test_a_runner_says_of_which_flow_it_is():
    assert repr(FlowRunner(Flow("shown"))) == "<FlowRunner: shown>"


# -- bad tasks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"trigger": lambda upstream: 1 / 0}])
def test_a_trigger_that_raises(options):
    with Flow("trigger") as flow:
        made = inc(one(), task_args=options)
    state = FlowRunner(flow).run(return_tasks=[made])
    assert isinstance(state.result[made], TriggerFailed)
    assert isinstance(state.result[made].result, ZeroDivisionError)
    assert "inc" in str(state.result[made].message)


@pytest.mark.parametrize("gives", ["nonsense", 1])
def test_a_handler_of_a_task_that_returns_nonsense(gives):
    with Flow("handler") as flow:
        made = one(task_args={"state_handlers": [lambda task, old, new: gives], "name": "odd"})
    state = FlowRunner(flow).run(return_tasks=[made])
    assert state.is_failed()
    assert "odd" in str(state.result[made].message)
    assert str(gives) in str(state.result[made].message)


def test_a_handler_of_a_task_that_raises():
    def handler(task, old, new):
        raise Told("in a handler")

    with Flow("handler") as flow:
        made = one(task_args={"state_handlers": [handler], "name": "odd"})
        below = inc(made)
    state = FlowRunner(flow).run(return_tasks=[made, below])
    assert isinstance(state.result[made].result, Told)
    assert "odd" in str(state.result[made].message)
    assert isinstance(state.result[below], TriggerFailed)


def test_a_target_that_cannot_be_read(tmp_path):
    from penstock.graph.results import LocalResult

    (tmp_path / "broken").write_bytes(b"no pickle at all")
    with Flow("target", result=LocalResult(str(tmp_path))) as flow:
        made = one(task_args={"target": "broken", "name": "reader"})
    state = FlowRunner(flow).run(return_tasks=[made])
    assert isinstance(state, Failed)
    found = state.result[made]
    assert isinstance(found, Failed)
    assert "Unexpected error" in str(found.message)
    assert "reader" in str(found.message)


# -- the final state (6.5) ------------------------------------------------------------------------


def task_with(state: State) -> Any:
    """Give a task that comes to a state."""

    @task(name=type(state).__name__)
    def come():
        raise ENDRUN(state)

    return come


@pytest.mark.parametrize(
    ("ends", "references", "kind", "message"),
    [
        ([Success()], None, Success, "All reference tasks succeeded."),
        ([Skipped()], None, Success, "All reference tasks succeeded."),
        ([Success(), Failed()], None, Failed, "Some reference tasks failed."),
        ([TriggerFailed()], None, Failed, "Some reference tasks failed."),
        ([Success(), Cancelled()], None, Success, "No reference tasks failed."),
        ([Failed(), Cancelled()], None, Failed, "Some reference tasks failed."),
        ([Success(), Failed()], [0], Success, "All reference tasks succeeded."),
        ([Success(), Failed()], [1], Failed, "Some reference tasks failed."),
        ([Failed(), Pending()], [0], Running, None),
        ([Success(), Retrying()], None, Running, None),
        ([Success(), Paused()], None, Running, None),
        ([], None, Success, "All reference tasks succeeded."),
    ],
)
def test_the_state_of_a_flow(ends, references, kind, message):
    with Flow("ends") as flow:
        made = [task_with(state)() for state in ends]
    if references is not None:
        flow.set_reference_tasks([made[index] for index in references])
    state = FlowRunner(flow).run(return_tasks=made)
    assert type(state) is kind
    if message is not None:
        assert state.message == message
    assert [state.result[each] for each in made] == ends


def test_reference_tasks_that_are_not_the_last():
    with Flow("inside") as flow:
        first = broken()
        inc(one(), upstream_tasks=[first], task_args={"trigger": triggers.all_finished})
    assert FlowRunner(flow).run().is_successful()
    flow.set_reference_tasks([first])
    assert FlowRunner(flow).run().is_failed()


def test_only_the_tasks_that_are_wanted_are_in_the_result():
    with Flow("returns") as flow:
        first = one()
        second = inc(first)
    assert FlowRunner(flow).run().result == {}
    assert set(FlowRunner(flow).run(return_tasks=[first]).result) == {first}
    assert set(FlowRunner(flow).run(return_tasks=[first, second]).result) == {first, second}


def test_children_decide_in_the_place_of_a_mapped_task():
    @task
    def odd(x):
        if x == 2:
            raise ValueError(x)

    with Flow("children") as flow:
        made = odd.map([1, 2, 3])
    state = FlowRunner(flow).run(return_tasks=[made])
    assert state.is_failed()
    assert isinstance(state.result[made], Mapped)
    assert len(state.result[made].map_states) == 3


def test_the_decision_can_be_overridden():
    seen = {}

    class Mine(FlowRunner):
        def determine_final_state(self, state, key_states, return_states, terminal_states):
            seen.update(key=key_states, terminal=terminal_states)
            return Cancelled(result=return_states)

    with Flow("decides") as flow:
        first = one()
        second = inc(first)
        third = broken()
    flow.set_reference_tasks([first])
    state = Mine(flow).run(return_tasks=[first, second, third])
    assert type(state) is Cancelled
    assert seen["key"] == {state.result[first]}
    assert seen["terminal"] == {state.result[second], state.result[third]}


def test_the_handler_of_the_last_state():
    seen = []

    def handler(flow, state, reference_states):
        seen.append((flow, type(state), reference_states))
        return Failed(message="so", result=state.result) if state.is_successful() else None

    flow, made = flow_of_one(terminal_state_handler=handler)
    state = FlowRunner(flow).run(return_tasks=[made])
    assert state.message == "so"
    assert seen == [(flow, Success, {state.result[made]})]


def test_the_handler_of_the_last_state_is_called_for_unfinished_runs_too():
    seen = []
    with Flow("waits", terminal_state_handler=lambda *given: seen.append(given)) as flow:
        one(task_args={"trigger": triggers.manual_only})
    state = FlowRunner(flow).run()
    assert isinstance(state, Running)
    assert [type(each[1]) for each in seen] == [Running]


@pytest.mark.parametrize("kind", ["raises", "nonsense"])
def test_the_handler_of_the_last_state_that_is_no_good(kind):
    def handler(flow, state, reference_states):
        if kind == "raises":
            raise Told("at the end")
        return "done"

    flow, _made = flow_of_one(terminal_state_handler=handler)
    state = FlowRunner(flow).run()
    assert isinstance(state, Failed)
    assert "Unexpected error" in str(state.message)
    assert kind == "raises" or "terminal_state_handler of flow 'of one'" in str(state.message)


def test_a_flow_without_the_attribute_for_it():
    flow, _made = flow_of_one()
    del flow.terminal_state_handler
    assert FlowRunner(flow).run().is_successful()


def test_raised_skips_and_signals_of_tasks():
    @task
    def skip():
        raise signals.SKIP("not today", result="kept")

    with Flow("signals") as flow:
        made = skip()
        below = inc(made)
    state = FlowRunner(flow).run(return_tasks=[made, below])
    assert state.is_successful()
    assert state.result[made].result == "kept"
    assert isinstance(state.result[below], Skipped)


# -- driven by events -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["chain", "fan", "beside"])
def test_the_work_for_a_task_does_not_grow_with_the_graph(shape, monkeypatch):
    from penstock.graph import walk

    touched = Counter()

    class Watched(walk.Walk):
        """Counts what is looked at: each node that something is noted of, each that is begun."""

        def _one_less(self, node):
            touched["edges"] += 1
            super()._one_less(node)

        def _is_ready(self, node):
            touched["ready"] += 1
            super()._is_ready(node)

        def _next_call(self):
            touched["begun"] += 1
            return super()._next_call()

    from penstock.graph import flow_runner

    monkeypatch.setattr(flow_runner, "Walk", Watched)

    def work(count: int) -> dict[str, float]:
        touched.clear()
        with Flow(shape) as flow:
            first = above = one()
            for _ in range(count):
                if shape == "beside":
                    one()
                else:
                    made = inc(above if shape == "chain" else first)
                    above = made
        assert FlowRunner(flow).run().is_successful()
        return {key: number / (count + 1) for key, number in touched.items()}

    small, large = work(20), work(400)
    for key, cost in large.items():
        assert cost <= 1.0 + 1e-9, key
        assert cost == pytest.approx(small[key], rel=0.06), key
