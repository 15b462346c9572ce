"""How values of graph tasks become bytes (section 9)."""

from __future__ import annotations

import base64
import bz2
import datetime as dt
import gzip
import pickle
import sys
import threading
import zlib

import cloudpickle
import pandas as pd
import pytest

from penstock.exceptions import MissingLibraryError, UnreadableResult
from penstock.graph.serializers import (
    CompressedSerializer,
    DateTimeSerializer,
    JSONSerializer,
    PandasSerializer,
    PickleSerializer,
    Serializer,
)

NOON = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)
JSON, PICKLE = JSONSerializer(), PickleSerializer()
FRAME = pd.DataFrame({"one": [1, 2], "two": ["a", "b"]})


@pytest.mark.parametrize(
    ("serializer", "value"),
    [
        (PICKLE, {"a": [1, None, {2}]}),
        (PICKLE, None),
        (JSON, {"a": [1, None, "ä"]}),
        (JSON, None),
        (DateTimeSerializer(), NOON),
        (DateTimeSerializer(), NOON.replace(tzinfo=None)),
        (CompressedSerializer(JSON, "gzip"), [1]),
        (CompressedSerializer(PICKLE, "bz2"), {1}),
        (CompressedSerializer(JSON, "lzma"), [2]),
        (CompressedSerializer(JSON, compress=zlib.compress, decompress=zlib.decompress), [1]),
        (CompressedSerializer(CompressedSerializer(JSON, "gzip"), "bz2"), [1]),
    ],
    ids=[str(index) for index in range(11)],
)
def test_a_value_comes_back(serializer, value):
    written = serializer.serialize(value)
    assert isinstance(written, bytes)
    assert serializer.deserialize(written) == value


@pytest.mark.parametrize("method", ["serialize", "deserialize"])
def test_the_base_has_neither(method):
    with pytest.raises(NotImplementedError, match=f"Serializer does not define {method}"):
        getattr(Serializer(), method)(b"")


class TestPickle:
    def test_what_only_cloudpickle_can_write(self):
        assert PICKLE.deserialize(PICKLE.serialize(lambda x: x + 1))(1) == 2

    @pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["plain", "cloud"])
    def test_pickles_of_others_are_read_also_in_base_64(self, dumps):
        assert PICKLE.deserialize(dumps([1, 2])) == [1, 2]
        assert PICKLE.deserialize(base64.b64encode(dumps([1, 2]))) == [1, 2]

    def test_of_two_errors_the_first_is_raised(self):
        with pytest.raises(pickle.UnpicklingError, match="invalid load key, 'n'"):
            PICKLE.deserialize(b"no pickle, and no base 64")
        with pytest.raises(pickle.UnpicklingError, match="truncated"):
            PICKLE.deserialize(PICKLE.serialize("x" * 100)[:-10])

    def test_a_class_that_is_gone(self):
        data = pickle.dumps(NOON).replace(b"datetime", b"datetemi")
        with pytest.raises(UnreadableResult, match="datetemi"):
            PICKLE.deserialize(data)

    def test_what_cannot_be_pickled(self):
        with pytest.raises(TypeError, match="pickle"):
            PICKLE.serialize(threading.Lock())


class TestJSON:
    def test_it_is_utf_8(self):
        assert JSON.serialize({"a": [1, None]}) == b'{"a": [1, null]}'
        assert JSON.deserialize('"ä"'.encode()) == "ä"

    def test_what_json_has_nothing_for(self):
        with pytest.raises(TypeError, match="JSON serializable"):
            JSON.serialize({1})

    def test_what_is_no_json(self):
        with pytest.raises(ValueError, match="Expecting"):
            JSON.deserialize(b"{a}")


class TestDateTime:
    def test_it_is_iso_8601(self):
        assert DateTimeSerializer().serialize(NOON) == b"2013-01-01T12:00:00+00:00"
        assert DateTimeSerializer().deserialize(b"2013-01-01T12:00:00Z") == NOON

    def test_what_is_no_time(self):
        with pytest.raises(ValueError, match="soon"):
            DateTimeSerializer().deserialize(b"soon")


class TestPandas:
    @pytest.mark.parametrize(
        ("file_type", "writing", "reading"),
        [
            ("csv", {"index": False}, {}),
            ("csv", {"index": False, "sep": ";"}, {"sep": ";"}),
            ("json", {}, {}),
            ("pickle", {}, {}),
        ],
        ids=["csv", "csv with arguments", "json", "pickle"],
    )
    def test_a_frame_comes_back(self, file_type, writing, reading):
        serializer = PandasSerializer(file_type, reading, writing)
        pd.testing.assert_frame_equal(serializer.deserialize(serializer.serialize(FRAME)), FRAME)

    def test_it_is_a_file_of_that_type(self):
        serializer = PandasSerializer("csv", serialize_kwargs={"index": False})
        assert serializer.serialize(FRAME).split() == [b"one,two", b"1,a", b"2,b"]

    def test_writers_that_want_text_get_a_place_for_it(self):
        written = PandasSerializer("html").serialize(FRAME)
        assert b"<table" in written

    @pytest.mark.parametrize("file_type", ["nonsense", "numpy", "table"])
    def test_other_types_are_refused(self, file_type):
        with pytest.raises(ValueError, match=f"'{file_type}' is no file type that pandas both"):
            PandasSerializer(file_type)

    def test_arguments_that_do_not_fit(self):
        with pytest.raises(TypeError, match="nonsense"):
            PandasSerializer("csv", serialize_kwargs={"nonsense": 1}).serialize(FRAME)

    def test_without_pandas_it_is_said_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(MissingLibraryError, match="pip install pandas"):
            PandasSerializer("csv")


class TestCompressed:
    def test_the_bytes_are_compressed(self):
        serializer = CompressedSerializer(JSON, "gzip")
        assert gzip.decompress(serializer.serialize([1] * 1000)) == JSON.serialize([1] * 1000)
        assert len(serializer.serialize([1] * 1000)) < 100

    def test_arguments_are_handed_on(self):
        seen = []

        def decompress(data, **options):
            seen.append(options)
            return bz2.decompress(data)

        serializer = CompressedSerializer(
            JSON,
            compress=bz2.compress,
            decompress=decompress,
            compress_kwargs={"compresslevel": 1},
            decompress_kwargs={"a": 1},
        )
        assert serializer.serialize([1]) == bz2.compress(b"[1]", compresslevel=1)
        assert serializer.deserialize(serializer.serialize([1])) == [1]
        assert seen == [{"a": 1}]

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"compress": gzip.compress},
            {"decompress": gzip.decompress},
            {"format": "gzip", "compress": gzip.compress, "decompress": gzip.decompress},
            {"format": "gzip", "compress": gzip.compress},
        ],
        ids=["neither", "one", "the other", "both", "a format and one"],
    )
    def test_a_format_or_both_functions(self, options):
        with pytest.raises(ValueError, match="Give "):
            CompressedSerializer(JSON, **options)

    def test_a_format_is_a_module(self):
        with pytest.raises(ImportError, match="no_such_module"):
            CompressedSerializer(JSON, "no_such_module")
        with pytest.raises(ValueError, match="'json' has no compress and decompress"):
            CompressedSerializer(JSON, "json")


def make_compressed(inner, name, **options):
    return lambda: CompressedSerializer(inner, name, **options)


MAKERS = {
    "pickle": PickleSerializer,
    "json": JSONSerializer,
    "time": DateTimeSerializer,
    "csv": lambda: PandasSerializer("csv"),
    "json frames": lambda: PandasSerializer("json"),
    "csv, read so": lambda: PandasSerializer("csv", {"sep": ";"}),
    "csv, written so": lambda: PandasSerializer("csv", None, {"sep": ";"}),
    "gzip": make_compressed(JSON, "gzip"),
    "bz2": make_compressed(JSON, "bz2"),
    "gzip of pickles": make_compressed(PICKLE, "gzip"),
    "gzip, less": make_compressed(JSON, "gzip", compress_kwargs={"compresslevel": 1}),
    "gzip, read so": make_compressed(JSON, "gzip", decompress_kwargs={"a": 1}),
}


@pytest.mark.parametrize("name", MAKERS)
def test_equality_is_by_class_and_arguments(name):
    made = MAKERS[name]()
    assert [other for other in MAKERS if MAKERS[other]() == made] == [name]
    assert hash(made) == hash(MAKERS[name]())
    assert made != name


@pytest.mark.parametrize("name", MAKERS)
def test_a_serializer_survives_pickling(name):
    made = MAKERS[name]()
    assert pickle.loads(pickle.dumps(made)) == made
