"""The lines that `penstock run` shows on a terminal while a flow runs."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.live_lines import shown

_COLORS = re.compile(r"\x1b\[\d*m")
_STEERING = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\r")

# The tasks wait until the terminal has been drawn on, and so for no time that is made up.
_FLOW = """
    import sys, threading
    from penstock import flow, get_run_logger, task
    from penstock.cli import live

    drawn = threading.Event()
    draw = live.lines_of

    def observed(executions, elapsed_s):
        lines = draw(executions, elapsed_s)
        if any("slow-" in text for line in lines for text, _ in line):
            drawn.set()
        return lines

    live.lines_of = observed

    @task
    def quick(number):
        return number

    @task
    def slow():
        drawn.wait(6)
        live.lines_of = draw
        print("printed by a task")
        get_run_logger().warning("logged by a task")

    @flow
    def nightly():
        for number in range(5):
            quick(number)
        print("before the slow one")
        slow()
"""


@pytest.fixture
def on_screen(command):
    """Give a command in a terminal that has its stderr, too; give what it writes there."""

    def on_screen(width, *arguments, **environment):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        env = os.environ | {"TERM": "xterm-256color"} | environment
        child = subprocess.Popen(
            command(*arguments),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=env,
            start_new_session=True,
        )
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # Linux says so when the other end is closed
            pass
        os.close(ours)
        assert child.wait(timeout=30) == 0
        return _COLORS.sub("", shown.decode().replace("\r\n", "\n"))

    return on_screen


@pytest.fixture
def flows(write):
    return write("flows.py", _FLOW)


def test_a_terminal_shows_counts_and_what_runs_and_they_go(flows, on_screen, penstock_home):
    shown = on_screen(100, "run", flows)
    assert re.search(r"[\d.]+ s  1 running, 5 completed", shown)
    assert re.search(r"\n  [\d.]+ s  slow-\w+", shown)
    # Whatever was drawn was erased before the summary.
    assert "running" not in shown.rpartition("\x1b[J")[2]
    assert "nightly" in shown.rpartition("\x1b[J")[2]


def test_prints_and_logs_are_shown_once_each(flows, on_screen, penstock_home):
    shown = on_screen(100, "run", flows)
    assert shown.count("before the slow one\n") == 1
    assert shown.count("printed by a task\n") == 1
    assert shown.count("logged by a task") == 1


def test_no_line_is_wider_than_the_terminal(flows, on_screen, penstock_home):
    drawn = []
    for _ in range(3):  # on a busy machine it may be over before anything is drawn
        shown = on_screen(40, "run", flows)
        drawn += re.findall(r"\x1b\[J([^\x1b]*running[^\x1b]*)\x1b", shown)
        if drawn:
            break
    assert drawn
    assert max(len(line.rstrip("\r")) for block in drawn for line in block.split("\n")) < 40


def test_a_terminal_that_does_not_say_its_size_is_drawn_on(flows, on_screen, penstock_home):
    assert "1 running, 5 completed" in on_screen(0, "run", flows)


@pytest.mark.parametrize(
    ("options", "environment"),
    [(["--watch"], {}), (["--quiet"], {}), (["--json"], {}), ([], {"TERM": "dumb"})],
)
def test_nothing_is_drawn_where_it_is_not_wanted(
    options, environment, write, on_screen, penstock_home
):
    flows = write("flows.py", _FLOW.replace("drawn.wait(6)", "drawn.wait(0.8)"))
    shown = on_screen(100, "run", flows, *options, **environment)
    assert "printed by a task" in shown
    assert "running" not in shown
    assert "\x1b[J" not in shown


def test_a_pipe_gets_plain_lines(write, process, penstock_home):
    flows = write("flows.py", _FLOW.replace("drawn.wait(6)", "drawn.wait(0.8)"))
    ended = process("run", flows)
    assert ended.code == 0
    assert "\x1b" not in ended.out + ended.err


def in_columns(text, width, encoding="utf-8"):
    return shown([(text, "")], width, encoding)


def test_names_cannot_steer_the_terminal():
    assert _STEERING.search(in_columns("a\x1b[2J\rb", 40)) is None


def test_a_line_takes_no_more_columns_than_there_are():
    taken = [len(in_columns("a long line", width)) for width in (0, 2, 8, 40)]
    assert taken == [0, 2, 8, 11]
    assert in_columns("日本語のタスク", 9) == "日本語..."
    assert in_columns("日本語のタスク", 8) == "日本..."
    assert in_columns("cafe\u0301", 4) == "cafe\u0301"


@given(st.lists(st.text(), max_size=4), st.integers(0, 60), st.sampled_from(["utf-8", "ascii"]))
def test_whatever_a_name_is_it_stays_in_its_line(texts, width, encoding):
    line = shown([(text, "1") for text in texts], width, encoding)
    assert wcwidth.wcswidth(line) in range(width + 1)
    colored = shown([(text, "1") for text in texts], width, encoding, colors=True)
    assert _COLORS.sub("", colored) == line
    colored.encode(encoding)


def test_what_a_terminal_lacks_is_escaped():
    assert in_columns("täsk", 40) == "täsk"
    assert in_columns("täsk", 40, "ascii") == r"t\xe4sk"
    assert in_columns("täsk 日", 40, "latin-1") == r"täsk \u65e5"
