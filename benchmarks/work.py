"""The work of each row that runs inside a process: `python -m benchmarks.work ROW ...`.

Always in a process of its own, with PENSTOCK_HOME set to a fresh folder before the import, and
through nothing but names that users import. Prints one JSON line: the samples, and what the store
held afterwards. A wrong value or a missing record is an error, so a row cannot win by doing less.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.checks import check_recorded
from benchmarks.floors import InsertFloor, pool_submit
from penstock import flow, task
from penstock.tasks import task_input_hash

if TYPE_CHECKING:
    from collections.abc import Callable

Sample = dict[str, float]

WARM_UP = 50
SHORT_FLOW = 1_000
SHORT_FLOWS = 5
# Within the flows of `scale`: after so many tasks, so many inserts of the floor.
FLOOR_EVERY, FLOOR_INSERTS = 500, 100
# Tasks before a long flow is weighed or timed: caches, connections and threads are there by then.
LONG_WARM = 2_000
MAP_BATCH = 1_000
executed = 0


@task
def inc(x: int) -> int:
    return x + 1


@task
async def inc_async(x: int) -> int:
    return x + 1


@task(cache_key_fn=task_input_hash)
def inc_cached(x: int) -> int:
    global executed  # noqa: PLW0603 - counted to show that a hit runs nothing
    executed += 1
    return x + 1


@flow
def empty() -> None:
    pass


@flow
def chain(n: int) -> int:
    x = 0
    for _ in range(n):
        x = inc(x)
    return x


@flow
async def chain_async(n: int) -> int:
    x = 0
    for _ in range(n):
        x = await inc_async(x)
    return x


@flow
def chain_cached(n: int) -> int:
    x = 0
    for _ in range(n):
        x = inc_cached(x)
    return x


@flow
def fan_submit(n: int) -> int:
    return sum(future.result() for future in [inc.submit(i) for i in range(n)])


@flow
def fan_map(n: int) -> int:
    return sum(future.result() for future in inc.map(range(n)))


@dataclass(slots=True)
class Bench:
    """What one child was asked for, and the number of task runs in each flow run it made."""

    count: int
    pairs: int
    folder: Path
    ending: ExitStack
    url: str = ""
    task_runs: list[int] = field(default_factory=list[int])

    def timed(self, run: Callable[[int], object], n: int, wanted: object) -> float:
        """Call the flow `run` with `n` tasks, check its value; seconds."""
        begin = time.perf_counter()
        got = run(n)
        seconds = time.perf_counter() - begin
        self.made(n, got, wanted)
        return seconds

    def made(self, n: int, got: object, wanted: object) -> None:
        """Note a flow run of `n` task runs, whose value must be the one wanted."""
        self.task_runs.append(n)
        if got != wanted:
            sys.exit(f"wrong value from a flow of {n} tasks: {got!r}, wanted {wanted!r}")

    def paired(self, floor: Callable[[], float], work: Callable[[], float]) -> list[Sample]:
        """Take floor, work, floor, work, ...; both give seconds for one item."""
        samples: list[Sample] = []
        for _ in range(self.pairs):
            gc.collect()
            floor_s = floor()
            gc.collect()
            samples.append({"floor": floor_s, "work": work()})
        return samples


def sum_to(n: int) -> int:
    """The sum of what `inc` makes of 0 to n - 1."""
    return n * (n + 1) // 2


def bench_chain(bench: Bench) -> list[Sample]:
    """Tasks called one after the other: the whole flow run over its tasks."""
    bench.timed(chain, WARM_UP, WARM_UP)
    floor = InsertFloor(bench.folder)
    return bench.paired(
        floor.take, lambda: bench.timed(chain, bench.count, bench.count) / bench.count
    )


def bench_async(bench: Bench) -> list[Sample]:
    """The same awaited. The event loop is there before the clock starts."""

    async def timed(n: int) -> float:
        begin = time.perf_counter()
        got = await chain_async(n)
        seconds = time.perf_counter() - begin
        bench.made(n, got, n)
        return seconds

    asyncio.run(timed(WARM_UP))
    floor = InsertFloor(bench.folder)
    return bench.paired(floor.take, lambda: asyncio.run(timed(bench.count)) / bench.count)


def bench_fan(bench: Bench, fan: Callable[[int], int]) -> list[Sample]:
    """Independent tasks on the default task runner, and the sum of their results."""
    bench.timed(fan, WARM_UP, sum_to(WARM_UP))
    return bench.paired(
        lambda: pool_submit(bench.count),
        lambda: bench.timed(fan, bench.count, sum_to(bench.count)) / bench.count,
    )


def bench_submit(bench: Bench) -> list[Sample]:
    return bench_fan(bench, fan_submit)


def bench_map(bench: Bench) -> list[Sample]:
    return bench_fan(bench, fan_map)


def bench_empty(bench: Bench) -> list[Sample]:
    """Flow runs without a task, one after the other."""

    def run(n: int) -> float:
        return sum(bench.timed(lambda _: empty(), 0, None) for _ in range(n)) / n

    run(3)
    floor = InsertFloor(bench.folder)
    return bench.paired(floor.take, lambda: run(bench.count))


def bench_cached(bench: Bench) -> list[Sample]:
    """A chain whose every task has run before with the same input: nothing may run again."""
    bench.timed(chain_cached, bench.count, bench.count)
    floor = InsertFloor(bench.folder)
    samples = bench.paired(
        floor.take, lambda: bench.timed(chain_cached, bench.count, bench.count) / bench.count
    )
    if executed != bench.count:
        sys.exit(f"{bench.count} inputs were cached, yet the task ran {executed} times")
    return samples


def bench_scale(bench: Bench) -> list[Sample]:
    """One long flow run against short ones, each counted in floors taken while it ran.

    Seconds would not do: they lie too far apart in time for the machine to be the same. Both
    files are past the growth of their first write-ahead log before the count begins.
    """
    floor = InsertFloor(bench.folder)

    def cost(n: int, flows: int) -> float:

        @flow(name="chain-beside-floor")
        def beside_floor() -> int:
            x = 0
            for i in range(n):
                if i % FLOOR_EVERY == 0:
                    floor.take(FLOOR_INSERTS)
                x = inc(x)
            return x

        gc.collect()
        seconds, inserts, floor_s = 0.0, floor.inserts, floor.seconds
        for _ in range(flows):
            begin = time.perf_counter()
            got = beside_floor()
            seconds += time.perf_counter() - begin
            bench.made(n, got, n)
        floor_s = floor.seconds - floor_s
        each = (seconds - floor_s) / (n * flows)
        return each / (floor_s / (floor.inserts - inserts))

    bench.timed(chain, LONG_WARM, LONG_WARM)
    floor.take(LONG_WARM)
    return [{"floor": cost(SHORT_FLOW, SHORT_FLOWS), "work": cost(bench.count, 1)}]


def resident_bytes() -> int:
    """What this process holds in memory; where that cannot be read, the most it ever held."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * os.sysconf("SC_PAGESIZE")


def collected_bytes() -> int:
    gc.collect()
    return resident_bytes()


def bench_memory(bench: Bench) -> list[Sample]:
    """How far resident memory grew in the flow from task 2,000 to the last, over those tasks."""

    @flow(name="chain-weighed")
    def weighed() -> tuple[int, int]:
        x = 0
        for _ in range(LONG_WARM):
            x = inc(x)
        before = collected_bytes()
        for _ in range(bench.count - LONG_WARM):
            x = inc(x)
        return x, collected_bytes() - before

    value, grown = weighed()
    bench.made(bench.count, value, bench.count)
    return [{"work": grown / (bench.count - LONG_WARM)}]


def bench_memory_map(bench: Bench) -> list[Sample]:
    """The same for tasks mapped 1,000 at a time, each batch's futures let go with its sum."""

    def batches(start: int, stop: int) -> int:
        total = 0
        for first in range(start, stop, MAP_BATCH):
            total += sum(f.result() for f in inc.map(range(first, first + MAP_BATCH)))
        return total

    @flow(name="map-weighed")
    def weighed() -> tuple[int, int]:
        total = batches(0, LONG_WARM)
        before = collected_bytes()
        total += batches(LONG_WARM, bench.count)
        return total, collected_bytes() - before

    value, grown = weighed()
    bench.made(bench.count, value, sum_to(bench.count))
    return [{"work": grown / (bench.count - LONG_WARM)}]


def _graph_work() -> Any:
    # Loaded for its own rows only: the others are to weigh and time a process without graphs.
    from benchmarks import graph_work

    return graph_work


REACH_ROWS = ("pg-fleet", "pg-chain", "resume", "pg-resume", "idle", "idle-1000", "pg-idle-1000")


def bench_live(bench: Bench) -> list[Sample]:
    from benchmarks import live_work

    return live_work.bench_live(bench)


def _reach_row(name: str) -> Callable[[Bench], list[Sample]]:
    def bench_row(bench: Bench) -> list[Sample]:
        from benchmarks import reach_work

        return reach_work.BENCHES[name](bench)

    return bench_row


BENCHES: dict[str, Callable[[Bench], list[Sample]]] = {
    "chain": bench_chain,
    "async": bench_async,
    "submit": bench_submit,
    "map": bench_map,
    "empty": bench_empty,
    "cached": bench_cached,
    "scale": bench_scale,
    "memory": bench_memory,
    "memory-map": bench_memory_map,
    "live": bench_live,
    **{name: _reach_row(name) for name in REACH_ROWS},
    "graph-pipeline": lambda bench: _graph_work().bench_pipeline(bench),
    "graph-chain": lambda bench: _graph_work().bench_chain(bench),
    "graph-map": lambda bench: _graph_work().bench_map(bench),
    "graph-scale": lambda bench: _graph_work().bench_scale(bench),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.work")
    parser.add_argument("row", choices=sorted(BENCHES))
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--pairs", type=int, required=True)
    arguments = parser.parse_args()
    home = Path(os.environ["PENSTOCK_HOME"])
    # The floor's file lies beside the home, on the same disk.
    with ExitStack() as ending:
        bench = Bench(arguments.count, arguments.pairs, home.parent, ending)
        samples = BENCHES[arguments.row](bench)
        # A row that records nothing, and says so by having made no run, has nothing to check.
        recorded = check_recorded(home, bench.task_runs, bench.url) if bench.task_runs else {}
    sys.stdout.write(json.dumps({"samples": samples, "recorded": recorded}) + "\n")


if __name__ == "__main__":
    main()
