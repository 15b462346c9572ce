"""Long random lives of runs: whatever is proposed, what the tables promise holds.

The machines below know the promises, not the rules: what was written is compared with the tables
of moves and with counts that the machine keeps for itself.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock.ids import new_id
from penstock.records import FlowRun, FlowRunPolicy, TaskRun, TaskRunPolicy
from penstock.results import UnpersistedResult
from penstock.results.objects import LiteralResult
from penstock.rules import (
    FLOW_MOVES,
    TASK_MOVES,
    Facts,
    Status,
    decide_flow,
    decide_task,
    has_stored_result,
    mark_late,
    record,
    state_for_parent_task,
    validate,
)
from penstock.states import TERMINAL_STATES, Late, State, StateDetails, StateType

START = datetime(2100, 1, 1, tzinfo=UTC)

kinds = st.sampled_from(StateType)
datas = st.sampled_from([None, LiteralResult(None), UnpersistedResult(1), "a bare value"])
seconds = st.integers(min_value=0, max_value=100)
maybe = st.booleans()
# As an engine goes about it: mostly forward, so that lives get long.
usual = st.sampled_from(
    [StateType.RUNNING] * 4 + [StateType.FAILED] * 3 + [StateType.PENDING, StateType.SCHEDULED]
)


def snapshot(run):
    """Give all that is known of a run, to compare with later."""
    fields = {name: getattr(run, name) for name in run.__struct_fields__}
    fields["history"] = [(state.id, state.name, state.timestamp) for state in run.history]
    fields["state"] = run.state_id
    fields["empirical_policy"] = msgspec.json.encode(run.empirical_policy)
    return fields


class Life(RuleBasedStateMachine):
    """One run, what is proposed for it, and what was seen of it."""

    moves = TASK_MOVES
    run: FlowRun | TaskRun

    def __init__(self):
        super().__init__()
        self.now = START
        self.was_forced = False
        self.seen = []  # the history as it was written
        self.retries_given = 0  # since the run last began afresh

    @rule(by=seconds)
    def time_passes(self, by):
        self.now += timedelta(seconds=by)

    def decide(self, proposed, facts, *, force):
        raise NotImplementedError

    def propose(self, proposed, facts, *, force=False):
        """Propose a state, write what the answer says, and hold it against the promises."""
        before, former = snapshot(self.run), self.run.state
        answer = self.decide(proposed, facts, force=force)
        assert snapshot(self.run) == before, "deciding changed the run"
        if answer.status in {Status.WAIT, Status.ABORT}:
            assert answer.state is None
            assert (answer.delay_s is not None) is (answer.status is Status.WAIT)
        if answer.state is None:
            assert answer.reason
            assert not answer.changes
            assert not answer.after
            assert not force
            return answer
        if not force:
            self.hold_against_tables(former, proposed, answer.state)
        record(self.run, answer.state, facts, answer.changes)
        self.was_forced |= force
        self.seen.append(answer.state)
        self.after_write(former, answer, before)
        return answer

    def hold_against_tables(self, former, proposed, state):
        row = self.moves[None if former is None else former.type]
        assert state.type in row.get(proposed.type, ())
        if former is not None and former.type is StateType.COMPLETED and has_stored_result(former):
            assert state.type in TERMINAL_STATES
        if former is not None and former.type in {StateType.SCHEDULED, StateType.PENDING}:
            time = former.state_details.scheduled_time
            assert state.type is not StateType.RUNNING or time is None or time <= self.now

    def after_write(self, former, answer, before):
        raise NotImplementedError

    @invariant()
    def history_is_only_appended_to(self):
        assert self.run.history == self.seen

    @invariant()
    def the_books_add_up(self):
        validate(self.run, forced=self.was_forced)


class TaskLife(Life):
    """A task run, within a flow run that starts, pauses and stops, or alone."""

    moves = TASK_MOVES

    @initialize(alone=maybe, retries=st.integers(0, 3), limited=maybe)
    def begin(self, alone, retries, limited):
        self.flow_run = None if alone else FlowRun(name="flow", run_count=1)
        if self.flow_run is not None:
            self.flow_run.state = State(type=StateType.RUNNING)
        self.run = TaskRun(
            name="task",
            flow_run_id=None if alone else self.flow_run.id,
            tags=["db"] if limited else [],
            empirical_policy=TaskRunPolicy(retries=retries, retry_delay=[1, 20]),
        )
        self.holds_slot = False
        self.cache = None

    @rule(kind=kinds | st.just(StateType.RUNNING))
    @precondition(lambda self: self.flow_run is not None)
    def the_flow_run_moves_on(self, kind):
        self.flow_run.state = State(type=kind, state_details=StateDetails(pause_timeout=self.now))
        self.flow_run.run_count += kind is StateType.RUNNING

    @rule(
        kind=usual | kinds,
        data=datas,
        in_s=seconds,
        key=st.sampled_from([None, None, None, "k"]),
        refresh=maybe,
        retriable=st.sampled_from([None, True, False]),
        free=maybe,
        force=st.sampled_from([False] * 9 + [True]),
    )
    def something_is_proposed(self, kind, data, in_s, key, refresh, retriable, free, force):
        details = StateDetails(
            cache_key=key,
            refresh_cache=refresh,
            retriable=retriable,
            scheduled_time=self.now + timedelta(seconds=in_s) if kind == "SCHEDULED" else None,
        )
        limits = {"db": (1, 0 if free else 1)} if self.run.tags else {}
        facts = Facts(now=self.now, flow_run=self.flow_run, limits=limits, cached=self.cache)
        self.propose(State(type=kind, data=data, state_details=details), facts, force=force)

    def decide(self, proposed, facts, *, force):
        return decide_task(self.run, proposed, facts, force=force)

    def hold_against_tables(self, former, proposed, state):
        super().hold_against_tables(former, proposed, state)
        if state.type is StateType.RUNNING and self.flow_run is not None:
            assert self.flow_run.state.type is StateType.RUNNING
        if state.name == "Cached":
            assert state.data is self.cache.data
            assert not proposed.state_details.refresh_cache

    def after_write(self, former, answer, before):
        run, state = self.run, answer.state
        is_start = state.type is StateType.RUNNING
        began_afresh = answer.changes is not None and "run_count" in answer.changes
        assert run.run_count == (0 if began_afresh else before["run_count"]) + is_start
        if began_afresh:
            assert former.type in TERMINAL_STATES
            self.retries_given = 0
        if answer.status is Status.REJECT and state.name == "AwaitingRetry":
            self.retries_given += 1
            # A run that a pause kept from beginning afresh has no more retries than before.
            assert self.retries_given <= run.empirical_policy.retries
            assert f"of {run.empirical_policy.retries + 1} failed" in state.message
        if is_start and self.flow_run is not None and not self.was_forced:
            assert run.flow_run_run_count == self.flow_run.run_count
        self.holds_slot |= "take_slots" in answer.after
        self.holds_slot &= "release_slots" not in answer.after
        if "insert_cache" in answer.after:
            assert state.type is StateType.COMPLETED
            self.cache = state

    @invariant()
    def a_slot_is_held_only_while_it_is_used(self):
        if self.run.state_type not in {StateType.RUNNING, StateType.CANCELLING}:
            assert not self.holds_slot
        elif self.run.state_type is StateType.RUNNING and self.run.tags and not self.was_forced:
            assert self.holds_slot


class FlowLife(Life):
    """A flow run: of a deployment or not, of a parent or not."""

    moves = FLOW_MOVES

    @initialize(
        deployed=maybe, nested=maybe, has_pid=maybe, retries=st.sampled_from([None, 0, 1, 3])
    )
    def begin(self, deployed, nested, has_pid, retries):
        self.run = FlowRun(
            name="flow",
            deployment_id=new_id() if deployed else None,
            parent_task_run_id=new_id() if nested else None,
            infrastructure_pid="host:7" if has_pid else None,
            empirical_policy=FlowRunPolicy(retries=retries, retry_delay=5),
        )
        self.fired = []  # pause keys, in this attempt
        self.parent = TaskRun(id=self.run.parent_task_run_id) if nested else None

    @rule(
        kind=usual | kinds,
        data=datas,
        in_s=seconds,
        pause=st.tuples(st.sampled_from(["1", "2", None]), maybe, st.sampled_from([None, 30])),
        same=maybe,
        force=st.sampled_from([False] * 9 + [True]),
    )
    def something_is_proposed(self, kind, data, in_s, pause, same, force):
        key, reschedule, timeout_s = pause
        scheduled_time = self.now + timedelta(seconds=in_s) if kind == "SCHEDULED" else None
        details = StateDetails(scheduled_time=scheduled_time)
        if kind == "PAUSED":
            details.pause_key = key
            details.pause_reschedule = reschedule
            details.pause_timeout = timeout_s and self.now + timedelta(seconds=timeout_s)
        details.transition_id = new_id()
        if same and self.run.state is not None:
            details.transition_id = self.run.state.state_details.transition_id
        former = self.run.state
        answer = self.propose(
            State(type=kind, data=data, state_details=details), Facts(now=self.now), force=force
        )
        if same and former is not None and details.transition_id is not None and not force:
            assert answer.state is None

    @rule()
    @precondition(lambda self: self.run.state is not None)
    def the_late_service_comes_by(self):
        facts = Facts(now=self.now)
        answer = mark_late(self.run, Late(scheduled_time=self.now), facts)
        assert answer.writes is self.run.state.is_scheduled()

    @rule()
    @precondition(lambda self: self.run.state is not None)
    def the_flow_goes_on(self):
        """Start it, or start it again, as an engine does that waits for its time."""
        if self.run.state.is_scheduled():
            self.now = max(self.now, self.run.state.state_details.scheduled_time)
        self.propose(State(type=StateType.RUNNING), Facts(now=self.now))

    def decide(self, proposed, facts, *, force):
        return decide_flow(self.run, proposed, facts, force=force)

    def hold_against_tables(self, former, proposed, state):
        super().hold_against_tables(former, proposed, state)
        if former is not None and former.type is StateType.CANCELLING:
            assert state.type is StateType.CANCELLED
        if state.type is StateType.PAUSED:
            key = proposed.state_details.pause_key
            assert key is None or key not in self.fired
        if state.state_details.pause_reschedule:
            assert self.run.deployment_id is not None
            assert self.run.parent_task_run_id is None

    def after_write(self, former, answer, before):
        run, state = self.run, answer.state
        is_start = state.type is StateType.RUNNING
        assert run.run_count - before["run_count"] in ({0, 1} if is_start else {0})
        began_afresh = (
            former is not None
            and former.type in TERMINAL_STATES
            and state.type not in TERMINAL_STATES
        )
        if answer.status is Status.REJECT and state.name == "AwaitingRetry":
            began_afresh = True
            self.retries_given += 1
            # Counted over the whole life: a flow run's attempts are never counted afresh.
            assert self.retries_given <= run.empirical_policy.retries
        if began_afresh and not self.was_forced:
            self.fired = []
        if state.type is StateType.PAUSED:
            self.fired.append(state.state_details.pause_key)
        if not self.was_forced:
            assert len(run.empirical_policy.pause_keys) == len(self.fired)
        assert ("update_parent_task" in answer.after) is (self.parent is not None)
        if self.parent is not None:
            copy = state_for_parent_task(run)
            facts = Facts(now=self.now)
            forced = decide_task(self.parent, copy, facts, force=True)
            record(self.parent, forced.state, facts, forced.changes)
            assert self.parent.state.state_details.child_flow_run_id == run.id
            validate(self.parent, forced=True)


class TestTaskLife(TaskLife.TestCase):
    settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class TestFlowLife(FlowLife.TestCase):
    settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
