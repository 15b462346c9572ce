from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from penstock import clock
from penstock.records import Flow, FlowRun, FlowRunPolicy, Log, TaskRun, TaskRunPolicy
from penstock.states import Completed, Pending, Running, Scheduled, State, StateType


@pytest.mark.parametrize("make", [FlowRun, TaskRun])
class TestRuns:
    def test_a_new_run_has_no_state(self, make):
        run = make(name="brave-otter")

        assert run.state is None
        assert (run.state_id, run.state_type, run.state_name, run.state_timestamp) == (None,) * 4
        assert (run.run_count, run.tags, run.history) == (0, [], [])
        assert run.start_time is run.end_time is run.expected_start_time is None

    def test_the_state_of_a_run_is_known_by_parts(self, make):
        state = Completed(name="Cached")
        run = make(state=state)

        assert run.state_id == state.id
        assert run.state_type is StateType.COMPLETED
        assert run.state_name == "Cached"
        assert run.state_timestamp == state.timestamp

    def test_an_id_tells_when_the_record_was_made(self, make):
        before = datetime.now(UTC) - timedelta(milliseconds=1)

        run = make()

        assert before <= run.created <= datetime.now(UTC)
        assert run.updated == run.created

    def test_ids_grow(self, make):
        ids = [make().id for _ in range(1000)]

        assert ids == sorted(ids)
        assert len(set(ids)) == 1000

    def test_a_run_was_updated_with_its_last_transition(self, make):
        state = Completed()

        assert make(state=state).updated == state.timestamp

    def test_run_time(self, make):
        run = make(run_time_s=90.0, state=Completed())

        assert run.total_run_time == timedelta(seconds=90)
        assert run.estimated_run_time == timedelta(seconds=90)

    def test_the_run_time_of_a_run_that_runs_still_grows(self, make):
        began = clock.now() - timedelta(seconds=10)
        run = make(run_time_s=90.0, state=State(type="RUNNING", timestamp=began))

        assert run.total_run_time == timedelta(seconds=90)
        assert timedelta(seconds=100) <= run.estimated_run_time < timedelta(seconds=110)

    def test_the_delay_of_a_run_that_started(self, make):
        due = clock.now()
        run = make(expected_start_time=due, start_time=due + timedelta(seconds=3), state=Running())

        assert run.estimated_start_time_delta == timedelta(seconds=3)

    def test_the_delay_of_a_run_that_waits(self, make):
        due = clock.now() - timedelta(seconds=60)
        run = make(expected_start_time=due, state=Pending())

        assert timedelta(seconds=60) <= run.estimated_start_time_delta < timedelta(seconds=70)

    @pytest.mark.parametrize("state", [None, Completed(), Scheduled()], ids=["none", "C", "S"])
    def test_no_delay(self, make, state):
        due = clock.now() + timedelta(seconds=60)

        assert make(expected_start_time=due, state=state).estimated_start_time_delta == timedelta()
        assert make(state=state).estimated_start_time_delta == timedelta()

    def test_runs_do_not_share_what_can_change(self, make):
        first, second = make(), make()

        first.tags.append("a")
        first.history.append(Pending())

        assert (second.tags, second.history) == ([], [])


def test_policies_have_no_retries_by_default():
    assert FlowRun().empirical_policy == FlowRunPolicy(
        retries=None, retry_delay=None, pause_keys=[], resuming=False
    )
    assert TaskRun().empirical_policy == TaskRunPolicy(
        retries=0, retry_delay=None, retry_jitter_factor=None
    )


def test_flows_and_logs():
    flow = Flow(name="ingest")
    log = Log(name="penstock.flow_runs", level=20, message="hello", timestamp=clock.now())

    assert (flow.name, flow.tags) == ("ingest", [])
    assert flow.created.tzinfo is UTC
    assert log.flow_run_id is log.task_run_id is None


def test_records_are_checked_for_unknown_fields():
    with pytest.raises(TypeError, match="nmae"):
        FlowRun(nmae="x")
