"""Delays by carrier, airport, weather and month: from one month's flights to the tables of a year.

A month gives sums and counts, never means: sums of months add up to the sums of the year.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

# The line the US Department of Transportation draws: on time is less than 15 minutes late.
LATE_MIN = 15
POOR_VISIBILITY_MI = 3
STRONG_WIND_MPH = 20
FREEZING_F = 32
# A mean over planes is given where at least this share of the flights has a known plane. American
# Airlines and Envoy Air report fleet numbers in place of tail numbers: the few of theirs that
# match a plane match a wrong one.
KNOWN_SHARE = 0.5

# What each table has one row for.
KEYS = {
    "carriers": ["carrier"],
    "airports": ["dest"],
    "weather": ["origin", "weather"],
    "months": ["origin", "month"],
}

SUMS = (
    pl.len().cast(pl.Int64).alias("flights"),
    pl.col("dep_time").is_null().sum().cast(pl.Int64).alias("cancelled"),
    pl.col("dep_delay").count().cast(pl.Int64).alias("departed"),
    pl.col("dep_delay").cast(pl.Int64).sum().alias("dep_delay_sum"),
    pl.col("arr_delay").count().cast(pl.Int64).alias("arrived"),
    pl.col("arr_delay").cast(pl.Int64).sum().alias("arr_delay_sum"),
    (pl.col("arr_delay") >= LATE_MIN).sum().cast(pl.Int64).alias("late"),
    pl.col("seats").count().cast(pl.Int64).alias("planes_known"),
    pl.col("seats").cast(pl.Int64).sum().alias("seats_sum"),
    pl.col("plane_age").count().cast(pl.Int64).alias("ages_known"),
    pl.col("plane_age").cast(pl.Int64).sum().alias("plane_age_sum"),
)


def with_weather_and_planes(
    flights: pl.DataFrame, weather: pl.DataFrame, planes: pl.DataFrame
) -> pl.DataFrame:
    """Flights with the weather at their origin in their scheduled hour, and the plane that flew.

    Every flight stays, once: weather or a plane that is not on record leaves the columns missing.
    """
    at_origin = weather.select(
        "origin", "time_hour", weather_kind(), pl.col("temp", "precip", "visib", "wind_speed")
    )
    built = planes.select("tailnum", "seats", pl.col("year").alias("built"))
    return (
        flights.join(at_origin, on=["origin", "time_hour"], how="left", validate="m:1")
        .join(built, on="tailnum", how="left", validate="m:1")
        .with_columns(
            pl.col("weather").fill_null("not on record"),
            (pl.col("year") - pl.col("built")).alias("plane_age"),
        )
    )


def weather_kind() -> pl.Expr:
    """Name an hour's weather: what falls comes before what hides the view, then wind."""
    falling = pl.col("precip") > 0
    return (
        pl.when(falling & (pl.col("temp") <= FREEZING_F))
        .then(pl.lit("snow or ice"))
        .when(falling)
        .then(pl.lit("rain"))
        .when(pl.col("visib") < POOR_VISIBILITY_MI)
        .then(pl.lit("poor visibility"))
        .when(pl.col("wind_speed") >= STRONG_WIND_MPH)
        .then(pl.lit("strong wind"))
        .otherwise(pl.lit("fair"))
        .alias("weather")
    )


def delay_sums(joined: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Sums and counts of joined flights, for each of the tables."""
    return {name: joined.group_by(keys).agg(SUMS).sort(keys) for name, keys in KEYS.items()}


def add_up(parts: Iterable[dict[str, pl.DataFrame]]) -> dict[str, pl.DataFrame]:
    """The sums of several months as one."""
    listed = list(parts)
    return {
        name: pl.concat(part[name] for part in listed)
        .group_by(keys)
        .agg(pl.exclude(keys).sum())
        .sort(keys)
        for name, keys in KEYS.items()
    }


def means(sums: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables people read: counts, percentages and means instead of sums."""
    return {name: table.select(KEYS[name] + _readable()) for name, table in sums.items()}


def _readable() -> list[str | pl.Expr]:
    def share(part: str, whole: str) -> pl.Expr:
        return pl.when(pl.col(whole) > 0).then(pl.col(part) / pl.col(whole))

    def mostly_known(total: str, known: str) -> pl.Expr:
        return pl.when(share(known, "flights") >= KNOWN_SHARE).then(share(total, known))

    return [
        "flights",
        "cancelled",
        "arrived",
        (100 * share("cancelled", "flights")).alias("cancelled_pct"),
        share("dep_delay_sum", "departed").alias("mean_dep_delay_min"),
        share("arr_delay_sum", "arrived").alias("mean_arr_delay_min"),
        (100 * share("late", "arrived")).alias("late_pct"),
        (100 * share("planes_known", "flights")).alias("planes_known_pct"),
        mostly_known("seats_sum", "planes_known").alias("mean_seats"),
        mostly_known("plane_age_sum", "ages_known").alias("mean_plane_age_years"),
    ]


def with_names(
    tables: dict[str, pl.DataFrame], airlines: pl.DataFrame, airports: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """The tables with the names of airlines, and names and places of airports.

    A code that is not on record stands for its own name: four airports of Puerto Rico and the
    Virgin Islands are flown to and are not among the airports.
    """
    carriers = tables["carriers"].join(airlines, on="carrier", how="left", maintain_order="left")
    places = airports.select("name", "lat", "lon", pl.col("faa").alias("dest"))
    airports_flown = tables["airports"].join(places, on="dest", how="left", maintain_order="left")
    return tables | {
        "carriers": carriers.select(
            "carrier", pl.col("name").fill_null(pl.col("carrier")), pl.exclude("carrier", "name")
        ),
        "airports": airports_flown.select(
            "dest", pl.col("name").fill_null(pl.col("dest")), pl.exclude("dest", "name")
        ),
    }
