"""Fingerprints: equal for equal inputs in every process, and different for different ones."""

from __future__ import annotations

import argparse
import array
import base64
import collections
import copy
import datetime as dt
import decimal
import enum
import functools
import ipaddress
import itertools
import os
import pickle
import random
import re
import subprocess
import sys
import threading
import timeit
import types
import uuid
from pathlib import PurePosixPath

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.results import fingerprint

hashables = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(),
    st.binary(),
    st.datetimes(),
    st.uuids(),
    st.decimals(allow_nan=False) | st.just(decimal.Decimal("nan")),
    st.fractions(),
    st.ip_addresses(),
    st.builds(PurePosixPath, st.text(st.characters(codec="ascii"))),
)
keys = st.recursive(
    hashables, lambda inner: st.frozensets(inner) | st.tuples(inner, inner), max_leaves=4
)


def namespaces(inner):
    return st.builds(types.SimpleNamespace, a=inner, b=inner)


values = st.recursive(
    keys | st.sets(keys) | st.builds(bytearray, st.binary()),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner)
        | st.builds(collections.OrderedDict, st.dictionaries(keys, inner))
        | st.builds(collections.deque, st.lists(inner))
        | namespaces(inner)
        | st.builds(lambda x: [x, {"again": x}], inner)
    ),
    max_leaves=15,
)

CHILD = """
import base64, pickle, sys
from penstock.results import fingerprint
for line in sys.stdin:
    print(fingerprint(pickle.loads(base64.b64decode(line))).hex(), flush=True)
"""


@pytest.fixture(scope="module")
def other_processes():
    """Start two processes that tell fingerprints, each with its own hash seed."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                "PYTHONHASHSEED": seed,
            },
        )
        for seed in ("1", "77777")
    ]
    yield children
    for child in children:
        child.stdin.close()
        child.wait()
        child.stdout.close()


def told_by(child, inputs) -> bytes:
    child.stdin.write(base64.b64encode(pickle.dumps(inputs)).decode() + "\n")
    child.stdin.flush()
    return bytes.fromhex(child.stdout.readline())


@settings(max_examples=60)
@given(st.dictionaries(st.text(max_size=5), values, max_size=3))
def test_every_process_tells_the_same(other_processes, inputs):
    here = fingerprint(inputs)
    assert len(here) == 16
    assert [told_by(child, inputs) for child in other_processes] == [here, here]


@given(values)
def test_a_pickled_copy_is_the_same(value):
    assert fingerprint({"x": pickle.loads(pickle.dumps(value))}) == fingerprint({"x": value})


@given(values)
def test_sharing_does_not_count(value):
    shared = [value, value, {"k": value}]
    apart = [value, copy.deepcopy(value), {"k": copy.deepcopy(value)}]
    assert fingerprint({"x": shared}) == fingerprint({"x": apart})


@given(st.lists(keys, unique_by=repr, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_a_set_does_not_count(elements, randomness):
    shuffled = list(elements)
    randomness.shuffle(shuffled)
    assert fingerprint({"x": set(elements)}) == fingerprint({"x": set(shuffled)})
    assert fingerprint({"x": frozenset(elements)}) == fingerprint({"x": frozenset(shuffled)})


@given(values, values)
def test_different_values_differ(one, other):
    if repr(one) != repr(other) and pickle.dumps(one) != pickle.dumps(other) and one != other:
        assert fingerprint({"x": one}) != fingerprint({"x": other})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        (0, False),
        (0.0, -0.0),
        ("1", 1),
        ("a", b"a"),
        (None, "None"),
        ([1, 2], (1, 2)),
        ([1, 2], [2, 1]),
        ([[1], 2], [[1, 2]]),
        ({1, 2}, frozenset({1, 2})),
        ({1, 2}, [1, 2]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, collections.OrderedDict(a=1)),
        (bytearray(b"a"), b"a"),
        (dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)),
        (len, print),
        (int, float),
        (np.zeros(3), np.zeros(3, dtype="float32")),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.array([1, 2]), np.array([2, 1])),
        (pl.Series([1, 2]), pl.Series([2, 1])),
        ([].append, [1].append),
        (re.compile("a"), re.compile("a", re.IGNORECASE)),
        ("x" * 100_000, "x" * 100_001),
        (["x" * 50_000, "x" * 50_000, 1], ["y" * 50_000, "x" * 50_000, 1]),
        (types.SimpleNamespace(a=1), types.SimpleNamespace(a=2)),
    ],
    ids=map(str, itertools.count()),
)
def test_what_differs_has_another_fingerprint(one, other):
    assert fingerprint({"x": one}) != fingerprint({"x": other})


def test_the_parameters_names_and_order_count():
    assert fingerprint({"x": 1}) != fingerprint({"y": 1})
    assert fingerprint({"x": 1, "y": 2}) != fingerprint({"x": 2, "y": 1})
    assert fingerprint({"x": [1], "y": [2]}) != fingerprint({"x": [1, 2]})
    assert fingerprint({}) == fingerprint(types.MappingProxyType({}))


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Flag(enum.Flag):
    A = 1
    B = 2


class Slotted:
    __slots__ = ("a", "parent")

    def __init__(self, a):
        self.a = a
        self.parent = None


class Tags(set):
    """A set with an attribute."""


def test_enums_and_slots_count_by_what_they_hold():
    prints = {
        fingerprint({"x": x})
        for x in (Colour.RED, Colour.BLUE, Flag.A, Flag.A | Flag.B, Slotted(1), Slotted(2))
    }
    assert len(prints) == 6 - (fingerprint({"x": Flag.A}) == fingerprint({"x": Colour.RED}))


def test_subclasses_of_sets_have_no_order_either():
    words = [f"word-{number}" for number in range(50)]
    one, other = Tags(words), Tags(reversed(words))
    assert fingerprint({"x": one}) == fingerprint({"x": other})
    other.source = "elsewhere"
    assert fingerprint({"x": one}) != fingerprint({"x": other})
    assert fingerprint({"x": one}) != fingerprint({"x": set(words)})


class Locked:
    def __init__(self, name):
        self.name = name
        self.lock = threading.Lock()


def test_what_cannot_be_pickled_counts_by_its_type_and_the_rest_in_full():
    assert fingerprint({"x": threading.Lock()}) == fingerprint({"x": threading.Lock()})
    assert fingerprint({"x": threading.Lock()}) != fingerprint({"x": sys.stdout})
    assert fingerprint({"x": Locked("a")}) == fingerprint({"x": Locked("a")})
    assert fingerprint({"x": Locked("a")}) != fingerprint({"x": Locked("b")})
    assert fingerprint({"x": [iter([1]), 5]}) != fingerprint({"x": [iter([1]), 6]})


class Raising:
    def __reduce_ex__(self, protocol):
        raise RuntimeError("no")


class RaisingLater:
    def __reduce_ex__(self, protocol):
        return list, (), None, (1 / 0 for _ in range(1))


class Nonsense:
    def __reduce_ex__(self, protocol):
        return 5


@pytest.mark.parametrize("kind", [Raising, RaisingLater, Nonsense])
def test_an_error_of_the_value_s_own_code_counts_as_unpicklable(kind):
    assert fingerprint({"x": kind()}) == fingerprint({"x": kind()})
    assert fingerprint({"x": kind(), "y": 1}) != fingerprint({"x": kind(), "y": 2})


def make_adder(amount):
    def add(x, y=1):
        return x + amount + y

    return add


def test_functions_count_by_name_and_nameless_ones_by_their_code():
    assert fingerprint({"x": make_adder}) == fingerprint({"x": make_adder})
    assert fingerprint({"x": make_adder}) != fingerprint({"x": told_by})
    assert fingerprint({"x": make_adder(1)}) == fingerprint({"x": make_adder(1)})
    assert fingerprint({"x": make_adder(1)}) != fingerprint({"x": make_adder(2)})
    assert fingerprint({"x": lambda a: a + 1}) != fingerprint({"x": lambda a: a + 2})
    assert fingerprint({"x": lambda a: a.b}) != fingerprint({"x": lambda a: a.c})
    assert fingerprint({"x": functools.partial(max, 1)}) != fingerprint(
        {"x": functools.partial(max, 2)}
    )
    assert fingerprint({"x": re}) != fingerprint({"x": os})


def test_a_function_that_names_itself_is_no_endless_walk():
    def countdown(n):
        return countdown(n - 1) if n else 0

    assert fingerprint({"x": countdown}) == fingerprint({"x": countdown})


def cyclic_list(last):
    made = [1, [2]]
    made[1].append(made)
    made.append(last)
    return made


def tree(value):
    root = Slotted(value)
    root.a = [Slotted(n) for n in (1, 2, value)]
    for child in root.a:
        child.parent = root
    return root


@pytest.mark.parametrize("make", [cyclic_list, tree])
def test_cycles_count_by_what_is_in_them(make):
    assert fingerprint({"x": make(5)}) == fingerprint({"x": make(5)})
    assert fingerprint({"x": make(5)}) != fingerprint({"x": make(6)})
    assert fingerprint({"x": make(5)}) == fingerprint({"x": pickle.loads(pickle.dumps(make(5)))})


def test_what_is_shared_a_million_times_over_is_bounded():
    shared: list = [1]
    for _ in range(60):
        shared = [shared, shared]
    assert fingerprint({"x": shared}) == fingerprint({"x": copy.deepcopy(shared)})


def test_very_deep_nesting_is_bounded():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert len(fingerprint({"x": deep})) == 16


def test_no_memory_address_leaks_in():
    class Plain:
        pass

    def inputs():
        return {"a": Plain(), "b": object(), "c": [Plain, len, iter("x")], "d": {Colour.RED: {1}}}

    first = inputs()
    keep = [bytearray(64) for _ in range(1000)]  # the second set of objects lies elsewhere
    assert fingerprint(first) == fingerprint(inputs())
    assert len(keep) == 1000


def test_large_parts_count_by_type_size_and_beginning():
    one, other = np.zeros(100_000), np.ones(100_000)
    assert fingerprint({"x": one}) == fingerprint({"x": other})
    assert fingerprint({"x": one}) != fingerprint({"x": np.zeros(100_001)})
    assert fingerprint({"x": [one, 1]}) != fingerprint({"x": [one, 2]})
    numbers = list(range(100_000))
    assert fingerprint({"x": numbers}) == fingerprint({"x": [*numbers[:-1], -1]})
    assert fingerprint({"x": numbers}) != fingerprint({"x": [*numbers, -1]})
    objects = [uuid.UUID(int=n) for n in range(50_000)]
    assert fingerprint({"x": objects}) != fingerprint({"x": [uuid.UUID(int=9), *objects[1:]]})
    assert fingerprint({"x": one}, limit_bytes=10**6) != fingerprint({"x": other}, 10**6)


def test_the_order_of_a_large_set_does_not_count():
    words = [(f"word-{number}", "x" * 30) for number in range(5000)]
    shuffled = list(words)
    random.Random(1).shuffle(shuffled)
    nested = {"x": [1, {(frozenset(words),), ("y",)}]}
    assert fingerprint(nested) == fingerprint({"x": [1, {("y",), (frozenset(shuffled),)}]})


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(10_000_000),
        pl.DataFrame({"a": range(1_000_000)}),
        "x" * 50_000_000,
        list(range(2_000_000)),
        set(range(1_000_000)),
        dict.fromkeys(range(1_000_000)),
        bytearray(50_000_000),
        array.array("d", bytes(8_000_000)),
        ["y" * 10_000_000] * 5,
        [{"n": n} for n in range(200_000)],
    ],
    ids=map(str, itertools.count()),
)
def test_the_cost_is_bounded(value):
    assert min(timeit.repeat(lambda: fingerprint({"x": value}), number=1, repeat=3)) < 0.3


def test_standard_types_have_one(other_processes):
    inputs = {
        "a": ipaddress.ip_address("1.2.3.4"),
        "b": argparse.Namespace(x={"u", "v", "w"}),
        "c": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        "d": collections.Counter("abca"),
        "e": collections.defaultdict(list, a=[1]),
        "f": np.arange(6).reshape(2, 3).T,
        "g": pl.DataFrame({"a": [1, 2], "b": ["x", None]}),
        "h": range(5),
        "i": slice(1, 2),
        "j": Ellipsis,
        "k": NotImplemented,
        "l": [print, [1, 2].append, str.upper, int],
        "m": ValueError("x"),
        "n": re.compile("a+"),
    }
    here = fingerprint(inputs)
    assert {told_by(child, inputs) for child in other_processes} == {here}
