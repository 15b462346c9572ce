"""`python -m benchmarks`: measure the rows, print the table, say whether the budget is kept.

The exit status is 0 when every row is within its budget, 1 when one is over, 2 when one failed:
its process did not end well, gave a wrong value, or the store did not hold what was run.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Measured, measure_round
from benchmarks.report import machine, table, update_docs
from benchmarks.rows import BY_NAME, FLOORS, ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rows import Row

STATUS = {"ok": 0, "over": 1, "failed": 2}


def main() -> int:
    arguments = _parsed()
    names: list[str] = arguments.row or [row.name for row in ROWS]
    rows = [BY_NAME[name].quick() if arguments.quick else BY_NAME[name] for name in names]
    results = measured(rows)
    failures = [f"{result.row.name}: {result.error}" for result in results if result.error]
    logged = " ".join(
        f"{result.row.name} {result.stderr_lines}" for result in results if result.stderr_lines
    )
    lines = [table(results), "", *(f"{name}: {text}" for name, text in FLOORS.items())]
    lines.append(f"Lines logged to stderr (a file) in the last round: {logged or 'none'}")
    sys.stdout.write("\n".join([*lines, machine(), *failures]) + "\n")
    if arguments.json:
        content = {"machine": machine(), "rows": [result.as_json() for result in results]}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    worst = max(STATUS[result.verdict()] for result in results)
    if arguments.update_docs and worst < STATUS["failed"]:
        update_docs("bench", table(results))
    return worst


def measured(rows: Sequence[Row]) -> list[Measured]:
    """Measure all rows round by round, so that a slow minute of the machine hits no row alone."""
    results = [Measured(row) for row in rows]
    for number in range(max(row.rounds for row in rows)):
        for result in results:
            if number < result.row.rounds and not result.error:
                sys.stderr.write(f"round {number + 1}: {result.row.name}\n")
                measure_round(result)
    return results


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, shorter flows")
    parser.add_argument(
        "--row", nargs="+", metavar="NAME", choices=sorted(BY_NAME),
        help="only these: " + ", ".join(BY_NAME),
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample here")
    parser.add_argument(
        "--update-docs", action="store_true", help="write the table to docs/benchmarks.md"
    )
    arguments = parser.parse_args()
    if arguments.update_docs and (arguments.quick or arguments.row):
        parser.error("--update-docs wants a full run: leave out --quick and --row")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
