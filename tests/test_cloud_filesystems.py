"""File systems of the clouds, over one that keeps what it is given; and repositories."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from typing import ClassVar

import fsspec
import pydantic
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from penstock import flow, task
from penstock.blocks import Block
from penstock.filesystems import GCS, S3, SMB, Azure, GitHub

SCHEMES = ("s3", "gcs", "az", "smb")
opened: list[dict[str, object]] = []


class Kept(MemoryFileSystem):
    """Keeps files in memory, and what it was made with."""

    protocol = SCHEMES
    cachable = False
    store: ClassVar[dict[str, object]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def __init__(self, **options):
        super().__init__()
        opened.append(options)

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(f"memory://{path.partition('://')[2] or path}")


@pytest.fixture(autouse=True)
def cloud():
    from fsspec.registry import _registry

    former = {scheme: _registry.get(scheme) for scheme in SCHEMES}
    for scheme in SCHEMES:
        fsspec.register_implementation(scheme, Kept, clobber=True)
    opened.clear()
    Kept.store.clear()
    yield
    for scheme, known in former.items():
        if known is None:
            _registry.pop(scheme)
        else:
            fsspec.register_implementation(scheme, known, clobber=True)


PLACES = {
    "s3": (
        S3(bucket_path="bucket/a", aws_access_key_id="me", aws_secret_access_key="hush"),
        "s3://bucket/a",
        {"key": "me", "secret": "hush"},
    ),
    "gcs": (
        GCS(bucket_path="/bucket/a/", service_account_info='{"id": 1}', project="mine"),
        "gcs://bucket/a",
        {"token": {"id": 1}, "project": "mine"},
    ),
    "azure": (
        Azure(bucket_path="a", azure_storage_container="box", azure_storage_account_key="hush"),
        "az://box/a",
        {"account_key": "hush", "anon": True},
    ),
    "smb": (
        SMB(share_path="/share/a", smb_host="server", smb_username="me", smb_password="hush"),
        "smb://server/share/a",
        {"username": "me", "password": "hush"},
    ),
}


@pytest.fixture(params=PLACES)
def place(request):
    return PLACES[request.param][0].model_copy(deep=True)


@pytest.mark.parametrize("name", PLACES)
def test_the_fields_say_where_it_is_and_who_may_use_it(name):
    made, url, options = PLACES[name]
    block = made.model_copy(deep=True)

    assert block.get_block_type_slug() == name
    assert block.basepath == url
    assert block.write_path("b/c.txt", b"fine") == f"{url}/b/c.txt"
    assert block.read_path("b/c.txt") == b"fine"
    assert opened == [options]
    assert "hush" not in repr(block)


def test_folders_are_copied_there_and_back(place, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "file").write_bytes(b"x")

    assert place.put_directory(str(tmp_path / "in"), "kept") == 1
    assert place.get_directory("kept", str(tmp_path / "out")) == 1
    assert (tmp_path / "out" / "deep" / "file").read_bytes() == b"x"


def test_saved_ones_are_found_by_name_and_hold_results(place):
    place.save("mine")
    slug = place.get_block_type_slug()
    assert Block.load(f"{slug}/mine") == place

    @task(persist_result=True, result_storage=f"{slug}/mine", result_storage_key="sum")
    def add(one, other):
        return one + other

    @flow
    def adds():
        return add(1, 2, return_state=True)

    state = adds()
    assert state.result() == 3
    assert place.read_path("sum")
    assert f"{slug}/mine" in repr(state.data)
    assert "hush" not in repr(state.data)


def test_a_type_that_nobody_has_imported_is_found_by_its_slug(tmp_path):
    SMB(share_path="share", smb_host="server").save("mine")
    GitHub(repository="https://github.com/me/flows").save("mine")
    code = (
        "from penstock.blocks import Block; print(Block.load('smb/mine').basepath,"
        " Block.load('github/mine').repository)"
    )
    import sys

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["smb://server/share", "https://github.com/me/flows"]


def test_what_needs_no_credentials_is_known_by_its_url_alone():
    assert S3(bucket_path="bucket/a").storage_descriptor() == {
        "kind": "fsspec",
        "url": "s3://bucket/a",
    }
    assert SMB(share_path="a", smb_host="server", smb_port=4450).basepath == "smb://server:4450/a"
    assert Azure(bucket_path="box/a").basepath == "az://box/a"


@pytest.mark.parametrize("path", ["s3://bucket/a", "", "/"])
def test_a_path_that_is_none_says_what_to_give(path):
    with pytest.raises(pydantic.ValidationError, match=r"as in S3\(bucket_path='bucket/results'"):
        S3(bucket_path=path)
    with pytest.raises(pydantic.ValidationError, match="as in SMB"):
        SMB(share_path=path, smb_host="server")


def test_a_key_that_is_a_file_name_is_refused_without_repeating_it():
    with pytest.raises(pydantic.ValidationError, match="the content of the key's file") as caught:
        GCS(bucket_path="bucket", service_account_info="hush.json")
    assert "hush" not in str(caught.value)


# -- repositories ---------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path):
    """Give the URL of a repository with a folder, and a tag without it."""
    folder = tmp_path / "origin"
    folder.mkdir()

    def git(line):
        who = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
        subprocess.run(["git", *who, *shlex.split(line)], cwd=folder, check=True)

    git("init --quiet")
    (folder / "flow.py").write_text("print(1)\n")
    git("add .")
    git("commit --quiet -m first")
    git("tag v1")
    (folder / "reports").mkdir()
    (folder / "reports" / "daily.py").write_text("print(2)\n")
    git("add .")
    git("commit --quiet -m second")
    return folder.as_uri()


def names(folder):
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    )


def test_a_repository_is_copied(repository, tmp_path):
    code = GitHub(repository=repository)
    assert code.get_directory(local_path=str(tmp_path / "all")) > 2
    assert names(tmp_path / "all") == ["flow.py", "reports/daily.py"]
    assert (tmp_path / "all" / ".git" / "HEAD").is_file()

    assert code.get_directory("reports", str(tmp_path / "some")) == 1
    assert names(tmp_path / "some") == ["daily.py"]


def test_a_tag_and_no_objects(repository, tmp_path):
    code = GitHub(repository=repository, reference="v1", include_git_objects=False)
    assert code.get_directory(None, str(tmp_path / "old")) == 1
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["flow.py"]


def test_what_git_cannot_do_is_said(repository, tmp_path):
    with pytest.raises(OSError, match=r"git cannot clone .*origin.*v9"):
        GitHub(repository=repository, reference="v9").get_directory(local_path=str(tmp_path))
    with pytest.raises(ValueError, match="leads out of the repository"):
        GitHub(repository=repository).get_directory("../..", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        GitHub(repository=repository).get_directory("nothing", str(tmp_path))
    with pytest.raises(pydantic.ValidationError, match="begin with 'https://' only"):
        GitHub(repository=repository, access_token="hush")


def test_the_token_is_told_to_git_and_to_nobody_else(tmp_path, monkeypatch):
    git = shutil.which("git")
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\nprintf "%s" "$*" > {tmp_path}/line\n'
        f'printf "protocol=https\\nhost=github.com\\n\\n" |'
        f' {git} "$1" "$2" "$3" "$4" credential fill > {tmp_path}/filled\n'
        "echo denied >&2; exit 1\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=":")

    code = GitHub(repository="https://github.com/me/flows.git", access_token="hush")
    with pytest.raises(OSError, match="denied") as caught:
        code.get_directory(local_path=str(tmp_path / "out"))

    assert "password=hush" in (tmp_path / "filled").read_text()
    assert "hush" not in (tmp_path / "line").read_text()
    assert "hush" not in f"{caught.value} {code!r}"
    assert json.loads(code.model_dump_json())["access_token"] != "hush"
