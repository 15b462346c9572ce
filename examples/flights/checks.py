"""What must hold in the flight records before anything is computed from them.

Each rule is a sentence and the polars expression that says it. A value that is missing breaks no
rule, unless the rule is that it is there. A broken rule names the lines of the file that break it.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

LINES_SHOWN = 3
HEADER_LINES = 1


class BadRecords(ValueError):
    """A table breaks the rules below; the message names the rules and the lines."""


class Rule(NamedTuple):
    """One thing that must hold for every row."""

    says: str
    holds: pl.Expr
    shown: tuple[str, ...]


def _present(*columns: str) -> tuple[Rule, ...]:
    return tuple(
        Rule(f"{column} is given", pl.col(column).is_not_null(), (column,)) for column in columns
    )


def _unique(*columns: str) -> Rule:
    return Rule(f"{' + '.join(columns)} occurs once", pl.struct(columns).is_unique(), columns)


def _between(column: str, low: float, high: float, unit: str) -> Rule:
    says = f"{column} is {low} to {high} {unit}".rstrip()
    return Rule(says, pl.col(column).is_between(low, high), (column,))


def _clock(column: str) -> Rule:
    """Times of day are written as one number: 517 is 5:17, 2400 is midnight."""
    time = pl.col(column)
    return Rule(
        f"{column} is a time of day", time.is_between(0, 2400) & (time % 100 < 60), (column,)
    )


_NEW_YORK_TIME = pl.col("time_hour").dt.convert_time_zone("America/New_York")

RULES: dict[str, tuple[Rule, ...]] = {
    "flights": (
        *_present("carrier", "flight", "origin", "dest", "sched_dep_time", "time_hour"),
        _between("month", 1, 12, ""),
        _clock("dep_time"),
        _clock("sched_dep_time"),
        _clock("arr_time"),
        _between("dep_delay", -120, 2_880, "minutes"),
        _between("arr_delay", -180, 2_880, "minutes"),
        _between("air_time", 1, 1_440, "minutes"),
        _between("distance", 1, 12_450, "miles"),
        Rule(
            "a flight with a delay has departed",
            pl.col("dep_time").is_not_null() | pl.col("dep_delay").is_null(),
            ("dep_time", "dep_delay"),
        ),
        Rule("dest is not origin", pl.col("dest") != pl.col("origin"), ("origin", "dest")),
        Rule(
            "time_hour is month, day and hour in New York",
            (_NEW_YORK_TIME.dt.month() == pl.col("month"))
            & (_NEW_YORK_TIME.dt.day() == pl.col("day"))
            & (_NEW_YORK_TIME.dt.hour() == pl.col("hour")),
            ("month", "day", "hour", "time_hour"),
        ),
        _unique("time_hour", "carrier", "flight"),
    ),
    "weather": (
        *_present("origin", "time_hour"),
        _unique("origin", "time_hour"),
        _between("temp", -80, 135, "degrees F"),
        _between("humid", 0, 100, "percent"),
        _between("precip", 0, 12, "inches an hour"),
        _between("visib", 0, 100, "miles"),
    ),
    "planes": (
        *_present("tailnum", "seats"),
        _unique("tailnum"),
        _between("seats", 1, 900, ""),
        _between("year", 1903, 2013, ""),
    ),
    "airports": (
        *_present("faa", "name"),
        _unique("faa"),
        _between("lat", -90, 90, "degrees"),
        _between("lon", -180, 180, "degrees"),
    ),
    "airlines": (*_present("carrier", "name"), _unique("carrier")),
}

# The strongest gust ever measured: Barrow Island, 1996. The records do hold a faster one.
STRONGEST_GUST_MPH = 253


def check(name: str, table: pl.DataFrame, rows: int | None = None) -> int:
    """Count the rows of a table that is fit for use.

    Raises:
        BadRecords: The table breaks a rule, or has another number of rows than expected.
    """
    problems = [
        f"{rule.says}: broken by {broken.height:,} of {table.height:,} rows, "
        + _lines(broken, rule)
        for rule in RULES[name]
        if (broken := rows_breaking(rule, table)).height
    ]
    if table.is_empty():
        problems.insert(0, "there are no rows")
    elif rows is not None and table.height != rows:
        problems.insert(0, f"there should be {rows:,} rows, there are {table.height:,}")
    if problems:
        raise BadRecords(
            f"The {name} are not fit for use:\n" + "\n".join(f"- {p}" for p in problems)
        )
    return table.height


def rows_breaking(rule: Rule, table: pl.DataFrame) -> pl.DataFrame:
    """The rows that break a rule, with `line`, their place in the file."""
    numbered = table.with_row_index("line", offset=1 + HEADER_LINES)
    return numbered.filter(~rule.holds.fill_null(True))  # noqa: FBT003


def without_impossible_wind(weather: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Weather with impossible wind speeds made missing, and a note on each that was."""
    rule = _between("wind_speed", 0, STRONGEST_GUST_MPH, "mph")
    notes = [
        f"line {row['line']}: {row['wind_speed']:,.0f} mph at {row['origin']} on "
        f"{row['time_hour']:%Y-%m-%d %H:%M} UTC"
        for row in rows_breaking(rule, weather).iter_rows(named=True)
    ]
    wind = pl.when(rule.holds).then(pl.col("wind_speed"))
    return weather.with_columns(wind.alias("wind_speed")), notes


def _lines(broken: pl.DataFrame, rule: Rule) -> str:
    shown = [
        f"line {row['line']} ("
        + ", ".join(f"{column}={row[column]}" for column in rule.shown)
        + ")"
        for row in broken.head(LINES_SHOWN).iter_rows(named=True)
    ]
    more = [] if broken.height <= LINES_SHOWN else ["..."]
    return ", ".join(shown + more)
