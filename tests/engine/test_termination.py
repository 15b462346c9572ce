"""Signals while flows run: SIGTERM and Ctrl-C (spec 3.1, 3.10, 8), in processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from penstock import flow, get_client
from penstock.engine.termination import enter_critical, leave_critical
from penstock.exceptions import TerminationSignal
from penstock.states import Cancelling

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")

HEAD = """
import os, signal, sys, threading, time
from penstock import flow, task

def hook(kind):
    def note(flow, flow_run, state):
        print("hook", kind, state.name, flush=True)
    return note

HOOKS = {
    "on_crashed": [hook("crashed")],
    "on_cancellation": [hook("cancellation")],
    "on_failure": [hook("failure")],
    "on_completion": [hook("completion")],
}

def ready():
    print("ready", flush=True)
"""


class Process:
    """A script that runs until it is told otherwise."""

    def __init__(self, path, source):
        path.write_text(textwrap.dedent(HEAD) + textwrap.dedent(source))
        self.running = subprocess.Popen(
            [sys.executable, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def wait_until_ready(self):
        line = self.running.stdout.readline()
        assert line == "ready\n", self.running.stderr.read()

    def send(self, number):
        self.running.send_signal(number)

    def end(self):
        """Wait until it has ended; give its exit code and the lines it printed."""
        out, self.errors = self.running.communicate(timeout=60)
        return self.running.returncode, out.splitlines()


@pytest.fixture
def start(tmp_path):
    started = []

    def run(source):
        process = Process(tmp_path / "script.py", source)
        started.append(process)
        return process

    yield run
    for process in started:
        process.running.kill()
        process.running.communicate()


SLEEPS = """
@flow(**HOOKS)
def sleeps():
    ready()
    time.sleep(60)

sleeps()
print("not reached", flush=True)
"""


def test_sigterm_crashes_the_run_and_ends_the_process(start, records):
    process = start(SLEEPS)
    process.wait_until_ready()
    process.send(signal.SIGTERM)

    code, lines = process.end()

    assert code == -signal.SIGTERM
    assert lines == ["hook crashed Crashed"]
    run = records.flow_run()
    assert [state.name for state in run.history] == ["Pending", "Running", "Crashed"]
    assert run.state.message == "Execution was aborted by a termination signal."
    assert any("termination signal" in line for line in records.logs())


def test_the_former_handler_is_called(start, records):
    process = start("""
        def former(number, frame):
            print("former handler", number == signal.SIGTERM, flush=True)
            sys.exit(7)

        signal.signal(signal.SIGTERM, former)

        @flow(**HOOKS)
        def sleeps():
            ready()
            time.sleep(60)

        sleeps()
    """)
    process.wait_until_ready()
    process.send(signal.SIGTERM)

    code, lines = process.end()

    assert code == 7
    assert lines == ["hook crashed Crashed", "former handler True"]
    assert records.flow_run().state.is_crashed()


def test_a_program_may_go_on_after_it(start, records):
    process = start("""
        from penstock.exceptions import TerminationSignal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

        @flow
        def sleeps():
            ready()
            time.sleep(60)

        @flow
        def quick():
            return 7

        try:
            sleeps()
        except TerminationSignal as caught:
            print("caught", caught.signal == signal.SIGTERM)
        print(quick())
    """)
    process.wait_until_ready()
    process.send(signal.SIGTERM)

    code, lines = process.end()

    assert (code, lines) == (0, ["caught True", "7"])
    first, second = records.flow_runs()
    assert first.state.is_crashed()
    assert second.state.is_completed()


def test_sigterm_while_a_task_runs(start, records):
    process = start("""
        import threading

        begun = threading.Event()

        @task
        def sleeps():
            begun.wait()
            ready()
            time.sleep(60)

        @task
        def spins():
            begun.set()
            while True:
                time.sleep(0.01)

        @flow(**HOOKS)
        def parent():
            spins.submit()
            sleeps()

        parent()
    """)
    process.wait_until_ready()
    process.send(signal.SIGTERM)

    code, lines = process.end()

    assert code == -signal.SIGTERM
    assert lines == ["hook crashed Crashed"]
    assert records.flow_run().state.is_crashed()
    assert {run.state.name for run in records.task_runs()} == {"Crashed"}


def test_sigterm_while_it_waits_for_a_submitted_task(start, records):
    process = start("""
        @task
        def sleeps():
            ready()
            time.sleep(60)

        @flow(**HOOKS)
        def parent():
            sleeps.submit().wait()

        parent()
    """)
    process.wait_until_ready()
    process.send(signal.SIGTERM)

    code, lines = process.end()

    assert (code, lines) == (-signal.SIGTERM, ["hook crashed Crashed"])
    assert records.task_run().state.is_crashed()


def test_sigterm_in_a_subflow_crashes_both(start, records):
    process = start("""
        @flow(**HOOKS)
        def child():
            ready()
            time.sleep(60)

        @flow(**HOOKS)
        def parent():
            child()

        parent()
    """)
    process.wait_until_ready()
    process.send(signal.SIGTERM)

    code, lines = process.end()

    assert code == -signal.SIGTERM
    assert lines == ["hook crashed Crashed"] * 2
    assert {run.state.name for run in records.flow_runs()} == {"Crashed"}


def test_sigterm_while_the_run_is_to_be_cancelled(start, records):
    process = start(SLEEPS)
    process.wait_until_ready()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(records.flow_run().id, Cancelling())
    process.send(signal.SIGTERM)

    code, lines = process.end()

    assert code == -signal.SIGTERM
    assert lines == ["hook cancellation Cancelling"]
    assert records.flow_run().state_type in ("CANCELLING", "CANCELLED")


def test_hooks_of_a_watched_process_are_left_to_the_watcher(start, records, monkeypatch):
    monkeypatch.setenv("PENSTOCK__ENABLE_CANCELLATION_AND_CRASHED_HOOKS", "false")
    process = start(SLEEPS)
    process.wait_until_ready()
    process.send(signal.SIGTERM)

    code, lines = process.end()

    assert (code, lines) == (-signal.SIGTERM, [])
    assert records.flow_run().state.is_crashed()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_an_async_flow(start, records, number):
    process = start("""
        import asyncio

        @task
        async def sleeps():
            ready()
            await asyncio.sleep(60)

        @flow(**HOOKS)
        async def parent():
            await sleeps()

        asyncio.run(parent())
    """)
    process.wait_until_ready()
    process.send(number)

    code, lines = process.end()

    assert code == -number
    assert lines == ["hook crashed Crashed"]
    assert records.flow_run().state.is_crashed()
    assert records.task_run().state.is_crashed()
    if number == signal.SIGTERM:
        assert "termination signal" in records.flow_run().state.message


def test_ctrl_c(start, records):
    process = start(SLEEPS)
    process.wait_until_ready()
    process.send(signal.SIGINT)

    code, lines = process.end()

    assert code == -signal.SIGINT
    assert lines == ["hook crashed Crashed"]
    assert "KeyboardInterrupt" in process.errors
    assert "interrupt signal" in records.flow_run().state.message


def test_ctrl_c_in_a_program_with_a_handler_of_its_own(start, records):
    process = start("""
        def own(number, frame):
            print("own handler", flush=True)
            raise RuntimeError("stop")

        signal.signal(signal.SIGINT, own)

        @flow(**HOOKS)
        def sleeps():
            ready()
            time.sleep(60)

        try:
            sleeps()
        except RuntimeError:
            print("caught")
    """)
    process.wait_until_ready()
    process.send(signal.SIGINT)

    code, lines = process.end()

    assert (code, lines) == (0, ["own handler", "hook failure Failed", "caught"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_at_any_moment_leaves_nothing_half_written(start, records, number):
    process = start("""
        @task
        def add(x):
            print(x, flush=True)
            return x + 1

        @flow(**HOOKS)
        def busy():
            ready()
            value = 0
            for _ in range(100_000):
                value = add(value)
                if value % 7 == 0:
                    add.submit(-value)

        busy()
    """)
    process.wait_until_ready()
    for _ in range(200):
        process.running.stdout.readline()
    process.send(number)

    code, lines = process.end()

    assert code == -number
    assert lines[-1].endswith("hook crashed Crashed")  # it came within a print, perhaps
    assert records.flow_run().state.is_crashed()
    runs = records.task_runs()
    assert {run.state.name for run in runs} <= {"Completed", "Crashed", "Cancelled"}
    called = [run for run in runs if not run.state.is_completed()]
    assert len(called) <= 5
    assert "Traceback" in process.errors or number == signal.SIGTERM
    assert "deadlock" not in process.errors.lower()


def test_a_flow_in_another_thread_leaves_signals_alone(start, records):
    process = start("""
        @flow
        def sleeps():
            ready()
            time.sleep(60)

        threading.Thread(target=sleeps, daemon=True).start()
        time.sleep(60)
    """)
    process.wait_until_ready()
    process.send(signal.SIGTERM)

    code, _lines = process.end()

    assert code == -signal.SIGTERM
    assert records.flow_run().state.is_running()  # its lease is void: it can go on


def test_a_store_that_is_busy_does_not_hold_a_second_ctrl_c_up(start, records):
    process = start("""
        import sqlite3
        from penstock.store import get_store

        @task
        def add():
            return 1

        @flow
        def waits():
            blocker = sqlite3.connect(get_store().path, isolation_level=None)
            blocker.execute("begin immediate")
            ready()
            add()

        waits()
    """)
    process.wait_until_ready()
    for _ in range(5):
        try:
            process.running.wait(0.2)
        except subprocess.TimeoutExpired:
            process.send(signal.SIGINT)
            continue
        break

    code, _lines = process.end()

    assert code == -signal.SIGINT


BLOCKED = {
    "sleep": "ready(), time.sleep(60)",
    "lock": "ready(), threading.Event().wait(60)",
    "process": (
        "subprocess.run([sys.executable, '-c',"
        " 'import time; print(\"ready\", flush=True); time.sleep(60)'])"
    ),
}


@pytest.mark.parametrize("blocked", list(BLOCKED.values()), ids=list(BLOCKED))
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_tasks_end_in_order_however_they_were_begun(start, records, number, blocked):
    process = start(f"""
        import subprocess

        begun = threading.Semaphore(0)

        @task
        def tidies(index):
            try:
                begun.release()
                while True:
                    time.sleep(0.01)
            finally:
                time.sleep(0.2)
                print("tidied\\n", end="", flush=True)  # whole, among others

        @task
        def blocks():
            for _ in range(3):
                begun.acquire()
            {blocked}

        @flow(**HOOKS)
        def main():
            tidies.submit(0)
            tidies.map([1, 2])
            blocks()

        main()
    """)
    process.wait_until_ready()
    process.send(number)

    code, lines = process.end()

    assert code == -number
    assert lines == ["tidied", "tidied", "tidied", "hook crashed Crashed"]
    assert records.flow_run().state.is_crashed()
    assert {run.state.name for run in records.task_runs()} == {"Crashed"}


def test_what_cannot_be_interrupted_is_named_and_left(start, records):
    process = start("""
        @task
        def blocks():
            ready()
            threading.Lock().acquire()
            time.sleep(60)

        @flow(**HOOKS)
        def main():
            blocks.submit().wait()

        main()
    """)
    process.wait_until_ready()
    began = time.monotonic()
    process.send(signal.SIGTERM)

    code, lines = process.end()

    assert (code, lines) == (-signal.SIGTERM, ["hook crashed Crashed"])
    assert time.monotonic() - began < 20
    assert any("cannot be interrupted" in log and "blocks-0" in log for log in records.logs())


def test_the_process_ends_when_its_time_is_over(start, records, monkeypatch):
    monkeypatch.setenv("PENSTOCK_SHUTDOWN_TIMEOUT_S", "0.5")
    process = start("""
        @task
        def stubborn():
            try:
                ready()
                time.sleep(60)
            except BaseException:
                print("no", flush=True)
            time.sleep(60)

        @flow(**HOOKS)
        def main():
            stubborn()

        main()
    """)
    process.wait_until_ready()
    process.send(signal.SIGTERM)

    code, lines = process.end()

    assert (code, lines) == (128 + signal.SIGTERM, ["no"])
    assert "PENSTOCK_SHUTDOWN_TIMEOUT_S" in process.errors
    assert "stubborn-0" in process.errors
    assert records.flow_run().state.is_running()  # its process is dead: that is recovered
    assert any("stubborn-0" in log for log in records.logs())


def test_a_second_ctrl_c_ends_at_once(start, records):
    process = start("""
        @task
        def tidies():
            try:
                ready()
                while True:
                    time.sleep(0.01)
            finally:
                print("tidying", flush=True)
                while True:
                    time.sleep(0.01)

        @flow(**HOOKS)
        def main():
            tidies.submit().wait()

        main()
    """)
    process.wait_until_ready()
    process.send(signal.SIGINT)
    assert process.running.stdout.readline() == "tidying\n"
    began = time.monotonic()
    process.send(signal.SIGINT)

    code, _lines = process.end()

    assert code == -signal.SIGINT
    assert time.monotonic() - began < 15  # of the 24 s that it would have waited


# -- in this process ------------------------------------------------------------------------------


def test_the_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    @flow
    def quick():
        return signal.getsignal(signal.SIGTERM)

    inside = quick()

    assert inside is not before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_the_handlers_are_put_back_after_flows_on_one_loop():
    before = signal.getsignal(signal.SIGTERM)

    @flow
    async def waits(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        return signal.getsignal(signal.SIGTERM)

    async def main():
        return await asyncio.gather(waits(1), waits(10), waits(3))

    inside = asyncio.run(main())

    assert all(handler is not before for handler in inside)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_held_signal_comes_when_the_commit_is_over():
    @flow
    def holds():
        assert enter_critical()
        try:
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("still here")
        finally:
            leave_critical()
        reached.append("not reached")

    reached = []
    with pytest.raises(KeyboardInterrupt):
        holds()
    assert reached == ["still here"]


def test_the_signal_tells_its_number():
    import pickle

    error = TerminationSignal(signal.SIGTERM)

    assert error.signal == signal.SIGTERM
    assert not isinstance(error, Exception)
    assert pickle.loads(pickle.dumps(error)).signal == signal.SIGTERM
