"""What is said of an illegal move, and what is found in a run whose books do not add up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock.exceptions import IllegalTransition
from penstock.records import FlowRunPolicy, TaskRunPolicy
from penstock.rules import decide_flow, decide_task, illegal, record, validate
from penstock.states import (
    AwaitingRetry,
    Completed,
    Failed,
    Paused,
    Pending,
    Running,
    Scheduled,
    StateDetails,
)


def lived(make, run, *proposals):
    """Take a run through proposals by the rules, ten seconds apart, and give it back."""
    decide = decide_task if hasattr(run, "task_key") else decide_flow
    for place, proposed in enumerate(proposals):
        facts = make.facts(now=make.NOW + timedelta(seconds=10 * place))
        proposed.timestamp = facts.now
        answer = decide(run, proposed, facts)
        record(run, answer.state, facts, answer.changes)
    return run


@pytest.fixture
def task_run(make):
    run = make.task_run(empirical_policy=TaskRunPolicy(retries=1))
    return lived(make, run, Pending(), Running(), Failed(), Running(), Completed(data=make.stored))


@pytest.fixture
def flow_run(make):
    steps = (Pending(), Running(), Paused(pause_key="1"), Running(), Failed())
    return lived(make, make.flow_run(), *steps)


class TestIllegal:
    def test_names_the_run_its_state_the_question_and_the_history(self, task_run):
        text = str(illegal(task_run, Paused(message="for lunch"), "It is finished."))
        assert f"Task run 'load-0' ({task_run.id}) is in state Completed()" in text
        assert "cannot go to Paused('for lunch'): It is finished." in text
        for name in ("Pending", "Running", "AwaitingRetry", "Retrying", "Completed"):
            assert f"{name} at 2100-01-01T12:00" in text

    def test_a_long_history_is_cut(self, make):
        run = make.flow_run()
        for _ in range(8):
            record(run, Running(), make.facts())
        text = str(illegal(run, Pending()))
        assert "Its history: 3 more, Running at" in text
        assert text.count("Running at") == 5

    def test_a_run_without_states_has_no_history(self, make):
        text = str(illegal(make.flow_run(), Paused()))
        assert "has no state and cannot go to Paused(). It has no history." in text

    def test_is_a_value_error_too(self, task_run):
        assert isinstance(illegal(task_run, Running()), ValueError)


class TestValidate:
    def test_a_run_that_lived_by_the_rules_is_in_order(self, task_run, flow_run, make):
        for run in (task_run, flow_run, make.task_run(), make.flow_run()):
            validate(run)

    def test_says_all_that_is_wrong_at_once(self, task_run):
        task_run.run_count = 5
        task_run.start_time = None
        with pytest.raises(IllegalTransition) as caught:
            validate(task_run)
        text = str(caught.value)
        assert f"Task run 'load-0' ({task_run.id}) is not in order" in text
        assert "its run count is 5, its history says 2" in text
        assert "its start time is None" in text
        assert "Its history: Pending" in text

    @pytest.mark.parametrize(
        ("spoil", "problem"),
        [
            (lambda run: run.history.pop(), "not the last of its history"),
            (lambda run: run.history.insert(0, run.history[0]), "twice"),
            (lambda run: run.history.reverse(), "is older than"),
            (lambda run: setattr(run, "start_time", run.end_time), "start time is"),
            (lambda run: setattr(run, "end_time", None), "has no end time"),
            (lambda run: setattr(run, "run_time_s", 3.0), "run time is 3.0 s, but it was running"),
            (lambda run: setattr(run, "expected_start_time", None), "no expected start time"),
            (lambda run: setattr(run, "next_scheduled_start_time", run.end_time), "next start"),
            (
                lambda run: setattr(run, "end_time", run.start_time - timedelta(seconds=1)),
                "before it started",
            ),
            (
                lambda run: setattr(run.history[1], "state_details", StateDetails()),
                "Running belongs to another run",
            ),
        ],
    )
    @pytest.mark.parametrize("kind", ["task_run", "flow_run"])
    def test_finds_what_was_spoilt(self, request, kind, spoil, problem):
        run = request.getfixturevalue(kind)
        spoil(run)
        with pytest.raises(IllegalTransition, match=problem):
            validate(run, forced=True)

    def test_an_end_time_needs_a_final_state(self, make):
        run = lived(make, make.task_run(), Pending(), Running())
        run.end_time = make.NOW + timedelta(hours=1)
        with pytest.raises(IllegalTransition, match=r"an end time, .* without being final"):
            validate(run)

    def test_a_move_that_no_rule_makes(self, make):
        run = lived(make, make.flow_run(), Pending(), Running(), Failed())
        record(run, Paused(), make.facts())
        with pytest.raises(IllegalTransition, match="it went from Failed to Paused"):
            validate(run)
        validate(run, forced=True)

    def test_a_first_state_that_no_rule_allows(self, make):
        run = make.flow_run()
        record(run, Paused(), make.facts())
        with pytest.raises(IllegalTransition, match="it went from no state to Paused"):
            validate(run)

    @pytest.mark.parametrize("again", [Running, Completed])
    def test_a_recorded_result_that_was_left(self, make, task_run, again):
        record(task_run, again(), make.facts())
        with pytest.raises(IllegalTransition, match="from Completed with a recorded result to"):
            validate(task_run)

    def test_a_flow_run_may_end_again_after_a_recorded_result(self, make):
        run = lived(make, make.flow_run(), Running(), Completed(data=make.stored), Failed())
        validate(run)
        record(run, Running(), make.facts(), {"run_count": 1})
        validate(run)

    def test_an_execution_that_was_not_counted(self, make):
        run = lived(make, make.flow_run(), Pending(), Running())
        run.run_count = 0
        with pytest.raises(IllegalTransition, match="run count is 0, its history says 1"):
            validate(run)

    def test_a_flow_run_that_is_resuming_for_ever(self, flow_run):
        flow_run.empirical_policy = FlowRunPolicy(resuming=True)
        with pytest.raises(IllegalTransition, match="it is Failed and still resuming"):
            validate(flow_run)

    def test_a_pause_that_fired_twice(self, flow_run):
        flow_run.empirical_policy = FlowRunPolicy(pause_keys=["1", "1"])
        with pytest.raises(IllegalTransition, match="pause key is noted twice"):
            validate(flow_run)

    def test_a_task_run_counts_afresh_once_it_had_ended(self, make):
        run = make.task_run(empirical_policy=TaskRunPolicy(retries=1))
        steps = (Running(), Failed(), Running(), Failed(), Pending(), Running(), Failed())
        lived(make, run, *steps)
        assert [state.name for state in run.history[-3:]] == [
            "Pending",
            "Running",
            "AwaitingRetry",
        ]
        assert run.run_count == 1
        validate(run)

    def test_a_suspended_flow_run_is_not_counted_again(self, make):
        run = lived(make, make.flow_run(), Running(), Paused(), Scheduled(), Pending(), Running())
        assert run.run_count == 1
        validate(run)

    def test_a_running_task_run_may_be_put_off(self, make):
        run = lived(make, make.task_run(), Pending(), Running())
        record(run, AwaitingRetry(), make.facts(now=make.NOW + timedelta(hours=1)))
        validate(run)
