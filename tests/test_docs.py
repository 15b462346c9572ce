"""The docs say what there is: every setting, option, command, move, and `make` target."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

import penstock
from penstock import flows, tasks
from penstock.cli.app import app
from penstock.rules.moves import FLOW_MOVES, TASK_MOVES
from penstock.settings import SETTINGS
from penstock.states import StateType, making

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")]
)
FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(text: str) -> str:
    """Give a page without its fenced blocks."""
    return FENCE.sub("", text)


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Give what a link may name on a page: its headings, as pages show them."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings(text))
    return {heading.replace(" ", "-") for heading in plain}


def section(text: str, heading: str) -> str:
    """Give what stands under a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no heading {heading!r}"
    return found[1]


def commands(group: Any, path: str) -> list[tuple[str, Any]]:
    """Give every command with its full name."""
    found: list[tuple[str, Any]] = []
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found += commands(command, f"{path} {name}")
        else:
            found.append((f"{path} {name}", command))
    return found


COMMANDS = dict(commands(typer.main.get_command(app), "penstock"))


# -- settings -------------------------------------------------------------------------------------


def what_a_setting_takes(setting: Any) -> str:
    values = {
        "PENSTOCK_HOME": Path("PENSTOCK_HOME"),
        "PENSTOCK_API_URL": None,
        "PENSTOCK_DEBUG_MODE": False,
    }
    default = setting.default_from(values)
    if default is None or default == ():
        shown = "none"
    elif isinstance(default, bool):
        shown = f"`{str(default).lower()}`"
    elif isinstance(default, float):
        shown = f"`{default:g}`"
    else:
        shown = "`" + str(default).replace(str(Path.home()), "~") + "`"
    takes = setting.kind.expected.partition(" (also")[0]
    also = "".join(f" Also read as `{name}`." for name in setting.former_names)
    return f"Takes {takes}. Default: {shown}.{also}"


@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_setting_is_described_with_what_it_takes_and_its_default(name):
    setting = SETTINGS[name]
    paragraphs = section((DOCS / "settings.md").read_text(), name).strip().split("\n\n")

    assert paragraphs[0] == what_a_setting_takes(setting)
    assert " ".join(paragraphs[1].split()).startswith(setting.description)


def test_no_setting_is_described_that_there_is_not():
    named = [each for each in headings((DOCS / "settings.md").read_text()) if "PENSTOCK_" in each]

    assert named == list(SETTINGS)


# -- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_is_described_with_each_of_its_options(name):
    text = section((DOCS / "command-line.md").read_text(), name)

    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in text, parameter.opts
        else:
            assert parameter.metavar in text, parameter.name
    assert "console run" in text, "show it in a block that the checks run"


def test_no_command_is_described_that_there_is_not():
    named = [each for each in headings((DOCS / "command-line.md").read_text()) if " " in each]

    assert sorted(each for each in named if each.startswith("penstock ")) == sorted(COMMANDS)


# -- flows, tasks, states -------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "kind"), [("flows.md", flows.Flow), ("tasks.md", tasks.Task)])
def test_every_option_of_the_decorators_is_in_a_table(page, kind):
    rows = section((DOCS / page).read_text(), "Every option").splitlines()
    named = {
        name
        for row in rows
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    code = kind.__init__.__code__
    taken = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]) - {"self", "fn"}

    assert named == taken


def test_every_state_there_is_is_in_the_table():
    rows = section((DOCS / "concepts.md").read_text(), "States").splitlines()
    cells = [row.split("|")[1:3] for row in rows if row.startswith("| ")]
    names = {name.strip() for _, listed in cells for name in listed.split(",")}
    constructors = {
        name for name in vars(making) if name[0].isupper() and callable(vars(making)[name])
    }

    assert {kind.strip() for kind, _ in cells} >= {kind.value for kind in StateType}
    assert names >= constructors - {"Any", "State", "StateDetails", "StateType"}


def table_of_moves(moves: dict[Any, Any], title: str) -> str:
    """Write a table of moves as it is to stand in the docs: rows that are alike are one."""
    alike: dict[str, list[str]] = {}
    for present, row in moves.items():
        cells = []
        for asked, written in row.items():
            others = [kind.value for kind in written if kind is not asked]
            word = "or" if asked in written else "becomes"
            rest = f" ({word} {' or '.join(others)})" if others else ""
            cells.append(f"{asked.value}{rest}")
        alike.setdefault(", ".join(cells), []).append(
            "no state" if present is None else present.value
        )
    rows = [f"| {', '.join(presents)} | {cells} |" for cells, presents in alike.items()]
    return "\n".join([f"| {title} in | may be asked for |", "| --- | --- |", *rows])


def test_the_moves_are_those_of_the_rules():
    tables = [
        table_of_moves(TASK_MOVES, "a task run"),
        table_of_moves(FLOW_MOVES, "a flow run"),
    ]
    expected = "\n\n".join(tables)
    text = (DOCS / "concepts.md").read_text()
    shown = text.partition("<!-- moves:begin -->")[2].partition("<!-- moves:end -->")[0]

    assert shown.strip() == expected, f"put this between the marks:\n\n{expected}"


# -- the pages ------------------------------------------------------------------------------------


def test_every_make_target_that_is_named_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    for page in PAGES:
        named = set(
            re.findall(r"(?:`|^ {4}|\$ )make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE)
        )
        assert named <= targets, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    text = page.read_text()

    for target in LINK.findall(prose(text)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text()), target


def test_every_page_is_reached_from_the_index():
    linked = set(LINK.findall((DOCS / "index.md").read_text()))
    listed = set(LINK.findall((DOCS / "decisions" / "README.md").read_text()))

    assert {page.name for page in DOCS.glob("*.md")} - {"index.md"} <= linked
    assert {page.name for page in (DOCS / "decisions").glob("*.md")} - {"README.md"} <= listed


def test_the_changelog_has_this_version():
    assert f"## [{penstock.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
