"""The rules for flow runs: each row of the tables 4.2 and 4.4."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from penstock.exceptions import IllegalTransition
from penstock.records import FlowRunPolicy
from penstock.results import UnknownResult
from penstock.rules import (
    FLOW_RULES,
    FORCED_FLOW_RULES,
    MARK_LATE_RULES,
    Status,
    decide_flow,
    mark_late,
    record,
)
from penstock.states import (
    TERMINAL_STATES,
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    Late,
    Paused,
    Pending,
    Running,
    Scheduled,
    StateType,
    Suspended,
)

TERMINAL = sorted(TERMINAL_STATES)
MINUTE = timedelta(minutes=1)


def written(run, answer, facts):
    """Write the answer's state, as a store does."""
    record(run, answer.state, facts, answer.changes)
    return run


def test_the_rules_are_those_of_the_table_in_its_order():
    assert [rule.name for rule in FLOW_RULES] == [
        "PreventDuplicateTransitions",
        "HandleFlowTerminalStateTransitions",
        "EnforceCancellingToCancelledTransition",
        "BypassCancellingFlowRunsWithNoInfra",
        "PreventPendingTransitions",
        "EnsureOnlyScheduledFlowsMarkedLate",
        "HandlePausingFlows",
        "HandleResumingPausedFlows",
        "CopyScheduledTime",
        "WaitForScheduledTime",
        "RetryFailedFlows",
    ]
    assert [rule.name for rule in FORCED_FLOW_RULES] == [
        "AddUnknownResult",
        "BypassCancellingFlowRunsWithNoInfra",
    ]
    assert [rule.name for rule in MARK_LATE_RULES] == ["EnsureOnlyScheduledFlowsMarkedLate"]


def test_an_ordinary_run_passes_and_the_proposed_object_is_the_answer(make):
    run = make.flow_run()
    for proposed in (Pending(), Running(), Completed(data=make.stored)):
        answer = decide_flow(run, proposed, make.facts())
        assert (answer.status, answer.after, answer.changes) == (Status.ACCEPT, (), None)
        assert answer.state is proposed
        written(run, answer, make.facts())
    assert [state.name for state in run.history] == ["Pending", "Running", "Completed"]


class TestPreventDuplicateTransitions:
    @pytest.mark.parametrize("kind", list(StateType))
    def test_the_same_transition_counts_once(self, make, kind):
        transition = uuid4()
        run = make.flow_run(make.state(kind, transition_id=transition))
        answer = decide_flow(run, make.state(kind, transition_id=transition), make.facts())
        assert "already made this" in make.refused(answer, Status.REJECT).reason

    @pytest.mark.parametrize(("former", "wanted"), [(1, 2), (None, 2), (1, None), (None, None)])
    def test_another_one_counts(self, make, former, wanted):
        ids = {1: uuid4(), 2: uuid4(), None: None}
        run = make.flow_run(make.state("RUNNING", transition_id=ids[former]))
        proposed = make.state("RUNNING", transition_id=ids[wanted])
        assert decide_flow(run, proposed, make.facts()).status is Status.ACCEPT

    def test_the_first_one_counts(self, make):
        proposed = make.state("PENDING", transition_id=uuid4())
        assert decide_flow(make.flow_run(), proposed, make.facts()).status is Status.ACCEPT


class TestHandleFlowTerminalStateTransitions:
    @pytest.mark.parametrize("origin", TERMINAL)
    @pytest.mark.parametrize("target", ["CANCELLING", "PAUSED", "CRASHED"])
    def test_aborts_what_cannot_follow_a_final_state(self, make, origin, target):
        answer = decide_flow(make.flow_run(origin), make.state(target), make.facts())
        make.refused(answer, Status.ABORT)

    @pytest.mark.parametrize("deployment_id", [uuid4(), None])
    @pytest.mark.parametrize("target", ["SCHEDULED", "PENDING", "RUNNING"])
    def test_a_recorded_result_is_final(self, make, target, deployment_id):
        run = make.flow_run(make.state("COMPLETED", data=make.stored), deployment_id=deployment_id)
        make.refused(decide_flow(run, make.state(target), make.facts()), Status.REJECT)

    @pytest.mark.parametrize("data", ["nothing", "unpersisted", "bare"])
    @pytest.mark.parametrize("target", ["PENDING", "RUNNING"])
    def test_a_result_that_was_not_recorded_is_made_again(self, make, data, target):
        data = {"nothing": None, "unpersisted": make.unpersisted, "bare": 1}[data]
        run = make.flow_run(make.state("COMPLETED", data=data))
        assert decide_flow(run, make.state(target), make.facts()).status is Status.ACCEPT

    @pytest.mark.parametrize("origin", ["COMPLETED", "FAILED", "CRASHED"])
    def test_is_scheduled_again_only_with_a_deployment(self, make, origin):
        without = make.flow_run(origin)
        deployed = make.flow_run(origin, deployment_id=uuid4())
        answer = make.refused(decide_flow(without, Scheduled(), make.facts()), Status.ABORT)
        assert "no deployment" in answer.reason
        assert decide_flow(deployed, Scheduled(), make.facts()).status is Status.ACCEPT

    @pytest.mark.parametrize("origin", ["COMPLETED", "FAILED", "CRASHED"])
    @pytest.mark.parametrize("target", ["SCHEDULED", "PENDING", "RUNNING"])
    def test_in_a_new_attempt_every_pause_fires_again(self, make, origin, target):
        policy = FlowRunPolicy(retries=2, pause_keys=["1"], resuming=True)
        run = make.flow_run(origin, deployment_id=uuid4(), empirical_policy=policy, run_count=1)
        answer = decide_flow(run, make.state(target), make.facts())
        assert answer.status is Status.ACCEPT
        assert policy.pause_keys == ["1"]
        written(run, answer, make.facts())
        assert run.empirical_policy == FlowRunPolicy(retries=2)
        assert run.run_count == (2 if target == "RUNNING" else 1)

    @pytest.mark.parametrize("target", ["COMPLETED", "FAILED", "CANCELLED"])
    def test_another_final_state_may_follow(self, make, target):
        policy = FlowRunPolicy(pause_keys=["1"])
        run = make.flow_run("FAILED", empirical_policy=policy)
        answer = decide_flow(run, make.state(target), make.facts())
        assert (answer.status, answer.changes) == (Status.ACCEPT, None)


class TestEnforceCancellingToCancelled:
    @pytest.mark.parametrize("target", sorted(set(StateType) - {"CANCELLED"}))
    def test_a_run_that_is_being_cancelled_becomes_nothing_else(self, make, target):
        answer = decide_flow(make.flow_run("CANCELLING"), make.state(target), make.facts())
        make.refused(answer, Status.REJECT)

    @pytest.mark.parametrize("target", ["PENDING", "RUNNING", "COMPLETED", "FAILED", "SCHEDULED"])
    def test_nor_one_that_is_cancelled(self, make, target):
        run = make.flow_run("CANCELLED", deployment_id=uuid4())
        make.refused(decide_flow(run, make.state(target), make.facts()), Status.REJECT)

    @pytest.mark.parametrize("origin", ["CANCELLING", "CANCELLED"])
    def test_cancelled_it_can_become(self, make, origin):
        answer = decide_flow(make.flow_run(origin), Cancelled(), make.facts())
        assert answer.status is Status.ACCEPT

    def test_a_crash_while_cancelling_leaves_it_cancelling(self, make):
        run = make.flow_run("CANCELLING")
        make.refused(decide_flow(run, Crashed(), make.facts()), Status.REJECT)
        assert run.state.is_cancelling()


class TestBypassCancelling:
    @pytest.mark.parametrize("force", [True, False])
    @pytest.mark.parametrize(
        ("origin", "name", "pid", "reschedule", "expected"),
        [
            ("SCHEDULED", "", None, False, "CANCELLED"),
            ("SCHEDULED", "Late", None, False, "CANCELLED"),
            ("SCHEDULED", "", "host:7", False, "CANCELLING"),
            ("SCHEDULED", "AwaitingRetry", "host:7", False, "CANCELLING"),
            ("SCHEDULED", "Resuming", "host:7", False, "CANCELLED"),
            ("PAUSED", "Suspended", "host:7", True, "CANCELLED"),
            ("RUNNING", "", None, False, "CANCELLING"),
            ("PENDING", "", None, False, "CANCELLING"),
        ],
    )
    def test_a_run_without_a_process_is_cancelled_at_once(
        self, make, origin, name, pid, reschedule, expected, force
    ):
        state = make.state(origin, name=name, pause_reschedule=reschedule)
        run = make.flow_run(state, infrastructure_pid=pid, deployment_id=uuid4())
        answer = decide_flow(run, Cancelling(message="enough"), make.facts(), force=force)
        assert answer.state.type == expected
        assert answer.state.message == "enough"
        assert answer.status is (Status.REJECT if expected == "CANCELLED" else Status.ACCEPT)

    @pytest.mark.parametrize("force", [True, False])
    def test_a_run_paused_in_its_process_is_stopped_by_that(self, make, force):
        run = make.flow_run("PAUSED")
        answer = decide_flow(run, Cancelling(), make.facts(), force=force)
        assert answer.status is Status.ACCEPT
        assert answer.state.is_cancelling()


class TestPreventPendingTransitions:
    @pytest.mark.parametrize("origin", ["PENDING", "RUNNING"])
    def test_the_second_submitter_loses(self, make, origin):
        answer = decide_flow(make.flow_run(origin), Pending(), make.facts())
        assert "somebody else" in make.refused(answer, Status.ABORT).reason

    @pytest.mark.parametrize("origin", ["CANCELLING", "CANCELLED"])
    def test_a_cancelled_run_is_not_submitted(self, make, origin):
        make.refused(decide_flow(make.flow_run(origin), Pending(), make.facts()), Status.REJECT)

    @pytest.mark.parametrize("origin", [None, "SCHEDULED", "FAILED", "CRASHED", "COMPLETED"])
    def test_the_first_one_wins(self, make, origin):
        answer = decide_flow(make.flow_run(origin), Pending(), make.facts())
        assert answer.status is Status.ACCEPT


class TestLate:
    @pytest.mark.parametrize("decide", [decide_flow, mark_late])
    @pytest.mark.parametrize("origin", ["PENDING", "RUNNING", "PAUSED"])
    def test_only_a_scheduled_run_is_marked(self, make, decide, origin):
        answer = decide(make.flow_run(origin), Late(scheduled_time=make.NOW), make.facts())
        make.refused(answer, Status.REJECT)

    @pytest.mark.parametrize("decide", [decide_flow, mark_late])
    def test_a_scheduled_run_is_marked(self, make, decide):
        answer = decide(make.flow_run("SCHEDULED"), Late(scheduled_time=make.NOW), make.facts())
        assert (answer.status, answer.state.name) == (Status.ACCEPT, "Late")

    @pytest.mark.parametrize("decide", [decide_flow, mark_late])
    def test_a_run_without_a_state_has_none_to_stay_in(self, make, decide):
        run = make.flow_run()
        with pytest.raises(IllegalTransition, match=r"Flow run 'brave-otter'.*has no state.*Late"):
            decide(run, Late(scheduled_time=make.NOW), make.facts())

    def test_being_scheduled_otherwise_is_not_being_late(self, make):
        answer = decide_flow(make.flow_run("PENDING"), Scheduled(), make.facts())
        assert answer.status is Status.ACCEPT

    def test_a_late_subflow_run_is_shown_in_its_parent(self, make):
        run = make.flow_run("SCHEDULED", parent_task_run_id=uuid4())
        answer = mark_late(run, Late(scheduled_time=make.NOW), make.facts())
        assert answer.after == ("update_parent_task",)


class TestHandlePausingFlows:
    def test_a_run_without_a_state_is_not_paused(self, make):
        make.refused(decide_flow(make.flow_run(), Paused(), make.facts()), Status.ABORT)

    @pytest.mark.parametrize("origin", ["SCHEDULED", "PENDING", "PAUSED"])
    def test_nor_one_that_is_not_running(self, make, origin):
        answer = decide_flow(make.flow_run(origin), Paused(pause_key="1"), make.facts())
        make.refused(answer, Status.REJECT)

    def test_a_pause_fires_once(self, make):
        run = make.flow_run("RUNNING")
        answer = decide_flow(run, Paused(pause_key="1"), make.facts())
        assert answer.status is Status.ACCEPT
        assert run.empirical_policy.pause_keys == []
        written(run, answer, make.facts())
        assert run.empirical_policy.pause_keys == ["1"]
        answer = decide_flow(run, Running(), make.facts())
        written(run, answer, make.facts())
        again = make.refused(decide_flow(run, Paused(pause_key="1"), make.facts()), Status.REJECT)
        assert "already fired" in again.reason
        assert run.state.is_running()
        assert decide_flow(run, Paused(pause_key="2"), make.facts()).status is Status.ACCEPT

    def test_a_pause_without_a_key_fires_always(self, make):
        run = make.flow_run("RUNNING")
        for _ in range(2):
            written(run, decide_flow(run, Paused(), make.facts()), make.facts())
            written(run, decide_flow(run, Running(), make.facts()), make.facts())
        assert len(set(run.empirical_policy.pause_keys)) == 2

    def test_a_subflow_is_paused_but_not_suspended(self, make):
        run = make.flow_run("RUNNING", parent_task_run_id=uuid4(), deployment_id=uuid4())
        answer = make.refused(decide_flow(run, Suspended(), make.facts()), Status.ABORT)
        assert "Cannot suspend subflows" in answer.reason
        paused = decide_flow(run, Paused(), make.facts())
        assert (paused.status, paused.after) == (Status.ACCEPT, ("update_parent_task",))

    @pytest.mark.parametrize("place", [{"deployment_id": uuid4()}, {"entrypoint": "a.py:b"}])
    def test_suspending_needs_a_flow_that_can_be_loaded(self, make, place):
        answer = decide_flow(make.flow_run("RUNNING"), Suspended(), make.facts())
        reason = make.refused(answer, Status.ABORT).reason
        assert "not recorded where its flow is" in reason
        run = make.flow_run("RUNNING", **place)
        assert decide_flow(run, Suspended(), make.facts()).status is Status.ACCEPT

    def test_a_key_that_has_fired_comes_before_the_lack_of_a_place(self, make):
        run = make.flow_run("RUNNING", empirical_policy=FlowRunPolicy(pause_keys=["1"]))
        make.refused(decide_flow(run, Suspended(pause_key="1"), make.facts()), Status.REJECT)


class TestHandleResumingPausedFlows:
    @pytest.mark.parametrize("target", ["PENDING", "PAUSED"])
    def test_a_paused_run_is_resumed_or_ended(self, make, target):
        answer = decide_flow(make.flow_run("PAUSED"), make.state(target), make.facts())
        make.refused(answer, Status.REJECT)

    @pytest.mark.parametrize("target", ["RUNNING", "SCHEDULED", *TERMINAL])
    def test_a_suspended_run_needs_a_flow_that_can_be_loaded(self, make, target):
        suspended = make.state("PAUSED", pause_reschedule=True)
        answer = decide_flow(make.flow_run(suspended), make.state(target), make.facts())
        make.refused(answer, Status.REJECT)
        run = make.flow_run(suspended, deployment_id=uuid4())
        assert decide_flow(run, make.state(target), make.facts()).status is Status.ACCEPT

    def test_after_its_time_it_may_say_why_it_failed(self, make):
        run = make.flow_run(make.state("PAUSED", pause_timeout=make.NOW - MINUTE))
        failed = make.state("FAILED", message="nobody came")
        answer = decide_flow(run, failed, make.facts())
        assert (answer.status, answer.state) == (Status.ACCEPT, failed)

    @pytest.mark.parametrize("passed", [MINUTE, timedelta(0)])
    @pytest.mark.parametrize(
        "target", ["RUNNING", "SCHEDULED", *sorted(set(TERMINAL) - {"FAILED"})]
    )
    def test_after_its_time_it_has_failed(self, make, target, passed):
        policy = FlowRunPolicy(retries=3, pause_keys=["1"])
        run = make.flow_run(
            make.state("PAUSED", pause_timeout=make.NOW - passed), empirical_policy=policy
        )
        answer = decide_flow(run, make.state(target), make.facts())
        assert (answer.status, answer.state.type) == (Status.REJECT, "FAILED")
        assert "never resumed" in answer.state.message
        assert answer.changes is None  # a rejected resume resumes nothing

    @pytest.mark.parametrize("timeout", [MINUTE, None])
    def test_a_run_paused_in_its_process_goes_on_without_being_counted(self, make, timeout):
        paused = make.state("PAUSED", pause_timeout=timeout and make.NOW + timeout)
        run = make.flow_run(paused, run_count=1)
        answer = decide_flow(run, Running(), make.facts())
        assert answer.status is Status.ACCEPT
        written(run, answer, make.facts())
        assert run.run_count == 1
        assert run.empirical_policy.resuming is False

    def test_a_suspended_run_goes_on_without_being_counted(self, make):
        suspended = make.state("PAUSED", pause_reschedule=True)
        run = make.flow_run(suspended, run_count=1, deployment_id=uuid4())
        seen = []
        for proposed in (
            Scheduled(name="Resuming", scheduled_time=make.NOW),
            Pending(),
            Running(),
        ):
            written(run, decide_flow(run, proposed, make.facts()), make.facts())
            seen.append((run.state.name, run.run_count, run.empirical_policy.resuming))
        assert seen == [("Resuming", 1, True), ("Pending", 1, True), ("Running", 1, False)]

    @pytest.mark.parametrize("target", TERMINAL)
    def test_an_end_resumes_nothing(self, make, target):
        answer = decide_flow(make.flow_run("PAUSED"), make.state(target), make.facts())
        assert (answer.status, answer.changes) == (Status.ACCEPT, None)

    def test_a_suspended_run_whose_time_is_over_has_failed_when_it_is_cancelled(self, make):
        state = make.state("PAUSED", pause_reschedule=True, pause_timeout=make.NOW - MINUTE)
        run = make.flow_run(state, deployment_id=uuid4())
        answer = decide_flow(run, Cancelling(), make.facts())
        assert (answer.status, answer.state.type) == (Status.REJECT, "FAILED")
        assert "never resumed" in answer.reason


class TestScheduledTime:
    def test_is_copied_to_pending(self, make):
        run = make.flow_run(make.state("SCHEDULED", scheduled_time=make.NOW + MINUTE))
        answer = decide_flow(run, Pending(), make.facts())
        assert answer.state.state_details.scheduled_time == make.NOW + MINUTE

    def test_is_not_copied_over_another(self, make):
        run = make.flow_run(make.state("SCHEDULED", scheduled_time=make.NOW + MINUTE))
        answer = decide_flow(run, make.state("PENDING", scheduled_time=make.NOW), make.facts())
        assert answer.state.state_details.scheduled_time == make.NOW

    @pytest.mark.parametrize("origin", ["SCHEDULED", "PENDING"])
    def test_is_waited_for(self, make, origin):
        run = make.flow_run(make.state(origin, scheduled_time=make.NOW + MINUTE))
        answer = make.refused(decide_flow(run, Running(), make.facts()), Status.WAIT)
        assert answer.delay_s == 60
        later = make.facts(now=make.NOW + MINUTE)
        assert decide_flow(run, Running(), later).status is Status.ACCEPT


class TestRetryFailedFlows:
    @pytest.mark.parametrize(
        ("retries", "run_count", "again"),
        [
            (None, 1, False),
            (0, 1, False),
            (1, 1, True),
            (1, 2, False),
            (2, 2, True),
            (2, 3, False),
        ],
    )
    def test_as_often_as_the_policy_says(self, make, retries, run_count, again):
        policy = FlowRunPolicy(retries=retries, retry_delay=30, pause_keys=["1"])
        run = make.flow_run("RUNNING", run_count=run_count, empirical_policy=policy)
        failed = Failed(message="boom", data=ValueError("boom"))
        answer = decide_flow(run, failed, make.facts())
        if not again:
            assert (answer.status, answer.changes) == (Status.ACCEPT, None)
            assert answer.state is failed
            return
        assert (answer.status, answer.state.name) == (Status.REJECT, "AwaitingRetry")
        assert answer.state.state_details.scheduled_time == make.NOW + timedelta(seconds=30)
        assert answer.state.data is failed.data
        assert answer.state.message.startswith("boom")
        assert f"Attempt {run_count} of {retries + 1} failed" in answer.state.message
        written(run, answer, make.facts())
        assert run.empirical_policy.pause_keys == []

    def test_a_retried_flow_run_is_running_again_under_its_old_name(self, make):
        run = make.flow_run(empirical_policy=FlowRunPolicy(retries=1))
        for proposed in (Pending(), Running(), Failed(name="TimedOut"), Running(), Completed()):
            written(run, decide_flow(run, proposed, make.facts()), make.facts())
        names = [state.name for state in run.history]
        assert names == ["Pending", "Running", "AwaitingRetry", "Running", "Completed"]
        assert run.run_count == 2

    @pytest.mark.parametrize("ended", [Crashed, Cancelled, Completed])
    def test_nothing_but_a_failure_is_retried(self, make, ended):
        run = make.flow_run("RUNNING", run_count=1, empirical_policy=FlowRunPolicy(retries=3))
        assert decide_flow(run, ended(), make.facts()).status is Status.ACCEPT

    @pytest.mark.parametrize("origin", ["PENDING", "SCHEDULED"])
    def test_nothing_but_a_running_one_is(self, make, origin):
        run = make.flow_run(origin, run_count=1, empirical_policy=FlowRunPolicy(retries=3))
        assert decide_flow(run, Failed(), make.facts()).status is Status.ACCEPT


class TestSubflows:
    @pytest.mark.parametrize("force", [True, False])
    def test_each_written_transition_is_shown_in_the_parent(self, make, force):
        run = make.flow_run(parent_task_run_id=uuid4())
        for proposed in (Pending(), Running(), Failed()):
            answer = decide_flow(run, proposed, make.facts(), force=force)
            assert answer.after == ("update_parent_task",)
            written(run, answer, make.facts())

    def test_so_is_a_state_that_the_rules_gave(self, make):
        policy = FlowRunPolicy(retries=1)
        run = make.flow_run(
            "RUNNING", parent_task_run_id=uuid4(), run_count=1, empirical_policy=policy
        )
        answer = decide_flow(run, Failed(), make.facts())
        assert (answer.state.name, answer.after) == ("AwaitingRetry", ("update_parent_task",))

    def test_what_is_not_written_is_not(self, make):
        run = make.flow_run("RUNNING", parent_task_run_id=uuid4())
        assert decide_flow(run, Pending(), make.facts()).after == ()


class TestForced:
    @pytest.mark.parametrize("origin", [None, *StateType])
    @pytest.mark.parametrize("target", sorted(set(StateType) - {"CANCELLING"}))
    def test_whatever_is_forced_is_written(self, make, origin, target):
        state = make.state(origin, data=make.stored) if origin else None
        proposed = make.state(target, data=make.unpersisted)
        answer = decide_flow(make.flow_run(state), proposed, make.facts(), force=True)
        assert answer.status is Status.ACCEPT
        assert answer.state is proposed

    @pytest.mark.parametrize("origin", ["FAILED", "CRASHED"])
    def test_a_failure_set_to_completed_counts_as_having_a_result(self, make, origin):
        run = make.flow_run(make.state(origin, data=make.stored))
        answer = decide_flow(run, Completed(), make.facts(), force=True)
        assert isinstance(answer.state.data, UnknownResult)
        written(run, answer, make.facts())
        make.refused(decide_flow(run, Running(), make.facts()), Status.REJECT)
