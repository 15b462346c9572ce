"""The table of the benchmarks, and the place in the documentation where it stands."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rows import PLAIN, SHORT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measure import Measured
    from benchmarks.rows import Row

DOCS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
HEADINGS = ("work", "measured", "floor", "ratio: median (min to max)", "budget", "")
MICRO, MILLI = 1e6, 1e3


def table(results: Sequence[Measured]) -> str:
    """A Markdown table that can also be read in a terminal."""
    return markdown(HEADINGS, [_cells(result) for result in results])


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a Markdown table with columns of equal width."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [headings, ["-" * width for width in widths], *rows]
    padded = [
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def _cells(result: Measured) -> tuple[str, ...]:
    row = result.row
    title = row.title.format(count=f"{row.count:,}")
    compared = result.compared()
    if not compared or result.error:
        return (title, "", "", "", _budget(row), "failed")
    ratio = f"{statistics.median(compared):.2f} ({min(compared):.2f} to {max(compared):.2f})"
    floor = result.median("floor")
    if floor is None:
        ratio = f"({min(compared):.3g} to {max(compared):.3g} {row.unit})"
    return (
        title,
        _shown(result.median("work"), row.unit),
        "" if floor is None else f"{row.floor}: {_shown(floor, row.unit)}",
        ratio,
        _budget(row),
        result.verdict(),
    )


def _budget(row: Row) -> str:
    if not row.floor:
        return f"<= {row.budget:g} {row.unit}"
    is_itself = row.floor in (SHORT, PLAIN)
    return f"<= {row.budget:g} x" if is_itself else f"<= {row.budget:g} x {row.floor}"


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "us":
        return f"{value * MICRO:.1f} us"
    if unit == "ms":
        return f"{value * MILLI:.1f} ms"
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.2f} {unit}"


def machine() -> str:
    """One line on where and when the figures were taken."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"load average {load}, {datetime.now(UTC):%Y-%m-%d}."
    )


def replace_between(text: str, marker: str, body: str) -> str:
    """Put `body` between the lines `<!-- marker:begin -->` and `<!-- marker:end -->` of `text`.

    Raises `ValueError` unless each of the two is there exactly once, in this order.
    """
    begin, end = f"<!-- {marker}:begin -->", f"<!-- {marker}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        message = f"the text must hold {begin} once, and after it {end} once"
        raise ValueError(message)
    head, rest = text.split(begin)
    return f"{head}{begin}\n\n{body}\n\n{end}{rest.split(end)[1]}"


def update_docs(marker: str, body: str) -> None:
    """Rewrite one table of `docs/benchmarks.md`, with a line on the machine under it."""
    text = DOCS.read_text(encoding="utf-8")
    DOCS.write_text(replace_between(text, marker, f"{body}\n\n{machine()}"), encoding="utf-8")
