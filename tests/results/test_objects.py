"""Result objects: what they give, what the record keeps of them, and what they say when asked."""

from __future__ import annotations

import pickle
import threading
from uuid import UUID

import pytest

from penstock.exceptions import MissingResult, UnreadableResult
from penstock.results import (
    InlineResult,
    LiteralResult,
    PersistedResult,
    UnknownResult,
    UnpersistedResult,
    from_record,
)
from penstock.results.pickling import dumps

SOME_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


@pytest.mark.parametrize("value", [None, True, False, SOME_ID])
def test_a_literal_comes_back_from_its_record(value):
    result = LiteralResult(value)
    again = from_record(*result.record())
    assert type(again) is LiteralResult
    assert again.get() == value
    assert again.has_cached_object()
    assert str(value) in again.artifact_description


@pytest.mark.parametrize("value", [1, 0, "text", 1.0, [], {"type": "literal", "value": True}])
def test_nothing_else_is_a_literal(value):
    with pytest.raises(TypeError, match=type(value).__name__):
        LiteralResult(value)


def test_an_inline_result_is_read_when_asked_for_and_then_held():
    result = from_record("inline", dumps({"rows": [1, 2]}))
    assert not result.has_cached_object()
    value = result.get()
    assert value == {"rows": [1, 2]}
    assert result.has_cached_object()
    assert result.get() is value


def test_an_inline_result_made_with_caching_off_holds_nothing():
    result = InlineResult(dumps([1]), keep=False)
    assert result.get() == [1]
    assert not result.has_cached_object()
    assert result.get() is not result.get()


def test_an_inline_result_tells_its_size():
    data = dumps("x")
    assert f"{len(data)} bytes" in InlineResult(data, "x").artifact_description
    assert InlineResult(data, "x").artifact_type == "result"


def test_a_corrupt_inline_record_names_the_run_and_the_way_out():
    result = from_record("inline", b"\x80\x05garbage", where="task run 'add-0'")
    with pytest.raises(UnreadableResult, match=r"task run 'add-0'.*corrupt.*new run"):
        result.get()


def test_an_unpersisted_result_leaves_no_record():
    result = UnpersistedResult({"a": 1})
    assert result.get() == {"a": 1}
    assert result.record() == (None, None)
    assert from_record(*result.record()) is None


def test_an_unpersisted_result_that_is_gone_says_why():
    with pytest.raises(MissingResult, match="persist_result"):
        UnpersistedResult().get()
    with pytest.raises(MissingResult, match="because of the lock"):
        UnpersistedResult(reason="because of the lock").get()


def test_an_unknown_result_is_none_and_nothing_else():
    assert UnknownResult().get() is None
    assert UnknownResult().has_cached_object()
    assert isinstance(from_record(*UnknownResult().record()), UnknownResult)
    with pytest.raises(TypeError, match="int"):
        UnknownResult(1)


@pytest.mark.parametrize(
    ("result_type", "data"),
    [("literal", b"maybe"), ("literal", None), ("reference", b"{}"), ("reference", None)],
)
def test_a_corrupt_record_is_only_refused_when_its_value_is_asked_for(result_type, data):
    result = from_record(result_type, data, where="flow run 'tidy-fox'")
    assert result.record() == (result_type, data)
    assert not result.has_cached_object()
    for one in (result, pickle.loads(pickle.dumps(result))):
        with pytest.raises(UnreadableResult, match=r"flow run 'tidy-fox'.*corrupt.*new run"):
            one.get()
        assert "tidy-fox" in repr(one)


def test_a_record_of_a_newer_version_is_refused():
    with pytest.raises(UnreadableResult, match=r"hologram.*upgrade penstock"):
        from_record("hologram", b"").get()


@pytest.mark.parametrize(
    "result",
    [
        LiteralResult(True),
        InlineResult(dumps([1, 2]), [1, 2]),
        UnpersistedResult([3]),
        UnknownResult(),
        PersistedResult("json", {"kind": "local", "path": "/data"}, "key", [4]),
    ],
)
def test_results_can_be_handed_to_another_process(result):
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is type(result)
    assert again.record() == result.record()
    assert repr(type(result).__name__)[1:-1] in repr(again)


def test_an_absent_value_stays_absent_in_another_process():
    again = pickle.loads(pickle.dumps(UnpersistedResult(reason="gone")))
    assert not again.has_cached_object()
    with pytest.raises(MissingResult, match="gone"):
        again.get()


def test_an_inline_result_is_handed_over_by_its_record_alone():
    data = dumps([1])
    live = [threading.Lock()]  # what was added to the value since cannot be pickled
    again = pickle.loads(pickle.dumps(InlineResult(data, live)))
    assert again.get() == [1]
