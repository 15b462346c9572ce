from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest

from penstock import runtime
from penstock.client import get_client
from penstock.context import FlowRunContext, TaskRunContext, tags
from penstock.exceptions import ObjectNotFound
from penstock.flows import flow
from penstock.ids import new_id
from penstock.records import FlowRun, TaskRun
from penstock.runtime import deployment, flow_run, task_run
from penstock.settings import temporary_settings
from penstock.tasks import task

MODULES = [flow_run, task_run, deployment]


def everything(module):
    return {name: getattr(module, name) for name in module.__all__}


def test_outside_of_runs_all_is_empty():
    before = datetime.now(UTC)

    start_time = flow_run.scheduled_start_time

    assert before <= start_time <= datetime.now(UTC)
    assert everything(flow_run) | {"scheduled_start_time": None} == {
        "id": None,
        "name": None,
        "flow_name": None,
        "flow_version": None,
        "tags": [],
        "run_count": 0,
        "scheduled_start_time": None,
        "parameters": {},
        "parent_flow_run_id": None,
        "parent_deployment_id": None,
        "api_url": None,
        "ui_url": None,
    }
    assert everything(task_run) == {
        "id": None,
        "name": None,
        "task_name": None,
        "tags": [],
        "parameters": {},
        "run_count": 0,
    }
    assert everything(deployment) == {
        "id": None,
        "name": None,
        "version": None,
        "flow_run_id": None,
        "parameters": {},
    }


@pytest.mark.parametrize("module", MODULES)
def test_attributes_are_listed(module):
    assert dir(module) == sorted(module.__all__)
    assert set(module.__all__) == set(module._FIELDS)


@pytest.mark.parametrize("module", MODULES)
def test_an_unknown_attribute_is_refused(module):
    with pytest.raises(AttributeError, match=r"has no attribute 'colour'; it has .*id"):
        _ = module.colour


def test_the_room_has_its_three_parts():
    assert runtime.__all__ == ["deployment", "flow_run", "task_run"]
    assert runtime.flow_run is flow_run


def test_a_flow_knows_its_run():
    @flow(version="7")
    def ingest(rows, *, limit=3):
        assert rows == [1]
        return everything(flow_run), everything(task_run)

    with tags("nightly"), get_client(sync_client=True) as client:
        of_flow, of_task = ingest([1])
        record = client.read_flow_run(of_flow["id"])

    assert of_flow == {
        "id": str(record.id),
        "name": record.name,
        "flow_name": "ingest",
        "flow_version": "7",
        "tags": ["nightly"],
        "run_count": 1,
        "scheduled_start_time": record.expected_start_time,
        "parameters": {"rows": [1], "limit": 3},
        "parent_flow_run_id": None,
        "parent_deployment_id": None,
        "api_url": None,
        "ui_url": None,
    }
    assert of_task["id"] is None


@pytest.mark.parametrize(
    "call",
    [lambda task: task(7), lambda task: task.submit(7).result()],
    ids=["called", "submitted"],
)
def test_a_task_knows_its_run_and_its_flows(call):
    @task(tags=["slow"])
    def add(number):
        return everything(task_run), flow_run.id, flow_run.flow_name

    @flow
    def ingest():
        return call(add)

    of_task, flow_run_id, flow_name = ingest()
    with get_client(sync_client=True) as client:
        record = client.read_task_run(of_task["id"])

    assert of_task == {
        "id": str(record.id),
        "name": "add-0",
        "task_name": "add",
        "tags": ["slow"],
        "parameters": {"number": 7},
        "run_count": 1,
    }
    assert flow_run_id == str(record.flow_run_id)
    assert flow_name == "ingest"


def test_a_retried_task_knows_how_often_it_ran():
    counts = []

    @task(retries=1)
    def flaky():
        counts.append(task_run.run_count)
        if len(counts) == 1:
            raise ValueError("not yet")

    @flow
    def ingest():
        flaky()

    ingest()

    assert counts == [1, 2]


def test_a_task_alone_has_no_flow_run():
    @task
    def alone():
        return task_run.name, flow_run.id, flow_run.name, flow_run.flow_name, flow_run.parameters

    name, *of_flow = alone()

    assert name.startswith("alone-")
    assert of_flow == [None, None, None, {}]


def test_a_subflow_knows_its_parent():
    @flow
    def child():
        return flow_run.id, flow_run.parent_flow_run_id, flow_run.parent_deployment_id

    @flow
    def parent():
        return flow_run.id, child()

    parent_id, (child_id, known_parent_id, parent_deployment_id) = parent()

    assert known_parent_id == parent_id
    assert child_id != parent_id
    assert parent_deployment_id is None


def test_what_is_given_out_is_a_copy():
    @flow
    def ingest(rows):
        flow_run.parameters["rows"] = 2
        flow_run.tags.append("x")
        return flow_run.parameters, flow_run.tags

    assert ingest(1) == ({"rows": 1}, [])


def test_urls_name_the_run():
    @flow
    def ingest():
        return flow_run.id, flow_run.api_url, flow_run.ui_url

    given = {"PENSTOCK_UI_URL": "http://page:4200/"}
    with temporary_settings(given):
        run_id, api_url, ui_url = ingest()
    assert api_url is None
    assert ui_url == f"http://page:4200/flow-runs/flow-run/{run_id}"

    run = FlowRun(name="brave-otter")
    with (
        temporary_settings({"PENSTOCK_API_URL": "http://server:4200/api/"}),
        FlowRunContext(flow_run=run),
    ):
        assert flow_run.api_url == f"http://server:4200/api/flow_runs/{run.id}"
        assert flow_run.ui_url == f"http://server:4200/flow-runs/flow-run/{run.id}"


def test_where_only_the_id_is_known_the_store_is_read(monkeypatch):
    @flow(version="7")
    def child(rows, limit=3):
        return flow_run.id, flow_run.parent_flow_run_id

    @flow
    def parent():
        return child([1])

    with tags("nightly"):
        child_id, parent_id = parent()
    monkeypatch.setenv("PENSTOCK__FLOW_RUN_ID", child_id)
    with get_client(sync_client=True) as client:
        record = client.read_flow_run(child_id)

    assert everything(flow_run) == {
        "id": child_id,
        "name": record.name,
        "flow_name": "child",
        "flow_version": "7",
        "tags": ["nightly"],
        "run_count": 1,
        "scheduled_start_time": record.expected_start_time,
        "parameters": {"rows": [1], "limit": 3},
        "parent_flow_run_id": parent_id,
        "parent_deployment_id": None,
        "api_url": None,
        "ui_url": None,
    }
    assert deployment.flow_run_id == child_id
    assert deployment.parameters == {"rows": [1], "limit": 3}
    assert task_run.id is None


def test_in_a_worker_the_tasks_context_leads_to_its_flow_run(monkeypatch):
    @flow
    def ingest():
        return flow_run.id, flow_run.name

    run_id, name = ingest()
    monkeypatch.setenv("PENSTOCK__FLOW_RUN_ID", str(uuid4()))
    with get_client(sync_client=True) as client:
        record = client.read_flow_run(run_id)

    with TaskRunContext(task=None, task_run=TaskRun(name="add-0", flow_run_id=record.id)):
        assert (flow_run.id, flow_run.name) == (run_id, name)


def test_an_id_that_no_run_has_is_said(monkeypatch):
    monkeypatch.setenv("PENSTOCK__FLOW_RUN_ID", str(new_id()))
    assert flow_run.id is not None
    with pytest.raises(ObjectNotFound):
        _ = flow_run.name


def test_an_id_that_is_none_is_said(monkeypatch):
    monkeypatch.setenv("PENSTOCK__FLOW_RUN_ID", "tuesday")
    with pytest.raises(ValueError, match="PENSTOCK__FLOW_RUN_ID in the environment is 'tuesday'"):
        _ = flow_run.id


def test_a_deployment_is_that_of_the_flow_run():
    deployment_id = new_id()
    run = FlowRun(name="brave-otter", deployment_id=deployment_id, parameters={"given": 1})
    with FlowRunContext(flow_run=run, parameters={"given": 1, "by_default": 2}):
        assert deployment.id == str(deployment_id)
        assert deployment.flow_run_id == str(run.id)
        assert deployment.parameters == {"given": 1}


@pytest.mark.parametrize(
    ("variable", "text", "read", "value"),
    [
        ("FLOW_RUN__NAME", "my-run", lambda: flow_run.name, "my-run"),
        ("FLOW_RUN__ID", "1", lambda: flow_run.id, "1"),
        ("FLOW_RUN__RUN_COUNT", "7", lambda: flow_run.run_count, 7),
        ("FLOW_RUN__COLOUR", "red", lambda: flow_run.colour, "red"),
        ("TASK_RUN__TASK_NAME", "add", lambda: task_run.task_name, "add"),
        ("TASK_RUN__RUN_COUNT", "7", lambda: task_run.run_count, 7),
        ("DEPLOYMENT__VERSION", "v1", lambda: deployment.version, "v1"),
        ("FLOW_RUN__NAME", "", lambda: flow_run.name, ""),
        (
            "FLOW_RUN__SCHEDULED_START_TIME",
            "2025-03-01T12:00:00",
            lambda: flow_run.scheduled_start_time,
            datetime(2025, 3, 1, 12, tzinfo=UTC),
        ),
        (
            "FLOW_RUN__SCHEDULED_START_TIME",
            "2025-03-01T12:00:00+02:00",
            lambda: flow_run.scheduled_start_time,
            datetime(2025, 3, 1, 12, tzinfo=timezone(timedelta(hours=2))),
        ),
    ],
)
def test_attributes_can_be_given_by_variables(monkeypatch, variable, text, read, value):
    monkeypatch.setenv(f"PENSTOCK__RUNTIME__{variable}", text)
    found = read()

    assert found == value
    assert type(found) is type(value)
    if isinstance(found, datetime):
        assert found.tzinfo is UTC


def test_a_variable_counts_within_runs_too(monkeypatch):
    @flow
    def ingest():
        return flow_run.name, flow_run.run_count

    monkeypatch.setenv("PENSTOCK__RUNTIME__FLOW_RUN__NAME", "my-run")
    monkeypatch.setenv("PENSTOCK__RUNTIME__FLOW_RUN__RUN_COUNT", "9")

    assert ingest() == ("my-run", 9)


@pytest.mark.parametrize(
    ("text", "real", "value"),
    [("true", False, True), ("True", False, True), ("false", True, False), ("2.5", 0.0, 2.5)],
)
def test_truths_and_numbers_are_cast(monkeypatch, text, real, value):
    monkeypatch.setenv("PENSTOCK__RUNTIME__TASK_RUN__RUN_COUNT", text)
    monkeypatch.setitem(task_run._FIELDS, "run_count", lambda: real)

    assert task_run.run_count is value or task_run.run_count == value
    assert type(task_run.run_count) is type(value)


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("FLOW_RUN__TAGS", "a", "cannot stand for an attribute of type list"),
        ("TASK_RUN__PARAMETERS", "{}", "cannot stand for an attribute of type dict"),
        ("FLOW_RUN__RUN_COUNT", "many", "is 'many', but the attribute .* is of type int"),
        ("FLOW_RUN__SCHEDULED_START_TIME", "noon", "is of type datetime"),
    ],
)
def test_a_variable_that_does_not_fit_is_named(monkeypatch, variable, text, expected):
    monkeypatch.setenv(f"PENSTOCK__RUNTIME__{variable}", text)
    module, name = variable.lower().split("__")
    with pytest.raises(ValueError, match=f"PENSTOCK__RUNTIME__{variable}.*{expected}"):
        getattr(getattr(runtime, module), name)
