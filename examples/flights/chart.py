"""One picture of a year of delays. Drawn on matplotlib's figures directly: needs no display."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

LATE, EARLY, INK, GRID = "#c8553d", "#2a7f9e", "#22333b", "#d9dde0"
ORIGINS = {
    "EWR": ("Newark", "#c8553d"),
    "JFK": ("JFK", "#2a7f9e"),
    "LGA": ("LaGuardia", "#e0a030"),
}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEATHER = ("fair", "strong wind", "poor visibility", "rain", "snow or ice")
# The map shows the 48 states; all but a few of the destinations are there.
MAP_LONGITUDES, MAP_LATITUDES = (-126, -66), (23.5, 50)
LABELLED_AIRPORTS = 24
# Two labels on the map are at least so far apart, in degrees.
LABEL_WIDTH, LABEL_HEIGHT = 3.6, 1.9


def draw_delays(tables: dict[str, pl.DataFrame], file: Path) -> None:
    """Draw carriers, months, weather and destinations, and save them as a PNG."""
    figure = Figure(figsize=(14, 10.5), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    (carriers, months), (weather, airports) = figure.subplots(
        2, 2, gridspec_kw={"width_ratios": (1, 1.15)}
    )
    flights = tables["carriers"]["flights"].sum()
    first, last = tables["months"]["month"].min(), tables["months"]["month"].max()
    period = MONTHS[first - 1] if first == last else f"{MONTHS[first - 1]} to {MONTHS[last - 1]}"
    figure.suptitle(
        f"Delays of {flights:,} flights from New York, {period} 2013",
        fontsize=19, fontweight="bold", color=INK, x=0.01, ha="left",
    )  # fmt: skip
    _draw_carriers(carriers, tables["carriers"])
    _draw_months(months, tables["months"])
    _draw_weather(weather, tables["weather"])
    _draw_airports(figure, airports, tables["airports"])
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15)
    figure.savefig(file)


def _draw_carriers(axes: Axes, carriers: pl.DataFrame) -> None:
    ranked = carriers.drop_nulls("mean_arr_delay_min").sort("mean_arr_delay_min", descending=True)
    delays = ranked["mean_arr_delay_min"].to_list()
    colours = [LATE if delay > 0 else EARLY for delay in delays]
    bars = axes.barh(ranked["name"].to_list(), delays, color=colours)
    axes.bar_label(bars, [f"{delay:+.1f}" for delay in delays], padding=4, fontsize=9, color=INK)
    axes.invert_yaxis()
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.margins(x=0.12)
    axes.tick_params(axis="y", length=0)
    _dress(axes, "Who is late", "mean arrival delay, minutes (below 0: early)", grid="x")


def _draw_months(axes: Axes, months: pl.DataFrame) -> None:
    for origin, (name, colour) in ORIGINS.items():
        rows = months.filter(pl.col("origin") == origin).sort("month")
        x, y = rows["month"].to_list(), rows["mean_dep_delay_min"].to_list()
        axes.plot(x, y, color=colour, linewidth=2.4, marker="o", label=name)
    axes.set_xticks(range(1, len(MONTHS) + 1), MONTHS)
    axes.set_xlim(0.6, len(MONTHS) + 0.4)
    axes.set_ylim(0, 1.18 * (months["mean_dep_delay_min"].max() or 1))
    axes.set_ylabel("mean departure delay, minutes", color=INK)
    axes.legend(frameon=False, loc="upper center", ncols=len(ORIGINS))
    _dress(axes, "When", "month of the scheduled departure", grid="y")


def _draw_weather(axes: Axes, weather: pl.DataFrame) -> None:
    kinds = [kind for kind in WEATHER if kind in set(weather["weather"])]
    width = 0.27
    for place, (origin, (name, colour)) in enumerate(ORIGINS.items()):
        rows = weather.filter(pl.col("origin") == origin)
        delay_of = dict(zip(rows["weather"], rows["mean_dep_delay_min"], strict=True))
        heights = [delay_of.get(kind) or 0 for kind in kinds]
        x = [at + (place - 1) * width for at in range(len(kinds))]
        bars = axes.bar(x, heights, width * 0.92, color=colour, label=name)
        axes.bar_label(bars, [f"{h:.0f}" for h in heights], padding=2, fontsize=9, color=INK)
    totals = dict(weather.group_by("weather").agg(pl.col("flights").sum()).iter_rows())
    labels = [f"{kind}\n{totals[kind]:,}" for kind in kinds]
    axes.set_xticks(range(len(kinds)), labels)
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("mean departure delay, minutes", color=INK)
    axes.legend(frameon=False, loc="upper left")
    _dress(
        axes,
        "In what weather",
        "weather at the scheduled hour of departure, and number of flights",
        grid="y",
    )


def _draw_airports(figure: Figure, axes: Axes, airports: pl.DataFrame) -> None:
    on_map = (
        airports.drop_nulls(["lat", "mean_arr_delay_min"])
        .filter(
            pl.col("lon").is_between(*MAP_LONGITUDES), pl.col("lat").is_between(*MAP_LATITUDES)
        )
        .sort("flights", descending=True)
    )
    scale = TwoSlopeNorm(vmin=-20, vcenter=0, vmax=20)
    colours = "RdYlBu_r"
    axes.scatter(
        on_map["lon"], on_map["lat"], s=18 + on_map["flights"].to_numpy() / 28,
        c=on_map["mean_arr_delay_min"], cmap=colours, norm=scale, edgecolor=INK, linewidth=0.6,
    )  # fmt: skip
    axes.set_xlim(*MAP_LONGITUDES)
    axes.set_ylim(*MAP_LATITUDES)
    axes.set_anchor("N")
    axes.set_aspect(1.28)
    for code, lon, lat in _labels(on_map):
        axes.annotate(
            code, (lon, lat), fontsize=8.5, color=INK, fontweight="bold",
            xytext=(0, 11), textcoords="offset points", ha="center",
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
    bar = figure.colorbar(
        ScalarMappable(scale, colours), ax=axes, orientation="horizontal", shrink=0.7, aspect=40,
        extend="both",
    )  # fmt: skip
    bar.set_label(
        "mean arrival delay, minutes; a larger dot has more flights\n"
        "(not shown: Alaska, Hawaii, Puerto Rico, Virgin Islands)",
        color=INK,
    )
    _dress(axes, "Going where", "", grid="both")
    axes.set_xticks([])
    axes.set_yticks([])


def _labels(busiest_first: pl.DataFrame) -> list[tuple[str, float, float]]:
    """The airports to name: the busiest, without those too near to one already named."""
    chosen: list[tuple[str, float, float]] = []
    for code, lon, lat in busiest_first.select("dest", "lon", "lat").iter_rows():
        near = (abs(lon - x) < LABEL_WIDTH and abs(lat - y) < LABEL_HEIGHT for _, x, y in chosen)
        if len(chosen) < LABELLED_AIRPORTS and not any(near):
            chosen.append((code, lon, lat))
    return chosen


def _dress(axes: Axes, title: str, x_label: str, grid: str) -> None:
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=INK)
    axes.set_xlabel(x_label, color=INK)
    axes.grid(visible=True, axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
