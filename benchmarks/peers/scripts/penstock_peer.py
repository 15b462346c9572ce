"""penstock itself, with nothing but its defaults. The store is read after each work."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import common
from benchmarks.checks import check_recorded

from penstock import flow, task
from penstock.runtime import flow_run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

RUN_ID = Path("run-id")


@task
def inc(x: int) -> int:
    return common.inc(x)


@flow
def empty() -> None:
    pass


@flow
def one() -> int:
    return inc(0)


@flow
def chain(n: int) -> int:
    x = 0
    for _ in range(n):
        x = inc(x)
    return x


@flow
def chain_killed(n: int) -> int:
    RUN_ID.write_text(str(flow_run.id))
    x = 0
    for _ in range(n):
        x = inc(x)
    return x


@flow
def fan(n: int) -> int:
    return sum(future.result() for future in inc.map(range(n)))


def flows(n: int) -> None:
    for _ in range(n):
        empty()


def recorded(arguments: argparse.Namespace) -> dict[str, int]:
    """Read from the store what was run. Its first flow run was the one that made it."""
    n: int = arguments.n
    made = {"chain": [0, n], "fan": [0, n], "flows": [0] * (n + 1), "kill": [n]}
    if arguments.work not in made:
        return {}
    return check_recorded(Path(os.environ["PENSTOCK_HOME"]), [1, *made[arguments.work]])


def kill(arguments: argparse.Namespace) -> Callable[[], object]:
    if not arguments.again:
        return lambda: chain_killed(arguments.n)

    def resume() -> int:
        command = Path(sysconfig.get_path("scripts"), "penstock")
        subprocess.run([command, "flow-run", "resume", RUN_ID.read_text()], check=True)
        return arguments.n

    return resume


if __name__ == "__main__":
    common.main(
        version("penstock"),
        {
            "chain": lambda a: lambda: chain(a.n),
            "fan": lambda a: lambda: fan(a.n),
            "flows": lambda a: lambda: flows(a.n),
            "cold": lambda _: one,
            "kill": kill,
        },
        warm_up=empty,
        more=recorded,
    )
