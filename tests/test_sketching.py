"""Drawing the flows of functions: `flow.visualize(...)` (section 2.1)."""

import asyncio

import pytest

from penstock import flow, task
from penstock.client import get_client
from penstock.exceptions import ParameterTypeError, VisualizationUnsupportedError

executed = []


@task
def load(day):
    executed.append(day)
    return [day]


@task
def clean(rows, strict=True):
    executed.append("clean")
    return rows


@task(viz_return_value=["a", "b"])
def split(rows):
    executed.append("split")


@task
def total(parts):
    executed.append("total")
    return parts


@flow
def report(x):
    executed.append("report")
    return x


def mermaid(drawing, tmp_path):
    """Give the arrows of a drawing, by the names of what they connect."""
    lines = drawing.save(tmp_path / "drawn.mmd").read_text().splitlines()
    names = dict(line.strip().rstrip('"]').split('["') for line in lines if '["' in line)
    found = []
    for line in lines:
        if "-->" in line:
            upstream, rest = line.strip().split(" -->", 1)
            label, _, downstream = rest.rpartition(" ")
            found.append((names[upstream], label.strip('|" '), names[downstream]))
    return list(names.values()), found


@pytest.fixture(autouse=True)
def nothing_executed():
    executed.clear()
    yield
    assert executed == []
    with get_client(sync_client=True) as client:
        assert client.read_flow_runs() == []
        assert client.read_task_runs() == []


def test_what_depends_on_what(tmp_path):
    @flow
    def pipeline(day: str):
        rows = load(day)
        kept = clean(rows)
        parts = split(kept)
        names = [part.upper() for part in parts]
        assert names == ["A", "B"]
        made = report(kept)
        return total([parts, {"report": made}], wait_for=[rows])

    names, arrows = mermaid(pipeline.visualize("today"), tmp_path)

    assert names == ["load", "clean", "split", "report", "total"]
    assert sorted(arrows) == [
        ("clean", "rows", "split"),
        ("clean", "x", "report"),
        ("load", "", "total"),
        ("load", "rows", "clean"),
        ("report", "parts", "total"),
        ("split", "parts", "total"),
    ]


def test_it_can_be_printed_and_saved(tmp_path):
    @flow
    def two():
        clean(load(1))

    drawing = two.visualize()

    assert "load" in str(drawing)
    assert drawing.save(tmp_path / "two.dot").read_text().startswith("digraph")


def test_async_flows(tmp_path):
    @task
    async def fetch(url):
        executed.append(url)

    @flow
    async def fetched():
        first, second = await asyncio.gather(fetch("a"), fetch("b"))
        return total([first, await clean_async(second)])

    @task
    async def clean_async(rows):
        executed.append("clean_async")

    async def within():
        return await fetched.visualize()

    for drawing in fetched.visualize(), asyncio.run(within()):
        names, arrows = mermaid(drawing, tmp_path)
        assert names == ["fetch", "fetch", "clean_async", "total"]
        assert sorted(arrows) == [
            ("clean_async", "parts", "total"),
            ("fetch", "parts", "total"),
            ("fetch", "rows", "clean_async"),
        ]


@pytest.mark.parametrize("how", ["submit", "map"])
def test_what_cannot_be_drawn(how):
    @flow
    def submits():
        getattr(load, how)([1])

    with pytest.raises(VisualizationUnsupportedError, match=rf"load\.{how}\(\) cannot be drawn"):
        submits.visualize()


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (list, "iteration"),
        (lambda value: value[0], r"\[\.\.\.\]"),
        (lambda value: value + 1, "an operator"),
        (lambda value: 1 - value, "an operator"),
        (lambda value: value > 1, "a comparison"),
        (lambda value: 1 if value else 2, "a condition"),
        (lambda value: value.rows, r"\.rows"),
        (lambda value: value(), "a call"),
        (int, "a number"),
    ],
    ids=["for", "index", "plus", "minus", "more", "if", "attribute", "call", "int"],
)
def test_a_value_that_is_used(use, said):
    @flow
    def looks():
        use(load(1))

    message = f"'load' is used .*{said}.*viz_return_value"
    with pytest.raises(VisualizationUnsupportedError, match=message):
        looks.visualize()


def test_parameters_that_do_not_fit():
    @flow
    def typed(n: int):
        load(n)

    assert "load" in str(typed.visualize("3"))
    with pytest.raises(ParameterTypeError):
        typed.visualize("three")


def test_afterwards_tasks_are_tasks_again():
    @flow
    def fails():
        load(1)
        raise KeyError("x")

    with pytest.raises(KeyError):
        fails.visualize()
    assert load.fn(1) == [1]
    assert executed == [1]
    executed.clear()
