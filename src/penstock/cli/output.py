"""What commands print: objects as JSON for programs, tables and fields for people.

Text for people goes through rich where stdout is a terminal, which knows its width and colours; a
pipe or a file gets lines of any length and nothing cut off.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from typing import TYPE_CHECKING, Any, cast

from penstock.cli.failing import OutputClosed, OutputRefused
from penstock.cli.plain import field_lines, table_lines
from penstock.cli.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from rich.console import Console, RenderableType
    from rich.text import Text

_PIPE_WIDTH = 10_000
_COLOURS_ANYWHERE = ("FORCE_COLOR", "TTY_COMPATIBLE")
"""With these rich takes a pipe for a terminal."""
_FOLDED_WIDTH = 20
"""The least that a column is folded to; in less, text cannot be read."""
_LONGEST_WORD = 40
"""The longest that a word may be and not be folded: an id, and what is around it."""
_BARE = re.compile(r"[\d.,]+|yes|no")
"""Cells that say nothing without their heading."""
_GAP = 2
"""How many blanks are between columns, and before what belongs to the line above."""
_STYLES = {
    "COMPLETED": "green",
    "FAILED": "red",
    "CRASHED": "magenta",
    "RUNNING": "blue",
    "CANCELLED": "yellow",
    "CANCELLING": "yellow",
    "PAUSED": "cyan",
    "SCHEDULED": "cyan",
}


def write(text: str) -> None:
    """Write text to stdout.

    Raises:
        OutputClosed: nobody reads it any more.
        OutputRefused: it cannot be written.
    """
    try:
        sys.stdout.write(text)
    except OSError as error:
        raise _why_not(error) from error


def flush() -> None:
    """See to it that what was written is out.

    Raises:
        OutputClosed: nobody reads it any more.
        OutputRefused: it cannot be written.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _why_not(error) from error


def _why_not(error: OSError) -> Exception:
    return OutputClosed() if isinstance(error, BrokenPipeError) else OutputRefused()


# -- for programs ---------------------------------------------------------------------------------


def write_json(objects: Iterable[dict[str, Any]]) -> None:
    """Write a list of objects as JSON, one object at a time.

    Parameters:
        objects: of nothing but what JSON has; a number that it lacks becomes null.

    Raises:
        OutputClosed: nobody reads it any more.
    """
    separator = "\n"
    write("[")
    for each in objects:
        indented = _as_json(each).replace("\n", "\n  ")
        write(f"{separator}  {indented}")
        separator = ",\n"
    write("]\n" if separator == "\n" else "\n]\n")


def write_json_of_many(
    document: dict[str, Any], name: str, objects: Iterable[dict[str, Any]]
) -> None:
    """Write a list of one object, whose last field has objects that are written one at a time.

    Parameters:
        document: the object, without that field.
        name: the field.
        objects: as for `write_json`.

    Raises:
        OutputClosed: nobody reads it any more.
    """
    begun = _as_json(document | {name: []}).removesuffix("[]\n}")
    write("[\n  " + begun.replace("\n", "\n  ") + "[")
    separator = "\n"
    for each in objects:
        indented = _as_json(each).replace("\n", "\n      ")
        write(f"{separator}      {indented}")
        separator = ",\n"
    write("]\n  }\n]\n" if separator == "\n" else "\n    ]\n  }\n]\n")


def write_document(document: dict[str, Any]) -> None:
    """Write one object as JSON; see `write_json`.

    Raises:
        OutputClosed: nobody reads it any more.
    """
    write(f"{_as_json(document)}\n")


def _as_json(document: dict[str, Any]) -> str:
    return json.dumps(_finite(document), indent=2, ensure_ascii=not _is_utf8(), allow_nan=False)


def _is_utf8() -> bool:
    encoding: str = getattr(sys.stdout, "encoding", None) or ""
    return encoding.lower().replace("-", "") == "utf8"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_finite(item) for item in cast("list[Any]", value)]
    return value


def utc(moment: datetime | None) -> str | None:
    """Give a time as ISO 8601 in UTC, always with microseconds."""
    if moment is None:
        return None
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


# -- for people -----------------------------------------------------------------------------------


def here(moment: datetime | None) -> str:
    """Give a time as people read it, in this computer's time zone."""
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def duration(seconds: float) -> str:
    """Give a duration as people read it.

    Example:
        >>> duration(3.21), duration(75), duration(7325)
        ('3.2 s', '1 min 15 s', '2 h 2 min')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def counted(number: int, what: str) -> str:
    """Give a number of things in words.

    Example:
        >>> counted(1, "flow run"), counted(2_000, "flow run")
        ('1 flow run', '2,000 flow runs')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def write_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table; where the terminal is narrow, its widest column is folded.

    Where it is too narrow for that, each row is a few lines of its cells.
    """
    shown = [list(map(visible, row)) for row in rows]
    if _is_plain():
        _write_lines(table_lines(headings, shown))
        return
    folded = _column_to_fold(headings, shown)
    if folded is None:
        for row in shown:
            _write_row(headings, row)
    else:
        _write_columns(headings, shown, folded)


def write_runs(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table whose first column is to be copied from, and so is never cut or folded.

    Where the terminal is too narrow for that, each row is a few lines of its cells but the first,
    and under them the first.
    """
    shown = [list(map(visible, row)) for row in rows]
    if _is_plain():
        _write_lines(table_lines(headings, shown))
        return
    folded = _column_to_fold(headings, shown, first=1)
    if folded is not None:
        _write_columns(headings, shown, folded)
        return
    for first, *others in shown:
        _write_row(headings[1:], others)
        write(f"  {first}\n")


def _write_columns(headings: Sequence[str], rows: Sequence[Sequence[str]], folded: int) -> None:
    # rich takes as long to import as two interpreters to start, and pipes need none of it.
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(Text(heading), overflow="fold", no_wrap=number != folded)
    for row in rows:
        table.add_row(*map(_styled, headings, row))
    write_renderable(table)


def _column_to_fold(
    headings: Sequence[str], rows: Sequence[Sequence[str]], first: int = 0
) -> int | None:
    """Give the widest column from `first` on; none where it would be left too little room."""
    widths = _widths(headings, rows)
    widest = widths.index(max(widths[first:]), first)
    left = _console().width - (sum(widths) + _GAP * (len(widths) - 1)) + widths[widest]
    words = " ".join(row[widest] for row in rows).split()
    longest = max(map(len, words), default=0)
    needed = max(_FOLDED_WIDTH, min(longest, _LONGEST_WORD))
    return widest if left >= min(widths[widest], needed) else None


def _widths(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    from rich.cells import cell_len

    columns = zip(headings, *rows, strict=True)
    lines = ([line for cell in column for line in cell.split("\n")] for column in columns)
    return [max(map(cell_len, column)) for column in lines]


def _write_row(headings: Sequence[str], row: Sequence[str]) -> None:
    """Write a row as lines of its cells, those after the first line indented.

    A cell begins a line where it does not fit into the one before it. A number says of what.
    """
    from rich.padding import Padding
    from rich.text import Text

    indent = len(headings[0]) - len(headings[0].lstrip())
    width = _console().width - indent - _GAP
    line = _styled(headings[0], row[0])[indent:]
    lines: list[Text] = []
    for heading, cell in zip(headings[1:], row[1:], strict=True):
        if not cell:
            continue
        name = f"{heading.strip().lower()} " if _BARE.fullmatch(cell) else ""
        text = Text(name) + _styled(heading, cell)
        if line.cell_len + _GAP + text.cell_len <= width:
            line = Text(" " * _GAP).join([line, text])
        else:
            lines.append(line)
            line = text
    wrapped = [part for each in [*lines, line] for part in each.wrap(_console(), width)]
    for number, part in enumerate(wrapped):
        left = indent + (_GAP if number else 0)
        write_renderable(Padding(part, (0, 0, 0, left), expand=False))


def _styled(heading: str, cell: str) -> Text:
    from rich.text import Text

    style = _STYLES.get(cell.upper(), "") if heading.strip() == "State" else ""
    return Text(cell, style=style, overflow="fold")


def write_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Write names and values, one a line; values that are empty are left out.

    Where the terminal is too narrow for a word of a value, such as an id, the value is a line of
    its own, which the terminal folds: it can be copied whole.
    """
    given = [(name, visible(value)) for name, value in fields if value]
    if _is_plain():
        _write_lines(field_lines(given))
        return
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    width = max((cell_len(name) for name, _ in given), default=0)
    left = _console().width - width - _GAP
    for name, value in given:
        if max((cell_len(word) for word in value.split()), default=0) > left:
            write_renderable(Text(name, style="bold"))
            write("".join(f"  {line}\n" for line in value.split("\n")))
            continue
        grid = Table.grid(padding=(0, _GAP))
        grid.add_column(no_wrap=True, style="bold", width=width)
        grid.add_column(overflow="fold")
        grid.add_row(Text(name), _styled(name, value))
        write_renderable(grid)


def _is_plain() -> bool:
    """Tell whether nothing is folded or coloured: no terminal, nor anything that wants colours."""
    return not sys.stdout.isatty() and not any(map(os.environ.get, _COLOURS_ANYWHERE))


def _write_lines(lines: Iterable[str]) -> None:
    for line in lines:
        write(f"{line}\n")


def _console() -> Console:
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    width = None if is_terminal else _PIPE_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def write_renderable(what: RenderableType) -> None:
    """Write what rich can show, in its colours where stdout is a terminal."""
    # rich would write it, and end this process where nobody reads it.
    flush()
    console = _console()
    with console.capture() as captured:
        console.print(what)
    lines = captured.get().rstrip("\n").split("\n")
    write("".join(f"{line.rstrip()}\n" for line in lines))
