"""A task's body and what follows it, each step alone: their tables (sections 5.16 and 5.17)."""

# ruff: noqa: T201 - printing is one of the things tested
from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from penstock import clock
from penstock.graph import cache_validators
from penstock.graph.ambient import context
from penstock.graph.debug import raise_on_exception
from penstock.graph.edge import Edge
from penstock.graph.results import LocalResult, Result
from penstock.graph.runner import ENDRUN
from penstock.graph.signals import FAIL, LOOP, PAUSE, RETRY, SKIP, SUCCESS, TaskTimeoutSignal
from penstock.graph.state import (
    Cached,
    Failed,
    Looped,
    Paused,
    Pending,
    Retrying,
    Running,
    Skipped,
    Success,
    TimedOut,
    TriggerFailed,
)
from penstock.graph.task import Task, task
from penstock.graph.task_runner import TaskRunner

SOON = timedelta(0)
DAY = timedelta(days=1)


class Body(Task):
    """A task whose body is given."""

    def __init__(self, body, **options):
        self.body = body
        super().__init__(**options)

    def run(self):
        return self.body()


def raising(error):
    def body():
        raise error

    return body


def body_state(body, **options):
    runner = TaskRunner(Body(body, **options))
    return runner.get_task_run_state(state=Running(), inputs={})


class Written(Result):
    """A result that keeps what it writes."""

    def __init__(self, **options):
        super().__init__(**options)
        self.written = []
        self.named = []

    def write(self, value_, **kwargs):
        self.written.append(value_)
        self.named.append(kwargs)
        made = self.from_value(value_)
        made.location = "there"
        return made


# -- get_task_run_state ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", [Pending(), Success(), Cached(), Failed(), Skipped()])
def test_only_what_is_running_is_run(state):
    with pytest.raises(ENDRUN) as end:
        TaskRunner(Task()).get_task_run_state(state=state, inputs={})
    assert end.value.state is state


def test_a_body_that_gives_a_value():
    state = body_state(lambda: 1)

    assert type(state) is Success
    assert state.result == 1
    assert state._result.location is None


def test_a_body_is_called_with_raw_inputs():
    @task
    def add(x, y):
        return x + y

    state = TaskRunner(add).get_task_run_state(
        state=Running(), inputs={"x": Result(1), "y": Result(2)}
    )
    assert state.result == 3


def test_a_generator_is_run_to_its_end():
    @task
    def count():
        yield from range(3)

    assert TaskRunner(count).run().result == [0, 1, 2]


@pytest.mark.parametrize("timeout", [None, 20])
def test_a_coroutine_is_run_to_its_end(timeout, caplog):
    caplog.set_level(logging.INFO, logger="penstock")

    @task(name="t", timeout=timeout, log_stdout=True)
    async def wait(x):
        await asyncio.sleep(0)
        print("hello")
        return x, context["task_name"]

    upstream = {Edge(Task(), wait, key="x"): Success(result=1)}
    assert TaskRunner(wait).run(upstream_states=upstream).result == (1, "t")
    assert "hello" in caplog.messages


def test_a_coroutine_that_raises():
    @task
    async def fails():
        raise ValueError("boom")

    assert isinstance(TaskRunner(fails).run().result, ValueError)


def test_a_coroutine_whose_time_is_over():
    @task
    async def waits():
        await asyncio.sleep(20)

    waits.timeout = 0.02
    assert type(TaskRunner(waits).run()) is TimedOut


def test_a_body_that_raises_success():
    state = body_state(raising(SUCCESS("well", result=2)))

    assert type(state) is Success
    assert (state.message, state.result) == ("well", 2)


def test_success_without_a_result_has_the_signal():
    signal = SUCCESS()
    result = Written()
    with context(checkpointing=True):
        state = body_state(raising(signal), result=result)

    assert state.result is signal
    assert result.written == []


@pytest.mark.parametrize(("message", "shown"), [(None, "looping"), ("more", "more")])
def test_a_body_that_raises_loop(message, shown):
    with context(task_loop_count=7):
        state = body_state(lambda: (_ for _ in ()).throw(LOOP(message, result=3)).__next__())

    assert type(state) is Looped
    assert state.result == 3
    assert shown in state.message
    assert message or "7" in state.message


def test_loop_without_a_result_has_the_signals_name():
    assert "LOOP" in body_state(raising(LOOP())).result


def test_a_body_that_raises_an_exception(caplog):
    error = ValueError("boom")
    state = body_state(raising(error))

    assert type(state) is Failed
    assert state.message == "Error during execution of task: ValueError('boom')"
    assert state.result is error
    [record] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "Exception encountered during task execution" in record.getMessage()
    assert record.exc_info[1] is error


@pytest.mark.parametrize(
    ("signal", "kind"), [(FAIL, Failed), (SKIP, Skipped), (RETRY, Retrying), (PAUSE, Paused)]
)
def test_a_body_that_raises_another_signal(signal, kind):
    raised = signal("because")
    state = body_state(raising(raised))

    assert type(state) is kind
    assert state.result is raised
    assert state.message == "because"


def test_a_body_that_ends_the_run():
    state = Success(result=5)
    with pytest.raises(ENDRUN) as end:
        body_state(raising(ENDRUN(state)))
    assert end.value.state is state


@pytest.mark.parametrize("inputs", [{"x": Result(1), "z": Result(2)}, {}])
def test_unexpected_or_missing_arguments_fail_the_task(inputs):
    @task
    def one(x):
        return x

    state = TaskRunner(one).get_task_run_state(state=Running(), inputs=inputs)
    assert type(state) is Failed
    assert isinstance(state.result, TypeError)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
def test_what_is_no_failure_of_the_task_is_raised(error):
    with pytest.raises(type(error)):
        TaskRunner(Body(raising(error))).run()


# -- write or wrap --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("checkpointing", "checkpoint", "value", "is_written"),
    [
        (True, None, 1, True),
        (True, True, 1, True),
        (True, False, 1, False),
        (True, None, None, False),
        (True, None, [], True),
        (False, True, 1, False),
        (None, True, 1, False),
        ("yes", True, 1, False),
    ],
)
def test_when_a_value_is_written(checkpointing, checkpoint, value, is_written):
    result = Written()
    with context(checkpointing=checkpointing):
        state = body_state(lambda: value, checkpoint=checkpoint, result=result)

    assert result.written == ([value] if is_written else [])
    assert state.result == value
    assert state._result.location == ("there" if is_written else None)


@pytest.mark.parametrize("signal", [SUCCESS, LOOP])
def test_the_value_of_a_signal_is_written(signal):
    result = Written()
    with context(checkpointing=True):
        body_state(raising(signal(result=4)), result=result)
    assert result.written == [4]


@pytest.mark.parametrize("error", [ValueError("boom"), FAIL(result=1), SKIP(result=1)])
def test_failures_and_skips_are_not_written(error):
    result = Written()
    with context(checkpointing=True):
        body_state(raising(error), result=result)
    assert result.written == []


def test_a_result_that_cannot_write_holds_the_value():
    with context(checkpointing=True):
        state = body_state(lambda: 1)
    assert state._result == Result(1)


def test_what_a_location_may_mention():
    result = Written()
    body = Body(lambda: 1, result=result)
    runner = TaskRunner(body)
    inputs = {"config": Result("mine"), "value": Result("an input"), "both": Result("input")}
    with context(checkpointing=True, parameters={"p": 1, "both": "parameter"}, c=2):
        runner._kept("value", inputs)

    assert result.written == ["value"]
    [named] = result.named
    assert {name: named[name] for name in ("p", "c", "config", "value", "both")} == {
        "p": 1,
        "c": 2,
        "config": "mine",
        "value": "an input",
        "both": "input",
    }


def test_a_write_that_fails_is_tried_again_with_the_task(tmp_path):
    class Broken(Result):
        def write(self, value_, **kwargs):
            raise OSError("disk full")

    body = Body(lambda: 1, result=Broken(), max_retries=1, retry_delay=SOON)
    with context(checkpointing=True):
        state = TaskRunner(body).run()

    assert type(state) is Retrying
    with context(checkpointing=True):
        state = TaskRunner(body).run(state=state)
    assert type(state) is Failed
    assert "Unexpected error" in state.message
    assert isinstance(state.result, OSError)


def test_a_value_is_written_where_the_task_says(tmp_path):
    body = Body(lambda: [1], result=LocalResult(dir=str(tmp_path), location="{task_name}.pkl"))
    with context(checkpointing=True):
        state = TaskRunner(body).run()

    assert (tmp_path / "Body.pkl").is_file()
    assert LocalResult(dir=str(tmp_path)).read(state._result.location).value == [1]


# -- timeouts -------------------------------------------------------------------------------------


def in_main_thread(work):
    return work()


def in_another_thread(work):
    given = []
    thread = threading.Thread(target=lambda: given.append(work()))
    thread.start()
    thread.join(20)
    return given[0]


def compute():
    until = time.monotonic() + 20
    while time.monotonic() < until:
        pass


class Hasty(Body):
    """A task whose seconds are short."""

    def __init__(self, body, **options):
        super().__init__(body, **options)
        self.timeout = 0.02


WHERE = pytest.mark.parametrize("where", [in_main_thread, in_another_thread])


@WHERE
def test_a_body_whose_time_is_over(where):
    state = where(lambda: TaskRunner(Hasty(compute, name="slow")).run())

    assert type(state) is TimedOut
    assert "timed out" in state.message
    assert "slow" in state.message
    assert isinstance(state.result, TaskTimeoutSignal)


@WHERE
def test_a_blocking_body_whose_time_is_over_is_not_waited_for(where):
    until = threading.Event()
    began = time.monotonic()
    state = where(lambda: TaskRunner(Hasty(lambda: until.wait(20))).run())
    until.set()

    assert type(state) is TimedOut
    assert time.monotonic() - began < 5


@WHERE
def test_a_body_that_is_fast_enough(where):
    assert where(lambda: TaskRunner(Body(lambda: 1, timeout=20)).run()).result == 1


@WHERE
@pytest.mark.parametrize("error", [ValueError("boom"), SKIP("because")])
def test_errors_come_through_a_timeout(where, error):
    state = where(lambda: TaskRunner(Body(raising(error), timeout=20)).run())
    assert state.result is error


@WHERE
def test_the_context_is_there_under_a_timeout(where):
    def body():
        return context["task_name"], context["mine"], list(inner())

    def inner():
        yield context["mine"]

    def run():
        with context(mine=1):
            return TaskRunner(Body(body, timeout=20)).run().result

    assert where(run) == ("Body", 1, [1])


def test_time_that_is_over_is_a_failure_that_is_tried_again():
    state = TaskRunner(Hasty(compute, max_retries=1, retry_delay=SOON)).run()
    assert type(state) is Retrying


def test_a_signal_that_the_body_raises_itself():
    state = TaskRunner(Body(raising(TaskTimeoutSignal("too slow")))).run()
    assert type(state) is TimedOut
    assert state.message == "too slow"


# -- log_stdout -----------------------------------------------------------------------------------


def test_prints_are_logged_by_the_tasks_logger(caplog, capsys):
    def body():
        print("read", 3, "rows")
        print()
        print("to the console", file=sys.__stdout__)
        print("rows of stderr", file=sys.stderr)
        return 1

    caplog.set_level(logging.INFO, logger="penstock")
    state = TaskRunner(Body(body, name="talks", log_stdout=True)).run()

    assert state.result == 1
    logged = [(r.name, r.levelname, r.getMessage()) for r in caplog.records if "rows" in r.message]
    assert logged == [("penstock.graph.talks", "INFO", "read 3 rows")]
    assert not [r for r in caplog.records if not r.getMessage().strip()]
    printed = capsys.readouterr()
    assert "rows" not in printed.out
    assert "rows of stderr\n" in printed.err


def test_prints_are_printed_otherwise(caplog, capsys):
    TaskRunner(Body(lambda: print("hello"))).run()

    assert capsys.readouterr().out == "hello\n"
    assert "hello" not in caplog.text


def test_prints_under_a_timeout_are_logged(caplog):
    caplog.set_level(logging.INFO, logger="penstock")
    body = Body(lambda: print("hello"), log_stdout=True, timeout=20)
    in_another_thread(lambda: TaskRunner(body).run())
    assert "hello" in caplog.messages


def test_prints_of_a_generator_are_logged(caplog):
    caplog.set_level(logging.INFO, logger="penstock")

    @task(log_stdout=True)
    def talks():
        print("hello")
        yield 1

    assert TaskRunner(talks).run().result == [1]
    assert "hello" in caplog.messages


# -- cache_result ---------------------------------------------------------------------------------


def cached(state, inputs=None, **options):
    return TaskRunner(Task(**options)).cache_result(state=state, inputs=inputs or {})


@pytest.mark.parametrize(
    "state",
    [Failed(), Skipped(), Looped(), Pending(), Running(), TriggerFailed(), Retrying()],
    ids=repr,
)
def test_what_is_not_cached(state):
    assert cached(state, cache_for=DAY) is state


def test_a_success_is_not_cached_unless_asked_for():
    state = Success(result=1)
    assert cached(state) is state


def test_a_success_is_cached_for_a_time():
    state = Success("well", result=Result(1, location="there"))
    before = clock.now()
    with context(parameters={"p": 1}):
        made = cached(state, {"x": Result(2)}, cache_for=DAY)

    assert type(made) is Cached
    assert made._result is state._result
    assert made.message == "well"
    assert made.hashed_inputs == {"x": cache_validators.content_hash(2)}
    assert before + DAY <= made.cached_result_expiration <= clock.now() + DAY
    assert made.cached_parameters == {"p": 1}


@pytest.mark.parametrize("state", [Failed(), TimedOut(), Retrying()], ids=repr)
def test_what_failed_keeps_its_inputs(state):
    inputs = {"x": Result(2)}
    assert cached(state, inputs) is state
    assert state.cached_inputs == inputs


def test_the_inputs_of_a_failed_task_are_there_for_a_later_attempt():
    @task(max_retries=1, retry_delay=SOON)
    def flaky(x):
        if context["task_run_count"] == 1:
            raise ValueError("boom")
        return x

    up = Edge(Task(), flaky, key="x")
    waiting = TaskRunner(flaky).run(upstream_states={up: Success(result=5)})
    assert type(waiting) is Retrying

    # Another process knows how the upstream task ended, and not what it gave.
    state = TaskRunner(flaky).run(state=waiting, upstream_states={up: Success()})
    assert state.result == 5


def test_a_cached_result_is_found_by_the_next_run():
    calls = []
    body = Body(lambda: calls.append(1), name="t", cache_for=DAY)
    first = TaskRunner(body).run()
    with context(caches={"t": [first]}):
        second = TaskRunner(body).run()

    assert type(first) is Cached
    assert second is first
    assert calls == [1]


# -- check_for_retry ------------------------------------------------------------------------------


def retried(state, run_count=1, loop_count=None, loop_result=None, **options):
    options.setdefault("retry_delay", timedelta(seconds=30))
    runner = TaskRunner(Task(**options))
    known = {"task_run_count": run_count}
    if loop_count is not None:
        known |= {"task_loop_count": loop_count, "task_loop_result": loop_result}
    with context(known):
        return runner.check_for_retry(state=state, inputs={})


@pytest.mark.parametrize(
    "state",
    [Success(), Retrying(), Skipped(), Looped(), Pending(), Running(), Paused(), Cached()],
    ids=repr,
)
def test_what_did_not_fail_is_not_tried_again(state):
    assert retried(state, max_retries=3) is state


@pytest.mark.parametrize(
    ("run_count", "max_retries", "again"),
    [(1, 1, True), (2, 1, False), (2, 2, True), (3, 2, False), (1, 5, True)],
)
def test_how_often_a_failure_is_tried_again(run_count, max_retries, again):
    state = Failed()
    made = retried(state, run_count, max_retries=max_retries)

    if not again:
        assert made is state
        return
    assert type(made) is Retrying
    assert made.run_count == run_count
    assert timedelta(seconds=29) < made.start_time - datetime.now(UTC) <= timedelta(seconds=30)


def test_without_retries_a_failure_stays():
    state = Failed()
    assert TaskRunner(Task()).check_for_retry(state=state, inputs={}) is state


@pytest.mark.parametrize(
    ("retry_on", "result", "again"),
    [
        (None, ValueError(), True),
        (ValueError, ValueError(), True),
        ({KeyError, OSError}, FileNotFoundError(), True),
        (ValueError, KeyError(), False),
        ({KeyError, OSError}, ValueError(), False),
        (ValueError, FAIL(), False),
        (ValueError, TaskTimeoutSignal("late"), False),
        (ValueError, None, True),
    ],
)
def test_what_is_tried_again(retry_on, result, again):
    state = Failed(result=result)
    made = retried(state, max_retries=1, retry_on=retry_on)
    assert made.is_retrying() if again else made is state


def test_in_a_loop_a_retry_carries_the_iteration_and_its_result():
    made = retried(Failed(), 1, loop_count=4, loop_result=[1], max_retries=1)

    assert made.context["_loop_count"] == 4
    assert made.result == [1]


def test_outside_of_a_loop_a_retry_carries_none():
    made = retried(Failed(), max_retries=1)

    assert "_loop_count" not in made.context
    assert made.result is None


def test_in_a_loop_the_result_so_far_is_written():
    result = Written()
    with context(checkpointing=True):
        made = retried(Failed(), loop_count=2, loop_result=7, max_retries=1, result=result)

    assert result.written == [7]
    assert made._result.location == "there"


@pytest.mark.parametrize(
    ("start_time", "run_count"), [(None, None), (datetime(2030, 1, 1, tzinfo=UTC), 9)]
)
def test_a_retry_that_the_body_asks_for_is_made_whatever_the_options_say(start_time, run_count):
    given = {"start_time": start_time, "run_count": run_count} if run_count else {}

    class Asks(Task):
        def run(self):
            raise RETRY(**given)

    with context(task_run_count=4):
        state = TaskRunner(Asks()).run(state=Retrying(run_count=3))

    assert type(state) is Retrying
    assert state.run_count == (run_count or 4)
    assert (state.start_time == start_time) if start_time else state.start_time <= clock.now()


# -- debug mode -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind"),
    [(raising(ValueError("boom")), ValueError), (raising(TaskTimeoutSignal()), TaskTimeoutSignal)],
)
def test_failures_of_the_body_are_raised_on_request(body, kind):
    with raise_on_exception(), pytest.raises(kind):
        TaskRunner(Body(body)).run()


def test_a_timeout_is_raised_on_request():
    with raise_on_exception(), pytest.raises(TaskTimeoutSignal, match="timed out"):
        TaskRunner(Hasty(compute)).run()


@pytest.mark.parametrize(
    ("signal", "kind"), [(FAIL, Failed), (SKIP, Skipped), (RETRY, Retrying), (PAUSE, Paused)]
)
def test_signals_of_the_body_give_their_state_all_the_same(signal, kind):
    changes = []
    body = Body(
        raising(signal()),
        max_retries=1,
        retry_delay=SOON,
        state_handlers=[lambda task, old, new: changes.append(type(new))],
    )
    with raise_on_exception():
        state = TaskRunner(body).run()

    assert type(state) is kind
    assert changes == [Running]


def test_other_signals_are_as_without():
    ends = [LOOP(result=1), SUCCESS(result=2)]
    end = Failed()

    def raises_in_turn():
        raise ends.pop(0)

    with raise_on_exception():
        assert TaskRunner(Body(raises_in_turn)).run().result == 2
        assert TaskRunner(Body(raising(ENDRUN(end)))).run() is end
