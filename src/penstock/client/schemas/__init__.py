"""What the client takes and gives: records, filters, orders, answers, each in its own module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.utilities.lazy import lazy_names

if TYPE_CHECKING:
    from penstock.client.schemas.objects import (
        FlowRun,
        State,
        StateDetails,
        StateType,
        TaskRun,
        TaskRunResult,
    )
    from penstock.client.schemas.responses import OrchestrationResult

__all__ = [
    "FlowRun",
    "OrchestrationResult",
    "State",
    "StateDetails",
    "StateType",
    "TaskRun",
    "TaskRunResult",
]

_WHERE = {
    **dict.fromkeys(__all__, "penstock.client.schemas.objects"),
    "OrchestrationResult": "penstock.client.schemas.responses",
}
"""The records, by the names under which many programs import them from here."""

__getattr__ = lazy_names(__name__, _WHERE, ("filters", "objects", "responses", "sorting"))
