"""The work of the rows about graphs: see `benchmarks.work`, which runs it."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

from benchmarks.floors import InsertFloor, pool_submit
from penstock.graph import Edge, Flow, Task, task
from penstock.graph.executors import LocalDaskExecutor
from penstock.graph.state import Success
from penstock.graph.task_runner import TaskRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.work import Bench, Sample

WORKERS = 8
SHORT_MAP = 1_000
SHORT_MAPS = 5


@task
def one() -> int:
    return 1


@task
def inc(x: int) -> int:
    return x + 1


@task
def numbers(n: int) -> list[int]:
    return list(range(n))


@task
def total(values: list[int]) -> int:
    return sum(values)


def chain_of(n: int) -> tuple[Flow, Task]:
    """A graph of `n` tasks, each after the one before."""
    with Flow("graph-chain") as flow:
        last = one()
        for _ in range(n - 1):
            last = inc(last)
    return flow, last


def fan_of(n: int) -> tuple[Flow, Task]:
    """A graph that maps one task over `n` numbers on threads, and adds up what comes of them."""
    executor = LocalDaskExecutor(num_workers=WORKERS)
    with Flow("graph-map", executor=executor) as flow:
        summed = total(inc.map(numbers(n)))
    return flow, summed


def bench_pipeline(bench: Bench) -> list[Sample]:
    """One task with one input through the whole pipeline, nothing recorded."""
    below = inc.copy()
    edge = Edge(one, below, key="x")

    def run(n: int) -> float:
        begin = time.perf_counter()
        for _ in range(n):
            state = TaskRunner(task=below).run(upstream_states={edge: Success(result=1)})
            assert state.result == 2
        return (time.perf_counter() - begin) / n

    run(bench.count // 10)
    return [{"work": run(bench.count)} for _ in range(bench.pairs)]


def bench_chain(bench: Bench) -> list[Sample]:
    """Graph tasks one after the other, recorded: the whole run over its tasks."""
    floor = InsertFloor(bench.folder)
    flow, last = chain_of(bench.count)

    def run(_: int) -> int:
        state = flow.run()
        return state.result[last].result

    bench.timed(run, bench.count, bench.count)
    return bench.paired(
        floor.take, lambda: bench.timed(run, bench.count, bench.count) / bench.count
    )


def mapped_run(flow: Flow, summed: Task) -> Callable[[int], int]:
    """Run a graph of `fan_of`, and give the sum."""

    def run(_: int) -> int:
        state = flow.run()
        return state.result[summed].result

    return run


def extra_runs(n: int) -> int:
    """What is recorded of a map over `n`: its children, itself, what it is over, and the sum."""
    return n + 3


def wanted_sum(n: int) -> int:
    return n * (n + 1) // 2


def timed_map(bench: Bench, n: int) -> float:
    """Map over `n` numbers; seconds for each child."""
    run = mapped_run(*fan_of(n))
    begin = time.perf_counter()
    got = run(n)
    seconds = time.perf_counter() - begin
    bench.made(extra_runs(n), got, wanted_sum(n))
    return seconds / n


def bench_map(bench: Bench) -> list[Sample]:
    """Children of a mapped task on threads, recorded, and the sum of their results."""
    timed_map(bench, SHORT_MAP)
    return bench.paired(lambda: pool_submit(bench.count), lambda: timed_map(bench, bench.count))


def bench_scale(bench: Bench) -> list[Sample]:
    """A child of a wide map against one of narrow maps, each counted in pool floors around it."""
    timed_map(bench, SHORT_MAP)

    def cost(n: int, times: int) -> float:
        gc.collect()
        before_s = pool_submit(SHORT_MAP * 5)
        each_s = sum(timed_map(bench, n) for _ in range(times)) / times
        return each_s / ((before_s + pool_submit(SHORT_MAP * 5)) / 2)

    return [{"floor": cost(SHORT_MAP, SHORT_MAPS), "work": cost(bench.count, 1)}]
