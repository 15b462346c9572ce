"""A picture of a graph as text: Mermaid and DOT for programs that draw, a table for people."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from penstock.graph.picture import MAPPED, PARAMETER, TASK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from penstock.graph.picture import Box, Picture

_WIDE = 10_000
_PAPER, _INK = "#ffffff", "#1f2328"
_HALF_BRIGHT = 140
_MERMAID_SHAPES = {PARAMETER: ("([", "])"), MAPPED: ("[[", "]]"), TASK: ("[", "]")}
_DOT_SHAPES = {
    PARAMETER: "shape=oval style=filled",
    MAPPED: "shape=box style=filled peripheries=2",
    TASK: 'shape=box style="rounded,filled"',
}
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]+")
_MERMAID_SPECIAL = re.compile(r"""[#&<>"'`*~\\|;{}]|^[\d]+(?=[.)])|^[-+]""")
_PLAIN_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)


def ink_on(color: str) -> str:
    """Give the colour of text that is readable on a background `#rrggbb`.

    Example:
        >>> ink_on("#000000"), ink_on("#ffffff")
        ('#ffffff', '#1f2328')
    """
    digits = color.removeprefix("#")
    red, green, blue = (int(digits[place : place + 2], 16) for place in (0, 2, 4))
    brightness = (299 * red + 587 * green + 114 * blue) / 1000
    return _PAPER if brightness < _HALF_BRIGHT else _INK


def _clean(text: str) -> str:
    """Take line breaks, and what else cannot be written or printed, out of a text."""
    return _UNPRINTABLE.sub(" ", text).encode(errors="backslashreplace").decode()


# -- Mermaid --------------------------------------------------------------------------------------


def to_mermaid(picture: Picture) -> str:
    """Give a picture as a Mermaid flowchart, which Markdown on many sites shows as a drawing."""
    lines = ["---", f"title: {_yaml(picture.name)}", "---", "flowchart TD"]
    for box in picture.boxes:
        opening, closing = _MERMAID_SHAPES[box.kind]
        label = "<br/>".join(_mermaid(part) for part in (box.title, box.state) if part)
        lines.append(f'    {box.key}{opening}"{label}"{closing}')
    for arrow in picture.arrows:
        line = "-.->" if arrow.is_mapped else "-->"
        label = f'|"{_mermaid(arrow.label)}"|' if arrow.label else ""
        lines.append(f"    {arrow.upstream} {line}{label} {arrow.downstream}")
    lines += _mermaid_colors(picture.boxes)
    return "\n".join(lines) + "\n"


def _mermaid_colors(boxes: Iterable[Box]) -> list[str]:
    """Give a style for each colour, named after the state that has it, and the boxes of each."""
    styles: dict[tuple[str, str], list[str]] = {}
    for box in boxes:
        if box.color is not None:
            styles.setdefault((box.state_name or "", box.color), []).append(box.key)
    lines: list[str] = []
    taken: set[str] = set()
    for (state, color), keys in styles.items():
        is_plain = _PLAIN_NAME.fullmatch(state) is not None and state not in taken
        name = state if is_plain else f"State{len(taken)}"
        taken.add(name)
        lines.append(f"    classDef {name} fill:{color},color:{ink_on(color)},stroke:{_INK}")
        lines.append(f"    class {','.join(keys)} {name}")
    return lines


def _mermaid(text: str) -> str:
    """Give a text as a part of a quoted label: no quote ends it, no Markdown or HTML is in it."""
    return _MERMAID_SPECIAL.sub(_as_entities, _clean(text))


def _as_entities(found: re.Match[str]) -> str:
    return "".join(f"#{ord(character)};" for character in found[0])


def _yaml(text: str) -> str:
    """Give a text as a quoted value in the head of a Mermaid file."""
    quoted = _clean(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


# -- DOT ------------------------------------------------------------------------------------------


def to_dot(picture: Picture) -> str:
    """Give a picture in the DOT language, which Graphviz and many other programs draw."""
    font = 'fontname="Helvetica,Arial,sans-serif"'
    lines = [
        f"digraph {_dot(picture.name)} {{",
        f"    graph [label={_dot(picture.name)} labelloc=t {font}]",
        f'    node [fillcolor="{_PAPER}" color="{_INK}" fontcolor="{_INK}" {font} fontsize=12]',
        f'    edge [color="{_INK}" {font} fontsize=10]',
    ]
    lines += [f"    {box.key} [{_dot_box(box)}]" for box in picture.boxes]
    for arrow in picture.arrows:
        options = [f"label={_dot(arrow.label)}"] if arrow.label else []
        if arrow.is_mapped:
            options.append("style=dashed")
        shown = f" [{' '.join(options)}]" if options else ""
        lines.append(f"    {arrow.upstream} -> {arrow.downstream}{shown}")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_box(box: Box) -> str:
    label = "\\n".join(_escaped(part) for part in (box.title, box.state) if part)
    parts = [f'label="{label}"', _DOT_SHAPES[box.kind], f"tooltip={_dot(box.note or box.slug)}"]
    if box.color is not None:
        parts.append(f'fillcolor="{box.color}" fontcolor="{ink_on(box.color)}"')
    return " ".join(parts)


def _dot(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """Give a text as a part of a quoted one; Graphviz would take `&amp;` in it for an entity."""
    return _clean(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


# -- for people -----------------------------------------------------------------------------------


def to_table(picture: Picture) -> Table:
    """Give a picture as a table: each task, its state, and the tasks that it comes after."""
    # Imported here: rich takes as long to import as two interpreters to start.
    from rich.table import Table
    from rich.text import Text

    labels = _labels(picture.boxes)
    after: dict[str, list[str]] = {}
    for arrow in picture.arrows:
        each = " each of" if arrow.is_mapped else ""
        brought = f"{arrow.label} ={each} " if arrow.label else f"{each.strip()} ".lstrip()
        after.setdefault(arrow.downstream, []).append(brought + labels[arrow.upstream])
    table = Table(box=None, pad_edge=False, header_style="bold")
    headings = ["Task", "State", "Comes after"] if picture.has_states else ["Task", "Comes after"]
    for heading in headings:
        table.add_column(Text(heading), overflow="fold")
    for box in picture.boxes:
        kind = "" if box.kind == TASK else f" ({box.kind})"
        cells = [Text(labels[box.key] + kind)]
        if picture.has_states:
            cells.append(Text(box.state or "", style=box.color or ""))
        cells.append(Text(", ".join(after.get(box.key, []))))
        table.add_row(*cells)
    return table


def to_text(picture: Picture) -> str:
    """Give a picture as plain text: the table, in lines of any length."""
    import io

    from rich.console import Console

    console = Console(file=io.StringIO(), width=_WIDE, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(to_table(picture))
    lines = [line.rstrip() for line in captured.get().rstrip("\n").split("\n")]
    return "\n".join(lines) + "\n"


def _labels(boxes: Iterable[Box]) -> dict[str, str]:
    """Give what boxes are called where others refer to them: slugs, where names are not unique."""
    boxes = list(boxes)
    counts = Counter(box.name for box in boxes)
    return {box.key: _clean(box.name if counts[box.name] == 1 else box.slug) for box in boxes}
