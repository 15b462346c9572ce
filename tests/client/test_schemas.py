"""The import paths and class names that programs know."""

from __future__ import annotations

import pytest

from penstock import records, states
from penstock.client import schemas
from penstock.client.schemas import filters, objects, responses, sorting
from penstock.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterName,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    LogFilter,
    LogFilterFlowRunId,
    LogFilterLevel,
    TaskRunFilter,
    TaskRunFilterSubFlowRuns,
)
from penstock.states import StateType


def test_the_records_are_those_of_the_package():
    for name in objects.__all__:
        assert getattr(objects, name) is getattr(
            records if hasattr(records, name) else states, name
        )


@pytest.mark.parametrize("name", schemas.__all__)
def test_the_package_hands_on_those_that_programs_import_from_it(name):
    homes = [objects, responses]
    assert getattr(schemas, name) in [getattr(home, name, None) for home in homes]


def test_filters_are_written_as_programs_know_them():
    wanted = FlowRunFilter(
        name=FlowRunFilterName(like_="nightly"),
        tags=FlowRunFilterTags(all_=["a"]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.FAILED])),
    )

    as_dictionary = FlowRunFilter(
        name={"like_": "nightly"},
        tags={"all_": ["a"]},
        state={"type": {"any_": ["FAILED"]}},
    )
    assert wanted == as_dictionary
    assert LogFilter(
        level=LogFilterLevel(ge_=30), flow_run_id=LogFilterFlowRunId(any_=[])
    ) == LogFilter(level={"ge_": 30}, flow_run_id={"any_": []})
    assert TaskRunFilter(subflow_runs=TaskRunFilterSubFlowRuns(exists_=True)) == TaskRunFilter(
        subflow_runs={"exists_": True}
    )


@pytest.mark.parametrize("kind", ["Flow", "FlowRun", "TaskRun", "Log", "Deployment"])
def test_each_condition_of_a_filter_has_its_name(kind):
    """`FlowRunFilter.start_time` is written `FlowRunFilterStartTime`."""
    whole = getattr(filters, f"{kind}Filter")
    ours = {"result", "task_key", "cache_key", "message"}  # known to penstock alone
    own_names = {"subflow_runs": "SubFlowRuns"}

    for field in set(whole.__struct_fields__) - {"operator"} - ours:
        title = own_names.get(field, field.title().replace("_", ""))
        condition = getattr(filters, f"{kind}Filter{title}")
        assert getattr(whole(**{field: condition()}), field) == condition()


def test_orders_are_their_own_names():
    for name in sorting.__all__:
        assert all(order.value == order.name for order in getattr(sorting, name))
