"""Flow runs through the client: made, read, changed, deleted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from penstock import flow
from penstock.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from penstock.client.schemas.sorting import FlowRunSort
from penstock.exceptions import ObjectNotFound, RunOwnedElsewhere
from penstock.filesystems import LocalFileSystem
from penstock.ids import new_id
from penstock.records import FlowRunPolicy
from penstock.states import Completed, Scheduled, StateType
from penstock.store import get_store


def test_a_flow_run_is_made_and_read(any_client, nightly):
    made = any_client.create_flow_run(
        nightly,
        name="by hand",
        parameters={"day": "friday"},
        context={"why": "test"},
        tags=["b", "a", "b"],
    )

    found = any_client.read_flow_run(made.id)

    assert (found.name, found.flow_name, found.flow_version) == ("by hand", "nightly", "7")
    assert (found.parameters, found.context) == ({"day": "friday"}, {"why": "test"})
    assert found.tags == ["a", "b"]
    assert found.empirical_policy == FlowRunPolicy(retries=2, retry_delay=5)
    assert found.state_type is StateType.PENDING
    assert found.run_count == 0
    assert found.state_timestamp == found.expected_start_time
    assert any_client.read_flow_run(str(made.id)).state == made.state


def test_a_flow_run_has_a_name_of_two_words_unless_given(any_client, nightly):
    assert len(any_client.create_flow_run(nightly).name.split("-")) == 2


def test_a_flow_run_begins_in_the_given_state(any_client, nightly):
    when = datetime(2030, 1, 1, tzinfo=UTC)

    run = any_client.create_flow_run(nightly, state=Scheduled(scheduled_time=when))

    assert run.state_type is StateType.SCHEDULED
    assert run.next_scheduled_start_time == run.expected_start_time == when
    assert run.state.state_details.flow_run_id == run.id


def test_a_run_is_made_once_for_an_idempotency_key(any_client, hourly, nightly):
    first = any_client.create_flow_run(nightly, idempotency_key="monday")

    assert any_client.create_flow_run(nightly, idempotency_key="monday").id == first.id
    assert any_client.create_flow_run(nightly, idempotency_key="tuesday").id != first.id
    assert any_client.create_flow_run(hourly, idempotency_key="monday").id != first.id
    assert any_client.count_flow_runs() == 3


def test_a_run_that_was_made_can_be_executed(client, nightly):
    made = client.create_flow_run(nightly, parameters={"day": "friday", "regions": {"eu"}})

    assert nightly.resume(made.id) == "loaded friday"

    found = client.read_flow_run(made.id)
    assert found.state_type is StateType.COMPLETED
    assert [state.name for state in client.read_flow_run_states(made.id)] == [
        "Pending",
        "Running",
        "Completed",
    ]


def test_what_does_not_fit_into_json_is_refused(any_client, nightly):
    with pytest.raises(TypeError, match=r"context=.* does not fit into JSON"):
        any_client.create_flow_run(nightly, context={"at": object()})
    with pytest.raises(TypeError, match="tags='nightly': give a list"):
        any_client.create_flow_run(nightly, tags="nightly")
    assert any_client.read_flow_runs() == []


def test_runs_that_were_executed_are_read(any_client, hourly, nightly):
    nightly()
    hourly()

    found = any_client.read_flow_runs()

    assert [run.flow_name for run in found] == ["hourly", "nightly"]
    assert all(run.state.is_completed() for run in found)
    assert found[0].state.result() is True


def test_runs_are_read_by_filter_order_and_page(any_client, hourly, nightly):
    nightly()
    pending = any_client.create_flow_run(nightly, name="b")
    hourly()
    scheduled = any_client.create_flow_run(hourly, name="a", state=Scheduled())

    def ids(**wanted):
        return [run.id for run in any_client.read_flow_runs(**wanted)]

    waiting = FlowRunFilter(
        state=FlowRunFilterState(
            type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.SCHEDULED])
        )
    )
    assert ids(flow_run_filter=waiting) == [scheduled.id, pending.id]
    assert ids(flow_run_filter=waiting, sort=FlowRunSort.NAME_DESC) == [pending.id, scheduled.id]
    assert ids(flow_run_filter=waiting, limit=1, offset=1) == [pending.id]
    assert ids(flow_run_filter=waiting, flow_filter={"name": {"any_": ["nightly"]}}) == [
        pending.id
    ]
    assert len(ids(task_run_filter={"name": {"like_": "load"}})) == 1
    assert any_client.count_flow_runs(flow_run_filter=waiting) == 2


def test_the_newest_runs_are_read_page_by_page(any_client, nightly):
    made = [any_client.create_flow_run(nightly).id for _ in range(5)]

    first = any_client.read_flow_runs(limit=2)
    second = any_client.read_flow_runs(limit=2, after=first[-1].id)
    third = any_client.read_flow_runs(limit=2, after=str(second[-1].id))

    assert [run.id for run in [*first, *second, *third]] == made[::-1]
    assert any_client.read_flow_runs(limit=2, after=third[-1].id) == []


def test_pages_read_by_offset_are_the_same(client, nightly):
    made = [client.create_flow_run(nightly).id for _ in range(3)]

    found = client.read_flow_runs(limit=2, offset=1)

    assert [run.id for run in found] == [made[1], made[0]]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"sort": "AGE_DESC"}, "sort='AGE_DESC' is not one of ID_ASC, ID_DESC"),
        ({"limit": 10**6}, "limit=1000000: one read gives 0 to 10000"),
        ({"offset": -5}, "offset=-5"),
        ({"after": "x"}, "'x' is not the id of a record"),
        ({"flow_run_filter": {"colour": "red"}}, "unknown field `colour`"),
        ({"flow_run_filter": "red"}, "A filter cannot be 'red'"),
    ],
)
def test_a_search_says_what_it_does_not_understand(any_client, wanted, words):
    with pytest.raises(ValueError, match=words):
        any_client.read_flow_runs(**wanted)


def test_a_run_that_is_not_there_is_named(any_client):
    unknown = new_id()
    for ask in (
        any_client.read_flow_run,
        any_client.read_flow_run_states,
        any_client.read_flow_run_result,
        any_client.delete_flow_run,
        any_client.update_flow_run,
        lambda run_id: any_client.set_flow_run_state(run_id, Completed()),
    ):
        with pytest.raises(ObjectNotFound, match=rf"no flow run {unknown} in .*flow-run ls"):
            ask(unknown)
        with pytest.raises(ValueError, match="'mine' is not the id of a flow run"):
            ask("mine")


# -- changing -------------------------------------------------------------------------------------


def test_what_is_given_is_changed_and_the_rest_stays(any_client, nightly):
    run = any_client.create_flow_run(nightly, parameters={"day": "friday"}, tags=["a"])

    any_client.update_flow_run(run.id, name="renamed", infrastructure_pid="host:7")

    found = any_client.read_flow_run(run.id)
    assert (found.name, found.infrastructure_pid) == ("renamed", "host:7")
    assert (found.parameters, found.tags) == ({"day": "friday"}, ["a"])
    assert found.state == run.state


def test_everything_that_can_be_changed_is(any_client, nightly):
    run = any_client.create_flow_run(nightly, tags=["a"])
    policy = FlowRunPolicy(retries=9, retry_delay=1.5)

    changed = any_client.update_flow_run(
        run.id,
        flow_version="8",
        parameters={"day": "sunday"},
        tags={"b", "c"},
        empirical_policy=policy,
        job_variables={"cpu": 2},
    )

    found = any_client.read_flow_run(run.id)
    for each in (changed, found):
        assert (each.flow_version, each.parameters) == ("8", {"day": "sunday"})
        assert (each.tags, each.job_variables) == (["b", "c"], {"cpu": 2})
        assert each.empirical_policy == policy
    any_client.update_flow_run(run.id, tags=[])
    assert any_client.read_flow_run(run.id).tags == []


def test_changed_parameters_are_what_the_flow_is_executed_with(client, nightly):
    run = client.create_flow_run(nightly, parameters={"day": "friday", "regions": {"eu"}})

    client.update_flow_run(run.id, parameters={"day": "sunday"})

    assert nightly.resume(run.id) == "loaded sunday"


def test_a_run_is_not_changed_while_it_is_executed(any_client, nightly):
    run = any_client.create_flow_run(nightly, name="mine")
    get_store().claim(run.id, 30)

    with pytest.raises(RunOwnedElsewhere, match=r"'mine' is being executed.*flow_run_name"):
        any_client.update_flow_run(run.id, name="yours")

    assert any_client.read_flow_run(run.id).name == "mine"


# -- results --------------------------------------------------------------------------------------


def test_a_result_is_described_without_being_loaded(any_client, load, nightly):
    assert load.fn("x") == "loaded x"
    nightly()
    (run,) = any_client.read_flow_runs()

    record = any_client.read_flow_run_result(run.id)

    assert (record.flow_run_id, record.task_run_id) == (run.id, None)
    assert (record.run_name, record.state_name) == (run.name, "Completed")
    assert (record.type, record.storage, record.storage_key) == ("inline", None, None)
    assert record.size_bytes > 0
    assert "bytes" in record.description


def test_a_result_in_storage_is_described_by_its_place(client, tmp_path):
    @flow(persist_result=True, result_storage=LocalFileSystem(basepath=str(tmp_path / "kept")))
    def keeping():
        return [1, 2, 3]

    keeping()
    (run,) = client.read_flow_runs()

    record = client.read_flow_run_result(run.id)

    assert (record.type, record.serializer) == ("reference", "pickle")
    assert str(tmp_path / "kept") in record.storage
    assert (tmp_path / "kept" / record.storage_key).is_file()


def test_a_run_without_a_result_has_no_record_of_one(any_client, nightly):
    run = any_client.create_flow_run(nightly)

    assert any_client.read_flow_run_result(run.id) is None


# -- deleting -------------------------------------------------------------------------------------


def test_a_flow_run_is_deleted_with_what_belongs_to_it(any_client, nightly):
    nightly()
    kept = any_client.read_flow_runs()[0]
    nightly()
    gone = any_client.read_flow_runs()[0]

    any_client.delete_flow_run(gone.id)

    assert [run.id for run in any_client.read_flow_runs()] == [kept.id]
    assert {run.flow_run_id for run in any_client.read_task_runs()} == {kept.id}
    assert {log.flow_run_id for log in any_client.read_logs()} == {kept.id}
    with pytest.raises(ObjectNotFound):
        any_client.read_flow_run(gone.id)


def test_subflow_runs_stay_when_their_parent_is_deleted(client, hourly):
    @flow
    def parent():
        return hourly()

    parent()
    runs = {run.flow_name: run for run in client.read_flow_runs()}
    assert runs["hourly"].parent_task_run_id is not None

    client.delete_flow_run(runs["parent"].id)

    (left,) = client.read_flow_runs()
    assert left.id == runs["hourly"].id
    assert left.parent_task_run_id is None


def test_a_flow_run_is_not_deleted_while_it_is_executed(any_client, owned_by_another, nightly):
    run = any_client.create_flow_run(nightly)
    other = owned_by_another(run)

    with pytest.raises(RunOwnedElsewhere, match=f"{run.id} is being executed by process"):
        any_client.delete_flow_run(run.id)
    assert other.commit() == "None"

    other.kill()
    any_client.delete_flow_run(run.id)
    assert any_client.read_flow_runs() == []
