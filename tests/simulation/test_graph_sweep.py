"""Graphs whose process dies, stands still or loses its store at each effect in turn."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import penstock
from penstock.graph import Flow, Parameter, context, signals, task, triggers
from penstock.graph.executors import LocalDaskExecutor, LocalExecutor
from penstock.testing import crash_sweep, fault_sweep, stall_sweep

if TYPE_CHECKING:
    from collections.abc import Callable

calls: Counter[str] = Counter()
"""How often each function was called since the process began."""


# -- graphs ---------------------------------------------------------------------------------------


@task
def numbers(n):
    return list(range(n))


@task
def double(x):
    return 2 * x


@task
def total(values):
    return sum(values)


@task
def fails():
    raise ValueError("always")


@task(trigger=triggers.any_failed)
def repairs():
    return "repaired"


@task(trigger=triggers.all_finished)
def reports(first, second):
    return f"{type(first).__name__}, {second}"


@task(max_retries=2, retry_delay=timedelta(seconds=3))
def fails_twice():
    if context.task_run_count < 3:
        raise ValueError("not yet")
    return context.task_run_count


@task
def loops():
    turn = context.get("task_loop_count", 1)
    so_far = [*context.get("task_loop_result", []), turn]
    if turn < 4:
        raise signals.LOOP(result=so_far)
    return so_far


@penstock.task(retries=1, retry_delay_seconds=2)
def decorated(x):
    calls["decorated"] += 1
    if calls["decorated"] == 1:
        raise ValueError("the first time")
    return x + 1


def chain(executor: Any) -> Flow:
    with Flow("chain", executor=executor) as flow:
        n = Parameter("n", default=3)
        double(double(n))
    return flow


def maps(executor: Any) -> Flow:
    with Flow("maps", executor=executor) as flow:
        total(double.map(double.map(numbers(Parameter("n", default=3)))))
    return flow


def branches(executor: Any) -> Flow:
    with Flow("branches", executor=executor) as flow:
        failed = fails()
        repaired = repairs(upstream_tasks=[failed])
        report = reports(failed, repaired)
        flow.set_reference_tasks([report])
    return flow


def retries(executor: Any) -> Flow:
    with Flow("retries", executor=executor) as flow:
        total([fails_twice(), double(4)])
    return flow


def turns(executor: Any) -> Flow:
    with Flow("turns", executor=executor) as flow:
        total(loops())
    return flow


def mixed(executor: Any) -> Flow:
    with Flow("mixed", executor=executor) as flow:
        total(decorated.map(numbers(2)))
    return flow


GRAPHS = [chain, maps, branches, retries, turns, mixed]
EXECUTORS: list[Callable[[], Any]] = [
    LocalExecutor,
    lambda: LocalDaskExecutor(num_workers=2),
]


@pytest.mark.parametrize("executor", EXECUTORS, ids=["one by one", "threads"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_a_graph_goes_on_after_a_crash_at_any_effect(graph, executor):
    sweep = crash_sweep(graph(executor()), seed=1, before_each=calls.clear)

    sweep.check()
    assert len(sweep.points) > 8


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_graph_goes_on_after_several_crashes(graph):
    crash_sweep(
        graph(LocalDaskExecutor(num_workers=2)), seed=2, deaths=3, before_each=calls.clear
    ).check()


@pytest.mark.parametrize("graph", [maps, branches, turns])
def test_a_process_that_stood_still_writes_nothing_more(graph):
    stall_sweep(graph(LocalDaskExecutor(num_workers=2)), seed=3, before_each=calls.clear).check()


@pytest.mark.parametrize("graph", [maps, branches, retries])
def test_a_graph_goes_on_after_its_store_failed(graph):
    fault_sweep(graph(LocalExecutor()), seed=4, before_each=calls.clear).check()
