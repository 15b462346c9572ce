"""Processes that are killed and stopped, servers that restart, and what is recorded afterwards.

Meanwhile runs wait for inputs, in their process or in none, and are given them, now and then by
two at once; others are cancelled, paused and suspended. Each test says its seed; with CHAOS_SEED
it is run again. CHAOS_SECONDS makes it last longer.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

import penstock
from penstock.client import get_client
from penstock.store import get_store
from penstock.store.checking import check_history

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

OWN_FRAME = f'File "{Path(penstock.__file__).parent}'
NOISE = ("database is locked", "Fatal Python", "never awaited", "deadlock")
ENDS = ("Completed", "Crashed", "Cancelled")
CANCELLING_S = 15.0
END_CONNECTIONS = """select pg_terminate_backend(pid) from pg_stat_activity
where application_name = 'penstock' and pid <> pg_backend_pid()"""


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


def executed_after_they_were_cancelled(chaos, runs):
    """Give what runs did after they had been recorded Cancelled."""
    ended = {str(run.id): run.state.timestamp.timestamp() for run in runs if _is_cancelled(run)}
    return [line for line in chaos.lines() if line.when > ended.get(line.run, 1e12)]


def _is_cancelled(run):
    return run.state.is_cancelled()


def _lost_a_subflow(run):
    """Tell whether a run failed because the run that it had called was cancelled alone."""
    return run.state.is_failed() and "CancelledRun" in run.state.message


def came_back(chaos):
    """Give what a process did of a run with which another one had gone on."""
    owners, back = defaultdict(list), []
    for line in sorted(chaos.lines()):
        known = owners[line.run]
        if line.pid not in known:
            known.append(line.pid)
        elif known[-1] != line.pid:
            back.append(line)
    return back


def check_cancellations(chaos, runs):
    assert executed_after_they_were_cancelled(chaos, runs) == []
    by_id = {str(run.id): run for run in runs}
    for key, asked in chaos.cancelled.items():
        run = by_id[key]
        # It may have come to its end at that moment.
        took_s = run.state.timestamp.timestamp() - asked
        is_prompt = run.state.is_completed() and took_s < CANCELLING_S
        assert run.state.is_cancelled() or is_prompt, (run.name, run.state, took_s)


def check_inputs(chaos, runs):
    """What a run was given it takes, once for each question, and nothing else."""
    taken = defaultdict(dict)
    for line in chaos.lines():
        if line.what == "took":
            question, _, number = line.key.partition("=")
            if question == "inner":  # a subflow run that crashed asks again
                question = f"inner in {line.pid}"
            assert taken[line.run].setdefault(question, int(number)) == int(number), line
    for run in runs:
        key, numbers = str(run.id), list(taken[str(run.id)].values())
        assert len(set(numbers)) == len(numbers), (run.name, taken[key])
        if key in chaos.sent:
            assert numbers == chaos.sent[key][: len(numbers)]
            continue
        given = {
            offer.number
            for offer in chaos.offers
            # An answer that was lost with its connection may have been that it is taken.
            if offer.run == key and (offer.is_accepted or chaos.loses_answers)
        }
        assert set(numbers) <= given, (run.name, taken[key])
        is_root = run.parent_task_run_id is None
        if run.state.is_completed() and is_root and not chaos.loses_answers:
            assert given - chaos.by_hand <= set(numbers), (run.name, taken[key])


def check(chaos, *, noise=NOISE):
    runs = chaos.flow_runs()
    print(Counter((run.flow_name, run.state_name) for run in runs))  # noqa: T201 - as the seed
    ended_well = sum(run.state_name in ("Completed", "Cancelled") for run in runs)
    assert ended_well > len(runs) / 2
    # A run that dies three times in a row with nothing done is given up.
    others = [run for run in runs if run.state_name not in ENDS and not _lost_a_subflow(run)]
    assert [(run.flow_name, run.state_name, run.state.message) for run in others] == []
    errors = [each for each in check_history(get_store()) if each.severity == "error"]
    assert errors == []
    assert executed_after_they_were_completed(chaos) == []
    assert came_back(chaos) == []
    check_cancellations(chaos, runs)
    check_inputs(chaos, runs)
    assert most_at_once(chaos, "limited") <= 2
    assert most_at_once(chaos, "guarded") <= 1
    assert get_store().read("select count(*) from concurrency_slot") == [(0,)]
    for path in chaos.folder.glob("stderr-*"):
        said = path.read_text(errors="replace")
        assert not [each for each in noise if each in said], said[-4_000:]


def asked_of(chaos):
    """Give what is asked of runs, twice what answers them: they are to go on, too."""
    answers = [chaos.answer, chaos.send]
    return [chaos.cancel, chaos.pause, chaos.suspend, *answers, *answers]


def test_processes_that_are_killed_and_stopped(chaos):
    troubles = [chaos.kill, chaos.kill, chaos.stop_for_a_while, chaos.kill_a_recoverer]
    chaos.run([*troubles, *asked_of(chaos)])
    chaos.settle()

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

    chaos.loses_answers = True
    chaos.run([drop, drop, restart, chaos.kill, *asked_of(chaos)])
    chaos.settle()

    check(chaos)
