"""The rows of the table: what is measured, how often, against which floor and which budget."""

from __future__ import annotations

from dataclasses import dataclass, replace

INSERT, POOL, START, SHORT, PLAIN, NONE = "F1", "F2", "F3", "at 1,000", "plain lines", ""
PIPELINE, COMMIT = "F4", "F5"

FLOORS = {
    INSERT: "one SQLite insert and commit (WAL, synchronous=NORMAL)",
    POOL: "one of 10,000 ThreadPoolExecutor(8).submit, with its result",
    START: "a bare `python -c pass`",
    PIPELINE: "the same rows inserted by one psycopg pipeline in as many transactions, by task",
    COMMIT: "one PostgreSQL insert and commit by psycopg (default settings)",
}


@dataclass(slots=True)
class Row:
    """One line of the table.

    `budget` is the largest median ratio that is still ok or, where there is no floor, the largest
    median. `unit` is that of the measured figures: `us`, `ms`, `bytes`, or `F1` or `F2` where they
    are counted in floors. `count` is how many items one measurement covers. A measurement is
    repeated `pairs` times in each of `rounds` fresh processes.
    """

    name: str
    title: str
    floor: str
    budget: float
    unit: str
    count: int
    rounds: int
    pairs: int
    is_whole_process: bool = False

    def quick(self) -> Row:
        """The same row in a fraction of the time: fewer repetitions, shorter long flows."""
        return replace(
            self,
            count=min(self.count, QUICK_COUNT),
            rounds=1,
            pairs=min(self.pairs, QUICK_PAIRS),
        )


QUICK_COUNT = 20_000
QUICK_PAIRS = 3

ROWS: tuple[Row, ...] = (
    Row("chain", "task called in a sync flow (chain of {count})", INSERT, 3.5, "us", 1_000, 3, 5),
    Row("async", "the same awaited in an async flow", INSERT, 4.0, "us", 1_000, 3, 5),
    Row("submit", "task submitted on threads ({count})", POOL, 4.0, "us", 10_000, 3, 3),
    Row("map", "task mapped on threads ({count})", POOL, 4.0, "us", 10_000, 3, 3),
    Row("empty", "an empty flow run", INSERT, 10.0, "us", 200, 3, 5),
    Row("cached", "cached task, hit", INSERT, 2.5, "us", 1_000, 3, 5),
    Row("scale", "cost per task at {count} tasks against 1,000", SHORT, 1.2, "F1", 100_000, 3, 1),
    Row("memory", "memory kept per finished task run, {count} called", NONE, 600, "bytes",
        100_000, 3, 1),
    Row("memory-map", "memory kept per finished task run, {count} mapped", NONE, 600, "bytes",
        100_000, 3, 1),
    Row("graph-pipeline", "a graph's task through its pipeline, without a store", NONE, 60, "us",
        2_000, 3, 5),
    Row("graph-chain", "a graph's task, recorded (chain of {count})", INSERT, 6.0, "us",
        1_000, 3, 5),
    Row("graph-map", "child of a mapped task in a graph, on threads ({count})", POOL, 6.0, "us",
        10_000, 3, 3),
    Row("graph-scale", "cost per child at {count} children against 1,000", SHORT, 1.3, "F2",
        50_000, 3, 1),
    Row("pg-fleet", "task of 64 flow runs at once ({count} each) on PostgreSQL", PIPELINE, 3.0,
        "us", 20, 3, 3),
    Row("pg-chain", "task called in a sync flow on PostgreSQL (chain of {count})", COMMIT, 1.5,
        "us", 500, 3, 3),
    Row("resume", "a resumption by another process is noticed", NONE, 100, "ms", 15, 3, 1),
    Row("pg-resume", "the same on PostgreSQL", NONE, 100, "ms", 15, 3, 1),
    Row("idle", "a process with one flow run that waits", NONE, 1.0, "% of a core", 1, 3, 1),
    Row("idle-1000", "a process with {count} flow runs that wait", NONE, 1.0, "% of a core",
        1_000, 3, 1),
    Row("pg-idle-1000", "the same on PostgreSQL", NONE, 1.0, "% of a core", 1_000, 3, 1),
    Row("import", "`import penstock`", START, 4.5, "ms", 1, 3, 7, is_whole_process=True),
    Row("script", "script with one flow and one task, whole process", START, 8.0, "ms",
        1, 3, 7, is_whole_process=True),
    Row("help", "`penstock --help`", START, 9.0, "ms", 1, 3, 7, is_whole_process=True),
    Row("completion", "a completion by Tab of a run's name", START, 9.0, "ms",
        1, 3, 7, is_whole_process=True),
    Row("live", "processor time of `penstock run` with its live display ({count} tasks)", PLAIN,
        1.02, "us", 10_000, 3, 9),
    Row("ls", "`penstock flow-run ls` of {count} flow runs", START, 14.0, "ms",
        100_000, 3, 7, is_whole_process=True),
)  # fmt: skip

BY_NAME = {row.name: row for row in ROWS}
