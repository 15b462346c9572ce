"""What cancelled flow runs have left is cancelled (spec 4.6)."""

from __future__ import annotations

import pytest

from penstock import clock, flow, get_client, task
from penstock.services.cancelling import LOOK_BACK_S, clean_up_cancelled
from penstock.states import Cancelled, Pending, Running
from penstock.store import get_store


@task
def step():
    """Do nothing."""


@flow
def outer():
    """Do nothing."""


@pytest.fixture
def client(records):
    del records  # in a store of each kind
    with get_client(sync_client=True) as made:
        yield made


def make_tree(client):
    """Record a flow run with a task run, and a subflow run with one."""
    parent = client.create_flow_run(outer, state=Running())
    own = client.create_task_run(step, parent.id, "own", state=Running())
    dummy = client.create_task_run(step, parent.id, "dummy", state=Running())
    child = client.create_flow_run(outer, parent_task_run_id=dummy.id, state=Running())
    inner = client.create_task_run(step, child.id, "inner", state=Pending())
    return parent, child, (own, dummy, inner)


def test_cancelling_cancels_what_is_left_at_once(client):
    parent, child, tasks = make_tree(client)

    client.set_flow_run_state(parent.id, Cancelled())

    assert client.read_flow_run(child.id).state.is_cancelled()
    states = [client.read_task_run(one.id).state for one in tasks]
    assert {state.name for state in states} == {"Cancelled"}
    assert {state.message for state in states} == {"The parent flow run was cancelled."}
    assert clean_up_cancelled(get_store(), clock.epoch()) == []


def test_what_came_after_is_cleaned_up(client):
    parent, child, _tasks = make_tree(client)
    client.set_flow_run_state(parent.id, Cancelled())
    late = client.create_task_run(step, parent.id, "late", state=Running())
    later = client.create_task_run(step, child.id, "later", state=Pending())

    cleaned = clean_up_cancelled(get_store(), clock.epoch())

    assert {(one.kind, one.id, one.state_name) for one in cleaned} == {
        ("task run", late.id, "Cancelled"),
        ("task run", later.id, "Cancelled"),
    }
    assert client.read_task_run(late.id).state.is_cancelled()
    assert clean_up_cancelled(get_store(), clock.epoch()) == []


def test_what_was_cancelled_long_ago_is_left_alone(client):
    parent, _child, _tasks = make_tree(client)
    client.set_flow_run_state(parent.id, Cancelled())
    client.create_task_run(step, parent.id, "late", state=Running())

    assert clean_up_cancelled(get_store(), clock.epoch() + LOOK_BACK_S + 1) == []
