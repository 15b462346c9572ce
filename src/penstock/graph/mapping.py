"""What the children of a mapped task are given (section 6.4): columns, one for each edge.

A column gives for an index the state that the child with this index finds upstream. Elements are
taken when a child is about to run, so that a map over many costs no more at once than over few.
"""

# ruff: noqa: SLF001 - `State._result` is the result object; `result` gives its value only
# pyright: reportPrivateUsage=false

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any, cast

from penstock.graph.results import NoResult, Result
from penstock.graph.state import Failed, Mapped, Pending, State
from penstock.graph.task_checks import length_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.graph.edge import Edge
    from penstock.graph.nodes import Node

_WHOLE: tuple[type[Any], ...] = (str, bytes, dict)
"""What can be iterated over, but is meant as one value."""

_logger = logging.getLogger("penstock.graph.flow_runner")


class UnmappableResult(TypeError):
    """A value that was to be mapped over gives no elements by their places."""


class Column:
    """What one edge brings to the children of a mapped task.

    Parameters:
        edge: the edge.
        get: gives the state for an index; raises IndexError beyond the last.
        length: how many there are; none where every child gets the same.
        follows: the node whose child of the same index each child waits for.
    """

    __slots__ = ("edge", "follows", "get", "length")

    def __init__(
        self,
        edge: Edge,
        get: Callable[[int], State],
        length: int | None = None,
        follows: Node | None = None,
    ) -> None:
        self.edge = edge
        self.get = get
        self.length = length
        self.follows = follows


def columns_of(node: Node, parent: Mapped) -> tuple[list[Column], int]:
    """Give the columns of a mapped task whose parent is there, and how many children it has.

    Raises:
        UnmappableResult: a value gives no elements by their places.
    """
    was_mapped = isinstance(node.given, Mapped)
    cached = parent.cached_inputs if was_mapped else {}
    columns = [_column(edge, above, cached, was_mapped) for edge, above in node.upstream]
    columns += [Column(edge, _same(state)) for edge, state in node.constants.items()]
    lengths = [column.length for column in columns if column.length is not None]
    if not node.upstream:
        return columns, 0
    if was_mapped and node.given is not None:
        former = len(cast("Mapped", node.given).map_states) or parent.n_map_states
        if former or not lengths:
            lengths.append(former)
    return columns, min(lengths, default=0)


def _column(edge: Edge, above: Node, cached: dict[str, Result], was_mapped: bool) -> Column:  # noqa: FBT001 - one caller
    state = _flattened(edge, above) if edge.flattened else above.state
    assert state is not None
    if not edge.mapped:
        return Column(edge, _same(state))
    if isinstance(state, Mapped):
        if edge.flattened or not above.is_mapped:
            states: list[Any] = state.map_states
            return Column(edge, _child_of(states), len(states))
        return Column(edge, _child_of(above.children), len(above.children), above)
    result = state._result
    if edge.key is not None and edge.key in cached:
        result = cached[edge.key]
    elif was_mapped and result == NoResult:
        return Column(edge, _same(state))
    value = result.value
    if not hasattr(value, "__getitem__"):
        # It fixes no width: of a former run that is mapped, say, whose inputs are gone.
        return Column(edge, lambda _index: _with_value(state, result, None))
    return Column(edge, _element_of(edge, state, result), _length(value, edge))


def _length(value: Any, edge: Edge) -> int:
    """Give how many elements a value has by place.

    Raises:
        UnmappableResult: it has none by place, as a dictionary has not.
    """
    length = length_of(value)
    if length is None:
        message = (
            f"{_edge_text(edge)} brings a {type(value).__name__}, which cannot be mapped over: it"
            " has no elements by their places. Give a list, for example list(value) or"
            " list(value.items())."
        )
        raise UnmappableResult(message)
    return length


def _edge_text(edge: Edge) -> str:
    key = "" if edge.key is None else f" ({edge.key!r})"
    return f"The edge from {edge.upstream_task.name!r} to {edge.downstream_task.name!r}{key}"


def _same(state: State) -> Callable[[int], State]:
    return lambda _index: state


def _child_of(states: list[Any]) -> Callable[[int], State]:
    # What is missing is of a former run that did not get so far: it is not finished.
    return lambda index: states[index] or Pending()


def _element_of(edge: Edge, state: State, result: Any) -> Callable[[int], State]:
    value = result.value

    def get(index: int) -> State:
        try:
            element = value[index]
        except Exception as error:  # noqa: BLE001 - becomes the state that the child finds
            message = (
                f"{_edge_text(edge)} brings a {type(value).__name__} that gave no element {index}"
                f" when it was asked for it: {error!r}"
            )
            _logger.error(message)  # noqa: TRY400 - it is the value's error, not ours
            return Failed(message=message, result=error)
        return _with_value(state, result, element)

    return get


def _with_value(state: State, result: Any, value: Any) -> State:
    """Give the same state with one element of its result."""
    made = copy.copy(state)
    make = result if isinstance(result, Result) else Result()
    made.result = make.from_value(value)
    return made


# -- flatten --------------------------------------------------------------------------------------


def flattened_state(edge: Edge, above: Node) -> State:
    """Give the state of a complete task as `flatten` has it, for a task that is not mapped."""
    return _flattened(edge, above)


def _flattened(edge: Edge, above: Node) -> State:
    found = above.flattened.get(edge)
    if found is None:
        state = above.state
        assert state is not None
        if isinstance(state, Mapped):
            found = _flattened_children(state)
        else:
            found = _flattened_value(state)
        above.flattened = {**above.flattened, edge: found}
    return found


def _flattened_value(state: State) -> State:
    """Give the state with its list of lists as one list; what is none is left as it is."""
    value = state.result
    if not state.is_successful() or isinstance(value, _WHOLE):
        return state
    try:
        parts = list(value)
        if any(isinstance(part, _WHOLE) for part in parts):
            return state
        flat = [element for part in parts for element in part]
    except TypeError:
        return state
    return _with_value(state, state._result, flat)


def _flattened_children(state: Mapped) -> Mapped:
    states: list[State | None] = []
    children: list[State | None] = state.map_states
    for child in children:
        states += [None] if child is None else _parts_of(child)
    return Mapped(
        message=state.message,
        result=[None if part is None else part.result for part in states],
        map_states=states,
        context=state.context,
        cached_inputs=state.cached_inputs,
    )


def _parts_of(child: State) -> list[State]:
    """Give a child's elements as a state each; one that has none passes through."""
    if not child.is_successful() or child.is_skipped():
        return [child]
    value: Any = child.result
    result = child._result
    try:
        elements = None if isinstance(value, _WHOLE) else list(value)
    except TypeError:
        elements = None
    if elements is None:
        _logger.warning(
            "`flatten` used on a task that did not return an iterable: one of its children gave a"
            " value of type %s, which is passed on as it is.",
            type(value).__name__,
        )
        return [child]
    return [_with_value(child, result, element) for element in elements]
