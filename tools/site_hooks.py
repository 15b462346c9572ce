"""What MkDocs calls while it builds the site: pages made of code, pages from outside of docs/.

Named in mkdocs.yml. Pages are kept as they are best read in the repository; what a site needs
otherwise is changed here: links to files that are no pages, and what stands behind ```python.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

import site_pages

if TYPE_CHECKING:
    from typing import Any

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
FROM_OUTSIDE = {
    "README.md": "project/readme.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "examples/flights/README.md": "project/flights.md",
    "examples/quality_gate/README.md": "project/quality-gate.md",
    "benchmarks/peers/README.md": "project/peers.md",
}
"""Files that are pages of the site, and stand elsewhere in the repository."""

FENCE = re.compile(r"^(?P<open> *(?:`{3,}|~{3,}) *)(?P<language>[\w+-]+) +(?P<rest>.+)$")
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List in the navigation the pages of which mkdocs.yml only names the folder."""
    decisions = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("0*.md"))
    folders = {
        "decisions/": ["README.md", *decisions],
        "reference/python/": ["index.md", *(f"{name}.md" for name in site_pages.MODULES)],
    }
    config.nav = expanded(config.nav, folders)
    return config


def expanded(entry: Any, folders: dict[str, list[str]]) -> Any:
    """Give a part of the navigation with the pages in place of the folders."""
    if isinstance(entry, list):
        return [expanded(each, folders) for each in entry]
    if isinstance(entry, dict):
        return {title: expanded(each, folders) for title, each in entry.items()}
    return [f"{entry}{name}" for name in folders[entry]] if entry in folders else entry


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that docs/ has no file of."""
    for address, text in site_pages.pages():
        files.append(File.generated(config, address, content=text))
    for path, address in FROM_OUTSIDE.items():
        files.append(File.generated(config, address, content=(ROOT / path).read_text()))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Mend fences and links for the site."""
    sources = {address: path for path, address in FROM_OUTSIDE.items()}
    address = page.file.src_uri
    source = sources.get(address, f"docs/{address}")
    inside = False
    lines: list[str] = []
    for line in markdown.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            lines.append(line if inside else fence(line))
            inside = not inside
        else:
            lines.append(line if inside else LINK.sub(lambda m: link(m, source, address), line))
    return "\n".join(lines)


def fence(line: str) -> str:
    """Give the first line of a fence without what is meant for tools/check_snippets.py."""
    found = FENCE.match(line)
    if found is None:
        return line
    name = found["rest"].removeprefix("file=") if found["rest"].startswith("file=") else ""
    return f"{found['open']}{found['language']}" + (f' title="{name}"' if name else "")


def link(found: re.Match[str], source: str, address: str) -> str:
    """Give a link as it has to be on the site: to a page, or only its text where none is."""
    target, _, anchor = found["target"].partition("#")
    if "://" in target or not target or address.startswith("reference/"):
        return found[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if path in FROM_OUTSIDE:
        to = FROM_OUTSIDE[path]
    elif f"{path}/README.md" in FROM_OUTSIDE:
        to = FROM_OUTSIDE[f"{path}/README.md"]
    elif path.startswith("docs/"):
        to = path.removeprefix("docs/")
        to = f"{to}/README.md" if (ROOT / path).is_dir() else to
    elif (ROOT / path).exists():
        return found["text"]
    else:
        return found[0]
    relative = os.path.relpath(to, posixpath.dirname(address) or ".")
    return f"[{found['text']}]({relative}{'#' if anchor else ''}{anchor})"
