"""Which tier keeps a value, and what happens where none can."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import Any
from uuid import uuid4

import pytest

from penstock.exceptions import MissingResult
from penstock.results import (
    InlineResult,
    LiteralResult,
    LocalFolder,
    PersistedResult,
    ResultFactory,
    UnpersistedResult,
    from_record,
)
from penstock.settings import (
    PENSTOCK_DEFAULT_RESULT_STORAGE_BLOCK,
    PENSTOCK_LOCAL_STORAGE_PATH,
    PENSTOCK_RESULTS_DEFAULT_SERIALIZER,
    temporary_settings,
)

LARGE = "x" * 70_000


class Refusing:
    """A storage that is full."""

    def read_path(self, path):
        raise OSError("no space left on device")

    def write_path(self, path, content):
        raise OSError("no space left on device")


class Unpicklable:
    """Holds what no pickler can write."""

    def __init__(self):
        self.lock = threading.Lock()


def kept(factory: ResultFactory, value: Any, **key_context: Any) -> Any:
    """Do as the engine does."""
    return factory.inline(value) or factory.create(value, key_context)


@pytest.mark.parametrize("persist", [None, True])
@pytest.mark.parametrize("value", [None, True, False, uuid4()])
def test_literals_are_kept_as_themselves(persist, value):
    result = ResultFactory(persist=persist).inline(value)
    assert type(result) is LiteralResult
    assert from_record(*result.record()).get() == value


@pytest.mark.parametrize(
    "value",
    [
        0,
        1.5,
        "text",
        b"bytes",
        [1, [2]],
        {"type": "literal", "value": True},
        {"type": "reference", "storage_key": "x"},
        ValueError("no"),
    ],
)
def test_a_small_value_is_kept_in_the_row(value):
    result = ResultFactory().inline(value)
    assert type(result) is InlineResult
    assert result.get() is value
    again = from_record(*result.record()).get()
    assert repr(again) == repr(value)


def test_a_large_value_goes_to_the_local_folder(tmp_path):
    with temporary_settings({PENSTOCK_LOCAL_STORAGE_PATH: tmp_path / "kept"}):
        factory = ResultFactory()
        assert factory.inline(LARGE) is None
        result = factory.create(LARGE, {})
        assert type(result) is PersistedResult
        assert result.get() is LARGE
        assert len(list((tmp_path / "kept").iterdir())) == 1
    assert from_record(*result.record()).get() == LARGE


def test_the_limit_is_the_largest_pickled_form_that_is_inline():
    size = len(ResultFactory().inline([LARGE[:100]]).record()[1])
    assert ResultFactory(inline_limit_bytes=size).inline([LARGE[:100]]) is not None
    assert ResultFactory(inline_limit_bytes=size - 1).inline([LARGE[:100]]) is None


def test_persist_true_writes_small_values_too(tmp_path):
    factory = ResultFactory(persist=True, storage=LocalFolder(tmp_path))
    assert factory.inline(5) is None
    result = factory.create(5, {})
    assert from_record(*result.record()).get() == 5


def test_persist_false_keeps_the_value_in_memory_only():
    factory = ResultFactory(persist=False)
    for value in (5, LARGE, True, None):
        result = kept(factory, value)
        assert type(result) is UnpersistedResult
        assert result.get() is value
        assert result.record() == (None, None)


def test_persist_false_without_cache_keeps_none_only():
    factory = ResultFactory(persist=False, cache_in_memory=False, owner="task 'load'")
    with pytest.raises(MissingResult, match=r"task 'load'.*persist_result=False.*cache_result"):
        kept(factory, 5).get()
    assert kept(factory, None).get() is None


def test_without_cache_values_are_read_again(tmp_path):
    for persist in (None, True):
        factory = ResultFactory(persist, LocalFolder(tmp_path), cache_in_memory=False)
        result = kept(factory, [1])
        assert not result.has_cached_object()
        assert result.get() == [1]
        assert not result.has_cached_object()


def test_an_unpicklable_value_stays_in_memory_and_says_so_once(caplog):
    value = Unpicklable()
    factory = ResultFactory(owner="task 'connect'")
    with caplog.at_level(logging.WARNING):
        result = factory.inline(value)
        factory.inline(Unpicklable())
    assert type(result) is UnpersistedResult
    assert result.get() is value
    (record,) = caplog.records
    text = record.getMessage()
    assert "task 'connect'" in text
    assert "lock" in text
    assert "Unpicklable" in text
    assert "executed again" in text
    assert "persist_result=False" in text


def test_an_unpicklable_exception_is_no_reason_to_warn(caplog):
    error = ValueError(threading.Lock())
    result = ResultFactory().inline(error)
    assert result.get() is error
    assert not caplog.records


def test_warnings_go_to_the_run_s_logger(caplog):
    logger = logging.getLogger("the.run")
    ResultFactory(persist=True, storage=Refusing(), logger=logger).create([1], {})
    assert [record.name for record in caplog.records] == ["the.run"]


@pytest.mark.parametrize("persist", [None, True])
def test_a_full_storage_does_not_fail_the_run(persist, caplog):
    factory = ResultFactory(persist, Refusing(), owner="task 'load'", inline_limit_bytes=10)
    result = kept(factory, LARGE)
    assert result.get() is LARGE
    assert result.record() == (None, None)
    text = caplog.text
    assert "task 'load'" in text
    assert "no space left on device" in text
    assert "in memory" in text


def test_a_serializer_that_cannot_write_the_value_does_not_fail_the_run(tmp_path, caplog):
    factory = ResultFactory(True, tmp_path, "json", owner="task 'load'")
    value = Unpicklable()
    assert kept(factory, value).get() is value
    assert "Unpicklable" in caplog.text
    assert not list(tmp_path.iterdir())


def test_the_key_is_a_template(tmp_path):
    factory = ResultFactory(True, tmp_path, storage_key="{parameters[day]}/{flow_run}.pkl")
    result = factory.create([1], {"parameters": {"day": "mon"}, "flow_run": "tidy-fox"})
    assert result.storage_key == "mon/tidy-fox.pkl"
    assert (tmp_path / "mon" / "tidy-fox.pkl").exists()


def test_the_same_key_overwrites(tmp_path):
    factory = ResultFactory(True, tmp_path, storage_key="one")
    first, second = factory.create([1], {}), factory.create([2], {})
    assert from_record(*first.record()).get() == from_record(*second.record()).get() == [2]


def test_random_keys_differ(tmp_path):
    factory = ResultFactory(True, tmp_path)
    assert factory.create([1], {}).storage_key != factory.create([1], {}).storage_key


def test_a_key_that_is_no_text_is_refused(tmp_path):
    factory = ResultFactory(True, tmp_path, storage_key=5, owner="task 'load'")
    with pytest.raises(TypeError, match=r"task 'load'.*int"):
        factory.create([1], {})


@pytest.mark.parametrize("template", ["{parameters[month]}", "{nope}", "{", "{parameters.x}"])
def test_a_key_that_cannot_be_filled_in_says_what_there_is(tmp_path, template):
    factory = ResultFactory(True, tmp_path, storage_key=template)
    with pytest.raises(ValueError, match=r"may name parameters.*parameters are: day"):
        factory.create([1], {"parameters": {"day": 1}})


def test_a_key_may_not_lead_out_of_the_folder(tmp_path, caplog):
    folder = tmp_path / "in"
    factory = ResultFactory(True, folder, storage_key="../out")
    assert factory.create([1], {}).get() == [1]
    assert "lead out" in caplog.text
    assert not (tmp_path / "out").exists()


def test_the_default_serializer_is_a_setting(tmp_path):
    with temporary_settings({PENSTOCK_RESULTS_DEFAULT_SERIALIZER: "json"}):
        result = ResultFactory(True, tmp_path).create([1], {})
    assert result.serializer_type == "json"


def test_a_missing_default_block_is_an_error_at_first_use():
    name = "local-file-system/nope"
    with (
        temporary_settings({PENSTOCK_DEFAULT_RESULT_STORAGE_BLOCK: name}),
        pytest.raises(ValueError, match=r"PENSTOCK_DEFAULT_RESULT_STORAGE_BLOCK.*nope"),
    ):
        ResultFactory(True).create([1], {})


@pytest.mark.parametrize("storage", [5, object(), "nowhere"])
def test_what_is_no_storage_is_refused(storage):
    with pytest.raises(TypeError, match="result_storage"):
        ResultFactory(True, storage).create([1], {})


def test_a_small_value_needs_no_heavy_import():
    script = (
        "import sys\n"
        "from penstock.results import ResultFactory, fingerprint\n"
        "ResultFactory().inline({'a': [1]}).record(); fingerprint({'a': {1}})\n"
        "heavy = {'pydantic', 'cloudpickle', 'fsspec', 'asyncio', 'sqlalchemy', 'lzma', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert printed.stdout.strip() == "[]"
