"""`penstock run`: which flow, with what, and how it ended."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

FLOWS = """
    import datetime
    from penstock import flow, task

    @task
    def double(x):
        return 2 * x

    @flow
    def main(n: int = 1):
        print("the result is", double(n))
        return double(n)
"""

SEVERAL = """
    import sys
    from penstock import flow
    from penstock.states import Cancelled, Paused

    @flow
    def fine(): ...

    @flow(name="With another name")
    def named(): ...

    @flow
    def fails():
        raise ValueError("no such luck,\\nnot today")

    @flow
    def leaves():
        sys.exit(7)

    @flow
    def is_cancelled():
        return Cancelled(message="not needed")

    @flow
    def waits():
        return Paused()

    @flow
    async def later():
        return 1
"""


def test_the_one_flow_of_a_file_runs(write, penstock, latest):
    write("flows.py", FLOWS)

    ended = penstock("run", "flows.py")

    assert ended.code == 0
    assert "the result is 2\n" in ended.out
    last, counts = ended.out.splitlines()[-2:]
    assert counts == "Task runs: 2 Completed"
    assert re.match(
        r"Flow run '[\w-]+' \([0-9a-f-]{36}\) of flow 'main' ended in state Comp", last
    )
    assert "Beginning flow run" in ended.err
    assert latest()["id"] in last
    assert latest()["state_type"] == "COMPLETED"
    assert len(latest()["task_runs"]) == 2


@pytest.mark.parametrize(
    "target",
    [
        "flows/etl.py:fine",
        "flows/etl.py:With another name",
        "flows/etl.py:named",
        "flows.etl:fine",
        "flows.etl.fine",
        "flows.etl:With another name",
        "{project}/flows/etl.py:later",
    ],
)
def test_a_flow_is_named_in_many_ways(write, project, penstock, target):
    write("flows/etl.py", SEVERAL)

    ended = penstock("run", target.format(project=project))

    assert (ended.code, ended.err.count("Error")) == (0, 0)
    assert "ended in state Completed" in ended.out


def test_a_module_with_one_flow(write, penstock):
    write("jobs.py", FLOWS)

    assert penstock("run", "jobs").code == 0


def test_a_package_that_is_found_by_file_or_by_name(write, penstock, latest):
    write("shop/__init__.py", "")
    write("shop/amounts.py", "amount = 3")
    write("shop/jobs.py", "from .amounts import amount\n" + FLOWS.replace("\n    ", "\n"))

    assert penstock("run", "shop/jobs.py", "-p", "n=4").code == 0
    by_file = latest()
    assert penstock("run", "shop.jobs").code == 0
    assert by_file["entrypoint"] == latest()["entrypoint"]


def test_a_files_own_flow_goes_before_those_it_imports(write, penstock, latest):
    write("common.py", SEVERAL)
    write("flows.py", "from common import fine, named\n" + FLOWS.replace("\n    ", "\n"))

    assert penstock("run", "flows.py").code == 0
    assert latest()["flow_name"] == "main"


@pytest.mark.parametrize(
    ("flow", "code", "state"),
    [
        ("fine", 0, "Completed"),
        ("later", 0, "Completed"),
        ("fails", 1, "Failed"),
        ("leaves", 3, "Crashed"),
        ("is_cancelled", 4, "Cancelled"),
        ("waits", 5, "Paused"),
    ],
)
def test_the_exit_code_says_how_it_ended(write, penstock, latest, flow, code, state):
    write("flows.py", SEVERAL)

    ended = penstock("run", f"flows.py:{flow}")

    assert ended.code == code
    assert f"ended in state {state}" in ended.out
    assert latest()["state_name"] == state
    goes_on = f"penstock flow-run resume {latest()['id']}" in ended.out
    assert goes_on == (state in ("Failed", "Crashed", "Paused"))


def test_a_message_of_several_lines_is_one_in_the_report(write, penstock):
    write("flows.py", SEVERAL)

    ended = penstock("run", "flows.py:fails")

    first, second, third = ended.out.splitlines()
    assert first.endswith("ValueError: no such luck, not today")
    assert second == r"""  flows.py, line 14: raise ValueError("no such luck,\nnot today")"""
    assert third.startswith("Go on with it: penstock flow-run resume ")


@pytest.mark.parametrize("target", ["flows.py:Holder.held", "flows.py:made", "flows:made"])
def test_a_flow_that_a_function_made_can_be_gone_on_with(
    write, penstock, latest, monkeypatch, target
):
    text = """
    import os
    from penstock import flow

    def make():
        @flow
        def inner():
            assert "IS_FINE" in os.environ
        return inner

    class Holder:
        held = make()
    made = make()
    """
    write("flows.py", text)

    assert penstock("run", target).code == 1
    monkeypatch.setenv("IS_FINE", "1")
    assert penstock("flow-run", "resume", "-").code == 0
    assert latest()["state_type"] == "COMPLETED"


# -- parameters -----------------------------------------------------------------------------------

TYPED = """
    import datetime
    from pathlib import Path
    from typing import Any
    from penstock import flow

    @flow
    def main(
        number: int = 0, share: float = 0.0, name: str = "", flag: bool = False,
        day: datetime.date | None = None, items: list[int] = [], place: Path = Path(),
        anything: Any = None, bare=None, either: int | str = 0,
    ):
        print(f"{number!r} {share!r} {name!r} {flag!r} {day!r} {items!r} {str(place)!r}"
              f" {anything!r} {bare!r} {either!r}")

    @flow
    def more(first, /, *rest, second, **others: int):
        print(f"{first!r} {second!r} {others!r}")

    @flow(validate_parameters=False)
    def unchecked(number: int = 0, name: str = ""):
        print(f"{number!r} {name!r}")
"""


def given(*assignments):
    return [part for each in assignments for part in ("--param", each)]


@pytest.mark.parametrize(
    ("assignment", "shown"),
    [
        ("number=3", "3 0.0"),
        ("share=3", "0 3.0"),
        ("share=nan", "0 nan"),
        ("share=NaN", "0 nan"),
        ("name=3", "'3' False"),
        ("name=null", "'null' False"),
        ("name=a=b", "'a=b' False"),
        ("name=", "'' False"),
        ("flag=true", "True None"),
        ("flag=yes", "True None"),
        ("day=2024-05-01", "datetime.date(2024, 5, 1)"),
        ("day=null", "None []"),
        ("items=[1, 2]", "[1, 2]"),
        ("place=data/5", "'data/5'"),
        ("place=5", "'5'"),
        ('anything={"a": 1}', "{'a': 1} None"),
        ("anything=[not json", "'[not json' None"),
        ("bare=2", "None 2 0"),
        ("bare=text", "None 'text' 0"),
        ("either=7", "None 7\n"),
        ("either=x", "None 'x'\n"),
    ],
)
def test_a_value_is_what_the_flow_takes(write, penstock, assignment, shown):
    write("flows.py", TYPED)

    ended = penstock("run", "flows.py:main", *given(assignment))

    assert ended.code == 0
    assert shown in ended.out


def test_parameters_of_every_kind(write, penstock):
    write("flows.py", TYPED)

    ended = penstock("run", "flows.py:more", *given("first=1", "second=b", "third=3", "fourth=4"))

    assert "1 'b' {'third': 3, 'fourth': 4}\n" in ended.out


def test_a_flow_that_does_not_validate_gets_what_fits_its_annotations(write, penstock):
    write("flows.py", TYPED)

    ended = penstock("run", "flows.py:unchecked", "-p", "number=3", "-p", "name=3")

    assert "3 '3'\n" in ended.out


@pytest.mark.parametrize(
    ("assignments", "complaint"),
    [
        (["numbr=3"], "Flow 'main' has no parameter 'numbr'. Did you mean 'number'?"),
        (["zzz=3"], "has no parameter 'zzz'. It takes 'number', 'share', "),
        (["number"], "--param 'number' is no assignment. Write --param name=value."),
        (["=3"], "is no assignment"),
        (["number=1", "number=2"], "Parameter 'number' is given twice."),
    ],
)
def test_parameters_that_do_not_fit_the_flow(write, penstock, store, assignments, complaint):
    write("flows.py", TYPED)

    ended = penstock("run", "flows.py:main", *given(*assignments))

    assert ended.code == 2
    assert complaint in ended.err
    assert len(ended.err.splitlines()) == 1
    assert penstock("flow-run", "ls", "--json").objects == []


def test_parameters_that_are_missing(write, penstock):
    write("flows.py", TYPED)

    ended = penstock("run", "flows.py:more")

    assert ended.code == 2
    assert ended.err == (
        "Error: Flow 'more' needs more parameters. Add --param first=... --param second=...\n"
    )


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        ("number=many", "number: Input should be a valid integer"),
        ('items=[1, "x"]', "items[1]: Input should be a valid integer"),
    ],
)
def test_a_value_that_does_not_fit_is_told_before_there_is_a_run(
    write, penstock, assignment, complaint
):
    write("flows.py", TYPED)

    ended = penstock("run", "flows.py:main", *given(assignment))

    assert ended.code == 2
    assert complaint in ended.err
    assert len(ended.err.splitlines()) == 1
    assert penstock("flow-run", "ls", "--json").objects == []


# -- what cannot be run ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("gone.py", "'gone.py' does not exist. Give the path of a Python file"),
        ("gone.py:flow", "'gone.py' does not exist."),
        ("folder/", "'folder' is a folder."),
        ("notes.txt", "its name must end in .py"),
        ("gone", "There is neither a file nor a module 'gone'. Give a Python file, as in"),
        ("gone.module", "There is neither a file nor a module 'gone.module'."),
        ("gone.module:flow", "There is no module 'gone.module' to load a flow from."),
        ("empty.py", "No flows found in 'empty.py'. Decorate a function with @flow, or "),
        ("empty", "No flows found in module 'empty'."),
        ("flows.py", "Found 7 flows in 'flows.py': 'With another name', 'fails', 'fine', "),
        ("flows.py:nothing", "Flow 'nothing' not found in 'flows.py'. Found: 'With another name'"),
        ("flows.py:sys", "Flow 'sys' not found in 'flows.py'."),
        ("flows:nothing", "Flow 'nothing' not found in module 'flows'."),
    ],
)
def test_a_target_that_is_none(write, project, penstock, target, complaint):
    write("flows.py", SEVERAL)
    write("empty.py", "x = 1")
    write("notes.txt", "")
    (project / "folder").mkdir()

    ended = penstock("run", target)

    assert ended.code == 2
    assert ended.err.startswith("Error: ")
    assert complaint in ended.err
    assert len(ended.err.splitlines()) == 1
    assert ended.out == ""


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("x = 1\nimport no_such_module\n", "line 2: import no_such_module", "ModuleNotFoundError"),
        ("def broken(:\n    pass\n", "line 1: def broken(:", "SyntaxError: invalid syntax."),
        ("def f():\n    return 1 / 0\n\nf()\n", "line 2: return 1 / 0", "ZeroDivisionError"),
        ("import neighbour\n", "neighbour.py, line 3: 1 / 0", "ZeroDivisionError"),
        ("import json\njson.loads('[')\n", "line 2: json.loads('[')", "JSONDecodeError"),
        (
            "import sys\nsys.exit('bye')\n",
            "line 2: sys.exit('bye')",
            '`if __name__ == "__main__":`',
        ),
        ("from . import x\n", "line 1: from . import x", "Its folder is no package"),
        (
            "from penstock import flow\n@flow(retries=-1)\ndef f(): ...\n",
            "line 2: @flow(",
            "retries",
        ),
    ],
)
def test_a_file_that_does_not_import_shows_the_line(write, penstock, text, line, reason):
    write("flows.py", text)
    write("neighbour.py", "\n\n1 / 0\n")

    ended = penstock("run", "flows.py")

    assert ended.code == 2
    first, second = ended.err.splitlines()
    assert first.startswith("Error: The flow's file could not be imported. ")
    assert line in first
    assert reason in second
    assert "Traceback" in penstock("run", "flows.py", "--debug").err


def test_a_flow_that_its_file_calls_runs_once(write, penstock):
    write("flows.py", FLOWS + "\n    main()\n")

    ended = penstock("run", "flows.py")

    assert ended.out.count("the result is") == 1
    assert "was called while its script is being loaded" in ended.err
    assert len(penstock("flow-run", "ls", "--json").objects) == 1


# -- interrupted ----------------------------------------------------------------------------------

WAITING = """
    import asyncio, time
    from penstock import flow, task

    @task
    def blocked():
        print("waiting", flush=True)
        time.sleep(60)

    @task
    async def awaiting():
        print("waiting", flush=True)
        await asyncio.sleep(60)

    @flow
    def plain():
        blocked()

    @flow
    async def blocking_the_loop():
        blocked()

    @flow
    async def asynchronous():
        await awaiting()
"""


@pytest.mark.parametrize("flow", ["plain", "blocking_the_loop", "asynchronous"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_recorded_reported_and_passed_on(
    write, started, penstock, latest, flow, number
):
    write("flows.py", WAITING)
    child = started("run", f"flows.py:{flow}")

    child.send_signal(number)
    out, err = child.communicate(timeout=20)

    assert child.returncode == -number
    assert "ended in state Crashed" in out
    assert f"penstock flow-run resume {latest()['id']}\n" in out
    assert "Crash detected!" in err
    assert "unhandled" not in err
    assert latest()["state_type"] == "CRASHED"


# -- a plain script -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("define", "call"), [("def", "rests()"), ("async def", "asyncio.run(rests())")]
)
def test_a_script_whose_flow_suspends_itself_shows_its_own_lines(
    write, penstock_home, define, call
):
    wait = "await " if "async" in define else ""
    script = write(
        "script.py",
        f"""
        import asyncio
        from penstock import flow, suspend_flow_run

        @flow
        {define} rests():
            {wait}suspend_flow_run(timeout=60)

        {call}
    """,
    )

    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)

    frames = re.findall(
        r'^  File "(.*)", line (\d+), in (\w+|<module>)$', done.stderr, re.MULTILINE
    )
    assert (frames[0], frames[-1]) == ((str(script), "9", "<module>"), (str(script), "7", "rests"))
    assert sum("/penstock/" in file for file, _, _ in frames) <= 4
    assert "During handling" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert re.search(
        r"is suspended\. Go on with it: penstock flow-run resume [0-9a-f-]{36}$", last
    )
