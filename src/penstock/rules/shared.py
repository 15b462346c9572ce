"""Rules and words that flow runs and task runs have in common."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from penstock.results import BaseResult, UnknownResult
from penstock.rules.answers import Facts, Verdict, abort, change, wait
from penstock.states import AwaitingRetry, State

if TYPE_CHECKING:
    from penstock.records import Run

_replace = msgspec.structs.replace

UNPERSISTED = "unpersisted"


def has_stored_result(state: State) -> bool:
    """Tell whether another process could read the state's result.

    That is so if its data is a result object of any type but "unpersisted". A bare value is
    known to this process only.
    """
    data = state.data
    return isinstance(data, BaseResult) and data.type != UNPERSISTED


def renamed(state: State, name: str) -> State:
    """Give the same state under another name."""
    return _replace(state, name=name)


def add_unknown_result(run: Run, proposed: State, facts: Facts) -> Verdict:
    """A failed run set to completed by hand counts as completed with a result.

    Its recorded data was that of the failure; without a result in its place the run would be
    executed again. A result that the new state brings along is kept.
    """
    del facts
    current = run.state
    if current is None or proposed.data is not None or not has_stored_result(current):
        return None
    return change(_replace(proposed, data=UnknownResult()))


def prevent_pending(run: Run, proposed: State, facts: Facts) -> Verdict:
    """A run is submitted once: of two submitters the second one loses."""
    del proposed, facts
    current = run.state
    assert current is not None
    return abort(
        f"This run is {current.name} already and cannot be made Pending: somebody else submitted"
        " it. Leave it to them."
    )


def copy_scheduled_time(run: Run, proposed: State, facts: Facts) -> Verdict:
    """A run that is submitted early still starts at its time."""
    del facts
    current = run.state
    assert current is not None
    scheduled_time = current.state_details.scheduled_time
    details = proposed.state_details
    if scheduled_time is None or details.scheduled_time is not None:
        return None
    return change(_replace(proposed, state_details=details.copy(scheduled_time=scheduled_time)))


def wait_for_scheduled_time(run: Run, proposed: State, facts: Facts) -> Verdict:
    """A run does not start before its time."""
    del proposed
    current = run.state
    assert current is not None
    scheduled_time = current.state_details.scheduled_time
    if scheduled_time is None or scheduled_time <= facts.now:
        return None
    # Rounded up to milliseconds: a shorter wait would end in one more proposal that is too early.
    delay_s = math.ceil((scheduled_time - facts.now).total_seconds() * 1000) / 1000
    return wait(delay_s, f"Scheduled for {scheduled_time.isoformat()}: wait {delay_s:g} s.")


def awaiting_retry(run: Run, failed: State, facts: Facts, retries: int, delay_s: float) -> State:
    """Make the state of a run that failed and is tried again, which keeps the failure's data."""
    count = f"Attempt {run.run_count} of {retries + 1} failed"
    text = f"{count}; the next starts in {delay_s:g} s." if delay_s else f"{count}."
    return AwaitingRetry(
        scheduled_time=facts.now + timedelta(seconds=delay_s),
        message=f"{failed.message.rstrip('.')}. {text}" if failed.message else text,
        data=failed.data,
        timestamp=facts.now,
    )


def retry_reason(run: Run, retries: int) -> str:
    """Say that a failure is followed by another attempt, and by which."""
    return f"Retrying: attempt {run.run_count + 1} of {retries + 1} comes next."
