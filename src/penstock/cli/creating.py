"""`penstock new`: a small project, with a flow, a test of it, and what packaging needs."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
from pathlib import Path

from penstock.cli.failing import CommandError
from penstock.cli.output import write

NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*")

_PYPROJECT = """\
[project]
name = "@NAME@"
version = "0.1.0"
description = "Flows of @NAME@."
requires-python = ">=3.11"
dependencies = ["@PENSTOCK@"]

[dependency-groups]
dev = ["pytest>=8"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
"""

_FLOW = '''\
"""The flow of @NAME@: two tasks, recorded, and gone on with after a crash."""

from penstock import flow, task


@task(retries=2, retry_delay_seconds=10)
def fetch(count: int) -> list[int]:
    """Get the numbers. Replace this by what reads your data."""
    return list(range(1, count + 1))


@task
def add_up(numbers: list[int]) -> int:
    """Make one number of many. Replace this by what you compute."""
    return sum(numbers)


@flow(log_prints=True)
def @MODULE@(count: int = 3) -> int:
    """Fetch so many numbers, and add them up."""
    total = add_up(fetch(count))
    print(f"the total is {total}")
    return total


if __name__ == "__main__":
    @MODULE@()
'''

_TEST = '''\
"""Tests of the flow. The fixtures come with penstock."""

from @MODULE@ import @MODULE@


def test_the_total_is_right_and_the_run_is_recorded(penstock_store):
    assert @MODULE@(count=4) == 10

    (run,) = penstock_store.read_flow_runs()
    assert run.state.is_completed()


def test_the_flow_survives_a_crash_at_every_step(crash_sweep):
    crash_sweep(@MODULE@, count=4)
'''

_README = """\
# @NAME@

    python -m pip install "@PENSTOCK@" "pytest>=8"
    penstock run @MODULE@.py --param count=5
    penstock flow-run ls
    python -m pytest

`@MODULE@.py` is the flow, `tests/test_@MODULE@.py` its tests: one of them crashes the flow
at every step, and checks that it goes on from there.
"""

_GITIGNORE = """\
__pycache__/
.pytest_cache/
.venv/
"""


def create_project(name: str, path: str | None) -> None:
    """Make the project in a new folder, and say what to do next.

    Parameters:
        name: what the project and its flow are called.
        path: the folder to make; one of this name, here, by default.

    Raises:
        CommandError: the name will not do, the folder has something in it, or cannot be written.
    """
    module = _module(name)
    folder = Path(path or name)
    files = _files(name, module)
    made_folder = not folder.exists()
    try:
        if not made_folder and (not folder.is_dir() or any(folder.iterdir())):
            raise CommandError(
                f"{folder} exists and is not an empty folder; nothing was changed. Give another"
                " one with --path."
            )
        for file, text in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        if made_folder:
            shutil.rmtree(folder, ignore_errors=True)
        raise CommandError(
            f"The project cannot be made in {folder}: {error.strerror or error}. Give a folder"
            " that can be written with --path."
        ) from error
    write(
        f"Made {folder} with {', '.join(files)}.\n"
        f"Next: cd {folder}, penstock run {module}.py, python -m pytest"
    )


def _module(name: str) -> str:
    """Give the name of the Python module for a project; complain where there is none."""
    module = name.replace("-", "_").lower()
    if NAME.fullmatch(name) and not keyword.iskeyword(module) and module not in _taken():
        return module
    better = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").lstrip("0123456789-")
    if not better or keyword.iskeyword(better) or better in _taken():
        better = f"{better or 'my'}-flow"
    reason = (
        "is the name of another module" if NAME.fullmatch(name) else "cannot be a project's name"
    )
    raise CommandError(
        f"{name!r} {reason}: take letters, digits, - and _, and begin with a letter. Did you mean"
        f" {better!r}?"
    )


def _taken() -> frozenset[str]:
    """Give the modules that the project's own would hide, or be hidden by."""
    return sys.stdlib_module_names | {"penstock", "pytest", "tests"}


def _files(name: str, module: str) -> dict[str, str]:
    from importlib.metadata import version

    installed = version("penstock")
    major, minor = installed.split(".")[:2]
    limit = f"0.{int(minor) + 1}" if major == "0" else str(int(major) + 1)
    templates = {
        "pyproject.toml": _PYPROJECT,
        f"{module}.py": _FLOW,
        f"tests/test_{module}.py": _TEST,
        "README.md": _README,
        ".gitignore": _GITIGNORE,
    }
    words = {"@NAME@": name, "@MODULE@": module, "@PENSTOCK@": f"penstock>={installed},<{limit}"}
    for file, text in templates.items():
        for word, value in words.items():
            text = text.replace(word, value)  # noqa: PLW2901 - filled in one after the other
        templates[file] = text
    return templates
