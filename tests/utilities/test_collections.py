from __future__ import annotations

import io
import itertools
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field
from unittest.mock import MagicMock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, PrivateAttr
from pydantic.v1 import BaseModel as V1Model

from penstock.utilities.annotations import allow_failure, quote, unmapped
from penstock.utilities.collections import (
    LEAF_TYPES,
    AutoEnum,
    StopVisiting,
    isiterable,
    visit_collection,
)


def negative(part):
    return -part if type(part) is int else part


def seen_in(expr, **options):
    seen = []
    visit_collection(expr, seen.append, **options)
    return seen


@dataclass
class Point:
    x: int
    y: int = 0
    z: int = field(init=False, default=5, compare=False)


@dataclass(frozen=True, slots=True)
class Frozen:
    x: int


class Model(BaseModel):
    model_config = {"extra": "allow"}
    x: int = Field(alias="ex")
    y: int = 2
    _private: int = PrivateAttr(1)


class Strict(BaseModel):
    x: int


class Old(V1Model):
    x: int
    y: int = 2


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - what users have


@pytest.mark.parametrize(
    ("expr", "result"),
    [
        (1, -1),
        ([1, "a"], [-1, "a"]),
        ((1, (2,)), (-1, (-2,))),
        ({1, 2}, {-1, -2}),
        ({1: 2}, {-1: -2}),
        (OrderedDict([(2, 1), (1, 2)]), OrderedDict([(-2, -1), (-1, -2)])),
        ([[], {}, ()], [[], {}, ()]),
        (iter([1, 2]), [-1, -2]),
        ((x for x in (1, 2)), [-1, -2]),
        (map(int, "12"), [-1, -2]),
        (itertools.chain([1], [2]), [-1, -2]),
        (Point(1, 2), Point(-1, -2)),
        (Frozen(1), Frozen(-1)),
        (Strict(x=1), Strict(x=-1)),
        (Old(x=1), Old(x=-1, y=-2)),
        (unmapped([1]), unmapped([-1])),
        (quote(allow_failure(1)), quote(allow_failure(-1))),
    ],
)
def test_copies_with_the_replaced_parts(expr, result):
    copy = visit_collection(expr, negative, return_data=True)
    assert copy == result
    assert type(copy) is type(result)


def test_fields_that_are_not_given_to_the_constructor_are_kept():
    assert visit_collection(Point(1), negative, True).z == -5


def test_models_keep_extras_private_attributes_and_set_fields():
    model = Model(ex=1, more=3)
    model._private = 7
    copy = visit_collection(model, negative, return_data=True)
    assert (copy.x, copy.y, copy.more) == (-1, -2, -3)
    assert copy._private == 7
    assert copy.model_fields_set == {"x", "more"}
    assert model.x == 1


@pytest.mark.parametrize(
    "leaf",
    [
        "text",
        b"12",
        defaultdict(int, {1: 2}),
        Pair(1, 2),
        io.StringIO("lines"),
        MagicMock(),
        itertools.count(),
        range(3),
        Point,
        Model,
    ],
)
def test_leaves_are_visited_but_not_looked_into(leaf):
    assert seen_in([leaf]) == [[leaf], leaf]


def test_leaf_types_are_never_looked_into():
    assert {str, int, float, bool, type(None), bytes, complex} <= LEAF_TYPES


def test_the_whole_is_visited_first_then_its_parts():
    assert seen_in([1, {"k": (2,)}]) == [[1, {"k": (2,)}], 1, {"k": (2,)}, "k", (2,), 2]


def test_without_return_data_there_is_none_and_nothing_changes():
    expr = [1, 2]
    assert visit_collection(expr, negative) is None
    assert expr == [1, 2]


def test_what_is_not_changed_is_handed_on_as_it_is():
    inner = ["a"]
    expr = [inner, 1, {"x": inner}]
    assert visit_collection(inner, negative, True) is inner
    copy = visit_collection(expr, negative, True)
    assert copy[0] is inner
    assert copy[2] is expr[2]


@pytest.mark.parametrize(
    ("depth", "result"),
    [(0, [1, [2, [3]]]), (1, [-1, [2, [3]]]), (2, [-1, [-2, [3]]]), (-1, [-1, [-2, [-3]]])],
)
def test_max_depth(depth, result):
    assert visit_collection([1, [2, [3]]], negative, True, max_depth=depth) == result


def test_stop_visiting_keeps_the_walk_out():
    def visit(part):
        if isinstance(part, dict):
            raise StopVisiting
        if isinstance(part, tuple):
            raise StopVisiting("instead")
        return negative(part)

    assert visit_collection([1, {"a": 1}, (1,)], visit, True) == [-1, {"a": 1}, "instead"]


def test_the_context_has_the_innermost_annotation_and_is_copied_for_each_level():
    contexts = {}

    def visit(part, context):
        if isinstance(part, int):
            contexts[part] = dict(context)
        context["mine"] = part
        return part

    given_context = {"top": True}
    inner = allow_failure([2])
    visit_collection([1, quote([inner, 3]), 4], visit, context=given_context)
    assert given_context == {"top": True}
    assert contexts[2]["annotation"] is inner
    assert isinstance(contexts[3]["annotation"], quote)
    assert "annotation" not in contexts[1]
    assert "annotation" not in contexts[4]
    assert contexts[4]["mine"] == [1, quote([inner, 3]), 4]


def test_annotations_can_be_removed_from_the_copy():
    expr = [unmapped([1, quote("a")]), {"k": allow_failure(2)}]
    copy = visit_collection(expr, lambda part: part, True, remove_annotations=True)
    assert copy == [[1, "a"], {"k": 2}]


def test_collections_that_contain_themselves_end():
    expr: list = [1]
    expr.append({"me": expr})
    assert len(seen_in(expr)) == 4
    copy = visit_collection(expr, negative, True)
    assert copy[0] == -1
    assert copy[1]["me"] is expr


def test_a_copying_visit_of_a_collection_that_contains_itself_ends():
    expr: list = [1]
    expr.append(expr)
    copy = visit_collection(expr, lambda part: list(part) if type(part) is list else part, True)
    assert copy[0] == 1


def test_what_appears_twice_is_replaced_twice():
    shared = [1]
    assert visit_collection([shared, shared], negative, True) == [[-1], [-1]]


def test_a_model_that_refuses_the_replacement_says_so():
    with pytest.raises(ValueError, match="x"):
        visit_collection(Strict(x=1), lambda p: "no" if p == 1 else p, True)


nested = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
)


@given(nested)
def test_the_identity_changes_nothing(expr):
    assert visit_collection(expr, lambda part: part, True) is expr


@given(nested)
def test_twice_negative_is_the_same(expr):
    once = visit_collection(expr, negative, True)
    assert visit_collection(once, negative, True) == expr


@pytest.mark.parametrize("value", [[1], (1,), {1}, {1: 2}, range(2), iter([1]), (x for x in [1])])
def test_iterables(value):
    assert isiterable(value)


@pytest.mark.parametrize("value", ["text", b"bytes", 1, None, io.StringIO(), io.BytesIO(b"1")])
def test_not_iterables(value):
    assert not isiterable(value)


def test_auto_enum_members_are_their_names():
    class Colour(AutoEnum):
        RED = AutoEnum.auto()
        BLUE = AutoEnum.auto()

    assert Colour.RED.value == "RED"
    assert Colour("BLUE") is Colour.BLUE
    assert Colour.RED == "RED"
    assert repr(Colour.RED) == "Colour.RED"
