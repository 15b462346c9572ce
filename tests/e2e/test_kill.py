"""kill -9 at random moments (DESIGN 5): what was reported stays, what is completed stays done."""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import NamedTuple
from uuid import UUID

import pytest

from penstock.store import get_store

KILLS = 10
LIVES_S = 0.5
END_TIMEOUT_S = 60

# Each kind of flow, and how large: it takes more than twice LIVES_S.
KINDS = {"chain": 500, "mapped": 2000, "subflow": 50, "asynchronous": 220, "retried": 70}


def expected_value(kind, count):
    """Reckon the value of a flow, without any engine."""
    if kind == "chain":
        return count
    if kind == "mapped":
        return sum(range(1, count + 1)) + -(-count // 50)
    value = 0
    for _ in range(count):
        if kind == "subflow":
            value = ((value + 1) % 100 + 8) * 5 + 4
            continue
        value += 1
        inner = value + 1
        value += (5 if kind == "asynchronous" else 3) * (inner % 7)
    return value


def expected_labels(kind, count):
    """Name all task runs of a flow."""
    if kind == "chain":
        return {f"chain-{index}" for index in range(count)}
    if kind == "mapped":
        beside = {f"beside-{start}" for start in range(0, count, 50)}
        return beside | {f"mapped-{index}" for index in range(count)}
    first, second, width = {
        "subflow": ("outer", "inner", 12),
        "asynchronous": ("awaited", "together", 5),
        "retried": ("called", "submitted", 3),
    }[kind]
    alone = {f"{first}-{index}" for index in range(count)}
    if kind == "subflow":
        alone |= {f"child-{index}" for index in range(count)}
    return alone | {f"{second}-{index}-{step}" for index in range(count) for step in range(width)}


class Line(NamedTuple):
    """One line of the ledger."""

    event: str
    label: str
    value: str
    process: str


class Kill(NamedTuple):
    """What was there right after a kill: the length of the ledger, and what was completed."""

    lines: int
    completed: set


class Killing:
    """One flow run that is killed again and again, and gone on with."""

    def __init__(self, kind, programs, database, ledger, rng):
        self.kind, self.count = kind, KINDS[kind]
        self.programs, self.database, self.ledger = programs, database, ledger
        shares = [rng.random() for _ in range(KILLS)]
        self.lives_s = [LIVES_S * share / sum(shares) for share in shares]
        self.kills = []
        self.run_id = None
        self.ended = None

    def lines(self):
        if not self.ledger.exists():
            return []
        return [Line(*line.split(" ")) for line in self.ledger.read_text().splitlines()]

    def find_run(self):
        rows = self.database.read("select id from flow_run where parent_task_run_id is null")
        self.run_id = str(UUID(bytes=rows[0][0])) if rows else None

    def start(self, *, with_command=False):
        """Begin the flow, or go on with it where it was left: by a script, or by the command."""
        with (self.programs.folder / "stderr.txt").open("a") as errors:
            if self.run_id is None:
                what = ("killed.py", "run", self.kind, self.count)
            elif with_command:
                what = ("penstock", "flow-run", "resume", self.run_id)
            else:
                what = ("killed.py", "resume", self.kind, self.run_id)
            return self.programs.start(*what, stderr=errors)

    def live_and_die(self, life_s):
        """Let a process live for a while and kill it, unless it is over before."""
        child = self.start(with_command=len(self.kills) % 3 == 2)
        self.programs.wait_until(child)
        try:
            child.wait(life_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            completed = "select name from task_run where state_type = 'COMPLETED'"
            done = {name for (name,) in self.database.read(completed)}
            self.kills.append(Kill(len(self.lines()), done))
            self.find_run()
        else:
            self.ended = self.programs.end(child)

    def finish(self):
        """Let it come to its end at last."""
        self.ended = self.programs.end(self.start(), END_TIMEOUT_S)
        self.find_run()

    def errors(self):
        return (self.programs.folder / "stderr.txt").read_text()[-3000:]


def check_kill(kill, lines):
    """What the flow had been given was recorded; what was recorded was not executed again."""
    before, after = lines[: kill.lines], lines[kill.lines :]
    given = {line.label for line in before if line.event == "reported"}
    assert given <= kill.completed
    again = {line.label for line in after if line.event == "begin"} & kill.completed
    assert not again


def check_executions(killing, lines):
    """Each task was executed, and no more often than there were processes for it."""
    ends = Counter(line.label for line in lines if line.event == "end")
    assert set(ends) == expected_labels(killing.kind, killing.count)
    attempts = 2 if killing.kind == "retried" else 1
    each = Counter((line.label, line.process) for line in lines if line.event == "begin")
    assert max(each.values()) <= attempts
    if killing.kind == "chain":
        # Only the one that was being executed at a kill is executed again.
        assert sum(ends.values()) <= killing.count + len(killing.kills)


def check_records(killing, database, lines):
    """All is recorded as completed, once, with the values that were reported."""
    assert database.is_sound()
    assert set(database.counts("flow_run")) == {"Completed"}
    assert set(database.counts("task_run")) == {"Completed"}
    assert database.read("select count(*) from flow_run where owner is not null") == [(0,)]
    runs = []
    for (key,) in database.read("select id from flow_run"):
        runs += get_store().read_task_runs(UUID(bytes=key))
    names = Counter(run.name for run in runs)
    assert set(names) == expected_labels(killing.kind, killing.count)
    assert set(names.values()) == {1}
    recorded = {run.name: run.state.result() for run in runs if run.state.data is not None}
    for line in lines:
        if line.event == "reported" and not line.label.startswith("child-"):
            assert recorded[line.label] == int(line.value)


def check_end(killing, database):
    """The run has come to its end, as if nobody had killed anything; and it stays there."""
    out = ["up", f"value {expected_value(killing.kind, killing.count)}"]
    assert killing.ended.code == 0
    assert killing.ended.out.splitlines() == out
    lines = killing.lines()
    for kill in killing.kills:
        check_kill(kill, lines)
    check_executions(killing, lines)
    check_records(killing, database, lines)
    killing.finish()
    assert killing.ended.out.splitlines() == out
    assert killing.lines() == lines


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_moments(kind, programs, database, ledger, seeded):
    rng, repeat = seeded
    killing = Killing(kind, programs, database, ledger, rng)
    try:
        for life_s in killing.lives_s:
            killing.live_and_die(life_s)
            assert killing.ended is None, f"over after {len(killing.kills)} kills"
        killing.finish()
        check_end(killing, database)
    except AssertionError as error:
        error.add_note(f"{repeat}; kills at lines {[kill.lines for kill in killing.kills]}")
        error.add_note(killing.errors())
        raise
