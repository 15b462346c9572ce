"""`penstock graph show`: the graph of a flow, before a run and after it."""

from __future__ import annotations

import re
import sys

import pytest

ORDERS = """
    from penstock import flow as decorated_flow
    from penstock.graph import Flow, Parameter, task

    @task
    def fetch(pages):
        return list(range(pages))

    @task
    def clean(row):
        if row == 3:
            raise ValueError("row 3 is broken")
        return row * 2

    @task
    def report(rows):
        return sum(rows)

    @decorated_flow
    def by_hand():
        return 1

    with Flow("All orders") as orders:
        pages = Parameter("pages", default=3)
        report(clean.map(fetch(pages)))
"""


def test_the_graph_of_a_file_is_shown_as_text(write, penstock):
    write("orders.py", ORDERS)

    ended = penstock("graph", "show", "orders.py")

    assert (ended.code, ended.err) == (0, "")
    lines = [re.split(r" {2,}", line) for line in ended.out.splitlines()]
    assert lines == [
        ["Task", "Comes after"],
        ["pages (parameter)"],
        ["fetch", "pages = pages"],
        ["clean (mapped)", "row = each of fetch"],
        ["report", "rows = clean"],
    ]


@pytest.mark.parametrize(
    "target",
    ["jobs/orders.py:orders", "jobs/orders.py:All orders", "jobs.orders:orders", "jobs.orders"],
)
def test_a_graph_is_named_in_many_ways(write, penstock, target):
    write("jobs/orders.py", ORDERS)

    ended = penstock("graph", "show", target)

    assert (ended.code, ended.err) == (0, "")
    assert "report" in ended.out


@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("text", "Task"),
        ("mermaid", '---\ntitle: "All orders"'),
        ("dot", 'digraph "All orders" {'),
        ("svg", "<?xml"),
    ],
)
def test_each_format_goes_to_stdout_or_to_a_file(write, project, penstock, form, begins):
    write("orders.py", ORDERS)

    printed = penstock("graph", "show", "orders.py", "--format", form)
    written = penstock("graph", "show", "orders.py", "-f", form, "--output", "out/drawing")

    assert (printed.code, printed.err) == (0, "")
    assert printed.out.startswith(begins)
    assert (written.code, written.out) == (0, "Wrote out/drawing\n")
    assert (project / "out" / "drawing").read_text() == printed.out


@pytest.mark.parametrize(
    ("file", "begins"),
    [
        ("a.svg", b"<?xml"),
        ("a.mmd", b"---"),
        ("a.dot", b"digraph"),
        ("a.txt", b"Task"),
        ("a.png", b"\x89PNG"),
        ("a.pdf", b"%PDF"),
        ("a", b"<?xml"),
    ],
)
def test_the_files_ending_says_the_format(write, project, penstock, file, begins):
    write("orders.py", ORDERS)

    assert penstock("graph", "show", "orders.py", "-o", file).code == 0
    assert (project / file).read_bytes().startswith(begins)


def test_nothing_runs_and_nothing_is_recorded(write, process, penstock_home):
    write("orders.py", ORDERS + "    orders.run()\n")

    ended = process("graph", "show", "orders.py")

    assert ended.code == 0, ended.err
    assert "is not run while its script is being loaded" in ended.err
    assert not list(penstock_home.glob("*.db"))


@pytest.mark.parametrize("pages", [3, 4])
def test_a_recorded_runs_states_are_shown(write, penstock, pages):
    write("orders.py", ORDERS)
    ran = penstock("run", "orders.py:orders", "-p", f"pages={pages}")
    run_id = re.search(r"\(([0-9a-f-]{36})\)", ran.out)[1]

    ended = penstock("graph", "show", "orders.py", "--run", run_id)

    assert (ended.code, ended.err) == (0, "")
    rows = {cells[0]: cells[1] for cells in map(cells_of, ended.out.splitlines())}
    assert rows["Task"] == "State"
    assert rows["fetch"] == "Success"
    failed = pages == 4
    assert rows["clean (mapped)"] == ("3 Success, 1 Failed" if failed else "3 Success")
    assert rows["report"] == ("TriggerFailed" if failed else "Success")
    mermaid = penstock("graph", "show", "orders.py", "-f", "mermaid", "--run", "-").out
    assert ("classDef Failed" in mermaid) == failed
    assert "classDef Success" in mermaid


def test_states_are_shown_whatever_has_become_of_results(write, project, penstock):
    text = """
        from pathlib import Path
        from penstock.graph import Flow, task
        from penstock.graph.results import LocalResult

        @task
        def large():
            return b"x" * 1_000_000

        @task(result=LocalResult(dir=Path(__file__).parent / "kept"), target="small.txt")
        def kept():
            return 1

        with Flow("lost") as flow:
            large(), kept()
    """
    write("flows.py", text)
    assert penstock("run", "flows.py", PENSTOCK_GRAPH_CHECKPOINTING="true").code == 0
    folders = [project / "kept", project.parent / "penstock-home" / "storage"]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert len(files) == 2
    for file in files:
        file.unlink()

    ended = penstock("graph", "show", "flows.py", "--run", "-")

    assert (ended.code, ended.err) == (0, "")
    assert sorted(map(cells_of, ended.out.splitlines()[1:])) == [
        ["kept", "Success"],
        ["large", "Success"],
    ]


def cells_of(line):
    return re.split(r" {2,}", line)


def test_a_terminal_gets_colors(write, process, in_terminal):
    write("orders.py", ORDERS)
    assert process("run", "orders.py:orders").code == 0

    shown = in_terminal(100, "graph", "show", "orders.py", "--run", "-")

    assert re.search(r"\x1b\[38;[\d;]+mSuccess *\x1b\[0m", shown)
    assert "report" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["orders.py:by_hand"], "Flow 'by-hand' is a decorated function"),
        (["orders.py:none"], "Flow 'none' not found in 'orders.py'. Found: 'All orders', 'by-han"),
        (["nothing.py"], "'nothing.py' does not exist"),
        (["orders.py", "--format", "gif"], "There is no format 'gif' for drawings"),
        (["orders.py", "--format", "png"], "A drawing in format png is no text. Add --output"),
        (["orders.py", "--run", "nobody"], "There is no store '"),
        (["decorated.py"], "Flow 'main' is a decorated function"),
        (["two.py"], "Found 2 flows in 'two.py': 'a', 'b'. Say which one"),
    ],
)
def test_what_cannot_be_shown_is_said_in_a_line(write, penstock, arguments, says):
    write("orders.py", ORDERS)
    write("decorated.py", "from penstock import flow\n@flow\ndef main(): ...\n")
    write("two.py", "from penstock.graph import Flow\na = Flow('a')\nb = Flow('b')\n")

    ended = penstock("graph", "show", *arguments)

    assert ended.code == 2
    assert says in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_another_flows_run_is_refused(write, penstock):
    write("orders.py", ORDERS)
    assert penstock("run", "orders.py:by_hand").code == 0

    ended = penstock("graph", "show", "orders.py", "--run", "-")

    assert ended.code == 2
    assert "is one of flow 'by-hand', not of 'All orders'." in ended.err


def test_without_graphviz_it_is_said_what_to_install(write, penstock, monkeypatch):
    write("orders.py", ORDERS)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)

    ended = penstock("graph", "show", "orders.py", "--format", "svg")

    assert ended.code == 2
    assert "Error: Drawing svg needs pygraphviz" in ended.err
    assert "pip install 'penstock[draw]'" in ended.err
