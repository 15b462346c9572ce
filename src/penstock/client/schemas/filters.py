"""Filters: which records to read. What each may ask is in `penstock.store.filters`.

A condition on one thing has a name for each place where it may stand, as programs know them, and
one implementation: `FlowRunFilterName` and `TaskRunFilterName` are the same class.

    from penstock.client.schemas.filters import FlowRunFilter, FlowRunFilterName

    client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(like_="nightly")))
"""

from __future__ import annotations

from penstock.store.filters import (
    DeploymentFilter,
    ExistsFilter,
    FlowFilter,
    FlowRunFilter,
    IdFilter,
    LevelFilter,
    LogFilter,
    NameFilter,
    Operator,
    OptionalIdFilter,
    StateFilter,
    StateTypeFilter,
    TagsFilter,
    TaskRunFilter,
    TextFilter,
    TimeFilter,
)

DeploymentFilterId = IdFilter

FlowFilterId = IdFilter
FlowFilterName = NameFilter
FlowFilterTags = TagsFilter

FlowRunFilterDeploymentId = OptionalIdFilter
FlowRunFilterEndTime = TimeFilter
FlowRunFilterExpectedStartTime = TimeFilter
FlowRunFilterFlowVersion = TextFilter
FlowRunFilterId = IdFilter
FlowRunFilterIdempotencyKey = TextFilter
FlowRunFilterName = NameFilter
FlowRunFilterNextScheduledStartTime = TimeFilter
FlowRunFilterParentFlowRunId = IdFilter
FlowRunFilterParentTaskRunId = OptionalIdFilter
FlowRunFilterStartTime = TimeFilter
FlowRunFilterState = StateFilter
FlowRunFilterStateName = TextFilter
FlowRunFilterStateType = StateTypeFilter
FlowRunFilterTags = TagsFilter

LogFilterFlowRunId = OptionalIdFilter
LogFilterLevel = LevelFilter
LogFilterName = NameFilter
LogFilterTaskRunId = OptionalIdFilter
LogFilterTimestamp = TimeFilter

TaskRunFilterEndTime = TimeFilter
TaskRunFilterExpectedStartTime = TimeFilter
TaskRunFilterFlowRunId = OptionalIdFilter
TaskRunFilterId = IdFilter
TaskRunFilterName = NameFilter
TaskRunFilterNextScheduledStartTime = TimeFilter
TaskRunFilterStartTime = TimeFilter
TaskRunFilterState = StateFilter
TaskRunFilterStateName = TextFilter
TaskRunFilterStateType = StateTypeFilter
TaskRunFilterSubFlowRuns = ExistsFilter
TaskRunFilterTags = TagsFilter

__all__ = [
    "DeploymentFilter",
    "DeploymentFilterId",
    "ExistsFilter",
    "FlowFilter",
    "FlowFilterId",
    "FlowFilterName",
    "FlowFilterTags",
    "FlowRunFilter",
    "FlowRunFilterDeploymentId",
    "FlowRunFilterEndTime",
    "FlowRunFilterExpectedStartTime",
    "FlowRunFilterFlowVersion",
    "FlowRunFilterId",
    "FlowRunFilterIdempotencyKey",
    "FlowRunFilterName",
    "FlowRunFilterNextScheduledStartTime",
    "FlowRunFilterParentFlowRunId",
    "FlowRunFilterParentTaskRunId",
    "FlowRunFilterStartTime",
    "FlowRunFilterState",
    "FlowRunFilterStateName",
    "FlowRunFilterStateType",
    "FlowRunFilterTags",
    "IdFilter",
    "LevelFilter",
    "LogFilter",
    "LogFilterFlowRunId",
    "LogFilterLevel",
    "LogFilterName",
    "LogFilterTaskRunId",
    "LogFilterTimestamp",
    "NameFilter",
    "Operator",
    "OptionalIdFilter",
    "StateFilter",
    "StateTypeFilter",
    "TagsFilter",
    "TaskRunFilter",
    "TaskRunFilterEndTime",
    "TaskRunFilterExpectedStartTime",
    "TaskRunFilterFlowRunId",
    "TaskRunFilterId",
    "TaskRunFilterName",
    "TaskRunFilterNextScheduledStartTime",
    "TaskRunFilterStartTime",
    "TaskRunFilterState",
    "TaskRunFilterStateName",
    "TaskRunFilterStateType",
    "TaskRunFilterSubFlowRuns",
    "TaskRunFilterTags",
    "TextFilter",
    "TimeFilter",
]
