"""The flights example as a whole: in this process, as real processes, killed half way too."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import flights
from checks import BadRecords
from penstock.exceptions import ParameterTypeError

SCRIPT = Path(flights.__file__)
TABLES = ("carriers", "airports", "weather", "months")
MONTH_DONE = re.compile(r"month (\d+): [\d,]+ flights")


def row(table, **where):
    """Give the one row of a table that has these values."""
    found = table.filter(**where)
    assert found.height == 1
    return found.row(0, named=True)


def assert_is_picture(file):
    """A PNG of the size the chart has, in pixels."""
    content = file.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(content[16:20]), int.from_bytes(content[20:24])) == (1540, 1155)


# --------------------------------------------------------------------- the flow, in this process


def test_failing_on_purpose_is_the_same_each_time_and_about_as_often_as_asked():
    def fails(month, attempt, share):
        try:
            flights.fail_on_purpose(month, attempt, share)
        except ConnectionError:
            return True
        return False

    attempts = [(month, attempt) for month in range(1, 101) for attempt in range(1, 11)]
    assert not any(fails(*each, 0.0) for each in attempts)
    assert all(fails(*each, 1.0) for each in attempts)
    failed = [fails(*each, 0.3) for each in attempts]
    assert failed == [fails(*each, 0.3) for each in attempts]
    assert 250 < sum(failed) < 350


def test_small_records_through_the_whole_flow(folder, tmp_path, capsys):
    written = flights.flights(months=2, data=folder, out=tmp_path / "out")
    assert [file.name for file in written] == [*(f"{t}.parquet" for t in TABLES), "delays.png"]
    assert_is_picture(tmp_path / "out" / "delays.png")
    weather = pl.read_parquet(tmp_path / "out" / "weather.parquet")
    assert weather.select("origin", "weather", "flights").rows() == [
        ("EWR", "fair", 2),  # the wind of 1,048 mph is not believed
        ("JFK", "not on record", 1),
        ("JFK", "rain", 1),
        ("JFK", "snow or ice", 1),
    ]
    printed = capsys.readouterr().out.split("Written:")[0]
    assert re.search(r"United Air Lines Inc\. +2 +0\.0 +\+15\.5 +50\.0 +14\.0", printed)
    assert re.search(r"JetBlue Airways +3 +33\.3 +-10\.0 +0\.0 +13\.0", printed)


def test_it_goes_on_wherever_it_is_crashed(folder, tmp_path, crash_sweep, capsys):
    out = tmp_path / "out"

    sweep = crash_sweep.with_options(limit=6, seed=3)(
        flights.flights, months=2, fail_now_and_then=0.5, data=folder, out=out
    )

    assert sweep.stops == 6
    assert any("(AwaitingRetry)" in point for point in sweep.points)
    assert str(out / "delays.png") in sweep.answer
    assert pl.read_parquet(out / "carriers.parquet")["flights"].sort().to_list() == [2, 3]


def test_months_without_flights_are_no_trouble(folder, tmp_path):
    flights.flights(data=folder, out=tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "months.parquet")["flights"].sum() == 5


def test_bad_records_fail_the_flow_with_the_line(folder, tmp_path):
    file = folder / "flights.csv"
    file.write_text(file.read_text().replace("IAH,227,1400", "IAH,227,-1400"))
    with pytest.raises(BadRecords, match=r"distance is .* line 2 \(distance=-1400\)"):
        flights.flights(data=folder, out=tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_file_is_read_again_only_when_it_has_changed(folder, csv_files, tmp_path, caplog):
    def tables_read():
        caplog.clear()
        flights.flights(months=1, data=folder, out=tmp_path / "out")
        return sorted(re.findall(r"rows of (\w+) from", caplog.text))

    with caplog.at_level("INFO", "penstock"):
        assert tables_read() == sorted(csv_files)
        assert tables_read() == []
        (folder / "airlines.csv").write_text(csv_files["airlines"] + "DL,Delta Air Lines Inc.\n")
        assert tables_read() == ["airlines"]


@pytest.mark.parametrize(
    "bad", [{"months": 13}, {"months": 0}, {"fail_now_and_then": 2}, {"slow_s": -1}]
)
def test_parameters_out_of_range_are_refused(bad):
    with pytest.raises(ParameterTypeError, match=next(iter(bad))):
        flights.flights(**bad)


# -------------------------------------------------------------------- the flow, as real processes


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder, the home and the finished process of a run of the whole year."""
    out, home = tmp_path_factory.mktemp("out"), tmp_path_factory.mktemp("home")
    done = run([SCRIPT, "--out", out], home)
    assert done.returncode == 0, done.stderr
    return out, home, done


def environment(home):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return kept | {"PENSTOCK_HOME": str(home)}


def run(arguments, home):
    """Run python with these arguments to its end, and hand back what it printed."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, env=environment(home), capture_output=True, text=True, check=False
    )


def ask(home, *arguments):
    """Run a reading penstock command, and hand back the objects it printed."""
    done = run(["-m", "penstock", *arguments, "--json"], home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_same_outputs(out, expected):
    for name in TABLES:
        found = pl.read_parquet(out / f"{name}.parquet")
        assert_frame_equal(found, pl.read_parquet(expected / f"{name}.parquet"), check_exact=True)
    assert (out / "delays.png").read_bytes() == (expected / "delays.png").read_bytes()


def test_the_figures_of_the_year(undisturbed):
    """Computed once more, row by row with the csv module, apart from the example's code."""
    out, _, _ = undisturbed
    carriers, airports, weather, months = (pl.read_parquet(out / f"{t}.parquet") for t in TABLES)
    for table in (carriers, airports, weather, months):
        assert table["flights"].sum() == 336_776
        assert table["cancelled"].sum() == 8_255
        assert table["arrived"].sum() == 327_346
        delay = (table["mean_arr_delay_min"] * table["arrived"]).sum() / 327_346
        assert delay == pytest.approx(2_257_174 / 327_346)
        assert (table["late_pct"] * table["arrived"]).sum() / 100 == pytest.approx(80_100)
    assert (carriers.height, airports.height, weather.height, months.height) == (16, 105, 18, 36)
    assert row(carriers, carrier="UA")["mean_arr_delay_min"] == pytest.approx(3.558011)
    assert row(airports, dest="SJU")["flights"] == 5_819
    assert row(weather, origin="EWR", weather="fair")["flights"] == 104_893
    assert weather.filter(pl.col("weather") == "not on record")["flights"].sum() == 1_556
    assert row(months, origin="EWR", month=2)["cancelled"] == 499


def test_what_a_run_prints_says_what_to_look_at_next(undisturbed):
    out, home, done = undisturbed
    assert "SkyWest Airlines Inc." in done.stdout
    assert str(out / "delays.png") in done.stdout
    (recorded,) = ask(home, "flow-run", "ls")
    for command in ("ls", f"inspect {recorded['id']}", f"logs {recorded['id']}"):
        assert f"penstock flow-run {command}\n" in done.stdout
    assert (recorded["name"], recorded["state_type"]) == ("delays-of-12-months", "COMPLETED")


def test_steps_that_fail_now_and_then_are_retried_and_the_read_is_cached(undisturbed, tmp_path):
    expected, home, first = undisturbed
    target = f"{SCRIPT}:flights"
    failing = ("--param", "fail_now_and_then=0.3", "--param", f"out={tmp_path}")
    done = run(["-m", "penstock", "run", target, *failing], home)
    assert done.returncode == 0, done.stderr
    assert "month 7, attempt 1: failed because fail_now_and_then=0.3" in done.stderr
    assert sorted(map(int, MONTH_DONE.findall(done.stderr))) == list(range(1, 13))
    assert "read 336,776 rows" in first.stderr
    assert "read 336,776 rows" not in done.stderr
    assert_same_outputs(tmp_path, expected)


@pytest.mark.slow
def test_killed_half_way_and_resumed(undisturbed, tmp_path):
    """What was reported before kill -9 is not done again; the outputs are those of a whole run."""
    expected, _, _ = undisturbed
    out, home = tmp_path / "out", tmp_path / "home"
    kill_once_seen("month 6 of 12 is in", [SCRIPT, "--out", out, "--slow-s", "1"], home)

    (killed,) = ask(home, "flow-run", "ls")
    assert killed["state_type"] == "RUNNING"
    before = months_completed(home, killed["id"])
    assert set(range(1, 7)) <= before < set(range(1, 13))

    done = run(["-m", "penstock", "flow-run", "resume", killed["id"]], home)
    assert done.returncode == 0, done.stderr
    executed = [int(month) for month in MONTH_DONE.findall(done.stderr)]
    assert sorted(executed) == sorted(set(range(1, 13)) - before)
    assert "rows of" not in done.stderr  # nothing was read again either

    (resumed,) = ask(home, "flow-run", "ls")
    assert (resumed["id"], resumed["state_type"]) == (killed["id"], "COMPLETED")
    assert months_completed(home, killed["id"]) == set(range(1, 13))
    assert_same_outputs(out, expected)


def kill_once_seen(line, arguments, home):
    """Run python with these arguments, and kill -9 it as soon as it logs the line."""
    command = [sys.executable, *map(str, arguments)]
    with subprocess.Popen(
        command,
        env=environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        seen = any(line in each for each in process.stderr)
        process.kill()
    assert seen
    assert process.returncode == -9


def months_completed(home, flow_run_id):
    """The months that are on record as Completed."""
    (inspected,) = ask(home, "flow-run", "inspect", flow_run_id)
    completed = {t["name"] for t in inspected["task_runs"] if t["state_type"] == "COMPLETED"}
    return {int(name.removeprefix("month-")) for name in completed if name.startswith("month-")}
