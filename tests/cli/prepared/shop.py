"""Flows that end in every way, with names and logs that terminals find hard to show."""

from __future__ import annotations

import os

from penstock import clock, flow, get_run_logger, suspend_flow_run, task

LONG = "a-name-that-is-much-longer-than-any-terminal-of-forty-columns-is-wide"


@task
def fetch(page: int) -> int:
    clock.sleep(0.25)
    get_run_logger().info("fetching page %d", page)
    return page * 10


@task(task_run_name="Größe 数据处理任务 🚀 {page}", tags=["hard"])
def measure(page: int) -> int:
    clock.sleep(1.5)
    get_run_logger().warning("\x1b[2J\x1b[31mred\x1b[0m \x9b5m and 日本語のログ %s", "x" * 90)
    return page


@task
def breaks(page: int) -> int:
    clock.sleep(0.5)
    message = f"page {page} is gone: {LONG}"
    raise ValueError(message)


@task(log_prints=True)
def dies() -> None:
    if not os.environ.get("SHOP_IS_OPEN"):
        os._exit(9)


@flow(flow_run_name="{name}")
def report(name: str, pages: int = 3) -> int:
    """Complete."""
    return sum(fetch(page) for page in range(pages)) + measure(pages)


@flow(flow_run_name="{name}")
def greet(name: str) -> str:
    """Complete at once."""
    get_run_logger().info("hello %s", name)
    return name


@flow(flow_run_name="{name}")
def audit(name: str, pages: int = 3) -> int:
    """Fail, with a task run that completed and one that did not."""
    report(f"{name}-inner", pages)
    return breaks(fetch(pages))


@flow
def fails() -> None:
    """Fail at once."""
    message = "nothing works"
    raise RuntimeError(message)


@flow
def stops() -> None:
    """Crash at once."""
    raise SystemExit(9)


@flow(flow_run_name="{name}")
def approve(name: str) -> str:
    """Wait for somebody."""
    fetch(1)
    suspend_flow_run(timeout=None, wait_for_input=str)
    return name


@flow(flow_run_name="{name}")
def perish(name: str) -> str:
    """Die in the middle."""
    fetch(1)
    dies()
    return name
