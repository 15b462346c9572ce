"""What somebody who sits at a terminal sees while `penstock run` runs, and what they can do there.

The flows wait for files, which a test makes when it has seen what it waits for: no time is made
up, on a busy machine either.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tools.terminal import CTRL_C, CTRL_Z, Terminal

# How the first of the lines looks: the run's name, for how long, and what of its task runs.
_LIVE = re.compile(r"^live-run  \d+\.\d s(?:  |$)", re.MULTILINE)

FLOWS = """
    import logging, os, subprocess, sys, time
    from pathlib import Path
    from penstock import flow, get_run_logger, pause_flow_run, task
    from penstock.input import RunInput

    mine = logging.getLogger("mine")
    mine.addHandler(logging.StreamHandler())

    def wait_for(name):
        while not Path(name).exists():
            time.sleep(0.01)

    @task
    def until(name):
        wait_for(name)

    @task
    def fine():
        return 1
"""


@pytest.fixture
def at_terminal(write, command, penstock_home):
    """Run a flow of this name in a terminal; its code is given."""
    opened = []

    def at_terminal(code, *options, **terminal):

        write("flows.py", textwrap.dedent(FLOWS) + textwrap.dedent(code))
        run = command("run", "flows.py:shown", "--name", "live-run", *options)
        opened.append(Terminal(run, **{"columns": 160} | terminal))
        return opened[-1]

    yield at_terminal
    for each in opened:
        each.close()


def go(name):
    """Let go on what waits for this file."""
    Path(name).touch()


def is_live(terminal):
    """Tell whether the display is on the screen."""
    return _LIVE.search(terminal.text()) is not None


def until_live(terminal):
    terminal.until(lambda: is_live(terminal))


def assert_left_clean(terminal):
    """Nothing that was drawn is left, and whoever types next does so at a line's start."""
    assert not is_live(terminal)
    assert "running" not in terminal.text()
    assert terminal.is_cursor_shown()
    assert terminal.screen.cursor.x == 0
    assert terminal.echoes()


# -- what is shown --------------------------------------------------------------------------------


def test_counts_and_the_longest_running_task_runs(at_terminal):
    terminal = at_terminal("""
        @task
        def fails():
            raise ValueError("no")

        @flow
        def shown():
            for _ in range(3):
                fine()
            fails(return_state=True)
            until("go")
            return 1
    """)
    terminal.until("until-0")
    assert re.search(
        r"^live-run  \d+\.\d s  1 running, 3 completed, 1 failed", terminal.text(), re.MULTILINE
    )
    assert re.search(r"^  \d+\.\d s  until-0$", terminal.text(), re.MULTILINE)

    go("go")
    assert terminal.until_ended() == 0
    assert_left_clean(terminal)
    assert terminal.lines()[-1] == "Task runs: 4 Completed, 1 Failed"


def test_subflows_have_their_own_line(at_terminal):
    terminal = at_terminal("""
        @flow(flow_run_name="the-inner-one")
        def inner():
            fine(), fine()
            until("go")

        @flow
        def shown():
            fine()
            inner()
    """)
    terminal.until("the-inner-one  1 running, 2 completed")
    assert re.search(r"^live-run  \d+\.\d s  1 completed", terminal.text(), re.MULTILINE)
    go("go")
    assert terminal.until_ended() == 0
    assert_left_clean(terminal)


def test_what_is_to_be_retried_says_when(at_terminal):
    terminal = at_terminal("""
        @task(retries=1, retry_delay_seconds=600)
        def flaky():
            raise ValueError("no luck")

        @flow
        def shown():
            flaky()
    """)
    said = r"^live-run  [\d.]+ s  1 to be retried\n  flaky-0 is tried again in (9|10) min \d+ s$"
    terminal.until(lambda: re.search(said, terminal.text(), re.MULTILINE))
    terminal.press(CTRL_C)
    assert terminal.until_ended() == -signal.SIGINT
    assert_left_clean(terminal)


def test_a_run_that_waits_for_input_says_how_to_give_it(at_terminal, command):
    terminal = at_terminal("""
        class Answer(RunInput):
            name: str

        @flow
        def shown():
            print("got", pause_flow_run(wait_for_input=Answer, timeout=60).name)
    """)
    terminal.until("--input NAME=VALUE")
    hint = re.search(r"paused, waits for input: penstock (.*)$", terminal.text(), re.MULTILINE)[1]
    given = hint.replace("NAME=VALUE", "name=Anna").split()

    subprocess.run(command(*given), check=True, stdout=subprocess.DEVNULL)

    assert terminal.until_ended() == 0
    assert "got Anna" in terminal.lines()
    assert_left_clean(terminal)


def test_names_are_shown_as_they_are_and_cut_to_the_width(at_terminal):
    terminal = at_terminal(
        """
        @task(task_run_name="とても長い名前" * 10)
        def wide():
            wait_for("go")

        @flow
        def shown():
            wide()
    """,
        columns=50,
    )
    cut = r"^  [\d.]+ s  (とても長い名前){2}\w*\.\.\.$"
    terminal.until(lambda: re.search(cut, terminal.text(), re.MULTILINE))
    go("go")
    assert terminal.until_ended() == 0
    assert_left_clean(terminal)


@pytest.mark.parametrize("rows", [10, 3])
def test_a_low_terminal_keeps_what_was_printed_in_sight(at_terminal, rows):
    terminal = at_terminal(
        """
        @flow
        def shown():
            futures = [until.submit("go") for _ in range(5)]
            print("printed")
            [future.wait() for future in futures]
    """,
        rows=rows,
    )
    terminal.until("until-" if rows > 3 else "5 running")
    assert "printed" in terminal.text()
    go("go")
    assert terminal.until_ended() == 0
    assert_left_clean(terminal)


def test_colors_only_where_they_are_wanted(at_terminal):
    code = """
        @flow
        def shown():
            fine()
            until("go")
    """
    colored = at_terminal(code)
    until_live(colored)
    go("go")
    colored.until_ended()
    Path("go").unlink()
    plain = at_terminal(code, environment={"NO_COLOR": "1"})
    until_live(plain)
    go("go")
    plain.until_ended()

    assert b"\x1b[32m1 completed\x1b[0m" in colored.written
    assert b"state \x1b[32mCompleted\x1b[0m after" in colored.written
    assert re.search(rb"\x1b\[\d*m", plain.written) is None


def test_a_terminal_that_cannot_draw_gets_lines(at_terminal):
    terminal = at_terminal(
        """
        @flow
        def shown():
            print("begun")
            until("go")
    """,
        environment={"TERM": "dumb"},
    )
    terminal.until("begun")
    go("go")
    assert terminal.until_ended() == 0
    assert b"\x1b" not in terminal.written


# -- what else writes there -----------------------------------------------------------------------


def test_a_line_that_was_begun_stays_and_nothing_is_drawn_over_it(at_terminal):
    terminal = at_terminal("""
        @flow
        def shown():
            until("one")
            print("begun", end="", flush=True)
            until("two")
            print(" and gone on", file=sys.stderr, end="", flush=True)
            until("three")
            print(" with")
            until("four")
    """)
    until_live(terminal)
    go("one")
    terminal.until("begun")
    assert not is_live(terminal)
    go("two")
    terminal.until("begun and gone on")
    assert not is_live(terminal)
    go("three")
    until_live(terminal)
    go("four")
    assert terminal.until_ended() == 0
    assert "begun and gone on with" in terminal.lines()
    assert_left_clean(terminal)


def test_thousands_of_lines_are_all_there_and_the_display_under_them(at_terminal):
    terminal = at_terminal(
        """
        @flow
        def shown():
            logger = get_run_logger()
            until("go")
            for number in range(700):
                logger.info("line %d.", number)
                mine.warning("mine %d.", number)
                print("print", f"{number}.")
            until("end")
    """,
        rows=12,
    )
    until_live(terminal)
    go("go")
    terminal.until(lambda: "print 699." in terminal.text() and is_live(terminal))
    go("end")
    assert terminal.until_ended() == 0

    lines = terminal.all_lines()
    for kind in ("line", "mine", "print"):
        found = [int(hit[1]) for line in lines if (hit := re.search(rf"{kind} (\d+)\.$", line))]
        assert found == list(range(700))
    assert not any(_LIVE.search(line) for line in lines)


def test_what_programs_and_children_write_is_left_as_it_is(at_terminal):
    terminal = at_terminal("""
        import multiprocessing

        @flow
        def shown():
            until("one")
            subprocess.run("echo first; until test -e two; do sleep 0.01; done; echo second",
                           shell=True)
            os.system("printf 'not ended'")
            until("three")
            child = multiprocessing.get_context("fork").Process(target=print, args=("forked",))
            child.start(), child.join()
            until("four")
    """)
    until_live(terminal)
    go("one")
    terminal.until("first")
    assert not is_live(terminal)
    go("two")
    until_live(terminal)
    assert terminal.lines()[1:4] == ["first", "second", "not ended"]
    go("three")
    terminal.until(lambda: "forked" in terminal.lines() and is_live(terminal))
    go("four")
    assert terminal.until_ended() == 0
    assert terminal.lines()[1:5] == ["first", "second", "not ended", "forked"]
    assert_left_clean(terminal)


def test_a_program_whose_output_is_taken_does_not_hide_the_display(at_terminal):
    terminal = at_terminal("""
        @flow
        def shown():
            wait = "until test -e go; do sleep 0.01; done; echo done"
            print(subprocess.run(wait, shell=True, capture_output=True, text=True).stdout)
    """)
    until_live(terminal)
    go("go")
    assert terminal.until_ended() == 0
    assert "done" in terminal.lines()


@pytest.mark.parametrize(("redirected", "is_drawn"), [("| cat", False), ("> printed", True)])
def test_nothing_is_drawn_where_a_program_shows_what_is_printed(
    write, penstock_home, redirected, is_drawn
):
    flows = textwrap.dedent(FLOWS) + textwrap.dedent("""
        @flow
        def shown():
            print("printed")
            until("go")
            time.sleep(0.8)  # by then something would have been drawn
    """)
    write("flows.py", flows)
    line = f"{sys.executable} -m penstock run flows.py --name live-run {redirected}"
    with Terminal(["/bin/sh", "-c", line], columns=160) as terminal:
        if is_drawn:
            until_live(terminal)
        else:
            terminal.until("Beginning flow run")
        go("go")
        assert terminal.until_ended() == 0
        assert (b"\x1b[J" in terminal.written) == is_drawn


# -- what is asked there --------------------------------------------------------------------------


def test_somebody_is_asked_and_answers(at_terminal):
    terminal = at_terminal("""
        @flow
        def shown():
            until("one")
            name = input("What is your name? ")
            until("two")
            town = sys.stdin.readline().strip()
            print(name, "of", town)
    """)
    until_live(terminal)
    go("one")
    terminal.until("What is your name?")
    assert terminal.lines()[-1] == "What is your name?"
    terminal.press("Anna")
    terminal.until("What is your name? Anna")
    terminal.press("\n")
    until_live(terminal)
    assert "What is your name? Anna" in terminal.lines()
    go("two")
    terminal.until(lambda: not is_live(terminal))
    terminal.press("Ulm\n")
    assert terminal.until_ended() == 0
    assert {"What is your name? Anna", "Ulm", "Anna of Ulm"} <= set(terminal.lines())
    assert_left_clean(terminal)


def test_a_password_is_asked_for(at_terminal):
    terminal = at_terminal("""
        import getpass

        @flow
        def shown():
            until("one")
            word = getpass.getpass("Password: ")
            until("two")
            print(len(word), "letters")
    """)
    until_live(terminal)
    go("one")
    terminal.until(lambda: terminal.lines()[-1] == "Password:")
    terminal.until(lambda: not terminal.echoes())
    terminal.press("secret\n")
    until_live(terminal)
    assert "Password:" in terminal.lines()
    go("two")
    assert terminal.until_ended() == 0
    assert "6 letters" in terminal.lines()
    assert "secret" not in terminal.text()
    assert_left_clean(terminal)


def test_a_debugger(at_terminal):
    terminal = at_terminal("""
        @flow
        def shown():
            until("one")
            answer = 41
            breakpoint()
            until("two")
            print("gone on with", answer)
    """)
    until_live(terminal)
    go("one")
    terminal.until("(Pdb)")
    terminal.press("p answer\n")
    terminal.until("41")
    assert not is_live(terminal)
    terminal.press("answer = 42\n")
    terminal.press("c\n")
    until_live(terminal)
    go("two")
    assert terminal.until_ended() == 0
    assert "gone on with 42" in terminal.lines()
    assert "(Pdb) c" in terminal.lines()
    assert_left_clean(terminal)


# -- the window and its keys ----------------------------------------------------------------------


def test_the_window_is_made_narrow_and_wide_again(at_terminal):
    name = "a-task-run-of-which-the-name-is-rather-long-for-forty-columns"
    terminal = at_terminal(f"""
        @task(task_run_name="{name}")
        def named():
            wait_for("go")

        @flow
        def shown():
            named()
    """)
    terminal.until(name)
    terminal.resize(40, 30)
    terminal.until(
        lambda: re.search(r"^  [\d.]+ s  a-task-run[\w-]+\.\.\.$", terminal.text(), re.MULTILINE)
    )
    assert len(_LIVE.findall(terminal.text())) == 1
    terminal.resize(160, 30)
    terminal.until(name)
    assert len(_LIVE.findall(terminal.text())) == 1
    go("go")
    assert terminal.until_ended() == 0
    assert_left_clean(terminal)


def test_ctrl_c_ends_in_order(at_terminal):
    terminal = at_terminal("""
        @flow
        def shown():
            fine()
            until("never")
    """)
    until_live(terminal)
    terminal.press(CTRL_C)

    assert terminal.until_ended() == -signal.SIGINT
    assert "Task runs: 1 Completed, 1 Crashed" in terminal.lines()
    assert terminal.lines()[-1].startswith("Go on with it: penstock flow-run resume ")
    assert_left_clean(terminal)


DEAF = """
    @task
    def deaf():
        while not Path("never").exists():
            try:
                time.sleep(60)
            except BaseException:
                Path("heard").touch()

    @flow
    def shown():
        deaf()
"""


def test_ctrl_c_says_what_it_waits_for_and_twice_ends_at_once(at_terminal, write, penstock):
    terminal = at_terminal(DEAF, environment={"PENSTOCK_SHUTDOWN_TIMEOUT_S": "600"})
    until_live(terminal)
    terminal.press(CTRL_C)
    terminal.until("Press Ctrl-C again to end at once.")
    assert "Interrupted: waiting for what is executed to end, 600 s at most." in terminal.text()
    until_live(terminal)
    terminal.press(CTRL_C)

    assert terminal.until_ended() == 128 + signal.SIGINT
    assert_left_clean(terminal)
    assert "deaf-0" in "".join(terminal.lines())
    last = terminal.lines()[-1]
    assert last.startswith("Go on with it: penstock ")
    go("never")
    ended = penstock(*last.partition("penstock ")[2].split())
    assert ended.code == 0, ended


def test_sigterm_leaves_the_terminal_as_it_was(at_terminal):
    terminal = at_terminal("""
        @flow
        def shown():
            until("never")
    """)
    until_live(terminal)
    terminal.send(signal.SIGTERM)

    assert terminal.until_ended() == -signal.SIGTERM
    assert terminal.lines()[-1].startswith("Go on with it: penstock flow-run resume ")
    assert_left_clean(terminal)


def test_a_flow_that_raises_shows_the_line_and_how_to_go_on(at_terminal):
    terminal = at_terminal("""
        @flow
        def shown():
            until("go")
            raise RuntimeError("the roof came down")
    """)
    until_live(terminal)
    go("go")

    assert terminal.until_ended() == 1
    assert_left_clean(terminal)
    text = terminal.text()
    assert re.search(r'flows.py", line \d+, in shown\n    raise RuntimeError', text)
    assert "penstock/engine" not in text
    assert re.search(r'^  flows.py, line \d+: raise RuntimeError\("the roof', text, re.MULTILINE)
    assert terminal.lines()[-1].startswith("Go on with it: penstock flow-run resume ")


@pytest.mark.skipif(shutil.which("bash") is None, reason="a shell that stops what it started")
def test_ctrl_z_stops_it_without_traces_and_fg_goes_on(at_terminal, write, project):

    code = """
    @flow
    def shown():
        until("go")
    """
    write("flows.py", textwrap.dedent(FLOWS) + textwrap.dedent(code))
    line = f"{sys.executable} -m penstock run flows.py --name live-run"
    with Terminal(
        ["bash", "--norc", "--noprofile", "-i"], columns=160, environment={"PS1": "> "}
    ) as terminal:
        terminal.until(">")
        terminal.press(f"{line}\n")
        until_live(terminal)
        terminal.press(CTRL_Z)
        terminal.until(lambda: terminal.lines()[-1] == ">")
        assert not is_live(terminal)
        assert terminal.is_cursor_shown()
        assert any(each.startswith("[1]+  Stopped") for each in terminal.lines())
        terminal.press("fg\n")
        until_live(terminal)
        go("go")
        terminal.until("Task runs: 1 Completed")
        terminal.until(lambda: terminal.lines()[-1] == ">")
        assert not is_live(terminal)
        terminal.press("exit\n")
        assert terminal.until_ended() == 0
