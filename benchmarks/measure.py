"""Measures rows: each time a fresh process, a fresh PENSTOCK_HOME and default settings."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.checks import STORE_FILE, WorkNotRecordedError, check_recorded
from benchmarks.floors import bare_start, process_start

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from benchmarks.rows import Row

ROOT = Path(__file__).resolve().parent.parent
ROW_TIMEOUT_S = 600
UNITS_S = {"us": 1e-6, "ms": 1e-3}
SHOWN_ERROR_LINES = 15

CLI = ("-c", "import sys; from penstock.cli import main; sys.exit(main())")
PROGRAMS = {
    "import": ("-c", "import penstock"),
    "help": (*CLI, "--help"),
    "completion": CLI,
    "ls": (*CLI, "flow-run", "ls"),
}
COMPLETION = {
    "_PENSTOCK_COMPLETE": "complete_bash",
    "COMP_WORDS": "penstock flow-run inspect run-9",
    "COMP_CWORD": "3",
}

SCRIPT = """\
from penstock import flow, task


@task
def inc(x):
    return x + 1


@flow
def one():
    return inc(0)


if __name__ == "__main__":
    assert one() == 1
"""


class RowFailedError(Exception):
    """A row's process failed, hung, or did not do its work."""


@dataclass(slots=True)
class Measured:
    """What came of a row: its samples in all rounds, and what the store held in the last one."""

    row: Row
    samples: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    recorded: dict[str, int] = field(default_factory=dict[str, int])
    stderr_lines: int = 0
    error: str = ""

    def median(self, side: str) -> float | None:
        """The median of one side, "work" or "floor"; none where the row has no floor."""
        values = [sample[side] for sample in self.samples if side in sample]
        return statistics.median(values) if values else None

    def compared(self) -> list[float]:
        """What the budget is about: the ratio of each pair or, with no floor, each figure."""
        one = UNITS_S.get(self.row.unit, 1.0)
        return [sample["work"] / sample.get("floor", one) for sample in self.samples]

    def verdict(self) -> str:
        """`ok`, `over` or, where the work was not done, `failed`."""
        if self.error or not self.samples:
            return "failed"
        return "ok" if statistics.median(self.compared()) <= self.row.budget else "over"

    def as_json(self) -> dict[str, Any]:
        """All that is known, for `--json`."""
        compared = self.compared()
        return {
            "row": self.row.name,
            "title": self.row.title.format(count=f"{self.row.count:,}"),
            "floor": self.row.floor,
            "budget": self.row.budget,
            "unit": self.row.unit,
            "count": self.row.count,
            "verdict": self.verdict(),
            "error": self.error,
            "median": statistics.median(compared) if compared else None,
            "min": min(compared, default=None),
            "max": max(compared, default=None),
            "samples": self.samples,
            "recorded": self.recorded,
            "stderr_lines": self.stderr_lines,
        }


def measure_round(result: Measured) -> None:
    """One more round of a row, in fresh processes. What goes wrong is noted in `result.error`."""
    try:
        with _workspace() as folder:
            if result.row.is_whole_process:
                _whole_process_round(result, folder)
            else:
                _child_round(result, folder)
    except (RowFailedError, WorkNotRecordedError, subprocess.CalledProcessError) as error:
        result.error = str(error)


@contextmanager
def _workspace() -> Generator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    try:
        (folder / "home").mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def environment(home: Path) -> dict[str, str]:
    """This process's environment with default settings of penstock, but for its home."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | {"PENSTOCK_HOME": str(home)}


def _child_round(result: Measured, folder: Path) -> None:
    row, home, stderr = result.row, folder / "home", folder / "stderr"
    command = [sys.executable, "-m", "benchmarks.work", row.name]
    command += ["--count", str(row.count), "--pairs", str(row.pairs)]
    # What default logging writes to stderr is written to a file: it costs what it costs users.
    with stderr.open("wb") as log:
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment(home),
                stdout=subprocess.PIPE,
                stderr=log,
                timeout=ROW_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            message = f"not done after {ROW_TIMEOUT_S} s"
            raise RowFailedError(message) from error
    lines = stderr.read_text(errors="replace").splitlines()
    answers = [line for line in done.stdout.decode().splitlines() if line.startswith("{")]
    if done.returncode or not answers:
        shown = "\n".join(lines[-SHOWN_ERROR_LINES:])
        message = f"exit status {done.returncode}; the end of its stderr:\n{shown}"
        raise RowFailedError(message)
    answer = json.loads(answers[-1])
    result.samples += answer["samples"]
    result.recorded = answer["recorded"]
    result.stderr_lines = len(lines)


def _whole_process_round(result: Measured, folder: Path) -> None:
    home = folder / "home"
    env = environment(home)
    script = folder / "script.py"
    script.write_text(SCRIPT)
    name = result.row.name
    arguments = [str(script)] if name == "script" else list(PROGRAMS[name])
    if name == "completion":
        env |= COMPLETION
    # The first start compiles modules and makes the database; the table is about all later ones.
    # It also shows that there is something to import.
    _started(["-c", "from penstock import flow, task"], env)
    if name in ("completion", "ls"):
        _started([str(script)], environment(home))
        _multiply_flow_runs(home / STORE_FILE, result.row.count)
    _started(arguments, env)
    bare_start(env)
    for _ in range(result.row.pairs):
        floor_s = bare_start(env)
        result.samples.append({"floor": floor_s, "work": process_start(arguments, env)})
    if name == "script":
        result.recorded = check_recorded(home, [1] * (result.row.pairs + 1))


def _multiply_flow_runs(path: Path, count: int) -> None:
    """Have the store hold so many flow runs: its only one, again and again."""
    with closing(sqlite3.connect(path)) as db, db:
        cursor = db.execute("select * from flow_run")
        columns = [column[0] for column in cursor.description]
        row = list(cursor.fetchone())
        key, name = columns.index("id"), columns.index("name")
        first = int.from_bytes(row[key], "big")

        def another(number: int) -> list[object]:
            row[key], row[name] = (first + (number << 70)).to_bytes(16, "big"), f"run-{number}"
            return row

        marks = ", ".join("?" * len(columns))
        db.executemany(
            f"insert into flow_run values ({marks})",  # noqa: S608 - marks only
            (tuple(another(number)) for number in range(1, count)),
        )


def _started(arguments: Sequence[str], env: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        message = f"exit status {done.returncode}; its stderr:\n{done.stderr}"
        raise RowFailedError(message)
