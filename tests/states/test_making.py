from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from penstock import states
from penstock.states import (
    AwaitingRetry,
    Completed,
    Late,
    Paused,
    Pending,
    Scheduled,
    State,
    StateDetails,
    StateType,
    Suspended,
)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

NAMES = [  # spec 1.2
    ("Scheduled", "SCHEDULED"),
    ("Late", "SCHEDULED"),
    ("AwaitingRetry", "SCHEDULED"),
    ("Pending", "PENDING"),
    ("Running", "RUNNING"),
    ("Retrying", "RUNNING"),
    ("Paused", "PAUSED"),
    ("Suspended", "PAUSED"),
    ("Cancelling", "CANCELLING"),
    ("Cancelled", "CANCELLED"),
    ("Completed", "COMPLETED"),
    ("Failed", "FAILED"),
    ("Crashed", "CRASHED"),
]


@pytest.mark.parametrize(("name", "kind"), NAMES)
def test_each_name_in_use_has_a_constructor(name, kind):
    state = getattr(states, name)()

    assert isinstance(state, State)
    assert state.name == name
    assert state.type is StateType(kind)
    assert state.message is None
    assert state.data is None


@pytest.mark.parametrize(("name", "kind"), NAMES)
def test_a_constructor_takes_what_a_state_has(name, kind):
    class OwnState(State):
        pass

    details = StateDetails(cache_key="k")

    state = getattr(states, name)(
        cls=OwnState, name="Mine", message="why", data=[1], state_details=details
    )

    assert type(state) is OwnState
    assert (state.name, state.type.value, state.message, state.data) == ("Mine", kind, "why", [1])
    assert state.state_details.cache_key == "k"


def test_details_may_be_given_as_a_dictionary():
    assert Scheduled(state_details={"cache_key": "k"}).state_details.cache_key == "k"


@pytest.mark.parametrize("make", [Scheduled, AwaitingRetry, Late])
def test_a_scheduled_state_has_a_time(make):
    before = datetime.now(UTC)

    assert make(scheduled_time=NOON).state_details.scheduled_time == NOON
    assert before <= make().state_details.scheduled_time <= datetime.now(UTC)


@pytest.mark.parametrize("make", [Scheduled, AwaitingRetry, Late])
def test_two_scheduled_times_are_refused(make):
    with pytest.raises(ValueError, match="scheduled_time"):
        make(scheduled_time=NOON, state_details=StateDetails(scheduled_time=NOON))


def test_details_that_were_given_are_not_changed():
    details = StateDetails()

    Scheduled(scheduled_time=NOON, state_details=details)
    Paused(pause_expiration_time=NOON, state_details=details)

    assert details == StateDetails()


@pytest.mark.parametrize(("make", "reschedule"), [(Paused, False), (Suspended, True)])
class TestPaused:
    def test_without_a_time_it_never_expires(self, make, reschedule):
        details = make().state_details

        assert details.pause_timeout is None
        assert details.pause_reschedule is reschedule
        assert details.pause_key is None

    def test_seconds_count_from_now(self, make, reschedule):
        before = datetime.now(UTC)

        timeout = make(timeout_seconds=60).state_details.pause_timeout

        assert before <= timeout - timedelta(seconds=60) <= datetime.now(UTC)

    def test_a_time_is_taken_as_it_is(self, make, reschedule):
        state = make(pause_expiration_time=NOON, pause_key="approval")

        assert state.state_details.pause_timeout == NOON
        assert state.state_details.pause_key == "approval"

    def test_both_times_are_refused(self, make, reschedule):
        with pytest.raises(ValueError, match="not both"):
            make(timeout_seconds=60, pause_expiration_time=NOON)

    @pytest.mark.parametrize(
        "times",
        [{}, {"timeout_seconds": 60}, {"timeout_seconds": 0}, {"pause_expiration_time": NOON}],
    )
    def test_a_time_in_the_details_is_refused(self, make, reschedule, times):
        with pytest.raises(ValueError, match="state_details"):
            make(state_details=StateDetails(pause_timeout=NOON), **times)


def test_a_pause_that_is_to_be_rescheduled_says_so():
    assert Paused(reschedule=True).state_details.pause_reschedule


def test_what_is_no_field_of_a_state_is_refused():
    with pytest.raises(TypeError, match="mesage"):
        Completed(mesage="done")


def test_states_do_not_share_details():
    first, second = Pending(), Pending()

    first.state_details.cache_key = "k"

    assert second.state_details.cache_key is None
