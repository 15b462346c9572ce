"""SIGTERM and Ctrl-C in real processes: what is recorded, how they end, what they say about it."""

from __future__ import annotations

import re
import signal
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")

PROMPTLY_S = 10
SIGNALS = {"SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT}
KINDS = ("called", "submitted", "unwoken", "stuck", "stuck_at_the_end", "asynchronous", "outer")
LOG_LINE = re.compile(r"^[\d:.]+ \| (\w+) +\| (?:Flow|Task) run '[^']+' - (.*)$", re.MULTILINE)
CRASHED = "Crash detected! Execution was "
LEFT_BEHIND = "The flow run ends while it still executes what cannot be interrupted"
NOISE = ("Exception ignored", "Exception in thread", "was never", "deadlock", "Fatal", "locked")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", SIGNALS.values(), ids=SIGNALS)
def test_a_signal_in_the_middle(programs, database, kind, number):
    child = programs.start("signalled.py", kind)
    programs.wait_until(child)
    child.send_signal(number)
    ended = programs.end(child, PROMPTLY_S)

    assert ended.code == -number
    flow_runs = 2 if kind == "outer" else 1
    assert database.counts("flow_run") == {"Crashed": flow_runs}
    assert database.read("select count(*) from flow_run where owner is not null") == [(0,)]
    quick = {"submitted": 3, "outer": 2}.get(kind, 1)
    crashed = {"asynchronous": 2, "outer": 2}.get(kind, 1)
    assert database.counts("task_run") == {"Completed": quick, "Crashed": crashed}

    said = LOG_LINE.findall(ended.err)
    logs = database.read("select message from log order by id")
    assert sorted(message for (message,) in logs) == sorted(message for _level, message in said)
    assert ("INFO", "about to sleep") in said
    last = [message for _level, message in said[-2:]]
    # A worker that waits for a lock cannot be woken.
    if last[-1].startswith(LEFT_BEHIND):
        assert kind in ("submitted", "unwoken", "stuck", "stuck_at_the_end")
        last.pop()
    assert last[-1].startswith(CRASHED)
    assert not [noise for noise in NOISE if noise in ended.err]
    # With SIGTERM, the program ends as if it were not handled; Ctrl-C is an exception. An event
    # loop shows the cancellation, too, that Ctrl-C means to it.
    tracebacks = 0 if number == signal.SIGTERM else 2 if kind == "asynchronous" else 1
    assert ended.err.count("Traceback (most recent call last)") == tracebacks
    assert ended.err.endswith("KeyboardInterrupt\n") == (number == signal.SIGINT)


@pytest.mark.parametrize("kind", ["called", "stuck", "asynchronous"])
def test_the_former_handler_has_the_last_word(programs, database, kind):
    child = programs.start("signalled.py", kind, "--with-handler")
    programs.wait_until(child)
    child.terminate()
    ended = programs.end(child, PROMPTLY_S)

    assert ended.code == 7
    assert ended.out.splitlines()[-1] == "former handler"
    assert database.counts("flow_run") == {"Crashed": 1}
    assert "Traceback" not in ended.err


def test_a_signal_to_a_command(programs, database):
    child = programs.start("penstock", "run", f"{programs.flows / 'signalled.py'}:submitted")
    programs.wait_until(child)
    child.terminate()
    ended = programs.end(child, PROMPTLY_S)

    assert ended.code == -signal.SIGTERM
    assert database.counts("flow_run") == {"Crashed": 1}
    assert "Go on with it: penstock flow-run resume" in ended.out
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("kind", "code", "last_line", "states"),
    [
        ("timed_out", 0, None, {"Completed": 1, "TimedOut": 1}),
        (
            "timed_out_itself",
            1,
            "TimeoutError: Flow run exceeded timeout of 0.3 seconds",
            {"Completed": 1, "Crashed": 1},
        ),
        ("fails_beside_a_stuck_one", 1, "ValueError: on purpose", {"TimedOut": 1}),
    ],
)
def test_a_thread_that_is_stuck_does_not_keep_the_process(
    programs, database, kind, code, last_line, states
):
    ended = programs.run("signalled.py", kind, timeout_s=PROMPTLY_S)

    assert ended.code == code
    assert database.counts("task_run") == states
    if last_line is None:
        assert ended.out.endswith("value TimedOut\n")
        assert "Traceback" not in ended.err
    else:
        assert ended.err.splitlines()[-1] == last_line
