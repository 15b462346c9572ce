"""Make a store with runs that ended in every way, the same one each time: run in its folder.

Time is virtual and ids are counted, so that what the commands show of it can be compared.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime

import shop

from penstock import clock, get_client, ids
from penstock.cli import main as penstock
from penstock.exceptions import Pause
from penstock.loading import load_flow_from_entrypoint
from penstock.states import Cancelling, Scheduled

START = datetime(2026, 1, 31, 8, 30, tzinfo=UTC).timestamp()
BEL = "\x07"


def _count_ids(salt: int) -> None:
    ids.use_source(lambda: round(clock.epoch() * 1e9), salt)


def _in_a_process_that_dies(flow, name) -> None:
    child = os.fork()
    if child == 0:
        _count_ids(8)
        flow(name)
        os._exit(1)
    os.waitpid(child, 0)
    clock.sleep(60)


def main() -> None:
    """Make the store of the present settings."""
    flows = {
        name: load_flow_from_entrypoint(f"shop.py:{name}")
        for name in ("report", "greet", "audit", "approve", "perish")
    }
    drawn = load_flow_from_entrypoint("drawn.py:drawn")
    flows["report"]("monday")
    flows["report"](f"Prüfung 数据 🚀 \x1b[31mrot{BEL}", 1)
    flows["report"](shop.LONG, 1)
    flows["audit"]("broken", return_state=True)
    with suppress(Pause):
        flows["approve"]("waits")
    with get_client(sync_client=True) as client:
        for name in ("late", "called-off"):
            run = client.create_flow_run(
                flows["greet"], name=name, parameters={"name": name}, state=Scheduled()
            )
        client.set_flow_run_state(run.id, Cancelling())
        client.create_concurrency_limit("gpu", 2)
        client.create_global_concurrency_limit("mail", 5, slot_decay_per_second=2.0)
    drawn.run(flow_run_name="graphic")
    _in_a_process_that_dies(flows["perish"], "crashed")
    penstock(["recover"])
    _in_a_process_that_dies(flows["perish"], "lost")


if __name__ == "__main__":
    with clock.use_clock(clock.VirtualClock(START)):
        _count_ids(7)
        main()
