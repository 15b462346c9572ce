"""The steps before a task's body, each alone: every row of their tables (sections 5.5 to 5.15)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from penstock.graph import cache_validators, task_checks, triggers
from penstock.graph.ambient import context
from penstock.graph.debug import raise_on_exception
from penstock.graph.edge import Edge
from penstock.graph.parameter import Parameter
from penstock.graph.results import LocalResult, NoResult, PrefectResult, Result
from penstock.graph.runner import ENDRUN
from penstock.graph.signals import PAUSE, SKIP, SUCCESS, TRIGGERFAIL
from penstock.graph.state import (
    Cached,
    Cancelled,
    Cancelling,
    Failed,
    Finished,
    Looped,
    Mapped,
    Paused,
    Pending,
    Resume,
    Retrying,
    Running,
    Scheduled,
    Skipped,
    State,
    Success,
    TimedOut,
    TriggerFailed,
    ValidationFailed,
)
from penstock.graph.task import Task
from penstock.graph.task_runner import TaskRunner

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=1)
EARLIER = NOW - timedelta(days=1)


def ended(step, *args, **kwargs):
    """Give the state that a step ends the run with."""
    with pytest.raises(ENDRUN) as end:
        step(*args, **kwargs)
    return end.value.state


def edge(key=None, **options):
    return Edge(Task(name="up"), Task(name="down"), key=key, **options)


# -- check_task_is_ready --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [Pending(), Scheduled(), Paused(), Retrying(), Resume(), Mapped(), Cached()],
    ids=repr,
)
def test_what_is_ready_goes_on(state):
    assert TaskRunner(Task()).check_task_is_ready(state=state) is state


@pytest.mark.parametrize(
    "state",
    [
        Running(),
        Cancelling(),
        Success(),
        Failed(),
        Skipped(),
        TriggerFailed(),
        ValidationFailed(),
        TimedOut(),
        Looped(),
        Cancelled(),
        Finished(),
        State(),
    ],
    ids=repr,
)
def test_what_runs_or_is_finished_is_the_answer(state):
    assert ended(TaskRunner(Task()).check_task_is_ready, state=state) is state


# -- check_task_reached_start_time ----------------------------------------------------------------


@pytest.mark.parametrize("kind", [Scheduled, Retrying, Resume, Paused])
def test_a_start_time_in_the_past_has_come(kind):
    state = kind(start_time=EARLIER)
    assert TaskRunner(Task()).check_task_reached_start_time(state=state) is state


@pytest.mark.parametrize("kind", [Scheduled, Retrying, Resume])
def test_a_start_time_of_now_has_come(kind):
    state = kind()
    assert TaskRunner(Task()).check_task_reached_start_time(state=state) is state


@pytest.mark.parametrize("kind", [Scheduled, Retrying, Resume, Paused])
def test_a_start_time_in_the_future_ends_the_run(kind):
    state = kind(start_time=LATER)
    assert ended(TaskRunner(Task()).check_task_reached_start_time, state=state) is state


def test_paused_without_a_start_time_ends_the_run():
    state = Paused()
    assert ended(TaskRunner(Task()).check_task_reached_start_time, state=state) is state


@pytest.mark.parametrize("state", [Pending(), Running(), Failed(), Success(), Mapped(), State()])
def test_other_states_have_no_start_time(state):
    assert TaskRunner(Task()).check_task_reached_start_time(state=state) is state


# -- check_upstream_finished ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "upstream",
    [
        {},
        {1: Success()},
        {1: Success(), 2: Failed(), 3: TriggerFailed(), 4: Skipped(), 5: Cancelled()},
    ],
    ids=["none", "one", "all finished"],
)
def test_upstream_tasks_that_are_finished(upstream):
    state = Pending()
    runner = TaskRunner(Task())
    assert runner.check_upstream_finished(state=state, upstream_states=upstream) is state


@pytest.mark.parametrize(
    "upstream", [{1: Pending()}, {1: Success(), 2: Running()}, {1: Success(), 2: Retrying()}]
)
def test_upstream_tasks_that_are_not_finished(upstream):
    state = Pending()
    step = TaskRunner(Task()).check_upstream_finished
    assert ended(step, state=state, upstream_states=upstream) is state


def test_a_mapped_upstream_counts_by_its_children_over_an_edge_that_is_not_mapped():
    state, upstream = Pending(), Mapped(map_states=[Success(), Pending()])
    step = TaskRunner(Task()).check_upstream_finished
    assert ended(step, state=state, upstream_states={edge(): upstream}) is state


def test_a_mapped_upstream_counts_as_itself_over_a_mapped_edge():
    state, upstream = Pending(), Mapped(map_states=[Success(), Pending()])
    step = TaskRunner(Task()).check_upstream_finished
    assert step(state=state, upstream_states={edge(mapped=True): upstream}) is state


def test_a_child_of_which_nothing_is_known_is_not_finished():
    state, upstream = Pending(), Mapped(map_states=[Success(), None])
    step = TaskRunner(Task()).check_upstream_finished
    assert ended(step, state=state, upstream_states={edge(): upstream}) is state


# -- check_upstream_skipped -----------------------------------------------------------------------


def test_a_skipped_upstream_task_skips_the_task():
    step = TaskRunner(Task()).check_upstream_skipped
    made = ended(step, state=Pending(), upstream_states={1: Success(), 2: Skipped()})

    assert type(made) is Skipped
    assert "skip_on_upstream_skip" in made.message
    assert made._result == NoResult


def test_a_skipped_upstream_task_may_be_ignored():
    state = Pending()
    step = TaskRunner(Task(skip_on_upstream_skip=False)).check_upstream_skipped
    assert step(state=state, upstream_states={1: Skipped()}) is state


@pytest.mark.parametrize("upstream", [{}, {1: Success()}, {1: Failed(), 2: Success()}])
def test_nothing_was_skipped(upstream):
    state = Pending()
    step = TaskRunner(Task()).check_upstream_skipped
    assert step(state=state, upstream_states=upstream) is state


def test_a_skipped_child_skips_a_task_that_is_not_mapped():
    upstream = Mapped(map_states=[Success(), Skipped()])
    step = TaskRunner(Task()).check_upstream_skipped
    assert ended(step, state=Pending(), upstream_states={edge(): upstream}).is_skipped()


def test_a_skipped_child_leaves_a_mapped_task_alone():
    state, upstream = Pending(), Mapped(map_states=[Success(), Skipped()])
    step = TaskRunner(Task()).check_upstream_skipped
    assert step(state=state, upstream_states={edge(mapped=True): upstream}) is state


# -- load_results and get_task_inputs -------------------------------------------------------------


def test_loading_results_changes_nothing():
    state, upstream = Pending(), {edge("x"): Success(result=Result(location="there"))}
    assert TaskRunner(Task()).load_results(state=state, upstream_states=upstream) == (
        state,
        upstream,
    )


def test_inputs_are_the_results_of_keyed_edges():
    error = ValueError("boom")
    upstream = {
        edge("x"): Success(result=1),
        edge("error"): Failed(result=error),
        edge("many", mapped=True): Mapped(result=[1, 2]),
        edge(): Success(result=3),
    }
    inputs = TaskRunner(Task()).get_task_inputs(state=Pending(), upstream_states=upstream)

    assert all(isinstance(result, Result) for result in inputs.values())
    assert {key: result.value for key, result in inputs.items()} == {
        "x": 1,
        "error": error,
        "many": [1, 2],
    }


def test_inputs_that_are_missing_upstream_come_from_the_attempt_before():
    state = Retrying(cached_inputs={"x": Result(1), "y": Result(2)})
    upstream = {edge("x"): Success(), edge("y"): Success(result=20), edge(): Success()}
    inputs = TaskRunner(Task()).get_task_inputs(state=state, upstream_states=upstream)

    assert {key: result.value for key, result in inputs.items()} == {"x": 1, "y": 20}


# -- check_task_ready_to_map ----------------------------------------------------------------------


def map_ready(upstream, state=None, task=None):
    step = TaskRunner(task or Task(name="down")).check_task_ready_to_map
    return ended(step, state=Pending() if state is None else state, upstream_states=upstream)


@pytest.mark.parametrize(
    ("upstream", "width"),
    [
        ([], 0),
        ([(True, Success(result=[1, 2, 3]))], 3),
        ([(True, Success(result=[]))], 0),
        ([(True, Success(result="four"))], 4),
        ([(True, Success(result=[1, 2, 3])), (True, Success(result=[1, 2]))], 2),
        ([(True, Mapped(n_map_states=5))], 5),
        ([(True, Mapped(map_states=[Success(), Failed()]))], 2),
        ([(True, Mapped(n_map_states=5)), (True, Success(result=[1, 2]))], 2),
        ([(True, Success(result=[1, 2, 3])), (False, Success(result=[1]))], 3),
        ([(True, Success(result=[1, 2, 3])), (True, Failed(result=ValueError()))], 3),
    ],
)
def test_how_many_children_there_are_to_be(upstream, width):
    states = {edge(f"x{i}", mapped=mapped): state for i, (mapped, state) in enumerate(upstream)}
    made = map_ready(states)

    assert type(made) is Mapped
    assert made.message == "Ready to proceed with mapping."
    assert made.n_map_states == width


@pytest.mark.parametrize("state", [Scheduled(start_time=EARLIER), Retrying(start_time=EARLIER)])
def test_a_task_whose_time_has_come_is_mapped(state):
    assert map_ready({edge("x", mapped=True): Success(result=[1])}, state).is_mapped()


@pytest.mark.parametrize(
    "upstream",
    [
        {edge("x", mapped=True): Failed(result=ValueError())},
        {edge("x"): Success(result=[1])},
        {edge("x", mapped=True): Failed(), edge("y"): Success(result=[1])},
    ],
    ids=["failed", "not mapped", "both"],
)
def test_nothing_to_map_over(upstream):
    made = map_ready(upstream)

    assert type(made) is Failed
    assert made.message == "No upstream states can be mapped over."
    assert "'down'" in str(made.result)


@pytest.mark.parametrize(
    "value", [1, None, {1, 2}, iter([1])], ids=["a number", "nothing", "a set", "an iterator"]
)
def test_what_cannot_be_mapped_over(value):
    made = map_ready({edge("x", mapped=True): Success(result=value)})

    assert type(made) is Failed
    assert made.message == "At least one upstream state has an unmappable result."
    named = ("'up'", "'x'", "'down'", type(value).__name__)
    assert all(name in str(made.result) for name in named)


@pytest.mark.parametrize(("count", "is_mapped"), [(0, True), (3, True), (10**9, False)])
def test_what_has_elements_but_no_length_is_counted(count, is_mapped, monkeypatch):
    class Elements:
        def __getitem__(self, index):
            return range(count)[index]

    monkeypatch.setattr(task_checks, "COUNTED_LIMIT", 1000)
    made = map_ready({edge("x", mapped=True): Success(result=Elements())})

    assert made.is_mapped() is is_mapped
    assert made.n_map_states == count if is_mapped else "unmappable" in made.message


def test_a_state_that_is_mapped_already_stays():
    state = Mapped(map_states=[Success(), None])
    upstream = {edge("x", mapped=True): Success(result=[1, 2]), edge(): Success()}

    assert map_ready(upstream, state) is state
    assert len(state.map_states) == 2
    assert {key: result.value for key, result in state.cached_inputs.items()} == {"x": [1, 2]}


def test_a_mapped_state_without_its_children_gets_room_for_them():
    state = Mapped(n_map_states=3)

    assert map_ready({}, state) is state
    assert state.map_states == [None, None, None]


def test_the_parent_is_mapped_whatever_its_trigger_says():
    task = Task(trigger=triggers.all_failed)
    upstream = {Edge(Task(), task, key="x", mapped=True): Success(result=[1])}

    assert TaskRunner(task).run(upstream_states=upstream, is_mapped_parent=True).is_mapped()


# -- set_task_run_name ----------------------------------------------------------------------------


class Named(Task):
    def run(self, x):
        return context.get("task_run_name")


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("x is {x}", "x is 1"),
        ("{task_name} {p} {flow_name}", "Named 2 f"),
        (lambda x, p, **others: f"{p}-{x}-{others['task_run_count']}", "2-1-1"),
        (None, None),
    ],
)
def test_a_task_run_gets_its_name(template, name):
    task = Named(task_run_name=template)
    runner = TaskRunner(task)
    with context(parameters={"p": 2, "x": "a parameter"}, flow_name="f"):
        state = runner.run(upstream_states={Edge(Task(), task, key="x"): Success(result=1)})

    assert state.result == name
    assert runner.task_run_name == name
    assert "task_run_name" not in context


@pytest.mark.parametrize(
    "template",
    ["{unknown}", lambda **_: 1 / 0, lambda **_: 5],
    ids=["unknown field", "raises", "no text"],
)
def test_a_name_that_cannot_be_made_fails_the_task_at_once(template):
    changes = []
    task = Named(
        task_run_name=template,
        max_retries=1,
        retry_delay=timedelta(0),
        state_handlers=[lambda *args: changes.append(args)],
    )
    state = TaskRunner(task).run(upstream_states={Edge(Task(), task, key="x"): Success(result=1)})

    assert type(state) is Failed
    assert isinstance(state.result, Exception)
    assert "Named" in state.message
    assert changes == []


# -- check_target ---------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path):
    """Give the place where results are, with one in it."""
    place = LocalResult(dir=str(tmp_path))
    place.write(42, location="there.pkl")
    (tmp_path / "there.pkl").unlink(missing_ok=True)
    place.location = "there.pkl"
    place.write(42)
    return LocalResult(dir=str(tmp_path))


def checked_target(stored, state, target, inputs=None, **others):
    runner = TaskRunner(Task(result=stored, target=target, **others))
    return runner.check_target(state=state, inputs=inputs or {})


STARTS = [Pending(), Failed(), Skipped(), Finished(), Running()]


@pytest.mark.parametrize("state", STARTS, ids=repr)
def test_without_a_target_nothing_is_looked_for(stored, state):
    assert checked_target(stored, state, None) is state


@pytest.mark.parametrize("state", STARTS, ids=repr)
def test_nothing_at_the_target(stored, state):
    assert checked_target(stored, state, "elsewhere.pkl") is state


@pytest.mark.parametrize("state", [*STARTS, Cached(result=1)], ids=repr)
def test_something_at_the_target(stored, state):
    inputs = {"x": Result("there")}
    with context(parameters={"p": 1}):
        made = checked_target(stored, state, "{x}.pkl", inputs)

    assert type(made) is Cached
    assert made is not state
    assert made.result == 42
    assert made._result.location == "there.pkl"
    assert made.cached_result_expiration is None
    assert made.cached_parameters == {"p": 1}
    assert made.hashed_inputs == {"x": cache_validators.content_hash("there")}
    assert "there.pkl" in made.message


def test_handlers_are_told_once_of_what_is_at_the_target(stored):
    changes = []
    handler = lambda task, old, new: changes.append((type(old), type(new)))
    checked_target(stored, Pending(), "there.pkl", state_handlers=[handler])
    assert changes == [(Pending, Cached)]


def test_a_target_may_be_made_by_a_function_and_is_formatted_again(stored):
    target = lambda **known: "{name}." + known["kind"]
    with context(name="there", kind="pkl"):
        assert checked_target(stored, Pending(), target).result == 42


def test_a_target_without_a_place_for_results_fails_the_task():
    state = TaskRunner(Task(name="t", target="there.pkl")).run()

    assert type(state) is Failed
    assert "Unexpected error" in state.message
    assert "<TaskRunner: t>" in state.message


def test_a_target_that_cannot_be_read_fails_the_task(stored, tmp_path):
    (tmp_path / "there.pkl").write_bytes(b"no pickle")
    task = Task(name="t", result=stored, target="there.pkl", max_retries=0)
    state = TaskRunner(task).run()

    assert type(state) is Failed
    assert "<TaskRunner: t>" in state.message
    assert isinstance(state.result, Exception)


def test_a_cached_state_stays_when_nothing_is_at_the_target(stored):
    state = Cached(result=1)
    task = Task(result=stored, target="elsewhere.pkl")
    assert TaskRunner(task).run(state=state) is state


# -- check_task_is_cached -------------------------------------------------------------------------

ALWAYS = timedelta(days=1)


def yes(state, inputs, parameters):
    return True


def no(state, inputs, parameters):
    return False


def checked_cache(state, caches=None, **options):
    runner = TaskRunner(Task(name="t", **options))
    with context(caches=caches or {}):
        return runner.check_task_is_cached(state=state, inputs={"x": Result(1)})


@pytest.mark.parametrize("state", [Pending(), Scheduled(), Success(), Failed(), Mapped()])
def test_without_a_cache_nothing_is_looked_for(state):
    assert checked_cache(state, {"t": [Cached(result=2)]}) is state


def test_a_cached_state_that_is_valid_stays():
    state = Cached(result=1)
    other = Cached(result=2)
    options = {"cache_for": ALWAYS, "cache_validator": yes}
    assert checked_cache(state, {"t": [other]}, **options) is state


def test_a_cached_state_that_is_not_valid_is_pending():
    state = checked_cache(Cached(result=1), cache_for=ALWAYS, cache_validator=no)
    assert type(state) is Pending


def test_a_cached_state_is_refused_by_default():
    assert type(checked_cache(Cached(result=1))) is Pending


@pytest.mark.parametrize(("cache_key", "name"), [(None, "t"), ("key", "key")])
def test_the_first_valid_candidate_is_taken(cache_key, name):
    first, second, third = (Cached(result=i) for i in range(3))
    is_second = lambda state, inputs, parameters: state is not first
    options = {"cache_for": ALWAYS, "cache_validator": is_second, "cache_key": cache_key}
    caches = {name: [first, second, third], "other": [Cached(result=5)]}
    assert checked_cache(Pending(), caches, **options) is second


def test_a_validator_that_raises_fails_the_task():
    def broken(state, inputs, parameters):
        raise ValueError("boom")

    state = checked_cache(Cached(), cache_for=ALWAYS, cache_validator=broken)
    assert type(state) is Failed
    assert isinstance(state.result, ValueError)


def test_a_validator_is_called_with_raw_inputs_and_parameters_in_the_full_context():
    seen = {}

    def look(state, inputs, parameters):
        seen.update(
            context.flat(), config=context["config"], inputs=inputs, given_parameters=parameters
        )
        return True

    task = Task(name="t", tags=["a"], cache_for=ALWAYS, cache_validator=look)
    upstream = {Edge(Task(), task, key="x"): Success(result=1)}
    with context(parameters={"p": 2}):
        TaskRunner(task).run(state=Cached(), upstream_states=upstream)

    assert seen["inputs"] == {"x": 1}
    assert seen["given_parameters"] == {"p": 2}
    assert seen["map_index"] is None
    assert seen["task_full_name"] == seen["task_name"] == "t"
    assert seen["task_run_count"] == 1
    assert set(seen["task_tags"]) == {"a"}
    assert {"checkpointing", "config", "logger"} <= set(seen)


def test_a_cached_state_is_the_answer_of_a_run():
    state = Cached(result=1)
    assert TaskRunner(Task(cache_for=ALWAYS, cache_validator=yes)).run(state=state) is state


def test_a_failing_trigger_overrides_a_valid_cache():
    task = Task(cache_for=ALWAYS, cache_validator=yes, trigger=triggers.all_failed)
    upstream = {Edge(Task(), task): Success()}
    state = TaskRunner(task).run(state=Cached(result=1), upstream_states=upstream)
    assert type(state) is TriggerFailed


def test_a_refused_cache_runs_the_task():
    class Two(Task):
        def run(self):
            return 2

    state = TaskRunner(Two()).run(state=Cached(result=1))
    assert state.result == 2


# -- check_task_trigger ---------------------------------------------------------------------------


def checked_trigger(trigger, upstream=None):
    step = TaskRunner(Task(name="t", trigger=trigger)).check_task_trigger
    return step, {"state": Pending(), "upstream_states": upstream or {}}


def raising(error):
    def trigger(upstream_states):
        raise error

    return trigger


def test_a_trigger_that_says_yes():
    step, given = checked_trigger(lambda upstream_states: True)
    assert step(**given) is given["state"]


@pytest.mark.parametrize("answer", [False, None, 0, []])
def test_a_trigger_that_says_no(answer):
    step, given = checked_trigger(lambda upstream_states: answer)
    assert type(ended(step, **given)) is TriggerFailed


@pytest.mark.parametrize(
    ("signal", "kind"), [(TRIGGERFAIL, TriggerFailed), (PAUSE, Paused), (SKIP, Skipped)]
)
def test_a_trigger_that_raises_a_signal(signal, kind):
    step, given = checked_trigger(raising(signal("because")))
    made = ended(step, **given)

    assert type(made) is kind
    assert made.message == "because"


def test_a_trigger_that_raises_an_exception():
    error = ValueError("boom")
    step, given = checked_trigger(raising(error))
    made = ended(step, **given)

    assert type(made) is TriggerFailed
    assert made.result is error
    assert "<TaskRunner: t>" in made.message


def test_a_trigger_may_end_the_run_itself():
    state = Success(result=1)
    step, given = checked_trigger(raising(ENDRUN(state)))
    assert ended(step, **given) is state


@pytest.mark.parametrize(
    ("trigger", "kind"),
    [
        (raising(ValueError("boom")), ValueError),
        (raising(SUCCESS()), SUCCESS),
        (lambda upstream_states: False, TRIGGERFAIL),
    ],
)
def test_what_a_trigger_raises_is_raised_on_request(trigger, kind):
    step, given = checked_trigger(trigger)
    with raise_on_exception(), pytest.raises(kind):
        step(**given)


def test_a_trigger_is_not_tried_again():
    task = Task(trigger=triggers.all_failed, max_retries=3, retry_delay=timedelta(0))
    upstream = {Edge(Task(), task): Success()}
    assert type(TaskRunner(task).run(upstream_states=upstream)) is TriggerFailed


# -- set_task_to_running --------------------------------------------------------------------------


@pytest.mark.parametrize("state", [Pending(), Scheduled(), Paused(), Retrying(), Resume()])
def test_what_is_pending_is_running(state):
    made = TaskRunner(Task()).set_task_to_running(state=state, inputs={})
    assert type(made) is Running
    assert made is not state


@pytest.mark.parametrize(
    "state", [Cached(), Mapped(), Failed(), Running(), Success(), Skipped(), State()], ids=repr
)
def test_what_is_not_pending_is_the_answer(state):
    assert ended(TaskRunner(Task()).set_task_to_running, state=state, inputs={}) is state


# -- run_checks -----------------------------------------------------------------------------------


def test_the_checks_alone_give_the_state_and_the_inputs_for_the_body():
    def never(x):
        raise AssertionError

    task = Named(task_run_name="run {x}")
    runner = TaskRunner(task, state_handlers=[never])
    upstream = {Edge(Task(), task, key="x"): Success(result=1)}
    state, inputs = runner.run_checks(upstream_states=upstream)

    assert type(state) is Pending
    assert {key: result.value for key, result in inputs.items()} == {"x": 1}
    assert runner.task_run_name == "run 1"


@pytest.mark.parametrize(
    ("options", "given", "kind"),
    [
        ({}, {"state": Success()}, Success),
        ({}, {"upstream_states": {1: Pending()}}, Pending),
        ({}, {"upstream_states": {edge(): Skipped()}}, Skipped),
        ({"trigger": triggers.manual_only}, {}, Paused),
        (
            {"trigger": triggers.all_failed},
            {"upstream_states": {edge(): Success()}},
            TriggerFailed,
        ),
        ({"cache_for": ALWAYS, "cache_validator": yes}, {"state": Cached()}, Cached),
        ({}, {"is_mapped_parent": True}, Mapped),
        ({"task_run_name": "{unknown}"}, {}, Failed),
        (
            {"cache_for": ALWAYS, "cache_validator": raising(ValueError())},
            {"state": Cached()},
            Failed,
        ),
    ],
)
def test_the_checks_alone_give_the_answer_if_the_body_is_not_to_run(options, given, kind):
    state, inputs = TaskRunner(Task(**options)).run_checks(**given)

    assert type(state) is kind
    assert inputs is None


def test_a_parameter_goes_through_the_checks():
    with context(parameters={"p": 1}):
        assert TaskRunner(Parameter("p")).run()._result == PrefectResult(value=1)
