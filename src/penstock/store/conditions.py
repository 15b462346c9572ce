"""Filters as SQL conditions: what each condition of a filter means for a column."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, false, not_, null, or_, select, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from penstock.store import schema
from penstock.store.encoding import NO_FLOW_RUN, epoch_of
from penstock.store.filters import (
    ExistsFilter,
    FlowFilter,
    FlowRunFilter,
    IdFilter,
    LogFilter,
    Operator,
    StateFilter,
    TaskRunFilter,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from penstock.store.filters import Filter

Condition = ColumnElement[bool]

# The aliases that the column lists of `statements.py` go by.
FLOW = schema.flow.alias("f")
FLOW_RUN = schema.flow_run.alias("r")
TASK_RUN = schema.task_run.alias("t")
LOG = schema.log.alias("l")


def _plain(value: Any) -> Any:
    """Turn a filter's value into what the column holds."""
    if isinstance(value, UUID):
        return value.bytes
    if isinstance(value, datetime):
        return epoch_of(value)
    if isinstance(value, enum.Enum):
        return value.value
    return value


def _plain_list(values: Iterable[Any]) -> list[Any]:
    return [_plain(value) for value in values]


class _TagsOf(FunctionElement[str]):
    """The tags of a column, which are kept as a JSON list: a table of them."""

    inherit_cache = True


@compiles(_TagsOf, "sqlite")
def _in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_TagsOf, "postgresql")
def _in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    tags = compiler.process(element.clauses, **options)
    return f"json_array_elements_text(({tags})::json)"


def _has_tags(column: ColumnElement[Any], tags: list[str]) -> Condition:
    def has(tag: str) -> Condition:
        each = _TagsOf(column).table_valued("value")
        return exists(select(1).select_from(each).where(each.c.value == tag))

    return and_(true(), *(has(tag) for tag in tags))


def _is_missing(column: Any, missing: bool) -> Condition:  # noqa: FBT001 - the filter's value
    # In a key, where no null may be, zeros stand for a missing id.
    absent = column == NO_FLOW_RUN if column.primary_key else column.is_(None)
    return absent if missing else not_(absent)


_MEANINGS: dict[str, Callable[[Any, Any], Condition]] = {
    "any_": lambda column, values: column.in_(_plain_list(values)),
    "not_any_": lambda column, values: column.not_in(_plain_list(values)),
    "all_": _has_tags,
    "like_": lambda column, text: column.icontains(text, autoescape=True),
    "before_": lambda column, moment: column <= _plain(moment),
    "after_": lambda column, moment: column >= _plain(moment),
    "ge_": lambda column, bound: column >= bound,
    "le_": lambda column, bound: column <= bound,
    "is_null_": _is_missing,
}


def _given(wanted: Filter) -> list[tuple[str, Any]]:
    names = (name for name in wanted.__struct_fields__ if name != "operator")
    return [(name, value) for name in names if (value := getattr(wanted, name)) is not None]


def _together(operator: Operator, conditions: list[Condition]) -> Condition:
    if not conditions:
        return true()
    return and_(*conditions) if operator is Operator.and_ else or_(false(), *conditions)


def _on(column: Any, wanted: Filter) -> Condition:
    """Give the condition that a filter on one thing puts on its column."""
    return _together(
        wanted.operator, [_MEANINGS[name](column, value) for name, value in _given(wanted)]
    )


def _on_state(table: Any, wanted: StateFilter) -> Condition:
    columns = {"type": table.c.state_type, "name": table.c.state_name}
    return _together(
        wanted.operator, [_on(columns[name], inner) for name, inner in _given(wanted)]
    )


def _on_parent_flow_run(wanted: IdFilter) -> Condition:
    own = schema.task_run.alias("parent")
    parents = select(own.c.id).where(_on(own.c.flow_run_id, wanted))
    return FLOW_RUN.c.parent_task_run_id.in_(parents)


def _if_wanted(found: Condition, wanted: ExistsFilter) -> Condition:
    if wanted.exists_ is None:
        return true()
    return found if wanted.exists_ else not_(found)


def _on_record(table: Any, wanted: Filter) -> Condition:
    def one(name: str, inner: Any) -> Condition:
        if isinstance(inner, StateFilter):
            return _on_state(table, inner)
        if name == "parent_flow_run_id":
            return _on_parent_flow_run(inner)
        if name == "subflow_runs":
            child = schema.flow_run.alias("child")
            its_own = child.c.parent_task_run_id == TASK_RUN.c.id
            return _if_wanted(exists(select(null()).where(its_own)), inner)
        if name == "result":
            return _if_wanted(table.c.result_type.is_not(None), inner)
        return _on(table.c[name], inner)

    return _together(wanted.operator, [one(name, inner) for name, inner in _given(wanted)])


def on_flow(wanted: FlowFilter) -> Condition:
    """Give the condition of a filter on flows."""
    return _on_record(FLOW, wanted)


def on_flow_run(wanted: FlowRunFilter) -> Condition:
    """Give the condition of a filter on flow runs."""
    return _on_record(FLOW_RUN, wanted)


def on_task_run(wanted: TaskRunFilter) -> Condition:
    """Give the condition of a filter on task runs."""
    return _on_record(TASK_RUN, wanted)


def on_log(wanted: LogFilter) -> Condition:
    """Give the condition of a filter on logs."""
    return _on_record(LOG, wanted)


def on_deployment(wanted: IdFilter) -> Condition:
    """Give the condition of a filter on the deployments that flow runs were made by."""
    return _on(FLOW_RUN.c.deployment_id, wanted)
