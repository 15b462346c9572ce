from __future__ import annotations

import pickle

import pytest

from penstock.utilities.annotations import (
    BaseAnnotation,
    NotSet,
    Quote,
    allow_failure,
    quote,
    unmapped,
)

MARKS = [unmapped, allow_failure, quote]


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_wraps_and_unwraps(mark):
    marked = mark([1])
    assert isinstance(marked, BaseAnnotation)
    assert marked.unwrap() == [1]
    assert marked.value == [1]
    assert marked.rewrap(2) == mark(2)
    assert type(marked.rewrap(2)) is mark
    assert repr(marked) == f"{mark.__name__}([1])"


@pytest.mark.parametrize("mark", MARKS)
def test_marks_survive_pickling(mark):
    assert pickle.loads(pickle.dumps(mark({"a": 1}))) == mark({"a": 1})


def test_equality_is_by_mark_and_value():
    assert unmapped(1) == unmapped(1)
    assert unmapped(1) != unmapped(2)
    assert unmapped(1) != allow_failure(1)
    assert unmapped(1) != 1
    assert len({unmapped(1), unmapped(1), quote(1)}) == 2
    with pytest.raises(TypeError):
        hash(quote([1]))


def test_unmapped_gives_its_value_for_each_index():
    assert unmapped("abc")[17] == "abc"


def test_quote_has_its_old_name_and_unquote():
    assert quote("x").unquote() == "x"
    assert Quote("x") == quote("x")


def test_not_set_is_told_from_none():
    assert NotSet is not None
    assert pickle.loads(pickle.dumps(NotSet)) is NotSet


def test_a_mark_of_ones_own():
    class loud(BaseAnnotation):  # noqa: N801
        pass

    assert loud(1).rewrap(2) == loud(2)
