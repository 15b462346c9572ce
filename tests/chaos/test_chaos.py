"""Processes that are killed and stopped, servers that restart, and what is recorded afterwards.

Each test says its seed; with CHAOS_SEED it is run again. CHAOS_SECONDS makes it last longer.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

import penstock
from penstock.client import get_client
from penstock.settings import reload_settings
from penstock.store import get_store
from penstock.store.checking import check_history

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

FLOWS = Path(__file__).with_name("flows.py")
SECONDS = float(os.environ.get("CHAOS_SECONDS", "7"))
SETTLING_S = 75
PROCESSES = 3
RECOVERERS = 2
TTL_S = 2.0
CLI = "import sys; from penstock.cli import main; sys.exit(main())"
OWN_FRAME = f'File "{Path(penstock.__file__).parent}'
NOISE = ("database is locked", "Fatal Python", "never awaited", "deadlock")
END_CONNECTIONS = """select pg_terminate_backend(pid) from pg_stat_activity
where application_name = 'penstock' and pid <> pg_backend_pid()"""


class Line(NamedTuple):
    """A line of the ledger."""

    when: float
    what: str
    run: str
    key: str
    pid: int


class Chaos:
    """The processes, the troubles they get into, and what they wrote."""

    def __init__(self, folder, seed, environment):
        self.folder = folder
        self.random = random.Random(seed)
        self.ledger = folder / "ledger"
        self.environment = os.environ | environment | {"LEDGER": str(self.ledger)}
        self.children = []
        self.killed = {}
        self.number = 0

    def start(self, *arguments):
        self.number += 1
        with (self.folder / f"stderr-{self.number}").open("wb") as stderr:
            child = subprocess.Popen(
                [sys.executable, *arguments],
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        self.children.append(child)
        return child

    def lines(self):
        if not self.ledger.exists():
            return []
        found = [line.split() for line in self.ledger.read_text().splitlines()]
        return [Line(float(w), what, run, key, int(pid)) for w, what, run, key, pid in found]

    def owners(self):
        """Give the processes that have lately executed something, and live."""
        pids = {line.pid for line in self.lines()[-40:]} - set(self.killed)
        return sorted(pid for pid in pids if Path(f"/proc/{pid}").exists())

    def kill(self):
        owners = self.owners()
        if owners:
            pid = self.random.choice(owners)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed[pid] = time.time()

    def stop_for_a_while(self):
        owners = self.owners()
        if owners:
            pid = self.random.choice(owners)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                time.sleep(TTL_S * 1.2)
                os.kill(pid, signal.SIGCONT)

    def run(self, troubles):
        """Have the processes work, and get into trouble, for as long as the test lasts."""
        recoverers = [self.start("-c", CLI, "recover", "--watch") for _ in range(RECOVERERS)]
        until = time.monotonic() + SECONDS
        at_most = until + SETTLING_S
        working = []
        # A machine that is slow has executed nothing yet when the first troubles come.
        while time.monotonic() < until or (
            self.kill in troubles and not self.killed and time.monotonic() < at_most
        ):
            working = [child for child in working if child.poll() is None]
            while len(working) < PROCESSES:
                working.append(self.start(str(FLOWS)))
            time.sleep(self.random.uniform(0.1, 0.5))
            self.random.choice(troubles)()
        return recoverers

    def settle(self, recoverers, working_states):
        """Wait until all runs are over, and end what looked after them."""
        until = time.monotonic() + SETTLING_S
        while (left := working_states()) and time.monotonic() < until:
            time.sleep(0.2)
        for child in self.children:
            if child not in recoverers:
                child.wait(30)
        for child in recoverers:
            child.terminate()
        for child in recoverers:
            child.wait(30)
        assert left == []

    def end(self):
        for child in self.children:
            if child.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def not_final():
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(limit=1_000)
    return [(run.name, run.state_name) for run in runs if not run.state.is_final()]


def set_limits():
    with get_client(sync_client=True) as client:
        client.create_concurrency_limit("chaos", 2)
        client.create_global_concurrency_limit("gate", 1)


def most_at_once(chaos, prefix):
    """Give how many were between begin and end at once, of processes that lived."""
    inside = {}
    most = 0
    for line in sorted(line for line in chaos.lines() if line.key.startswith(prefix)):
        for held in [held for held in inside if chaos.killed.get(held[2], 1e12) < line.when]:
            del inside[held]
        if line.what == "begin":
            inside[(line.run, line.key, line.pid)] = line.when
            most = max(most, len(inside))
        else:
            inside.pop((line.run, line.key, line.pid), None)
    return most


def executed_after_they_were_completed(chaos):
    """Give what began after it had been recorded Completed."""
    completed = {}
    with get_client(sync_client=True) as client:
        for run in client.read_task_runs(limit=10_000):
            for state in run.history:
                if state.is_completed():
                    known = completed.get((str(run.flow_run_id), run.name))
                    when = state.timestamp.timestamp()
                    completed[(str(run.flow_run_id), run.name)] = min(when, known or when)
    begun = defaultdict(list)
    for line in chaos.lines():
        if line.what == "begin":
            begun[(line.run, line.key)].append(line.when)
    assert set(begun) >= {key for key in completed if key[1].startswith(("called", "limited"))}
    return [key for key, when in completed.items() if any(each > when for each in begun[key])]


def check(chaos, *, noise=NOISE):
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(limit=1_000)
    assert sum(run.state_name == "Completed" for run in runs) > len(runs) / 2
    # A run that dies three times in a row with nothing done is given up.
    others = [run for run in runs if run.state_name not in ("Completed", "Crashed")]
    assert [(run.flow_name, run.state_name, run.state.message) for run in others] == []
    errors = [each for each in check_history(get_store()) if each.severity == "error"]
    assert errors == []
    assert executed_after_they_were_completed(chaos) == []
    assert most_at_once(chaos, "limited") <= 2
    assert most_at_once(chaos, "guarded") <= 1
    assert get_store().read("select count(*) from concurrency_slot") == [(0,)]
    for path in chaos.folder.glob("stderr-*"):
        said = path.read_text(errors="replace")
        assert not [each for each in noise if each in said], said[-4_000:]


@pytest.fixture
def seed():
    chosen = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    print(f"CHAOS_SEED={chosen}")  # noqa: T201 - shown if the test fails
    return chosen


@pytest.fixture
def chaos(store_url, tmp_path, monkeypatch, seed):
    settings = {
        "PENSTOCK_STORE_URL": store_url,
        "PENSTOCK_LEASE_TTL_S": str(TTL_S),
        "PENSTOCK_HEARTBEAT_INTERVAL_S": "0.3",
        "PENSTOCK_STORE_OUTAGE_TIMEOUT_S": "20",
        "PENSTOCK_API_SERVICES_RECOVERY_LOOP_SECONDS": "0.5",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    reload_settings()
    set_limits()
    made = Chaos(tmp_path, seed, settings)
    yield made
    made.end()


def test_processes_that_are_killed_and_stopped(chaos):
    recoverers = chaos.run([chaos.kill, chaos.kill, chaos.stop_for_a_while])
    chaos.settle(recoverers, not_final)

    assert chaos.killed
    # Nobody is shown the inside of penstock, either.
    check(chaos, noise=(*NOISE, OWN_FRAME))


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_server_that_restarts_and_drops_connections(chaos, postgres_server):
    def drop():
        postgres_server.execute(END_CONNECTIONS)

    def restart():
        postgres_server.stop(chaos.random.choice([signal.SIGINT, signal.SIGQUIT]))
        postgres_server.start()

    recoverers = chaos.run([drop, drop, restart, chaos.kill])
    chaos.settle(recoverers, not_final)

    check(chaos)
