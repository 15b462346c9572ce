"""Processes that execute flows, the troubles they get into, and what is asked of their runs."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from penstock import resume_flow_run
from penstock.client import get_client
from penstock.exceptions import FlowPauseTimeout, NotPausedError
from penstock.input import send_input
from penstock.settings import reload_settings
from penstock.states import Cancelling, Paused, Suspended

FLOWS = Path(__file__).with_name("flows.py")
KINDS = ["load", "load", "drawing", "asking", "asking", "asking_async", "receiving"]
SECONDS = float(os.environ.get("CHAOS_SECONDS", "7"))
SETTLING_S = 75
PROCESSES = 4
RECOVERERS = 2
SENT_LIMIT = 4
TTL_S = 2.0
CLI = "import sys; from penstock.cli import main; sys.exit(main())"


class Line(NamedTuple):
    """A line of the ledger."""

    when: float
    what: str
    run: str
    key: str
    pid: int


class Offer(NamedTuple):
    """A number that was offered to a run that waits for one, and what was said to that."""

    run: str
    number: int
    is_accepted: bool


class Chaos:
    """The processes, the troubles they get into, and what they wrote."""

    def __init__(self, folder, seed, environment):
        self.folder = folder
        self.random = random.Random(seed)
        self.ledger = folder / "ledger"
        self.environment = os.environ | environment | {"LEDGER": str(self.ledger)}
        self.children = []
        self.recoverers = []
        self.killed = {}
        self.numbers = count(1)
        self.offers = []
        self.by_hand = set()
        self.loses_answers = False
        self.sent = {}
        self.cancelled = {}

    def start(self, *arguments):
        path = self.folder / f"stderr-{len(self.children) + 1}"
        with path.open("wb") as stderr:
            child = subprocess.Popen(
                [sys.executable, *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        self.children.append(child)
        return child

    def start_command(self, *arguments):
        return self.start("-c", CLI, *arguments)

    def lines(self):
        if not self.ledger.exists():
            return []
        found = [line.split() for line in self.ledger.read_text().splitlines()]
        return [Line(float(w), what, run, key, int(pid)) for w, what, run, key, pid in found]

    def flow_runs(self):
        with get_client(sync_client=True) as client:
            return client.read_flow_runs(limit=10_000)

    def left(self):
        """Give the runs that are not over."""
        return [run for run in self.flow_runs() if not run.state.is_final()]

    def _any(self, runs):
        """Choose one of some runs; the store may give them in any order."""
        return self.random.choice(sorted(runs, key=lambda run: run.id)) if runs else None

    # -- troubles ---------------------------------------------------------------------------------

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

    def look_after_recoverers(self):
        """Start anew what has ended, as a supervisor does: one that begins while the server is
        away says so, and ends."""
        for place, child in enumerate(self.recoverers):
            if child.poll() is not None:
                self.recoverers[place] = self.start_command("recover", "--watch")

    def kill_a_recoverer(self):
        child = self.recoverers.pop(self.random.randrange(len(self.recoverers)))
        child.kill()
        self.recoverers.append(self.start_command("recover", "--watch"))

    def stop_for_a_while(self):
        owners = self.owners()
        if owners:
            pid = self.random.choice(owners)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                time.sleep(TTL_S * 1.2)
                os.kill(pid, signal.SIGCONT)

    # -- what is asked of runs --------------------------------------------------------------------

    def answer(self):
        """Have one of the runs that wait for somebody go on: once, twice at once, or by hand."""
        run = self._any([run for run in self.left() if run.state.is_paused()])
        if run is None:
            return
        way = self.random.choice(["once", "twice", "by hand"])
        if way == "by hand":
            number = next(self.numbers)
            self.offers.append(Offer(str(run.id), number, is_accepted=True))  # or perhaps not
            self.by_hand.add(number)
            given = ["--input", f"value={number}"] if self._wants_input(run) else []
            self.start_command("flow-run", "resume", str(run.id), *given)
        elif way == "twice":
            threads = [threading.Thread(target=self.resume, args=(run,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        else:
            self.resume(run)

    @staticmethod
    def _wants_input(run):
        return run.state.state_details.run_input_keyset is not None

    def resume(self, run):
        number = next(self.numbers)
        is_accepted = False
        # It was resumed, ended or killed meanwhile.
        with suppress(NotPausedError, FlowPauseTimeout, RuntimeError):
            resume_flow_run(run.id, {"value": number} if self._wants_input(run) else None)
            is_accepted = True
        if self._wants_input(run):
            self.offers.append(Offer(str(run.id), number, is_accepted))

    def send(self):
        """Send a number to one of the runs that want some."""
        wanting = {line.run for line in self.lines() if line.what == "wants"}
        runs = [
            run
            for run in self.left()
            if str(run.id) in wanting and len(self.sent.get(str(run.id), [])) < SENT_LIMIT
        ]
        run = self._any(runs)
        if run is not None:
            number = next(self.numbers)
            self.sent.setdefault(str(run.id), []).append(number)
            send_input(number, flow_run_id=run.id)

    def cancel(self):
        run = self._any([run for run in self.left() if str(run.id) not in self.cancelled])
        if run is None:
            return
        if self.random.random() < 0.3:
            self.start_command("flow-run", "cancel", str(run.id))
        elif self.ask(run, Cancelling()):
            self.cancelled[str(run.id)] = time.time()

    def pause(self):
        run = self._any([run for run in self.left() if run.state.is_running()])
        if run is not None:
            self.ask(run, Paused(timeout_seconds=None))

    def suspend(self):
        run = self._any([run for run in self.left() if run.state.is_running()])
        if run is not None:
            self.ask(run, Suspended(timeout_seconds=None))

    @staticmethod
    def ask(run, state):
        """Propose a state for a run; tell whether it was taken or will be."""
        with get_client(sync_client=True) as client:
            answer = client.set_flow_run_state(run.id, state)
        return answer.state is not None and (
            answer.state.type is state.type or answer.state.is_cancelled()
        )

    # -- the course of a test ---------------------------------------------------------------------

    def run(self, troubles):
        """Have the processes work, and get into trouble, for as long as the test lasts."""
        self.recoverers = [self.start_command("recover", "--watch") for _ in range(RECOVERERS)]
        until = time.monotonic() + SECONDS
        at_most = until + SETTLING_S
        working = []
        # A machine that is slow has executed nothing yet when the first troubles come.
        while time.monotonic() < until or (
            self.kill in troubles and not self.killed and time.monotonic() < at_most
        ):
            self.look_after_recoverers()
            working = [child for child in working if child.poll() is None]
            while len(working) < PROCESSES:
                working.append(self.start(str(FLOWS), self.random.choice(KINDS)))
            time.sleep(self.random.uniform(0.05, 0.3))
            self.random.choice(troubles)()

    def settle(self):
        """Give runs what they wait for until all are over, and end what looked after them."""
        until = time.monotonic() + SETTLING_S
        while (left := self.left()) and time.monotonic() < until:
            for run in left:
                if run.state.is_paused():
                    self.resume(run)
            self.look_after_recoverers()
            self.send()
            time.sleep(0.2)
        for child in self.children:
            if child not in self.recoverers:
                child.wait(30)
        for child in self.recoverers:
            child.terminate()
        for child in self.recoverers:
            child.wait(30)
        assert [(run.id, run.name, run.state_name) for run in left] == []

    def end(self):
        for child in self.children:
            if child.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def set_limits():
    with get_client(sync_client=True) as client:
        client.create_concurrency_limit("chaos", 2)
        client.create_global_concurrency_limit("gate", 1)


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
