"""The rules for task runs: each row of the tables 4.3 and 4.4."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from penstock.records import TaskRunPolicy
from penstock.results import UnknownResult
from penstock.rules import (
    AUTONOMOUS_TASK_RULES,
    TASK_RULES,
    Facts,
    Status,
    decide_task,
    record,
)
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
MINUTE = timedelta(minutes=1)


def test_the_rules_are_those_of_the_table_in_its_order():
    assert [rule.name for rule in TASK_RULES] == [
        "CacheRetrieval",
        "HandleTaskTerminalStateTransitions",
        "PreventRunningTasksFromStoppedFlows",
        "SecureTaskConcurrencySlots",
        "CopyScheduledTime",
        "WaitForScheduledTime",
        "RetryFailedTasks",
        "RenameReruns",
        "UpdateFlowRunTrackerOnTasks",
        "CacheInsertion",
        "ReleaseTaskConcurrencySlots",
    ]


def test_the_rules_without_a_flow_run_differ_at_both_ends():
    names = [rule.name for rule in AUTONOMOUS_TASK_RULES]
    ordinary = [rule.name for rule in TASK_RULES]
    assert names[0] == "PreventPendingTransitions"
    assert names[-1] == "EnqueueScheduledTasks"
    assert names[1:-1] == [
        name for name in ordinary if name != "PreventRunningTasksFromStoppedFlows"
    ]


def test_an_ordinary_run_passes_and_the_proposed_object_is_the_answer(make):
    run = make.task_run()
    for proposed in (Pending(), Running(), Completed(data=make.stored)):
        answer = decide_task(run, proposed, make.facts())
        assert answer.status is Status.ACCEPT
        assert answer.state is proposed
        assert answer.after == ()
        assert answer.changes is None
        record(run, answer.state, make.facts(), answer.changes)
    assert [state.name for state in run.history] == ["Pending", "Running", "Completed"]


def test_deciding_changes_neither_run_nor_proposal(make):
    run = make.task_run("FAILED", run_count=2, tags=["db"])
    proposed = Running(timestamp=make.NOW)
    before = (run.run_count, run.state.id, proposed.name, proposed.timestamp)
    answer = decide_task(run, proposed, make.facts(flow_run=make.flow_run("RUNNING", run_count=2)))
    assert answer.state.name == "Retrying"
    assert (run.run_count, run.state.id, proposed.name, proposed.timestamp) == before


class TestCacheRetrieval:
    def cached(self, make, **details):
        return make.state("COMPLETED", data=make.stored, cache_key="k", **details)

    @pytest.mark.parametrize("origin", [None, *UNFINISHED])
    def test_a_hit_is_taken_from_wherever_the_run_is(self, make, origin):
        entry = self.cached(make, task_run_id=uuid4())
        answer = decide_task(
            make.task_run(origin),
            make.state("RUNNING", cache_key="k"),
            make.facts(cached=entry),
        )
        assert answer.status is Status.REJECT
        assert (answer.state.type, answer.state.name) == ("COMPLETED", "Cached")
        assert answer.state.data is entry.data
        assert answer.state.id != entry.id
        assert answer.state.timestamp == make.NOW
        assert "insert_cache" not in answer.after

    def test_the_entry_itself_stays_as_it_is(self, make):
        run = make.task_run("PENDING")
        other = uuid4()
        entry = self.cached(make, task_run_id=other)
        answer = decide_task(run, make.state("RUNNING", cache_key="k"), make.facts(cached=entry))
        record(run, answer.state, make.facts(), answer.changes)
        assert entry.name == "Completed"
        assert entry.state_details.task_run_id == other
        assert run.state.state_details.task_run_id == run.id

    def test_a_hit_needs_no_slot_and_no_running_flow(self, make):
        answer = decide_task(
            make.task_run("PENDING", tags=["db"]),
            make.state("RUNNING", cache_key="k"),
            make.facts(
                cached=self.cached(make),
                limits={"db": (1, 1)},
                flow_run=make.flow_run("CANCELLING"),
            ),
        )
        assert answer.state.name == "Cached"
        assert "take_slots" not in answer.after

    def test_an_entry_that_has_not_expired_is_taken(self, make):
        entry = self.cached(make, cache_expiration=make.NOW + MINUTE)
        answer = decide_task(
            make.task_run("PENDING"),
            make.state("RUNNING", cache_key="k"),
            make.facts(cached=entry),
        )
        assert answer.state.name == "Cached"
        assert answer.state.state_details.cache_expiration == make.NOW + MINUTE

    def test_a_run_that_has_its_own_recorded_result_keeps_it(self, make):
        run = make.task_run(make.state("COMPLETED", data=make.stored))
        proposed = make.state("RUNNING", cache_key="k")
        answer = decide_task(run, proposed, make.facts(cached=self.cached(make)))
        assert "its result is recorded" in make.refused(answer, Status.REJECT).reason

    @pytest.mark.parametrize(
        ("wanted", "entry"),
        [
            ({}, {}),
            ({"cache_key": "k", "refresh_cache": True}, {}),
            ({"cache_key": "k"}, None),
            ({"cache_key": "k"}, {"expired": True}),
        ],
        ids=["no key", "refresh", "no entry", "expired"],
    )
    def test_otherwise_the_run_is_executed(self, make, wanted, entry):
        if entry is not None:
            expiration = make.NOW if entry.get("expired") else None
            entry = self.cached(make, cache_expiration=expiration)
        answer = decide_task(
            make.task_run("PENDING"), make.state("RUNNING", **wanted), make.facts(cached=entry)
        )
        assert answer.status is Status.ACCEPT
        assert answer.state.type == "RUNNING"


class TestHandleTaskTerminalStateTransitions:
    @pytest.mark.parametrize("origin", TERMINAL)
    @pytest.mark.parametrize("target", ["CANCELLING", "PAUSED", "CRASHED"])
    def test_aborts_what_cannot_follow_a_final_state(self, make, origin, target):
        answer = decide_task(make.task_run(origin), make.state(target), make.facts())
        make.refused(answer, Status.ABORT)

    @pytest.mark.parametrize("target", ["SCHEDULED", "PENDING", "RUNNING", "COMPLETED", "FAILED"])
    def test_a_recorded_result_is_final(self, make, target):
        run = make.task_run(make.state("COMPLETED", data=make.stored))
        make.refused(decide_task(run, make.state(target), make.facts()), Status.REJECT)

    @pytest.mark.parametrize("data", ["nothing", "unpersisted", "bare"])
    def test_a_result_that_was_not_recorded_is_made_again(self, make, data):
        data = {"nothing": None, "unpersisted": make.unpersisted, "bare": [1, 2]}[data]
        run = make.task_run(make.state("COMPLETED", data=data), run_count=1)
        answer = decide_task(run, Running(), make.facts())
        assert answer.status is Status.ACCEPT
        assert answer.changes == {"run_count": 0}

    @pytest.mark.parametrize("origin", TERMINAL)
    @pytest.mark.parametrize("target", ["SCHEDULED", "PENDING", "RUNNING"])
    def test_running_again_starts_counting_afresh(self, make, origin, target):
        run = make.task_run(origin, run_count=4)
        answer = decide_task(run, make.state(target), make.facts())
        assert answer.status is Status.ACCEPT
        record(run, answer.state, make.facts(), answer.changes)
        assert run.run_count == (1 if target == "RUNNING" else 0)

    @pytest.mark.parametrize("origin", TERMINAL)
    def test_running_again_in_a_later_execution_of_the_flow_is_retrying(self, make, origin):
        flow_run = make.flow_run("RUNNING", run_count=2)
        run = make.task_run(origin, run_count=1, flow_run_run_count=1)
        answer = decide_task(run, Running(), make.facts(flow_run=flow_run))
        assert (answer.status, answer.state.name) == (Status.ACCEPT, "Retrying")
        assert answer.changes == {"run_count": 0, "flow_run_run_count": 2}

    def test_running_again_in_the_same_execution_keeps_its_name(self, make):
        answer = decide_task(make.task_run("FAILED", run_count=3), Running(), make.facts())
        assert answer.state.name == "Running"

    @pytest.mark.parametrize("target", ["COMPLETED", "FAILED", "CANCELLED"])
    def test_another_final_state_may_follow(self, make, target):
        answer = decide_task(
            make.task_run("FAILED", run_count=1), make.state(target), make.facts()
        )
        assert answer.status is Status.ACCEPT
        assert answer.changes is None

    def test_the_count_is_kept_when_the_flow_run_is_paused(self, make):
        run = make.task_run("FAILED", run_count=3)
        answer = decide_task(run, Running(), make.facts(flow_run=make.flow_run("PAUSED")))
        assert answer.state.name == "NotReady"
        assert answer.changes is None


class TestPreventRunningTasksFromStoppedFlows:
    @pytest.mark.parametrize("origin", [None, *UNFINISHED])
    @pytest.mark.parametrize("flow", sorted(set(StateType) - {"RUNNING", "PAUSED"}))
    def test_aborts_unless_the_flow_run_is_running(self, make, origin, flow):
        facts = make.facts(flow_run=make.flow_run(flow))
        answer = make.refused(decide_task(make.task_run(origin), Running(), facts), Status.ABORT)
        assert flow.capitalize() in answer.reason

    def test_aborts_when_the_flow_run_has_no_state(self, make):
        facts = make.facts(flow_run=make.flow_run())
        make.refused(decide_task(make.task_run("PENDING"), Running(), facts), Status.ABORT)

    def test_aborts_when_the_flow_run_is_gone(self, make):
        answer = decide_task(make.task_run("PENDING"), Running(), make.facts(flow_run=None))
        assert "does not exist" in make.refused(answer, Status.ABORT).reason

    @pytest.mark.parametrize("reschedule", [True, False])
    @pytest.mark.parametrize("has_timeout", [True, False])
    def test_waits_in_not_ready_while_the_flow_run_is_paused(self, make, reschedule, has_timeout):
        timeout = make.NOW + MINUTE if has_timeout else None
        paused = make.state("PAUSED", pause_timeout=timeout, pause_reschedule=reschedule)
        facts = make.facts(flow_run=make.flow_run(paused))
        answer = decide_task(make.task_run("PENDING"), Running(), facts)
        assert answer.status is Status.REJECT
        assert (answer.state.type, answer.state.name) == ("PAUSED", "NotReady")
        assert answer.state.state_details.pause_timeout == timeout
        assert answer.state.state_details.pause_reschedule is reschedule
        assert answer.state.id != paused.id

    def test_does_not_apply_to_other_targets(self, make):
        facts = make.facts(flow_run=make.flow_run("CANCELLING"))
        answer = decide_task(make.task_run("RUNNING"), Completed(), facts)
        assert answer.status is Status.ACCEPT

    def test_does_not_apply_without_a_flow_run(self, make):
        run = make.task_run("PENDING", flow_run_id=None)
        assert decide_task(run, Running(), make.facts(flow_run=None)).status is Status.ACCEPT


class TestSecureTaskConcurrencySlots:
    @pytest.mark.parametrize("flow_run_id", ["of a flow", None])
    @pytest.mark.parametrize(
        ("limits", "status", "after"),
        [
            ({}, Status.ACCEPT, ()),
            ({"db": (2, 1)}, Status.ACCEPT, ("take_slots",)),
            ({"db": (2, 1), "api": (1, 0)}, Status.ACCEPT, ("take_slots",)),
            ({"db": (2, 2)}, Status.WAIT, ()),
            ({"db": (2, 1), "api": (1, 1)}, Status.WAIT, ()),
            ({"db": (2, 5)}, Status.WAIT, ()),
            ({"db": (0, 0)}, Status.ABORT, ()),
            ({"api": (5, 0), "db": (0, 0)}, Status.ABORT, ()),
        ],
    )
    def test_a_slot_of_each_limit_is_needed(self, make, limits, status, after, flow_run_id):
        fields = {} if flow_run_id else {"flow_run_id": None}
        run = make.task_run("PENDING", tags=["db", "api"], **fields)
        answer = decide_task(run, Running(), make.facts(limits=limits))
        assert (answer.status, answer.after) == (status, after)
        assert answer.writes is (status is Status.ACCEPT)

    def test_how_long_to_wait_is_a_setting(self, make):
        facts = make.facts(limits={"db": (1, 1)}, slot_wait_s=7.0)
        answer = make.refused(decide_task(make.task_run("PENDING"), Running(), facts), Status.WAIT)
        assert answer.delay_s == 7.0
        assert "'db'" in answer.reason

    def test_30_seconds_by_default(self, make):
        facts = make.facts(limits={"db": (1, 1)})
        assert decide_task(make.task_run("PENDING"), Running(), facts).delay_s == 30

    def test_nothing_is_taken_by_a_run_that_then_has_to_wait(self, make):
        run = make.task_run(make.state("SCHEDULED", scheduled_time=make.NOW + MINUTE))
        answer = decide_task(run, Running(), make.facts(limits={"db": (2, 1)}))
        assert make.refused(answer, Status.WAIT).delay_s == 60


class TestScheduledTime:
    def test_is_copied_to_pending(self, make):
        run = make.task_run(make.state("SCHEDULED", scheduled_time=make.NOW + MINUTE))
        proposed = Pending()
        answer = decide_task(run, proposed, make.facts())
        assert answer.status is Status.ACCEPT
        assert answer.state.state_details.scheduled_time == make.NOW + MINUTE
        assert answer.state.id == proposed.id
        assert proposed.state_details.scheduled_time is None

    def test_is_not_copied_over_another(self, make):
        run = make.task_run(make.state("SCHEDULED", scheduled_time=make.NOW + MINUTE))
        answer = decide_task(run, make.state("PENDING", scheduled_time=make.NOW), make.facts())
        assert answer.state.state_details.scheduled_time == make.NOW

    @pytest.mark.parametrize("origin", ["SCHEDULED", "PENDING"])
    @pytest.mark.parametrize("ahead_s", [0.25, 1, 90])
    def test_is_waited_for(self, make, origin, ahead_s):
        time = make.NOW + timedelta(seconds=ahead_s)
        run = make.task_run(make.state(origin, scheduled_time=time))
        answer = make.refused(decide_task(run, Running(), make.facts()), Status.WAIT)
        assert answer.delay_s == ahead_s

    def test_a_wait_is_never_too_short(self, make):
        time = make.NOW + timedelta(microseconds=1)
        run = make.task_run(make.state("SCHEDULED", scheduled_time=time))
        assert decide_task(run, Running(), make.facts()).delay_s == 0.001

    @pytest.mark.parametrize("origin", ["SCHEDULED", "PENDING"])
    def test_passed_or_missing_is_no_wait(self, make, origin):
        for time in (make.NOW, make.NOW - MINUTE):
            run = make.task_run(make.state(origin, scheduled_time=time))
            assert decide_task(run, Running(), make.facts()).status is Status.ACCEPT
        assert decide_task(make.task_run("PENDING"), Running(), make.facts()).writes

    def test_does_not_hold_up_anything_but_running(self, make):
        run = make.task_run(make.state("SCHEDULED", scheduled_time=make.NOW + MINUTE))
        assert decide_task(run, Cancelled(), make.facts()).status is Status.ACCEPT


class TestUpdateFlowRunTracker:
    @pytest.mark.parametrize("origin", [None, "PENDING", "SCHEDULED", "FAILED"])
    def test_remembers_the_flow_runs_count(self, make, origin):
        run = make.task_run(origin, flow_run_run_count=0)
        answer = decide_task(
            run, Running(), make.facts(flow_run=make.flow_run("RUNNING", run_count=3))
        )
        record(run, answer.state, make.facts(), answer.changes)
        assert run.flow_run_run_count == 3


class TestCacheInsertion:
    @pytest.mark.parametrize("origin", [None, "PENDING", "RUNNING", "FAILED"])
    def test_a_completed_run_with_a_key_is_put_into_the_cache(self, make, origin):
        answer = decide_task(
            make.task_run(origin), make.state("COMPLETED", cache_key="k"), make.facts()
        )
        assert (answer.status, answer.after) == (Status.ACCEPT, ("insert_cache",))

    @pytest.mark.parametrize("target", ["FAILED", "CRASHED", "CANCELLED"])
    def test_nothing_else_is(self, make, target):
        answer = decide_task(
            make.task_run("RUNNING"), make.state(target, cache_key="k"), make.facts()
        )
        assert answer.after == ()

    def test_without_a_key_it_is_not(self, make):
        assert decide_task(make.task_run("RUNNING"), Completed(), make.facts()).after == ()


class TestReleaseTaskConcurrencySlots:
    @pytest.mark.parametrize("force", [True, False])
    @pytest.mark.parametrize("origin", ["RUNNING", "CANCELLING"])
    @pytest.mark.parametrize("target", list(StateType))
    def test_slots_are_given_back_with_the_write(self, make, origin, target, force):
        run = make.task_run(origin, tags=["db"])
        answer = decide_task(run, make.state(target), make.facts(), force=force)
        released = "release_slots" in answer.after
        assert released is (target not in {"RUNNING", "CANCELLING"})

    def test_a_run_without_tags_holds_none(self, make):
        assert decide_task(make.task_run("RUNNING"), Completed(), make.facts()).after == ()

    def test_cache_entry_and_slots_go_together(self, make):
        answer = decide_task(
            make.task_run("RUNNING", tags=["db"]),
            make.state("COMPLETED", cache_key="k"),
            make.facts(),
        )
        assert answer.after == ("insert_cache", "release_slots")


class TestWithoutAFlowRun:
    def alone(self, make, origin=None, **fields):
        return make.task_run(origin, flow_run_id=None, flow_run_run_count=0, **fields)

    @pytest.mark.parametrize("origin", ["PENDING", "RUNNING", "CANCELLING", "CANCELLED"])
    def test_the_second_submitter_loses(self, make, origin):
        answer = decide_task(self.alone(make, origin), Pending(), make.facts(flow_run=None))
        make.refused(answer, Status.ABORT)

    @pytest.mark.parametrize("origin", ["SCHEDULED", "FAILED", None])
    def test_the_first_submitter_wins(self, make, origin):
        answer = decide_task(self.alone(make, origin), Pending(), make.facts(flow_run=None))
        assert answer.status is Status.ACCEPT

    def test_of_a_flow_a_second_pending_passes(self, make):
        answer = decide_task(make.task_run("PENDING"), Pending(name="NotReady"), make.facts())
        assert answer.status is Status.ACCEPT

    def test_retries_work(self, make):
        run = self.alone(make, "RUNNING", run_count=1, empirical_policy=TaskRunPolicy(retries=1))
        answer = decide_task(run, Failed(), make.facts(flow_run=None))
        assert answer.state.name == "AwaitingRetry"
        assert answer.after == ()

    @pytest.mark.parametrize("origin", [None, "FAILED"])
    def test_a_scheduled_run_is_put_before_the_task_servers(self, make, origin):
        facts = make.facts(flow_run=None, task_scheduling=True)
        answer = decide_task(self.alone(make, origin), Scheduled(), facts)
        assert answer.after == ("enqueue_scheduled",)

    def test_a_retry_goes_into_the_queue_for_retries(self, make):
        run = self.alone(make, "RUNNING", run_count=1, empirical_policy=TaskRunPolicy(retries=1))
        answer = decide_task(run, Failed(), make.facts(flow_run=None, task_scheduling=True))
        assert answer.after == ("enqueue_retry",)

    def test_a_run_of_a_flow_is_never_queued(self, make):
        answer = decide_task(make.task_run(), Scheduled(), make.facts(task_scheduling=True))
        assert answer.after == ()

    def test_a_crash_is_recorded_when_it_is_forced(self, make):
        run = self.alone(make, "CANCELLED")
        ordinary = decide_task(run, Crashed(), make.facts(flow_run=None))
        forced = decide_task(run, Crashed(), make.facts(flow_run=None), force=True)
        make.refused(ordinary, Status.ABORT)
        assert forced.status is Status.ACCEPT


class TestForced:
    @pytest.mark.parametrize("origin", [None, *StateType])
    @pytest.mark.parametrize("target", list(StateType))
    def test_whatever_is_forced_is_written(self, make, origin, target):
        state = make.state(origin, data=make.stored) if origin else None
        proposed = make.state(target, data=make.unpersisted)
        facts = make.facts(flow_run=make.flow_run("CANCELLED"), limits={"db": (0, 0)})
        answer = decide_task(make.task_run(state), proposed, facts, force=True)
        assert answer.status is Status.ACCEPT
        assert answer.state is proposed

    @pytest.mark.parametrize("origin", ["FAILED", "CRASHED"])
    def test_a_failure_set_to_completed_counts_as_having_a_result(self, make, origin):
        run = make.task_run(make.state(origin, data=make.stored))
        answer = decide_task(run, Completed(), make.facts(), force=True)
        assert isinstance(answer.state.data, UnknownResult)
        record(run, answer.state, make.facts(), answer.changes)
        make.refused(decide_task(run, Running(), make.facts()), Status.REJECT)

    @pytest.mark.parametrize("origin", ["FAILED", "CRASHED"])
    def test_unless_nothing_was_recorded_of_the_failure(self, make, origin):
        for data in (None, make.unpersisted, ValueError("bare")):
            run = make.task_run(make.state(origin, data=data))
            assert decide_task(run, Completed(), make.facts(), force=True).state.data is None

    def test_a_result_that_is_given_is_kept(self, make):
        run = make.task_run(make.state("FAILED", data=make.stored))
        given = Completed(data=make.stored)
        assert decide_task(run, given, make.facts(), force=True).state is given


def test_facts_need_nothing_but_the_time(make):
    run = make.task_run(flow_run_id=None)
    assert decide_task(run, Running(), Facts(now=make.NOW)).status is Status.ACCEPT
