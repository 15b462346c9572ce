from __future__ import annotations

import datetime as dt
import decimal
import enum
import functools
import pathlib
import pickle
import re
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from penstock.exceptions import PenstockException
from penstock.utilities.hashing import (
    HashError,
    file_hash,
    hash_arguments,
    hash_objects,
    stable_hash,
)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass
class Config:
    name: str
    parts: list = field(default_factory=list)


class Model(BaseModel):
    x: int


class Slotted:
    __slots__ = ("a", "lock")


DISTINCT = [
    None,
    True,
    1,
    1.0,
    "1",
    b"1",
    [1],
    (1,),
    {1},
    frozenset({1}),
    {1: 1},
    {"1": 1},
    [1, 2],
    [2, 1],
    [[1], 2],
    [1, [2]],
    [True, 2],
    [1.0, 2],
    ["1", 2],
    [],
    (),
    {},
    10**5000,
    [10**5000],
    float("nan"),
    float("inf"),
    -0.0,
    0.0,
    "\ud800",
    ["\ud800"],
    dt.datetime(2024, 1, 1),  # noqa: DTZ001
    dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    dt.date(2024, 1, 1),
    dt.timedelta(1),
    decimal.Decimal("1.0"),
    decimal.Decimal("1.00"),
    uuid.UUID(int=1),
    pathlib.PurePosixPath("a"),
    pathlib.PurePosixPath("b"),
    Colour.RED,
    Colour.BLUE,
    Colour,
    Config("a"),
    Config("b"),
    Config("a", [1]),
    Model(x=1),
    Model(x=2),
    bytearray(b"1"),
    re.compile("a"),
    complex(1, 2),
    slice(1, 2),
    range(3),
    len,
    print,
    int,
    re,
    functools.partial(print, 1),
    [].append,
    lambda x: x + 1,
    lambda x: x + 2,
    lambda x=1: x,
    lambda x=2: x,
    threading.Event,
]


def test_different_values_have_different_hashes():
    hashes = [hash_objects(value) for value in DISTINCT]
    assert None not in hashes
    assert len(set(hashes)) == len(DISTINCT)


def test_a_hash_is_the_same_in_another_process():
    code = """
import datetime as dt, enum, sys, pathlib
from dataclasses import dataclass
from penstock.utilities.hashing import hash_objects
def f(x): return x + 1
print(hash_objects({"b", "a", "c"}, [1, "x", None], {"k": {"z": 1, "a": 2.5}}, b"raw", f, dt.UTC,
    dt.datetime(2024, 1, 1, tzinfo=dt.UTC), pathlib.PurePosixPath("a/b"),
    name=("t", frozenset("ab"))))
"""
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert len(hashes) == 1
    assert len(hashes.pop()) == 32


def test_equal_text_counts_the_same_whether_it_is_one_object_or_two():
    text = str(bytearray(b"ab c"), "ascii")
    assert hash_objects([text, text, [1]]) == hash_objects(["ab c", str(b"ab c", "ascii"), [1]])
    shared = [1]
    assert hash_objects([shared, shared]) == hash_objects([[1], [1]])
    one, two = Config("ab c", [text]), Config(text, ["ab c"])
    assert hash_objects(one) == hash_objects(two)


def test_the_order_of_dictionaries_and_attributes_does_not_count():
    assert hash_objects({"a": 1, "b": 2}) == hash_objects({"b": 2, "a": 1})
    assert hash_objects(x=1, y=2) == hash_objects(y=2, x=1)
    assert hash_arguments({"x": 1, "y": 2}) == hash_arguments({"y": 2, "x": 1})
    one, two = Config("a"), Config("a")
    one.later, one.still = 1, 2
    two.still, two.later = 2, 1
    assert hash_objects(one) == hash_objects(two)


def test_the_order_of_arguments_counts():
    assert hash_objects(1, 2) != hash_objects(2, 1)
    assert hash_objects(1, 2) != hash_objects([1, 2])
    assert hash_objects("ab", "c") != hash_objects("a", "bc")


def adder(n):
    return lambda x: x + n


def test_functions_count_by_code_defaults_and_what_they_close_over():
    assert hash_objects(adder(1)) == hash_objects(adder(1))
    assert hash_objects(adder(1)) != hash_objects(adder(2))


def test_values_that_contain_themselves():
    one: list = [1]
    one.append(one)
    two: list = [1]
    two.append(two)
    assert hash_objects(one) == hash_objects(two) != hash_objects([1, [1]])


def test_what_cannot_be_hashed_has_no_hash():
    assert hash_objects(threading.Lock()) is None
    assert hash_objects(a=[(x for x in ())]) is None


def blocked():
    slotted = Slotted()
    slotted.a, slotted.lock = 1, threading.Lock()
    return slotted


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"lock": threading.Lock()}, "arguments['lock']"),
        ({"config": {"lock": threading.Lock()}}, "arguments['config']['lock']"),
        ({"a": [1, (2, threading.Lock())]}, "arguments['a'][1][1]"),
        ({"c": Config("a", [threading.Lock()])}, "arguments['c'].parts[0]"),
        ({"s": blocked()}, "arguments['s'].lock"),
        ({"g": (x for x in ())}, "arguments['g']"),
        ({"f": adder(threading.Lock())}, "arguments['f']"),
    ],
)
def test_an_unhashable_argument_is_named_by_its_path(arguments, path):  # PAINS 8
    with pytest.raises(HashError) as caught:
        hash_arguments(arguments)
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path} cannot be hashed")
    assert "cache_key_fn" in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, PenstockException)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_key_that_cannot_be_hashed_is_named():
    class Key:
        def __reduce__(self):
            raise RuntimeError("no")

        def __repr__(self):
            return "KEY"

    with pytest.raises(HashError, match=r"key KEY of arguments\['d'\].*no"):
        hash_arguments({"d": {Key(): 1}})


def test_nesting_without_end_is_an_error():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(HashError, match="nested too deeply"):
        hash_arguments({"deep": deep})
    while deep:  # taken apart by hand, as a deep collection may break the interpreter's own way
        deep = deep.pop()


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
)


@given(plain)
def test_a_value_and_its_copy_have_the_same_hash(value):
    copy = pickle.loads(pickle.dumps(value))
    assert hash_objects(value) == hash_objects(copy) is not None


@given(plain, plain)
def test_values_that_differ_have_hashes_that_differ(one, two):
    if repr(one) == repr(two):
        assert hash_objects(one) == hash_objects(two)
    elif one != two:
        assert hash_objects(one) != hash_objects(two)


def test_stable_hash_tells_parts_apart():
    assert stable_hash("ab", "c") != stable_hash("a", "bc")
    assert stable_hash("a") == stable_hash(b"a")
    assert stable_hash("penstock") == "127d60405f67d644733159cc95e41514"
    assert re.fullmatch("[0-9a-f]{32}", stable_hash())


def test_file_hash_is_by_contents(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    (tmp_path / "b").write_bytes(b"x" * 100_000)
    (tmp_path / "c").write_bytes(b"y")
    assert file_hash(tmp_path / "a") == file_hash(str(tmp_path / "b"))
    assert file_hash(tmp_path / "a") != file_hash(tmp_path / "c")
    with pytest.raises(FileNotFoundError):
        file_hash(tmp_path / "d")
