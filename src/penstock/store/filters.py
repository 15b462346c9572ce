"""What can be asked of the records: which ones, in which order, and which page of them.

A filter has a field for each thing it may look at, and such a field is a filter of its own:

    FlowRunFilter(
        name=FlowRunFilterName(like_="nightly"),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.FAILED])),
    )

Fields that are not given ask nothing. Those that are given must all hold, or with `operator="or_"`
at least one of them. Nested dictionaries do as well: `FlowRunFilter(name={"like_": "nightly"})`.
Times without a time zone are taken to be in UTC.
"""

from __future__ import annotations

import enum
import functools
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from penstock.states import StateType

PAGE_LIMIT = 200
"""How many records a read gives unless told otherwise."""

LARGEST_PAGE = 10_000
"""The most records that one read gives."""

LARGEST_LIST = 5_000
"""The most values that one condition of a filter may name."""


class Operator(enum.StrEnum):
    """How the fields of a filter go together."""

    and_ = "and_"
    or_ = "or_"


class Filter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The base of all filters.

    Parameters:
        operator: `and_` if all fields that are given must hold, `or_` if one is enough.

    Raises:
        ValueError: a field is given something that it cannot be compared with.
    """

    operator: Operator = Operator.and_

    def __post_init__(self) -> None:
        """Turn dictionaries into filters and texts into what they stand for."""
        for name, kind in _fields(type(self)):
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, _fitted(value, kind, f"{type(self).__name__}.{name}"))


@functools.cache
def _fields(kind: type[Filter]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.type) for field in msgspec.structs.fields(kind))


def _fitted(value: Any, kind: Any, where: str) -> Any:
    try:
        fitted = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        message = f"{where} cannot be {value!r}: {error}."
        raise ValueError(message) from error
    if isinstance(fitted, datetime) and fitted.tzinfo is None:
        return fitted.replace(tzinfo=UTC)
    if isinstance(fitted, list) and len(fitted) > LARGEST_LIST:  # pyright: ignore[reportUnknownArgumentType]
        message = (
            f"{where} names {len(fitted)} values; {LARGEST_LIST} is the most."  # pyright: ignore[reportUnknownArgumentType]
            " Ask several times, with a part of them each."
        )
        raise ValueError(message)
    return fitted  # pyright: ignore[reportUnknownVariableType]


# -- conditions on one thing ----------------------------------------------------------------------


class IdFilter(Filter):
    """By id: one of `any_`, none of `not_any_`."""

    any_: list[UUID] | None = None
    not_any_: list[UUID] | None = None


class OptionalIdFilter(Filter):
    """By an id that may be missing: one of `any_`; missing (`is_null_=True`) or not (`False`)."""

    any_: list[UUID] | None = None
    is_null_: bool | None = None


class TextFilter(Filter):
    """By a text: one of `any_`, none of `not_any_`."""

    any_: list[str] | None = None
    not_any_: list[str] | None = None


class NameFilter(Filter):
    """By name: one of `any_`; with `like_` in it, whatever the case of its letters."""

    any_: list[str] | None = None
    like_: str | None = None


class TagsFilter(Filter):
    """By tags: has all of `all_`; has none (`is_null_=True`) or some (`False`)."""

    all_: list[str] | None = None
    is_null_: bool | None = None


class TimeFilter(Filter):
    """By a time: not after `before_`, not before `after_`; known (`is_null_=False`) or not."""

    before_: datetime | None = None
    after_: datetime | None = None
    is_null_: bool | None = None


class StateTypeFilter(Filter):
    """By the type of the present state: one of `any_`, none of `not_any_`."""

    any_: list[StateType] | None = None
    not_any_: list[StateType] | None = None


class StateFilter(Filter):
    """By the present state's type and name."""

    type: StateTypeFilter | None = None
    name: TextFilter | None = None


class ExistsFilter(Filter):
    """By whether there is any."""

    exists_: bool | None = None


class LevelFilter(Filter):
    """By the level of a log record, as in `logging`: at least `ge_`, at most `le_`."""

    ge_: int | None = None
    le_: int | None = None


# -- filters of records ---------------------------------------------------------------------------


class FlowFilter(Filter):
    """Which flows."""

    id: IdFilter | None = None
    name: NameFilter | None = None
    tags: TagsFilter | None = None


class DeploymentFilter(Filter):
    """Which deployments a flow run was made by."""

    id: IdFilter | None = None


class FlowRunFilter(Filter):
    """Which flow runs."""

    id: IdFilter | None = None
    name: NameFilter | None = None
    tags: TagsFilter | None = None
    deployment_id: OptionalIdFilter | None = None
    state: StateFilter | None = None
    flow_version: TextFilter | None = None
    start_time: TimeFilter | None = None
    end_time: TimeFilter | None = None
    expected_start_time: TimeFilter | None = None
    next_scheduled_start_time: TimeFilter | None = None
    parent_flow_run_id: IdFilter | None = None
    parent_task_run_id: OptionalIdFilter | None = None
    idempotency_key: TextFilter | None = None
    result: ExistsFilter | None = None


class TaskRunFilter(Filter):
    """Which task runs."""

    id: IdFilter | None = None
    name: NameFilter | None = None
    tags: TagsFilter | None = None
    state: StateFilter | None = None
    start_time: TimeFilter | None = None
    end_time: TimeFilter | None = None
    expected_start_time: TimeFilter | None = None
    next_scheduled_start_time: TimeFilter | None = None
    flow_run_id: OptionalIdFilter | None = None
    task_key: TextFilter | None = None
    cache_key: TextFilter | None = None
    subflow_runs: ExistsFilter | None = None
    result: ExistsFilter | None = None


class LogFilter(Filter):
    """Which log records."""

    level: LevelFilter | None = None
    timestamp: TimeFilter | None = None
    flow_run_id: OptionalIdFilter | None = None
    task_run_id: OptionalIdFilter | None = None
    name: NameFilter | None = None
    message: NameFilter | None = None


F = TypeVar("F", bound=Filter)


def as_filter(kind: type[F], value: F | dict[str, Any] | None) -> F | None:
    """Give a filter from a filter or a dictionary of its fields.

    Raises:
        ValueError: it is no such filter.
    """
    return None if value is None else _fitted(value, kind, "A filter")


# -- searches -------------------------------------------------------------------------------------


class Search(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A page of records that meet all filters.

    Parameters:
        flow, flow_run, task_run, deployment, log: filters. One on another kind of record than is
            read asks for a record that belongs to it: flow runs with a failed task run, say.
        sort: the order; by default that of the kind of record that is read.
        limit: the most records to give.
        offset: how many to leave out first.
        after: go on after the record of this id; for orders by id, and cheaper than `offset`.

    Raises:
        ValueError: limit or offset are out of bounds.
    """

    flow: FlowFilter | None = None
    flow_run: FlowRunFilter | None = None
    task_run: TaskRunFilter | None = None
    deployment: DeploymentFilter | None = None
    log: LogFilter | None = None
    sort: str | None = None
    limit: int = PAGE_LIMIT
    offset: int = 0
    after: UUID | None = None

    def __post_init__(self) -> None:
        """Check the bounds."""
        if not 0 <= self.limit <= LARGEST_PAGE:
            message = (
                f"limit={self.limit!r}: one read gives 0 to {LARGEST_PAGE} records. Read several"
                " pages, each with after= the last id of the page before."
            )
            raise ValueError(message)
        if self.offset < 0:
            message = f"offset={self.offset!r}: give how many records to leave out, 0 or more."
            raise ValueError(message)

    def has_filters(self) -> bool:
        """Tell whether any filter is given."""
        return any((self.flow, self.flow_run, self.task_run, self.deployment, self.log))
