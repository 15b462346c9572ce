"""When a task run is tried again, after how long, and what that is called (rules T7 and T8)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from penstock.records import TaskRunPolicy
from penstock.rules import Status, decide_task, record
from penstock.states import Cancelled, Completed, Crashed, Failed, Pending, Running


class TestRetryFailedTasks:
    def failing(self, make, run_count=1, retries=2, delay=None, **fields):
        policy = TaskRunPolicy(retries=retries, retry_delay=delay)
        return make.task_run("RUNNING", run_count=run_count, empirical_policy=policy, **fields)

    @pytest.mark.parametrize(
        ("run_count", "retries", "again"),
        [(1, 0, False), (1, 1, True), (2, 1, False), (2, 2, True), (3, 2, False), (3, 9, True)],
    )
    def test_as_often_as_the_policy_says(self, make, run_count, retries, again):
        failed = Failed(message="boom", data=ValueError("boom"))
        answer = decide_task(self.failing(make, run_count, retries), failed, make.facts())
        if not again:
            assert answer.status is Status.ACCEPT
            assert answer.state is failed
            return
        assert answer.status is Status.REJECT
        assert (answer.state.type, answer.state.name) == ("SCHEDULED", "AwaitingRetry")
        assert answer.state.data is failed.data
        assert answer.state.message.startswith("boom")
        assert f"Attempt {run_count} of {retries + 1} failed" in answer.state.message
        assert f"attempt {run_count + 1} of {retries + 1}" in answer.reason

    @pytest.mark.parametrize(
        ("delay", "run_count", "expected"),
        [
            (None, 1, 0),
            (0, 1, 0),
            (5, 1, 5),
            (0.5, 2, 0.5),
            ([1, 10, 100], 1, 1),
            ([1, 10, 100], 2, 10),
            ([1, 10, 100], 3, 100),
            ([1, 10, 100], 4, 100),
            ([], 1, 0),
        ],
    )
    def test_after_the_delay_of_this_attempt(self, make, delay, run_count, expected):
        run = self.failing(make, run_count, retries=9, delay=delay)
        answer = decide_task(run, Failed(), make.facts())
        scheduled = answer.state.state_details.scheduled_time
        assert scheduled == make.NOW + timedelta(seconds=expected)

    def test_a_failure_without_a_message_says_which_attempt_it_was(self, make):
        answer = decide_task(self.failing(make, delay=5), Failed(), make.facts())
        assert answer.state.message == "Attempt 1 of 3 failed; the next starts in 5 s."

    def test_a_timeout_is_a_failure(self, make):
        answer = decide_task(self.failing(make), Failed(name="TimedOut"), make.facts())
        assert answer.state.name == "AwaitingRetry"

    def test_not_when_the_failure_is_not_retriable(self, make):
        proposed = make.state("FAILED", retriable=False)
        assert decide_task(self.failing(make), proposed, make.facts()).state is proposed

    def test_when_the_failure_is_said_to_be_retriable(self, make):
        answer = decide_task(
            self.failing(make), make.state("FAILED", retriable=True), make.facts()
        )
        assert answer.state.name == "AwaitingRetry"

    @pytest.mark.parametrize("ended", [Crashed, Cancelled, Completed])
    def test_nothing_but_a_failure_is_retried(self, make, ended):
        assert decide_task(self.failing(make), ended(), make.facts()).status is Status.ACCEPT

    @pytest.mark.parametrize("origin", ["PENDING", "SCHEDULED", "PAUSED", "CANCELLING"])
    def test_only_a_running_task_is_retried(self, make, origin):
        policy = TaskRunPolicy(retries=3)
        run = make.task_run(origin, run_count=1, empirical_policy=policy)
        assert decide_task(run, Failed(), make.facts()).status is Status.ACCEPT

    def test_the_jitter_given_is_drawn_from(self, make):
        policy = TaskRunPolicy(retries=1, retry_delay=10, retry_jitter_factor=1)
        run = make.task_run("RUNNING", run_count=1, empirical_policy=policy)
        answer = decide_task(run, Failed(), make.facts(jitter=lambda mean: mean * 1.5))
        assert answer.state.state_details.scheduled_time == make.NOW + timedelta(seconds=15)

    def test_slots_are_given_back_while_it_waits(self, make):
        answer = decide_task(self.failing(make, tags=["db"]), Failed(), make.facts())
        assert answer.after == ("release_slots",)

    def test_the_whole_story_of_three_retries(self, make):
        run = make.task_run(empirical_policy=TaskRunPolicy(retries=3))
        counts = []
        for proposed in [Pending(), *(step() for _ in range(4) for step in (Running, Failed))]:
            answer = decide_task(run, proposed, make.facts())
            record(run, answer.state, make.facts(), answer.changes)
            counts.append(run.run_count)
        assert [state.name for state in run.history] == [
            "Pending",
            "Running",
            "AwaitingRetry",
            "Retrying",
            "AwaitingRetry",
            "Retrying",
            "AwaitingRetry",
            "Retrying",
            "Failed",
        ]
        assert counts == [0, 1, 1, 2, 2, 3, 3, 4, 4]


class TestRenameReruns:
    @pytest.mark.parametrize(
        ("origin", "name", "run_count", "expected"),
        [
            ("PENDING", "", 0, "Running"),
            ("SCHEDULED", "AwaitingRetry", 0, "Running"),
            ("SCHEDULED", "AwaitingRetry", 1, "Retrying"),
            ("SCHEDULED", "Scheduled", 1, "Rerunning"),
            ("PENDING", "", 1, "Rerunning"),
            ("PENDING", "NotReady", 2, "Rerunning"),
            ("RUNNING", "", 1, "Rerunning"),
            ("PAUSED", "NotReady", 0, "Running"),
            ("FAILED", "", 3, "Running"),
        ],
    )
    def test_says_why_it_is_executed_again(self, make, origin, name, run_count, expected):
        state = make.state(origin, name=name, scheduled_time=make.NOW)
        run = make.task_run(state, run_count=run_count)
        answer = decide_task(run, Running(), make.facts())
        assert (answer.status, answer.state.name) == (Status.ACCEPT, expected)


class TestWhenARuleBreaks:
    def test_the_proposal_is_aborted_and_the_rule_is_named(self, make):
        def broken(mean):
            raise OSError("no entropy")

        policy = TaskRunPolicy(retries=1, retry_delay=1, retry_jitter_factor=1)
        run = make.task_run("RUNNING", run_count=1, empirical_policy=policy)
        answer = make.refused(decide_task(run, Failed(), make.facts(jitter=broken)), Status.ABORT)
        assert "RetryFailedTasks" in answer.reason
        assert "OSError: no entropy" in answer.reason
