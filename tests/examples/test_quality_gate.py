"""The quality gate example as a whole: its ways in this process, and as real processes, killed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "examples" / "quality_gate"))

import deliver  # noqa: E402 - found by the line above
import demo  # noqa: E402 - the same
import gate  # noqa: E402 - the same
import quality_gate  # noqa: E402 - the same
from checks import BadRecords  # noqa: E402 - the same
from records import find_files, read_csv, records_folder  # noqa: E402 - the same

SCRIPT = Path(quality_gate.__file__)
DAY = "2013-02-08"
CHECKING = re.compile(r"checking (\w\w)")
COMPLETED, FAILED, PAUSED = 0, 1, 5


@pytest.fixture(scope="module")
def delivered(tmp_path_factory):
    """The file of a real day."""
    return deliver.deliver(DAY, tmp_path_factory.mktemp("inbox"))


@pytest.fixture(scope="module")
def planes():
    return read_csv(find_files(records_folder())["planes"], "planes")


# ------------------------------------------------------------------------------------- the rules


def part_of(delivered, carrier):
    return gate.of_carrier(carrier, gate.read_day(delivered))


def test_what_is_delivered_is_read_back_as_it_was(delivered):
    year = read_csv(find_files(records_folder())["flights"], "flights")
    of_day = year.filter((pl.col("month") == 2) & (pl.col("day") == 8))
    assert gate.read_day(delivered).drop("line").equals(of_day)
    assert of_day.height == 930


def test_a_day_without_flights_is_not_delivered(tmp_path):
    with pytest.raises(ValueError, match="no flights of 2014-01-01"):
        deliver.deliver("2014-01-01", tmp_path)
    assert not list(tmp_path.iterdir())


def test_fleet_numbers_are_found_and_made_missing(delivered, planes):
    flights = part_of(delivered, "AA")
    with pytest.raises(BadRecords, match="54 of 77 tail numbers are no plane's on record"):
        gate.check_part("AA", flights, planes)
    mended = gate.mend_part("AA", flights, planes)
    assert mended.flights.height == flights.height
    assert mended.flights["tailnum"].null_count() == flights.height
    assert mended.notes == ["tail numbers made missing: they are no plane's"]


def test_a_few_bad_lines_are_left_out(delivered, planes):
    flights = part_of(delivered, "DL")
    spoilt = flights.with_columns(
        pl.when(pl.int_range(pl.len()) == 3).then(-9).otherwise("distance").alias("distance")
    )
    with pytest.raises(BadRecords, match=rf"distance is .* not so in line {spoilt['line'][3]}$"):
        gate.check_part("DL", spoilt, planes)
    mended = gate.mend_part("DL", spoilt, planes)
    assert mended.flights.height == flights.height - 1
    assert mended.notes == [f"line {spoilt['line'][3]} left out"]


def test_many_bad_lines_are_beyond_mending(delivered, planes):
    spoilt = part_of(delivered, "DL").with_columns(distance=pl.lit(-9, pl.Int16))
    with pytest.raises(BadRecords, match="beyond mending: 126 of 126 lines are bad"):
        gate.mend_part("DL", spoilt, planes)


# ---------------------------------------------------------------------- the graph, in this process


@pytest.fixture
def run(tmp_path):
    """Run the graph on a file, or on none, with a short patience."""

    def run_with(text, **parameters):
        inbox = tmp_path / "inbox"
        inbox.mkdir()
        if text is not None:
            (inbox / gate.file_of(DAY)).write_text(text)
        folders = {"inbox": str(inbox), "out": str(tmp_path)}
        parameters = {"look_every_s": 0.01, "patience_s": 0, **parameters}
        return quality_gate.quality_gate.run(parameters={**folders, **parameters})

    return run_with


def report_of(folder):
    return (folder / f"report-{DAY}.md").read_text()


def published(folder):
    return folder / "published" / f"flights-{DAY}.parquet"


def only(delivered, *carriers, **spoilt):
    """The text of the delivered file with some carriers' flights alone, and columns spoilt."""
    rows = pl.read_csv(delivered, infer_schema=False)
    of_carriers = rows.filter(pl.col("carrier").is_in(carriers))
    return of_carriers.with_columns(**spoilt).write_csv()


def test_a_clean_day_is_published_without_asking(delivered, run, tmp_path):
    state = run(only(delivered, "UA", "DL"))
    assert state.is_successful()
    assert published(tmp_path).is_file()
    assert "285 flights of 2 carriers: 2 fit, 0 mended, 0 refused." in report_of(tmp_path)
    mended = state.result[quality_gate.mended].map_states
    assert [type(each).__name__ for each in mended] == ["TriggerFailed"] * 2


def test_a_mended_day_rests_until_it_is_approved(delivered, run, tmp_path):
    state = run(only(delivered, "UA", "AA"))
    assert not state.is_finished()
    assert not published(tmp_path).exists()
    assert "| AA | 93 | mended | tail numbers made missing" in report_of(tmp_path)


def test_it_goes_on_wherever_it_is_crashed(delivered, tmp_path, crash_sweep):
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    inbox.mkdir()
    (inbox / gate.file_of(DAY)).write_text(only(delivered, "UA", "AA"))

    sweep = crash_sweep.with_options(limit=12, seed=3)(
        quality_gate.quality_gate, day=DAY, inbox=str(inbox), out=str(out)
    )

    assert sweep.stops == 12
    assert any("(Paused)" in point for point in sweep.points)  # it is approved as soon as it rests
    assert pl.read_parquet(published(out))["carrier"].unique().sort().to_list() == ["AA", "UA"]


def test_a_day_beyond_mending_is_reported_and_refused(delivered, run, tmp_path):
    distance = pl.when(pl.col("carrier") == "WN").then(pl.lit("-9")).otherwise("distance")
    state = run(only(delivered, "AA", "WN", distance=distance))
    assert state.is_failed()
    assert not published(tmp_path).exists()
    report = report_of(tmp_path)
    assert "2 carriers: 0 fit, 1 mended, 1 refused." in report
    assert re.search(r"\| WN \| 34 \| refused \| .*; beyond mending: 34 of 34", report)


def test_a_day_that_does_not_come_is_reported(run, tmp_path):
    state = run(None, patience_s=0.02)
    assert state.is_failed()
    assert f"**Not checked.** {gate.file_of(DAY)} was not delivered" in report_of(tmp_path)
    assert "within 0.02 s" in report_of(tmp_path)


def test_a_file_that_is_none_is_reported(run, tmp_path):
    state = run("hello\n")
    assert state.is_failed()
    assert "**Not checked.** " in report_of(tmp_path)
    assert "has no column" in report_of(tmp_path)


# ------------------------------------------------------------------- the graph, as real processes


def environment(home):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return kept | {"PENSTOCK_HOME": str(home)}


def call(arguments, home):
    """Run python with these arguments to its end, and hand back what it printed."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def gate_command(delivered, out, *more):
    folders = ("-p", f"inbox={delivered.parent}", "-p", f"out={out}")
    return ["-m", "penstock", "run", SCRIPT, *folders, *more]


def ask(home, *arguments):
    done = call(["-m", "penstock", *arguments, "--json"], home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def resume(home, run_id):
    return call(["-m", "penstock", "flow-run", "resume", run_id], home)


def test_killed_half_way_resumed_and_approved(delivered, tmp_path):
    """What was checked is not checked again; the report is that of a run nobody disturbed."""
    undisturbed, out, home = tmp_path / "undisturbed", tmp_path / "out", tmp_path / "home"
    done = call(gate_command(delivered, undisturbed), tmp_path / "other")
    assert done.returncode == PAUSED, done.stderr

    command = gate_command(delivered, out, "-p", "slow_s=0.5")
    kill_once_seen("checking EV", command, home)
    (killed,) = ask(home, "flow-run", "ls")
    assert killed["state_type"] == "RUNNING"
    before = checks_over(home, killed["id"])
    assert 3 <= len(before) < 15

    done = resume(home, killed["id"])
    assert done.returncode == PAUSED, done.stderr
    assert len(CHECKING.findall(done.stderr)) == 15 - len(before)
    assert "seen at look" not in done.stderr
    assert report_of(out) == report_of(undisturbed)
    assert "930 flights of 15 carriers: 13 fit, 2 mended, 0 refused." in report_of(out)
    assert not published(out).exists()

    done = resume(home, killed["id"])
    assert done.returncode == COMPLETED, done.stderr
    assert not CHECKING.findall(done.stderr)
    flights = pl.read_parquet(published(out))
    assert flights.height == 930
    assert flights.filter(carrier="AA")["tailnum"].null_count() == 93

    (run,) = ask(home, "flow-run", "inspect", killed["id"])
    names = [state["name"] for state in run["states"]]
    assert names == ["Pending", "Running", "Crashed", "Running", "Paused", "Running", "Completed"]


def kill_once_seen(line, arguments, home):
    """Run python with these arguments, and kill -9 it as soon as it logs the line."""
    command = [sys.executable, *map(str, arguments)]
    with subprocess.Popen(
        command,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        seen = any(line in each for each in process.stderr)
        process.kill()
    assert seen
    assert process.returncode == -9


def checks_over(home, flow_run_id):
    """The checks that are on record as finished."""
    (inspected,) = ask(home, "flow-run", "inspect", flow_run_id)
    over = {
        t["name"] for t in inspected["task_runs"] if t["state_type"] in ("COMPLETED", "FAILED")
    }
    return {name for name in over if re.fullmatch(r"check\[\d+\]", name)}


def test_a_day_that_comes_too_late_is_gone_on_with(delivered, tmp_path):
    """The run fails; once the file is there the same run goes on, from the wait."""
    inbox, out, home = tmp_path / "inbox", tmp_path / "out", tmp_path / "home"
    file = inbox / delivered.name
    command = gate_command(file, out, "-p", "patience_s=0")
    done = call(command, home)
    assert done.returncode == FAILED, done.stderr
    assert "**Not checked.**" in report_of(out)

    inbox.mkdir()
    file.write_text(only(delivered, "UA"))
    (failed,) = ask(home, "flow-run", "ls")
    done = resume(home, failed["id"])
    assert done.returncode == COMPLETED, done.stderr
    assert "1 fit" in report_of(out)
    assert published(out).is_file()


def test_the_demo_goes_from_beginning_to_end(tmp_path):
    """As `make demo-graph` runs it: waits, repairs, rests, is approved, publishes."""
    out = tmp_path / "out"
    done = call([Path(demo.__file__), "--out", out], tmp_path / "home")
    assert done.returncode == COMPLETED, done.stderr
    said = done.stdout
    assert said.index("ended in state Paused") < said.index("13 fit, 2 mended")
    assert said.index("13 fit, 2 mended") < said.index("ended in state Completed")
    assert "seen at look" in done.stderr
    assert re.search(r"waiting for .*flights-2013-02-08\.csv", done.stderr)
    assert published(out).is_file()
