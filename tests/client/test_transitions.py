"""States that are proposed for flow runs from outside: what becomes of them, whoever runs it."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from penstock import clock, flow
from penstock.client.schemas.responses import OrchestrationResult, SetStateStatus
from penstock.exceptions import Abort
from penstock.settings import reload_settings
from penstock.states import (
    AwaitingRetry,
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    Paused,
    Pending,
    Running,
    Scheduled,
    StateDetails,
    StateType,
)
from penstock.store import FenceLost, get_store
from penstock.store import statements as sql

ACCEPT, REJECT = SetStateStatus.ACCEPT, SetStateStatus.REJECT
WAIT, ABORT = SetStateStatus.WAIT, SetStateStatus.ABORT


def names(states):
    return [state.name for state in states]


def control_of(run):
    rows = get_store().read("select control from flow_run where id = ?", (run.id.bytes,))
    return rows[0][0]


@pytest.fixture
def run(any_client, nightly):
    """A flow run that nobody executes."""
    return any_client.create_flow_run(nightly)


# -- nobody executes the run ----------------------------------------------------------------------


def test_a_state_that_the_rules_accept_holds(any_client, run):
    answer = any_client.set_flow_run_state(run.id, Running(message="begun"))

    assert isinstance(answer, OrchestrationResult)
    assert (answer.status, answer.state.name, answer.details.reason) == (ACCEPT, "Running", None)
    found = any_client.read_flow_run(run.id)
    assert (found.state, found.state.message) == (answer.state, "begun")
    assert found.run_count == 1
    assert found.start_time == found.state_timestamp


def test_a_run_keeps_its_whole_history(any_client, run):
    any_client.set_flow_run_state(run.id, Running())
    any_client.set_flow_run_state(run.id, Failed(message="no disk"))

    # Two retries are left when it fails, so the rules make a wait of the failure.
    states = any_client.read_flow_run_states(run.id)
    assert names(states) == ["Pending", "Running", "AwaitingRetry"]
    answer = any_client.set_flow_run_state(run.id, Running())
    assert answer.status is WAIT
    assert 0 < answer.details.delay_seconds <= 5
    assert answer.state is None
    any_client.set_flow_run_state(run.id, Running(), force=True)
    any_client.set_flow_run_state(run.id, Completed(data=[1, 2]))

    found = any_client.read_flow_run(run.id)
    assert names(found.history) == ["Pending", "Running", "AwaitingRetry", "Running", "Completed"]
    times = [state.timestamp for state in found.history]
    assert times == sorted(times)
    assert found.run_count == 2
    assert found.state.result() == [1, 2]


def test_a_rejected_state_leaves_the_present_one(any_client, run):
    any_client.set_flow_run_state(run.id, Running())
    any_client.set_flow_run_state(run.id, Completed(data=1))
    before = any_client.read_flow_run(run.id)

    answer = any_client.set_flow_run_state(run.id, Running())

    assert answer.status is REJECT
    assert answer.state == before.state
    assert "completed already" in answer.details.reason
    assert any_client.read_flow_run(run.id).history == before.history


def test_a_state_that_the_rules_abort_changes_nothing(any_client, run):
    any_client.set_flow_run_state(run.id, Running())

    answer = any_client.set_flow_run_state(run.id, Pending())

    assert (answer.status, answer.state) == (ABORT, None)
    assert "submitted it" in answer.details.reason
    assert names(any_client.read_flow_run_states(run.id)) == ["Pending", "Running"]


def test_a_forced_state_passes_the_rules(any_client, run):
    any_client.set_flow_run_state(run.id, Running())
    any_client.set_flow_run_state(run.id, Completed(data=1))

    answer = any_client.set_flow_run_state(run.id, Failed(message="it was wrong"), force=True)

    assert answer.status is ACCEPT
    assert names(any_client.read_flow_run_states(run.id))[-2:] == ["Completed", "Failed"]


def test_a_run_completed_by_hand_is_not_executed_again(client, nightly):
    run = client.create_flow_run(nightly)
    client.set_flow_run_state(run.id, Running())
    client.set_flow_run_state(run.id, Failed(data=ValueError("x")), force=True)

    client.set_flow_run_state(run.id, Completed(), force=True)

    assert client.read_flow_run_result(run.id).type == "unknown"
    assert nightly.resume(run.id) is None
    assert client.read_task_runs() == []


def test_a_proposal_that_is_made_twice_counts_once(any_client, run):
    details = StateDetails(transition_id=run.id)

    first = any_client.set_flow_run_state(run.id, Running(state_details=details))
    second = any_client.set_flow_run_state(run.id, Running(state_details=details))

    assert (first.status, second.status) == (ACCEPT, REJECT)
    assert second.state == first.state
    assert names(any_client.read_flow_run_states(run.id)) == ["Pending", "Running"]


def test_the_caller_keeps_the_state_as_it_was_made(client, nightly):
    mine = Running()
    one, other = client.create_flow_run(nightly), client.create_flow_run(nightly)

    first = client.set_flow_run_state(one.id, mine)
    second = client.set_flow_run_state(other.id, mine)

    assert mine.state_details == StateDetails()
    assert len({mine.id, first.state.id, second.state.id}) == 3


def test_a_large_value_goes_to_result_storage(client, nightly):
    run = client.create_flow_run(nightly)
    client.set_flow_run_state(run.id, Running())

    client.set_flow_run_state(run.id, Completed(data="x" * 100_000))

    assert client.read_flow_run_result(run.id).type == "reference"
    assert client.read_flow_run(run.id).state.result() == "x" * 100_000


# -- cancelling what nobody executes --------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [
        Pending(),
        Scheduled(),
        Running(),
        AwaitingRetry(scheduled_time=clock.now() + timedelta(hours=1)),
    ],
)
def test_a_run_without_a_process_is_cancelled_at_once(any_client, run, state):
    any_client.set_flow_run_state(run.id, state, force=True)

    answer = any_client.set_flow_run_state(run.id, Cancelling(message="not needed"))

    assert (answer.status, answer.state.type) == (REJECT, StateType.CANCELLED)
    assert "no" in answer.details.reason
    assert "process that had to be stopped" in answer.details.reason
    found = any_client.read_flow_run(run.id)
    assert (found.state.type, found.state.message) == (StateType.CANCELLED, "not needed")


def test_a_run_with_a_process_of_its_own_is_left_to_be_stopped(any_client, run):
    any_client.set_flow_run_state(run.id, Running())
    any_client.update_flow_run(run.id, infrastructure_pid="host:7")

    answer = any_client.set_flow_run_state(run.id, Cancelling())

    assert (answer.status, answer.state.type) == (ACCEPT, StateType.CANCELLING)
    assert any_client.set_flow_run_state(run.id, Completed()).status is REJECT
    assert any_client.set_flow_run_state(run.id, Cancelled()).status is ACCEPT


# -- a living process executes the run ------------------------------------------------------------


@pytest.mark.parametrize("state", [Completed(), Failed(), Running(), Scheduled(), Cancelled()])
def test_the_owner_decides_the_states(any_client, run, owned_by_another, state):
    any_client.set_flow_run_state(run.id, Running())
    other = owned_by_another(run)

    answer = any_client.set_flow_run_state(run.id, state)

    assert (answer.status, answer.state) == (ABORT, None)
    assert f"process {other_name(run)}, which decides" in answer.details.reason
    assert names(any_client.read_flow_run_states(run.id)) == ["Pending", "Running"]
    assert other.commit() == "None"


def other_name(run):
    rows = get_store().read("select owner from flow_run where id = ?", (run.id.bytes,))
    return rows[0][0]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("state", [Cancelling(), Paused()])
def test_the_owner_is_asked_and_learns_of_it(any_client, run, owned_by_another, state, force):
    any_client.set_flow_run_state(run.id, Running())
    other = owned_by_another(run)

    answer = any_client.set_flow_run_state(run.id, state, force=force)

    assert (answer.status, answer.state.type) == (ACCEPT, state.type)
    assert "takes note with its next commit" in answer.details.reason
    # The history is the owner's: it reads as before until the owner has made the transition.
    assert names(any_client.read_flow_run_states(run.id)) == ["Pending", "Running"]
    assert other.commit().split()[0] == state.type.value


def test_a_run_that_is_asked_to_stop_is_not_asked_to_pause(any_client, run, owned_by_another):
    any_client.set_flow_run_state(run.id, Running())
    other = owned_by_another(run)

    assert any_client.set_flow_run_state(run.id, Paused()).status is ACCEPT
    assert any_client.set_flow_run_state(run.id, Cancelling()).status is ACCEPT
    answer = any_client.set_flow_run_state(run.id, Paused())

    assert (answer.status, answer.state.type) == (REJECT, StateType.CANCELLING)
    assert other.commit() == "CANCELLING"


def test_a_run_that_waits_in_its_process_is_asked_and_not_cancelled(
    any_client, run, owned_by_another
):
    later = AwaitingRetry(scheduled_time=clock.now() + timedelta(hours=1))
    any_client.set_flow_run_state(run.id, later, force=True)
    other = owned_by_another(run)

    answer = any_client.set_flow_run_state(run.id, Cancelling())

    assert (answer.status, answer.state.type) == (ACCEPT, StateType.CANCELLING)
    assert any_client.read_flow_run(run.id).state_name == "AwaitingRetry"
    assert other.commit() == "CANCELLING"


def test_what_cannot_be_asked_is_refused_by_the_rules(any_client, run, owned_by_another):
    other = owned_by_another(run)

    answer = any_client.set_flow_run_state(run.id, Paused())

    assert (answer.status, answer.state.type) == (REJECT, StateType.PENDING)
    assert "Only a running flow run can be paused" in answer.details.reason
    assert other.commit() == "None"


def test_a_forced_state_takes_the_run_from_its_owner(any_client, run, owned_by_another):
    any_client.set_flow_run_state(run.id, Running())
    other = owned_by_another(run)

    answer = any_client.set_flow_run_state(run.id, Failed(message="stuck"), force=True)

    assert answer.status is ACCEPT
    assert names(any_client.read_flow_run_states(run.id)) == ["Pending", "Running", "Failed"]
    assert "taken over by another process" in other.commit()


def test_this_process_is_asked_as_others_are(any_client, run):
    any_client.set_flow_run_state(run.id, Running())
    fence = get_store().claim(run.id, 30)

    answer = any_client.set_flow_run_state(run.id, Completed())

    assert answer.status is ABORT
    assert "executed by this very process" in answer.details.reason
    any_client.set_flow_run_state(run.id, Cancelling())
    assert get_store().commit([], fence) == "CANCELLING"


# -- the owner is dead ----------------------------------------------------------------------------


def test_the_states_of_a_dead_process_run_are_decided_by_the_rules(
    any_client, run, owned_by_another
):
    any_client.set_flow_run_state(run.id, Running())
    owned_by_another(run).kill()

    answer = any_client.set_flow_run_state(run.id, Crashed(message="its process died"))

    assert answer.status is ACCEPT
    assert names(any_client.read_flow_run_states(run.id)) == ["Pending", "Running", "Crashed"]


def test_cancelling_a_dead_process_run_cancels_it(any_client, run, owned_by_another):
    any_client.set_flow_run_state(run.id, Running())
    any_client.update_flow_run(run.id, infrastructure_pid="host:7")
    owned_by_another(run).kill()

    answer = any_client.set_flow_run_state(run.id, Cancelling())

    assert answer.state.type is StateType.CANCELLED


def test_an_owner_that_was_given_up_cannot_undo_what_was_set(
    client, nightly, owned_elsewhere, monkeypatch
):
    """One of another host that stays silent after its lease counts as dead, but may still live."""
    monkeypatch.setenv("PENSTOCK_HEARTBEAT_INTERVAL_S", "0.1")
    reload_settings()
    run = client.create_flow_run(nightly)
    client.set_flow_run_state(run.id, Running())
    owned_elsewhere(run, clock.epoch() - 1)
    fence = (run.id.bytes, 7)

    client.set_flow_run_state(run.id, Crashed())

    with pytest.raises(FenceLost, match="taken over"):
        get_store().commit([], fence)


@pytest.mark.parametrize("proposed", [Crashed(), Cancelling()])
def test_an_owner_elsewhere_that_gives_a_sign_of_life_keeps_its_run(
    client, nightly, owned_elsewhere, proposed
):
    """Its lease is over by the clock of this host, which is ahead."""
    run = client.create_flow_run(nightly)
    client.set_flow_run_state(run.id, Running())
    owned_elsewhere(run, clock.epoch() - 60)

    class Clock(clock.VirtualClock):
        def sleep(self, seconds):
            super().sleep(seconds)
            owned_elsewhere(run, clock.epoch() - 50)

    with clock.use_clock(Clock(clock.epoch())):
        answer = client.set_flow_run_state(run.id, proposed)

    assert answer.status is (ACCEPT if proposed.is_cancelling() else ABORT)
    assert get_store().read(sql.READ_LEASE, (run.id.bytes,))[0][1] == 7
    assert client.read_flow_run(run.id).state.is_running()


def test_a_lease_of_another_host_that_has_not_expired_holds(client, nightly, owned_elsewhere):
    run = client.create_flow_run(nightly)
    client.set_flow_run_state(run.id, Running())
    owned_elsewhere(run, clock.epoch() + 60)

    assert client.set_flow_run_state(run.id, Crashed()).status is ABORT
    assert client.set_flow_run_state(run.id, Cancelling()).status is ACCEPT
    assert control_of(run) == "CANCELLING"


# -- with the engine ------------------------------------------------------------------------------


def test_a_request_that_comes_too_late_is_void(client, hourly):
    hourly()
    (run,) = client.read_flow_runs()

    answer = client.set_flow_run_state(run.id, Cancelling())

    assert answer.status is ABORT
    assert "has finished as Completed" in answer.details.reason
    assert control_of(run) is None


def test_a_flow_that_is_taken_away_stops_and_leaves_the_record_alone(client, nightly, load):
    @flow
    def taken(run_ids):
        run_id = client.read_flow_runs()[0].id
        run_ids.append(run_id)
        client.set_flow_run_state(run_id, Failed(message="by hand"), force=True)
        load("x")
        pytest.fail("the task's commit is refused, so the flow does not get here")

    run_ids = []
    with pytest.raises(Abort, match="taken over"):
        taken(run_ids)

    (run,) = client.read_flow_runs()
    assert (run.state_name, run.state.message) == ("Failed", "by hand")
    assert names(run.history) == ["Pending", "Running", "Failed"]
    assert client.read_task_runs() == []


# -- at once --------------------------------------------------------------------------------------


def test_of_two_that_submit_a_run_one_wins(client, nightly):
    run = client.create_flow_run(nightly, state=Scheduled())
    answers, gate = [], threading.Barrier(2)

    def submit():
        gate.wait(30)
        answers.append(client.set_flow_run_state(run.id, Pending()).status)

    threads = [threading.Thread(target=submit) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(answers) == [ABORT, ACCEPT]
    assert names(client.read_flow_run_states(run.id)) == ["Scheduled", "Pending"]


# -- subflow runs ---------------------------------------------------------------------------------


def test_a_subflow_state_is_copied_to_the_task_run_that_stands_for_it(any_client, nightly, load):
    parent = any_client.create_flow_run(nightly)
    stand_in = any_client.create_task_run(load, parent.id, "0")
    child = any_client.create_flow_run(nightly, parent_task_run_id=stand_in.id)

    any_client.set_flow_run_state(child.id, Running(message="begun"))

    found = any_client.read_task_run(stand_in.id)
    assert names(found.history) == ["Pending", "Pending", "Running"]
    assert found.state.message == "begun"
    assert found.state.state_details.child_flow_run_id == child.id
    assert any_client.read_flow_run(child.id).state.state_details.task_run_id == stand_in.id


def test_the_owner_of_the_parent_keeps_its_own_task_runs(any_client, nightly, load):
    parent = any_client.create_flow_run(nightly)
    stand_in = any_client.create_task_run(load, parent.id, "0")
    child = any_client.create_flow_run(nightly, parent_task_run_id=stand_in.id)
    get_store().claim(parent.id, 30)

    any_client.set_flow_run_state(child.id, Running())

    assert any_client.read_flow_run(child.id).state_name == "Running"
    assert any_client.read_task_run(stand_in.id).state_name == "Pending"
