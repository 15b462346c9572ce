"""Results of graph tasks: where values are kept (section 9)."""

from __future__ import annotations

import copy
import datetime as dt
import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

from penstock import clock
from penstock.graph.results import (
    ConstantResult,
    LocalResult,
    NoResult,
    NoResultType,
    PrefectResult,
    Result,
    ResultNotImplementedError,
    SecretResult,
)
from penstock.graph.serializers import (
    DateTimeSerializer,
    JSONSerializer,
    PickleSerializer,
    Serializer,
)
from penstock.settings import PENSTOCK_STORE_DURABILITY, temporary_settings

NOON = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)


class Secret:
    """Stands for a task that gives secrets."""

    name = "PASSWORD"

    def run(self, name):
        return f"the secret of {name}"


def make(kind, **options):
    if kind is SecretResult:
        return SecretResult(Secret(), **options)
    return kind(**options)


KINDS = [Result, LocalResult, PrefectResult, ConstantResult, SecretResult]
of_all = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


# -- all kinds ------------------------------------------------------------------------------------


@of_all
class TestAll:
    def test_a_value_and_a_location(self, kind):
        result = make(kind, value=1, location="here")
        assert (result.value, result.location) == (1, "here")
        assert repr(result) == f"<{kind.__name__}: 1>"

    def test_a_copy_can_be_changed(self, kind):
        result = make(kind, value=1, location="here")
        for again in (result.copy(), copy.copy(result)):
            assert type(again) is kind
            assert again == result
            again.value, again.location = 2, "there"
        assert (result.value, result.location) == (1, "here")

    def test_another_value(self, kind):
        result = make(kind, value=1, location="here")
        again = result.from_value(2)
        assert type(again) is kind
        assert (again.value, again.location) == (2, None)
        assert (result.value, result.location) == (1, "here")

    def test_equality_is_by_class_and_attributes(self, kind):
        result = make(kind, value=1, location="here")
        if kind is not SecretResult:
            assert result == make(kind, value=1, location="here")
        assert result != make(kind, value=2, location="here")
        assert result != make(kind, value=1, location="there")
        assert result != result.value
        assert [other for other in KINDS if result == make(other, value=1, location="here")] in (
            [kind],
            [],
        )
        assert result != NoResult != result

    def test_it_survives_pickling(self, kind):
        result = make(kind, value=[1], location="here")
        again = pickle.loads(pickle.dumps(result))
        assert (type(again), again.value, again.location) == (kind, [1], "here")

    def test_it_can_be_a_member_of_a_set(self, kind):
        assert len({make(kind, value=[]), make(kind, value=[])}) == 2


def test_the_serializer_is_compared():
    assert Result(serializer=JSONSerializer()) != Result()
    assert Result(serializer=PickleSerializer()) == Result()
    assert isinstance(Result().serializer, PickleSerializer)


# -- locations ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [Result, LocalResult, PrefectResult, ConstantResult], ids=lambda kind: kind.__name__
)
class TestFormat:
    def test_a_template_is_filled_in(self, kind):
        result = kind(location="{day}/{config.backend}/{rows[0]}.pkl")
        config = SimpleNamespace(backend="local")
        made = result.format(day="monday", config=config, rows=[7], other=1)
        assert made.location == "monday/local/7.pkl"
        assert result.location == "{day}/{config.backend}/{rows[0]}.pkl"
        assert made.format(day="tuesday").location == "monday/local/7.pkl"

    def test_a_function_gives_the_location(self, kind):
        result = kind(location=lambda **given: f"{given['day']}-{{kept}}")
        assert result.location is None
        made = result.format(day="monday", other=1)
        assert made.location == "monday-{kept}"
        assert result.location is None
        assert result.format(day="tuesday").location == "tuesday-{kept}"

    def test_the_function_is_not_compared(self, kind):
        assert kind(location=lambda **_: "a") == kind(location=lambda **_: "b") == kind()

    def test_without_either_there_is_a_location_by_the_time(self, kind):
        with clock.use_clock(clock.VirtualClock(NOON.timestamp())):
            one, other = kind().format().location, kind().format().location
        assert one != other
        assert "2013" in one

    def test_a_name_that_is_not_there(self, kind):
        with pytest.raises(KeyError, match="day"):
            kind(location="{day}").format(month=1)

    def test_a_location_can_be_set(self, kind):
        result = kind(location=lambda **_: "function")
        result.location = "text"
        assert result.format().location == "text"
        result.location = lambda **_: "function"
        assert result.location is None
        assert result.format().location == "function"


def test_the_default_location_is_by_the_day():
    with clock.use_clock(clock.VirtualClock(NOON.timestamp())):
        assert Result().default_location.startswith("2013/01/01/")


# -- the base, and no result ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [lambda r: r.exists("x", a=1), lambda r: r.read("x"), lambda r: r.write(1, value=2)],
    ids=["exists", "read", "write"],
)
@pytest.mark.parametrize("result", [Result(1), NoResult], ids=["base", "none"])
def test_the_base_keeps_nothing(result, call):
    with pytest.raises(
        ResultNotImplementedError, match=r"does not define.*in memory only"
    ) as info:
        call(result)
    assert isinstance(info.value, NotImplementedError)


class TestNoResult:
    def test_it_is_the_only_one(self):
        assert pickle.loads(pickle.dumps(NoResult)) is NoResult
        assert copy.copy(NoResult) is NoResult
        assert copy.deepcopy(NoResult) is NoResult
        assert NoResult.copy() is NoResult
        assert NoResult.format(a=1) is NoResult

    def test_it_is_equal_to_its_like_only(self):
        assert NoResultType() == NoResult
        assert NoResult != Result()
        assert Result() != NoResult
        assert NoResult is not None

    def test_it_has_nothing(self):
        assert NoResult.value is None
        assert NoResult.location is None
        assert repr(NoResult) == "<NoResultType: None>"

    def test_another_value_makes_a_result(self):
        assert NoResult.from_value(1) == Result(1)
        assert NoResult.value is None


# -- files ----------------------------------------------------------------------------------------


class TestLocalResultFolder:
    def test_it_is_in_the_home_by_default(self, penstock_home):
        assert LocalResult().dir == str(penstock_home / "results")
        assert (penstock_home / "results").is_dir()

    @pytest.mark.parametrize("inside", [".", "results", "deep/er"])
    def test_any_folder_in_the_home_is_that_one(self, penstock_home, inside):
        assert LocalResult(dir=str(penstock_home / inside)).dir == str(penstock_home / "results")

    def test_another_folder_is_taken(self, tmp_path):
        assert LocalResult(dir=str(tmp_path / "a" / "b")).dir == str(tmp_path / "a" / "b")
        assert (tmp_path / "a" / "b").is_dir()

    def test_a_folder_whose_name_begins_like_the_home_is_another(self, penstock_home):
        beside = f"{penstock_home}-beside"
        assert LocalResult(dir=beside).dir == beside

    def test_a_relative_folder_is_made_absolute(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert LocalResult(dir="here").dir == str(tmp_path / "here")

    def test_a_folder_in_the_users_home_is_taken(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        assert LocalResult(dir="~/data").dir == str(tmp_path / "data")

    def test_it_need_not_be_made(self, tmp_path):
        result = LocalResult(dir=str(tmp_path / "later"), validate_dir=False)
        assert not (tmp_path / "later").exists()
        assert result.write(1, location="x").value == 1
        assert (tmp_path / "later").is_dir()

    def test_the_folder_is_compared(self, tmp_path):
        assert LocalResult(dir=str(tmp_path / "a")) != LocalResult(dir=str(tmp_path / "b"))
        assert LocalResult(dir=str(tmp_path / "a")) == LocalResult(dir=str(tmp_path / "a"))


class TestLocalResult:
    @pytest.fixture
    def folder(self, tmp_path):
        return tmp_path / "results"

    @pytest.mark.parametrize("serializer", [None, JSONSerializer()], ids=["pickle", "json"])
    def test_a_value_is_written_and_read(self, folder, serializer):
        result = LocalResult(dir=str(folder), location="a/{day}.x", serializer=serializer)
        written = result.write({"rows": [1, 2]}, day="monday", value="an input of this name")
        assert written.location == str(folder / "a" / "monday.x")
        assert written.value == {"rows": [1, 2]}
        assert (result.value, result.location) == (None, "a/{day}.x")
        assert [file.name for file in (folder / "a").iterdir()] == ["monday.x"]

        read = result.read("a/monday.x")
        assert (read.value, read.location) == ({"rows": [1, 2]}, "a/monday.x")
        assert result.read(written.location).value == {"rows": [1, 2]}
        assert result.value is None

    def test_json_is_a_file_that_others_can_read(self, folder):
        result = LocalResult(dir=str(folder), location="x.json", serializer=JSONSerializer())
        assert json.loads(Path(result.write([1]).location).read_text()) == [1]

    def test_without_a_location_the_name_tells_the_time(self, folder):
        written = LocalResult(dir=str(folder)).write(1)
        assert Path(written.location).parent == folder
        assert LocalResult(dir=str(folder)).read(written.location).value == 1
        assert written.location != LocalResult(dir=str(folder)).write(1).location

    def test_a_location_may_be_a_full_path(self, folder, tmp_path):
        elsewhere = tmp_path / "elsewhere" / "x"
        written = LocalResult(dir=str(folder), location=str(elsewhere)).write(1)
        assert written.location == str(elsewhere)
        assert LocalResult(dir=str(folder)).read(str(elsewhere)).value == 1

    def test_what_is_written_takes_the_place_of_what_was_there(self, folder):
        result = LocalResult(dir=str(folder), location="x")
        result.write(1)
        result.write(2)
        assert result.read("x").value == 2

    def test_a_link_stays_a_link(self, folder, tmp_path):
        folder.mkdir()
        (folder / "x").symlink_to(tmp_path / "large-disk")
        written = LocalResult(dir=str(folder), location="x").write(1)
        assert written.location == str(folder / "x")
        assert (folder / "x").is_symlink()
        assert (tmp_path / "large-disk").is_file()

    def test_what_exists(self, folder):
        result = LocalResult(dir=str(folder))
        assert not result.exists("{day}.x", day="monday")
        written = LocalResult(dir=str(folder), location="{day}.x").write(1, day="monday")
        assert result.exists("{day}.x", day="monday", other=1)
        assert result.exists("monday.x")
        assert result.exists(written.location)
        assert not result.exists("{day}.x", day="tuesday")

    def test_a_file_that_is_not_there(self, folder):
        with pytest.raises(FileNotFoundError):
            LocalResult(dir=str(folder)).read("nothing")

    def test_a_value_that_cannot_be_written_leaves_what_was_there(self, folder):
        result = LocalResult(dir=str(folder), location="x", serializer=JSONSerializer())
        result.write(1)
        with pytest.raises(TypeError, match="JSON serializable"):
            result.write(object())
        assert result.read("x").value == 1
        assert [file.name for file in folder.iterdir()] == ["x"]

    def test_it_can_be_written_to_survive_loss_of_power(self, folder):
        with temporary_settings({PENSTOCK_STORE_DURABILITY: "full"}):
            written = LocalResult(dir=str(folder), location="x").write(1)
        assert LocalResult(dir=str(folder)).read(written.location).value == 1


# -- values that are their own location -----------------------------------------------------------


class TestPrefectResult:
    @pytest.mark.parametrize(
        ("value", "location"),
        [
            (1, "1"),
            ("x", '"x"'),
            (None, "null"),
            ({"a": [1, None]}, '{"a": [1, null]}'),
        ],
        ids=["number", "text", "none", "dict"],
    )
    def test_the_location_is_the_value(self, value, location):
        result = PrefectResult()
        written = result.write(value, a=1)
        assert (written.value, written.location) == (value, location)
        assert (result.value, result.location) == (None, None)
        read = result.read(location)
        assert (read.value, read.location) == (value, location)

    def test_times(self):
        result = PrefectResult(serializer=DateTimeSerializer())
        written = result.write(NOON)
        assert written.location == "2013-01-01T12:00:00+00:00"
        assert result.read(written.location).value == NOON
        assert result.exists(written.location)
        assert not result.exists("soon")

    @pytest.mark.parametrize(
        ("location", "exists"),
        [
            ("1", True),
            ('{"a": 1}', True),
            ("{a: 1}", False),
            ("", False),
            (1, False),
            (None, False),
        ],
        ids=["number", "object", "no json", "empty", "no text", "none"],
    )
    def test_what_exists(self, location, exists):
        assert PrefectResult().exists(location, a=1) is exists

    @pytest.mark.parametrize("serializer", [PickleSerializer(), "json", 5], ids=str)
    def test_other_serializers_are_refused(self, serializer):
        with pytest.raises(TypeError, match=r"only supports a JSONSerializer .* not "):
            PrefectResult(serializer=serializer)
        result = PrefectResult()
        with pytest.raises(TypeError, match="PrefectResult only supports"):
            result.serializer = serializer
        assert isinstance(result.serializer, JSONSerializer)

    def test_another_that_writes_text_can_be_set(self):
        result = PrefectResult()
        result.serializer = DateTimeSerializer()
        assert result.write(NOON).location.startswith("2013")
        assert result != PrefectResult()

    def test_what_json_has_nothing_for(self):
        with pytest.raises(TypeError, match="JSON serializable"):
            PrefectResult().write({1, 2})


# -- values that are kept nowhere -----------------------------------------------------------------


class TestConstantResult:
    def test_it_is_what_is_read(self):
        result = ConstantResult(value=5)
        assert result.read("anywhere") is result
        assert result.exists("anywhere", a=1)
        assert result.value == 5

    def test_it_is_not_written(self):
        with pytest.raises(ValueError, match="Cannot write values to a ConstantResult"):
            ConstantResult(value=5).write(6)


class TestSecretResult:
    def test_it_is_asked_of_the_task(self):
        result = SecretResult(Secret())
        assert result.location == "PASSWORD"
        read = result.read(result.location)
        assert (read.value, read.location) == ("the secret of PASSWORD", "PASSWORD")
        assert result.read("OTHER").value == "the secret of OTHER"
        assert result.value is None

    def test_another_name(self):
        assert SecretResult(Secret(), location="OTHER").location == "OTHER"

    def test_it_is_not_written(self):
        with pytest.raises(ValueError, match="Cannot write values to a SecretResult"):
            SecretResult(Secret()).write(6)

    def test_whether_it_exists_is_not_known(self):
        with pytest.raises(ResultNotImplementedError):
            SecretResult(Secret()).exists("PASSWORD")


@pytest.mark.parametrize("kind", [ConstantResult, SecretResult], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("serializer", [None, JSONSerializer()], ids=["none", "json"])
def test_no_serializer_is_taken_where_nothing_is_written(kind, serializer):
    with pytest.raises(ValueError, match=f"{kind.__name__} takes no serializer"):
        make(kind, serializer=serializer)


# -- a kind of one's own --------------------------------------------------------------------------


class Memory(Result):
    """Keeps values in a dictionary."""

    shelf: dict = {}  # noqa: RUF012 - shared on purpose

    def exists(self, location, **kwargs):
        return location.format(**kwargs) in self.shelf

    def read(self, location):
        made = self.copy()
        made.value, made.location = self.serializer.deserialize(self.shelf[location]), location
        return made

    def write(self, value_, **kwargs):
        made = self.format(**kwargs)
        self.shelf[made.location] = self.serializer.serialize(value_)
        made.value = value_
        return made


def test_a_kind_of_ones_own():
    class Upper(Serializer):
        def serialize(self, value):
            return value.upper().encode()

        def deserialize(self, value):
            return value.decode()

    result = Memory(location="{day}", serializer=Upper())
    assert result.write("abc", day="monday").location == "monday"
    assert result.exists("{day}", day="monday")
    assert result.read("monday").value == "ABC"
