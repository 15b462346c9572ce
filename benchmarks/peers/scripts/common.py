"""What the scripts share: their arguments, the clock, the side effects' ledger, the JSON line.

A script is started by `python -m benchmarks.peers` in a folder of its own, with the engine's
settings in the environment. It runs where only the engine is installed, so nothing but the
standard library is used here.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Given the arguments, get ready; what is given back is timed.
    Prepare = Callable[[argparse.Namespace], Callable[[], object]]

LEDGER_VARIABLE = "PENSTOCK_PEER_LEDGER"
# After so many tasks the next one waits to be killed.
HOLD_VARIABLE = "PENSTOCK_PEER_HOLD"
HOLD_S = 600
WITHOUT_WARM_UP = ("cold", "kill", "kill_stored")


def main(
    version: str,
    works: Mapping[str, Prepare],
    warm_up: Callable[[], object],
    more: Callable[[argparse.Namespace], dict[str, Any]] = lambda _: {},
) -> None:
    """Run the work named on the command line, check its value, print one JSON line.

    `warm_up` runs before the clock starts, but for a cold start and a run that will be killed.
    `more` runs after it has stopped: it gives further figures, or raises if it finds that the work
    was not done.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=sorted(works))
    parser.add_argument("n", type=int)
    parser.add_argument("--again", action="store_true", help="the run before this was killed")
    parser.add_argument("--scheduler", default="")
    arguments = parser.parse_args()
    if arguments.work not in WITHOUT_WARM_UP:
        warm_up()
    run = works[arguments.work](arguments)
    begin = time.perf_counter()
    value = run()
    seconds = time.perf_counter() - begin
    wanted = value_of(arguments.work, arguments.n)
    if value != wanted:
        sys.exit(f"wrong value: {value!r}, wanted {wanted!r}")
    line = {"version": version, "seconds": seconds, **more(arguments)}
    line["own_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line["children_mb"] = children_mb()
    print(json.dumps(line), flush=True)


def value_of(work: str, n: int) -> int | None:
    """What the work must come to."""
    if work == "flows":
        return None
    if work == "fan":
        return n * (n + 1) // 2
    return 1 if work == "cold" else n


def inc(x: int) -> int:
    """Do the work of every task: note that it ran, where a ledger is kept, and count up."""
    name = os.environ.get(LEDGER_VARIABLE)
    if name:
        ledger = Path(name)
        hold_after = int(os.environ.get(HOLD_VARIABLE, "0"))
        if hold_after and ledger.exists() and ledger.stat().st_size >= hold_after:
            ledger.with_suffix(".held").touch()
            time.sleep(HOLD_S)
        with ledger.open("ab") as file:
            file.write(b"\n")
    return x + 1


def children_mb() -> float:
    """Peak memory of the processes that this one has started and that still live (Linux)."""
    parents: dict[int, int] = {}
    peaks: dict[int, float] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:
            continue
        pid = int(fields["Pid"])
        parents[pid] = int(fields["PPid"])
        peaks[pid] = int(fields.get("VmHWM", "0 kB").split()[0]) / 1024
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(peaks[pid] for pid in family - {os.getpid()})
