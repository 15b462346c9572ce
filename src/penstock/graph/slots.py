"""The slots that tasks of a graph need whose tags are limited (decision 0018).

A task has them from before its pipeline begins until that has come to its end, so one that waits
holds no worker. Tasks of `penstock.task` in a graph take theirs themselves, as in a flow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.engine.effects import Read, Steps
from penstock.engine.slots import give_back, let_go, limits_of, take
from penstock.graph.state import Failed
from penstock.rules import Facts, Status
from penstock.rules.task_rules import secure_slots
from penstock.states import Running
from penstock.store.limits import limited_tags

if TYPE_CHECKING:
    from penstock.graph.state import State

__all__ = ["give_back", "let_go", "wait_for_slots"]

_SLOT_WAIT = "PENSTOCK_TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS"


def wait_for_slots(call: Any) -> Steps[State | None]:
    """Wait for the slots that a task run needs, unless something is asked of its flow run first.

    Parameters:
        call: the `GraphCall` of a recorded task run.

    Returns:
        The state of a task that may not run at all; none for all others.
    """
    execution, run = call.execution, call.run
    wait_s = execution.settings.values_by_name[_SLOT_WAIT]
    while tags := limited_tags(execution.store, run.tags):
        found = yield Read(lambda tags=tags: limits_of(call, tags))
        facts = Facts(now=clock.now(), limits=found, slot_wait_s=wait_s)
        verdict = secure_slots(run, Running(), facts)
        if verdict is None:
            break  # the limits have been removed
        if verdict.status is Status.ABORT:
            yield from give_back(call)
            return Failed(message=verdict.reason)
        yield from take(call, tags, wait_s)
        if call.slots is not None and call.slots.taken:
            return None
        if execution.asked is not None or execution.rest is not None:
            break
    yield from give_back(call)
    return None
