"""Runs in a given state, and facts at a given time, for the tests of the rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from penstock.records import FlowRun, TaskRun
from penstock.results import UnpersistedResult
from penstock.results.objects import LiteralResult
from penstock.rules import Facts
from penstock.states import State, StateDetails, StateType

# Far ahead, so that states made while a test runs are made before it.
NOW = datetime(2100, 1, 1, 12, 0, 0, tzinfo=UTC)


def state_of(kind, *, name="", data=None, message=None, **details):
    """Make a state of `kind`, made a minute before NOW."""
    return State(
        type=StateType(kind),
        name=name,
        data=data,
        message=message,
        state_details=StateDetails(**details),
        timestamp=NOW - timedelta(minutes=1),
    )


def flow_run_in(state=None, **fields):
    """Make a flow run in a state, or in one of a given type, or in none."""
    state = state_of(state) if isinstance(state, str) else state
    return FlowRun(name="brave-otter", state=state, history=[state] if state else [], **fields)


RUNNING_FLOW = flow_run_in("RUNNING", run_count=1)


def task_run_in(state=None, **fields):
    """Make a task run of RUNNING_FLOW, as `flow_run_in` makes a flow run."""
    state = state_of(state) if isinstance(state, str) else state
    fields = {"flow_run_id": RUNNING_FLOW.id, "flow_run_run_count": 1} | fields
    return TaskRun(name="load-0", state=state, history=[state] if state else [], **fields)


def facts(**known):
    """Give the facts at NOW, with a running flow run."""
    return Facts(**({"now": NOW, "flow_run": RUNNING_FLOW} | known))


def refused(answer, status):
    """Check that nothing is written, and give the answer back."""
    assert answer.status is status
    assert answer.state is None
    assert not answer.writes
    assert answer.changes is None
    assert answer.after == ()
    assert answer.reason
    return answer


@pytest.fixture(scope="session")
def make():
    """Give the makers of this file, and some values."""
    return SimpleNamespace(
        NOW=NOW,
        facts=facts,
        refused=refused,
        flow_run=flow_run_in,
        task_run=task_run_in,
        state=state_of,
        running_flow=RUNNING_FLOW,
        stored=LiteralResult(None),
        unpersisted=UnpersistedResult(1),
    )
