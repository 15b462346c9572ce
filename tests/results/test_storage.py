"""Local folders, and what a `result_storage` option may be."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from penstock.exceptions import UnreadableResult
from penstock.results import LocalFolder, Storage, check_storage_option, resolve_storage
from penstock.results.storage import describe_storage, find_storage
from penstock.settings import (
    PENSTOCK_DEFAULT_RESULT_STORAGE_BLOCK,
    PENSTOCK_LOCAL_STORAGE_PATH,
    PENSTOCK_STORE_DURABILITY,
    temporary_settings,
)


def test_what_is_written_can_be_read(tmp_path):
    folder = LocalFolder(tmp_path / "made" / "when" / "needed")
    folder.write_path("a/b.bin", b"\x00\xff")
    assert folder.read_path("a/b.bin") == b"\x00\xff"
    folder.write_path("a/b.bin", b"new")
    assert folder.read_path("a/b.bin") == b"new"


def test_making_one_touches_nothing(tmp_path):
    LocalFolder(tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        LocalFolder(tmp_path).read_path("nope")


@pytest.mark.parametrize("key", ["../out", "a/../../out", "/etc/passwd", "", ".", "a/..", "x\0y"])
def test_a_key_may_not_leave_the_folder(tmp_path, key):
    folder = LocalFolder(tmp_path / "in")
    with pytest.raises(ValueError, match="lead out"):
        folder.write_path(key, b"x")
    with pytest.raises(ValueError, match="lead out"):
        folder.read_path(key)


def test_a_link_may_not_lead_out_of_the_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="lead out"):
        LocalFolder(tmp_path / "in").write_path("link/out", b"x")


def test_an_absolute_key_inside_the_folder_is_taken(tmp_path):
    folder = LocalFolder(tmp_path)
    folder.write_path(str(tmp_path / "a"), b"x")
    assert folder.read_path("a") == b"x"


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_a_write_leaves_nothing_beside_its_file(tmp_path, durability):
    with temporary_settings({PENSTOCK_STORE_DURABILITY: durability}):
        LocalFolder(tmp_path / "in").write_path("a", b"x")
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    folder = LocalFolder(tmp_path / "in")
    folder.write_path("a", b"old")
    with pytest.raises(TypeError):
        folder.write_path("a", "no bytes")  # type: ignore[arg-type]
    assert folder.read_path("a") == b"old"
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a"]


def test_readers_never_see_a_part_of_a_file(tmp_path):
    folder = LocalFolder(tmp_path)
    contents = [bytes([number]) * 300_000 for number in range(4)]
    folder.write_path("a", contents[0])
    seen = set()
    is_done = threading.Event()

    def read():
        while not is_done.is_set():
            seen.add(folder.read_path("a"))

    reader = threading.Thread(target=read)
    reader.start()
    for content in contents * 10:
        folder.write_path("a", content)
    is_done.set()
    reader.join()
    assert seen <= set(contents)


def test_a_kill_in_the_middle_leaves_no_half_written_file(tmp_path):
    script = tmp_path / "write.py"
    script.write_text(
        "import os, pathlib, sys\n"
        "from penstock.results import LocalFolder\n"
        "def die(self, target): os._exit(9)\n"
        "pathlib.Path.replace = die\n"
        "LocalFolder(sys.argv[1]).write_path('a', b'x' * 1000)\n"
    )
    folder = tmp_path / "kept"
    ended = subprocess.run([sys.executable, script, folder], check=False, env=environment())
    assert ended.returncode == 9
    with pytest.raises(FileNotFoundError):
        LocalFolder(folder).read_path("a")


def environment() -> dict[str, str]:
    """Give a child process the same modules as this one."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def test_the_default_is_the_local_storage_path(tmp_path):
    with temporary_settings({PENSTOCK_LOCAL_STORAGE_PATH: tmp_path / "kept"}):
        storage = resolve_storage()
    assert describe_storage(storage) == {"kind": "local", "path": str(tmp_path / "kept")}


def test_a_saved_block_can_be_the_default(tmp_path):
    from penstock.filesystems import LocalFileSystem

    LocalFileSystem(basepath=str(tmp_path / "kept")).save("results")
    name = "local-file-system/results"
    with temporary_settings({PENSTOCK_DEFAULT_RESULT_STORAGE_BLOCK: name}):
        resolve_storage().write_path("a", b"x")
    assert (tmp_path / "kept" / "a").read_bytes() == b"x"
    assert describe_storage(resolve_storage(name)) == {"kind": "block", "block": name}


def test_a_block_that_is_no_storage_is_refused():
    from penstock.blocks import String

    String(value="x").save("greeting")
    with pytest.raises(ValueError, match=r"no storage.*String"):
        resolve_storage("string/greeting")


def test_a_path_is_a_folder(tmp_path):
    assert describe_storage(resolve_storage(tmp_path)) == {"kind": "local", "path": str(tmp_path)}


def test_the_home_folder_is_written_as_users_write_it():
    assert Path.home() / "kept" == LocalFolder("~/kept").basepath


def test_a_url_is_a_remote_file_system():
    storage = resolve_storage("memory://kept")
    storage.write_path("a", b"x")
    descriptor = describe_storage(storage)
    assert descriptor == {"kind": "fsspec", "url": "memory://kept"}
    assert find_storage(descriptor).read_path("a") == b"x"


class Own:
    """A storage as a user writes one."""

    def read_path(self, path):
        return b""

    def write_path(self, path, content):
        pass


class Half:
    def read_path(self, path):
        return b""


class Async:
    async def read_path(self, path):
        return b""

    async def write_path(self, path, content):
        pass


def test_any_object_that_reads_and_writes_is_a_storage():
    storage = Own()
    assert isinstance(storage, Storage)
    assert resolve_storage(storage) is storage


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        (5, "read_path and write_path"),
        (Half(), "has no write_path"),
        (Own, "Make an instance"),
        (Async(), "coroutine function"),
        ("results", "names no storage"),
        ("a/b/c", "names no storage"),
        ("", "names no storage"),
    ],
)
def test_anything_else_is_refused_before_it_is_used(option, problem):
    with pytest.raises(TypeError, match=problem):
        check_storage_option(option)
    with pytest.raises(TypeError, match=problem):
        resolve_storage(option)


def test_the_form_is_checked_without_looking_the_storage_up():
    check_storage_option("local-file-system/not-saved-yet")
    check_storage_option("s3://bucket/results")
    check_storage_option(None)


@pytest.mark.parametrize(
    "descriptor",
    [{}, {"kind": "hologram"}, {"kind": "object", "class": "shop.Memory"}, {"kind": "fsspec"}],
)
def test_a_storage_that_cannot_be_found_is_named(descriptor):
    with pytest.raises(UnreadableResult, match="task run 'a'"):
        find_storage(descriptor, "The result of task run 'a'")
