"""What the methods of the client have in common: bringing arguments into one form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from penstock.results import BaseResult, ResultFactory
from penstock.store.filters import (
    PAGE_LIMIT,
    DeploymentFilter,
    FlowFilter,
    FlowRunFilter,
    Search,
    TaskRunFilter,
    as_filter,
)

if TYPE_CHECKING:
    import enum
    from collections.abc import Iterable

    from penstock.client.port import Port
    from penstock.states import State


class ClientMethods:
    """A part of the client's methods, on the port that does the work."""

    def __init__(self, port: Port) -> None:
        self._port = port


def id_of(value: UUID | str, kind: str) -> UUID:
    """Give the id that a caller means.

    Parameters:
        value: the id, or its text.
        kind: whose it is (`flow run`), for the message.

    Raises:
        ValueError: it is no id.
    """
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        message = (
            f"{value!r} is not the id of a {kind}: give a UUID or its text, such as"
            " '01890a5d-ac96-774b-bcce-b302099a8057'."
        )
        raise ValueError(message) from None


def search_of(
    flow_filter: FlowFilter | dict[str, Any] | None,
    flow_run_filter: FlowRunFilter | dict[str, Any] | None,
    task_run_filter: TaskRunFilter | dict[str, Any] | None,
    deployment_filter: DeploymentFilter | dict[str, Any] | None,
) -> Search:
    """Make a search of the filters that a method was given.

    Raises:
        ValueError: one is neither a filter nor a dictionary of its fields, or a field does not
            fit.
    """
    return Search(
        flow=as_filter(FlowFilter, flow_filter),
        flow_run=as_filter(FlowRunFilter, flow_run_filter),
        task_run=as_filter(TaskRunFilter, task_run_filter),
        deployment=as_filter(DeploymentFilter, deployment_filter),
    )


def page_of(
    search: Search,
    sorts: type[enum.StrEnum],
    sort: str | None,
    limit: int | None,
    offset: int | None,
    after: UUID | str | None = None,
) -> Search:
    """Say which page of a search is wanted.

    Raises:
        ValueError: the order is not one of `sorts`, or limit or offset are out of bounds.
    """
    if sort is not None and sort not in sorts.__members__:
        message = f"sort={sort!r} is not one of {', '.join(sorts.__members__)}."
        raise ValueError(message)
    return msgspec.structs.replace(
        search,
        sort=sort,
        limit=PAGE_LIMIT if limit is None else limit,
        offset=offset or 0,
        after=None if after is None else id_of(after, "record"),
    )


def own_copy(state: State, owner: str) -> State:
    """Copy a state that a caller gives, so that it can be recorded.

    The caller's own stays as it is. A value becomes a result, as if a run had given it.

    Parameters:
        state: the caller's.
        owner: whose state it will be, for messages.
    """
    copy = state.copy(timestamp=state.timestamp)
    data = copy.data
    if data is not None and not isinstance(data, BaseResult):
        factory = ResultFactory(owner=owner)
        copy.data = factory.inline(data) or factory.create(data, {})
    return copy


def tags_of(tags: Iterable[str] | None) -> list[str]:
    """Give tags as they are recorded: each once, in order.

    Raises:
        TypeError: they are one text, or not all texts.
    """
    if tags is None:
        return []
    given: list[Any] = [] if isinstance(tags, str) else list(tags)
    if isinstance(tags, str) or not all(isinstance(tag, str) for tag in given):
        message = f"tags={tags!r}: give a list or a set of texts, such as ['nightly']."
        raise TypeError(message)
    return sorted(set(given))
