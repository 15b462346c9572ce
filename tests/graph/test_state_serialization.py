"""States as JSON can hold them (section 1.7)."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from penstock.graph import state as states
from penstock.graph.ambient import context
from penstock.graph.results import (
    ConstantResult,
    LocalResult,
    NoResult,
    PrefectResult,
    Result,
    SecretResult,
)
from penstock.graph.serializers import (
    CompressedSerializer,
    DateTimeSerializer,
    JSONSerializer,
    PickleSerializer,
)
from penstock.graph.state import (
    Cached,
    Failed,
    Looped,
    Mapped,
    Paused,
    Pending,
    Queued,
    Retrying,
    Running,
    Scheduled,
    State,
    Submitted,
    Success,
)
from penstock.graph.task import Task

NOON = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)
KINDS = [getattr(states, name) for name in states.__all__ if name != "State"]
EVERYWHERE = {"type", "message", "context", "cached_inputs", "__version__", "_result"}
MORE = {
    "Scheduled": {"start_time"},
    "Paused": {"start_time"},
    "Resume": {"start_time"},
    "Retrying": {"start_time", "run_count"},
    "Looped": {"loop_count"},
    "Cached": {"cached_parameters", "cached_result_expiration", "hashed_inputs"},
    "Mapped": {"n_map_states"},
    "Submitted": {"state"},
    "ClientFailed": {"state"},
    "Queued": {"state", "start_time"},
}


def of_all(kinds):
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.__name__)


def through_json(state):
    return State.deserialize(json.loads(json.dumps(state.serialize())))


@of_all(KINDS)
def test_the_keys_of_each_class(kind):
    keys = EVERYWHERE | MORE.get(kind.__name__, set())
    if kind is Mapped:
        keys.remove("_result")
    content = kind("so").serialize()
    assert set(content) == keys
    assert content["type"] == kind.__name__
    assert content["message"] == "so"


@of_all([kind for kind in KINDS if kind is not Mapped])
def test_a_state_without_a_value_comes_back_equal(kind):
    state = kind(
        "so",
        result=LocalResult(location="here"),
        context={"a": [1, {"b": None}]},
        cached_inputs={"x": Result(location="there"), "y": NoResult},
    )
    again = through_json(state)
    assert again == state
    assert type(again) is kind
    assert (again.message, again.context) == (state.message, state.context)
    assert again._result == state._result
    assert again.cached_inputs == state.cached_inputs


@of_all([kind for kind in KINDS if kind is not Mapped])
def test_no_result_comes_back_as_that(kind):
    assert through_json(kind())._result is NoResult


@pytest.mark.parametrize(
    "state",
    [
        Scheduled(start_time=NOON),
        Paused("without a time"),
        Paused(start_time=NOON),
        Retrying(start_time=NOON, run_count=7),
        Looped(loop_count=7),
        Cached(
            cached_parameters={"p": [1, 2]},
            cached_result_expiration=NOON,
            hashed_inputs={"x": "abc"},
        ),
        Queued(start_time=NOON),
    ],
    ids=repr,
)
def test_the_fields_of_a_class_come_back(state):
    again = through_json(state)
    assert again == state
    assert {**again.__dict__, "_result": 0, "context": 0} == {
        **state.__dict__,
        "_result": 0,
        "context": 0,
    }


@of_all([states.ClientFailed, Submitted, Queued])
def test_the_state_in_a_meta_state_comes_back(kind):
    inner = Retrying("inner", start_time=NOON, run_count=3)
    again = through_json(kind(state=inner))
    assert again.state == inner
    assert again.state.message == "inner"
    assert through_json(kind()).state is None


@pytest.mark.parametrize(
    ("state", "count"),
    [
        (Mapped(), 0),
        (Mapped(n_map_states=3), 3),
        (Mapped(map_states=[Success(result=1), None], result=[1, None]), 2),
    ],
    ids=["none", "a number", "children"],
)
def test_of_mapped_the_number_of_children_comes_back(state, count):
    content = state.serialize()
    assert content["n_map_states"] == count
    assert "map_states" not in content
    again = through_json(state)
    assert again.map_states == [None] * count
    assert again.n_map_states == count


@pytest.mark.parametrize("value", [1, "a secret", [1, {"x": 2}]], ids=["1", "text", "list"])
def test_a_value_is_never_written(value):
    state = Success(result=value, cached_inputs={"x": Result(value, location="here")})
    content = state.serialize()
    assert "value" not in content["_result"]
    assert "a secret" not in json.dumps(content)
    again = through_json(state)
    assert again.result is None
    assert again._result == Result()
    assert again.cached_inputs == {"x": Result(location="here")}


class TestResults:
    @pytest.mark.parametrize(
        "result",
        [
            Result(location="here"),
            Result(location="here", serializer=JSONSerializer()),
            LocalResult(dir="/somewhere/else", validate_dir=False, location="here"),
            LocalResult(location="{x}.json", serializer=JSONSerializer()),
            PrefectResult(location="[1, 2]"),
            PrefectResult(location="2013-01-01", serializer=DateTimeSerializer()),
            ConstantResult(location="here"),
            NoResult,
        ],
        ids=lambda result: f"{type(result).__name__}-{type(result.serializer).__name__}",
    )
    def test_these_come_back_equal(self, result):
        assert through_json(Success(result=result))._result == result

    def test_where_it_is_kept_is_written(self):
        result = LocalResult(dir="/somewhere/else", validate_dir=False, location="here")
        content = Success(result=result).serialize()["_result"]
        assert content["type"] == "LocalResult"
        assert content["location"] == "here"
        assert content["dir"] == "/somewhere/else"

    def test_nothing_is_made_on_the_disk_by_reading_a_state(self, tmp_path):
        folder = tmp_path / "results"
        through_json(Success(result=LocalResult(dir=str(folder), validate_dir=False)))
        assert not folder.exists()

    def test_of_an_unknown_class_the_location_comes_back(self):
        class Mine(Result):
            pass

        content = Success(result=Mine(location="here")).serialize()
        assert content["_result"]["type"].endswith("Mine")
        assert "." in content["_result"]["type"]
        assert State.deserialize(content)._result == Result(location="here")

    def test_a_secret_is_read_back_as_its_name(self):
        state = Success(result=SecretResult(Task(name="PASSWORD"), value="hidden"))
        assert "hidden" not in json.dumps(state.serialize())
        assert through_json(state)._result == Result(location="PASSWORD")

    def test_a_serializer_with_arguments_is_not_written(self):
        serializer = CompressedSerializer(PickleSerializer(), format="zlib")
        again = through_json(Success(result=Result(location="here", serializer=serializer)))
        assert again._result == Result(location="here")


def test_what_the_context_of_the_reader_has_is_not_added():
    content = Scheduled(start_time=NOON, context={"own": 1}).serialize()
    with context(task_tags={"a"}, task_run_count=5):
        again = State.deserialize(content)
    assert again.context == {"own": 1}


def test_no_start_time_comes_back_as_none():
    content = {**Scheduled().serialize(), "start_time": None}
    assert State.deserialize(content).start_time is None


def test_a_time_without_a_zone_is_in_utc():
    content = {**Scheduled().serialize(), "start_time": "2013-01-01T12:00:00"}
    assert State.deserialize(content).start_time == NOON


def test_a_message_that_is_an_exception_becomes_its_text():
    assert through_json(Failed(ValueError("so"))).message == "so"


@of_all(KINDS)
def test_the_class_alone_is_enough(kind):
    assert type(State.deserialize({"type": kind.__name__})) is kind


@pytest.mark.parametrize(
    "content",
    [{}, {"type": None}, {"type": "State"}, {"type": "Nonsense"}, {"type": ["Success"]}],
    ids=str,
)
def test_a_missing_or_unknown_type_is_refused(content):
    with pytest.raises(ValueError, match=r"no serialized state: its 'type' is .*Success"):
        State.deserialize(content)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"type": "Scheduled", "start_time": "soon"}, "Scheduled state is 'soon'"),
        ({"type": "Scheduled", "start_time": 5}, "Scheduled state is 5"),
        ({"type": "Success", "_result": 5}, "Success state is 5"),
        ({"type": "Success", "_result": {"location": "x"}}, "'type' and 'location'"),
        ({"type": "Success", "cached_inputs": {"x": 1}}, "Success state is 1"),
        ({"type": "Queued", "state": {"type": "x"}}, "'type' is 'x'"),
    ],
    ids=["no time", "a number", "no result", "no type", "no input", "inner"],
)
def test_what_is_wrong_is_said(content, problem):
    with pytest.raises(ValueError, match=problem):
        State.deserialize(content)


@pytest.mark.parametrize(
    ("state", "field"),
    [
        (Success(context={"x": {1, 2}}), "context of a Success"),
        (Cached(cached_parameters={"x": object()}), "cached_parameters of a Cached"),
    ],
    ids=["context", "parameters"],
)
def test_what_json_cannot_hold_is_refused(state, field):
    with pytest.raises(ValueError, match=f"The {field} state cannot be serialized"):
        state.serialize()


def test_the_bare_state_has_no_form():
    with pytest.raises(ValueError, match="class State cannot be serialized"):
        State().serialize()


def test_a_users_class_is_written_as_the_nearest_of_ours():
    class Waiting(Pending):
        pass

    class Running(states.Running):
        pass

    assert type(through_json(Waiting("so"))) is Pending
    assert type(through_json(Running("so"))) is states.Running


def test_signals_are_not_needed_to_read():
    assert State.deserialize(Running().serialize()) == Running()
