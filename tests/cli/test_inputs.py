"""`penstock flow-run resume --input`: a run is given what it waits for, or a line says why not."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from penstock import get_client

FLOWS = """
    from datetime import date
    from typing import Literal

    from penstock import flow, pause_flow_run, suspend_flow_run
    from penstock.input import RunInput

    class Approval(RunInput):
        approved: bool
        day: date
        level: Literal["low", "high"] = "low"
        note: str | None = None
        numbers: list[int] = []

    @flow
    def leaves():
        wanted = Approval.with_initial_data("Release 2.1?")
        given = suspend_flow_run(wait_for_input=wanted, timeout=60)
        return [given.approved, str(given.day), given.level, given.note, given.numbers]

    @flow
    def waits():
        return pause_flow_run(wait_for_input=str, timeout=60)

    @flow
    def rests():
        suspend_flow_run(timeout=60)
        return 1
"""


@pytest.fixture
def only_run():
    def only_run():
        with get_client(sync_client=True) as client:
            (run,) = client.read_flow_runs()
        return run

    return only_run


@pytest.fixture
def suspended(write, penstock):
    write("flows.py", FLOWS)
    assert penstock("run", "flows.py:leaves").code == 5


@pytest.mark.usefixtures("suspended")
def test_what_is_typed_becomes_what_the_fields_take(penstock, only_run):
    typed = ["approved=true", "day=2026-12-24", "level=high", "note=12", "numbers=[1, 2]"]
    ended = penstock("flow-run", "resume", "-", *[f"--input={each}" for each in typed])

    assert ended.code == 0, ended.err
    assert only_run().state.result() == [True, "2026-12-24", "high", "12", [1, 2]]


@pytest.mark.parametrize(("word", "meant"), [("yes", True), ("No", False), ("off", False)])
@pytest.mark.usefixtures("suspended")
def test_yes_and_no_are_for_what_is_true_or_false(penstock, only_run, word, meant):
    typed = [f"approved={word}", "day=2026-12-24", f"note={word}"]
    ended = penstock("flow-run", "resume", "-", *[f"--input={each}" for each in typed])

    assert ended.code == 0, ended.err
    assert only_run().state.result() == [meant, "2026-12-24", "low", word, []]


@pytest.mark.usefixtures("suspended")
def test_all_fields_as_json(penstock, only_run):
    fields = '{"approved": false, "day": "2026-12-24"}'
    ended = penstock("flow-run", "resume", "-", "--input-json", fields, "--input", "note=null")

    assert ended.code == 0, ended.err
    assert only_run().state.result() == [False, "2026-12-24", "low", None, []]


@pytest.mark.usefixtures("suspended")
def test_inspect_says_what_is_wanted(penstock):
    shown = penstock("flow-run", "inspect", "-").out
    for words in (
        "to be resumed with input",
        "--input approved=... --input day=...",
        "approved (true or false); day (date)",
        'level ("low" or "high", "low" if left out)',
        "Release 2.1?",
    ):
        assert words in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "waits for input: 'approved' is a required property"),
        (["--input", "approved=maybe"], "approved: 'maybe' is not of type 'boolean'"),
        (["--input", "aproved=true"], "'aproved' was unexpected"),
        (["--input", "approved=true", "--input", "day=soon"], "day: 'soon' is not a 'date'"),
        (["--input", "approved"], "is no assignment"),
        (["--input", "note=1", "--input", "note=2"], "given twice"),
        (["--input-json", "{"], "--input-json is no JSON"),
        (["--input-json", "[1]"], "takes an object of fields"),
    ],
    ids=["missing", "wrong", "unknown", "no-date", "no-assignment", "twice", "no-json", "list"],
)
@pytest.mark.usefixtures("suspended")
def test_what_does_not_fit_is_a_line_and_the_run_stays(penstock, only_run, arguments, words):
    ended = penstock("flow-run", "resume", "-", *arguments)

    assert ended.code == 2
    assert words in ended.err
    assert "Traceback" not in ended.err
    assert ended.err.count("\n") == 1
    assert only_run().state_name == "Suspended"


def test_a_run_that_waits_for_nothing_is_given_nothing(write, penstock, only_run):
    write("flows.py", FLOWS)
    penstock("run", "flows.py:rests")
    ended = penstock("flow-run", "resume", "-", "--input", "a=1")
    assert ended.code == 2
    assert "waits for no input" in ended.err
    assert only_run().state_name == "Suspended"


@pytest.mark.usefixtures("suspended")
def test_a_flow_that_is_gone_leaves_the_run_as_it_is(penstock, project, only_run):
    (project / "flows.py").rename(project / "other.py")
    typed = ["--input", "approved=true", "--input", "day=2026-12-24"]
    assert penstock("flow-run", "resume", "-", *typed).code == 2
    assert only_run().state_name == "Suspended"

    (project / "other.py").rename(project / "flows.py")
    assert penstock("flow-run", "resume", "-", *typed).code == 0


def test_a_run_that_rests_in_another_process_goes_on_there(write, penstock, command, only_run):
    write("flows.py", FLOWS)
    process = subprocess.Popen(
        command("run", "flows.py:waits"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ),
    )
    until = time.monotonic() + 30
    while "Paused" not in penstock("flow-run", "ls").out:
        assert time.monotonic() < until
        time.sleep(0.05)

    refused = penstock("flow-run", "resume", "-")
    assert (refused.code, "value (text)" in refused.err) == (2, True)
    ended = penstock("flow-run", "resume", "-", "--input", "value=3")

    assert ended.code == 0, ended.err
    assert "goes on in process" in ended.out
    assert process.wait(30) == 0
    process.stdout.close()
    assert only_run().state.result() == "3"
