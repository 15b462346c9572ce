"""Which state a flow ends in, by what its function returned or raised (spec 1.7, 3.7)."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from penstock import flow, get_client, task
from penstock.exceptions import CancelledRun, FailedRun, MissingResult, UnfinishedRun
from penstock.states import (
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    Paused,
    Pending,
    State,
    StateType,
)
from penstock.utilities.annotations import quote


@task
def succeeds(x=1):
    return x


@task
def fails():
    raise ValueError("boom")


@task
def fails_with(x):
    raise ValueError(x)


@task
def gives(state):
    return state


@flow
def child_succeeds():
    return 1


@flow
def child_fails():
    raise ValueError("boom")


def recorded(state):
    """Read the same run's state from the store."""
    with get_client(sync_client=True) as client:
        return client.read_flow_run(state.state_details.flow_run_id).state


def run(fn, **options):
    """Run `fn` as a flow, and give its state, having compared it with what is recorded."""
    state = flow(name="f", **options)(fn)(return_state=True)
    in_store = recorded(state)
    assert in_store.type is state.type
    assert in_store.name == state.name
    assert in_store.message == state.message
    assert in_store.id == state.id
    return state


# -- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [1, "text", [1, {"a": (2, None)}], {"type": "literal", "value": 3}, False, []]
)
def test_a_value(value):
    state = run(lambda: value)

    assert state.is_completed()
    assert state.message is None
    assert state.result() == value
    assert recorded(state).result() == value


def test_none_without_tasks():
    state = run(lambda: None)

    assert state.is_completed()
    assert state.result() is None
    assert recorded(state).result() is None


def test_a_generator():
    def numbers():
        yield 1
        yield succeeds(2)

    state = run(numbers)

    assert state.result() == [1, 2]
    assert recorded(state).result() == [1, 2]


def test_a_dictionary_of_states_is_a_value():
    state = run(lambda: {"a": fails(return_state=True), "b": Failed(message="by hand")})

    assert state.is_completed()
    assert state.result()["a"].is_failed()


def test_quoted_states_are_a_value():
    state = run(lambda: quote([Failed()]))

    assert state.is_completed()
    assert state.result().unquote()[0].is_failed()


@pytest.mark.parametrize("kind", [list, tuple])
def test_states_among_other_things_are_a_value(kind):
    state = run(lambda: kind([Failed(), 1]))

    assert state.is_completed()
    assert state.result()[1] == 1


# -- states made by hand --------------------------------------------------------------------------

BY_HAND = [
    (Completed(message="fine", data=3), "COMPLETED", "Completed"),
    (Completed(name="Skipped", data=3), "COMPLETED", "Skipped"),
    (Failed(message="not today"), "FAILED", "Failed"),
    (Cancelled(message="not today"), "CANCELLED", "Cancelled"),
    (Crashed(message="not today"), "CRASHED", "Crashed"),
    (Cancelling(message="stop"), "CANCELLING", "Cancelling"),
    (Paused(message="wait"), "PAUSED", "Paused"),
]


@pytest.mark.parametrize(
    ("state", "kind", "name"), BY_HAND, ids=[case[0].name for case in BY_HAND]
)
def test_a_state_made_by_hand_is_the_runs_state(state, kind, name):
    made = run(state.copy)

    assert (made.type.value, made.name, made.message) == (kind, name, state.message)
    assert isinstance(made.state_details.flow_run_id, UUID)


def test_the_value_of_a_state_made_by_hand():
    state = run(lambda: Completed(data=[1, 2]))

    assert state.result() == [1, 2]
    assert recorded(state).result() == [1, 2]


def test_a_failed_state_made_by_hand_raises():
    with pytest.raises(FailedRun, match="not today"):
        flow(lambda: Failed(message="not today"), name="f")()
    with pytest.raises(CancelledRun, match="not today"):
        flow(lambda: Cancelled(message="not today"), name="f")()
    with pytest.raises(KeyError, match="mine"):
        flow(lambda: Failed(data=KeyError("mine")), name="f")()


def test_futures_in_a_state_made_by_hand_become_states(records):
    @task
    def gives(value):
        return value

    @task
    def raises():
        raise KeyError("a")

    @flow
    def completes():
        return Completed(message="done", data=[gives.submit(3)])

    @flow
    def fails():
        return Failed(message="broken", data=raises.submit())

    (state,) = completes()
    assert state.result() == 3
    (again,) = records.flow_run("completes").state.result()
    assert again.result() == 3
    with pytest.raises(KeyError, match="a"):
        fails()


def test_a_completed_state_without_data_completes():
    state = run(Completed)

    assert state.is_completed()
    assert state.result() is None


def test_a_pending_state_made_by_hand_is_refused_by_the_rules():
    # Nothing may go back to PENDING from RUNNING.
    from penstock.exceptions import Abort

    with pytest.raises(Abort):
        flow(Pending, name="f")()


# -- states and futures of runs -------------------------------------------------------------------


def futures(*calls):
    return [call.submit() for call in calls]


RETURNED = [
    ("one state", lambda: succeeds(return_state=True), "COMPLETED", "All states completed."),
    ("one failed state", lambda: fails(return_state=True), "FAILED", "1/1 states failed."),
    ("a future", lambda: futures(succeeds)[0], "COMPLETED", "All states completed."),
    ("a failed future", lambda: futures(fails)[0], "FAILED", "1/1 states failed."),
    ("a list", lambda: futures(succeeds, fails), "FAILED", "1/2 states failed."),
    ("a tuple", lambda: tuple(futures(succeeds, succeeds)), "COMPLETED", "All states completed."),
    ("a set", lambda: set(futures(succeeds, fails)), "FAILED", "1/2 states failed."),
    (
        "states and futures",
        lambda: [fails(return_state=True), fails.submit()],
        "FAILED",
        "2/2 states failed.",
    ),
    (
        "subflows",
        lambda: [child_succeeds(return_state=True), child_fails(return_state=True)],
        "FAILED",
        "1/2 states failed.",
    ),
    (
        "by hand and of runs",
        lambda: [Completed(data=1), fails(return_state=True)],
        "FAILED",
        "1/2 states failed.",
    ),
    ("by hand", lambda: [Completed(), Cancelled()], "CANCELLED", "1/2 states cancelled."),
    (
        "cancelled goes before failed",
        lambda: [gives(quote(Cancelled()), return_state=True), fails(return_state=True)],
        "CANCELLED",
        "1/2 states cancelled.",
    ),
    (
        "crashed counts as failed",
        lambda: [gives(quote(Crashed()), return_state=True), fails(return_state=True)],
        "FAILED",
        "2/2 states failed.",
    ),
    (
        "not ready",
        lambda: [succeeds(1, wait_for=[fails.submit()], return_state=True)],
        "FAILED",
        "1/1 states are not final.",
    ),
]


@pytest.mark.parametrize(
    ("returned", "kind", "message"),
    [case[1:] for case in RETURNED],
    ids=[case[0] for case in RETURNED],
)
def test_states_and_futures_decide_the_state(returned, kind, message):
    state = run(returned)

    assert (state.type.value, state.message) == (kind, message)


def test_the_value_of_returned_futures():
    state = run(lambda: futures(succeeds, succeeds))

    states = state.result()
    assert [one.result() for one in states] == [1, 1]
    assert [one.result() for one in recorded(state).result()] == [1, 1]


def test_futures_in_other_collections_become_states():
    state = run(lambda: {"a": succeeds.submit(), "b": [fails.submit()]})

    assert state.is_completed()
    value = state.result()
    assert value["a"].result() == 1
    assert value["b"][0].is_failed()


def test_returned_failures_raise_the_first_exception():
    with pytest.raises(ValueError, match="boom"):
        flow(lambda: futures(succeeds, fails), name="f")()


def test_returned_success_hides_failures_of_others():
    def partly():
        fails(return_state=True)
        fails.submit()
        return succeeds(return_state=True)

    assert run(partly).is_completed()


def test_a_returned_future_is_waited_for():
    async def main():
        @task
        async def slow():
            await asyncio.sleep(0.01)
            return 5

        @flow
        async def parent():
            return await slow.submit()

        return await parent(return_state=True)

    state = asyncio.run(main())
    assert state.is_completed()
    assert state.result().result() == 5


# -- none, with tasks -----------------------------------------------------------------------------


def calls(*work):
    def fn():
        for call in work:
            call()

    return fn


NOTHING_RETURNED = [
    ("a task", calls(succeeds), "COMPLETED", "All states completed."),
    ("a submitted task", calls(succeeds.submit), "COMPLETED", "All states completed."),
    ("a submitted failure", calls(succeeds, fails.submit), "FAILED", "1/2 states failed."),
    (
        "a failure whose state was taken",
        calls(lambda: fails(return_state=True), succeeds),
        "FAILED",
        "1/2 states failed.",
    ),
    (
        "a failed subflow",
        calls(lambda: child_fails(return_state=True), succeeds),
        "FAILED",
        "1/2 states failed.",
    ),
    ("a mapped failure", calls(lambda: fails_with.map([1, 2])), "FAILED", "2/2 states failed."),
]


@pytest.mark.parametrize(
    ("fn", "kind", "message"),
    [case[1:] for case in NOTHING_RETURNED],
    ids=[case[0] for case in NOTHING_RETURNED],
)
def test_a_flow_that_returns_nothing_ends_as_its_tasks_do(fn, kind, message):
    state = run(fn)

    assert (state.type.value, state.message) == (kind, message)


def test_a_forgotten_failure_is_said_in_the_log(records):  # spec 13
    def forgets():
        fails.submit()

    run(forgets)

    assert any("returned nothing" in message and "1/1" in message for message in records.logs())


def test_a_task_called_in_a_task_does_not_decide():  # spec 2.4, [page]
    @task(retries=1)
    def outer():
        fails(return_state=True)
        fails.submit().wait()
        return 1

    def calls_outer():
        outer()

    assert run(calls_outer).is_completed()


def test_failures_of_a_flow_that_returns_nothing_raise():
    with pytest.raises(ValueError, match="boom"):
        flow(calls(fails.submit), name="f")()


# -- raised ---------------------------------------------------------------------------------------


def test_an_exception_fails_the_run(records):
    def broken():
        raise KeyError("no such city")

    state = run(broken)

    assert (state.type, state.name) == (StateType.FAILED, "Failed")
    assert state.message == "Flow run encountered an exception. KeyError: 'no such city'"
    assert isinstance(state.result(raise_on_failure=False), KeyError)
    assert isinstance(recorded(state).result(raise_on_failure=False), KeyError)
    assert any("Traceback" in message for message in records.logs())


def test_a_time_out_of_the_users_own_is_a_plain_failure():
    def broken():
        raise TimeoutError("the server did not answer")

    state = run(broken)

    assert (state.type, state.name) == (StateType.FAILED, "Failed")
    assert "TimeoutError: the server did not answer" in state.message


def test_an_exception_that_cannot_be_pickled_fails_the_run_all_the_same():
    class Odd(Exception):
        def __init__(self):
            super().__init__("odd")
            self.held = (number for number in ())

        def __reduce__(self):
            raise TypeError("not to be pickled")

    def broken():
        raise Odd

    state = run(broken)

    assert state.is_failed()
    with pytest.raises(Odd):
        state.result()
    with pytest.raises((FailedRun, MissingResult), match="odd"):
        recorded(state).result()


def test_a_failed_flow_lets_submitted_tasks_finish(records):
    ran = []

    @task
    def late():
        ran.append(1)

    def broken():
        for _ in range(3):
            late.submit()
        raise ValueError("boom")

    assert run(broken).is_failed()
    assert len(ran) == 3
    assert [run.state.name for run in records.task_runs("late")] == ["Completed"] * 3


def test_the_exception_of_a_task_raised_in_the_flow_fails_it():
    def calls_it():
        fails()

    state = run(calls_it)

    assert state.message == "Flow run encountered an exception. ValueError: boom"


def test_an_exception_group_comes_as_it_was_raised():
    def broken():
        raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])

    state = run(broken)
    with pytest.raises(ExceptionGroup) as caught:
        state.result()
    assert len(caught.value.exceptions) == 2


def test_the_result_of_a_run_that_waits_for_ever(records):
    def calls_it():
        return succeeds(1, wait_for=[fails.submit()])

    with pytest.raises(UnfinishedRun, match="NotReady"):
        flow(calls_it)()


# -- what of it is recorded -----------------------------------------------------------------------


def test_the_history_of_a_run(records, history):
    flow(lambda: 1, name="f")()
    run = records.flow_run()

    assert history(run) == ["Pending", "Running", "Completed"]
    times = [state.timestamp for state in run.history]
    assert times == sorted(times)
    assert run.start_time == run.history[1].timestamp
    assert run.end_time == run.history[2].timestamp
    assert run.expected_start_time == run.history[0].timestamp
    assert run.total_run_time == run.end_time - run.start_time
    assert run.run_count == 1
    assert run.flow_name == "f"
    assert run.parent_task_run_id is None
    assert isinstance(run.state, State)


def test_everything_is_recorded_when_the_call_returns(records):  # PAINS 29
    @task
    def add(x):
        return x + 1

    @flow
    def chain():
        mapped = add.map(range(50))
        submitted = [add.submit(x) for x in range(50)]
        for x in range(50):
            add(x)
        return [mapped, submitted]

    chain()

    runs = records.task_runs()
    assert len(runs) == 150
    assert {run.state.name for run in runs} == {"Completed"}
    assert records.flow_run().state.is_completed()


def test_what_is_recorded_is_all_there_for_another_process(run_script, records):  # PAINS 29
    done = run_script("""
        import os
        from penstock import flow, task

        @task
        def add(x):
            return x + 1

        @flow
        def chain():
            for x in range(20):
                add(x)
            add.map(range(20))
            return 7

        chain()
        os._exit(0)
    """)

    assert done.returncode == 0, done.stderr
    assert len(records.task_runs()) == 40
    assert records.flow_run().state.result() == 7
