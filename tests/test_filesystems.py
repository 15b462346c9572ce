"""File systems: one contract for local and remote ones, and results that are kept in them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from pathlib import Path

import fsspec
import pydantic
import pytest

from penstock.blocks import Block
from penstock.exceptions import MissingResult, UnreadableResult
from penstock.filesystems import (
    LocalFileSystem,
    ReadableFileSystem,
    RemoteFileSystem,
    WritableFileSystem,
)
from penstock.results import ResultFactory, from_record


def local(tmp_path):
    return LocalFileSystem(basepath=str(tmp_path / "base"))


def memory(tmp_path):
    return RemoteFileSystem(basepath=f"memory://{uuid.uuid4()}/base")


def file_url(tmp_path):
    return RemoteFileSystem(basepath=f"file://{tmp_path}/base/")


@pytest.fixture(params=[local, memory, file_url], ids=["local", "memory", "file"])
def files(request, tmp_path):
    return request.param(tmp_path)


def test_what_is_written_can_be_read(files):
    written_at = files.write_path("a/b.bin", b"\x00\xff")
    assert written_at.endswith("base/a/b.bin")
    assert files.read_path("a/b.bin") == b"\x00\xff"
    files.write_path("a/b.bin", b"new")
    assert files.read_path("a/b.bin") == b"new"
    assert files.read_path(written_at) == b"new"


def test_a_missing_file_is_not_found(files):
    with pytest.raises(FileNotFoundError):
        files.read_path("nope")


@pytest.mark.parametrize("path", ["../out", "a/../../out", "/etc/passwd", ""])
def test_a_path_may_not_lead_out(files, path):
    with pytest.raises(ValueError, match="lead out"):
        files.write_path(path, b"x")
    with pytest.raises(ValueError, match="lead out"):
        files.read_path(path)


@pytest.mark.parametrize("path", ["a/", "s3://bucket/key"])
def test_a_remote_path_is_a_key_below_the_base_path(tmp_path, path):
    with pytest.raises(ValueError, match="lead out"):
        memory(tmp_path).write_path(path, b"x")


def test_async_code_calls_them_as_plain_functions(files):
    async def main():
        files.write_path("a", b"x")
        return files.read_path("a")

    assert asyncio.run(main()) == b"x"


def tree(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_folders_are_put_and_got(files, tmp_path):
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "a.txt").write_bytes(b"1")
    (source / "deep" / "er" / "b.txt").write_bytes(b"2")
    assert files.put_directory(str(source), "copies/one") == 2
    assert files.read_path("copies/one/deep/er/b.txt") == b"2"
    assert files.get_directory("copies/one", str(tmp_path / "back")) == 2
    assert tree(tmp_path / "back") == tree(source)
    assert files.get_directory(None, str(tmp_path / "all")) == 2
    assert set(tree(tmp_path / "all")) == {f"copies/one/{name}" for name in tree(source)}


def test_the_working_directory_is_the_default(files, tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.txt").write_bytes(b"1")
    monkeypatch.chdir(source)
    assert files.put_directory() == 1
    (tmp_path / "target").mkdir()
    monkeypatch.chdir(tmp_path / "target")
    assert files.get_directory() == 1
    assert tree(tmp_path / "target") == {"a.txt": b"1"}


def test_a_missing_folder_is_named(files, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nope"):
        files.get_directory("nope", str(tmp_path / "x"))
    with pytest.raises(FileNotFoundError, match=r"no folder .*nope"):
        files.put_directory(str(tmp_path / "nope"))


def test_a_remote_key_cannot_write_outside_of_the_target(tmp_path):
    base = f"memory://{uuid.uuid4()}"
    store = fsspec.filesystem("memory").store
    files = RemoteFileSystem(basepath=base)
    files.write_path("x", b"x")
    (name,) = [key for key in store if base.removeprefix("memory:/") in key]
    store[name.replace("/x", "/../../evil")] = store[name]
    with pytest.raises(ValueError, match="copied out of"):
        files.get_directory(None, str(tmp_path / "in" / "target"))
    assert not (tmp_path / "evil").exists()
    del store[name.replace("/x", "/../../evil")]


def test_results_are_kept_in_them_and_found_by_their_record(files):
    factory = ResultFactory(True, files)
    result = factory.create({"a": 1}, {})
    assert from_record(*result.record()).get() == {"a": 1}


def test_a_saved_file_system_is_named_in_the_record(files):
    files.save("results")
    result = ResultFactory(True, f"{files.get_block_type_slug()}/results").create([1], {})
    assert f"{files.get_block_type_slug()}/results".encode() in result.record()[1]
    assert from_record(*result.record()).get() == [1]


def test_another_process_reads_a_result(tmp_path):
    results = [
        ResultFactory(True, files).create([1], {})
        for files in (
            local(tmp_path),
            file_url(tmp_path),
            RemoteFileSystem(basepath=f"file://{tmp_path}/base", settings={"auto_mkdir": True}),
        )
    ]
    script = (
        "import sys\n"
        "from penstock.results import from_record\n"
        "for data in sys.argv[1:]:\n"
        "    print(from_record('reference', bytes.fromhex(data)).get())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, *(result.record()[1].hex() for result in results)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert ended.stdout.split() == ["[1]"] * 3, ended.stderr


def test_credentials_are_never_in_a_record_nor_printed(tmp_path):
    settings = {"auto_mkdir": True, "listings_expiry_time": 4711}
    files = RemoteFileSystem(basepath=f"file://{tmp_path}", settings=settings)
    result = ResultFactory(True, files).create([1], {})
    assert b"4711" not in result.record()[1]
    assert b"anonymous-" in result.record()[1]
    shown = f"{files} {files!r} {files.settings} {result!r} {files.model_dump()}"
    assert "4711" not in shown
    assert from_record(*result.record()).get() == [1]
    name = files.storage_descriptor()["block"]
    assert Block.load(name).settings.get_secret_value() == settings


def test_a_password_in_the_url_is_treated_as_one():
    files = RemoteFileSystem(basepath="sftp://me:hunter2@host/results")
    assert "hunter2" not in f"{files} {files!r}"
    assert files.storage_descriptor()["kind"] == "block"
    assert "hunter2" not in str(files.storage_descriptor())


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("results", "is no URL"),
        ("/results", "LocalFileSystem"),
        ("://x", "is no URL"),
        ("s3://", "names no folder"),
        ("memry://x", "Did you mean 'memory://'"),
        ("zzzz://x", "knows no scheme 'zzzz'"),
    ],
)
def test_a_bad_url_is_refused(url, problem):
    with pytest.raises(pydantic.ValidationError, match=problem):
        RemoteFileSystem(basepath=url)


def missing_scheme() -> tuple[str, str]:
    """Give a scheme of fsspec whose package is not installed, and the package."""
    for scheme, package in (("gs", "gcsfs"), ("abfs", "adlfs"), ("oss", "ossfs"), ("s3", "s3fs")):
        try:
            __import__(package)
        except ImportError:
            return scheme, package
    raise AssertionError("all of them are installed")


def test_a_missing_driver_comes_with_the_command_that_installs_it(caplog):
    scheme, package = missing_scheme()
    files = RemoteFileSystem(basepath=f"{scheme}://bucket/results")
    with pytest.raises(ImportError, match=f"pip install {package}"):
        files.read_path("a")
    result = ResultFactory(True, files, owner="task 'load'").create([1], {})
    assert result.get() == [1]
    assert f"pip install {package}" in caplog.text
    record = b'{"serializer":"pickle","storage":{"kind":"fsspec","url":"%s://b/x"},"key":"k"}'
    with pytest.raises(UnreadableResult, match=f"pip install {package}"):
        from_record("reference", record % scheme.encode()).get()


def test_wrong_settings_say_so():
    files = RemoteFileSystem(basepath="file://x", settings={"auto_mkdir": True})
    assert files.filesystem.auto_mkdir
    assert files.filesystem is files.filesystem


def test_a_local_file_system_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LocalFileSystem(basepath="kept").save("kept")
    LocalFileSystem(basepath=Path("kept")).write_path("a", b"x")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert LocalFileSystem.load("kept").read_path("a") == b"x"
    LocalFileSystem().write_path("b", b"y")
    assert (tmp_path / "elsewhere" / "b").read_bytes() == b"y"
    assert LocalFileSystem(basepath="~/x").basepath == str(Path.home() / "x")
    with pytest.raises(pydantic.ValidationError):
        LocalFileSystem(basepath=5)


class Shelf(WritableFileSystem):
    """A file system of a user's own."""

    folder: str

    def read_path(self, path):
        return (Path(self.folder) / path).read_bytes()

    def write_path(self, path, content):
        (Path(self.folder) / path).write_bytes(content)


def test_a_file_system_of_one_s_own_holds_results(tmp_path):
    result = ResultFactory(True, Shelf(folder=str(tmp_path))).create([1], {})
    assert b"shelf/anonymous-" in result.record()[1]
    assert from_record(*result.record()).get() == [1]
    for path in tmp_path.iterdir():
        if path.is_file():
            path.unlink()
    with pytest.raises(MissingResult):
        from_record(*result.record()).get()


def test_the_bases_are_no_file_systems():
    for base in (ReadableFileSystem, WritableFileSystem):
        with pytest.raises(TypeError, match="abstract"):
            base()
