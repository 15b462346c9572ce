"""Real processes that share limits: waked in time, nothing leaks from the killed (PAINS 17)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from penstock.concurrency import concurrency
from penstock.settings import reload_settings
from penstock.store import get_store, limits

HOLD = """
import sys
from penstock.concurrency import concurrency
with concurrency("db"):
    print("in", flush=True)
    sys.stdin.readline()
"""
USE = """
import sys, time
from penstock.concurrency import concurrency
from penstock.store import get_store, limits
for _ in range(int(sys.argv[1])):
    with concurrency("db"):
        taken = limits.read_limit(get_store(), "db").taken
        assert taken <= 2, taken
print("over", flush=True)
"""


@pytest.fixture
def store(store_url, monkeypatch):
    """Have the records in a store of each kind in turn."""
    monkeypatch.setenv("PENSTOCK_STORE_URL", store_url)
    reload_settings()
    return get_store()


@pytest.fixture
def start(store):
    """Start processes of the store; kill them when the test is over."""
    started = []

    def start_one(script, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            env={**os.environ, "PENSTOCK_STORE_URL": store.url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def until(condition):
    """Look until it is so, for ten seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def waiting(store):
    return len(limits.read_limit(store, "db").waiting)


def test_who_waits_in_another_process_is_let_in_when_a_slot_is_free(store, start):
    limits.create_limit(store, "db", 1)
    with concurrency("db"):
        waiter = start(HOLD)
        until(lambda: waiting(store) == 1)
    freed = time.monotonic()

    assert waiter.stdout.readline() == "in\n"
    assert time.monotonic() - freed < 1.0


def test_killed_holders_and_waiters_leave_nothing_behind(store, start):
    limits.create_limit(store, "db", 1)
    holder = start(HOLD)
    assert holder.stdout.readline() == "in\n"
    dead, living = start(HOLD), None
    until(lambda: waiting(store) == 1)
    living = start(HOLD)
    until(lambda: waiting(store) == 2)

    dead.send_signal(signal.SIGKILL)
    dead.wait()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    killed = time.monotonic()

    assert living.stdout.readline() == "in\n"
    assert time.monotonic() - killed < 5.0
    living.communicate("\n", timeout=20)
    assert store.read("select count(*) from concurrency_slot") == [(0,)]


def test_processes_are_served_in_the_order_of_their_arrival(store, start):
    limits.create_limit(store, "db", 1)
    with concurrency("db"):
        queue = []
        for number in range(3):
            queue.append(start(HOLD))
            until(lambda number=number: waiting(store) == number + 1)

    for process in queue:
        assert process.stdout.readline() == "in\n"
        assert limits.read_limit(store, "db").taken == 1
        process.communicate("\n", timeout=20)


def test_many_processes_never_have_more_than_there_are(store, start):
    limits.create_limit(store, "db", 2)
    processes = [start(USE, "15") for _ in range(4)]

    for process in processes:
        assert process.communicate(timeout=60)[0] == "over\n"
        assert process.returncode == 0
    assert limits.read_limit(store, "db").taken == 0


def test_ctrl_c_ends_a_wait_and_leaves_the_queue(store, start):
    limits.create_limit(store, "db", 1)
    with concurrency("db"):
        waiter = start(HOLD)
        until(lambda: waiting(store) == 1)
        waiter.send_signal(signal.SIGINT)
        assert waiter.wait(10) != 0
        assert waiting(store) == 0
