"""Tables and fields as lines of text, for where stdout is no terminal.

They are of any length, and nothing of them is folded or coloured. rich would write the same, and
takes as long to import and to lay them out as two interpreters take to start.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GAP = 2
"""How many blanks are between columns."""


def table_lines(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    r"""Give a table as lines, the headings first; a cell may have several lines.

    Example:
        >>> list(table_lines(("Name", "State"), [("a", "Failed\nagain")]))
        ['Name  State', 'a     Failed', '      again']
    """
    cut = [[_lines_of(cell) for cell in row] for row in (headings, *rows)]
    widths = [
        max(width_of(line) for lines in column for line in lines)
        for column in zip(*cut, strict=True)
    ]
    for row in cut:
        for line in zip_longest(*row, fillvalue=""):
            padded = map(_padded, line, widths)
            yield (" " * GAP).join(padded).rstrip()


def field_lines(fields: Iterable[tuple[str, str]]) -> Iterable[str]:
    r"""Give names and values as lines, the values below each other.

    Example:
        >>> list(field_lines([("Name", "a"), ("Took", "1 s")]))
        ['Name  a', 'Took  1 s']
    """
    cut = [(name, _lines_of(value.rstrip("\n"))) for name, value in fields]
    width = max((width_of(name) for name, _ in cut), default=0)
    for name, lines in cut:
        for number, line in enumerate(lines):
            first = "" if number else name
            yield f"{_padded(first, width)}{' ' * GAP}{line}".rstrip()


def width_of(text: str) -> int:
    """Give how many columns a text takes; letters of some scripts take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # see above

    return cell_len(text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))


def _lines_of(cell: str) -> list[str]:
    return cell.expandtabs().split("\n")
