"""A day's flights through a gate: checked, mended where they can be, approved of, published.

Declared as a graph, since the ways through it are what matters: what runs when something failed,
what runs whatever happens, what waits for somebody. Run it:

    penstock run examples/quality_gate/quality_gate.py
    python examples/quality_gate/deliver.py 2013-02-08      # in another terminal

README.md beside this file shows all the ways. `make demo-graph` goes through two of them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import polars as pl

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "flights"))  # its records, rules and tasks are used here

from flights import penstock_command, read_table  # noqa: E402 - found by the line above
from gate import (  # noqa: E402 - it uses the rules of the flights example
    Part,
    check_part,
    file_of,
    mend_part,
    of_carrier,
    read_day,
    report_text,
    verdict,
    whole_day,
)
from penstock.graph import (  # noqa: E402 - beside the others
    Flow,
    Parameter,
    context,
    pause_task,
    signals,
    task,
    unmapped,
)
from penstock.graph.executors import LocalDaskExecutor  # noqa: E402 - beside the others
from penstock.graph.triggers import all_finished, any_failed, any_successful  # noqa: E402 - same
from records import find_files, records_folder  # noqa: E402 - found by the line above

OUT = HERE / "out"


@task
def wait_for_delivery(day: str, inbox: str, look_every_s: float, patience_s: float) -> Path:
    """Look into the inbox, again and again, until the day's file is there."""
    file = Path(inbox) / file_of(day)
    looks = context.get("task_loop_count", 1)
    if file.is_file():
        context.logger.info("%s is there, seen at look %d", file.name, looks)
        return file
    waited_s = (looks - 1) * look_every_s
    if waited_s >= patience_s:
        raise signals.FAIL(f"{file.name} was not delivered within {waited_s:g} s.")
    if looks == 1:
        context.logger.info("waiting for %s", file)
    time.sleep(look_every_s)
    raise signals.LOOP(message=f"look {looks}: not there yet", result=looks)


@task
def read_delivery(file: Path) -> pl.DataFrame:
    """Read the day's flights."""
    return read_day(file)


@task
def carriers_of(flights: pl.DataFrame) -> list[str]:
    """The carriers that flew on the day."""
    return flights["carrier"].unique().drop_nulls().sort().to_list()


@task
def check(carrier: str, flights: pl.DataFrame, planes: pl.DataFrame, slow_s: float) -> Part:
    """Fail, and say why, if a carrier's flights are not fit to be published."""
    time.sleep(slow_s)
    context.logger.info("checking %s", carrier)
    return check_part(carrier, of_carrier(carrier, flights), planes)


# Runs for those carriers alone whose check failed.
@task(trigger=any_failed)
def mend(carrier: str, flights: pl.DataFrame, planes: pl.DataFrame, failure: Exception) -> Part:
    """Make a carrier's flights fit, if they can be."""
    context.logger.warning("mending %s: %s", carrier, failure)
    return mend_part(carrier, of_carrier(carrier, flights), planes)


# One of the two is there, unless the carrier is beyond mending: then this fails by its trigger.
@task(trigger=any_successful)
def take(checked: Part | Exception, mended: Part | BaseException) -> Part:
    """Take a carrier's flights as they came, or as they were mended."""
    return checked if isinstance(checked, Part) else mended


# Runs whatever has happened before: a day that was refused needs its report most of all.
@task(trigger=all_finished, skip_on_upstream_skip=False)
def report(
    day: str,
    out: str,
    delivery: Path | BaseException,
    flights: pl.DataFrame | BaseException,
    checked: list[Any] | None,
    mended: list[Any] | None,
) -> Path:
    """Write what became of each carrier, or why nothing did."""
    rows, trouble = [], ""
    if isinstance(flights, pl.DataFrame):
        carriers = flights["carrier"].unique().drop_nulls().sort()
        for code, was_checked, was_mended in zip(carriers, checked, mended, strict=True):
            count = of_carrier(code, flights).height
            rows.append((code, count, *verdict(was_checked, was_mended)))
    else:
        trouble = str(flights if isinstance(delivery, Path) else delivery)
    file = Path(out) / f"report-{day}.md"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(report_text(day, trouble, rows))
    context.logger.info("wrote %s", file)
    return file


@task
def approve(parts: list[Part], report: Path) -> str:
    """Let a day pass as it came; wait for somebody's approval where something was mended."""
    mended = [part.carrier for part in parts if part.notes]
    if not mended:
        return "as it came"
    resume = f"{penstock_command()} flow-run resume {context.flow_run_id}"
    if not context.get("resume"):
        context.logger.warning("to approve: read %s, then: %s", report, resume)
    pause_task(f"{', '.join(mended)} were mended. Read {report}, then: {resume}")
    return f"with {', '.join(mended)} mended"


@task
def publish(day: str, out: str, parts: list[Part], approval: str) -> Path:
    """Put the day's flights where others read them, whole or not at all."""
    file = Path(out) / "published" / f"flights-{day}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".part")
    flights = whole_day(parts)
    flights.write_parquet(unfinished)
    unfinished.rename(file)
    context.logger.info("published %d flights, %s: %s", flights.height, approval, file)
    return file


# Three carriers at a time.
with Flow(
    "quality-gate", executor=LocalDaskExecutor(scheduler="threads", num_workers=3)
) as quality_gate:
    day = Parameter("day", default="2013-02-08")
    out = Parameter("out", default=str(OUT))
    delivery = wait_for_delivery(
        day,
        inbox=Parameter("inbox", default=str(OUT / "inbox")),
        look_every_s=Parameter("look_every_s", default=0.5),
        patience_s=Parameter("patience_s", default=60),
    )
    flights = read_delivery(delivery)
    # A task of `penstock.task`, from the flights example: its cache works here as it does there.
    planes = read_table(find_files(records_folder())["planes"], "planes")

    carriers = carriers_of(flights)
    slow_s = Parameter("slow_s", default=0)
    rows, known = unmapped(flights), unmapped(planes)
    checked = check.map(carriers, flights=rows, planes=known, slow_s=unmapped(slow_s))
    mended = mend.map(carriers, flights=rows, planes=known, failure=checked)
    parts = take.map(checked, mended)

    told = report(day, out, delivery, flights, checked, mended)
    published = publish(day, out, parts, approve(parts, told))

# That checks fail is what they are for: the day is well if it was published, and reported on.
quality_gate.set_reference_tasks([told, published])


if __name__ == "__main__":
    quality_gate.run()
