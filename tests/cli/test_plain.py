"""What a pipe gets is what rich would write there, without rich."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli import output
from penstock.cli.plain import field_lines, table_lines
from penstock.store import get_store

CELLS = st.text(
    st.one_of(st.characters(codec="ascii", exclude_categories=["Cc"]), st.sampled_from("\n日é語")),
    max_size=12,
)
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5)


def written_by_rich(monkeypatch, capsys, write, *what):
    """Give what is written where rich is to write it without colours."""
    monkeypatch.setattr(output, "_is_plain", lambda: False)
    write(*what)
    return [line.rstrip() for line in capsys.readouterr().out.rstrip("\n").split("\n")]


TABLES = [
    [("a", "b", "c")],
    [("a", "", "c"), ("longer than its heading", "x", "")],
    [("日本語", "é", "end"), ("two\nlines", "x", "three\nlines\nhere")],
    [("  indented", "x", "y"), ("", "", "z")],
]


@pytest.mark.parametrize("rows", TABLES)
def test_tables_are_those_of_rich(monkeypatch, capsys, rows):
    headings = ("  Name", "State", "Took")

    expected = written_by_rich(monkeypatch, capsys, output.write_table, headings, rows)

    assert list(table_lines(headings, rows)) == expected


@pytest.mark.parametrize("rows", TABLES)
def test_fields_are_those_of_rich(monkeypatch, capsys, rows):
    fields = [("Flow run", rows[0][0]), ("Took", "two\nlines"), ("Über", rows[0][2])]

    expected = written_by_rich(monkeypatch, capsys, output.write_fields, fields)

    assert list(field_lines(fields)) == expected


@given(ROWS)
def test_columns_begin_where_their_headings_do(rows):
    from rich.cells import cell_len

    lines = list(table_lines(("A", "B", "|"), [(*row[:2], "|") for row in rows]))

    marked = [line for line in lines if line.endswith("|")]
    assert len(marked) == len(rows) + 1
    assert len({cell_len(line) for line in marked}) == 1


@pytest.mark.parametrize("count", [0, 1, 3])
def test_objects_that_are_written_one_by_one_are_the_same_json(capsys, count):
    whole = {"name": "two\nlines", "states": [], "more": {"a": [1, {}]}}
    objects = [{"number": number, "tags": ["x"], "none": {}} for number in range(count)]

    output.write_json_of_many(whole, "task_runs", iter(objects))
    piecewise = capsys.readouterr().out
    output.write_json([whole | {"task_runs": objects}])

    assert piecewise == capsys.readouterr().out


def test_a_command_that_writes_to_a_pipe_imports_no_rich(penstock_home):
    code = (
        "import sys; from penstock.cli import main; main(['db', 'status'])"
        "; main(['flow-run', 'ls']); main(['profile', 'ls'])"
        "; print([name for name in sys.modules if name.startswith('rich.')])"
    )
    get_store()

    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert (penstock_home / "penstock.db").exists()
    assert ended.stdout.splitlines()[-1] == "[]"
