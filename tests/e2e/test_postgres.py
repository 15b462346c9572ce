"""Processes on a PostgreSQL store: killed, and with a server that is restarted under them."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from contextlib import suppress
from threading import Event
from uuid import UUID

import pytest

from penstock.settings import reload_settings
from penstock.store import get_store

END_TIMEOUT_S = 60
KILLS = 3
OUTAGES = 4

# Each kind of flow of `flows/killed.py`: how large, and the value it gives.
KINDS = {"chain": (300, 300), "mapped": (800, sum(range(801)) + 16), "asynchronous": (60, None)}

END_SESSIONS = """select pg_terminate_backend(pid) from pg_stat_activity
where application_name = 'penstock'"""


@pytest.fixture(autouse=True)
def _on_a_server(penstock_home, postgres_url, monkeypatch):
    monkeypatch.setenv("PENSTOCK_STORE_URL", postgres_url)
    reload_settings()


@pytest.fixture
def server(postgres_server):
    """The server, which a test may stop."""
    yield postgres_server
    if postgres_server.process is None:
        postgres_server.start()


def lines_of(ledger):
    return [line.split(" ") for line in ledger.read_text().splitlines()]


def labels_of(lines, event):
    return [label for what, label, _value, _process in lines if what == event]


def wait_until_begun(ledger, labels, children):
    """Wait for task runs to begin: a server that is not there before them is an error."""
    while not ledger.exists() or not labels <= set(labels_of(lines_of(ledger), "begin")):
        assert all(child.poll() is None for child in children)
        Event().wait(0.01)


def completed():
    rows = get_store().read("select name from task_run where state_type = 'COMPLETED'")
    return Counter(name for (name,) in rows)


def only_run():
    rows = get_store().read("select id from flow_run where parent_task_run_id is null")
    return str(UUID(bytes=rows[0][0])) if rows else None


def check_records(count):
    """All is over, and recorded once."""
    done = completed()
    assert set(done.values()) == {1}
    assert len(done) == count
    assert get_store().read("select distinct state_name from task_run") == [("Completed",)]
    states = get_store().read("select distinct state_name, owner from flow_run")
    assert states == [("Completed", None)]


@pytest.mark.parametrize("kind", ["chain", "mapped"])
def test_killed_at_random_moments(kind, programs, ledger, seeded):
    rng, repeat = seeded
    count, value = KINDS[kind]
    kills = []
    for _ in range(KILLS):
        run_id = only_run()
        what = ("run", kind, count) if run_id is None else ("resume", kind, run_id)
        child = programs.start("killed.py", *what)
        programs.wait_until(child)
        with suppress(subprocess.TimeoutExpired):
            child.wait(0.1 + 0.2 * rng.random())
        child.kill()
        child.communicate()
        kills.append((len(lines_of(ledger)) if ledger.exists() else 0, completed()))

    run_id = only_run()
    what = ("run", kind, count) if run_id is None else ("resume", kind, run_id)
    ended = programs.run("killed.py", *what, timeout_s=END_TIMEOUT_S)

    assert (ended.code, ended.out) == (0, f"up\nvalue {value}\n"), (ended.err, repeat)
    lines = lines_of(ledger)
    for length, done in kills:
        assert set(labels_of(lines[:length], "reported")) <= set(done), repeat
        assert not set(labels_of(lines[length:], "begin")) & set(done), repeat
    check_records(len(set(labels_of(lines, "begin"))))


def test_a_server_that_is_restarted_under_load(programs, ledger, server, seeded):
    rng, repeat = seeded
    running = {kind: programs.start("killed.py", "run", kind, KINDS[kind][0]) for kind in KINDS}
    wait_until_begun(ledger, {"chain-0", "mapped-0", "awaited-0"}, running.values())
    for number in range(OUTAGES):
        Event().wait(0.1 + 0.2 * rng.random())
        if number % 2:
            server.execute(END_SESSIONS)
        else:
            server.stop(rng.choice([signal.SIGINT, signal.SIGQUIT]))
            server.start()

    for kind, child in running.items():
        ended = programs.end(child, END_TIMEOUT_S)
        assert ended.code == 0, (kind, ended.err, repeat)
        if KINDS[kind][1] is not None:
            assert ended.out.splitlines()[-1] == f"value {KINDS[kind][1]}"
    begun = Counter(labels_of(lines_of(ledger), "begin"))
    assert set(begun.values()) == {1}, repeat
    check_records(len(begun))


def test_a_server_that_stays_away(programs, ledger, server, monkeypatch):
    count, value = KINDS["chain"]
    monkeypatch.setenv("PENSTOCK_STORE_OUTAGE_TIMEOUT_S", "0.3")
    child = programs.start("killed.py", "run", "chain", count)
    wait_until_begun(ledger, {"chain-20"}, [child])
    server.stop()

    ended = programs.end(child, END_TIMEOUT_S)

    assert ended.code == 1
    last = ended.err.splitlines()[-1]
    assert "StoreUnreachable" in last
    assert "away for more than 0.3 s" in last
    reported = labels_of(lines_of(ledger), "reported")
    server.start()
    assert set(reported) <= set(completed())

    ended = programs.run("penstock", "flow-run", "resume", only_run(), timeout_s=END_TIMEOUT_S)
    assert ended.code == 0, ended.err
    begun = Counter(labels_of(lines_of(ledger), "begin"))
    assert all(begun[label] == 1 for label in reported)
    check_records(count)
    assert value == count
