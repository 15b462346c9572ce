"""Task runs through the client."""

from __future__ import annotations

import pytest

from penstock import clock, flow
from penstock.client.schemas.filters import TaskRunFilter
from penstock.client.schemas.objects import TaskRunPolicy, TaskRunResult
from penstock.client.schemas.responses import SetStateStatus
from penstock.exceptions import ObjectNotFound, RunOwnedElsewhere
from penstock.ids import new_id
from penstock.states import Completed, Failed, Paused, Pending, Running, StateDetails, StateType
from penstock.store import get_store

ACCEPT, REJECT = SetStateStatus.ACCEPT, SetStateStatus.REJECT
WAIT, ABORT = SetStateStatus.WAIT, SetStateStatus.ABORT


def names(states):
    return [state.name for state in states]


@pytest.fixture
def flow_run(any_client, nightly):
    """A flow run that runs, executed by nobody."""
    run = any_client.create_flow_run(nightly)
    any_client.set_flow_run_state(run.id, Running())
    return run


@pytest.fixture
def run(any_client, flow_run, load):
    """A task run in it."""
    return any_client.create_task_run(load, flow_run.id, "0")


# -- making and reading ---------------------------------------------------------------------------


def test_a_task_run_is_made_and_read(any_client, flow_run, load):
    upstream = TaskRunResult(id=new_id())

    made = any_client.create_task_run(
        load, flow_run.id, "0", extra_tags=["slow"], task_inputs={"day": [upstream]}
    )

    found = any_client.read_task_run(made.id)
    assert (found.name, found.task_key, found.dynamic_key) == ("load-0", load.task_key, "0")
    assert (found.flow_run_id, found.task_version) == (flow_run.id, "3")
    assert found.tags == ["io", "slow"]
    assert found.task_inputs == {"day": [upstream]}
    assert found.empirical_policy == TaskRunPolicy(retries=3, retry_delay=[1, 2, 3])
    assert found.state_type is StateType.PENDING
    assert found.state.state_details.task_run_id == made.id


def test_the_same_call_has_one_task_run(any_client, flow_run, load):
    first = any_client.create_task_run(load, flow_run.id, "0")
    any_client.set_task_run_state(first.id, Running())

    again = any_client.create_task_run(load, str(flow_run.id), "0", name="other")

    assert (again.id, again.name, again.state_name) == (first.id, "load-0", "Running")
    assert any_client.create_task_run(load, flow_run.id, "1").id != first.id


def test_a_task_run_may_belong_to_no_flow_run(any_client, load):
    made = any_client.create_task_run(load, None, "0", name="alone")

    found = any_client.read_task_run(made.id)
    assert (found.name, found.flow_run_id) == ("alone", None)
    alone = TaskRunFilter(flow_run_id={"is_null_": True})
    assert [run.id for run in any_client.read_task_runs(task_run_filter=alone)] == [made.id]


def test_a_task_run_of_a_flow_run_that_is_not_there_is_not_made(any_client, load):
    unknown = new_id()

    with pytest.raises(ObjectNotFound, match=f"no flow run {unknown}"):
        any_client.create_task_run(load, unknown, "0")

    assert any_client.read_task_runs() == []


def test_task_runs_that_were_executed_are_read(any_client, nightly):
    nightly()
    nightly("friday")
    runs = any_client.read_flow_runs()

    def results(**wanted):
        return [run.state.result() for run in any_client.read_task_runs(**wanted)]

    assert results() == ["loaded friday", "loaded monday"]
    assert results(flow_run_filter={"id": {"any_": [str(runs[1].id)]}}) == ["loaded monday"]
    assert results(limit=1, offset=1) == ["loaded monday"]
    assert results(task_run_filter={"tags": {"all_": ["io"]}}, sort="ID_ASC", limit=1) == [
        "loaded monday"
    ]
    first = any_client.read_task_runs(limit=1)
    assert results(after=first[0].id) == ["loaded monday"]
    assert any_client.count_task_runs() == 2
    assert any_client.count_task_runs(flow_filter={"name": {"any_": ["hourly"]}}) == 0


def test_a_task_run_that_is_not_there_is_named(any_client):
    unknown = new_id()
    for ask in (
        any_client.read_task_run,
        any_client.read_task_run_states,
        any_client.read_task_run_result,
        any_client.delete_task_run,
        lambda run_id: any_client.set_task_run_state(run_id, Completed()),
    ):
        with pytest.raises(ObjectNotFound, match=f"no task run {unknown} in .*once it has"):
            ask(unknown)
        with pytest.raises(ValueError, match="'mine' is not the id of a task run"):
            ask("mine")


# -- states ---------------------------------------------------------------------------------------


def test_a_task_run_goes_through_its_states_by_the_rules(any_client, run):
    assert any_client.set_task_run_state(run.id, Running()).status is ACCEPT
    assert any_client.set_task_run_state(run.id, Completed(data=7)).status is ACCEPT

    found = any_client.read_task_run(run.id)
    assert names(any_client.read_task_run_states(run.id)) == ["Pending", "Running", "Completed"]
    assert (found.run_count, found.flow_run_run_count) == (1, 1)
    assert found.state.result() == 7
    assert found.end_time >= found.start_time


def test_a_failure_with_retries_left_becomes_a_wait(any_client, run):
    any_client.set_task_run_state(run.id, Running())

    answer = any_client.set_task_run_state(run.id, Failed(message="no disk"))

    assert (answer.status, answer.state.name) == (REJECT, "AwaitingRetry")
    waiting = any_client.set_task_run_state(run.id, Running())
    assert waiting.status is WAIT
    assert 0 < waiting.details.delay_seconds <= 1


def test_what_is_completed_stays_so_unless_forced(any_client, run):
    any_client.set_task_run_state(run.id, Running())
    any_client.set_task_run_state(run.id, Completed(data=7))

    assert any_client.set_task_run_state(run.id, Running()).status is REJECT
    assert any_client.set_task_run_state(run.id, Paused()).status is ABORT
    assert any_client.set_task_run_state(run.id, Pending(), force=True).status is ACCEPT
    assert any_client.read_task_run(run.id).state_name == "Pending"


def test_tasks_start_only_while_their_flow_run_is_running(any_client, flow_run, run):
    any_client.set_flow_run_state(flow_run.id, Failed(), force=True)

    answer = any_client.set_task_run_state(run.id, Running())

    assert (answer.status, answer.state) == (ABORT, None)
    assert "its tasks cannot run" in answer.details.reason


def test_a_completed_run_gives_its_result_to_others_with_its_cache_key(
    any_client, flow_run, run, load
):
    details = StateDetails(cache_key="monday")
    any_client.set_task_run_state(run.id, Running(state_details=details))
    any_client.set_task_run_state(run.id, Completed(data=7, state_details=details))
    other = any_client.create_task_run(load, flow_run.id, "1")

    answer = any_client.set_task_run_state(other.id, Running(state_details=details))

    assert (answer.status, answer.state.name) == (REJECT, "Cached")
    assert any_client.read_task_run(other.id).state.result() == 7
    refreshing = StateDetails(cache_key="monday", refresh_cache=True)
    third = any_client.create_task_run(load, flow_run.id, "2")
    answer = any_client.set_task_run_state(third.id, Running(state_details=refreshing))
    assert (answer.status, answer.state.name) == (ACCEPT, "Running")
    wanted = TaskRunFilter(cache_key={"any_": ["monday"]})
    assert any_client.count_task_runs(task_run_filter=wanted) == 3


def test_a_task_run_without_a_flow_run_has_states(any_client, load):
    run = any_client.create_task_run(load, None, "0")

    any_client.set_task_run_state(run.id, Running())
    answer = any_client.set_task_run_state(run.id, Completed(data=1))

    assert answer.status is ACCEPT
    assert any_client.read_task_run(run.id).state.result() == 1


# -- while the flow run is executed ---------------------------------------------------------------


def test_the_owner_of_the_flow_run_decides(any_client, flow_run, run, owned_by_another):
    owned_by_another(flow_run)

    answer = any_client.set_task_run_state(run.id, Running())

    assert (answer.status, answer.state) == (ABORT, None)
    assert "which decides about its task runs" in answer.details.reason
    assert any_client.read_task_run(run.id).state_name == "Pending"
    assert any_client.set_task_run_state(run.id, Failed(), force=True).status is ACCEPT
    assert any_client.read_task_run(run.id).state_name == "Failed"


def test_a_flow_may_keep_task_runs_of_its_own_making(client, load):
    @flow
    def own():
        (flow_run,) = client.read_flow_runs()
        run = client.create_task_run(load, flow_run.id, "by-hand")
        client.set_task_run_state(run.id, Running())
        client.set_task_run_state(run.id, Completed(data="made by hand"))
        return load("x")

    assert own() == "loaded x"

    found = client.read_task_runs(sort="ID_ASC")
    assert [run.state.result() for run in found] == ["made by hand", "loaded x"]


# -- results --------------------------------------------------------------------------------------


def test_the_results_of_a_flow_run_are_listed_without_being_loaded(any_client, flow_run, load):
    kinds = {"0": True, "1": [1, 2, 3], "2": "x" * 100_000, "3": None}
    runs = {}
    for key, value in kinds.items():
        run = runs[key] = any_client.create_task_run(load, flow_run.id, key)
        any_client.set_task_run_state(run.id, Running())
        any_client.set_task_run_state(run.id, Completed(data=value))

    found = any_client.read_results(flow_run.id)

    assert [(record.run_name, record.type) for record in found] == [
        ("load-0", "literal"),
        ("load-1", "inline"),
        ("load-2", "reference"),
    ]
    assert {record.flow_run_id for record in found} == {flow_run.id}
    assert found[1] == any_client.read_task_run_result(runs["1"].id)
    assert found[1].size_bytes < 100
    assert found[2].storage is not None
    assert any_client.read_task_run_result(runs["3"].id) is None
    assert any_client.read_results(str(flow_run.id), limit=1, offset=1) == [found[1]]
    assert any_client.read_results(flow_run.id, after=runs["0"].id) == found[1:]


def test_a_result_whose_class_is_gone_is_still_listed(client, load):
    run = client.create_task_run(load, None, "0")
    client.set_task_run_state(run.id, Completed(data=[1]), force=True)
    get_store().write("update task_run set result_data = ?", (b"cnowhere\nGone\n.",))

    record = client.read_task_run_result(run.id)

    assert (record.type, record.size_bytes) == ("inline", 15)


# -- deleting -------------------------------------------------------------------------------------


def test_a_task_run_is_deleted_with_its_logs(any_client, flow_run, run, load):
    other = any_client.create_task_run(load, flow_run.id, "1")
    for each in (run, other):
        any_client.create_logs(
            [
                {
                    "name": "penstock.task_runs",
                    "level": 20,
                    "message": each.name,
                    "timestamp": clock.now(),
                    "flow_run_id": flow_run.id,
                    "task_run_id": each.id,
                }
            ]
        )

    any_client.delete_task_run(run.id)

    assert [left.id for left in any_client.read_task_runs()] == [other.id]
    assert [log.message for log in any_client.read_logs()] == ["load-1"]
    with pytest.raises(ObjectNotFound):
        any_client.delete_task_run(run.id)


def test_a_deleted_result_is_not_taken_from_the_cache(any_client, flow_run, run, load):
    details = StateDetails(cache_key="monday")
    any_client.set_task_run_state(run.id, Completed(data=7, state_details=details), force=True)
    any_client.delete_task_run(run.id)
    other = any_client.create_task_run(load, flow_run.id, "1")

    answer = any_client.set_task_run_state(other.id, Running(state_details=details))

    assert answer.state.name == "Running"


def test_a_subflow_run_stays_when_the_task_run_that_stands_for_it_is_deleted(
    any_client, run, nightly
):
    child = any_client.create_flow_run(nightly, parent_task_run_id=run.id)

    any_client.delete_task_run(run.id)

    assert any_client.read_flow_run(child.id).parent_task_run_id is None


def test_a_task_run_is_not_deleted_while_its_flow_run_is_executed(any_client, flow_run, run):
    get_store().claim(flow_run.id, 30)

    with pytest.raises(RunOwnedElsewhere, match=f"{flow_run.id} is being executed"):
        any_client.delete_task_run(run.id)

    assert any_client.read_task_run(run.id).id == run.id
