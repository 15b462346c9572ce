"""Draw the state machines of penstock.rules.moves for the docs: `python tools/draw_states.py`.

Types from which the same types are reached stand in one box, and an arrow to a box is one to each
type in it; drawn one by one, the arrows could not be followed. A drawing keeps the text it was
made of, so that tests/test_docs.py sees when the rules have changed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from penstock.rules.moves import MOVES

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "diagrams"
NEW = "new"
STYLE = """\
  graph [rankdir=LR, compound=true, nodesep=0.3, ranksep=0.9, fontname="Helvetica", fontsize=10]
  node [shape=box, style="rounded,filled", fillcolor="white", fontname="Helvetica", fontsize=11]
  edge [color="#555555", arrowsize=0.7]"""
FILL = {
    "COMPLETED": "#d5efd8",
    "FAILED": "#f7d7d4",
    "CRASHED": "#f7e3c8",
    "CANCELLED": "#e3e3e3",
    "CANCELLING": "#e3e3e3",
    "RUNNING": "#d6e6f7",
}


def reached(moves: Any) -> dict[str, frozenset[str]]:
    """Give for each type those that may be written when a run has it."""
    return {
        NEW if present is None else present.value: frozenset(
            kind.value for written in row.values() for kind in written
        )
        for present, row in moves.items()
    }


def boxes(targets: dict[str, frozenset[str]]) -> list[list[str]]:
    """Give the types in groups: what reaches the same types is in one."""
    alike: dict[frozenset[str], list[str]] = {}
    for name, found in targets.items():
        if name != NEW:
            alike.setdefault(found, []).append(name)
    return list(alike.values())


def dot(moves: Any) -> str:
    """Give a state machine as a text in the language of Graphviz."""
    targets = reached(moves)
    groups = boxes(targets)
    lines = ["digraph {", STYLE, f'  {NEW} [shape=circle, fillcolor="#333333", fontcolor="white"]']
    for number, group in enumerate(groups):
        nodes = [f'{name} [fillcolor="{FILL.get(name, "white")}"]' for name in group]
        if len(group) == 1:
            lines.append(f"  {nodes[0]}")
            continue
        every = all(set(group) - {name} <= targets[name] for name in group)
        label = "from each to each" if every else ""
        lines.append(f'  subgraph cluster_{number} {{ label="{label}"; style="rounded,dashed"; ')
        lines += [f"    {node}" for node in nodes]
        if not every:
            lines += [
                f"    {a} -> {b}" for a in group for b in group if a != b and b in targets[a]
            ]
        lines.append("  }")
    for source in [[NEW], *groups]:
        lines += arrows(source, groups, targets[source[0]])
    return "\n".join([*lines, "}"])


def arrows(source: list[str], groups: list[list[str]], found: frozenset[str]) -> list[str]:
    """Give the arrows that leave a box: to a whole box where all in it are reached."""
    tail = f"ltail=cluster_{groups.index(source)}" if len(source) > 1 else ""
    lines: list[str] = []
    for number, group in enumerate(groups):
        if group == source or not found & set(group):
            continue
        whole = len(group) > 1 and set(group) <= found
        heads = [group[len(group) // 2]] if whole else [name for name in group if name in found]
        head = f"lhead=cluster_{number}" if whole else ""
        marks = ", ".join(mark for mark in (tail, head) if mark)
        middle = source[len(source) // 2]
        lines += [f"  {middle} -> {name} [{marks}]" for name in heads]
    return lines


def path(kind: str) -> Path:
    """Give the file of a machine's drawing."""
    return FOLDER / f"{kind.replace(' ', '-')}-states.svg"


def note(kind: str) -> str:
    """Give what a drawing keeps of the text it was made of."""
    return f"<!-- Made by tools/draw_states.py of\n{dot(MOVES[kind])}\n-->\n"


def main() -> int:
    """Draw both machines."""
    import pygraphviz

    FOLDER.mkdir(exist_ok=True)
    for kind, moves in MOVES.items():
        drawn = pygraphviz.AGraph(string=dot(moves)).draw(prog="dot", format="svg").decode()
        path(kind).write_text(drawn.rstrip() + "\n" + note(kind))
        print(path(kind).relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
