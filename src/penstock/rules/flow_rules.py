"""What each rule makes of a flow run's proposal, and in which order they are asked (4.2, 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from penstock.ids import new_id
from penstock.rules.answers import Facts, Verdict, abort, change, reject, stay
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
    retry_reason,
    wait_for_scheduled_time,
)
from penstock.states import Cancelled, Failed, State

if TYPE_CHECKING:
    from penstock.records import FlowRun

_replace = msgspec.structs.replace

LATE = "Late"
RESUMING = "Resuming"
NEVER_RESUMED = "The flow was paused and never resumed."


def prevent_duplicate(run: FlowRun, proposed: State, facts: Facts) -> Verdict:
    """A proposal that is made twice, because its answer was lost, counts once."""
    del facts
    wanted = proposed.state_details.transition_id
    if wanted is None or run.state is None or run.state.state_details.transition_id != wanted:
        return None
    return stay("This run has already made this state transition.")


def handle_terminal(run: FlowRun, proposed: State, facts: Facts) -> Verdict:
    """A finished flow run stays finished, but may be run again if its result is not to be had."""
    del facts
    current = run.state
    assert current is not None
    target = proposed.type
    if target in _NEVER_AFTER_FINAL:
        return abort(
            f"This flow run has finished as {current.name} and cannot become {proposed.name}."
        )
    if target in TERMINAL:
        return None
    if current.type is COMPLETED and has_stored_result(current):
        return stay("This flow run has completed already, and its result is recorded.")
    if target is SCHEDULED and run.deployment_id is None:
        return abort(
            "This flow run has finished and cannot be scheduled again: it has no deployment, so"
            " nothing would pick it up. Run it again directly."
        )
    return change(None, _pauses_forgotten(run))


_NEVER_AFTER_FINAL = frozenset({CANCELLING, PAUSED, CRASHED})


def _pauses_forgotten(run: FlowRun) -> dict[str, Any] | None:
    """In a new attempt every pause fires again."""
    policy = run.empirical_policy
    if not policy.pause_keys and not policy.resuming:
        return None
    return {"empirical_policy": _replace(policy, pause_keys=[], resuming=False)}


def enforce_cancelling_to_cancelled(run: FlowRun, proposed: State, facts: Facts) -> Verdict:
    """Once a flow run is being cancelled it can only become cancelled."""
    del facts
    assert run.state is not None
    return stay(f"This flow run is {run.state.name}: it cannot become {proposed.name}.")


def bypass_cancelling(run: FlowRun, proposed: State, facts: Facts) -> Verdict:
    """A flow run without a process has nothing to be stopped: it is cancelled at once."""
    current = run.state
    assert current is not None
    if current.type is SCHEDULED:
        has_process = run.infrastructure_pid is not None and current.name != RESUMING
    else:
        has_process = not current.state_details.pause_reschedule
    if has_process:
        return None
    state = Cancelled(message=proposed.message, timestamp=facts.now)
    return reject(state, "This flow run has no process that had to be stopped.")


def only_scheduled_is_late(run: FlowRun, proposed: State, facts: Facts) -> Verdict:
    """Only a run that is still scheduled can be late."""
    del facts
    if proposed.name != LATE or (run.state is not None and run.state.type is SCHEDULED):
        return None
    return stay("Only a scheduled flow run can be marked late.")


def handle_pausing(run: FlowRun, proposed: State, facts: Facts) -> Verdict:
    """A running flow run can be paused, once for each pause key."""
    del facts
    current = run.state
    if current is None:
        return abort("A flow run without a state cannot be paused.")
    if current.type is not RUNNING:
        return stay(f"Only a running flow run can be paused; this one is {current.name}.")
    details = proposed.state_details
    policy = run.empirical_policy
    key = details.pause_key or str(new_id())
    if key in policy.pause_keys:
        return stay(f"The pause {key!r} has already fired in this flow run.")
    if details.pause_reschedule:
        if run.parent_task_run_id is not None:
            return abort("Cannot suspend subflows: suspend the flow run that called it.")
        if not _can_be_loaded(run):
            return abort(
                "Cannot suspend this flow run: it is not recorded where its flow is, so that"
                " another process could go on with it. Put the flow at the top of a file, or pause"
                " the run in its process."
            )
    keys = [*policy.pause_keys, key]
    return change(None, {"empirical_policy": _replace(policy, pause_keys=keys)})


def _can_be_loaded(run: FlowRun) -> bool:
    """Tell whether another process can find the flow that a run is one of."""
    return run.deployment_id is not None or run.entrypoint is not None


def handle_resuming(run: FlowRun, proposed: State, facts: Facts) -> Verdict:
    """A paused flow run goes on, or is ended, unless its time to be resumed is over."""
    current = run.state
    assert current is not None
    target = proposed.type
    if target not in _AFTER_PAUSED:
        return stay(f"This flow run is paused: it can be resumed or ended, not {proposed.name}.")
    details = current.state_details
    if details.pause_reschedule and not _can_be_loaded(run):
        return stay(
            "This flow run is suspended and cannot be resumed: it is not recorded where its flow"
            " is, so no process could go on with it."
        )
    if target is CANCELLING:
        return None  # it is executed by a process, which ends it: decision 0016
    is_expired = details.pause_timeout is not None and details.pause_timeout <= facts.now
    if is_expired and target is not FAILED:  # one that fails of itself says why
        return reject(Failed(message=NEVER_RESUMED, timestamp=facts.now), NEVER_RESUMED)
    if target in TERMINAL:
        return None
    return change(None, {"empirical_policy": _replace(run.empirical_policy, resuming=True)})


_AFTER_PAUSED = frozenset({RUNNING, SCHEDULED, CANCELLING}) | TERMINAL


def retry_failure(run: FlowRun, proposed: State, facts: Facts) -> Verdict:
    """A failure with retries left becomes a wait for the next attempt."""
    policy = run.empirical_policy
    retries = policy.retries
    if retries is None or run.run_count > retries:
        return None
    state = awaiting_retry(run, proposed, facts, retries, policy.retry_delay or 0.0)
    return reject(state, retry_reason(run, retries), _pauses_forgotten(run))


_BYPASS_CANCELLING: Rule[FlowRun] = Rule(
    "BypassCancellingFlowRunsWithNoInfra", of(SCHEDULED, PAUSED), to(CANCELLING), bypass_cancelling
)
_ONLY_SCHEDULED_IS_LATE: Rule[FlowRun] = Rule(
    "EnsureOnlyScheduledFlowsMarkedLate", ANY_OR_NONE, to(SCHEDULED), only_scheduled_is_late
)

FLOW_RULES: tuple[Rule[FlowRun], ...] = (
    Rule("PreventDuplicateTransitions", ANY_OR_NONE, ANY, prevent_duplicate),
    Rule("HandleFlowTerminalStateTransitions", TERMINAL, ANY, handle_terminal),
    Rule(
        "EnforceCancellingToCancelledTransition",
        of(CANCELLED, CANCELLING),
        ANY - {CANCELLED},
        enforce_cancelling_to_cancelled,
    ),
    _BYPASS_CANCELLING,
    Rule(
        "PreventPendingTransitions",
        of(PENDING, RUNNING, CANCELLING, CANCELLED),
        to(PENDING),
        prevent_pending,
    ),
    _ONLY_SCHEDULED_IS_LATE,
    Rule("HandlePausingFlows", ANY_OR_NONE, to(PAUSED), handle_pausing),
    Rule("HandleResumingPausedFlows", of(PAUSED), ANY, handle_resuming),
    Rule("CopyScheduledTime", of(SCHEDULED), to(PENDING), copy_scheduled_time),
    Rule("WaitForScheduledTime", of(SCHEDULED, PENDING), to(RUNNING), wait_for_scheduled_time),
    Rule("RetryFailedFlows", of(RUNNING), to(FAILED), retry_failure),
)
"""The rules for a flow run, in order."""

FORCED_FLOW_RULES: tuple[Rule[FlowRun], ...] = (
    Rule("AddUnknownResult", of(FAILED, CRASHED), to(COMPLETED), add_unknown_result),
    _BYPASS_CANCELLING,
)
"""What remains of the rules when a flow run's state is forced."""

MARK_LATE_RULES: tuple[Rule[FlowRun], ...] = (_ONLY_SCHEDULED_IS_LATE,)
"""The rules by which the service that looks for late runs marks them."""

FLOW_POLICY = Policy(FLOW_RULES)
FORCED_FLOW_POLICY = Policy(FORCED_FLOW_RULES)
MARK_LATE_POLICY = Policy(MARK_LATE_RULES)
