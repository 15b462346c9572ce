"""Bounded pickling: what is too large is found cheaply, and what was written can be read."""

from __future__ import annotations

import array
import contextlib
import datetime as dt
import decimal
import fractions
import io
import pickle
import sys
import threading
import tracemalloc
import uuid
from types import ModuleType

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.exceptions import MissingResult, PausedRun, UnreadableResult
from penstock.results.pickling import dumps, dumps_bounded, loads, size_hint

LIMIT = 65536

hashables = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.datetimes(),
    st.uuids(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.timedeltas(),
)
values = st.recursive(
    hashables | st.sets(hashables) | st.frozensets(hashables) | st.builds(bytearray, st.binary()),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(hashables, inner)
        | st.builds(lambda x: {"shared": [x, x]}, inner)
    ),
    max_leaves=20,
)


@given(values)
def test_values_come_back(value):
    assert loads(dumps(value)) == value
    bounded = dumps_bounded(value, sys.maxsize)
    assert bounded is not None
    assert loads(bounded) == value


@given(values, st.integers(0, 400))
def test_the_bound_is_kept_to_the_byte(value, limit):
    whole = dumps_bounded(value, sys.maxsize)
    bounded = dumps_bounded(value, limit)
    assert bounded == (whole if len(whole) <= limit else None)


class Announced:
    """Says how large it is, and tells when it is copied all the same."""

    nbytes = 10**9

    def __reduce__(self):
        raise AssertionError("it was copied to find out that it is too large")


class Frame:
    """As a polars frame."""

    def estimated_size(self):
        return 10**9

    def __reduce__(self):
        raise AssertionError("it was copied to find out that it is too large")


class Column:
    def sum(self):
        return 10**9


class Table:
    """As a pandas frame."""

    def memory_usage(self, *, index, deep):
        assert index
        assert not deep
        return Column()

    def __reduce__(self):
        raise AssertionError("it was copied to find out that it is too large")


@pytest.mark.parametrize("large", [Announced(), Frame(), Table()])
def test_what_says_that_it_is_large_is_not_copied(large):
    assert dumps_bounded(large, LIMIT) is None
    assert dumps_bounded({"deep": [1, (large,)]}, LIMIT) is None


class BufferHolder:
    """Hands over its memory without copying it, and does not say its size."""

    def __init__(self, size):
        self.memory = bytearray(size)

    def __reduce_ex__(self, protocol):
        return bytes, (pickle.PickleBuffer(self.memory),)


def test_buffers_are_counted_before_they_are_copied():
    tracemalloc.start()
    holder = BufferHolder(50_000_000)
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    assert dumps_bounded([holder], LIMIT) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < 1_000_000
    assert loads(dumps_bounded(BufferHolder(100), LIMIT)) == bytes(100)


def large_values():
    base = np.zeros((3000, 3000))
    yield base
    yield base[::2, ::3]  # not contiguous: pickling alone would copy it
    yield {"matrix": [base]}
    yield pl.DataFrame({"a": range(1_000_000)})
    yield pl.Series(range(1_000_000))
    yield array.array("d", bytes(8_000_000))
    yield b"x" * 10_000_000
    yield "x" * 10_000_000
    yield bytearray(10_000_000)
    yield [b"y" * 10_000_000]
    yield list(range(2_000_000))


@pytest.mark.parametrize("index", range(11))
def test_large_data_is_never_copied_to_measure_it(index):
    value = list(large_values())[index]
    tracemalloc.start()
    assert dumps_bounded(value, LIMIT) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_500_000


def test_small_arrays_and_frames_come_back():
    matrix = np.arange(12).reshape(3, 4)[:, ::2]
    assert (loads(dumps_bounded(matrix, LIMIT)) == matrix).all()
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert loads(dumps_bounded(frame, LIMIT)).equals(frame)
    assert size_hint(frame) > 0
    assert size_hint(matrix) == matrix.nbytes
    assert size_hint(5) == 0


@pytest.mark.parametrize(
    "large",
    [np.arange(100_000), np.arange(120_000.0).reshape(300, 400).T, np.frombuffer(bytes(800_000))],
    ids=["writable", "transposed", "readonly"],
)
@pytest.mark.parametrize("wrapped", [False, True], ids=["by pickle", "by cloudpickle"])
def test_large_arrays_come_back(large, wrapped):
    value = {"array": large, "other": (lambda: 1) if wrapped else None}

    again = loads(dumps(value))

    assert (again["array"] == large).all()


def test_a_size_that_cannot_be_told_is_measured():
    class Odd:
        nbytes = property(lambda self: 1 / 0)

    assert size_hint(Odd()) == 0


def test_what_pickle_cannot_write_is_tried_with_cloudpickle():
    class Local:
        x = 1

    assert loads(dumps_bounded(lambda x: x + 1, LIMIT))(1) == 2
    assert loads(dumps_bounded(Local(), LIMIT)).x == 1
    with pytest.raises(TypeError, match="generator"):
        dumps_bounded((i for i in ()), LIMIT)


def test_cloudpickle_is_bounded_too():
    data = "x" * 100_000
    assert dumps_bounded(lambda: data, LIMIT) is None
    assert loads(dumps(lambda: data))() == data


def test_a_class_keeps_its_identity_beside_a_lambda():
    value = (lambda: 1, Announced)
    assert loads(dumps(value))[1] is Announced


def test_an_unpicklable_part_is_named():
    with pytest.raises(TypeError, match="lock"):
        dumps_bounded({"a": threading.Lock()}, LIMIT)


def test_very_deep_nesting_is_an_error_of_pickling():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises((pickle.PicklingError, RecursionError)):
        dumps_bounded(deep, LIMIT)


def test_a_cycle_comes_back():
    cycle: list = [1]
    cycle.append(cycle)
    again = loads(dumps_bounded(cycle, LIMIT))
    assert again[1] is again


class RequestError(Exception):
    """An exception whose args do not fit its `__init__`: pickle alone could not read it."""

    def __init__(self, url, status, *, retry=False):
        super().__init__(f"{url} gave {status}")
        self.url = url
        self.status = status
        self.retry = retry


class OwnReduce(Exception):
    def __init__(self, a, b):
        super().__init__(a)
        self.b = b

    def __reduce__(self):
        return OwnReduce, (self.args[0], self.b)


def test_exceptions_come_back_whatever_their_init_takes():
    error = RequestError("/x", 500, retry=True)
    error.add_note("seen twice")
    again = loads(dumps(error))
    assert type(again) is RequestError
    assert str(again) == "/x gave 500"
    assert (again.url, again.status, again.retry) == ("/x", 500, True)
    assert again.__notes__ == ["seen twice"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a", 1),
        KeyError("k"),
        OSError(2, "no file", "x"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        MissingResult("gone"),
        PausedRun("paused", state="s"),
        OwnReduce(1, 2),
        ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
    ],
)
def test_other_exceptions_come_back(error):
    again = loads(dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def gone(monkeypatch, *, with_module: bool) -> bytes:
    module = ModuleType("shop_gone")
    exec("class Order: pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "shop_gone", module)
    data = dumps(module.Order())
    if with_module:
        monkeypatch.delitem(sys.modules, "shop_gone")
    else:
        del module.Order
    return data


@pytest.mark.parametrize("with_module", [True, False])
def test_a_class_that_is_gone_is_named(monkeypatch, with_module):
    data = gone(monkeypatch, with_module=with_module)
    with pytest.raises(UnreadableResult, match=r"task run 'a'.*'Order'.*'shop_gone'.*new run"):
        loads(data, "The result of task run 'a'")


@pytest.mark.parametrize(
    "data", [b"", b"garbage", dumps([1, 2])[:-1], b"\x80\x05\x95", dumps("x" * 50)[:20]]
)
def test_corrupt_data_is_unreadable(data):
    with pytest.raises(UnreadableResult, match="corrupt"):
        loads(data)


@given(st.binary(max_size=40))
def test_cut_data_never_gives_another_error(junk):
    for cut in (2, 5, 9):
        with contextlib.suppress(UnreadableResult):
            loads(dumps({"a": [1, 2, 3]})[:-cut] + junk)


class Exploding:
    def __setstate__(self, state):
        raise AttributeError("no such attribute")

    def __getstate__(self):
        return {"a": 1}


def test_an_error_of_the_value_s_own_code_is_told():
    with pytest.raises(UnreadableResult, match="no such attribute"):
        loads(dumps(Exploding()))


def test_plain_pickle_reads_what_is_written():
    value = {"a": [dt.date(2024, 1, 1), decimal.Decimal("1.5"), fractions.Fraction(1, 3)]}
    assert pickle.load(io.BytesIO(dumps(value))) == value
    assert pickle.loads(dumps_bounded(uuid.UUID(int=5), LIMIT)) == uuid.UUID(int=5)
