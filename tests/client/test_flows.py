"""Flows through the client."""

from __future__ import annotations

import pytest

from penstock.exceptions import ObjectNotFound, RunOwnedElsewhere
from penstock.ids import new_id
from penstock.store import get_store


def test_a_flow_is_recorded_once(any_client, nightly):
    made = any_client.create_flow(nightly)

    assert any_client.create_flow_from_name("nightly") == made
    assert any_client.read_flow(made).name == "nightly"
    assert any_client.read_flow(str(made)).id == made
    assert any_client.read_flow_by_name("nightly").id == made
    assert any_client.count_flows() == 1


def test_a_flow_that_ran_is_recorded(any_client, hourly):
    hourly()

    (found,) = any_client.read_flows()

    assert found.name == "hourly"
    assert found.created.tzinfo is not None


def test_flows_are_read_by_filter_order_and_page(any_client):
    for name in ("b", "a", "c"):
        any_client.create_flow_from_name(name)

    def names(**wanted):
        return [flow.name for flow in any_client.read_flows(**wanted)]

    assert names() == ["a", "b", "c"]
    assert names(sort="CREATED_DESC", limit=2) == ["c", "a"]
    assert names(offset=1, limit=1) == ["b"]
    assert names(flow_filter={"name": {"any_": ["c"]}}) == ["c"]
    assert any_client.count_flows(flow_filter={"name": {"like_": "B"}}) == 1


def test_a_flow_that_is_not_there_is_named(any_client):
    unknown = new_id()
    with pytest.raises(ObjectNotFound, match=f"no flow {unknown} in the store"):
        any_client.read_flow(unknown)
    with pytest.raises(ObjectNotFound, match=r"no flow called 'weekly'.*first run"):
        any_client.read_flow_by_name("weekly")


def test_what_is_no_id_is_said_to_be_none(any_client):
    with pytest.raises(ValueError, match="'nightly' is not the id of a flow: give a UUID"):
        any_client.read_flow("nightly")
    with pytest.raises(ValueError, match="12 is not the id of a flow"):
        any_client.read_flow(12)


def test_an_order_that_does_not_exist_is_refused_with_those_that_do(any_client):
    with pytest.raises(ValueError, match=r"sort='AGE' is not one of CREATED_DESC, .*NAME_ASC"):
        any_client.read_flows(sort="AGE")


def test_a_flow_is_deleted_with_its_runs(client, hourly, nightly):
    nightly()
    nightly()
    hourly()
    flow_id = client.read_flow_by_name("nightly").id

    client.delete_flow(flow_id)

    assert [flow.name for flow in client.read_flows()] == ["hourly"]
    assert [run.flow_name for run in client.read_flow_runs()] == ["hourly"]
    assert client.read_task_runs() == []
    assert {log.flow_run_id for log in client.read_logs()} == {client.read_flow_runs()[0].id}
    with pytest.raises(ObjectNotFound):
        client.delete_flow(flow_id)


def test_a_deleted_flow_can_be_run_again(client, nightly):
    nightly()
    former = client.read_flow_by_name("nightly").id
    client.delete_flow(former)

    nightly()

    (run,) = client.read_flow_runs()
    assert run.flow_name == "nightly"
    assert run.flow_id == client.read_flow_by_name("nightly").id != former


def test_a_flow_is_not_deleted_while_a_run_of_it_is_executed(client, nightly):
    done, running = client.create_flow_run(nightly), client.create_flow_run(nightly)
    get_store().claim(running.id, 30)

    with pytest.raises(RunOwnedElsewhere, match=f"{running.id} is being executed"):
        client.delete_flow(running.flow_id)

    assert {run.id for run in client.read_flow_runs()} == {done.id, running.id}
