"""Flows that are paused, and gone on with by other processes."""

from __future__ import annotations

import sys

from ledger import note

from penstock import flow, pause_flow_run, task


@task
def step(index: int) -> int:
    note("step", str(index))
    return index


@flow
def approved() -> int:
    first = step(1)
    pause_flow_run(timeout=60)
    return first + step(2)


@flow
def steps() -> int:
    """Make a step for each line on stdin, until it is closed."""
    sys.stdout.write("up\n")
    sys.stdout.flush()
    return sum(step(int(line)) for line in sys.stdin)


if __name__ == "__main__":
    sys.stdout.write(f"value {globals()[sys.argv[1]]()}\n")
