"""Results in storage: what is written, and what is said of one that cannot be read back."""

from __future__ import annotations

import json
import pickle
import sys
from types import ModuleType
from typing import Literal

import pytest

from penstock.exceptions import MissingResult, PenstockException, UnreadableResult
from penstock.filesystems import RemoteFileSystem
from penstock.results import (
    LocalFolder,
    PersistedResult,
    PersistedResultBlob,
    ResultFactory,
    from_record,
)
from penstock.serializers import JSONSerializer, PickleSerializer, Serializer


@pytest.fixture
def written(tmp_path):
    """Write a result at the key `k`, and give its result as another process would read it."""

    def write(value, serializer="pickle"):
        factory = ResultFactory(True, tmp_path, serializer, storage_key="k")
        result = factory.create(value, {})
        return from_record(*result.record(), where="task run 'load-0'")

    return write


def refused(result: PersistedResult) -> str:
    """Give what is said of an unreadable result, which names run, key and folder."""
    with pytest.raises(UnreadableResult) as caught:
        result.get()
    text = str(caught.value)
    assert isinstance(caught.value, PenstockException)
    assert isinstance(caught.value, ValueError)
    assert "task run 'load-0'" in text
    assert "'k'" in text
    return text


def test_the_blob_can_be_read_without_the_run(tmp_path, written):
    written([1, 2], "json")
    blob = json.loads((tmp_path / "k").read_bytes())
    assert blob["data"] == "[1, 2]"
    assert blob["serializer"]["type"] == "json"
    assert isinstance(blob["penstock_version"], str)
    assert PersistedResultBlob.from_bytes((tmp_path / "k").read_bytes()).value() == [1, 2]


def test_the_blob_names_the_serializer_that_reads_it(tmp_path, written):
    written({"rows": 3}, "compressed/json")
    blob = PersistedResultBlob.parse_raw((tmp_path / "k").read_bytes())
    assert blob.serializer.type == "compressed/json"
    assert blob.serializer.loads(blob.data) == {"rows": 3}


def test_a_result_has_the_id_of_the_block_it_is_in(tmp_path, written):
    assert written([1]).storage_block_id is None
    storage = RemoteFileSystem(basepath="memory://blobs", settings={"key": "secret"})
    saved_id = storage.save("blobs")
    result = ResultFactory(True, storage).create([1], {})
    assert result.storage_block_id == saved_id
    assert from_record(*result.record()).storage_block_id == saved_id
    RemoteFileSystem.delete("blobs")
    with pytest.raises(UnreadableResult, match="No block is saved as remote-file-system/blobs"):
        from_record(*result.record()).storage_block_id  # noqa: B018 - a property that looks it up


def test_a_blob_round_trips_whatever_bytes_the_serializer_writes():
    class RawSerializer(Serializer):
        type: Literal["raw"] = "raw"

        def dumps(self, value):
            return value

        def loads(self, data):
            return data

    blob = PersistedResultBlob.of(b"\xff\x00\xfe", RawSerializer())
    assert PersistedResultBlob.from_bytes(blob.to_bytes()).value() == b"\xff\x00\xfe"


def test_a_result_is_read_once_and_then_held(tmp_path, written):
    result = written({"a": 1})
    assert not result.has_cached_object()
    value = result.get()
    (tmp_path / "k").unlink()
    assert result.get() is value


def test_a_result_says_where_it_is(tmp_path, written):
    result = written([1])
    assert "`k`" in result.artifact_description
    assert str(tmp_path) in result.artifact_description
    assert result.storage_descriptor == {"kind": "local", "path": str(tmp_path)}


def test_a_missing_file_is_a_missing_result(tmp_path, written):
    result = written([1])
    (tmp_path / "k").unlink()
    with pytest.raises(MissingResult, match=r"'load-0'.*'k'.*deleted or moved.*new run") as caught:
        result.get()
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[]", b'{"data": "x"}', b'{"data": 1, "serializer": {}}']
)
def test_a_corrupt_file_is_unreadable(tmp_path, written, content):
    result = written([1])
    (tmp_path / "k").write_bytes(content)
    assert "cut or changed" in refused(result)


def test_a_file_that_was_cut_is_unreadable(tmp_path, written):
    result = written(list(range(100)))
    content = (tmp_path / "k").read_bytes()
    for length in range(0, len(content) - 1, 7):
        (tmp_path / "k").write_bytes(content[:length])
        refused(result)


def test_changed_data_is_unreadable(tmp_path, written):
    result = written(list(range(100)))
    blob = json.loads((tmp_path / "k").read_bytes())
    blob["data"] = blob["data"][:40]
    (tmp_path / "k").write_text(json.dumps(blob))
    assert "corrupt" in refused(result)


def test_a_folder_in_the_file_s_place_is_unreadable(tmp_path, written):
    result = written([1])
    (tmp_path / "k").unlink()
    (tmp_path / "k").mkdir()
    assert "can be reached and read" in refused(result)


def test_a_class_that_is_gone_is_named(monkeypatch, written):
    module = ModuleType("shop_orders")
    exec("class Order:\n    pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "shop_orders", module)
    result = written(module.Order())
    del module.Order
    text = refused(result)
    assert "'Order'" in text
    assert "'shop_orders'" in text
    monkeypatch.delitem(sys.modules, "shop_orders")
    assert "'shop_orders'" in refused(result)


def test_an_unknown_serializer_is_named(tmp_path, written):
    result = written([1])
    blob = json.loads((tmp_path / "k").read_bytes())
    blob["serializer"] = {"type": "pikle"}
    (tmp_path / "k").write_text(json.dumps(blob))
    text = refused(result)
    assert "'pikle'" in text
    assert "Did you mean 'pickle'" in text


def test_the_wrong_serializer_is_unreadable(tmp_path, written):
    result = written([1])
    blob = json.loads((tmp_path / "k").read_bytes())
    blob["serializer"] = {"type": "json"}
    (tmp_path / "k").write_text(json.dumps(blob))
    assert "'json' raised" in refused(result)


def test_an_option_of_a_newer_serializer_is_named(tmp_path, written):
    result = written([1], "json")
    blob = json.loads((tmp_path / "k").read_bytes())
    blob["serializer"]["compact"] = True
    (tmp_path / "k").write_text(json.dumps(blob))
    assert "'compact'" in refused(result)


class Memory:
    """A storage that only this process knows."""

    def __init__(self):
        self.files = {}

    def read_path(self, path):
        return self.files[path]

    def write_path(self, path, content):
        self.files[path] = content


def test_a_storage_of_this_process_serves_this_process_and_is_named_in_others():
    factory = ResultFactory(True, Memory(), cache_in_memory=False, storage_key="k")
    result = factory.create([1], {})
    assert result.get() == [1]
    elsewhere = from_record(*result.record(), where="task run 'load-0'")
    text = refused(elsewhere)
    assert "Memory" in text
    assert "penstock.blocks.Block" in text


def test_a_storage_that_breaks_is_unreadable():
    storage = Memory()
    result = PersistedResult("pickle", storage, "k", where="task run 'load-0'")
    assert "KeyError" in refused(result)


@pytest.mark.parametrize("descriptor", [{"kind": "local"}, {"kind": "block", "block": "nope/x"}])
def test_a_descriptor_that_leads_nowhere_is_unreadable(descriptor):
    result = PersistedResult("pickle", descriptor, "k", where="task run 'load-0'")
    assert "cannot be opened" in refused(result)


def test_a_record_never_holds_the_value(tmp_path):
    result = PersistedResult("pickle", LocalFolder(tmp_path), "k", {"password": "hunter2"})
    assert b"hunter2" not in result.record()[1]
    assert b"hunter2" not in pickle.dumps(result)


def test_both_serializers_read_what_the_other_process_wrote(tmp_path):
    for serializer in (PickleSerializer(), JSONSerializer()):
        blob = PersistedResultBlob.of({"a": [1, 2]}, serializer)
        assert PersistedResultBlob.from_bytes(blob.to_bytes()).value() == {"a": [1, 2]}
