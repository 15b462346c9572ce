"""What each rule makes of a task run's proposal, and in which order they are asked (4.3, 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from penstock.ids import new_id
from penstock.rules.answers import (
    ENQUEUE_RETRY,
    ENQUEUE_SCHEDULED,
    INSERT_CACHE,
    RELEASE_SLOTS,
    TAKE_SLOTS,
    Facts,
    Verdict,
    abort,
    change,
    reject,
    stay,
    wait,
)
from penstock.rules.delays import retry_delay
from penstock.rules.policy import (
    ANY,
    ANY_OR_NONE,
    CANCELLED,
    CANCELLING,
    COMPLETED,
    CRASHED,
    FAILED,
    PAUSED,
    PENDING,
    RUNNING,
    SCHEDULED,
    TERMINAL,
    Policy,
    Rule,
    of,
    to,
)
from penstock.rules.shared import (
    add_unknown_result,
    awaiting_retry,
    copy_scheduled_time,
    has_stored_result,
    prevent_pending,
    renamed,
    retry_reason,
    wait_for_scheduled_time,
)
from penstock.states import Paused, State

if TYPE_CHECKING:
    from penstock.records import TaskRun

_replace = msgspec.structs.replace

CACHED = "Cached"
RETRYING = "Retrying"
RERUNNING = "Rerunning"
AWAITING_RETRY = "AwaitingRetry"
NOT_READY = "NotReady"


def retrieve_cache(run: TaskRun, proposed: State, facts: Facts) -> Verdict:
    """A task run whose key has a usable cache entry takes that result and is not executed."""
    del run
    details = proposed.state_details
    cached = facts.cached
    if details.cache_key is None or details.refresh_cache or cached is None:
        return None
    expiration = cached.state_details.cache_expiration
    if expiration is not None and expiration <= facts.now:
        return None
    state = _replace(
        cached,
        id=new_id(),
        timestamp=facts.now,
        name=CACHED,
        state_details=cached.state_details.copy(transition_id=None),
    )
    return reject(state, "The result of an earlier run with the same cache key was taken.")


def handle_terminal(run: TaskRun, proposed: State, facts: Facts) -> Verdict:
    """A finished task run stays finished, but may run again if its result is not to be had."""
    current = run.state
    assert current is not None
    target = proposed.type
    if target in _NEVER_AFTER_FINAL:
        return abort(
            f"This task run has finished as {current.name} and cannot become {proposed.name}."
        )
    if current.type is COMPLETED and has_stored_result(current):
        return stay("This task run has completed already, and its result is recorded.")
    if target in TERMINAL:
        return None
    state = None
    flow_run = facts.flow_run
    if target is RUNNING and flow_run is not None and run.flow_run_run_count < flow_run.run_count:
        state = renamed(proposed, RETRYING)
    return change(state, {"run_count": 0})


_NEVER_AFTER_FINAL = frozenset({CANCELLING, PAUSED, CRASHED})


def prevent_running_from_stopped_flow(run: TaskRun, proposed: State, facts: Facts) -> Verdict:
    """A task run starts only while its flow run is running."""
    del run, proposed
    flow_run = facts.flow_run
    if flow_run is None:
        return abort("The flow run of this task run does not exist any more.")
    state = flow_run.state
    if state is None:
        return abort(f"Flow run {flow_run.name!r} has no state yet: its tasks cannot run.")
    if state.type is RUNNING:
        return None
    if state.type is PAUSED:
        paused = Paused(
            pause_expiration_time=state.state_details.pause_timeout,
            reschedule=state.state_details.pause_reschedule,
            name=NOT_READY,
            message=f"Flow run {flow_run.name!r} is paused.",
            timestamp=facts.now,
        )
        return reject(paused, "The flow run is paused: its tasks start when it is resumed.")
    return abort(f"Flow run {flow_run.name!r} is {state.name}, not running: its tasks cannot run.")


def secure_slots(run: TaskRun, proposed: State, facts: Facts) -> Verdict:
    """A task run with limited tags runs when each of them has a free slot."""
    del run, proposed
    limits = facts.limits
    if not limits:
        return None
    for tag, (limit, taken) in limits.items():
        if limit <= 0:
            return abort(
                f"The concurrency limit on tag {tag!r} is 0: no task run with it may start."
                " Raise the limit or remove the tag."
            )
        if taken >= limit:
            return wait(
                facts.slot_wait_s, f"All {limit} concurrency slots of tag {tag!r} are taken."
            )
    return change(after=(TAKE_SLOTS,))


def retry_failure(run: TaskRun, proposed: State, facts: Facts) -> Verdict:
    """A failure with retries left becomes a wait for the next attempt."""
    policy = run.empirical_policy
    retries = policy.retries
    if run.run_count > retries or proposed.state_details.retriable is False:
        return None
    delay_s = retry_delay(policy, run.run_count, facts.jitter)
    state = awaiting_retry(run, proposed, facts, retries, delay_s)
    return reject(state, retry_reason(run, retries))


def rename_rerun(run: TaskRun, proposed: State, facts: Facts) -> Verdict:
    """Executing again is called so; after a final state the count, and the names, start afresh."""
    del facts
    current = run.state
    if not run.run_count or current is None or current.type in TERMINAL:
        return None
    name = RETRYING if current.name == AWAITING_RETRY else RERUNNING
    return None if proposed.name == name else change(renamed(proposed, name))


def track_flow_run_count(run: TaskRun, proposed: State, facts: Facts) -> Verdict:
    """A task run remembers in which execution of its flow run it ran."""
    del proposed
    flow_run = facts.flow_run
    if flow_run is None:
        if run.flow_run_id is None:
            return None
        return abort("The flow run of this task run does not exist any more.")
    count = flow_run.run_count
    return None if run.flow_run_run_count == count else change(None, {"flow_run_run_count": count})


def insert_cache(run: TaskRun, proposed: State, facts: Facts) -> Verdict:
    """A completed run's result can be had by others under its cache key.

    A state that came out of the cache is in there already.
    """
    del run, facts
    if proposed.state_details.cache_key is None or proposed.name == CACHED:
        return None
    return change(after=(INSERT_CACHE,))


def release_slots(run: TaskRun, proposed: State, facts: Facts) -> Verdict:
    """A run that leaves RUNNING, or CANCELLING, gives back its concurrency slots."""
    del facts
    if not run.tags or proposed.type in _HOLDING_SLOTS:
        return None
    return change(after=(RELEASE_SLOTS,))


_HOLDING_SLOTS = frozenset({RUNNING, CANCELLING})


def enqueue_scheduled(run: TaskRun, proposed: State, facts: Facts) -> Verdict:
    """A background task that is scheduled is put before the task servers."""
    if not facts.task_scheduling or run.flow_run_id is not None:
        return None
    return change(after=(ENQUEUE_RETRY if proposed.name == AWAITING_RETRY else ENQUEUE_SCHEDULED,))


_CACHE_RETRIEVAL: Rule[TaskRun] = Rule("CacheRetrieval", ANY_OR_NONE, to(RUNNING), retrieve_cache)
_TERMINAL: Rule[TaskRun] = Rule(
    "HandleTaskTerminalStateTransitions", TERMINAL, ANY, handle_terminal
)
# Slots are taken on entering RUNNING and held in CANCELLING, so only leaving these can free any.
_RELEASE_SLOTS: Rule[TaskRun] = Rule(
    "ReleaseTaskConcurrencySlots", of(RUNNING, CANCELLING), ANY, release_slots
)
_FROM_SLOTS_ON: tuple[Rule[TaskRun], ...] = (
    Rule("SecureTaskConcurrencySlots", ANY_OR_NONE, to(RUNNING), secure_slots),
    Rule("CopyScheduledTime", of(SCHEDULED), to(PENDING), copy_scheduled_time),
    Rule("WaitForScheduledTime", of(SCHEDULED, PENDING), to(RUNNING), wait_for_scheduled_time),
    Rule("RetryFailedTasks", of(RUNNING), to(FAILED), retry_failure),
    Rule("RenameReruns", ANY_OR_NONE, to(RUNNING), rename_rerun),
    Rule("UpdateFlowRunTrackerOnTasks", ANY_OR_NONE, to(RUNNING), track_flow_run_count),
    Rule("CacheInsertion", ANY_OR_NONE, to(COMPLETED), insert_cache),
    _RELEASE_SLOTS,
)

TASK_RULES: tuple[Rule[TaskRun], ...] = (
    _CACHE_RETRIEVAL,
    _TERMINAL,
    Rule(
        "PreventRunningTasksFromStoppedFlows",
        ANY_OR_NONE,
        to(RUNNING),
        prevent_running_from_stopped_flow,
    ),
    *_FROM_SLOTS_ON,
)
"""The rules for a task run of a flow run, in order."""

AUTONOMOUS_TASK_RULES: tuple[Rule[TaskRun], ...] = (
    Rule(
        "PreventPendingTransitions",
        of(PENDING, RUNNING, CANCELLING, CANCELLED),
        to(PENDING),
        prevent_pending,
    ),
    _CACHE_RETRIEVAL,
    _TERMINAL,
    *_FROM_SLOTS_ON,
    Rule("EnqueueScheduledTasks", ANY_OR_NONE, to(SCHEDULED), enqueue_scheduled),
)
"""The rules for a task run without a flow run, in order."""

FORCED_TASK_RULES: tuple[Rule[TaskRun], ...] = (
    _RELEASE_SLOTS,
    Rule("AddUnknownResult", of(FAILED, CRASHED), to(COMPLETED), add_unknown_result),
)
"""What remains of the rules when a task run's state is forced."""

TASK_POLICY = Policy(TASK_RULES)
AUTONOMOUS_TASK_POLICY = Policy(AUTONOMOUS_TASK_RULES)
FORCED_TASK_POLICY = Policy(FORCED_TASK_RULES)
