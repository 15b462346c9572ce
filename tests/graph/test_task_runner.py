"""`TaskRunner.run`: the order of the steps, what a run begins with, loops, pauses, and its end."""

from __future__ import annotations

import logging
import pickle
from datetime import UTC, datetime, timedelta

import pytest

from penstock.graph import task_runner, triggers
from penstock.graph.ambient import context
from penstock.graph.debug import raise_on_exception
from penstock.graph.edge import Edge
from penstock.graph.results import LocalResult, Result
from penstock.graph.runner import ENDRUN
from penstock.graph.signals import FAIL, LOOP, PAUSE
from penstock.graph.state import (
    Cached,
    Cancelling,
    Failed,
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
)
from penstock.graph.tail_calls import RecursiveCall, tail_recursive
from penstock.graph.task import Task, pause_task, task
from penstock.graph.task_runner import TaskRunner

SOON = timedelta(0)
LATER = datetime.now(UTC) + timedelta(days=1)
EARLIER = datetime.now(UTC) - timedelta(days=1)


class Body(Task):
    def __init__(self, body=lambda: None, **options):
        self.body = body
        super().__init__(**options)

    def run(self):
        return self.body()


def raising(error):
    def body():
        raise error

    return body


def edge(key=None, **options):
    return Edge(Task(name="up"), Task(name="down"), key=key, **options)


# -- making one -----------------------------------------------------------------------------------


def test_what_a_runner_is_called():
    assert repr(TaskRunner(Task(name="t"))) == "<TaskRunner: t>"
    assert TaskRunner(Task()).logger.name == "penstock.graph.TaskRunner"


def test_where_results_are_kept(tmp_path):
    own, flows = LocalResult(dir=str(tmp_path)), Result(location="flow")

    assert TaskRunner(Task(result=own), flow_result=flows).result is own
    shared = TaskRunner(Task(), flow_result=flows).result
    assert shared == flows
    assert shared is not flows
    assert TaskRunner(Task()).result == Result()


# -- the order of the steps -----------------------------------------------------------------------

NAMES = [
    "check_task_is_ready",
    "check_task_reached_start_time",
    "check_upstream_finished",
    "check_upstream_skipped",
    "load_results",
    "get_task_inputs",
    "check_task_ready_to_map",
    "set_task_run_name",
    "check_target",
    "check_task_is_cached",
    "check_task_trigger",
    "set_task_to_running",
    "get_task_run_state",
    "cache_result",
    "check_for_retry",
    "check_task_is_looping",
]


class Traced(TaskRunner):
    """A runner that notes the steps it takes."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.taken = []


def traced(name):
    def step(self, *args, **kwargs):
        self.taken.append(name)
        return getattr(super(Traced, self), name)(*args, **kwargs)

    return step


for _name in ["initialize_run", *NAMES]:
    setattr(Traced, _name, traced(_name))


@pytest.mark.parametrize(
    ("options", "given", "left_out", "last"),
    [
        ({}, {}, {"check_task_ready_to_map", "check_target"}, None),
        ({"target": "x"}, {}, {"check_task_ready_to_map", "check_task_is_cached"}, None),
        ({}, {"is_mapped_parent": True}, {"check_target"}, "check_task_ready_to_map"),
        ({}, {"state": Success()}, set(), "check_task_is_ready"),
        (
            {"trigger": lambda _: False},
            {},
            {"check_task_ready_to_map", "check_target"},
            "check_task_trigger",
        ),
    ],
)
def test_the_steps_and_their_order(options, given, left_out, last, tmp_path):
    runner = Traced(Task(result=LocalResult(dir=str(tmp_path)), **options))
    runner.run(**given)

    expected = NAMES if last is None else NAMES[: NAMES.index(last) + 1]
    assert runner.taken == ["initialize_run", *(n for n in expected if n not in left_out)]


def test_the_pipeline_can_be_read():
    assert [name for name, _ in task_runner.PIPELINE] == NAMES
    assert [name for name, _ in task_runner.CHECKS] == NAMES[: NAMES.index("set_task_to_running")]
    assert all(getattr(TaskRunner, name).__doc__ for name in NAMES)


# -- initialize_run -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "run_count", "resumes"),
    [
        (None, 1, False),
        (Pending(), 1, False),
        (Success(), 1, False),
        (Failed(), 1, False),
        (Skipped(), 1, False),
        (Cached(), 1, False),
        (Scheduled(), 1, False),
        (Pending(context={"task_run_count": 4}), 4, False),
        (Retrying(), 2, False),
        (Retrying(run_count=5), 6, False),
        (Resume(), 1, True),
        (Resume(context={"task_run_count": 3}), 3, True),
        pytest.param(Paused(start_time=EARLIER), 1, True, id="pause is over"),
        pytest.param(Paused(start_time=LATER), 1, False, id="pause goes on"),
        pytest.param(Paused(), 1, False, id="pause without end"),
        (Paused(context={"task_run_count": 3}), 3, False),
        (Submitted(state=Queued(state=Retrying())), 2, False),
    ],
    ids=repr,
)
def test_the_number_of_the_attempt_and_whether_it_resumes(state, run_count, resumes):
    _, known = TaskRunner(Task()).initialize_run(state=state, context={})

    assert known["task_run_count"] == run_count
    assert known.get("resume", False) is resumes
    assert ("resume" in known) is resumes


def test_a_resume_of_the_caller_stays():
    _, known = TaskRunner(Task()).initialize_run(state=Pending(), context={"resume": True})
    assert known["resume"] is True


def test_the_ambient_context_can_be_what_a_run_begins_with():
    with context() as ambient:
        begun = TaskRunner(Task(name="t")).initialize_run(Retrying(run_count=2), ambient)

        assert begun.context.task_run_count == 3
        assert begun.context.task_name == "t"
        assert "resume" not in begun.context


def test_what_a_run_knows_of_its_task():
    named = Task(name="t", tags=["a", "b"])
    begun = TaskRunner(named).initialize_run(state=None, context={})
    known = begun.context

    assert begun == (begun.state, known)
    assert type(begun.state) is Pending
    assert known["task_name"] == "t"
    assert known["task_tags"] == {"a", "b"}
    assert known["logger"] is named.logger


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"checkpointing": "as given"}, "as given"),
        ({"config": {"flows": {"checkpointing": "as configured"}}}, "as configured"),
        ({"checkpointing": 1, "config": {"flows": {"checkpointing": 2}}}, 1),
        ({}, False),
        ({"config": {}}, False),
    ],
)
def test_whether_results_are_written(known, expected):
    _, known = TaskRunner(Task()).initialize_run(state=None, context=known)
    assert known["checkpointing"] == expected


def test_a_childs_logger_has_its_name():
    parent = Task(name="t")
    known = {"map_index": 3, "task_full_name": "t[3]"}
    _, known = TaskRunner(parent).initialize_run(state=None, context=known)

    assert known["logger"].name == "penstock.graph.t[3]"
    assert known["logger"].parent is parent.logger


def test_a_childs_logger_reports_where_the_tasks_does(caplog):
    caplog.set_level(logging.INFO, logger="penstock")
    body = Body(lambda: context.logger.info("hello"), name="t")
    TaskRunner(body).run(context={"map_index": 3})

    assert [(r.name, r.message) for r in caplog.records if r.message == "hello"] == [
        ("penstock.graph.t[3]", "hello")
    ]


def test_a_logger_that_the_program_has_set_up_is_taken():
    own = logging.getLogger("penstock.graph.set up[0]")
    body = Body(lambda: context.logger, name="set up")
    assert TaskRunner(body).run(context={"map_index": 0}).result is own


def test_loggers_of_children_are_not_kept():
    before = len(logging.root.manager.loggerDict)
    counting = Task(name="counting")
    for index in range(20):
        TaskRunner(counting).run(context={"map_index": index})
    assert len(logging.root.manager.loggerDict) - before <= 2


@pytest.mark.parametrize("state", [Pending, Retrying])
def test_a_loop_goes_on_where_it_was(state, tmp_path):
    given = state(result=5, context={"_loop_count": 4})
    state, known = TaskRunner(Task()).initialize_run(state=given, context={})

    assert (known["task_loop_count"], known["task_loop_result"]) == (4, 5)
    assert "_loop_count" not in state.context


def test_a_loops_result_is_read_if_only_its_place_is_known(tmp_path):
    place = LocalResult(dir=str(tmp_path), location="so_far.pkl")
    location = place.write(7).location
    given = Retrying(result=Result(location=location), context={"_loop_count": 2})
    _, known = TaskRunner(Task(result=place)).initialize_run(state=given, context={})

    assert known["task_loop_result"] == 7


def test_a_target_is_where_the_result_goes(tmp_path):
    runner = TaskRunner(Task(result=LocalResult(dir=str(tmp_path)), target="{x}.pkl"))
    runner.initialize_run(state=None, context={})
    assert runner.result.location == "{x}.pkl"


def test_a_target_of_a_function_makes_the_place_of_the_result(tmp_path):
    target = lambda **known: f"{known['x']}.pkl"
    runner = TaskRunner(Task(result=LocalResult(dir=str(tmp_path)), target=target))
    runner.initialize_run(state=None, context={})

    assert runner.result.location is None
    assert runner.result.format(x="there").location == "there.pkl"


# -- run: contexts --------------------------------------------------------------------------------


def test_the_body_finds_what_it_is_given():
    seen = {}
    TaskRunner(Body(lambda: seen.update(context.to_dict()), name="t")).run(
        context={"mine": 1, "map_index": 2}
    )

    assert seen["mine"] == 1
    assert seen["map_index"] == 2
    assert seen["task_full_name"] == "t[2]"
    assert "mine" not in context


def test_without_a_context_the_ambient_one_is_there():
    body = Body(lambda: (context["mine"], context["map_index"], context["task_full_name"]))
    with context(mine=1):
        assert TaskRunner(body).run().result == (1, None, "Body")


def test_two_runs_with_one_context_do_not_disturb_each_other():
    given = {"mine": 1}

    def loops():
        count = context.get("task_loop_count", 1)
        if count < 3:
            raise LOOP(result=count)
        return count

    runner = TaskRunner(Body(loops))
    assert runner.run(context=given).result == 3
    assert runner.run(context=given).result == 3
    assert given == {"mine": 1}


@pytest.mark.parametrize(
    "error", [None, ValueError(), FAIL(), LOOP(), KeyboardInterrupt()], ids=repr
)
def test_the_context_is_as_before_whatever_happens(error):
    calls = []

    def body():
        calls.append(1)
        if error is not None and len(calls) == 1:
            raise error

    before = context.to_dict()
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            TaskRunner(Body(body)).run()
    else:
        TaskRunner(Body(body)).run()
    assert context.to_dict() == before


# -- run: how it ends -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state", [Success(result=1), Failed(), Skipped(), Running(), Cancelling(), Looped(), State()]
)
def test_a_state_that_is_not_to_be_run_comes_back(state):
    changes = []
    options = {"max_retries": 3, "retry_delay": SOON}
    runner = TaskRunner(Task(state_handlers=[lambda *args: changes.append(args)], **options))

    assert runner.run(state=state) is state
    assert changes == runner.transitions == []


def test_upstream_states_come_as_inputs():
    @task
    def add(x, y=10):
        return x + y

    upstream = {
        Edge(Task(), add, key="x"): Success(result=1),
        Edge(Task(), add): Success(result=100),
    }
    assert TaskRunner(add).run(upstream_states=upstream).result == 11


def test_an_unfinished_upstream_task_leaves_the_task_as_it_is():
    runner = TaskRunner(Task())
    state = runner.run(upstream_states={1: Pending()})
    assert type(state) is Pending
    assert runner.transitions == []


class Broken(TaskRunner):
    def load_results(self, state, upstream_states):
        raise ValueError("boom")


class BrokenBeginning(TaskRunner):
    def initialize_run(self, state, context):
        raise ValueError("boom")


class Signals(TaskRunner):
    def get_task_inputs(self, state, upstream_states):
        raise FAIL("because")


@pytest.mark.parametrize("kind", [Broken, BrokenBeginning])
def test_an_error_outside_of_a_wrapped_step_fails_the_task_and_tells_nobody(kind):
    changes = []
    options = {"max_retries": 3, "retry_delay": SOON}
    broken = Task(name="t", state_handlers=[lambda *args: changes.append(args)], **options)
    runner = kind(broken)
    state = runner.run()

    assert type(state) is Failed
    assert isinstance(state.result, ValueError)
    assert "boom" in state.message
    assert repr(runner) in state.message
    assert changes == []
    assert [noted for noted, _ in runner.transitions] == [state]


@pytest.mark.parametrize("kind", [Broken, BrokenBeginning])
def test_such_an_error_is_raised_on_request(kind):
    with raise_on_exception(), pytest.raises(ValueError, match="boom"):
        kind(Task()).run()


def test_a_signal_outside_of_a_wrapped_step_gives_its_state():
    state = Signals(Task()).run()
    assert (type(state), state.message) == (Failed, "because")


def test_transitions_of_a_run():
    runner = TaskRunner(Body(raising(ValueError()), max_retries=1, retry_delay=SOON))
    state = runner.run()

    assert [type(noted) for noted, _ in runner.transitions] == [Running, Failed, Retrying]
    assert runner.transitions[-1][0] is state


def test_a_step_may_be_overridden():
    class Hurried(TaskRunner):
        def check_task_trigger(self, state, upstream_states):
            raise ENDRUN(Skipped("no time"))

    assert Hurried(Task()).run().message == "no time"


# -- run: logs ------------------------------------------------------------------------------------


def lines(caplog, text):
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


def test_the_beginning_and_the_end_are_logged_once(caplog):
    caplog.set_level(logging.DEBUG, logger="penstock")

    def loops():
        if context.get("task_loop_count", 1) < 9:
            raise LOOP
        return 1

    TaskRunner(Body(loops, name="t")).run()

    assert len(lines(caplog, "Starting task run")) == 1
    [end] = lines(caplog, "Finished task run")
    assert "'t'" in end
    assert "final state: 'Success'" in end


def test_a_child_is_logged_by_its_full_name(caplog):
    caplog.set_level(logging.DEBUG, logger="penstock")
    TaskRunner(Task(name="t")).run(context={"map_index": 3})
    with context(map_index=4):
        TaskRunner(Task(name="t")).run()

    for text in ("Starting task run", "Finished task run"):
        assert ["'t[3]'" in line or "'t[4]'" in line for line in lines(caplog, text)] == [True] * 2


def test_an_iteration_of_a_loop_around_it_logs_no_end(caplog):
    caplog.set_level(logging.DEBUG, logger="penstock")
    with context(task_loop_count=2):
        TaskRunner(Task()).run()

    assert lines(caplog, "Starting task run") == lines(caplog, "Finished task run") == []


# -- loops ----------------------------------------------------------------------------------------


def looping(until, seen=None, fail_at=None):
    """Give a body that loops until its count is `until`, and fails once at `fail_at`."""
    failed = []

    def body():
        count = context.get("task_loop_count", 1)
        if seen is not None:
            seen.append((count, context.get("task_loop_result"), context["task_run_count"]))
        if count == fail_at and not failed:
            failed.append(count)
            raise ValueError("boom")
        if count < until:
            raise LOOP(result=(context.get("task_loop_result") or 0) + 10)
        return context.get("task_loop_result")

    return body


def test_what_each_iteration_finds():
    seen = []
    state = TaskRunner(Body(looping(3, seen))).run()

    assert seen == [(1, None, 1), (2, 10, 1), (3, 20, 1)]
    assert type(state) is Success
    assert state.result == 20


def test_the_first_iteration_finds_no_count():
    def body():
        if "task_loop_count" in context:
            return "later"
        assert "task_loop_result" not in context
        raise LOOP

    assert TaskRunner(Body(body)).run().result == "later"


def test_thousands_of_iterations():
    assert TaskRunner(Body(looping(2_000))).run().result == 19_990


def test_a_loop_may_begin_later():
    seen = []
    TaskRunner(Body(looping(21, seen))).run(context={"task_loop_count": 20})
    assert [count for count, _, _ in seen] == [20, 21]


def test_a_loop_with_inputs_and_a_map_index():
    seen = []

    @task
    def grow(x):
        seen.append((x, context["map_index"]))
        if context.get("task_loop_count", 1) < 3:
            raise LOOP(result=x)
        return x

    upstream = {Edge(Task(), grow, key="x"): Success(result=5)}
    TaskRunner(grow).run(upstream_states=upstream, context={"map_index": 2})
    assert seen == [(5, 2)] * 3


def test_a_failure_in_a_loop_goes_on_at_its_iteration():
    seen = []
    body = Body(looping(4, seen, fail_at=2), max_retries=1, retry_delay=SOON)
    waiting = TaskRunner(body).run()

    assert type(waiting) is Retrying
    assert waiting.context["_loop_count"] == 2
    assert waiting.result == 10

    waiting = pickle.loads(pickle.dumps(waiting))
    state = TaskRunner(body).run(state=waiting)
    assert state.result == 30
    assert seen == [(1, None, 1), (2, 10, 1), (2, 10, 2), (3, 20, 1), (4, 30, 1)]


def test_every_iterations_result_is_written(tmp_path):
    written = []

    class Writes(Result):
        def write(self, value_, **known):
            written.append(value_)
            return self.from_value(value_)

    def body():
        count = context.get("task_loop_count", 1)
        if count < 3:
            raise LOOP(result=count)
        return count

    with context(checkpointing=True):
        TaskRunner(Body(body, result=Writes())).run()
    assert written == [1, 2, 3]


def test_every_iteration_passes_all_checks():
    trigger_calls = []

    def trigger(upstream_states):
        trigger_calls.append(1)
        return len(trigger_calls) < 3

    state = TaskRunner(Body(looping(5), trigger=trigger)).run()
    assert state.is_failed()
    assert len(trigger_calls) == 3


def test_what_a_loop_writes_at_its_target_does_not_end_it(tmp_path):
    seen = []
    body = Body(looping(3, seen), result=LocalResult(dir=str(tmp_path)), target="out.pkl")
    with context(checkpointing=True):
        state = TaskRunner(body).run()
        again = TaskRunner(body).run()

    assert len(seen) == 3
    assert state.result == again.result == 20
    assert type(again) is Cached


def test_retries_of_children_that_loop():
    # Two children, each with two turns, a failure, another attempt and an end.
    told = []
    options = {"max_retries": 1, "retry_delay": SOON}
    handlers = [lambda task, old, new: told.append(type(new))]
    for index in range(2):
        body = Body(looping(3, fail_at=3), state_handlers=handlers, **options)
        known = {"map_index": index}
        waiting = TaskRunner(body).run(context=known)
        assert TaskRunner(body).run(state=waiting, context=known).result == 20
    parent = Body(state_handlers=handlers)
    TaskRunner(parent).run(is_mapped_parent=True)

    assert len(told) == 19


@pytest.mark.parametrize("decorated", [False, True])
def test_a_subclass_may_have_a_run_of_its_own_around_a_loop(decorated):
    calls = []

    class Around(TaskRunner):
        def run(self, *args, **kwargs):
            calls.append(1)
            return super().run(*args, **kwargs)

    if decorated:
        Around.run = tail_recursive(Around.run)
    assert Around(Body(looping(3))).run().result == 20
    assert len(calls) == (3 if decorated else 1)


def test_a_state_that_does_not_loop_comes_back():
    state = Success()
    step = TaskRunner(Task()).check_task_is_looping
    assert step(state=state, inputs={}, upstream_states={}, context={}) is state


def test_the_step_asks_for_the_next_iteration():
    known = {"task_full_name": "t"}
    state = Looped(result=3, loop_count=7)
    step = TaskRunner(Task()).check_task_is_looping
    with context(task_run_version=5), pytest.raises(RecursiveCall) as request:
        step(state=state, inputs={}, upstream_states={1: 2}, context=known)

    given = request.value.func_kwargs
    assert type(given["state"]) is Pending
    assert given["upstream_states"] == {1: 2}
    assert given["context"] == known
    assert known == {
        "task_full_name": "t",
        "task_loop_result": 3,
        "task_loop_count": 8,
        "task_run_version": 5,
    }


# -- pauses ---------------------------------------------------------------------------------------


def test_a_task_that_is_to_be_started_by_hand():
    ran = []
    manual = Body(lambda: ran.append(1), trigger=triggers.manual_only)
    paused = TaskRunner(manual).run()

    assert type(paused) is Paused
    assert paused.start_time is None
    assert TaskRunner(manual).run(state=paused) is paused
    assert ran == []
    assert TaskRunner(manual).run(state=Resume()).is_successful()
    assert ran == [1]


def test_a_pause_that_is_over_resumes():
    manual = Body(lambda: 1, trigger=triggers.manual_only)
    assert TaskRunner(manual).run(state=Paused(start_time=EARLIER)).result == 1
    waiting = Paused(start_time=LATER)
    assert TaskRunner(manual).run(state=waiting) is waiting


def test_a_body_that_pauses_is_run_from_its_start():
    steps = []

    def body():
        steps.append("before")
        pause_task("look at it")
        steps.append("after")

    paused = TaskRunner(Body(body)).run()
    assert (type(paused), paused.message) == (Paused, "look at it")
    assert TaskRunner(Body(body)).run(state=Resume()).is_successful()
    assert steps == ["before", "before", "after"]


def test_a_pause_for_a_time():
    paused = TaskRunner(Body(lambda: pause_task(duration=timedelta(hours=1)))).run()
    assert type(paused) is Paused
    assert paused.start_time > datetime.now(UTC)


def test_a_handler_that_pauses_may_be_resumed():
    def approve(task, old, new):
        if isinstance(new, Running) and not context.get("resume"):
            raise PAUSE("approve it")

    guarded = Body(lambda: 1, state_handlers=[approve])
    assert type(TaskRunner(guarded).run()) is Paused
    assert TaskRunner(guarded).run(state=Resume()).result == 1


def test_attempts_are_counted_over_pauses():
    ran = []

    def handler(task, old, new):
        if isinstance(new, Paused):
            return Resume()
        if isinstance(old, Running):
            raise FAIL("no luck")
        return None

    manual = Body(
        lambda: ran.append(1),
        trigger=triggers.manual_only,
        max_retries=2,
        retry_delay=SOON,
        state_handlers=[handler],
    )
    state = None
    for _ in range(20):
        state = TaskRunner(manual).run(state=state)
        if state.is_finished():
            break

    assert len(ran) == 3
    assert type(state) is Failed


# -- mapped parents -------------------------------------------------------------------------------


def test_a_parent_is_mapped_and_not_run():
    ran = []

    @task
    def each(x):
        ran.append(x)

    upstream = {Edge(Task(), each, key="x", mapped=True): Success(result=[1, 2])}
    state = TaskRunner(each).run(upstream_states=upstream, is_mapped_parent=True)

    assert type(state) is Mapped
    assert state.n_map_states == 2
    assert ran == []


def test_children_are_named_one_by_one():
    named = Body(lambda: context["task_run_name"], task_run_name="child {map_index}")
    runners = [TaskRunner(named) for _ in range(2)]
    results = [
        runner.run(context={"map_index": index}).result for index, runner in enumerate(runners)
    ]
    assert results == [runner.task_run_name for runner in runners] == ["child 0", "child 1"]
