"""Serializers: one contract for all of them, and the options of each."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import gzip
import ipaddress
import json
import pickle
import sys
import threading
import types
import uuid
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal

import cloudpickle
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.serializers import (
    CompressedJSONSerializer,
    CompressedPickleSerializer,
    CompressedSerializer,
    JSONSerializer,
    PickleSerializer,
    Serializer,
    resolve_serializer,
)
from penstock.settings import PENSTOCK_RESULTS_DEFAULT_SERIALIZER, temporary_settings

ALL = [
    PickleSerializer(),
    PickleSerializer(picklelib="pickle"),
    JSONSerializer(),
    CompressedPickleSerializer(),
    CompressedJSONSerializer(),
    CompressedSerializer(serializer="pickle", compressionlib="bz2"),
    CompressedSerializer(serializer=JSONSerializer(), compressionlib="zlib"),
]
PICKLES = [ALL[0], ALL[1], ALL[3], ALL[5]]
every_serializer = pytest.mark.parametrize("serializer", ALL, ids=map(str, range(len(ALL))))

scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())
hashables = st.one_of(
    scalars,
    st.binary(),
    st.datetimes(timezones=st.none() | st.just(dt.UTC)),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.ip_addresses(),
)
rich = st.recursive(
    hashables | st.sets(hashables) | st.frozensets(hashables),
    lambda inner: st.lists(inner) | st.dictionaries(hashables, inner),
    max_leaves=12,
)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    tag: Any = None
    doubled: int = dataclasses.field(init=False, default=0)

    def __post_init__(self):
        object.__setattr__(self, "doubled", 2 * self.x)


class Record(msgspec.Struct):
    day: dt.date
    points: list[int]


class Model(pydantic.BaseModel):
    when: dt.datetime
    inner: dict[str, set[int]]


@every_serializer
@given(value=st.recursive(scalars, lambda i: st.lists(i) | st.dictionaries(st.text(), i)))
def test_plain_values_come_back_from_all(serializer, value):
    data = serializer.dumps(value)
    assert isinstance(data, bytes)
    data.decode()
    again = Serializer(**json.loads(json.dumps(serializer.as_dict())))
    assert again == serializer
    assert again.loads(data) == value


@pytest.mark.parametrize("serializer", [JSONSerializer(), *PICKLES], ids=map(str, range(5)))
@given(value=rich)
def test_rich_values_come_back(serializer, value):
    again = serializer.loads(serializer.dumps(value))
    assert again == value
    assert repr(type(again)) == repr(type(value))


@every_serializer
@pytest.mark.parametrize(
    "value",
    [
        {"__class__": "pathlib.Path", "data": "/etc"},
        {"a": [{"__class__": 5}]},
        {1: "one", (1, 2): "pair", None: 0, "text": {2: 3}},
        {"type": "literal", "value": None},
        uuid.UUID(int=7),
        Colour.RED,
        Point(3, tag=[dt.date(2024, 1, 1)]),
        {Point(1): Point(2, tag={Point(3)})},
        Record(dt.date(2024, 1, 1), [1]),
        Model(when=dt.datetime(2024, 1, 1, tzinfo=dt.UTC), inner={"a": {1, 2}}),
        PurePosixPath("a/b"),
        {dt.date(2024, 1, 1), "x"},
        ipaddress.ip_network("10.0.0.0/8"),
        complex(1, 2),
        b"\xff\x00",
        decimal.Decimal("0.1"),
        float("inf"),
    ],
    ids=map(str, range(17)),
)
def test_these_come_back_from_all(serializer, value):
    again = serializer.loads(serializer.dumps(value))
    assert again == value
    assert type(again) is type(value)


@every_serializer
def test_exceptions_keep_their_class_and_text(serializer):
    again = serializer.loads(serializer.dumps(ValueError("no")))
    assert type(again) is ValueError
    assert str(again) == "no"


def test_json_makes_lists_of_tuples():
    serializer = JSONSerializer()
    assert serializer.loads(serializer.dumps((1, (2,)))) == [1, [2]]


def test_json_is_plain_where_it_can_be():
    assert JSONSerializer().dumps({"a": [1, None]}) == b'{"a": [1, null]}'


class Odd:
    pass


@pytest.mark.parametrize(
    "value", [threading.Lock(), Odd(), fractions, object()], ids=map(str, range(4))
)
def test_json_names_the_type_it_has_no_form_for(value):
    with pytest.raises(TypeError, match=f"{type(value).__qualname__}.*'pickle'"):
        JSONSerializer().dumps({"a": [value]})


def test_json_refuses_a_class_that_no_name_leads_to():
    @dataclasses.dataclass
    class Local:
        x: int

    with pytest.raises(TypeError, match="top of its module"):
        JSONSerializer().dumps(Local(1))


def test_json_says_when_a_class_is_gone():
    data = JSONSerializer().dumps(Point(1)).replace(b"Point", b"Gone")
    with pytest.raises(ValueError, match=r"Gone.*renamed"):
        JSONSerializer().loads(data)


def test_json_takes_an_encoder_and_a_decoder(monkeypatch):
    module = types.ModuleType("own_json")
    module.encode = lambda value: {"odd": True}
    module.decode = lambda found: Odd if found.get("odd") else found
    monkeypatch.setitem(sys.modules, "own_json", module)
    serializer = JSONSerializer(object_encoder="own_json.encode", object_decoder="own_json.decode")
    assert serializer.dumps({"a": Odd()}) == b'{"a": {"odd": true}}'
    assert serializer.loads(b'{"a": {"odd": true}}') == {"a": Odd}


def test_json_passes_options_on():
    serializer = JSONSerializer(
        dumps_kwargs={"indent": 1, "default": str}, object_encoder=None, object_decoder=None
    )
    assert serializer.dumps({"a": PurePosixPath("x")}) == b'{\n "a": "x"\n}'
    exact = JSONSerializer(loads_kwargs={"parse_float": decimal.Decimal})
    assert exact.loads(b"0.1") == decimal.Decimal("0.1")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"type": "json", "dumps_kwargs": {"default": str}}, "object_encoder"),
        ({"type": "json", "loads_kwargs": {"object_hook": dict}}, "object_decoder"),
        ({"type": "json", "object_encoder": "nope.encode"}, "nope.encode"),
        ({"type": "json", "jsonlib": "nope"}, "pip install nope"),
        ({"type": "json", "jsonlib": "os"}, "no dumps"),
        ({"type": "pickle", "picklelib": "nope"}, "picklelib='nope'"),
        ({"type": "pickle", "picklelib": "json.nope"}, "picklelib='json.nope'"),
        ({"type": "pickle", "picklelib": "os"}, "no dumps and no loads"),
        ({"type": "pickle", "picklelib": 5}, "picklelib=5"),
        ({"type": "compressed", "serializer": "json", "compressionlib": "json"}, "no compress"),
        ({"type": "compressed", "serializer": "jsn"}, "Did you mean 'json'"),
        ({"type": "compressed"}, "needs the option 'serializer'"),
        ({"type": "pickle", "piclelib": "x"}, "Did you mean 'picklelib'"),
        ({"type": "pikle"}, "Did you mean 'pickle'"),
        ({"type": None}, "no serializer of type None"),
        ({}, "no serializer of type None"),
    ],
)
def test_wrong_options_are_refused(options, problem):
    with pytest.raises(ValueError, match=problem.replace("'", ".")):
        Serializer(**options)


def test_the_tag_makes_the_type():
    assert type(Serializer(type="compressed/json")) is CompressedJSONSerializer
    assert Serializer(type="pickle", picklelib="pickle") == PickleSerializer(picklelib="pickle")
    assert PickleSerializer() != JSONSerializer()
    with pytest.raises(ValueError, match="has the type 'pickle'"):
        PickleSerializer(type="json")


def test_instances_do_not_share_their_options():
    one, other = JSONSerializer(), JSONSerializer()
    one.dumps_kwargs["indent"] = 1
    assert other.dumps_kwargs == {}


def test_the_pickle_of_another_library_is_read_by_it(monkeypatch):
    library = types.ModuleType("own_pickle")
    library.dumps = lambda value: b"own" + pickle.dumps(value)
    library.loads = lambda data: pickle.loads(data[3:])
    library.__version__ = "1.0"
    monkeypatch.setitem(sys.modules, "own_pickle", library)
    serializer = PickleSerializer(picklelib="own_pickle")
    data = serializer.dumps([1])
    assert base64.b64decode(data).startswith(b"own")
    assert serializer.loads(data) == [1]
    options = serializer.as_dict()
    assert options["picklelib_version"] == "1.0"
    Serializer(**options)
    library.__version__ = "2.0"
    with pytest.warns(RuntimeWarning, match=r"own_pickle 1\.0, and 2\.0 is installed"):
        Serializer(**options)


def test_what_only_cloudpickle_writes_says_its_version():
    serializer = PickleSerializer()
    assert serializer.loads(serializer.dumps(lambda x: x + 1))(1) == 2
    assert serializer.as_dict()["picklelib_version"] == cloudpickle.__version__


def test_compression_compresses():
    text = "a" * 100_000
    assert len(CompressedPickleSerializer().dumps(text)) < 1000
    assert (
        gzip.decompress(
            base64.b64decode(
                CompressedSerializer(serializer="json", compressionlib="gzip").dumps("x")
            )
        )
        == b'"x"'
    )


class ReverseSerializer(Serializer):
    """As a user writes one."""

    type: Literal["reverse"] = "reverse"
    known: ClassVar[int] = 1
    encoding: str = "utf-8"
    needed: int

    def dumps(self, value):
        return value[::-1].encode(self.encoding)

    def loads(self, data):
        return data.decode(self.encoding)[::-1]


def test_a_serializer_of_one_s_own_is_found_by_its_tag():
    serializer = Serializer(type="reverse", needed=1)
    assert type(serializer) is ReverseSerializer
    assert serializer.dumps("abc") == b"cba"
    assert serializer.loads(b"cba") == "abc"
    assert serializer.as_dict() == {"type": "reverse", "encoding": "utf-8", "needed": 1}
    assert repr(serializer) == "ReverseSerializer(encoding='utf-8', needed=1)"
    assert hash(serializer) == hash(ReverseSerializer(needed=2))
    nested = CompressedSerializer(serializer=serializer)
    assert nested.loads(nested.dumps("abc")) == "abc"
    assert Serializer(**nested.as_dict()) == nested
    for wrong in ({}, {"needed": 1, "known": 2}, {"needed": 1, "_options": {}}):
        with pytest.raises(ValueError, match="option"):
            ReverseSerializer(**wrong)


def test_a_serializer_without_methods_says_so():
    class Empty(Serializer):
        type: Literal["empty"] = "empty"

    with pytest.raises(NotImplementedError, match="Empty has no dumps"):
        Empty().dumps(1)
    with pytest.raises(NotImplementedError, match="Empty has no loads"):
        Empty().loads(b"")


def test_options_may_be_written_as_fields_of_pydantic():
    class Written(Serializer):
        type: str = pydantic.Field(default="written")
        encoding: str = pydantic.Field("utf-8", description="of the text")
        words: list[str] = pydantic.Field(default_factory=list)
        needed: int = pydantic.Field(...)

        def dumps(self, value):
            return value.encode(self.encoding)

        def loads(self, data):
            return data.decode(self.encoding)

    one = Serializer(type="written", needed=1)
    assert one.loads(one.dumps("a")) == "a"
    assert (one.type, one.encoding, one.words) == ("written", "utf-8", [])
    one.words.append("b")
    assert Written(needed=1).words == []
    with pytest.raises(ValueError, match="needs the option 'needed'"):
        Written()


def test_options_name_a_serializer():
    json_serializer = JSONSerializer()
    assert resolve_serializer(json_serializer) is json_serializer
    assert resolve_serializer("json") == json_serializer
    assert resolve_serializer() == PickleSerializer()
    with temporary_settings({PENSTOCK_RESULTS_DEFAULT_SERIALIZER: "compressed/json"}):
        assert resolve_serializer(None) == CompressedJSONSerializer()


@pytest.mark.parametrize("option", [5, {"type": "json"}, JSONSerializer], ids=map(str, range(3)))
def test_anything_else_is_no_serializer(option):
    with pytest.raises(TypeError, match="result_serializer"):
        resolve_serializer(option)


@every_serializer
@pytest.mark.parametrize("data", [b"", b"!", b"\xff\xfe", b"abc", b"AAAA"], ids=map(str, range(5)))
def test_corrupt_data_raises(serializer, data):
    with pytest.raises(Exception):  # noqa: B017 - whichever; results turn it into UnreadableResult
        serializer.loads(data)
