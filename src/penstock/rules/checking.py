"""Says what is wrong: with a forbidden move, or with a run whose books do not add up."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from penstock.exceptions import IllegalTransition
from penstock.records import FlowRun
from penstock.rules.moves import FLOW_MOVES, TASK_MOVES
from penstock.rules.policy import COMPLETED, PAUSED, RUNNING, SCHEDULED, TERMINAL
from penstock.rules.shared import has_stored_result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.records import Run
    from penstock.states import State

RECENT_STATES = 5
"""How many of a run's last states an error message names."""

_TIME_TOLERANCE_S = 1e-3


def illegal(run: Run, proposed: State, reason: str | None = None) -> IllegalTransition:
    """Make the error that says which move of which run is forbidden, and how the run got here.

    Parameters:
        run: the run as it is now.
        proposed: the state it was to come into.
        reason: why it cannot, if that is known.
    """
    present = "has no state" if run.state is None else f"is in state {run.state}"
    why = f": {reason.rstrip('.')}" if reason else ""
    return IllegalTransition(
        f"{_title(run)} {present} and cannot go to {proposed}{why}. {_recent(run)}"
    )


def validate(run: Run, *, forced: bool = False) -> None:
    """Check that a run's history is legal and that its books agree with it. For tests.

    Parameters:
        run: the run, with its whole history.
        forced: some of its states were forced, so neither its moves nor its count follow from
            the rules, and they are not checked.

    Raises:
        IllegalTransition: something does not add up; the message says all that does not.
    """
    problems = [*_history_problems(run), *_time_problems(run), *_detail_problems(run)]
    if not forced:
        problems += [*_move_problems(run), *_count_problems(run)]
    if problems:
        raise IllegalTransition(
            f"{_title(run)} is not in order: {'; '.join(problems)}. {_recent(run)}"
        )


def _title(run: Run) -> str:
    kind = "Flow run" if isinstance(run, FlowRun) else "Task run"
    return f"{kind} {run.name!r} ({run.id})"


def _recent(run: Run) -> str:
    if not run.history:
        return "It has no history."
    shown = run.history[-RECENT_STATES:]
    skipped = len(run.history) - len(shown)
    states = [f"{state.name} at {state.timestamp.isoformat()}" for state in shown]
    if skipped:
        states.insert(0, f"{skipped} more")
    return f"Its history: {', '.join(states)}."


def _history_problems(run: Run) -> Iterator[str]:
    last = run.history[-1].id if run.history else None
    if last != run.state_id:
        yield "its state is not the last of its history"
    if len({state.id for state in run.history}) < len(run.history):
        yield "a state is in its history twice"
    for former, state in pairwise(run.history):
        if state.timestamp < former.timestamp:
            yield f"{state.name} is older than {former.name} before it"


def _time_problems(run: Run) -> Iterator[str]:
    history = run.history
    state = run.state
    started = next((each.timestamp for each in history if each.type is RUNNING), None)
    if run.start_time != started:
        yield f"its start time is {run.start_time}, but it was first running at {started}"
    is_final = state is not None and state.type in TERMINAL
    if run.end_time is not None and not is_final:
        yield f"it has an end time, {run.end_time}, without being final"
    if run.end_time is None and is_final and run.start_time is not None:
        yield "it is final and has no end time"
    if run.end_time is not None and run.start_time is not None and run.end_time < run.start_time:
        yield f"it ended at {run.end_time}, before it started at {run.start_time}"
    ran_s = sum(
        (state.timestamp - former.timestamp).total_seconds()
        for former, state in pairwise(history)
        if former.type is RUNNING
    )
    ran_s += sum(_left_out(state)[1] for state in history)
    if abs(ran_s - run.run_time_s) > _TIME_TOLERANCE_S:
        yield f"its run time is {run.run_time_s} s, but it was running for {ran_s} s"
    is_scheduled = state is not None and state.type is SCHEDULED
    next_start = state.state_details.scheduled_time if state and is_scheduled else None
    if run.next_scheduled_start_time != next_start:
        yield f"its next start is {run.next_scheduled_start_time}, its state says {next_start}"
    if state is not None and run.expected_start_time is None:
        yield "it has no expected start time"


def _detail_problems(run: Run) -> Iterator[str]:
    if isinstance(run, FlowRun):
        expected = (run.id, run.parent_task_run_id)
        policy = run.empirical_policy
        if len(set(policy.pause_keys)) < len(policy.pause_keys):
            yield f"a pause key is noted twice: {policy.pause_keys}"
        if policy.resuming and run.state_type in TERMINAL | {RUNNING}:
            yield f"it is {run.state_name} and still resuming"
    else:
        expected = (run.flow_run_id, run.id)
    for state in run.history:
        details = state.state_details
        if (details.flow_run_id, details.task_run_id) != expected:
            yield f"{state.name} belongs to another run"


def _move_problems(run: Run) -> Iterator[str]:
    is_flow = isinstance(run, FlowRun)
    moves = FLOW_MOVES if is_flow else TASK_MOVES
    former: State | None = None
    for state in run.history:
        row = moves[None if former is None else former.type]
        ends_again = is_flow and state.type in TERMINAL
        if not any(state.type in given for given in row.values()):
            came_from = "no state" if former is None else former.name
            yield f"it went from {came_from} to {state.name}"
        elif former is not None and _completed_for_good(former) and not ends_again:
            yield f"it went from {former.name} with a recorded result to {state.name}"
        former = state


def _left_out(state: State) -> tuple[int, float]:
    """Give how many attempts of a task that loops are not in its history, and their seconds."""
    count, seconds = (state.state_details.graph or {}).get("left_out") or (0, 0.0)
    return count, seconds


def _completed_for_good(state: State) -> bool:
    return state.type is COMPLETED and has_stored_result(state)


def _count_problems(run: Run) -> Iterator[str]:
    count = _flow_attempts(run) if isinstance(run, FlowRun) else _task_attempts(run)
    if run.run_count != count:
        yield f"its run count is {run.run_count}, its history says {count}"


def _flow_attempts(run: Run) -> int:
    """Count the entries into RUNNING but for those that go on after a pause."""
    count = 0
    resuming = False
    former: State | None = None
    for state in run.history:
        kind = state.type
        resuming |= former is not None and former.type is PAUSED and kind in (RUNNING, SCHEDULED)
        count += kind is RUNNING and not resuming
        resuming &= kind is not RUNNING and kind not in TERMINAL
        former = state
    return count


def _task_attempts(run: Run) -> int:
    """Count the entries into RUNNING since the run last left a final state to run again."""
    count = 0
    former: State | None = None
    for state in run.history:
        if former is not None and former.type in TERMINAL:
            count = count if state.type in TERMINAL or state.type is PAUSED else 0
        count += (state.type is RUNNING) + _left_out(state)[0]
        former = state
    return count
