"""The records, by the names under which programs import them."""

from __future__ import annotations

from penstock.records import (
    Flow,
    FlowRun,
    FlowRunInput,
    FlowRunPolicy,
    Log,
    TaskRun,
    TaskRunPolicy,
    TaskRunResult,
)
from penstock.states import State, StateDetails, StateType

__all__ = [
    "Flow",
    "FlowRun",
    "FlowRunInput",
    "FlowRunPolicy",
    "Log",
    "State",
    "StateDetails",
    "StateType",
    "TaskRun",
    "TaskRunPolicy",
    "TaskRunResult",
]
