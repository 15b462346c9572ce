"""Drawings of graphs: what is in them, before a run and after it, in each format."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from xml.etree import ElementTree as ET

import pytest

from penstock.exceptions import MissingLibraryError, VisualizationUnsupportedError
from penstock.graph import Flow, Parameter, flatten, task, unmapped
from penstock.graph.diagrams import ink_on
from penstock.graph.state import (
    Cancelled,
    Failed,
    Mapped,
    Paused,
    Pending,
    Retrying,
    Running,
    Skipped,
    State,
    Success,
)
from penstock.graph.visualizing import SUFFIXES, format_of

SVG = "{http://www.w3.org/2000/svg}"


@task
def fetch(pages):
    return list(range(pages))


@task
def clean(row, factor):
    return row * factor


@task
def report(rows):
    return sum(rows)


@pytest.fixture
def flow():
    with Flow("orders") as flow:
        pages = Parameter("pages", default=3)
        report(clean.map(fetch(pages), unmapped(Parameter("factor", default=2))))
    return flow


def named(flow, name):
    (found,) = flow.get_tasks(name=name)
    return found


def table(text):
    """Give the rows of a drawing as text, by the task."""
    return {
        cells[0]: cells[1:]
        for cells in (re.split(r" {2,}", line.strip()) for line in text.splitlines()[1:])
    }


# -- before a run ---------------------------------------------------------------------------------


def test_text_lists_tasks_in_order_with_what_they_come_after(flow):
    text = str(flow.visualize())

    rows = table(text)
    assert text.splitlines()[0].split() == ["Task", "Comes", "after"]
    assert rows["clean (mapped)"] == ["factor = factor, row = each of fetch"]
    assert rows["fetch"] == ["pages = pages"]
    assert rows["report"] == ["rows = clean"]
    assert rows["pages (parameter)"] == []
    names = [name.split()[0] for name in rows]
    assert names.index("pages") < names.index("fetch") < names.index("clean")
    assert names[-1] == "report"


def test_mermaid(flow):
    lines = str(flow.visualize(format="mermaid")).splitlines()

    assert lines[:4] == ["---", 'title: "orders"', "---", "flowchart TD"]
    boxes = dict(re.fullmatch(r" +(n\d)\W+(.+?)\W+", line).groups() for line in lines[4:9])
    keys = {name: key for key, name in boxes.items()}
    assert set(keys) == {"pages", "factor", "fetch", "clean (mapped", "report"}
    assert f'    {keys["pages"]}(["pages"])' in lines
    assert f'    {keys["clean (mapped"]}[["clean (mapped)"]]' in lines
    assert f'    {keys["fetch"]}["fetch"]' in lines
    assert f'    {keys["fetch"]} -.->|"row"| {keys["clean (mapped"]}' in lines
    assert f'    {keys["clean (mapped"]} -->|"rows"| {keys["report"]}' in lines
    assert "classDef" not in "".join(lines)


def test_dot(flow):
    text = str(flow.visualize(format="dot"))

    assert text.startswith('digraph "orders" {\n')
    assert re.search(r'n\d \[label="pages" shape=oval', text)
    assert re.search(r'n\d \[label="clean \(mapped\)" shape=box style=filled peripheries=2', text)
    assert re.search(r'n\d -> n\d \[label="row" style=dashed\]', text)
    assert re.search(r'n\d -> n\d \[label="rows"\]', text)
    assert text.endswith("}\n")


def test_svg_is_a_drawing_of_every_task_and_edge(flow):
    root = ET.fromstring(str(flow.visualize(format="svg")))

    groups = [group.get("class") for group in root.iter(f"{SVG}g")]
    assert root.tag == f"{SVG}svg"
    assert (groups.count("node"), groups.count("edge")) == (5, 4)
    texts = {"".join(text.itertext()) for text in root.iter(f"{SVG}text")}
    assert {"pages", "fetch", "clean (mapped)", "report", "row", "rows"} <= texts


def test_edges_without_a_key_and_flattened_ones():
    with Flow("edges") as flow:
        first = fetch(2)
        second = report([1], upstream_tasks=[first])
        clean.map(flatten(second), unmapped(2))

    text = str(flow.visualize())
    assert table(text)["report"] == ["fetch"]
    assert table(text)["clean (mapped)"] == ["row (flattened) = each of report"]
    assert '|"row (flattened)"|' in str(flow.visualize(format="mermaid"))
    assert re.search(r"n\d --> n\d\n", str(flow.visualize(format="mermaid")))
    assert re.search(r"n\d -> n\d\n", str(flow.visualize(format="dot")))


def test_tasks_of_one_name_are_told_apart_by_their_slugs():
    with Flow("twins") as flow:
        report([fetch(1), fetch(2)])

    rows = table(str(flow.visualize()))
    assert {"fetch-1", "fetch-2"} <= set(rows)
    assert rows["List"] == ["arg_1 = fetch-1, arg_2 = fetch-2"]


def test_a_flow_without_tasks():
    assert str(Flow("empty").visualize()) == "Task  Comes after\n"
    assert "<svg" in str(Flow("empty").visualize(format="svg"))


@pytest.mark.parametrize(
    "name",
    [
        'say "hello"',
        "a\\nb \\ c\\",
        "1. first - `code` *bold* <b>&amp;</b> #35; |x|;",
        "- of a list",
        "two\nlines\tand\x00more",
        "übergröße 測試 🚰",
        "lone \ud800 surrogate",
        "<lambda>",
        "end",
    ],
)
def test_any_name_can_be_drawn(name):
    with Flow(name) as flow:
        report(fetch(3, task_args={"name": name}))

    root = ET.fromstring(str(flow.visualize(format="svg")))
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    shown = re.sub(r"[\x00-\x1f]+", " ", name).encode(errors="backslashreplace").decode()
    assert shown.replace("  ", " ") in [text.replace("\xa0", " ") for text in texts]
    mermaid = str(flow.visualize(format="mermaid")).splitlines()
    (box,) = [line for line in mermaid if re.match(r' +n\d\["', line) and "report" not in line]
    label = re.fullmatch(r' +n\d\["(.*)"\]', box)[1]
    assert re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label) == shown
    assert not re.search(r"[\"<`|]", label)
    assert len(str(flow.visualize()).splitlines()) == 3


# -- after a run ----------------------------------------------------------------------------------


def test_states_are_shown_in_their_colors(flow):
    state = flow.run()

    rows = table(str(flow.visualize(state)))
    assert rows["fetch"] == ["Success", "pages = pages"]
    assert rows["clean (mapped)"][0] == "3 Success"
    assert rows["report"] == ["Success", "rows = clean"]
    mermaid = str(flow.visualize(state, format="mermaid"))
    ink = ink_on(Success.color)
    assert f"classDef Success fill:{Success.color},color:{ink}" in mermaid
    assert re.search(r"class n\d,n\d,n\d,n\d Success", mermaid)
    assert f'fillcolor="{Success.color}"' in str(flow.visualize(state, format="dot"))
    svg = ET.fromstring(str(flow.visualize(state, format="svg")))
    assert {each.get("fill") for each in svg.iter(f"{SVG}path")} >= {Success.color}
    assert "Task" in str(flow.visualize(state)).splitlines()[0]


@pytest.mark.parametrize(
    ("children", "line", "kind"),
    [
        ([Success(), Success(), Failed()], "2 Success, 1 Failed", Failed),
        ([Success(), Skipped()], "1 Success, 1 Skipped", Mapped),
        ([Success(), Pending(), Running()], "1 Success, 1 Pending, 1 Running", Running),
        ([Success(), Retrying(), Success()], "2 Success, 1 Retrying", Retrying),
        ([Paused()], "1 Paused", Paused),
        ([Cancelled(), Success(), Success()], "2 Success, 1 Cancelled", Cancelled),
        ([Running(), Failed()], "1 Running, 1 Failed", Failed),
        ([Success(), None], "1 Success, 1 of unknown state", Mapped),
        ([None, None], "2 children", Mapped),
        ([], "no children", Mapped),
    ],
)
def test_a_mapped_task_is_one_box_with_counts(flow, children, line, kind):
    states = {named(flow, "clean"): Mapped(map_states=children)}

    assert table(str(flow.visualize(states)))["clean (mapped)"][0] == line
    assert f"<br/>{line}" in str(flow.visualize(states, format="mermaid"))
    assert f'fillcolor="{kind.color}"' in str(flow.visualize(states, format="dot"))


def test_ten_thousand_children_are_one_box(flow):
    children = [Success() for _each in range(9_998)] + [Failed(), Failed()]
    states = {named(flow, "clean"): Mapped(map_states=children)}

    drawing = str(flow.visualize(states, format="dot"))

    assert "9,998 Success, 2 Failed" in drawing
    assert len(drawing.splitlines()) == 14


def test_tasks_without_a_state_have_no_color(flow):
    failed = Failed("no such page")

    dot = str(flow.visualize(Failed(result={named(flow, "fetch"): failed}), format="dot"))

    assert len(re.findall(r'fillcolor="#', dot)) == 2  # that of boxes without, and the failed one
    assert 'tooltip="no such page"' in dot
    assert table(str(flow.visualize({named(flow, "fetch"): failed})))["fetch"][0] == "Failed"


@pytest.mark.parametrize("broken", [Failed(result=ValueError("x")), Failed(), None, {}])
def test_a_run_without_states_of_tasks_is_drawn_without(flow, broken):
    assert str(flow.visualize(broken)) == str(flow.visualize())


@pytest.mark.parametrize("wrong", [Success(result=3), [Success()], "Success"])
def test_what_is_no_states_of_tasks_is_refused(flow, wrong):
    with pytest.raises(TypeError, match=r"no states of tasks.*flow\.run\(\)"):
        flow.visualize(wrong)


def test_every_states_color_can_be_read():
    for kind in [State, *State.children()]:
        with Flow("one") as flow:
            fetch(1)
        dot = str(flow.visualize({named(flow, "fetch"): kind()}, format="dot"))
        (fill, ink) = re.findall(r'fillcolor="(#\w{6})" fontcolor="(#\w{6})"', dot)[-1]
        assert ink == ink_on(fill)


def test_a_users_own_state_with_a_color_that_is_none(flow):
    class Odd(Success):
        color = "#nocolor"

    assert "nocolor" not in str(flow.visualize({named(flow, "fetch"): Odd()}, format="dot"))
    assert table(str(flow.visualize({named(flow, "fetch"): Odd()})))["fetch"][0] == "Odd"


# -- drawings and files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filename", "form", "written", "begins"),
    [
        ("graph", None, "graph.svg", b"<?xml"),
        ("graph.svg", None, "graph.svg", b"<?xml"),
        ("graph", "svg", "graph.svg", b"<?xml"),
        ("graph", "png", "graph.png", b"\x89PNG"),
        ("graph", "pdf", "graph.pdf", b"%PDF"),
        ("graph.mmd", None, "graph.mmd", b"---\ntitle"),
        ("graph.gv", None, "graph.gv", b"digraph"),
        ("graph.gv", "dot", "graph.gv", b"digraph"),
        ("graph.txt", None, "graph.txt", b"Task"),
        ("graph.v2", None, "graph.v2.svg", b"<?xml"),
        ("graph.svg", "dot", "graph.svg.dot", b"digraph"),
        ("new/folder/graph", "mermaid", "new/folder/graph.mmd", b"---"),
    ],
)
def test_a_drawing_is_written_where_its_filename_says(
    flow, tmp_path, monkeypatch, filename, form, written, begins
):
    monkeypatch.chdir(tmp_path)

    flow.visualize(filename=filename, format=form)

    files = [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()]
    assert files == [written]
    assert (tmp_path / written).read_bytes().startswith(begins)


def test_a_format_that_there_is_not(flow):
    with pytest.raises(VisualizationUnsupportedError, match=r"'gif'.*mermaid, dot, svg"):
        flow.visualize(format="gif")


@pytest.mark.parametrize("form", ["SVG", ".svg"])
def test_a_format_may_be_written_as_an_ending(flow, form):
    assert flow.visualize(format=form).format == "svg"


def test_each_ending_stands_for_its_format():
    assert {format_of(f"x{each}") for found in SUFFIXES.values() for each in found} == set(
        SUFFIXES
    )
    assert format_of("x.tar.gz") is None


def test_a_notebook_shows_a_drawing(flow):
    svg = flow.visualize(format="svg")

    assert svg._repr_mimebundle_()["image/svg+xml"] == str(svg)
    assert repr(svg).startswith("<Drawing of flow 'orders': svg, ")
    assert "<svg" in flow.visualize()._repr_mimebundle_()["image/svg+xml"]
    assert flow.visualize(format="png")._repr_mimebundle_()["image/png"].startswith(b"\x89PNG")
    mermaid = flow.visualize(format="mermaid")._repr_mimebundle_()
    assert mermaid["text/vnd.mermaid"] + "" == mermaid["text/plain"] + "\n"


def test_an_image_prints_as_text(flow):
    assert str(flow.visualize(format="png")) == str(flow.visualize())
    assert repr(flow.visualize()) + "\n" == str(flow.visualize())


def test_rich_shows_states_in_their_colors(flow):
    from rich.console import Console

    console = Console(force_terminal=True, color_system="truecolor", width=100)
    states = {named(flow, "fetch"): Success()}

    with console.capture() as captured:
        console.print(flow.visualize(states))

    digits = Success.color.removeprefix("#")
    red, green, blue = (int(digits[place : place + 2], 16) for place in (0, 2, 4))
    assert f"38;2;{red};{green};{blue}mSuccess" in captured.get()


def test_without_graphviz_it_is_said_what_to_install(flow, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygraphviz", None)

    with pytest.raises(MissingLibraryError, match=r"pip install 'penstock\[draw\]'") as caught:
        flow.visualize(format="svg")

    assert isinstance(caught.value, ImportError)
    assert "image/svg+xml" not in flow.visualize()._repr_mimebundle_()
    assert "digraph" in str(flow.visualize(format="dot"))


def test_what_graphviz_says_is_handed_on(flow, tmp_path, monkeypatch):
    (tmp_path / "pygraphviz.py").write_text("raise OSError('no such font')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(VisualizationUnsupportedError, match="as svg: OSError: no such font"):
        flow.visualize(format="svg")


def test_a_cycle_is_refused_with_the_flows_words():
    flow = Flow("round")
    first, second = report.copy(name="first"), report.copy(name="second")
    flow.add_edge(first, second, key="rows")
    flow.add_edge(second, first, key="rows")

    with pytest.raises(ValueError, match="Cycle found"):
        flow.visualize()


def test_a_chain_of_thousands_is_drawn_in_time():
    with Flow("chain") as flow:
        done = fetch(1)
        for _step in range(2_000):
            done = report(done)

    begun = time.perf_counter()
    text = str(flow.visualize(format="dot"))
    assert len(text.splitlines()) == 2_001 + 2_000 + 5
    assert time.perf_counter() - begun < 5
    assert "<svg" in str(flow.visualize(format="svg"))


def test_drawing_text_loads_no_library_for_images():
    program = (
        "import sys\n"
        "from penstock.graph import Flow, task\n"
        "with Flow('one') as flow:\n"
        "    task(lambda: 1)()\n"
        "flow.visualize(format='dot'), flow.visualize(format='mermaid')\n"
        "print(sorted({'pygraphviz', 'rich', 'typer'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert done.stdout == "[]\n"
