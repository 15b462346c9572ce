"""What the gate asks of a day's flights, what it can mend, and the report that says so.

The rules are those of examples/flights, and one more: tail numbers are those of planes on record.
American Airlines and Envoy Air break it on every day of the year: they report fleet numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from checks import LINES_SHOWN, RULES, BadRecords, Rule
from delays import KNOWN_SHARE
from records import read_csv

FIRST_LINE = 2  # after the header
# A carrier with more bad lines than this is not mended: somebody has to ask it for better ones.
MENDABLE_SHARE = 0.05
# Fewer tail numbers than these say nothing of how a carrier reports them.
ENOUGH_TO_TELL = 5


class Part(NamedTuple):
    """The flights of one carrier as they may be published, and what was done to them."""

    carrier: str
    flights: pl.DataFrame
    notes: list[str]


def file_of(day: str) -> str:
    """The name under which a day's flights are delivered."""
    return f"flights-{day}.csv"


def read_day(file: Path) -> pl.DataFrame:
    """Read a day's flights, with `line`, their place in the file."""
    return read_csv(file, "flights").with_row_index("line", offset=FIRST_LINE)


def of_carrier(carrier: str, flights: pl.DataFrame) -> pl.DataFrame:
    """The flights of one carrier."""
    return flights.filter(pl.col("carrier") == carrier)


def check_part(carrier: str, flights: pl.DataFrame, planes: pl.DataFrame) -> Part:
    """Give a carrier's flights if they are fit to be published.

    Raises:
        BadRecords: They are not; the message says why.
    """
    problems = [
        f"{rule.says}: not so in {_lines(broken)}"
        for rule in RULES["flights"]
        if (broken := flights.filter(_breaks(rule))).height
    ]
    unknown = _unknown_tail_numbers(flights, planes)
    if unknown:
        problems.append(unknown)
    if problems:
        raise BadRecords("; ".join(problems))
    return Part(carrier, flights, [])


def mend_part(carrier: str, flights: pl.DataFrame, planes: pl.DataFrame) -> Part:
    """Make a carrier's flights fit: bad lines are left out, wrong tail numbers made missing.

    Raises:
        BadRecords: Too many lines are bad.
    """
    bad = flights.filter(pl.any_horizontal(_breaks(rule) for rule in RULES["flights"]))
    if bad.height > MENDABLE_SHARE * flights.height:
        message = (
            f"beyond mending: {bad.height} of {flights.height} lines are bad, which is more than"
            f" {MENDABLE_SHARE:.0%}"
        )
        raise BadRecords(message)
    mended, notes = flights, list[str]()
    if bad.height:
        mended = flights.join(bad.select("line"), on="line", how="anti")
        notes.append(f"{_lines(bad)} left out")
    if _unknown_tail_numbers(mended, planes):
        mended = mended.with_columns(pl.lit(None, pl.String).alias("tailnum"))
        notes.append("tail numbers made missing: they are no plane's")
    return check_part(carrier, mended, planes)._replace(notes=notes)


def whole_day(parts: Sequence[Part]) -> pl.DataFrame:
    """The flights of all carriers, in the order of the file."""
    return pl.concat(part.flights for part in parts).sort("line").drop("line")


def verdict(checked: object, mended: object) -> tuple[str, str]:
    """What became of a carrier, and why, by what its check and its mending gave."""
    if isinstance(checked, Part):
        return "fit", ""
    if isinstance(mended, Part):
        return "mended", "; ".join(mended.notes)
    return "refused", f"{checked}; {mended}"


def report_text(day: str, trouble: str, rows: Sequence[tuple[str, int, str, str]]) -> str:
    """The report on a day, in Markdown.

    Args:
        day: The day.
        trouble: Why no carrier was checked, if none was.
        rows: For each carrier: its code, its flights, the verdict, why.
    """
    lines = [f"# Flights of {day}", ""]
    if trouble:
        return "\n".join([*lines, f"**Not checked.** {trouble}", ""])
    verdicts = [verdict for _, _, verdict, _ in rows]
    counts = [f"{verdicts.count(word)} {word}" for word in ("fit", "mended", "refused")]
    flights = sum(number for _, number, _, _ in rows)
    lines += [f"{flights:,} flights of {len(rows)} carriers: {', '.join(counts)}.", ""]
    lines += ["| carrier | flights | verdict | why |", "| --- | ---: | --- | --- |"]
    lines += [f"| {code} | {number} | {word} | {why} |" for code, number, word, why in rows]
    return "\n".join([*lines, ""])


def _breaks(rule: Rule) -> pl.Expr:
    return ~rule.holds.fill_null(True)  # noqa: FBT003


def _lines(rows: pl.DataFrame) -> str:
    shown = ", ".join(map(str, rows["line"].head(LINES_SHOWN)))
    more = rows.height - LINES_SHOWN
    return f"line {shown}" + (f" and {more} more" if more > 0 else "")


def _unknown_tail_numbers(flights: pl.DataFrame, planes: pl.DataFrame) -> str:
    """Say that most tail numbers are unknown, if they are."""
    given = flights["tailnum"].drop_nulls()
    known = given.is_in(planes["tailnum"].implode()).sum()
    if len(given) < ENOUGH_TO_TELL or known >= KNOWN_SHARE * len(given):
        return ""
    return f"{len(given) - known} of {len(given)} tail numbers are no plane's on record"
