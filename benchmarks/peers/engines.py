"""The engines that are compared: their environments, their settings, how much is asked of each."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent / "scripts"
POSTGRES_VARIABLE = "PENSTOCK_PEER_POSTGRES"
VENVS_VARIABLE = "PENSTOCK_PEER_VENVS"
DEFAULT_VENVS = ".peers"

ALL_WORKS = ("chain", "fan", "flows", "import", "cold", "kill")


@dataclass(slots=True)
class Engine:
    """One line of the table.

    `counts` says how many tasks (`flows`: flow runs) a trial has, where the engine is too slow for
    the usual number. `env` may name the trial's state folder as `{state}`. An engine that
    `has_database` finds one there that an earlier flow has made, so that no trial pays for that.
    """

    name: str
    title: str
    venv: str
    script: str
    module: str
    works: tuple[str, ...] = ALL_WORKS
    counts: dict[str, int] = field(default_factory=dict[str, int])
    env: dict[str, str] = field(default_factory=dict[str, str])
    has_database: bool = False
    arguments: tuple[str, ...] = ()

    def count(self, work: str, *, quick: bool) -> int:
        """How many items a trial of `work` has."""
        count = self.counts.get(work, USUAL_COUNTS.get(work, 1))
        return max(count // QUICK_PART, min(count, QUICK_LEAST)) if quick else count

    def python(self, venvs: Path) -> Path:
        """The interpreter of the engine's environment; penstock's is the one that runs this."""
        return Path(sys.executable) if not self.venv else venvs / self.venv / "bin" / "python"

    def missing(self, venvs: Path) -> str:
        """Why the engine cannot be run here, or an empty string."""
        if not self.python(venvs).exists():
            return f"no environment at {venvs / self.venv}"
        if self.name.endswith("postgres") and POSTGRES_VARIABLE not in os.environ:
            return f"{POSTGRES_VARIABLE} names no server"
        return ""


USUAL_COUNTS = {
    "chain": 1_000,
    "recorded": 500,
    "fan": 1_000,
    "flows": 100,
    "kill": 200,
    "kill_stored": 200,
}
QUICK_PART, QUICK_LEAST = 10, 20

PREFECT = {
    "PREFECT_HOME": "{state}",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
PREFECT_1 = {
    "PREFECT__HOME_DIR": "{state}",
    "PREFECT__LOGGING__LEVEL": "WARNING",
    "PREFECT__FLOWS__CHECKPOINTING": "true",
}

ENGINES: tuple[Engine, ...] = (
    Engine(
        "penstock",
        "penstock",
        venv="",
        script="penstock_peer.py",
        module="penstock",
        env={"PENSTOCK_HOME": "{state}"},
        has_database=True,
    ),
    Engine("luigi", "Luigi (file targets)", "luigi", "luigi_peer.py", "luigi"),
    Engine(
        "dask-threads",
        "dask, threads (no records)",
        "dask",
        "dask_peer.py",
        "dask",
        works=("chain", "fan", "import", "cold"),
        arguments=("--scheduler", "threads"),
    ),
    Engine(
        "dask-distributed",
        "dask.distributed (no records)",
        "dask",
        "dask_peer.py",
        "distributed",
        works=("chain", "fan", "import", "cold"),
        arguments=("--scheduler", "distributed"),
    ),
    Engine("dbos-sqlite", "DBOS, SQLite", "dbos", "dbos_peer.py", "dbos", has_database=True),
    Engine(
        "dbos-postgres",
        "DBOS, PostgreSQL",
        "dbos",
        "dbos_peer.py",
        "dbos",
        works=("chain", "fan", "flows"),
    ),
    Engine(
        "prefect1",
        "Prefect 1 (records nothing)",
        "prefect1",
        "prefect1_peer.py",
        "prefect",
        works=(*ALL_WORKS, "kill_stored"),
        env=PREFECT_1,
    ),
    Engine(
        "prefect2",
        "Prefect 2",
        "prefect2",
        "prefect2_peer.py",
        "prefect",
        works=(*ALL_WORKS, "kill_stored"),
        counts={"chain": 250, "fan": 250, "flows": 30},
        env=PREFECT,
        has_database=True,
    ),
    Engine(
        "prefect3",
        "Prefect 3",
        "prefect3",
        "prefect3_peer.py",
        "prefect",
        works=(*ALL_WORKS, "recorded", "kill_stored"),
        counts={"flows": 15},
        env=PREFECT,
        has_database=True,
    ),
    Engine(
        "dagster",
        "Dagster",
        "dagster",
        "dagster_peer.py",
        "dagster",
        counts={"chain": 300, "fan": 300, "flows": 20, "kill": 40},
        env={"DAGSTER_HOME": "{state}"},
        has_database=True,
    ),
)

BY_NAME = {engine.name: engine for engine in ENGINES}
