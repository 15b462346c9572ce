"""What is noted on a run with every written transition: each row of table 4.5."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from penstock.records import FlowRunPolicy
from penstock.rules import record, state_for_parent_task, validate
from penstock.states import (
    TERMINAL_STATES,
    Cancelled,
    Completed,
    Crashed,
    Failed,
    Pending,
    Running,
    Scheduled,
    StateType,
)

TERMINAL = sorted(TERMINAL_STATES)
UNFINISHED = sorted(set(StateType) - TERMINAL_STATES)


@pytest.fixture(params=["flow run", "task run"])
def run(request, make):
    """A run of either kind, without a state."""
    return make.flow_run() if request.param == "flow run" else make.task_run()


def go(make, run, *states, step_s=10):
    """Write the states, the first one at NOW and each of the others `step_s` later."""
    facts = None
    for place, state in enumerate(states):
        facts = make.facts(now=make.NOW + timedelta(seconds=step_s * place))
        record(run, state, facts)
    return run


def after(make, seconds):
    return make.NOW + timedelta(seconds=seconds)


def test_the_run_is_in_the_state_and_its_history_has_it(make, run):
    states = [Pending(), Running(), Completed()]
    go(make, run, *states)
    assert run.state is states[-1]
    assert run.history == states
    assert (run.state_type, run.state_name) == ("COMPLETED", "Completed")
    assert run.state_timestamp == after(make, 20)


@pytest.mark.parametrize("kind", list(StateType))
def test_every_kind_of_first_state_leaves_the_books_in_order(make, run, kind):
    go(make, run, make.state(kind))
    validate(run, forced=True)


class TestTimestamp:
    def test_a_state_is_as_old_as_its_writing(self, make, run):
        waiting = Running()
        go(make, run, Pending(), waiting, step_s=60)
        assert waiting.timestamp == after(make, 60)

    def test_one_that_is_newer_keeps_its_time(self, make, run):
        state = make.state("PENDING")
        state.timestamp = after(make, 1)
        go(make, run, state)
        assert run.state_timestamp == after(make, 1)

    def test_no_state_is_older_than_the_one_before_it(self, make, run):
        record(run, Running(), make.facts(now=after(make, 60)))
        record(run, Completed(), make.facts(now=after(make, 0)))  # the clock was set back
        assert run.state_timestamp == after(make, 60)
        assert run.run_time_s == 0
        validate(run, forced=True)


class TestStartTime:
    def test_is_that_of_the_first_running_state(self, make, run):
        go(make, run, Pending(), Running(), Scheduled(), Running(), Completed())
        assert run.start_time == after(make, 10)

    def test_is_none_before(self, make, run):
        go(make, run, Scheduled(), Pending())
        assert run.start_time is None


class TestEndTime:
    @pytest.mark.parametrize("kind", TERMINAL)
    def test_is_that_of_the_final_state(self, make, run, kind):
        go(make, run, Pending(), Running(), make.state(kind))
        assert run.end_time == after(make, 20)

    @pytest.mark.parametrize("kind", TERMINAL)
    def test_stays_with_another_final_state(self, make, run, kind):
        go(make, run, Running(), Failed(), make.state(kind))
        assert run.end_time == after(make, 10)

    @pytest.mark.parametrize("kind", UNFINISHED)
    def test_is_cleared_when_the_run_goes_on(self, make, run, kind):
        go(make, run, Running(), Crashed(), make.state(kind))
        assert run.end_time is None

    def test_is_none_for_a_run_that_never_started(self, make, run):
        go(make, run, Pending(), Cancelled())
        assert run.end_time is None


class TestRunTime:
    def test_is_the_time_spent_running(self, make, run):
        go(make, run, Pending(), Running(), Failed(), Running(), Completed(), Completed())
        assert run.total_run_time == timedelta(seconds=20)

    def test_does_not_count_a_running_state_that_still_lasts(self, make, run):
        go(make, run, Pending(), Running())
        assert run.total_run_time == timedelta(0)


class TestExpectedStartTime:
    def test_is_the_scheduled_time_of_a_scheduled_run(self, make, run):
        go(make, run, Scheduled(scheduled_time=after(make, 500)), Pending(), Running())
        assert run.expected_start_time == after(make, 500)

    @pytest.mark.parametrize("kind", sorted(set(StateType) - {"SCHEDULED"}))
    def test_is_the_time_of_any_other_first_state(self, make, run, kind):
        go(make, run, make.state(kind, scheduled_time=after(make, 500)))
        assert run.expected_start_time == make.NOW

    def test_never_changes(self, make, run):
        go(make, run, Pending(), Scheduled(scheduled_time=after(make, 500)), Running())
        assert run.expected_start_time == make.NOW


class TestNextScheduledStartTime:
    def test_is_that_of_the_present_scheduled_state(self, make, run):
        first, second = after(make, 500), after(make, 900)
        go(make, run, Scheduled(scheduled_time=first))
        assert run.next_scheduled_start_time == first
        go(make, run, Scheduled(scheduled_time=second))
        assert run.next_scheduled_start_time == second

    @pytest.mark.parametrize("kind", sorted(set(StateType) - {"SCHEDULED"}))
    def test_is_cleared_with_any_other(self, make, run, kind):
        go(make, run, Scheduled(scheduled_time=after(make, 500)), make.state(kind))
        assert run.next_scheduled_start_time is None


class TestStateDetails:
    def test_a_task_runs_state_names_both_runs(self, make):
        run = go(make, make.task_run(), Pending())
        details = run.state.state_details
        assert (details.flow_run_id, details.task_run_id) == (run.flow_run_id, run.id)

    def test_without_a_flow_run_it_names_none(self, make):
        copied = make.state("COMPLETED", flow_run_id=uuid4(), task_run_id=uuid4())
        run = go(make, make.task_run(flow_run_id=None), copied)
        details = run.state.state_details
        assert (details.flow_run_id, details.task_run_id) == (None, run.id)

    @pytest.mark.parametrize("parent", [uuid4(), None])
    def test_a_flow_runs_state_names_it_and_its_task_run_in_the_parent(self, make, parent):
        run = go(make, make.flow_run(parent_task_run_id=parent), Pending())
        details = run.state.state_details
        assert (details.flow_run_id, details.task_run_id) == (run.id, parent)


class TestRunCount:
    def test_counts_entries_into_running(self, make, run):
        go(make, run, Pending(), Running(), Scheduled(), Running(), Running(), Failed())
        assert run.run_count == 3

    def test_does_not_count_a_flow_run_that_goes_on_after_a_pause(self, make):
        run = make.flow_run(run_count=1, empirical_policy=FlowRunPolicy(resuming=True))
        go(make, run, Pending(), Running())
        assert run.run_count == 1
        assert run.empirical_policy.resuming is False
        go(make, run, Failed(), Running())
        assert run.run_count == 2

    @pytest.mark.parametrize("kind", TERMINAL)
    def test_a_final_state_ends_the_resuming(self, make, kind):
        policy = FlowRunPolicy(resuming=True, pause_keys=["1"])
        run = go(make, make.flow_run(empirical_policy=policy), make.state(kind))
        assert run.empirical_policy == FlowRunPolicy(pause_keys=["1"])
        assert policy.resuming  # the policy may be another run's too

    @pytest.mark.parametrize("kind", ["PENDING", "SCHEDULED", "PAUSED", "CANCELLING"])
    def test_no_other_state_does(self, make, kind):
        run = make.flow_run(empirical_policy=FlowRunPolicy(resuming=True))
        assert go(make, run, make.state(kind)).empirical_policy.resuming


def test_changes_are_made_before_the_counting(make):
    run = make.task_run("FAILED", run_count=4)
    record(run, Running(), make.facts(), {"run_count": 0, "flow_run_run_count": 7})
    assert (run.run_count, run.flow_run_run_count) == (1, 7)


class TestStateForParentTask:
    def test_is_a_copy_that_names_the_subflow_run(self, make):
        parent = make.task_run("RUNNING", run_count=1)
        run = make.flow_run(parent_task_run_id=parent.id)
        go(make, run, Running(), make.state("FAILED", message="boom", transition_id=uuid4()))
        copy = state_for_parent_task(run)
        assert copy.id != run.state.id
        assert (copy.type, copy.message) == ("FAILED", "boom")
        assert copy.timestamp == run.state.timestamp
        assert copy.state_details.child_flow_run_id == run.id
        assert run.state.state_details.child_flow_run_id is None
        record(parent, copy, make.facts(now=after(make, 30)))
        assert parent.state.state_details.task_run_id == parent.id
        assert parent.state.state_details.child_flow_run_id == run.id

    def test_needs_a_state_and_a_parent(self, make):
        with pytest.raises(ValueError, match="has no state yet"):
            state_for_parent_task(make.flow_run(parent_task_run_id=uuid4()))
        with pytest.raises(ValueError, match="is no subflow run"):
            state_for_parent_task(make.flow_run("RUNNING"))
