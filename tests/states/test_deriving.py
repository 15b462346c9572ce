from __future__ import annotations

import asyncio
from signal import SIGTERM

import pytest

from penstock.exceptions import CrashedRun, TerminationSignal
from penstock.ids import new_id
from penstock.results import BaseResult, ResultFactory
from penstock.states import (
    Cancelled,
    Completed,
    Crashed,
    Failed,
    Paused,
    Pending,
    Running,
    Scheduled,
    StateDetails,
    StateGroup,
    StateType,
    exception_to_crashed_state,
    exception_to_failed_state,
    format_exception,
    return_value_to_state,
)
from penstock.utilities.annotations import quote


@pytest.fixture
def factory():
    return ResultFactory(None, None, None, True, 65_536, None, "flow 'x'")


def of_a_run(state):
    state.state_details = StateDetails(flow_run_id=new_id(), task_run_id=new_id())
    return state


# -- 1.7: from a returned value -------------------------------------------------------------------


@pytest.mark.parametrize("make", [Completed, Failed, Crashed, Cancelled, Paused, Pending])
def test_a_state_made_by_hand_is_the_state(factory, make):
    state = make(message="by hand", data="value")

    made = return_value_to_state(state, factory)

    assert made is state
    assert isinstance(made.data, BaseResult)
    assert made.data.get() == "value"


def test_the_data_of_a_state_made_by_hand_may_be_a_result_already(factory):
    result = factory.inline([1])

    assert return_value_to_state(Completed(data=result), factory).data is result


def test_a_state_of_a_run_is_summed_up(factory):
    state = of_a_run(Failed(message="task failed"))

    made = return_value_to_state(state, factory)

    assert made is not state
    assert made.type is StateType.FAILED
    assert made.message == "1/1 states failed."
    assert made.data.get() == state


@pytest.mark.parametrize("collect", [list, tuple, set])
def test_states_are_summed_up(factory, collect):
    value = collect([of_a_run(Completed(data=1)), Completed(data=2)])

    made = return_value_to_state(value, factory)

    assert made.type is StateType.COMPLETED
    assert made.message == "All states completed."
    assert made.data.get() == value


AGGREGATES = [  # in the order in which they are asked
    ([Completed(), Completed()], "COMPLETED", "All states completed."),
    ([Cancelled(), Failed(), Paused(), Pending()], "CANCELLED", "1/4 states cancelled."),
    ([Paused(), Failed(), Pending(), Completed()], "PAUSED", "1/4 states paused."),
    ([Failed(), Crashed(), Pending(), Completed()], "FAILED", "2/4 states failed."),
    ([Pending(), Running(), Completed()], "FAILED", "2/3 states are not final."),
    ([Scheduled()], "FAILED", "1/1 states are not final."),
]


@pytest.mark.parametrize(("states", "kind", "message"), AGGREGATES)
def test_what_several_states_come_to(factory, states, kind, message):
    made = return_value_to_state(states, factory)

    assert (made.type.value, made.message) == (kind, message)
    assert made.name == kind.capitalize()


def test_a_generator_becomes_a_list(factory):
    made = return_value_to_state((number for number in range(3)), factory)

    assert made.is_completed()
    assert made.result() == [0, 1, 2]


@pytest.mark.parametrize(
    "value",
    [None, 1, "x", {"a": Failed()}, [Failed(), 1], [], BaseException, {"type": "literal"}],
    ids=repr,
)
def test_anything_else_completes(factory, value):
    made = return_value_to_state(value, factory)

    assert made.is_completed()
    assert made.message is None
    assert made.result() == value


def test_quote_hides_states(factory):
    failed = Failed()

    made = return_value_to_state(quote([failed]), factory)

    assert made.is_completed()
    assert made.result() == quote([failed])


def test_without_a_factory_the_value_stays_as_it_is():
    value = object()

    assert return_value_to_state(value).data is value


def test_a_group_counts():
    group = StateGroup(
        [Completed(), Completed(), Failed(), Crashed(), Cancelled(), Paused(), Pending()]
    )

    assert group.type_counts == {
        StateType.COMPLETED: 2,
        StateType.FAILED: 1,
        StateType.CRASHED: 1,
        StateType.CANCELLED: 1,
        StateType.PAUSED: 1,
        StateType.PENDING: 1,
    }
    assert group.total_count == 7
    assert group.cancelled_count == 1
    assert group.final_count == 5
    assert group.not_final_count == 2
    assert group.paused_count == 1
    assert group.fail_count == 2
    assert not group.all_completed()
    assert group.any_cancelled()
    assert group.any_failed()
    assert group.any_paused()
    assert not group.all_final()
    assert group.counts_message() == (
        "total=7, not_final=2, 'COMPLETED'=2, 'FAILED'=1, 'CRASHED'=1, 'CANCELLED'=1, 'PAUSED'=1,"
        " 'PENDING'=1"
    )


def test_a_group_of_completed_states():
    group = StateGroup([Completed(), Completed()])

    assert group.all_completed()
    assert group.all_final()
    assert not group.any_cancelled()
    assert not group.any_failed()
    assert not group.any_paused()
    assert group.counts_message() == "total=2, 'COMPLETED'=2"


# -- 1.8: from an exception -----------------------------------------------------------------------


def test_the_failed_state_of_an_exception(factory):
    error = ValueError("no such city")

    state = exception_to_failed_state(error, factory, "Flow run failed.", name="Mine")

    assert (state.type, state.name) == (StateType.FAILED, "Mine")
    assert state.message == "Flow run failed. ValueError: no such city"
    assert isinstance(state.data, BaseResult)
    assert state.data.get() is error


def test_the_failed_state_of_the_exception_being_handled():
    error = ValueError("no such city")
    try:
        raise error
    except ValueError:
        state = exception_to_failed_state()

    assert state.data is error
    assert state.name == "Failed"
    assert state.message == "ValueError: no such city"


def test_no_exception_makes_no_failed_state():
    with pytest.raises(ValueError, match="no active exception"):
        exception_to_failed_state()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("x"), "ValueError: x"),
        (ValueError(), "ValueError"),
        (KeyError("x"), "KeyError: 'x'"),
    ],
)
def test_how_an_exception_is_written(error, text):
    assert format_exception(error) == text


class ConnectError(Exception):
    """As httpx's, which is not there for everybody: it may know the request it came of."""

    __module__ = "httpx"

    def __init__(self, message, url=None):
        super().__init__(message)
        self.url = url

    @property
    def request(self):
        if self.url is None:
            raise RuntimeError("no request")
        return self


CRASHES = [
    (asyncio.CancelledError(), "cancelled by the runtime environment"),
    (KeyboardInterrupt(), "Execution was aborted by an interrupt signal"),
    (TerminationSignal(SIGTERM), "Execution was aborted by a termination signal"),
    (SystemExit(1), "Execution was aborted by Python system exit call"),
    (
        ConnectError("refused", "http://there/api"),
        "Request to http://there/api failed: ConnectError: refused",
    ),
    (ConnectError("slow"), "Request failed: ConnectError: slow"),
    (ValueError("no"), "interrupted by an unexpected exception: ValueError: no"),
]


@pytest.mark.parametrize(("error", "text"), CRASHES)
def test_the_crashed_state_of_an_exception(factory, error, text):
    state = exception_to_crashed_state(error, factory)

    assert (state.type, state.name) == (StateType.CRASHED, "Crashed")
    assert text in state.message
    assert state.data is error


def test_the_exception_of_a_crash_is_not_kept_for_other_processes():
    state = exception_to_crashed_state(KeyboardInterrupt())
    state.data = None  # as it is read from the store

    with pytest.raises(CrashedRun, match="aborted by an interrupt signal"):
        state.result()
