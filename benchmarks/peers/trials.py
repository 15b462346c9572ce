"""One trial: a script of `scripts/` in a process of its own, in its engine's environment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import ROOT
from benchmarks.peers.engines import POSTGRES_VARIABLE, SCRIPTS

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from benchmarks.peers.engines import Engine

LEDGER_VARIABLE = "PENSTOCK_PEER_LEDGER"
HOLD_VARIABLE = "PENSTOCK_PEER_HOLD"
LEDGER = "ledger"
POLL_S = 0.01
SHOWN_ERROR_LINES = 5


class TrialFailedError(Exception):
    """A trial hung, ended badly, or gave a wrong value."""


@dataclass(slots=True)
class Lab:
    """Where trials run: the folder of environments, a folder for their states, a time limit."""

    venvs: Path
    root: Path
    timeout_s: float
    templates: dict[str, Path] = field(default_factory=dict[str, Path])

    def trial(self, engine: Engine, work: str, n: int) -> dict[str, Any]:
        """Run one work; its figures, `seconds` among them. Raises `TrialFailedError`."""
        if work == "import":
            return {"seconds": self._import_seconds(engine)}
        with self._state(engine) as state:
            if work.startswith("kill"):
                return self._killed(engine, work, n, state)
            begin = time.perf_counter()
            line = self._script(engine, state, [work, str(n)])
            if work == "cold":
                line["seconds"] = time.perf_counter() - begin
            return line

    def _import_seconds(self, engine: Engine) -> float:
        with self._state(engine) as state:
            command = [str(engine.python(self.venvs)), "-W", "ignore", "-c"]
            begin = time.perf_counter()
            self._finished(engine, state, [*command, f"import {engine.module}"])
            return time.perf_counter() - begin

    def _script(
        self, engine: Engine, state: Path, arguments: Sequence[str], **more: str
    ) -> dict[str, Any]:
        out = self._finished(engine, state, self._command(engine, arguments), **more)
        lines = [line for line in out.splitlines() if line.startswith('{"version"')]
        if not lines:
            raise TrialFailedError("it printed no result")
        return json.loads(lines[-1])

    def _killed(self, engine: Engine, work: str, n: int, state: Path) -> dict[str, Any]:
        """`kill -9` when half of the tasks have run, then run again; how many ran then.

        The task after the half does not end by itself, so that no engine is too fast to be killed.
        """
        ledger, half = state / LEDGER, n // 2
        command = self._command(engine, [work, str(n)])
        kept = {LEDGER_VARIABLE: str(ledger)}
        process = self._started(engine, state, command, **kept, **{HOLD_VARIABLE: str(half)})
        deadline = time.monotonic() + self.timeout_s
        while process.poll() is None and time.monotonic() < deadline:
            if ledger.with_suffix(".held").exists():
                break
            time.sleep(POLL_S)
        is_held = process.poll() is None and ledger.with_suffix(".held").exists()
        _kill(process)
        if not is_held:
            raise TrialFailedError(f"task {half + 1} was not reached: {_end_of_stderr(state)}")
        begin = time.perf_counter()
        self._script(engine, state, [work, str(n), "--again"], **kept)
        seconds = time.perf_counter() - begin
        return {"seconds": seconds, "before": half, "again": ledger.stat().st_size - half}

    def _command(self, engine: Engine, arguments: Sequence[str]) -> list[str]:
        script = SCRIPTS / engine.script
        return [str(engine.python(self.venvs)), str(script), *engine.arguments, *arguments]

    def _started(
        self, engine: Engine, state: Path, command: Sequence[str], **more: str
    ) -> subprocess.Popen[str]:
        with (state / "stderr").open("w") as log:
            return subprocess.Popen(
                command,
                cwd=state,
                env=self._environment(engine, state) | more,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def _finished(self, engine: Engine, state: Path, command: Sequence[str], **more: str) -> str:
        process = self._started(engine, state, command, **more)
        try:
            out, _ = process.communicate(timeout=self.timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TrialFailedError(f"not done after {self.timeout_s:g} s") from error
        finally:
            _kill(process)
        if process.returncode:
            raise TrialFailedError(f"exit status {process.returncode}: {_end_of_stderr(state)}")
        return out

    def _environment(self, engine: Engine, state: Path) -> dict[str, str]:
        unwanted = ("PENSTOCK_", "PREFECT", "DAGSTER_", "DBOS_")
        env = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
        # Only penstock's own script needs to find this project, and its command that script.
        inherited = env.pop("PYTHONPATH", "")
        if not engine.venv:
            env["PYTHONPATH"] = os.pathsep.join([str(SCRIPTS), str(ROOT), inherited])
        if engine.name.endswith("postgres"):
            name = f"bench_{os.getpid()}_{time.monotonic_ns()}"
            env["DBOS_SYSTEM_DATABASE_URL"] = f"{os.environ[POSTGRES_VARIABLE]}/{name}"
        return env | {key: value.format(state=state) for key, value in engine.env.items()}

    @contextmanager
    def _state(self, engine: Engine) -> Generator[Path]:
        """Make a state folder for one trial: empty, or one in which a flow has run before."""
        state = Path(tempfile.mkdtemp(prefix=f"{engine.name}-", dir=self.root))
        try:
            if engine.has_database:
                shutil.copytree(self._template(engine), state, dirs_exist_ok=True)
            yield state
        finally:
            shutil.rmtree(state, ignore_errors=True)

    def _template(self, engine: Engine) -> Path:
        if engine.name not in self.templates:
            template = Path(tempfile.mkdtemp(prefix=f"first-{engine.name}-", dir=self.root))
            self._script(engine, template, ["cold", "1"])
            self.templates[engine.name] = template
        return self.templates[engine.name]


def _end_of_stderr(state: Path) -> str:
    lines = (state / "stderr").read_text(errors="replace").splitlines()
    return "\n".join(lines[-SHOWN_ERROR_LINES:])


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill a trial's process and all that it started; engines leave servers behind."""
    family = _family(process.pid)
    for pid in family:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()
    if process.stdout:
        process.stdout.close()


def _family(pid: int) -> list[int]:
    """List the processes of the session that `pid` leads, and those they started (Linux)."""
    members: set[int] = set()
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = stat.read_text().rsplit(")", 1)
        except OSError:
            continue
        number = int(name.split(" ", 1)[0])
        _, parent, _, session = rest.split()[:4]
        parents[number] = int(parent)
        if int(session) == pid:
            members.add(number)
    while more := {child for child, parent in parents.items() if parent in members} - members:
        members |= more
    return sorted(members)
