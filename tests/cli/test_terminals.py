"""Every command on every terminal: narrow ones, pipes that close, other encodings, no colours.

A command that is new and has no case here fails.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
from rich.cells import cell_len

from penstock.cli.app import app

NARROW = 40
SHOWN_STYLE = re.compile(r"\x1b\[[0-9;]*m")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-9]|4[0-9]|9[0-7])m")
ESCAPE = re.compile(r"\x1b")
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
DOCS = Path(__file__).parents[2] / "docs" / "command-line.md"


def commands(group: Any, path: str = "") -> dict[str, Any]:
    """Give every command by its full name."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= commands(command, f"{path}{name} ")
        else:
            found[f"{path}{name}"] = command
    return found


COMMANDS = commands(typer.main.get_command(app))


class Case(NamedTuple):
    """What is given to a command, and how it is to end."""

    arguments: str = ""
    code: int = 0


CASES = {
    "run": Case("shop.py:greet -p name=数据"),
    "recover": Case("--dry-run"),
    "new": Case("nightly"),
    "version": Case(),
    "flow-run ls": Case(),
    "flow-run inspect": Case("broken"),
    "flow-run logs": Case("monday"),
    "flow-run resume": Case("crashed"),
    "flow-run retry": Case("crashed"),
    "flow-run delete": Case("monday broken --yes"),
    "flow-run pause": Case("waits", 2),
    "flow-run suspend": Case("waits", 2),
    "flow-run cancel": Case("late"),
    "flow-run execute": Case("late"),
    "task-run ls": Case("monday"),
    "task-run inspect": Case("breaks-0 --run broken"),
    "task-run result": Case("fetch-1 --run monday"),
    "flow ls": Case(),
    "flow inspect": Case("report"),
    "graph show": Case("drawn.py --run graphic"),
    "db path": Case(),
    "db status": Case(),
    "db upgrade": Case(),
    "db downgrade": Case("0001 --yes --debug"),
    "db reset": Case("--yes"),
    "db prune": Case("--keep 1"),
    "db vacuum": Case(),
    "db backup": Case("copy.db"),
    "db check": Case("", 1),
    "config view": Case("--sources"),
    "config set": Case("TASK_DEFAULT_RETRIES=2"),
    "config unset": Case("LOGGING_LEVEL"),
    "config validate": Case(),
    "profile ls": Case(),
    "profile create": Case("new"),
    "profile inspect": Case("work"),
    "profile rename": Case("work office"),
    "profile use": Case("work"),
    "profile delete": Case("work"),
    "concurrency-limit create": Case("cpu 3"),
    "concurrency-limit ls": Case(),
    "concurrency-limit inspect": Case("gpu"),
    "concurrency-limit reset": Case("gpu"),
    "concurrency-limit delete": Case("gpu"),
    "global-concurrency-limit create": Case("post --limit 3"),
    "global-concurrency-limit ls": Case(),
    "global-concurrency-limit inspect": Case("mail"),
    "global-concurrency-limit update": Case("mail --limit 6"),
    "global-concurrency-limit enable": Case("mail"),
    "global-concurrency-limit disable": Case("mail"),
    "global-concurrency-limit delete": Case("mail"),
}

WITH_JSON = [
    name
    for name, command in COMMANDS.items()
    if any("--json" in each.opts for each in command.params)
]


def given(name: str) -> list[str]:
    return [*name.split(), *shlex.split(CASES[name].arguments)]


@pytest.fixture
def shop(shop):
    """In it, what was to die does not."""
    shop.changes |= {"SHOP_IS_OPEN": "1"}
    return shop


def test_every_command_has_a_case():
    assert sorted(CASES) == sorted(COMMANDS)


# -- narrow terminals -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_a_narrow_terminal(shop, name):
    wide = shop(*given(name))
    shop.renew()

    narrow = shop.on_terminal(NARROW, *given(name))

    assert (wide.code, narrow.code) == (CASES[name].code, CASES[name].code), narrow.out
    lines = SHOWN_STYLE.sub("", narrow.out).split("\n")
    if name != "run":  # it draws while it runs: test_live.py
        columns = [line for line in lines if re.search(r"^[^|]*\S {2,}\S", line.strip())]
        assert [line for line in columns if cell_len(line) > NARROW] == []
    # Text in ribbons cannot be read, and an id that is folded cannot be copied.
    short = "".join("x" if 0 < len(line.strip()) < 9 else " " for line in lines)
    assert "xxxx" not in short, narrow.out
    assert set(ID.findall(wide.out)) - set(ID.findall(narrow.out)) <= new_ids(name, wide.out)


def new_ids(name: str, text: str) -> set[str]:
    """Give the ids that a command has made itself, and would make anew."""
    return set(ID.findall(text)) if name in {"run", "flow-run resume", "flow-run retry"} else set()


@pytest.mark.parametrize("name", ["", *CASES])
def test_help_on_a_narrow_terminal(shop, name):
    shown = shop.on_terminal(NARROW, *name.split(), "--help")

    assert shown.code == 0
    # A path of names or a form of arguments is never folded.
    text = shown.out.partition("Options:")[2]
    assert [line for line in text.splitlines() if cell_len(line) > NARROW] == []
    assert "..." not in text.partition("Commands:")[2]


# -- streams --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_nobody_reads_what_is_printed(shop, name):
    ended = shop(*given(name), read=False)

    prints = CASES[name].code != 2
    assert ended.code == (141 if prints else 2)
    assert "Traceback" not in ended.err
    assert "Exception ignored" not in ended.err
    assert "Error" not in ended.err or not prints


@pytest.mark.parametrize("arguments", ["--help", "flow-run --help", "flow-run ls --json"])
def test_nobody_reads_help_or_json(shop, arguments):
    ended = shop(*arguments.split(), read=False)

    assert (ended.code, ended.err) == (141, "")


def test_a_pipe_to_head(shop, command):
    line = shlex.join(command("flow-run", "ls", "--json"))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line} | head -1"],
        env=shop.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("[\n", "")
    assert done.returncode in (0, 141)  # head may have been told everything before it stops


def test_a_disk_that_is_full(shop, command):
    line = shlex.join(command("flow-run", "ls"))
    done = subprocess.run(
        ["bash", "-c", f"{line} > /dev/full"],
        env=shop.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "Error: What is printed cannot be written: [Errno 28] No space left on device.\n"
    )


@pytest.mark.parametrize(
    ("closed", "arguments", "code"),
    [
        (">&-", ["flow-run", "ls"], 0),
        ("2>&-", ["flow-run", "inspect", "nobody"], 2),
        (">&- 2>&- <&-", ["run", "shop.py:greet", "-p", "name=x"], 0),
        ("<&-", ["db", "reset"], 2),
    ],
)
def test_streams_that_are_closed(shop, command, closed, arguments, code):
    line = shlex.join(command(*arguments))
    done = subprocess.run(
        ["bash", "-c", f"{line} {closed}"],
        env=shop.environment(),
        cwd=shop.folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == code, done.stderr
    assert "unexpected" not in done.stdout + done.stderr
    # Nothing that was printed has gone into a file which got the number of a stream.
    assert [each["name"] for each in shop("db", "check", "--json").objects] == ["lost"]


# -- encodings and colours ------------------------------------------------------------------------


ENCODINGS = [
    *((name, "ascii") for name in CASES),
    *((name, "latin-1") for name in ("run", "flow-run ls", "flow-run logs", "task-run ls")),
]


@pytest.mark.parametrize(("name", "encoding"), ENCODINGS)
def test_an_encoding_that_lacks_characters(shop, name, encoding):
    ended = shop(*given(name), encoding=encoding)

    assert ended.code == CASES[name].code, ended.err
    assert "UnicodeEncodeError" not in ended.out + ended.err
    assert not ESCAPE.search(ended.out + ended.err), "this is no terminal"


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": "POSIX"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
)
def test_locales(shop, command, locale):
    for arguments in (["flow-run", "ls"], ["flow-run", "logs", "monday"]):
        done = subprocess.run(
            command(*arguments),
            env=shop.environment(LANG=None, **locale),
            capture_output=True,
            check=False,
        )

        assert (done.returncode, done.stderr) == (0, b"")
        assert b"monday" in done.stdout


@pytest.mark.parametrize("name", CASES)
def test_no_colours(shop, name):
    plain = shop.on_terminal(80, *given(name), NO_COLOR="1")
    assert not COLOUR.search(plain.out)
    assert plain.code == CASES[name].code

    shop.renew()
    dumb = shop.on_terminal(80, *given(name), TERM="dumb")
    assert not ESCAPE.search(dumb.out)


def test_names_and_logs_do_not_steer_the_terminal(shop):
    for arguments in (
        "flow-run ls",
        "flow-run logs monday",
        "flow-run inspect 019c132c-64",
        "flow-run inspect 019c132c-64 --timeline",
        "task-run ls 019c132c-64",
        "flow-run resume 019c132c-64",
        "flow-run delete 019c132c-64 --yes",
    ):
        shown = SHOWN_STYLE.sub("", shop.on_terminal(80, *arguments.split()).out)

        assert "\x1b" not in shown, arguments
        assert "\x07" not in shown, arguments
        assert "\x9b" not in shown, arguments
        if arguments.startswith("flow-run") and "logs" not in arguments:
            assert r"\x1b[31mrot" in shown, arguments


# -- JSON -----------------------------------------------------------------------------------------


def documented_fields() -> dict[str, list[str]]:
    """Give the fields of each command's object, as the page lists them."""
    section = DOCS.read_text().partition("## JSON\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z -]+)` \| (.*) \|$", section, re.MULTILINE)
    named = {name: re.findall(r"`(\w+)`", fields) for name, fields in rows}
    for name, fields in rows:
        if base := re.match(r"as `([a-z -]+)`", fields):
            named[name] = named[base[1]] + named[name]
    return named


def test_the_fields_of_every_object_are_documented():
    assert sorted(documented_fields()) == sorted(WITH_JSON)


@pytest.mark.parametrize("name", WITH_JSON)
def test_json_has_the_documented_fields(shop, name):
    plan = ["--plan"] if name == "flow-run resume" else []
    arguments = ["broken" if plan and each == "crashed" else each for each in given(name)]

    ended = shop(*arguments, *plan, "--json")

    assert ended.code == CASES[name].code, ended.err
    if name in {"run", "config view", "profile inspect"}:
        found = [json.loads(ended.out)]
    else:
        found = json.loads(ended.out)
    assert found
    for each in found:
        assert list(each) == documented_fields()[name]


def test_followed_logs_are_an_object_a_line(shop):
    ended = shop("flow-run", "logs", "monday", "--follow", "--json")

    found = [json.loads(line) for line in ended.out.split("\n") if line]
    assert len(found) == 10
    assert {tuple(each) for each in found} == {tuple(documented_fields()["flow-run logs"])}


def test_quiet_prints_nothing(shop):
    ended = shop("run", "shop.py:greet", "-p", "name=x", "--quiet")

    assert ended == (0, "", "")


# -- help -----------------------------------------------------------------------------------------


def examples(text: str) -> list[str]:
    """Give the command lines that a help text shows."""
    found = re.search(r"^Examples?: (.*(?:\n\S.*)*)", text, re.MULTILINE)
    lines = found[1].replace("\n", " ").split(";") if found else []
    return [line.strip() for line in lines]


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_has_examples_that_can_be_typed(name):
    shown = examples(COMMANDS[name].help)

    assert shown
    for line in shown:
        program, *words = shlex.split(line)
        arguments = words[len(name.split()) :]
        assert [program, *words[: len(name.split())]] == ["penstock", *name.split()]
        COMMANDS[name].make_context(name, arguments)  # refuses what it does not take


# -- exit codes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("run shop.py:greet -p name=x", 0),
        ("run shop.py:fails", 1),
        ("run shop.py:nobody", 2),
        ("run shop.py:stops", 3),
        ("run shop.py:approve -p name=x", 5),
        ("flow-run resume called-off", 4),
        ("flow-run resume monday", 0),
        ("flow-run logs broken --follow", 1),
        ("flow-run logs crashed --follow", 3),
        ("flow-run logs called-off --follow", 4),
        ("db check", 1),
        ("task-run result breaks-0 --run broken", 1),
    ],
)
def test_exit_codes(shop, arguments, code):
    ended = shop(*arguments.split())

    assert ended.code == code, ended.err
    assert sys.executable not in ended.err
