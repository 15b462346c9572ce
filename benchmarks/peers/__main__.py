"""`python -m benchmarks.peers`: the same work on every engine whose environment is there.

How to make the environments: README.md in this folder. The exit status is 1 when a trial failed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers.engines import ALL_WORKS, BY_NAME, DEFAULT_VENVS, ENGINES, VENVS_VARIABLE
from benchmarks.peers.trials import Lab, TrialFailedError
from benchmarks.report import machine, markdown, update_docs

OURS = "penstock"
WORKS = (*ALL_WORKS, "recorded", "kill_stored")
# One kill shows what an engine does; the others are times, and want repeating.
ONCE = ("kill", "kill_stored", "recorded")
TIMED = ("chain", "fan", "flows", "import", "cold")
PER_ITEM = ("chain", "recorded", "fan", "flows")
HEADINGS = (
    "engine",
    "sequential task",
    "fan-out task",
    "empty flow",
    "import",
    "one flow, one task, whole process",
    "peak MB",
    "killed half way, run again",
)

Line = dict[str, Any]


def main() -> int:
    arguments = _parsed()
    venvs = Path(os.environ.get(VENVS_VARIABLE, DEFAULT_VENVS)).absolute()
    names = [engine.name for engine in ENGINES if engine.name in (arguments.only or BY_NAME)]
    missing = {name: reason for name in names if (reason := BY_NAME[name].missing(venvs))}
    names = [name for name in names if name not in missing]
    with tempfile.TemporaryDirectory(prefix="penstock-peers-", ignore_cleanup_errors=True) as root:
        lines = _trials(Lab(venvs, Path(root), arguments.timeout), names, arguments)
    print(table(lines))
    print(machine())
    for name, reason in missing.items():
        print(f"left out: {name}: {reason} (benchmarks/peers/README.md)")
    failed = [line for line in lines if "error" in line]
    for line in failed:
        print(f"failed: {line['engine']} {line['work']}: {line['error']}")
    if arguments.json:
        content = {"machine": machine(), "lines": lines}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if arguments.update_docs:
        update_docs("peers", table(lines))
    return 1 if failed else 0


def _trials(lab: Lab, names: list[str], arguments: argparse.Namespace) -> list[Line]:
    """Go through works and engines repetition by repetition, so that time treats all alike."""
    lines: list[Line] = []
    for repetition in range(arguments.reps):
        for work in arguments.work or WORKS:
            for engine in (BY_NAME[name] for name in names):
                if work not in engine.works or (work in ONCE and repetition):
                    continue
                n = engine.count(work, quick=arguments.quick)
                line: Line = {"engine": engine.name, "work": work, "n": n, "rep": repetition}
                try:
                    line |= lab.trial(engine, work, n)
                except TrialFailedError as error:
                    line["error"] = str(error)
                lines.append(line)
                print(json.dumps(line), file=sys.stderr, flush=True)
    return lines


def table(lines: list[Line]) -> str:
    """One row for each engine that was tried; medians, and how often penstock's figure."""
    names = [engine.name for engine in ENGINES if any(e["engine"] == engine.name for e in lines)]
    return markdown(HEADINGS, [_cells(name, lines) for name in names])


def _cells(name: str, lines: list[Line]) -> list[str]:
    own = [line for line in lines if line["engine"] == name]
    versions = sorted({line["version"] for line in own if "version" in line})
    cells = [f"{BY_NAME[name].title} {', '.join(versions)}".strip()]
    cells += [_time_cell(name, work, lines) for work in TIMED]
    if recorded := _time_cell(name, "recorded", lines):
        cells[1] += f"; until recorded {recorded}"
    return [*cells, _memory_cell(own), _kill_cell(own)]


def _each(line: Line) -> float:
    return line["seconds"] / (line["n"] if line["work"] in PER_ITEM else 1)


def _time_cell(name: str, work: str, lines: list[Line]) -> str:
    done = [line for line in lines if line["work"] == work and "error" not in line]
    times = [_each(line) for line in done if line["engine"] == name]
    if not times:
        failed = any(e["engine"] == name and e["work"] == work and "error" in e for e in lines)
        return "failed" if failed else ""
    shown = _shown(statistics.median(times))
    # The chain is what a chain that is waited for until recorded compares with.
    ours_work = "chain" if work == "recorded" else work
    ours = {
        line["rep"]: _each(line)
        for line in lines
        if line["engine"] == OURS and line["work"] == ours_work and "error" not in line
    }
    ratios = [
        _each(line) / ours[line["rep"]]
        for line in done
        if line["engine"] == name and line["rep"] in ours
    ]
    if name == OURS or not ratios:
        return shown
    ratio = statistics.median(ratios)
    return f"{shown} ({ratio:,.0f} x)" if ratio >= 10 else f"{shown} ({ratio:.1f} x)"


def _shown(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1e3:,.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} us"


def _memory_cell(own: list[Line]) -> str:
    chains = [line for line in own if line["work"] == "chain" and "own_mb" in line]
    if not chains:
        return ""
    shown = f"{max(line['own_mb'] for line in chains):.0f}"
    children = max(line["children_mb"] for line in chains)
    return f"{shown} + {children:.0f}" if children >= 1 else shown


def _kill_cell(own: list[Line]) -> str:
    parts: list[str] = []
    for line in own:
        if line["work"] not in ("kill", "kill_stored") or "error" in line:
            continue
        verb = "goes on" if line["again"] < line["n"] else "all again"
        how = ", results stored" if line["work"] == "kill_stored" else ""
        parts.append(f"{verb} ({line['again']} of {line['n']} ran{how})")
    return "; ".join(parts)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(BY_NAME), metavar="ENGINE")
    parser.add_argument("--work", nargs="+", choices=WORKS, metavar="WORK")
    parser.add_argument("--reps", type=int, default=3, help="repetitions (default: 3)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the tasks")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one process")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every trial here")
    parser.add_argument(
        "--update-docs", action="store_true", help="write the table to docs/benchmarks.md"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
