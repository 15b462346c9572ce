"""What every command has in common: help, errors in a line or two, a quick start."""

from __future__ import annotations

import importlib
import json
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from penstock.cli import main
from penstock.store import get_store, reset_store

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    ["run", "flows.py"],
    ["flow-run", "ls"],
    ["flow-run", "inspect", "-"],
    ["flow-run", "logs", "-"],
    ["flow-run", "resume", "-"],
    ["db", "upgrade"],
    ["db", "reset", "--yes"],
]
FLOW = "from penstock import flow\n@flow\ndef main(): ...\n"


def complaint(ended):
    """Give the lines of an error that says what and what to do, and shows no code."""
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("Error: ")
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) <= 2
    return ended.err


# -- help and mistyped commands -------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [[], ["run"], ["version"], ["flow-run"], ["db"]]
    + [command[:2] for command in COMMANDS if command[0] != "run"],
)
def test_every_command_has_help(penstock, arguments):
    ended = penstock(*arguments, "--help")

    assert (ended.code, ended.err) == (0, "")
    assert " ".join(["Usage: penstock", *arguments]) in ended.out


@pytest.mark.parametrize("arguments", [[], ["db"], ["flow-run"]])
def test_no_command_is_a_question_for_help(penstock, arguments):
    ended = penstock(*arguments)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: penstock")
    assert "Commands:" in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runn"], "No such command 'runn'. Did you mean 'run'? See `penstock --help`."),
        (["run"], "Missing argument 'PATH'. See `penstock run --help`."),
        (
            ["flow-run", "inspect"],
            "Missing argument 'RUN'. See `penstock flow-run inspect --help`",
        ),
        (["flow-run", "ls", "--limt", "3"], "--limt"),
        (["flow-run", "ls", "extra"], "extra"),
        (["run", "flows.py", "--param"], "--param"),
    ],
)
def test_what_is_mistyped_is_said_in_a_line(penstock, arguments, words):
    text = complaint(penstock(*arguments))

    assert words in text
    assert len(text.splitlines()) == 1


# -- stores that cannot be used -------------------------------------------------------------------


def corrupt(path):
    path.write_bytes(b"this is no database, but a text that somebody wrote" * 40)


def damaged(path):
    make(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (path.stat().st_size - 100))


def directory(path):
    path.mkdir()


def newer(path):
    make(path)
    change(path, "update alembic_version set version_num = '9999'")


def of_another_program(path):
    change(path, "create table customers (name text)")


def make(path):
    assert main(["db", "upgrade"]) == 0
    reset_store()
    assert path.is_file()


def change(path, statement):
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (corrupt, "it is not a SQLite database"),
        (damaged, "cannot be used: "),
        (directory, "is a directory, not a database file. Set PENSTOCK_STORE_URL"),
        (newer, "schema revision 9999, which this penstock (0002) does not know"),
        (of_another_program, "is a SQLite database of another program"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_store_that_cannot_be_used(write, penstock, penstock_home, spoil, words, command):
    write("flows.py", FLOW)
    penstock_home.mkdir()
    path = penstock_home / "penstock.db"
    spoil(path)
    before = None if path.is_dir() else path.read_bytes()

    assert words in complaint(penstock(*command))

    assert before is None or path.read_bytes() == before


def test_a_store_that_is_locked(write, penstock, penstock_home):
    write("flows.py", FLOW)
    path = penstock_home / "penstock.db"
    make(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("pragma locking_mode = exclusive")
    other.execute("begin exclusive")

    for command in COMMANDS:
        reset_store()
        ended = penstock(*command, PENSTOCK_STORE_BUSY_TIMEOUT_S="0.05")
        assert "was kept busy by other processes for more than 0.05 s" in complaint(ended)

    other.close()


def test_a_store_that_may_not_be_written(write, penstock):
    write("flows.py", FLOW)

    ended = penstock("run", "flows.py", PENSTOCK_STORE_URL="sqlite:////proc/penstock/penstock.db")

    assert "Set PENSTOCK_HOME to a folder that this user may write to." in complaint(ended)


def test_a_url_that_is_not_understood(penstock):
    ended = penstock("flow-run", "ls", PENSTOCK_STORE_URL="oracle://somewhere")

    assert "PENSTOCK_STORE_URL='oracle://somewhere' is not understood. Give" in complaint(ended)


# -- settings -------------------------------------------------------------------------------------


def test_an_unknown_setting_is_said_and_has_no_effect(process):
    ended = process("flow-run", "ls", "--json", PENSTOCK_LOGING_LEVEL="DEBUG")

    assert (ended.code, ended.objects) == (0, [])
    (line,) = ended.err.splitlines()
    assert line.startswith("Warning: PENSTOCK_LOGING_LEVEL in the environment is not a setting")
    assert "Did you mean PENSTOCK_LOGGING_LEVEL?" in line


@pytest.mark.parametrize(
    ("name", "value"),
    [("PENSTOCK_LEASE_TTL_S", "soon"), ("PENSTOCK_PROFILE", "nobody")],
)
def test_a_setting_of_a_wrong_value(process, name, value):
    text = complaint(process("flow-run", "ls", **{name: value}))

    assert value in text
    assert process("--help", **{name: value}).code == 0


# -- tracebacks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--debug", "flow-run", "inspect", "nobody"],
        ["flow-run", "--debug", "inspect", "nobody"],
        ["flow-run", "inspect", "nobody", "--debug"],
    ],
)
def test_debug_shows_the_traceback_too(penstock, arguments):
    get_store()
    ended = penstock(*arguments)

    assert ended.code == 2
    assert ended.err.startswith("Traceback (most recent call last)")
    assert ended.err.splitlines()[-1].startswith("Error: There is no flow run 'nobody'")
    assert "Traceback" not in penstock("flow-run", "inspect", "nobody").err


def test_debug_after_two_dashes_is_a_name(penstock):
    get_store()
    assert "no flow run '--debug'" in complaint(penstock("flow-run", "inspect", "--", "--debug"))


def test_what_nobody_expected_is_said_to_be_so(penstock, monkeypatch):
    def fail(*_args, **_kwargs):
        raise RuntimeError("out of luck")

    monkeypatch.setattr("penstock.cli.listing.list_flow_runs", fail)

    text = complaint(penstock("flow-run", "ls"))

    assert text.splitlines() == [
        "Error: RuntimeError: out of luck",
        "This is unexpected: repeat the command with --debug, and report what it shows.",
    ]


def test_ctrl_c_ends_a_command_that_reads(penstock, monkeypatch):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("penstock.cli.listing.list_flow_runs", interrupt)

    assert penstock("flow-run", "ls").code == 130


# -- as it is started -----------------------------------------------------------------------------


def test_it_is_what_the_installed_command_calls():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    module, _, function = project["scripts"]["penstock"].partition(":")

    assert getattr(importlib.import_module(module), function) is main


def loaded(code):
    code = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (["--help"], ["sqlalchemy", "pydantic", "asyncio", "rich.table", "penstock.store"]),
        (["flow-run", "ls"], ["sqlalchemy", "pydantic", "asyncio", "alembic", "penstock.engine"]),
        (["flow-run", "ls", "--limit", "3", "--json"], ["sqlalchemy", "pydantic", "rich.table"]),
        (["db", "path"], ["sqlalchemy", "pydantic", "asyncio", "rich.table"]),
        (["db", "upgrade"], ["sqlalchemy", "pydantic", "asyncio", "alembic"]),
        (["run", "flows.py"], ["sqlalchemy", "pydantic", "asyncio", "rich.table"]),
    ],
)
def test_what_a_command_does_not_need_is_not_imported(write, arguments, forbidden):
    write("flows.py", FLOW)

    modules = loaded(f"from penstock.cli import main\nassert main({arguments!r}) == 0")

    assert [name for name in forbidden if name in modules] == []


HELD = """
from penstock import flow

class Holder:
    def __init__(self):
        self.itself = self

    def __del__(self):
        print("let go of at the very end")

Holder()

@flow
def keeps():
    return 1
"""


def test_what_a_flow_holds_is_let_go_of_at_the_end(tmp_path):
    """Only a command that loaded no flow ends without the search for garbage."""
    (tmp_path / "flows.py").write_text(HELD)
    program = [sys.executable, "-c", "import sys; from penstock.cli import main; sys.exit(main())"]

    ended = subprocess.run(
        [*program, "run", str(tmp_path / "flows.py")], check=True, capture_output=True, text=True
    )

    assert "let go of at the very end" in ended.stdout


def test_a_command_that_loads_no_flow_ends_without_a_search_for_garbage():
    program = (
        "import gc, sys; from penstock.cli import main; sys.argv[1:] = {words}; main()"
        "; print(gc.get_freeze_count() > 0)"
    )
    ended = [
        subprocess.run(
            [sys.executable, "-c", program.format(words=words)],
            check=True,
            capture_output=True,
            text=True,
        )
        for words in (["flow-run", "ls"], ["run", "penstock.flows"])
    ]

    assert [each.stdout.splitlines()[-1] for each in ended] == ["True", "False"]
