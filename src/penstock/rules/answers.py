"""What the rules are asked with, and what they answer: `Facts` in, `Answer` out.

An answer that is not written has no effects to undo: whatever a rule wants done beside the state
(a counter reset, a slot taken, a cache entry made) stands in the answer, and whoever writes the
answer's state does it in the same transaction. So there is nothing to clean up when a later rule
changes the outcome.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec

from penstock.records import FlowRun
from penstock.states import State


class Status(enum.StrEnum):
    """What became of a proposal."""

    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    WAIT = "WAIT"
    ABORT = "ABORT"


# What the store has to do in the transaction that writes an answer's state.
INSERT_CACHE = "insert_cache"
TAKE_SLOTS = "take_slots"
RELEASE_SLOTS = "release_slots"
UPDATE_PARENT_TASK = "update_parent_task"
ENQUEUE_SCHEDULED = "enqueue_scheduled"
ENQUEUE_RETRY = "enqueue_retry"


class Answer(msgspec.Struct, eq=False):
    """What the rules make of a proposal.

    Parameters:
        status: what became of it.
        state: the state to write. For ACCEPT it is the proposed one, perhaps renamed or with
            other details; for REJECT it is the state that the rules give instead. None means
            that nothing is written, and that the run's present state is the answer.
        reason: why the proposal was not taken as it is, for people.
        delay_s: for WAIT, after how many seconds to propose again.
        changes: fields of the run that change with the write, for `record`.
        after: what the store has to do in the same transaction: `insert_cache`, `take_slots`,
            `release_slots`, `update_parent_task`, `enqueue_scheduled`, `enqueue_retry`.
    """

    status: Status
    state: State | None = None
    reason: str | None = None
    delay_s: float | None = None
    changes: dict[str, Any] | None = None
    after: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        """Tell whether a state is to be written."""
        return self.state is not None


Verdict = Answer | None
"""What one rule says: None lets the proposal pass; an ACCEPT carries what the rule adds to it."""

_ACCEPT = Status.ACCEPT
_REJECT = Status.REJECT
_WAIT = Status.WAIT
_ABORT = Status.ABORT


def change(
    state: State | None = None,
    changes: dict[str, Any] | None = None,
    after: tuple[str, ...] = (),
) -> Answer:
    """Let the proposal pass with something changed: its state, the run, or what follows."""
    return Answer(_ACCEPT, state, None, None, changes, after)


def reject(state: State, reason: str, changes: dict[str, Any] | None = None) -> Answer:
    """Write `state` in place of the proposed one."""
    return Answer(_REJECT, state, reason, None, changes)


def stay(reason: str) -> Answer:
    """Write nothing: the run's present state is the answer."""
    return Answer(_REJECT, None, reason)


def wait(delay_s: float, reason: str) -> Answer:
    """Write nothing, and have it proposed again after `delay_s` seconds."""
    return Answer(_WAIT, None, reason, delay_s)


def abort(reason: str) -> Answer:
    """Write nothing, and have the proposer stop."""
    return Answer(_ABORT, None, reason)


def draw_exponential(mean_s: float) -> float:
    """Draw from the exponential distribution of this mean: the default of `Facts.jitter`."""
    # Needed by a retry with jitter only, and a millisecond to import.
    import random

    return random.expovariate(1.0 / mean_s)


_NO_LIMITS: Mapping[str, tuple[int, int]] = MappingProxyType({})


class Facts(msgspec.Struct, kw_only=True, eq=False):
    """What the rules may know besides the run and the proposal; looked up by the caller.

    Parameters:
        now: the present time.
        flow_run: of a task run, its flow run as known now; None when it is gone or was never.
        cached: the completed state of the newest usable cache entry for the proposal's cache
            key. To be looked up when the proposal is RUNNING, has a cache key and does not ask
            for a refresh.
        limits: the concurrency limits on the run's tags, by tag: how many slots there are, and
            how many are taken by other runs than this one.
        jitter: draws from the exponential distribution whose mean it is given.
        slot_wait_s: seconds to wait when no slot is free.
        task_scheduling: background tasks are switched on.
    """

    now: datetime
    flow_run: FlowRun | None = None
    cached: State | None = None
    limits: Mapping[str, tuple[int, int]] = _NO_LIMITS
    jitter: Callable[[float], float] = draw_exponential
    slot_wait_s: float = 30.0
    task_scheduling: bool = False
