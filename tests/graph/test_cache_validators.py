"""When a former result may stand for a new one: the table of section 8, row by row."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import cloudpickle
import pytest

from penstock import clock
from penstock.graph.cache_validators import (
    all_inputs,
    all_parameters,
    content_hash,
    duration_only,
    never_use,
    partial_inputs_only,
    partial_parameters_only,
)
from penstock.graph.results import Result
from penstock.graph.state import Cached

ALL = {
    "duration_only": duration_only,
    "all_inputs": all_inputs,
    "all_parameters": all_parameters,
    "partial_inputs_only()": partial_inputs_only(),
    "partial_inputs_only([])": partial_inputs_only([]),
    "partial_parameters_only()": partial_parameters_only(),
    "partial_parameters_only([])": partial_parameters_only([]),
}


def hashed(**values) -> Cached:
    return Cached(hashed_inputs={name: content_hash(value) for name, value in values.items()})


def kept(**values) -> Cached:
    return Cached(cached_inputs={name: Result(value) for name, value in values.items()})


def test_never_is_never():
    assert never_use(Cached(), None, None) is False
    assert never_use(Cached(cached_result_expiration=clock.now() + timedelta(1)), {}, {}) is False


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("expires_in", "valid"),
    [(None, True), (timedelta(days=1), True), (timedelta(days=-1), False)],
)
def test_what_is_expired_is_not_used(name, expires_in, valid):
    expiration = None if expires_in is None else clock.now() + expires_in
    state = Cached(cached_result_expiration=expiration, hashed_inputs={}, cached_parameters={})
    assert ALL[name](state, {}, {}) is valid


@pytest.mark.parametrize(("seconds", "valid"), [(-1, True), (0, False), (1, False)])
def test_it_expires_at_its_expiration(seconds, valid):
    expiration = datetime(2026, 1, 1, tzinfo=UTC)
    with clock.use_clock(clock.VirtualClock(expiration.timestamp() + seconds)):
        assert duration_only(Cached(cached_result_expiration=expiration), None, None) is valid


INPUTS = [
    # cached, present, all_inputs, partial on x, partial on x and y
    ({"x": 1, "y": 2}, {"x": 1, "y": 2}, True, True, True),
    ({"x": 1, "y": 2}, {"x": 1, "y": 3}, False, True, False),
    ({"x": 1, "y": 2}, {"x": 2, "y": 2}, False, False, False),
    ({"x": 1, "y": 2}, {"x": 1}, False, True, False),
    ({"x": 1}, {"x": 1, "y": 2}, False, True, False),
    ({"x": 1}, {"x": 1}, True, True, True),  # y is absent on both sides
    ({"y": 2}, {"y": 2}, True, True, True),
    ({"y": 2}, {"x": 1, "y": 2}, False, False, False),
    ({}, {}, True, True, True),
    ({}, None, True, True, True),
    ({"x": 1}, None, False, False, False),
    ({"x": {"a": [1, 2]}}, {"x": {"a": [1, 2]}}, True, True, True),
    ({"x": {"a": [1, 2]}}, {"x": {"a": [2, 1]}}, False, False, False),
]


@pytest.mark.parametrize("make", [hashed, kept])
@pytest.mark.parametrize(("cached", "present", "whole", "on_x", "on_both"), INPUTS)
def test_inputs(make, cached, present, whole, on_x, on_both):
    state = make(**cached)
    assert all_inputs(state, present, None) is whole
    assert partial_inputs_only(["x"])(state, present, None) is on_x
    assert partial_inputs_only(["x", "y"])(state, present, None) is on_both
    assert partial_inputs_only()(state, present, None) is True


def test_hashes_come_before_kept_inputs():
    state = kept(x=1)
    state.hashed_inputs = {"x": content_hash(2)}
    assert all_inputs(state, {"x": 2}, None)
    assert not all_inputs(state, {"x": 1}, None)
    assert partial_inputs_only(["x"])(state, {"x": 2}, None)
    assert not partial_inputs_only(["x"])(state, {"x": 1}, None)


PARAMETERS = [
    ({"x": 1, "y": 2}, {"x": 1, "y": 2}, True, True),
    ({"x": 1, "y": 2}, {"x": 1, "y": 3}, False, True),
    ({"x": 1, "y": 2}, {"x": 2, "y": 2}, False, False),
    ({"x": 1}, {"x": 1, "y": 2}, False, True),
    ({"x": 1, "y": 2}, {"x": 1}, False, True),
    ({"y": 1}, {"y": 2}, False, True),  # x is absent on both sides
    ({"x": 1}, {}, False, False),
    ({}, {"x": 1}, False, False),
    (None, {"x": 1}, False, False),
    ({"x": 1}, None, False, False),
    (None, None, True, True),
    (None, {}, True, True),
    ({}, None, True, True),
]


@pytest.mark.parametrize(("cached", "present", "whole", "on_x"), PARAMETERS)
def test_parameters(cached, present, whole, on_x):
    state = Cached(cached_parameters=cached)
    assert all_parameters(state, None, present) is whole
    assert partial_parameters_only(["x"])(state, None, present) is on_x
    assert partial_parameters_only()(state, None, present) is True


def test_inputs_do_not_matter_for_parameters_nor_the_other_way_round():
    state = hashed(x=1)
    state.cached_parameters = {"p": 1}
    assert all_inputs(state, {"x": 1}, {"p": 2})
    assert all_parameters(state, {"x": 2}, {"p": 1})
    assert duration_only(state, {"x": 2}, {"p": 2})


class NoTruth:
    """Compares as an array does: to something that is neither true nor false."""

    def __init__(self, content: int) -> None:
        self.content = content

    def __eq__(self, other):
        return Many()

    __hash__ = None


class Many:
    def __bool__(self):
        raise ValueError("the truth of many values is ambiguous")


@pytest.mark.parametrize(("content", "valid"), [(1, True), (2, False)])
def test_values_that_do_not_say_whether_they_are_equal_count_by_content(content, valid):
    assert all_inputs(kept(x=NoTruth(1)), {"x": NoTruth(content)}, None) is valid
    assert all_inputs(hashed(x=NoTruth(1)), {"x": NoTruth(content)}, None) is valid


def test_what_cannot_be_hashed_is_never_the_same():
    lock = threading.Lock()
    assert all_inputs(hashed(x=lock), {"x": lock}, None) is False
    assert partial_inputs_only(["x"])(hashed(x=lock), {"x": lock}, None) is False
    assert partial_inputs_only(["y"])(hashed(x=lock, y=1), {"x": lock, "y": 1}, None) is True
    assert content_hash(lock).startswith("unhashable")


def test_one_name_may_be_given_as_text():
    assert partial_inputs_only("xy")(hashed(xy=1, x=1), {"xy": 1, "x": 2}, None)
    assert not partial_inputs_only("xy")(hashed(xy=1), {"xy": 2}, None)


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
@pytest.mark.parametrize("make", [partial_inputs_only, partial_parameters_only])
def test_partial_validators_can_be_pickled(make, pickler):
    copied = pickle.loads(pickler.dumps(make(["x"])))
    assert copied(Cached(), {}, {}) is True
    assert repr(copied) == f"{make.__name__}(validate_on=['x'])"


def test_equal_contents_have_equal_hashes_and_others_have_others():
    values = [1, 1.0, "1", b"1", True, None, [1], (1,), {1}, {"a": 1}, {"a": 2}, [1, 2], [2, 1]]
    assert len({content_hash(value) for value in values}) == len(values)
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    assert content_hash({"x", "y", "z"}) == content_hash({"z", "y", "x"})


def test_hashes_are_the_same_in_another_process():
    value = '{"texts": {"a", "b", "c"}, "when": datetime.date(2026, 1, 1), "n": [1, 2.5, None]}'
    script = (
        "import datetime; from penstock.graph.cache_validators import content_hash;"
        f"print(content_hash({value}))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
    assert len(printed.pop().strip()) == 32
