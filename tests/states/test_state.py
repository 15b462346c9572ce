from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime

import pytest

from penstock import states
from penstock.exceptions import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    MissingResult,
    PausedRun,
    UnfinishedRun,
)
from penstock.ids import new_id
from penstock.results import ResultFactory, UnpersistedResult
from penstock.states import (
    Cancelled,
    Completed,
    Crashed,
    Failed,
    Paused,
    Pending,
    Running,
    Scheduled,
    State,
    StateDetails,
    StateType,
    get_state_exception,
    is_state,
    is_state_iterable,
    raise_state_exception,
)
from penstock.utilities.annotations import quote

TYPES = [
    "SCHEDULED",
    "PENDING",
    "RUNNING",
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "CRASHED",
    "PAUSED",
    "CANCELLING",
]
FINAL = {"COMPLETED", "CANCELLED", "FAILED", "CRASHED"}


# -- 1.1 and 1.3: what a state has ----------------------------------------------------------------


def test_there_are_nine_types():
    assert [kind.value for kind in StateType] == TYPES
    assert StateType.RUNNING == "RUNNING"


def test_a_type_is_shown_as_it_is_written_in_code():
    assert repr({StateType.FAILED: 2}) == "{StateType.FAILED: 2}"


@pytest.mark.parametrize("kind", TYPES)
def test_a_state_is_called_after_its_type_unless_it_has_a_name(kind):
    assert State(type=kind).name == kind.capitalize()
    assert State(type=kind, name="Mine").name == "Mine"


def test_a_state_has_a_time_and_an_id_of_its_own():
    before = datetime.now(UTC)

    first, second = State(type="PENDING"), State(type="PENDING")

    assert before <= first.timestamp <= datetime.now(UTC)
    assert first.timestamp.tzinfo is UTC
    assert first.id != second.id


def test_an_unknown_type_is_refused():
    with pytest.raises(ValueError, match="SLEEPING"):
        State(type="SLEEPING")


def test_a_scheduled_state_is_due_now_unless_it_has_a_time():
    before = datetime.now(UTC)

    assert before <= State(type="SCHEDULED").state_details.scheduled_time <= datetime.now(UTC)
    assert State(type="PENDING").state_details.scheduled_time is None


def test_the_details_have_their_defaults():
    details = StateDetails()

    given = {name: getattr(details, name) for name in StateDetails.__struct_fields__}
    assert given == {
        "flow_run_id": None,
        "task_run_id": None,
        "child_flow_run_id": None,
        "scheduled_time": None,
        "cache_key": None,
        "cache_expiration": None,
        "refresh_cache": None,
        "retriable": None,
        "untrackable_result": False,
        "pause_timeout": None,
        "pause_reschedule": False,
        "pause_key": None,
        "run_input_keyset": None,
        "transition_id": None,
        "task_parameters_id": None,
        "graph": None,
    }


# -- 1.4: predicates and text ---------------------------------------------------------------------


@pytest.mark.parametrize("asked", [*TYPES])
@pytest.mark.parametrize("kind", TYPES)
def test_a_predicate_goes_by_the_type_alone(kind, asked):
    state = State(type=kind, name="Mine")

    assert getattr(state, f"is_{asked.lower()}")() is (kind == asked)


@pytest.mark.parametrize("kind", TYPES)
def test_four_types_are_final(kind):
    assert State(type=kind).is_final() is (kind in FINAL)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (Completed(), "Completed()"),
        (Completed(message="I am done"), "Completed('I am done')"),
        (Completed(name="Cached"), "Cached(type=COMPLETED)"),
        (Completed(name="Cached", message="hit"), "Cached('hit', type=COMPLETED)"),
        (states.AwaitingRetry(), "AwaitingRetry(type=SCHEDULED)"),
        (Failed(message="it's"), 'Failed("it\'s")'),
    ],
)
def test_text(state, text):
    assert str(state) == text


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (Completed(), "Completed(message=None, type=COMPLETED, result=None)"),
        (
            Completed(name="Cached", message="hit", data="x"),
            "Cached(message='hit', type=COMPLETED, result='x')",
        ),
        (
            Completed(data=UnpersistedResult(value=[1])),
            "Completed(message=None, type=COMPLETED, result=[1])",
        ),
    ],
)
def test_repr(state, text):
    assert repr(state) == text


def test_a_copy_is_changed_as_programs_of_prefect_2_do():
    state = Failed(message="m", state_details=StateDetails(cache_key="k"))

    copy = state.copy(update={"name": "TimedOut", "message": None})
    details = state.state_details.copy(update={"retriable": False})

    assert (copy.name, copy.type, copy.message) == ("TimedOut", StateType.FAILED, None)
    assert copy.id != state.id
    assert (details.cache_key, details.retriable) == ("k", False)
    with pytest.raises(TypeError, match="nmae"):
        state.copy(update={"nmae": "TimedOut"})


def test_a_copy_is_a_state_of_its_own():
    state = Completed(message="m", data=1, state_details=StateDetails(cache_key="k"))

    copy = state.copy(name="Cached")

    assert copy.id != state.id
    assert copy.timestamp >= state.timestamp
    assert (copy.name, copy.type, copy.message, copy.data) == (
        "Cached",
        StateType.COMPLETED,
        "m",
        1,
    )
    copy.state_details.cache_key = "other"
    assert state.state_details.cache_key == "k"


def test_the_hash_is_made_of_run_time_and_type():
    details = StateDetails(flow_run_id=new_id(), task_run_id=new_id())
    state = Completed(state_details=details)
    same = Completed(state_details=details.copy(), timestamp=state.timestamp, message="other")

    assert hash(same) == hash(state)
    assert hash(Failed(state_details=details, timestamp=state.timestamp)) != hash(state)
    assert hash(Completed(timestamp=state.timestamp)) != hash(state)
    assert len({state, state}) == 1


def test_a_state_belongs_to_a_run_when_it_names_one():
    assert not Completed().belongs_to_a_run()
    assert State(
        type="COMPLETED", state_details=StateDetails(flow_run_id=new_id())
    ).belongs_to_a_run()
    assert State(
        type="COMPLETED", state_details=StateDetails(task_run_id=new_id())
    ).belongs_to_a_run()


def test_a_state_can_be_pickled():
    state = Failed(message="m", data=ValueError("no"), state_details=StateDetails(cache_key="k"))

    back = pickle.loads(pickle.dumps(state))

    assert back == state
    assert (back.type, back.name, back.message) == (state.type, state.name, state.message)
    assert back.state_details == state.state_details
    assert str(back.data) == "no"


# -- 1.5: the result ------------------------------------------------------------------------------

BOOM = ValueError("boom")


def test_the_result_of_a_paused_run_carries_the_state():
    state = Paused(message="until Monday")

    with pytest.raises(PausedRun, match="until Monday") as caught:
        state.result()

    assert caught.value.state is state


@pytest.mark.parametrize("raise_on_failure", [True, False])
@pytest.mark.parametrize("kind", ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"])
def test_the_result_of_an_unfinished_run_names_its_type(kind, raise_on_failure):
    with pytest.raises(UnfinishedRun, match=kind):
        State(type=kind, data=1).result(raise_on_failure=raise_on_failure)


def test_an_unfinished_run_says_why_it_waits():  # PAINS 18
    state = Pending(name="NotReady", message="Upstream task run 'x' did not complete.")

    with pytest.raises(UnfinishedRun, match=r"NotReady .*PENDING.*Upstream task run 'x'"):
        state.result()


@pytest.mark.parametrize("make", [Failed, Crashed, Cancelled])
def test_the_result_of_a_failed_run_raises_its_exception(make):
    with pytest.raises(ValueError, match="boom") as caught:
        make(data=BOOM).result()

    assert caught.value is BOOM


@pytest.mark.parametrize("make", [Failed, Crashed, Cancelled])
def test_the_exception_of_a_failed_run_can_be_had_without_raising(make):
    assert make(data=BOOM).result(raise_on_failure=False) is BOOM


@pytest.mark.parametrize(
    ("make", "wrapper", "default"),
    [
        (Failed, FailedRun, "Run failed."),
        (Crashed, CrashedRun, "Run crashed."),
        (Cancelled, CancelledRun, "Run cancelled."),
    ],
)
def test_a_failed_run_without_data_gives_a_wrapper(make, wrapper, default):
    with pytest.raises(wrapper, match=r"^why$"):
        make(message="why").result()
    given = make(message="why").result(raise_on_failure=False)
    assert type(given) is wrapper
    assert str(given) == "why"
    assert str(make().result(raise_on_failure=False)) == default


@pytest.mark.parametrize("raise_on_failure", [True, False])
def test_a_completed_state_without_data_has_no_result(raise_on_failure):
    with pytest.raises(MissingResult, match="was not kept"):
        Completed().result(raise_on_failure=raise_on_failure)


@pytest.mark.parametrize("value", [None, 1, "text", [1, 2], {"type": "literal"}])
def test_a_result_object_gives_its_value(value):
    data = ResultFactory(None, None, None, True, 65_536, None, "task 'x'").inline(value)

    assert Completed(data=data).result() == value


def test_a_result_that_is_gone_says_so():
    with pytest.raises(MissingResult):
        Completed(data=UnpersistedResult()).result()


@pytest.mark.parametrize("value", [1, "text", [1, 2], False])
def test_anything_else_is_the_result_itself(value):
    assert Completed(data=value).result() == value


def test_what_a_failed_state_holds_is_given_as_it_is_when_it_is_not_to_raise():
    assert Failed(data="some text").result(raise_on_failure=False) == "some text"


def test_there_is_one_behaviour_in_async_code():  # spec 13: two result styles
    async def ask():
        state = Completed(data=1)
        return state.result(), await state.result(fetch=True)

    assert asyncio.run(ask()) == (1, 1)


def test_an_awaited_result_raises_where_it_is_awaited():
    async def ask():
        later = Failed(data=BOOM).result(fetch=True)
        with pytest.raises(ValueError, match="boom"):
            await later
        return await Failed(data=BOOM).result(raise_on_failure=False, fetch=True)

    assert asyncio.run(ask()) is BOOM


def test_fetch_means_nothing_in_sync_code():
    assert Completed(data=1).result(fetch=True) == 1
    assert Completed(data=1).result(fetch=False) == 1


# -- 1.6: the exception of a state ----------------------------------------------------------------

WRAPPERS = [(Failed, FailedRun), (Crashed, CrashedRun), (Cancelled, CancelledRun)]


@pytest.mark.parametrize(("make", "wrapper"), WRAPPERS)
class TestException:
    def test_none(self, make, wrapper):
        found = get_state_exception(make(message="why"))

        assert type(found) is wrapper
        assert str(found) == "why"

    @pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3)])
    def test_an_exception(self, make, wrapper, error):
        assert get_state_exception(make(data=error)) is error

    def test_a_text(self, make, wrapper):
        found = get_state_exception(make(data="text", message="message"))

        assert type(found) is wrapper
        assert str(found) == "text"

    def test_a_state(self, make, wrapper):
        assert get_state_exception(make(data=Failed(data=BOOM))) is BOOM

    def test_a_state_that_did_not_fail(self, make, wrapper):
        with pytest.raises(ValueError, match="Expected a failed"):
            get_state_exception(make(data=Completed(data=1)))

    @pytest.mark.parametrize("collect", [list, tuple, set])
    def test_states(self, make, wrapper, collect):
        inner = [Completed(data=1), Pending(), Crashed(data=BOOM)]

        assert get_state_exception(make(data=collect(inner))) is BOOM

    def test_the_first_of_several_that_failed_counts(self, make, wrapper):
        first, second = ValueError("first"), ValueError("second")
        inner = [Completed(data=1), Cancelled(data=first), Failed(data=second)]

        assert get_state_exception(make(data=inner)) is first

    def test_states_of_which_none_failed(self, make, wrapper):
        with pytest.raises(ValueError, match="None of the states"):
            get_state_exception(make(data=[Completed(data=1)]))

    @pytest.mark.parametrize("data", [1, [1], [], {"a": Failed()}, object()])
    def test_anything_else(self, make, wrapper, data):
        with pytest.raises(TypeError, match="cannot be resolved into an exception"):
            get_state_exception(make(data=data))

    def test_a_result_that_is_gone(self, make, wrapper):
        found = get_state_exception(make(data=UnpersistedResult(), message="why"))

        assert type(found) is wrapper
        assert str(found) == "why"

    def test_raising(self, make, wrapper):
        with pytest.raises(wrapper, match="why"):
            raise_state_exception(make(message="why"))


OTHERS = [Completed(data=1), Pending(), Running(), Scheduled(), Paused(), states.Cancelling()]


@pytest.mark.parametrize("state", OTHERS, ids=lambda state: state.name)
def test_a_state_that_did_not_fail_has_no_exception(state):
    with pytest.raises(ValueError, match=state.type.value):
        get_state_exception(state)
    assert raise_state_exception(state) is None


# -- is_state and is_state_iterable ---------------------------------------------------------------


def test_is_state():
    assert is_state(Completed())
    assert not is_state(State)
    assert not is_state(StateType.COMPLETED)


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        ([Completed(), Failed()], True),
        ((Completed(),), True),
        ({Completed()}, True),
        ([], False),
        (set(), False),
        ((), False),
        ([Completed(), 1], False),
        ({"a": Completed()}, False),
        (quote([Completed()]), False),
        ((state for state in [Completed()]), False),
        (Completed(), False),
        (1, False),
    ],
)
def test_is_state_iterable(value, is_one):
    assert is_state_iterable(value) is is_one
