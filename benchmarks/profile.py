"""Where a row's time goes: `python -m benchmarks.profile chain|async|fan|empty`.

Runs the row's work under cProfile and prints the functions with the most time of their own. Calls
cost more under cProfile than without, so read the order, not the seconds. A sampler does not have
that fault; with `--plain` the work runs without cProfile for one to watch, for instance py-spy:

    py-spy record --rate 500 -o chain.svg -- python -m benchmarks.profile chain --plain
    py-spy record --rate 500 --threads --gil -o fan.svg -- python -m benchmarks.profile fan --plain
    py-spy top -- python -m benchmarks.profile async --plain --count 200000

`--native` (to py-spy) also shows the time inside SQLite.
"""
# ruff: noqa: A005 - the command's name; it is only ever reached through its package

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.checks import check_recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

COUNTS = {"chain": 10_000, "async": 10_000, "fan": 10_000, "empty": 2_000}
PLAIN_TIMES = 10
# From Python 3.12 on, one cProfile at a time: the caller's thread alone is seen.
SEES_THREADS = sys.version_info < (3, 12)


def main() -> None:
    arguments = _parsed()
    count: int = arguments.count or COUNTS[arguments.row] * (PLAIN_TIMES if arguments.plain else 1)
    with tempfile.TemporaryDirectory(prefix="penstock-profile-") as folder:
        # Read when penstock is imported, so the import waits for it.
        os.environ["PENSTOCK_HOME"] = folder
        run, task_runs = _work(arguments.row)
        run(1)
        profiles: list[cProfile.Profile] = []
        begin = time.perf_counter()
        if arguments.plain:
            run(count)
        else:
            with _profiled(profiles):
                run(count)
        seconds = time.perf_counter() - begin
        check_recorded(Path(folder), task_runs(1) + task_runs(count))
    print(f"{arguments.row}: {count:,} in {seconds:.3f} s, {seconds / count * 1e6:.1f} us each")
    if profiles:
        if arguments.row == "fan" and not SEES_THREADS:
            print("this Python's cProfile sees the calling thread only; for all: --plain, py-spy")
        _print_top(profiles, arguments.top)


def _work(row: str) -> tuple[Callable[[int], object], Callable[[int], list[int]]]:
    """What to run with a count, and the task runs of each flow run that this makes."""
    from benchmarks import work

    if row == "empty":
        return lambda n: [work.empty() for _ in range(n)], lambda n: [0] * n
    runs: dict[str, Callable[[int], object]] = {
        "chain": work.chain,
        "fan": work.fan_submit,
        "async": lambda n: asyncio.run(work.chain_async(n)),
    }
    return runs[row], lambda n: [n]


@contextmanager
def _profiled(profiles: list[cProfile.Profile]) -> Generator[None]:
    """Profile this thread and, where cProfile can, each thread that starts meanwhile."""

    def start_in_thread(*_: object) -> None:
        profile = cProfile.Profile()
        profiles.append(profile)
        profile.enable()

    if SEES_THREADS:
        threading.setprofile(start_in_thread)
    own = cProfile.Profile()
    own.enable()
    try:
        yield
    finally:
        own.disable()
        profiles.append(own)
        threading.setprofile(None)


def _print_top(profiles: list[cProfile.Profile], top: int) -> None:
    stats = pstats.Stats(*profiles, stream=sys.stdout)
    stats.strip_dirs().sort_stats(pstats.SortKey.TIME).print_stats(top)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("row", choices=sorted(COUNTS))
    parser.add_argument("--count", type=int, help="tasks (empty: flow runs)")
    parser.add_argument("--top", type=int, default=25, help="functions to print (default: 25)")
    parser.add_argument("--plain", action="store_true", help="without cProfile, for a sampler")
    return parser.parse_args()


if __name__ == "__main__":
    main()
