"""A graph whose process can be killed while one of its tasks is executed."""

from __future__ import annotations

import time
from pathlib import Path

from ledger import note

from penstock.graph import Flow, task


@task
def fetch() -> int:
    note("begin", "fetch")
    return 2


@task
def wait_for_file(number: int) -> int:
    note("begin", "wait")
    while not Path("go-on").exists():
        time.sleep(0.01)
    return number


with Flow("drawn") as drawn:
    wait_for_file(fetch())


if __name__ == "__main__":
    drawn.run()
