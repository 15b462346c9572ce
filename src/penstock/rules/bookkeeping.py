"""What is noted on a run with every transition that is written (section 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from penstock.ids import new_id
from penstock.records import FlowRun, Run, TaskRun
from penstock.states import TERMINAL_STATES, State, StateType

if TYPE_CHECKING:
    from penstock.rules.answers import Facts

# Read once: looking a member up in its enumeration costs more than a global name.
_SCHEDULED = StateType.SCHEDULED
_RUNNING = StateType.RUNNING
_TERMINAL = TERMINAL_STATES
_RESUMING = "Resuming"
_replace = msgspec.structs.replace


def record(
    run: FlowRun | TaskRun, state: State, facts: Facts, changes: dict[str, Any] | None = None
) -> None:
    """Bring `run` into `state`, and note on it what goes with that.

    The state gets the ids of its run, and a time: its own, unless the transition is made later
    (a state is proposed again after a wait) or the clock was set back meanwhile.

    Parameters:
        run: the run; it is changed.
        state: the state that an answer said to write; its details and time are changed.
        facts: what the answer was made from.
        changes: the answer's `changes`.

    Example:
        >>> from penstock import clock
        >>> from penstock.rules import Facts
        >>> from penstock.states import Running
        >>> run = TaskRun(name="load")
        >>> record(run, Running(), Facts(now=clock.now()))
        >>> run.run_count
        1
    """
    if changes is not None:
        for name, value in changes.items():
            setattr(run, name, value)
    _stamp(run, state, facts)
    former = run.state
    if former is None:
        scheduled_time = state.state_details.scheduled_time
        is_scheduled = state.type is _SCHEDULED
        run.expected_start_time = scheduled_time if is_scheduled else state.timestamp
    else:
        _leave(run, former, state)
    _enter(run, state)
    details = state.state_details
    if isinstance(run, TaskRun):
        details.flow_run_id = run.flow_run_id
        details.task_run_id = run.id
        if state.type is _RUNNING:
            run.run_count += 1
    else:
        details.flow_run_id = run.id
        details.task_run_id = run.parent_task_run_id
        _count_flow_run(run, state.type)
    run.state = state
    run.history.append(state)


def take_back(run: FlowRun | TaskRun, former: State | None) -> None:
    """Undo the last `record`: the transition could not be written, so it has not happened.

    Parameters:
        run: the run; it is changed.
        former: the state that it was in before.
    """
    state = run.history.pop()
    run.state = former
    if isinstance(run, FlowRun):
        _take_back_pause(run, former, state)
    if state.type is _RUNNING:
        run.run_count -= not _was_resumed(run, former)
        if all(earlier.type is not _RUNNING for earlier in run.history):
            run.start_time = None
    if former is None:
        return
    if former.type is _RUNNING:
        run.run_time_s -= (state.timestamp - former.timestamp).total_seconds()
    if state.type in _TERMINAL and former.type not in _TERMINAL:
        run.end_time = None
    is_scheduled = former.type is _SCHEDULED
    run.next_scheduled_start_time = former.state_details.scheduled_time if is_scheduled else None


def _was_resumed(run: Run, former: State | None) -> bool:
    """Tell whether a run went on after a pause, which is no attempt."""
    if former is None or not isinstance(run, FlowRun):
        return False
    return former.type is StateType.PAUSED or former.name == _RESUMING


def _take_back_pause(run: FlowRun, former: State | None, state: State) -> None:
    """Make the policy what it was before a pause, or before going on after one."""
    policy, key = run.empirical_policy, state.state_details.pause_key
    if state.type is StateType.PAUSED and key is not None:
        keys = [known for known in policy.pause_keys if known != key]
        run.empirical_policy = _replace(policy, pause_keys=keys)
    elif former is not None and former.name == _RESUMING:
        run.empirical_policy = _replace(policy, resuming=True)


def _stamp(run: Run, state: State, facts: Facts) -> None:
    """Make the state no older than its recording, nor than the state before it."""
    former = run.state
    earliest = facts.now if former is None else former.timestamp
    state.timestamp = max(state.timestamp, facts.now, earliest)


def _leave(run: Run, former: State, state: State) -> None:
    left = former.type
    if left is _RUNNING:
        run.run_time_s += (state.timestamp - former.timestamp).total_seconds()
    elif left is _SCHEDULED:
        run.next_scheduled_start_time = None
    elif left in _TERMINAL and state.type not in _TERMINAL:
        run.end_time = None


def _enter(run: Run, state: State) -> None:
    kind = state.type
    if kind is _RUNNING:
        if run.start_time is None:
            run.start_time = state.timestamp
    elif kind in _TERMINAL:
        if run.end_time is None and run.start_time is not None:
            run.end_time = state.timestamp
    elif kind is _SCHEDULED:
        run.next_scheduled_start_time = state.state_details.scheduled_time


def _count_flow_run(run: FlowRun, kind: StateType) -> None:
    """Count an attempt; going on after a pause is none."""
    if kind is not _RUNNING and kind not in _TERMINAL:
        return
    resuming = run.empirical_policy.resuming
    if kind is _RUNNING and not resuming:
        run.run_count += 1
    if resuming:
        run.empirical_policy = _replace(run.empirical_policy, resuming=False)


def state_for_parent_task(run: FlowRun) -> State:
    """Give the state to force on the task run that stands for this subflow run in its parent.

    It is a copy of the subflow run's present state that names the subflow run.

    Raises:
        ValueError: the flow run has no state yet, or is no subflow run.
    """
    state = run.state
    if state is None or run.parent_task_run_id is None:
        message = (
            f"Flow run {run.name!r} ({run.id}) has no state to hand to a parent task run: it"
            f" {'has no state yet' if state is None else 'is no subflow run'}."
        )
        raise ValueError(message)
    details = state.state_details.copy(child_flow_run_id=run.id, transition_id=None)
    return _replace(state, id=new_id(), state_details=details)
