"""The docs as a site: built without a warning, complete, and nothing in it from elsewhere."""

from __future__ import annotations

import html
import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from penstock.rules.moves import MOVES
from penstock.settings import SETTINGS

ROOT = Path(__file__).resolve().parent.parent


def tool(name):
    """Load a script of tools/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


site_pages = tool("site_pages")
draw_states = tool("draw_states")
needs_mkdocs = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("mkdocs", "material", "mkdocstrings")),
    reason="MkDocs is not installed: `make docs` installs it",
)


class Page(HTMLParser):
    """What a page has that can be linked to, what it links to, and what it loads."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loads = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if found.get("id"):
            self.ids.add(found["id"])
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        elif tag == "link" and found.get("rel") in {"stylesheet", "preconnect", "icon"}:
            self.loads.append(found["href"])
        elif tag in {"script", "img"} and found.get("src"):
            self.loads.append(found["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site once; give its folder."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def read(site):
    """Give the pages of the site by their address."""
    return {
        path.relative_to(site).as_posix(): Page(path.read_text()) for path in site.rglob("*.html")
    }


@needs_mkdocs
@pytest.mark.timeout(180)
def test_every_public_name_is_in_the_reference(read):
    missing = [
        f"{module}.{name}"
        for module in site_pages.MODULES
        for name in site_pages.public_names(module)
        if not site_pages.is_module(module, name)
        and f"{module}.{name}" not in read[f"reference/python/{module}.html"].ids
    ]

    assert missing == []


@needs_mkdocs
@pytest.mark.timeout(180)
def test_every_command_and_every_setting_is_in_the_reference(site, read):
    commands = html.unescape((site / "reference" / "commands.html").read_text())
    ids = read["reference/commands.html"].ids
    for name, command in site_pages.all_commands():
        assert name.replace(" ", "-") in ids
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert f"<code>{parameter.opts[0]}</code>" in commands, (name, parameter.opts)
    linked = set(read["reference/settings.html"].links)
    assert {f"../settings.html#{name.lower()}" for name in SETTINGS} <= linked


@needs_mkdocs
@pytest.mark.timeout(180)
def test_no_link_of_the_site_is_dead(site, read):
    dead = []
    for address, page in read.items():
        for target in page.links:
            path, _, anchor = target.partition("#")
            if "://" in path or address == "404.html":
                continue
            file = (site / address).parent / path if path else site / address
            if not file.exists():
                dead.append((address, target))
            elif anchor and not anchor.startswith("__") and file.suffix == ".html":
                named = read[file.resolve().relative_to(site.resolve()).as_posix()].ids
                dead += [] if anchor in named else [(address, target)]

    assert dead == []


@needs_mkdocs
@pytest.mark.timeout(180)
def test_the_site_loads_nothing_from_other_hosts(site, read):
    loaded = {each for page in read.values() for each in page.loads}

    assert loaded
    assert not [each for each in loaded if "//" in each]
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert not re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", styles)


@needs_mkdocs
@pytest.mark.timeout(180)
def test_no_mark_of_the_snippet_checks_is_shown(site):
    for path in site.rglob("*.html"):
        text = path.read_text()
        assert "<p>```" not in text, path
        if path.name != "contributing.html":
            assert "python file=" not in text, path


@pytest.mark.parametrize("kind", list(MOVES))
def test_a_drawing_of_states_is_that_of_the_rules(kind):
    again = "the rules have changed: python tools/draw_states.py"

    assert draw_states.path(kind).read_text().endswith(draw_states.note(kind)), again


@pytest.mark.parametrize("kind", list(MOVES))
def test_a_drawing_has_every_move_and_no_other(kind):
    drawn = set()
    boxes, inside = {}, None
    arrows = []
    for line in draw_states.dot(MOVES[kind]).splitlines():
        if opened := re.match(r"  subgraph (cluster_\d+) \{ label=\"(.*?)\"", line):
            inside = opened[1]
            boxes[inside] = ([], bool(opened[2]))
        elif line == "  }":
            inside = None
        elif arrow := re.match(r" +(\w+) -> (\w+)(?: \[(.*)\])?$", line):
            marks = dict(mark.split("=") for mark in (arrow[3] or "").split(", ") if mark)
            arrows.append((arrow[1], arrow[2], marks))
        elif inside and (node := re.match(r" +(\w+) \[", line)):
            boxes[inside][0].append(node[1])
    for source, target, marks in arrows:
        sources = boxes[marks["ltail"]][0] if "ltail" in marks else [source]
        targets = boxes[marks["lhead"]][0] if "lhead" in marks else [target]
        drawn |= {(a, b) for a in sources for b in targets}
    for members, each_to_each in boxes.values():
        drawn |= {(a, b) for a in members for b in members if each_to_each and a != b}

    assert drawn == {
        ("new" if present is None else present.value, kind.value)
        for present, row in MOVES[kind].items()
        for written in row.values()
        for kind in written
        if present is not kind
    }
