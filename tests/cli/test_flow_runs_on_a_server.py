"""The commands about runs over a store on a PostgreSQL server: the same SQL has to work there."""

from __future__ import annotations

import pytest

from penstock import flow, get_run_logger, tags, task
from penstock.settings import reload_settings


@task
def one(x):
    get_run_logger().warning("one of %d", x)
    return x


@flow(name="small")
def small():
    return one(1)


@pytest.fixture
def run_id(monkeypatch, postgres_url):
    monkeypatch.setenv("PENSTOCK_STORE_URL", postgres_url)
    reload_settings()
    with tags("nightly", "100%"):
        return str(small(return_state=True).state_details.flow_run_id)


def test_reading(penstock, run_id):
    found = penstock(
        *("flow-run", "ls", "--state", "completed", "--state", "late", "--flow", "small"),
        *("--tag", "100%", "--since", "1h", "--until", "2200-01-01", "--json"),
    )
    assert [each["id"] for each in found.objects] == [run_id]
    assert penstock("flow-run", "ls", "--after", run_id, "--json").objects == []
    assert "Did you mean" in penstock("flow-run", "ls", "--state", "complet").err
    assert "one-0" in penstock("flow-run", "inspect", run_id, "--timeline").out
    assert "one of 1" in penstock("flow-run", "logs", "-", "--follow", "--level", "warning").out
    listed = penstock("task-run", "ls", run_id, "--state", "completed", "--json").objects
    assert [each["name"] for each in listed] == ["one-0"]
    assert penstock("task-run", "result", "one-0").out == "1\n"
    assert penstock("task-run", "inspect", listed[0]["id"][:13]).code == 0
    assert penstock("flow", "inspect", "small", "--json").objects[0]["runs"] == 1
    assert run_id in penstock("flow", "ls").out


def test_executing_again_and_deleting(penstock, run_id):
    assert penstock("flow-run", "retry", run_id, "--from", "one").code == 0
    assert len(penstock("task-run", "ls", run_id, "--json").objects) == 2
    assert "completed" in penstock("flow-run", "resume", run_id, "--plan").out
    assert penstock("flow-run", "delete", run_id, "--yes").code == 0
    assert penstock("flow-run", "ls", "--json").objects == []
