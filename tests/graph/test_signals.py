"""Signals, and the states they set (section 2)."""

from __future__ import annotations

import datetime as dt
import pickle

import cloudpickle
import pytest

from penstock import clock
from penstock.graph import signals
from penstock.graph import state as states
from penstock.graph.ambient import context
from penstock.graph.results import NoResult
from penstock.graph.signals import (
    ENDRUN,
    FAIL,
    LOOP,
    PAUSE,
    RETRY,
    SKIP,
    SUCCESS,
    TRIGGERFAIL,
    VALIDATIONFAIL,
    PrefectSignal,
    PrefectStateSignal,
    TaskTimeoutSignal,
    signal_from_state,
)

NOON = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)
TABLE = [
    (PrefectStateSignal, PrefectSignal, states.State),
    (FAIL, PrefectStateSignal, states.Failed),
    (TRIGGERFAIL, FAIL, states.TriggerFailed),
    (VALIDATIONFAIL, FAIL, states.ValidationFailed),
    (SUCCESS, PrefectStateSignal, states.Success),
    (RETRY, PrefectStateSignal, states.Retrying),
    (SKIP, PrefectStateSignal, states.Skipped),
    (PAUSE, PrefectStateSignal, states.Paused),
    (LOOP, PrefectStateSignal, states.Looped),
]
IDS = [row[0].__name__ for row in TABLE]


def of_each(*names):
    rows = [tuple(row[["signal", "base", "state"].index(name)] for name in names) for row in TABLE]
    values = [row[0] for row in rows] if len(names) == 1 else rows
    return pytest.mark.parametrize(names if len(names) > 1 else names[0], values, ids=IDS)


@of_each("signal", "base", "state")
def test_each_signal_sets_its_state(signal, base, state):
    assert signal.__bases__ == (base,)
    assert type(signal("so").state) is state
    assert signal("so").state.message == "so"
    assert signal().state.message is None


@pytest.mark.parametrize(
    "signal",
    [*[row[0] for row in TABLE], ENDRUN, TaskTimeoutSignal],
    ids=lambda kind: kind.__name__,
)
def test_user_code_does_not_swallow_a_signal(signal):
    assert issubclass(signal, PrefectSignal)
    assert not issubclass(signal, Exception)
    with pytest.raises(signal):
        try:
            raise signal("so")
        except Exception:  # noqa: BLE001 - what is tried
            pytest.fail("swallowed")


@of_each("signal")
def test_the_result_is_the_signal_itself(signal):
    made = signal("so")
    if signal is LOOP:
        assert made.state.result == repr(made)
        assert "LOOP" in made.state.result
    else:
        assert made.state.result is made


@of_each("signal")
def test_a_result_can_be_given(signal):
    assert signal("so", result=5).state.result == 5
    assert signal("so", 5).state.result == 5
    assert signal("so", result=None).state._result is NoResult
    assert signal("so", result={}).state.result == {}


@of_each("signal")
def test_further_arguments_go_to_the_state(signal):
    assert signal(context={"a": 1}).state.context == {"a": 1}
    with pytest.raises(TypeError, match="nonsense"):
        signal("so", nonsense=5)


@of_each("signal")
def test_the_message_is_that_of_the_exception(signal):
    assert str(signal("so")) == "so"
    assert signal("so").args == ("so",)


class TestRetry:
    def test_it_retries_now_by_default(self):
        with clock.use_clock(clock.VirtualClock(NOON.timestamp())):
            assert RETRY().state.start_time == NOON

    def test_a_time_can_be_given(self):
        assert RETRY(start_time=NOON).state.start_time == NOON

    @pytest.mark.parametrize(
        ("given", "ambient", "count"),
        [
            ({}, {}, 1),
            ({}, {"task_run_count": 4}, 4),
            ({"run_count": 2}, {"task_run_count": 4}, 2),
        ],
        ids=["default", "of the context", "given"],
    )
    def test_the_run_count(self, given, ambient, count):
        with context(ambient):
            assert RETRY(**given).state.run_count == count


def test_a_pause_has_no_time_unless_one_is_given():
    assert PAUSE().state.start_time is None
    assert PAUSE(start_time=NOON).state.start_time == NOON


def test_a_loop_counts_by_the_context():
    with context(task_loop_count=4):
        assert LOOP().state.loop_count == 4
    assert LOOP(loop_count=9).state.loop_count == 9


def test_tags_are_put_into_the_state():
    with context(task_tags={"a"}):
        assert FAIL().state.context["tags"] == ["a"]


def test_endrun_carries_a_state():
    state = states.Success("so")
    assert ENDRUN(state).state is state
    assert ENDRUN(state=state).state is state


def test_a_timeout_has_a_message_and_no_state():
    signal = TaskTimeoutSignal("too long")
    assert str(signal) == "too long"
    assert not hasattr(signal, "state")


class TestSignalFromState:
    @of_each("signal", "state")
    def test_the_signal_of_each_state(self, signal, state):
        assert signal_from_state(state()) is signal

    @pytest.mark.parametrize(
        "kind",
        [
            getattr(states, name)
            for name in states.__all__
            if getattr(states, name) not in [row[2] for row in TABLE]
        ],
        ids=lambda kind: kind.__name__,
    )
    def test_no_signal_sets_the_others(self, kind):
        with pytest.raises(
            ValueError, match=f"No signal sets the state {kind.__name__}; .*Failed"
        ):
            signal_from_state(kind())

    def test_a_signal_of_ones_own_is_found(self, monkeypatch):
        monkeypatch.setattr(signals, "_SIGNALS", dict(signals._SIGNALS))

        class Delayed(states.Pending):
            pass

        class DELAY(PrefectStateSignal):
            _state_cls = Delayed

        class WORSE(FAIL):
            pass

        assert signal_from_state(Delayed()) is DELAY
        assert signal_from_state(states.Failed()) is FAIL
        assert type(WORSE().state) is states.Failed


class Detailed(FAIL):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}", context={"first": first})
        self.second = second


@pytest.mark.parametrize("library", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
class TestPickling:
    @of_each("signal")
    def test_a_signal_that_is_its_own_result(self, signal, library):
        made = signal("so", context={"a": 1})
        again = library.loads(library.dumps(made))
        assert type(again) is signal
        assert str(again) == "so"
        assert (again.state.message, again.state.context) == ("so", {"a": 1})
        if signal is not LOOP:
            assert again.state.result is again

    @of_each("signal")
    def test_a_signal_with_a_result(self, signal, library):
        again = library.loads(library.dumps(signal("so", result=[1])))
        assert again.state.result == [1]
        assert again.state == signal("so", result=[1]).state or signal is RETRY

    def test_a_signal_of_ones_own(self, library):
        again = library.loads(library.dumps(Detailed(1, 2)))
        assert type(again) is Detailed
        assert (str(again), again.second, again.state.context) == ("1 and 2", 2, {"first": 1})
        assert again.state.result is again

    def test_the_run_count_and_the_time(self, library):
        again = library.loads(library.dumps(RETRY(run_count=3, start_time=NOON)))
        assert (again.state.run_count, again.state.start_time) == (3, NOON)

    def test_endrun_and_timeouts(self, library):
        assert library.loads(library.dumps(ENDRUN(states.Success(result=1)))).state.result == 1
        assert str(library.loads(library.dumps(TaskTimeoutSignal("so")))) == "so"
