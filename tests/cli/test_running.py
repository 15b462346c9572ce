"""`penstock run`: its options, its summary, its exit codes, and how it is interrupted."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import flow as make_flow
from penstock.cli.failing import CommandError
from penstock.cli.parameters import bind_parameters, values_in
from penstock.cli.runners import runner_of

FLOWS = """
    import os, threading, time
    from penstock import flow, task, tags, suspend_flow_run
    from penstock.states import Cancelled, Crashed

    @task
    def fetch(page):
        if page % 3 == 2:
            raise ValueError(f"page {page} is gone")
        return page

    @flow
    def simple(pages: int = 2, title: str = "report"):
        print("printed by the flow")
        return {"pages": sum(fetch(n) for n in range(pages)), "title": title}

    @flow
    def mapped(pages: int = 4):
        return list(fetch.map(range(pages)))

    @flow
    def crashes():
        return Crashed(message="the roof came down")

    @flow
    def cancelled():
        return Cancelled(message="not needed")

    @flow
    def rests():
        suspend_flow_run(timeout=60)

    @flow
    def returns_an_object():
        return object()

    @task
    def blocked():
        print("waiting", flush=True)
        time.sleep(60)

    @task
    def deaf():
        print("waiting", flush=True)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                time.sleep(60)
            except BaseException:
                print("no", flush=True)

    @flow
    def stops():
        fetch(1)
        blocked()

    @flow
    def does_not_stop():
        deaf.submit()
"""


@pytest.fixture
def flows(write):
    return write("flows.py", FLOWS)


# -- how it ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("flows.py:simple", 0),
        ("flows.py:mapped", 1),
        ("flows.py:gone", 2),
        ("flows.py:crashes", 3),
        ("flows.py:cancelled", 4),
        ("flows.py:rests", 5),
    ],
)
def test_a_process_exits_with_how_the_run_ended(flows, process, target, code):
    ended = process("run", target)

    assert ended.code == code, ended
    assert "src/penstock" not in ended.err


def test_what_failed_is_named_with_the_line_of_its_code(flows, penstock, latest):
    ended = penstock("run", "flows.py:mapped", "-p", "pages=10")

    assert ended.out.splitlines()[1:] == [
        "Task runs: 7 Completed, 3 Failed",
        "Failed: fetch-2: ValueError: page 2 is gone",
        "Failed: fetch-5: ValueError: page 5 is gone",
        "Failed: fetch-8: ValueError: page 8 is gone",
        '  flows.py, line 9: raise ValueError(f"page {page} is gone")',
        f"Go on with it: penstock flow-run resume {latest()['id']}",
    ]


def test_what_failed_in_a_subflow_is_named_with_the_line_of_its_code(write, penstock):
    write(
        "flows.py",
        """
        from penstock import flow, task

        @task
        def fine(): ...

        @flow
        def inner():
            raise KeyError("deep")

        @flow
        def outer():
            fine()
            inner(return_state=True)
    """,
    )

    ended = penstock("run", "flows.py:outer")

    lines = ended.out.splitlines()
    assert re.search(r"of flow 'outer' ended in state Failed after \d+ ms: 1/2 states", lines[0])
    assert lines[1] == "Task runs: 1 Completed, 1 Failed"
    assert re.fullmatch(r"Failed: inner-0 \(subflow run '[\w-]+'\): KeyError: 'deep'", lines[2])
    assert lines[3] == '  flows.py, line 9: raise KeyError("deep")'
    (failed,) = penstock("run", "flows.py:outer", "--json").objects["failed_task_runs"]
    assert (failed["name"], failed["failed_at"]["line"]) == ("inner-0", 9)


def test_what_failed_alike_is_told_once(write, penstock, latest):
    write(
        "flows.py",
        """
        from penstock import flow, task

        @task
        def call(number):
            raise ConnectionError("no answer")

        @flow
        def calls():
            return list(call.map(range(20)))
    """,
    )

    ended = penstock("run", "flows.py")

    assert ended.out.splitlines()[1:] == [
        "Task runs: 20 Failed",
        "Failed: call-0, call-1, call-2 and 17 more: ConnectionError: no answer",
        '  flows.py, line 6: raise ConnectionError("no answer")',
        f"Go on with it: penstock flow-run resume {latest()['id']}",
    ]


def test_the_flows_own_line_stands_under_what_became_of_it(write, penstock):
    write(
        "flows.py",
        """
        from penstock import flow, task

        @task
        def fine(): ...

        @flow
        def breaks():
            fine()
            raise RuntimeError("the roof came down")
    """,
    )

    first, second, third, _ = penstock("run", "flows.py").out.splitlines()

    assert first.endswith(": RuntimeError: the roof came down")
    assert second == '  flows.py, line 10: raise RuntimeError("the roof came down")'
    assert third == "Task runs: 1 Completed"


def test_a_run_that_is_gone_on_with_says_what_had_completed_before(flows, penstock):
    penstock("run", "flows.py:mapped", "-p", "pages=10")

    ended = penstock("flow-run", "resume", "-")

    assert ended.out.splitlines()[1] == (
        "Task runs: 7 Completed, 3 Failed; 7 had completed before"
    )


def test_debug_shows_all_frames_of_what_failed(flows, process):
    ended = process("run", "flows.py:mapped", "--debug")

    assert ended.code == 1
    assert "src/penstock" in ended.err


def test_only_a_few_failures_are_shown(flows, penstock, latest):
    ended = penstock("run", "flows.py:mapped", "-p", "pages=30")

    assert ended.out.count("Failed: fetch-") == 5
    (rest,) = re.findall(r"^and 5 more: penstock (.*)$", ended.out, re.MULTILINE)
    assert latest()["id"] in rest
    assert penstock(*rest.split()).out.count("Failed") == 10


def test_a_run_that_rests_says_how_to_go_on(flows, penstock, latest):
    ended = penstock("run", "flows.py:rests")

    assert "ended in state Suspended" in ended.out
    assert "waits until" in ended.out
    last = ended.out.splitlines()[-1]
    assert last == f"Go on with it: penstock flow-run resume {latest()['id']}"
    assert penstock(*last.partition("penstock ")[2].split()).code == 0


@pytest.mark.parametrize("width", [60, 120])
def test_the_summary_in_a_terminal(flows, in_terminal, width):
    shown = in_terminal(width, "run", "flows.py:simple", "--name", "monday")

    shown = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", re.sub(r"\d+ ms", "3 ms", shown))
    assert shown.endswith(
        "printed by the flow\n"
        "Flow run 'monday' (ID) of flow 'simple' ended in state"
        " \x1b[32mCompleted\x1b[0m after 3 ms\n"
        "Task runs: 2 Completed\n"
    )


# -- options --------------------------------------------------------------------------------------


def test_name_tags_and_runner_are_those_of_the_run(flows, penstock, latest):
    ended = penstock(
        "run", "flows.py:mapped", "-p", "pages=2", "--name", "my {run}", "-t", "a", "-t", "b",
        "--runner", "inline",
    )  # fmt: skip

    assert ended.code == 0
    run = latest()
    assert run["name"] == "my {run}"
    assert run["tags"] == ["a", "b"]
    assert all(each["tags"] == ["a", "b"] for each in run["task_runs"])
    starts = [each["start_time"] for each in run["task_runs"]]
    assert starts == sorted(starts)


def test_runners_by_text():
    assert runner_of("inline").name == "sequential"
    assert runner_of("threads").name == "concurrent"
    assert runner_of("Threads:3").max_workers == 3
    for wrong in ("threads:0", "threads:x", "inline:2", "", "processes"):
        with pytest.raises(CommandError, match="There is no runner"):
            runner_of(wrong)


def test_parameters_from_a_file_from_json_and_by_name(flows, write, penstock, latest):
    write("given.toml", 'pages = 1\ntitle = "from the file"\n')

    penstock("run", "flows.py:simple", "--params-file", "given.toml")
    assert latest()["parameters"] == {"pages": 1, "title": "from the file"}

    penstock(
        "run", "flows.py:simple", "--params-file", "given.toml", "--params-json", '{"pages": 2}',
        "-p", "title=typed",
    )  # fmt: skip
    assert latest()["parameters"] == {"pages": 2, "title": "typed"}


def test_one_json_document_says_how_it_ended(flows, process):
    ended = process("run", "flows.py:simple", "--json")

    document = json.loads(ended.out)
    assert document["result"] == {"pages": 1, "title": "report"}
    assert document["task_run_counts"] == {"Completed": 2}
    assert document["state_type"] == "COMPLETED"
    assert document["exit_code"] == ended.code == 0
    assert document["duration_s"] > 0
    assert document["go_on"] is None
    assert "printed by the flow" in ended.err


def test_a_failure_as_json(flows, penstock):
    ended = penstock("run", "flows.py:mapped", "--json")

    document = ended.objects
    assert document["exit_code"] == ended.code == 1
    (failed,) = document["failed_task_runs"]
    assert failed["name"] == "fetch-2"
    assert failed["failed_at"]["file"].endswith("flows.py")
    assert failed["failed_at"]["line"] == 9
    assert document["go_on"] == f"penstock flow-run resume {document['id']}"


def test_a_result_that_json_cannot_hold_is_named_by_its_type(flows, penstock):
    document = penstock("run", "flows.py:returns_an_object", "--json").objects

    assert document["result"] is None
    assert document["result_type"] == "object"


def test_quiet_says_only_what_went_wrong(flows, penstock, latest):
    fine = penstock("run", "flows.py:simple", "--quiet")
    assert (fine.out, fine.err) == ("printed by the flow\n", "")
    logs = penstock("flow-run", "logs", latest()["id"])
    assert "Beginning flow run" in logs.out

    broken = penstock("run", "flows.py:mapped", "--quiet")
    assert "ended in state Failed" in broken.out
    assert "Encountered exception" in broken.err


def test_somebody_at_a_terminal_chooses(write, project, command):
    write("two.py", FLOWS)
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        command("run", "two.py", "--quiet"), stdin=theirs, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    shown = ""
    while "Which one" not in shown:
        shown += os.read(ours, 65536).decode()
    os.write(ours, b"simple\n")

    out, _ = child.communicate(timeout=30)
    os.close(ours)
    assert re.search(r"1  simple\r?\n  2  mapped", shown)
    assert child.returncode == 0
    assert out == b"printed by the flow\n"


# -- interrupted ----------------------------------------------------------------------------------


def test_ctrl_c_once_ends_in_order(flows, started, latest):
    child = started("run", "flows.py:stops")

    child.send_signal(signal.SIGINT)
    out, _err = child.communicate(timeout=20)

    assert child.returncode == -signal.SIGINT
    assert "Task runs: 1 Completed, 1 Crashed" in out
    assert "Crashed: blocked-0: Execution was aborted by an interrupt signal." in out
    assert out.endswith(f"Go on with it: penstock flow-run resume {latest()['id']}\n")


def test_ctrl_c_twice_ends_at_once(flows, started, latest):
    child = started(
        "run", "flows.py:does_not_stop",
        PENSTOCK_INTERRUPT_GRACE_S="50", PENSTOCK_SHUTDOWN_TIMEOUT_S="55",
    )  # fmt: skip

    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    for line in child.stderr:
        if "Crash detected" in line:
            break
    # As people do: pressed again while nothing happens.
    while child.poll() is None and time.monotonic() - began < 20:
        child.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=0.5)

    assert child.returncode in (-signal.SIGINT, 130)
    assert time.monotonic() - began < 20


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("p.json", '{"pages": 1,\n "title" }', "p.json, line 2, column 10: no JSON"),
        ("p.json", "[1]", "p.json holds list, and not an object"),
        ("p.toml", "pages = 1\ntitle = \n", "p.toml: this is no TOML: Invalid value (at line 2"),
        ("p.yaml", "pages: 1", "must end in .json or .toml"),
        ("p.json", '{"page": 1}', "has no parameter 'page'. Did you mean 'pages'?"),
        ("p.json", '{"pages": "many"}', "pages: Input should be a valid integer"),
    ],
)
def test_a_file_of_parameters_that_is_wrong(flows, write, penstock, file, text, complaint):
    write(file, text)

    ended = penstock("run", "flows.py:simple", "--params-file", file)

    assert ended.code == 2
    assert complaint in ended.err
    assert len(ended.err.splitlines()) == 1
    assert "Traceback" in penstock("run", "flows.py:simple", "--params-file", file, "--debug").err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["flows.py:simpel"], "Did you mean 'simple'?"),
        (["flows.py:simple", "--params-file", "none.json"], "cannot be read: No such file"),
        (["flows.py:simple", "--params-json", "{"], "--params-json, line 1, column 2: no JSON"),
        (["flows.py:simple", "--params-json", '{"pages": NaN}'], "this is no JSON: NaN"),
        (["flows.py:simple", "--watch", "--quiet"], "Give one of them"),
        (["flows.py:simple", "--name", " "], "--name is empty"),
        (["flows.py:simple", "--tag", ""], "A --tag is empty"),
        (["flows.py:simple", "--runner", "dask"], "There is no runner 'dask'"),
    ],
)
def test_what_was_typed_wrong_is_told_in_a_line(flows, penstock, arguments, complaint):
    ended = penstock("run", *arguments)

    assert ended.code == 2
    assert complaint in ended.err
    assert len(ended.err.splitlines()) == 1
    assert penstock("flow-run", "ls", "--json").objects == []


@pytest.mark.parametrize("home", ["/proc/none", "{project}/flows.py/home"])
def test_a_home_that_cannot_be(flows, process, project, home):
    ended = process("run", "flows.py:simple", PENSTOCK_HOME=home.format(project=project))

    assert ended.code == 2
    assert len(ended.err.splitlines()) <= 2
    assert "Set PENSTOCK_HOME to a folder that this user may write to" in ended.err


def test_a_store_that_is_none(flows, process, project):
    (project / "junk.db").write_bytes(b"no database at all " * 100)

    ended = process("run", "flows.py:simple", PENSTOCK_STORE_URL=f"sqlite:///{project}/junk.db")

    assert ended.code == 2
    assert len(ended.err.splitlines()) <= 2
    assert "is not a SQLite database" in ended.err


# -- property: what is typed is what the flow gets ------------------------------------------------


@make_flow
def typed(
    number: int = 0,
    ratio: float = 0.0,
    is_on: bool = False,
    text: str = "",
    items: list[int] = [],  # noqa: B006
    table: dict[str, int] = {},  # noqa: B006
):
    return number, ratio, is_on, text, items, table


finite = st.floats(allow_nan=False, allow_infinity=False)
VALUES = {
    "number": st.integers(),
    "ratio": finite,
    "is_on": st.booleans(),
    "text": st.text(),
    "items": st.lists(st.integers()),
    "table": st.dictionaries(st.text(), st.integers()),
}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.fixed_dictionaries({}, optional=VALUES))
def test_what_is_typed_is_what_the_flow_gets(values):
    assignments = [
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in values.items()
    ]

    bound = bind_parameters(typed, assignments)
    from_json = bind_parameters(typed, [], values_in(json.dumps(values), None))

    for name, value in values.items():
        assert bound[name] == value
        assert type(bound[name]) is type(value) or name == "ratio"
        assert from_json[name] == value
