"""`penstock new`: a project whose tests pass, or a line that says why there is none."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tomllib

import pytest

from penstock.cli.creating import _files


@pytest.mark.parametrize("name", ["nightly", "Night-Shift_2"])
def test_the_tests_of_a_new_project_pass_and_its_flow_runs(process, project, name):
    made = process("new", name)
    assert (made.code, made.err) == (0, "")
    folder = project / name
    module = name.lower().replace("-", "_")

    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert "2 passed" in tests.stdout, tests.stdout + tests.stderr
    ran = process("run", folder / f"{module}.py", "--param", "count=5")
    assert ran.code == 0, ran.err
    assert "the total is 15" in ran.err + ran.out
    packaging = tomllib.loads((folder / "pyproject.toml").read_text())
    assert packaging["project"]["name"] == name
    assert packaging["project"]["dependencies"][0].startswith("penstock>=")
    assert "<" in packaging["project"]["dependencies"][0]


def test_it_can_be_made_elsewhere_in_an_empty_folder(penstock, project):
    (project / "here").mkdir()

    assert penstock("new", "nightly", "--path", "here").code == 0
    assert {each.name for each in (project / "here").iterdir()} == {
        each.split("/")[0] for each in _files("nightly", "nightly")
    }


def test_nothing_is_overwritten(penstock, project):
    (project / "nightly").mkdir()
    (project / "nightly" / "mine.txt").write_text("mine")

    ended = penstock("new", "nightly")

    assert ended.code == 2
    assert "nightly exists and is not an empty folder; nothing was changed" in ended.err
    assert [each.name for each in (project / "nightly").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("my flow", "my-flow"),
        ("2024-report", "report"),
        ("../up", "up"),
        ("class", "class-flow"),
        ("json", "json-flow"),
        ("penstock", "penstock-flow"),
        ("é!", "my-flow"),
    ],
)
def test_a_name_that_will_not_do_has_a_suggestion_that_will(penstock, project, name, better):
    ended = penstock("new", name)

    assert ended.code == 2
    assert f"Did you mean {better!r}?" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert penstock("new", better).code == 0


def test_a_folder_without_permission_is_said_in_a_line(penstock, project, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    # What the system says to all but root, which tests may run as.
    monkeypatch.setattr(os, "mkdir", refuse)
    ended = penstock("new", "nightly", "--path", "locked/nightly")

    assert ended.code == 2
    assert "cannot be made in locked/nightly: Permission denied" in ended.err


def test_a_path_below_a_file_is_said_in_a_line(penstock, project):
    (project / "file").write_text("")

    ended = penstock("new", "nightly", "--path", "file/nightly")

    assert ended.code == 2
    assert "cannot be made in file/nightly: Not a directory" in ended.err
