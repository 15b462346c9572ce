"""`penstock run`, `flow-run inspect`, `logs` and `resume` on flows that are declared as graphs."""

from __future__ import annotations

import re
import signal
from collections import Counter

import pytest

ORDERS = """
    import datetime
    from penstock.graph import Flow, Parameter, context, task
    from penstock.graph.parameter import DateTimeParameter

    @task
    def show(n, name, day):
        context.logger.info("showing %r %r", n, name)
        print(f"n={n!r} name={name!r} day={day!r}")

    with Flow("orders") as orders:
        show(Parameter("n"), Parameter("name", default="Ada"), DateTimeParameter("day", False))
"""

STATES = """
    from penstock.graph import Flow, signals, task, triggers

    @task
    def fails():
        raise ValueError("no such luck")

    @task
    def succeeds(): ...

    @task(trigger=triggers.manual_only)
    def approved():
        print("approved")

    with Flow("fine") as fine:
        succeeds()

    with Flow("broken") as broken:
        fails()

    with Flow("waits") as waits:
        approved(upstream_tasks=[succeeds()])
"""

LEDGER = """
    import os, time
    from pathlib import Path
    from penstock.graph import Flow, Parameter, task

    folder = Path(__file__).parent
    ledger, is_fine = folder / "ledger.txt", folder / "is_fine"

    @task
    def indexes(count):
        return list(range(count))

    @task
    def step(index):
        with ledger.open("a") as file:
            print(index, file=file)
        if index == 3 and not is_fine.exists():
            print("waiting", flush=True)
            time.sleep(60)
        return index

    @task
    def total(values):
        print("total", sum(values), flush=True)

    with Flow("ledger") as flow:
        total(step.map(indexes(Parameter("count", default=6))))
"""


def test_a_graph_of_a_file_runs(write, penstock, latest):
    write("orders.py", ORDERS)

    ended = penstock("run", "orders.py", "--param", "n=[1, 2]")

    assert ended.code == 0, ended.err
    assert "n=[1, 2] name='Ada' day=None" in ended.out
    assert re.match(
        r"Flow run '[\w-]+' \([0-9a-f-]{36}\) of flow 'orders' ended in state Completed after ",
        ended.out.splitlines()[-2],
    )
    assert latest()["id"] in ended.out
    assert latest()["parameters"]["n"] == [1, 2]
    assert latest()["entrypoint"].endswith("orders.py:orders")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["n=3"], "n=3 name='Ada' day=None"),
        (["n=3", "name=Grace"], "n=3 name='Grace' day=None"),
        (["n=three"], "n='three' "),
        (['n="3"'], "n='3' "),
        (["n=null"], "n=None "),
        (["n=NaN"], "n='NaN' "),
        (["n=a=b"], "n='a=b' "),
        (["n="], "n='' "),
        (["n=1", "day=2024-05-01"], "day=DateTime(2024, 5, 1"),
        (["n=1", "day=20240501"], "(2024, 5, 1"),
        (["n=1", "day=null"], "day=None"),
    ],
)
def test_values_are_json_or_text(write, penstock, given, shown):
    write("orders.py", ORDERS)

    ended = penstock("run", "orders.py", *[each for one in given for each in ("-p", one)])

    assert ended.code == 0, ended.err
    assert shown.replace("DateTime", "") in ended.out.replace("datetime.datetime", "")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "Error: Flow 'orders' needs more parameters. Add --param n=..."),
        (["m=1"], "Error: Flow 'orders' has no parameter 'm'. It takes 'day', 'n', 'name'."),
        (["n=1", "nam=x"], "has no parameter 'nam'. Did you mean 'name'?"),
        (["n"], "Error: --param 'n' is no assignment. Write --param name=value."),
        (["n=1", "n=2"], "Error: Parameter 'n' is given twice."),
    ],
)
def test_parameters_that_do_not_fit_are_refused_in_a_line(
    write, penstock, penstock_home, given, says
):
    write("orders.py", ORDERS)

    ended = penstock("run", "orders.py", *[each for one in given for each in ("-p", one)])

    assert ended.code == 2
    assert says in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not list(penstock_home.glob("*.db"))


@pytest.mark.parametrize(
    ("flow", "code", "state"),
    [("fine", 0, "Completed"), ("broken", 1, "Failed"), ("waits", 5, "Paused")],
)
def test_the_exit_code_says_how_it_ended(write, process, flow, code, state):
    write("flows.py", STATES)

    ended = process("run", f"flows.py:{flow}")

    assert ended.code == code, ended.err
    assert f"of flow '{flow}' ended in state {state}" in ended.out
    run = process("flow-run", "inspect", "-", "--json").objects[0]
    assert run["state_name"] == state
    assert (f"penstock flow-run resume {run['id']}" in ended.out) == (code != 0)
    assert "Traceback (most recent call last)" in ended.err or flow != "broken"


def test_a_paused_graph_says_what_it_waits_for_and_goes_on_when_resumed(write, process):
    write("flows.py", STATES)
    assert process("run", "flows.py:waits").code == 5

    shown = process("flow-run", "inspect", "-")
    assert re.search(r"approved +Paused", shown.out)
    assert "go on with `penstock flow-run resume" in shown.out
    ended = process("flow-run", "resume", "-")

    assert ended.code == 0, ended.err
    assert "approved\n" in ended.out
    assert "of flow 'waits' ended in state Completed" in ended.out
    run = process("flow-run", "inspect", "-", "--json").objects[0]
    assert {each["state_type"] for each in run["task_runs"]} == {"COMPLETED"}
    assert len(run["task_runs"]) == 2


def test_inspect_shows_the_task_runs_of_a_graph(write, process):
    write("flows.py", LEDGER.replace("index == 3", "index == 99"))
    assert process("run", "flows.py", "-p", "count=3").code == 0

    shown = process("flow-run", "inspect", "-")
    run = process("flow-run", "inspect", "-", "--json").objects[0]

    assert shown.code == 0, shown.err
    assert re.search(r"indexes +Completed", shown.out)
    assert re.search(r"step\[2\] +Completed", shown.out)
    assert re.search(r"step +Mapped", shown.out)
    counts = Counter(each["state_name"] for each in run["task_runs"])
    assert counts == {"Completed": 6, "Mapped": 1}
    assert run["flow_name"] == "ledger"
    assert run["parameters"] == {"count": 3}
    assert "count" in shown.out


def test_logs_of_a_graphs_tasks_are_shown(write, process):
    write("orders.py", ORDERS)
    assert process("run", "orders.py", "-p", "n=1").code == 0

    ended = process("flow-run", "logs", "-")

    assert ended.code == 0, ended.err
    assert "Task run 'show' - showing 1 'Ada'" in ended.out


def test_a_killed_graph_goes_on_and_finished_tasks_do_not_run_again(
    write, project, started, process
):
    write("flows.py", LEDGER)
    child = started("run", "flows.py", "--param", "count=6")
    child.kill()
    assert child.wait() == -signal.SIGKILL
    (project / "is_fine").touch()
    (run,) = process("flow-run", "ls", "--json").objects
    assert (run["state_type"], run["owner_is_alive"]) == ("RUNNING", False)

    ended = process("flow-run", "resume", run["id"])

    assert ended.code == 0, ended.err
    assert "total 15\n" in ended.out
    assert f"({run['id']}) of flow 'ledger' ended in state Completed" in ended.out
    executions = Counter((project / "ledger.txt").read_text().split())
    assert executions == {"0": 1, "1": 1, "2": 1, "3": 2, "4": 1, "5": 1}
    again = process("flow-run", "resume", run["id"])
    assert again.code == 0
    assert "has completed: there is nothing to go on with." in again.out


def test_sigterm_ends_a_graph_and_says_how_to_go_on(write, project, started, process):
    write("flows.py", LEDGER)
    child = started("run", "flows.py")
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=30)

    assert child.returncode == -signal.SIGTERM, err
    assert "ended in state Crashed" in out
    (project / "is_fine").touch()
    assert process("flow-run", "resume", "-").code == 0
    executions = Counter((project / "ledger.txt").read_text().split())
    assert executions == {"0": 1, "1": 1, "2": 1, "3": 2, "4": 1, "5": 1}


def test_a_failed_graph_is_run_again_from_what_failed(write, project, process):
    text = LEDGER.replace('print("waiting", flush=True)', 'raise ValueError("not yet")')
    write("flows.py", text)
    assert process("run", "flows.py").code == 1
    (project / "is_fine").touch()

    ended = process("flow-run", "resume", "-")

    assert ended.code == 0, ended.err
    executions = Counter((project / "ledger.txt").read_text().split())
    assert executions == {"0": 1, "1": 1, "2": 1, "3": 2, "4": 1, "5": 1}


MAPS = """
    import os
    from penstock.graph import Flow, signals, task, triggers

    def note(*words):
        with open("ledger.txt", "a") as file:
            print(*words, sep="", file=file)

    @task
    def first(x):
        note("first", x)
        if x == 1 and not os.path.exists("is_fine"):
            raise ValueError("not yet")
        if x == 2:
            raise signals.SKIP("two")
        return x

    @task
    def second(x):
        note("second", x)

    @task(trigger=triggers.all_finished, skip_on_upstream_skip=False)
    def report(xs):
        note("report")

    @task
    def beside():
        note("beside")

    with Flow("maps") as maps:
        made = first.map([0, 1, 2, 3])
        second.map(made)
        report(made)
        beside()
"""


def test_the_plan_of_a_graph_is_what_happens(write, project, process):
    write("flows.py", MAPS)
    assert process("run", "flows.py").code == 1
    (project / "is_fine").touch()
    before = Counter((project / "ledger.txt").read_text().split())

    planned = process("flow-run", "resume", "-", "--plan", "--json").objects

    assert {each["name"] for each in planned if each["action"] == "execute"} == {
        "first[1]",
        "second[1]",
        "report",
    }
    assert process("flow-run", "resume", "-").code == 0
    after = Counter((project / "ledger.txt").read_text().split()) - before
    assert after == {"first1": 1, "second1": 1, "report": 1}


def test_the_plan_of_a_graph_that_is_paused(write, process):
    write("flows.py", STATES)
    assert process("run", "flows.py:waits").code == 5

    shown = process("flow-run", "resume", "-", "--plan").out

    assert "1 of 2 task runs are taken from the record" in shown
    assert "approved  gone on with" in shown


def test_a_graph_is_not_retried_from_a_task_on_however_small_it_is(write, process):
    write("flows.py", STATES)
    assert process("run", "flows.py:fine").code == 0

    ended = process("flow-run", "retry", "-", "--from", "succeeds")

    assert ended.code == 2
    assert "is a graph's" in ended.err
    assert "Completed" in process("flow-run", "inspect", "-").out


def test_a_graph_that_is_gone_cannot_be_gone_on_with(write, project, process):
    write("flows.py", STATES)
    assert process("run", "flows.py:broken").code == 1
    file = project / "flows.py"
    file.write_text(file.read_text().replace("as broken", "as renamed"))

    ended = process("flow-run", "resume", "-")

    assert ended.code == 2
    assert "Flow 'broken' is not at " in ended.err
    assert "--flow PATH:NAME" in ended.err


def test_a_graph_that_its_file_runs_does_not_run_while_it_is_loaded(write, process):
    text = STATES.replace(
        '\n    with Flow("broken")', '\n    fine.run()\n\n    with Flow("broken")'
    )
    write("flows.py", text)

    ended = process("run", "flows.py:fine")

    assert ended.code == 0, ended.err
    assert "is not run while its script is being loaded" in ended.err
    assert len(process("flow-run", "ls", "--json").objects) == 1


def test_graphs_and_decorated_flows_share_a_file(write, process):
    write(
        "flows.py", STATES + "\n    from penstock import flow\n    @flow\n    def by_hand(): ...\n"
    )

    assert process("run", "flows.py:by_hand").code == 0
    assert process("run", "flows.py:fine").code == 0
    ended = process("run", "flows.py")
    assert ended.code == 2
    assert "Found 4 flows in 'flows.py': 'broken', 'by-hand', 'fine', 'waits'." in ended.err
    assert [run["flow_name"] for run in process("flow-run", "ls", "--json").objects] == [
        "fine",
        "by-hand",
    ]
