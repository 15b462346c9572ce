"""Run every snippet of README, CONTRIBUTING and docs/, and say which line of which file fails.

Run by `make check`; `tools/check_snippets.py docs/tasks.md` runs one file. Each file's snippets
run in order, in one fresh process, in an empty folder, with an empty PENSTOCK_HOME. What the first
line of a fence says:

    ```python                        run
    ```python skip-run: REASON       not run; the reason is asked for and is printed
    ```python file=hello.py          not run but written to hello.py, for the snippets that follow
    ```console run                   each line after `$ ` is run by bash and has to succeed
    ```sh run                        the same
    ```console                       only shown; as is a fence in any other language
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
RUNNER = ROOT / "tools" / "run_snippets.py"
PROCESSES = 2
FILE_TIMEOUT_S = 180
FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,})(?P<info>[^`]*)$")
PYTHON = {"python", "py"}
CONSOLE = {"console", "sh", "bash", "shell"}


@dataclass(slots=True)
class Fence:
    """A fenced block as it stands in a file; `line` is that of its first line of text."""

    line: int
    info: str
    text: str


@dataclass(slots=True)
class Step:
    """What to do with a fence: `kind` is python, console or file."""

    kind: str
    line: int
    text: str
    name: str = ""


@dataclass(slots=True)
class Plan:
    """What to do with a file."""

    path: Path
    steps: list[Step] = field(default_factory=list[Step])
    skipped: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])

    def at(self, line: int, message: str) -> str:
        """Give a message with its place."""
        return f"{self.path.relative_to(ROOT)}:{line}: {message}"


def fences(text: str) -> Iterator[Fence]:
    """Give the fenced blocks of a Markdown text, in order."""
    opened: re.Match[str] | None = None
    first, body = 0, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        found = FENCE.match(line)
        if opened is None:
            opened, first, body = found, number + 1, []
        elif found and not found["info"].strip() and found["ticks"].startswith(opened["ticks"]):
            yield Fence(first, opened["info"].strip(), textwrap.dedent("\n".join(body)) + "\n")
            opened = None
        else:
            body.append(line)
    if opened is not None:
        yield Fence(first, "unclosed", "")


def plan(path: Path) -> Plan:
    """Read what a file's fences ask for."""
    made = Plan(path)
    for fence in fences(path.read_text()):
        language, _, rest = fence.info.partition(" ")
        rest = rest.strip()
        if language == "unclosed":
            made.problems.append(made.at(fence.line, "this fence is never closed"))
        elif language in PYTHON:
            plan_python(made, fence, rest)
        elif language in CONSOLE and rest == "run":
            made.steps.append(Step("console", fence.line, fence.text))
    return made


def plan_python(made: Plan, fence: Fence, rest: str) -> None:
    """Add what a Python fence asks for."""
    if rest.startswith("skip-run"):
        reason = rest.removeprefix("skip-run").lstrip(": ")
        if reason:
            made.skipped.append(made.at(fence.line, f"not run: {reason}"))
        else:
            made.problems.append(made.at(fence.line, "write why: ```python skip-run: REASON"))
    elif rest.startswith("file="):
        made.steps.append(Step("file", fence.line, fence.text, rest.removeprefix("file=")))
    elif rest:
        made.problems.append(made.at(fence.line, f"{rest!r} after ```python is not known here"))
    else:
        made.steps.append(Step("python", fence.line, fence.text))


def run(made: Plan) -> list[str]:
    """Run a file's steps in a fresh process; give its problems."""
    if not made.steps:
        return made.problems
    with tempfile.TemporaryDirectory(prefix="penstock-snippets-") as folder:
        place = Path(folder)
        steps = place / "steps.json"
        steps.write_text(json.dumps([asdict(step) for step in made.steps]))
        (place / "here").mkdir()
        command = [sys.executable, "-W", "error::DeprecationWarning", str(RUNNER)]
        try:
            done = subprocess.run(
                [*command, str(made.path), str(steps)],
                cwd=place / "here",
                env=environment(place / "home"),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=FILE_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [*made.problems, made.at(1, f"its snippets took over {FILE_TIMEOUT_S} s")]
    if done.returncode == 0:
        return made.problems
    said = done.stderr.replace(f"{ROOT}{os.sep}", "").strip()
    return [*made.problems, said or made.at(1, f"ended with exit code {done.returncode}")]


def environment(home: Path) -> dict[str, str]:
    """Give the environment for a file: this interpreter's commands, no settings, its own home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    here = Path(sys.executable).parent
    return kept | {
        "PENSTOCK_HOME": str(home),
        "PATH": f"{here}{os.pathsep}{kept.get('PATH', os.defpath)}",
    }


def main(names: list[str]) -> int:
    """Run the named files, or all; print each problem; fail when there is one."""
    top = (ROOT / "README.md", ROOT / "CONTRIBUTING.md")
    every = [*top, *sorted((ROOT / "docs").rglob("*.md"))]
    paths = [Path(name).resolve() for name in names] or [path for path in every if path.exists()]
    plans = [plan(path) for path in paths]
    with ThreadPoolExecutor(PROCESSES) as pool:
        problems = [problem for found in pool.map(run, plans) for problem in found]
    for line in (skipped for made in plans for skipped in made.skipped):
        print(line)
    steps = sum(len(made.steps) for made in plans)
    print("\n".join(problems) or f"snippets: {steps} in {len(plans)} files run")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
