"""Flows that are declared as a graph before they run, task by task and edge by edge.

    from penstock.graph import Flow, Parameter, task

    @task
    def double(n):
        return 2 * n

    with Flow("double") as flow:
        n = Parameter("n", default=21)
        doubled = double(n)

    state = flow.run()
    state.result[doubled].result  # 42

Each run is recorded as those of `penstock.flow` are, and goes on after a crash as they do. When
to use which: docs/graph.md.
"""

from __future__ import annotations

from penstock.graph import signals, triggers
from penstock.graph.ambient import context
from penstock.graph.annotations import flatten, mapped, unmapped
from penstock.graph.apply_map import apply_map
from penstock.graph.control_flow import (
    CompareValue,
    FilterTask,
    Merge,
    case,
    ifelse,
    merge,
    switch,
)
from penstock.graph.edge import Edge
from penstock.graph.flow import Flow
from penstock.graph.parameter import DateTimeParameter, Parameter
from penstock.graph.resource_manager import ResourceManager, resource_manager
from penstock.graph.task import Task, defaults_from_attrs, pause_task, tags, task

__all__ = [
    "CompareValue",
    "DateTimeParameter",
    "Edge",
    "FilterTask",
    "Flow",
    "Merge",
    "Parameter",
    "ResourceManager",
    "Task",
    "apply_map",
    "case",
    "context",
    "defaults_from_attrs",
    "flatten",
    "ifelse",
    "mapped",
    "merge",
    "pause_task",
    "resource_manager",
    "signals",
    "switch",
    "tags",
    "task",
    "triggers",
    "unmapped",
]
