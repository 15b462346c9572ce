"""One run, from Pending to a final state.

Runs are generators of effects (`effects`), driven inline, on an event loop, by callbacks or in a
simulation (`drivers`). The stages have the names that the field knows (section 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.engine.continuing import create_and_begin_subflow_run
from penstock.engine.flow_calls import enter_flow_run_engine_from_flow_call, resume_flow_run_here
from penstock.engine.flow_runs import (
    begin_flow_run,
    create_then_begin_flow_run,
    orchestrate_flow_run,
    report_flow_run_crashes,
)
from penstock.engine.task_calls import begin_task_map, enter_task_run_engine
from penstock.engine.task_runs import (
    begin_task_run,
    orchestrate_task_run,
    report_task_run_crashes,
)
from penstock.utilities.lazy import lazy_names

if TYPE_CHECKING:
    from penstock.engine.checkpoints import checkpoint
    from penstock.engine.executing import (
        enter_flow_run_engine_from_subprocess,
        retrieve_flow_then_begin_flow_run,
    )
    from penstock.engine.pausing import pause_flow_run, resume_flow_run, suspend_flow_run

__all__ = [
    "begin_flow_run",
    "begin_task_map",
    "begin_task_run",
    "checkpoint",
    "create_and_begin_subflow_run",
    "create_then_begin_flow_run",
    "enter_flow_run_engine_from_flow_call",
    "enter_flow_run_engine_from_subprocess",
    "enter_task_run_engine",
    "orchestrate_flow_run",
    "orchestrate_task_run",
    "pause_flow_run",
    "report_flow_run_crashes",
    "report_task_run_crashes",
    "resume_flow_run",
    "resume_flow_run_here",
    "retrieve_flow_then_begin_flow_run",
    "suspend_flow_run",
]

_WHERE = {
    "checkpoint": "penstock.engine.checkpoints",
    "enter_flow_run_engine_from_subprocess": "penstock.engine.executing",
    "pause_flow_run": "penstock.engine.pausing",
    "resume_flow_run": "penstock.engine.pausing",
    "retrieve_flow_then_begin_flow_run": "penstock.engine.executing",
    "suspend_flow_run": "penstock.engine.pausing",
}
"""The stages that a flow which only runs does without: loaded when they are asked for."""

__getattr__ = lazy_names(__name__, _WHERE)
