"""Where a task's function runs: one after the other, or on threads.

A runner gets a `Call` and answers with an `Outcome`; it never touches the store.
"""

from penstock.task_runners.base import BaseTaskRunner, TaskConcurrencyType, duplicate_of
from penstock.task_runners.calls import Call, Outcome, perform
from penstock.task_runners.local import ConcurrentTaskRunner, SequentialTaskRunner

__all__ = [
    "BaseTaskRunner",
    "Call",
    "ConcurrentTaskRunner",
    "Outcome",
    "SequentialTaskRunner",
    "TaskConcurrencyType",
    "duplicate_of",
    "perform",
]
