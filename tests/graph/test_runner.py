"""What is made of what a step gives or raises, and what handlers may do (5.2 and 5.2a)."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from penstock.graph import triggers
from penstock.graph.ambient import context
from penstock.graph.debug import raise_on_exception
from penstock.graph.edge import Edge
from penstock.graph.runner import ENDRUN, Runner, call_state_handlers
from penstock.graph.signals import FAIL, LOOP, PAUSE, SKIP, SUCCESS, TaskTimeoutSignal
from penstock.graph.state import (
    Failed,
    Looped,
    Mapped,
    Paused,
    Pending,
    Queued,
    Retrying,
    Running,
    Skipped,
    State,
    Submitted,
    Success,
    TriggerFailed,
)
from penstock.graph.task import Task
from penstock.graph.task_runner import TaskRunner

SOON = timedelta(0)


class Steps(Runner):
    """A runner with one step, which gives or raises what it is told to."""

    @call_state_handlers
    def step(self, state, outcome):
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


class Changes(list):
    """A handler that notes the changes it is told of."""

    def __call__(self, target, old, new):
        self.append((type(old).__name__, type(new).__name__))


# -- the wrapper ----------------------------------------------------------------------------------


def test_a_step_gives_a_state():
    state, new = Pending(), Running()
    changes = Changes()
    assert Steps([changes]).step(state, new) is new
    assert changes == [("Pending", "Running")]


def test_a_step_that_gives_the_same_state_changes_nothing():
    state = Pending()
    changes = Changes()
    runner = Steps([changes])
    assert runner.step(state, state) is state
    assert changes == runner.transitions == []


def test_an_equal_state_is_a_change():
    changes = Changes()
    Steps([changes]).step(Pending(), Pending())
    assert changes == [("Pending", "Pending")]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_step_that_ends_the_run(replaced):
    new, other = Success(), Failed()
    runner = Steps([lambda *_: other if replaced else None])
    with pytest.raises(ENDRUN) as end:
        runner.step(Pending(), ENDRUN(new))
    assert end.value.state is (other if replaced else new)


def test_a_step_that_ends_the_run_with_the_same_state_tells_nobody():
    state = Pending()
    changes = Changes()
    with pytest.raises(ENDRUN):
        Steps([changes]).step(state, ENDRUN(state))
    assert changes == []


@pytest.mark.parametrize("signal", [FAIL, SKIP, PAUSE, SUCCESS, LOOP])
def test_a_step_that_raises_a_signal(signal):
    raised = signal("because")
    assert Steps().step(Pending(), raised) is raised.state


def test_a_step_that_raises_an_exception():
    error = ValueError("boom")
    state = Steps().step(Pending(), error)

    assert type(state) is Failed
    assert state.message.startswith("Unexpected error: ValueError('boom')")
    assert state.result is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), TaskTimeoutSignal("late"), SystemExit()])
def test_other_exceptions_are_raised(error):
    runner = Steps()
    with pytest.raises(type(error)):
        runner.step(Pending(), error)
    assert runner.transitions == []


@pytest.mark.parametrize("error", [FAIL("because"), ValueError("boom")])
def test_signals_and_exceptions_are_raised_on_request(error):
    with raise_on_exception(), pytest.raises(type(error)):
        Steps().step(Pending(), error)


def test_transitions_are_what_handlers_left():
    replacement = Skipped()
    runner = Steps([lambda runner, old, new: replacement if new.is_failed() else None])
    first = runner.step(Pending(), Running())
    runner.step(first, Failed())

    assert [state for state, _ in runner.transitions] == [first, replacement]
    times = [seconds for _, seconds in runner.transitions]
    assert times == sorted(times)


# -- making a runner ------------------------------------------------------------------------------


@pytest.mark.parametrize("handlers", [None, [], (), [print]])
def test_handlers_are_a_sequence(handlers):
    assert list(TaskRunner(Task(), state_handlers=handlers).state_handlers) == list(handlers or [])


@pytest.mark.parametrize("handlers", [print, 1, False, {print}])
def test_handlers_that_are_no_sequence(handlers):
    with pytest.raises(TypeError, match="sequence"):
        TaskRunner(Task(), state_handlers=handlers)


def test_a_runner_keeps_the_context_in_which_it_was_made():
    with context(x=1):
        runner = Runner()
    assert runner.context["x"] == 1
    assert "x" not in context


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (None, Pending),
        (Submitted(state=Queued(state=Retrying())), Retrying),
        (Queued(), Pending),
        (Success(), Success),
    ],
    ids=repr,
)
def test_what_a_run_begins_with(given, kind):
    begun = Runner().initialize_run(given, {"x": 1})
    assert type(begun.state) is kind
    assert begun.context == {"x": 1}


# -- handlers -------------------------------------------------------------------------------------


class Body(Task):
    def __init__(self, body=lambda: None, **options):
        self.body = body
        super().__init__(**options)

    def run(self):
        return self.body()


def fails():
    raise ValueError("boom")


def loops():
    if context.get("task_loop_count", 1) < 3:
        raise LOOP(result=1)


EDGE = Edge(Task(), Task())
RETRIES = {"max_retries": 1, "retry_delay": SOON}


@pytest.mark.parametrize(
    ("body", "options", "given", "changes"),
    [
        (lambda: 1, {}, {}, ["Running", "Success"]),
        (fails, {}, {}, ["Running", "Failed"]),
        (fails, RETRIES, {}, ["Running", "Failed", "Retrying"]),
        (
            lambda: 1,
            {"trigger": triggers.all_failed},
            {"upstream_states": {EDGE: Success()}},
            ["TriggerFailed"],
        ),
        (lambda: 1, {}, {"is_mapped_parent": True}, ["Mapped"]),
        (loops, {}, {}, ["Running", "Looped", "Running", "Looped", "Running", "Success"]),
        (lambda: 1, {}, {"state": Success()}, []),
        (lambda: 1, {}, {"upstream_states": {EDGE: Skipped()}}, ["Skipped"]),
    ],
)
@pytest.mark.parametrize("whose", ["task", "runner"])
def test_how_often_handlers_are_told(body, options, given, changes, whose):
    told = Changes()
    if whose == "task":
        runner = TaskRunner(Body(body, state_handlers=[told], **options))
    else:
        runner = TaskRunner(Body(body, **options), state_handlers=[told])
    runner.run(**given)

    assert [new for _, new in told] == changes


def test_handlers_are_called_in_order_with_what_each_is_for():
    told = []
    handler = lambda name: lambda target, old, new: told.append((name, target, type(new)))
    task = Task(state_handlers=[handler("task 1"), handler("task 2")])
    runner = TaskRunner(task, state_handlers=[handler("runner 1"), handler("runner 2")])
    runner.run()

    assert told[:4] == [
        ("task 1", task, Running),
        ("task 2", task, Running),
        ("runner 1", runner, Running),
        ("runner 2", runner, Running),
    ]


def test_what_a_handler_gives_takes_the_new_states_place_for_those_after_it():
    seen = Changes()
    replace = lambda task, old, new: Skipped() if new.is_successful() else None
    task = Task(state_handlers=[replace, seen])
    state = TaskRunner(task).run()

    assert type(state) is Skipped
    assert seen == [("Pending", "Running"), ("Running", "Skipped")]


def test_a_handler_that_gives_the_new_state():
    assert TaskRunner(Task(state_handlers=[lambda task, old, new: new])).run().is_successful()


@pytest.mark.parametrize("nothing", [None, False, 0, ""])
def test_a_handler_that_gives_nothing(nothing):
    assert TaskRunner(Task(state_handlers=[lambda *_: nothing])).run().is_successful()


def nonsense(task, old, new):
    return "nonsense"


def test_a_handler_that_gives_no_state_fails_the_task():
    state = TaskRunner(Task(name="t", state_handlers=[nonsense])).run()

    assert type(state) is Failed
    assert isinstance(state.result, AttributeError)
    assert all(word in state.message for word in ("nonsense", "<TaskRunner: t>"))


def test_a_handler_that_gives_no_state_is_an_attribute_error_on_request():
    with raise_on_exception(), pytest.raises(AttributeError, match="nonsense"):
        TaskRunner(Task(state_handlers=[nonsense])).run()


def handler_raising(error, on=Running):
    def handler(target, old, new):
        if type(new) is on:
            raise error

    return handler


def test_a_handler_that_pauses_ends_everything():
    told = Changes()
    handlers = [handler_raising(PAUSE("wait")), told]
    ran = []
    runner = TaskRunner(Body(lambda: ran.append(1), state_handlers=handlers))
    state = runner.run()

    assert type(state) is Paused
    assert state.message == "wait"
    assert ran == told == []
    assert runner.transitions[-1][0] is state


def test_a_handler_that_ends_the_run():
    end, ran = Success(result=5), []
    task = Body(lambda: ran.append(1), state_handlers=[handler_raising(ENDRUN(end))])
    assert TaskRunner(task).run() is end
    assert ran == []


@pytest.mark.parametrize("signal", [FAIL, SKIP])
def test_a_handler_that_raises_another_signal(signal):
    told, raised, ran = Changes(), signal("because"), []
    handlers = [handler_raising(raised), told]
    task = Body(lambda: ran.append(1), state_handlers=handlers)
    state = TaskRunner(task).run()

    assert state is raised.state
    assert ran == told == []


def test_the_pipeline_goes_on_with_the_state_of_a_handlers_signal():
    handlers = [handler_raising(FAIL("because"), on=Success)]
    task = Task(state_handlers=handlers, max_retries=1, retry_delay=SOON)
    assert type(TaskRunner(task).run()) is Retrying


@pytest.mark.parametrize("whose", ["task", "runner"])
def test_a_handler_that_fails_fails_the_task_for_good(whose, caplog):
    error = ValueError("boom")
    handlers = [handler_raising(error)]
    if whose == "task":
        runner = TaskRunner(Task(state_handlers=handlers, **RETRIES))
    else:
        runner = TaskRunner(Task(**RETRIES), state_handlers=handlers)
    state = runner.run()

    assert type(state) is Failed
    assert state.result is error
    [record] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "state handlers" in record.getMessage()
    assert repr(error) in record.getMessage()
    assert runner.transitions[-1][0] is state


@pytest.mark.parametrize("error", [ValueError("boom"), FAIL("because"), SKIP()])
def test_what_a_handler_raises_is_raised_on_request(error):
    runner = TaskRunner(Task(), state_handlers=[handler_raising(error)])
    with raise_on_exception():
        if isinstance(error, ValueError):
            with pytest.raises(ValueError, match="boom"):
                runner.run()
        else:
            with pytest.raises(type(error)):
                runner.handle_state_change(Pending(), Running())


def test_the_runners_handlers_may_be_overridden_in_a_subclass():
    class Strict(TaskRunner):
        def call_runner_target_handlers(self, old_state, new_state):
            new = super().call_runner_target_handlers(old_state, new_state)
            return Failed("no") if new.is_successful() else new

    assert TaskRunner(Task()).run().is_successful()
    assert Strict(Task()).run().message == "no"


# -- on_failure -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "options", "given", "kinds"),
    [
        (fails, {}, {}, [Failed]),
        (fails, RETRIES, {}, [Failed]),
        (lambda: 1, {}, {}, []),
        (
            lambda: 1,
            {"trigger": triggers.all_failed},
            {"upstream_states": {EDGE: Success()}},
            [TriggerFailed],
        ),
    ],
)
def test_on_failure_is_called_for_each_move_into_a_failed_state(body, options, given, kinds):
    seen = []
    task = Body(body, on_failure=lambda task, state: seen.append((task, type(state))), **options)
    TaskRunner(task).run(**given)
    assert seen == [(task, kind) for kind in kinds]


# -- tags -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "given", "kinds"),
    [
        (lambda: 1, {}, [Running, Success]),
        (fails, {}, [Running, Failed]),
        (loops, {}, [Running, Looped, Running, Looped, Running, Success]),
        (lambda: 1, {"is_mapped_parent": True}, [Mapped]),
    ],
)
def test_states_carry_the_tasks_tags(body, given, kinds):
    runner = TaskRunner(Body(body, tags=["a", "b"]))
    runner.run(**given)

    assert [type(state) for state, _ in runner.transitions] == kinds
    assert all(set(state.context["tags"]) == {"a", "b"} for state, _ in runner.transitions)


def test_a_state_is_a_state_whatever_a_handler_makes_of_it():
    assert isinstance(TaskRunner(Task(), state_handlers=[lambda *_: State()]).run(), State)


def test_without_handlers_there_is_a_list_to_put_some_into():
    changes = Changes()
    runner = TaskRunner(Task())
    assert runner.state_handlers == []
    runner.state_handlers.append(changes)
    assert runner.run().is_successful()
    assert changes == [("Pending", "Running"), ("Running", "Success")]
    assert TaskRunner(Task()).state_handlers == []
