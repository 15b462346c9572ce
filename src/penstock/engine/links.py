"""Which task run a plain object is the result of (section 5.3, "Linking results").

Bounded: the most recent results only. A reference to each is held while it is linked, so that a
new object in the place of an old one is not taken for it; large results are held weakly.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from penstock.exceptions import PenstockException
from penstock.results import BaseResult
from penstock.utilities.collections import LEAF_TYPES, fields_of

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.states import State

LINKS_LIMIT = 2048
"""The most objects that are linked at once, in one flow run."""

_UNTRACKABLE = frozenset({bool, type(None), type(...), type(NotImplemented)})
_SMALLEST_KEPT_INT, _LARGEST_KEPT_INT = -5, 256
_ELEMENTS_LIMIT = 256
# Of so many elements each is known to be a part of the whole, as in `train, test = split(data)`.
_PARTS_LIMIT = 16


class ResultLinks:
    """The recent results of a flow run's tasks, by identity."""

    __slots__ = ("_former", "_known")

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, bool, UUID, Any]] = {}
        self._former: dict[int, tuple[Any, bool, UUID, Any]] = {}

    def __bool__(self) -> bool:
        """Tell whether anything is linked."""
        return bool(self._known or self._former)

    def add(self, value: Any, run_id: UUID, *, is_small: bool, origin: Any = None) -> bool:
        """Link a result and its direct elements; tell whether a part cannot be tracked.

        Parameters:
            value: the result.
            run_id: the task run that gave it.
            is_small: it may be held; else only what can be held weakly is linked.
            origin: what `origin_of` gives for the value and its parts; the value unless given.
        """
        if origin is None:
            origin = value
        untrackable = self._add_one(value, run_id, origin, is_small=is_small)
        kind = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind is list or kind is tuple or kind is set:
            elements: Any = value
        elif kind is dict:
            elements = [*value.keys(), *value.values()]
        elif kind in LEAF_TYPES:
            return untrackable
        else:
            elements, origin = fields_of(value), None
        if len(elements) <= _ELEMENTS_LIMIT:
            if len(elements) > _PARTS_LIMIT or kind is set:
                origin = None
            for element in elements:
                is_untrackable = self._add_one(element, run_id, origin, is_small=is_small)
                untrackable = is_untrackable or untrackable
        return untrackable

    def _add_one(self, value: Any, run_id: UUID, origin: Any, *, is_small: bool) -> bool:
        kind = type(value)  # pyright: ignore[reportUnknownVariableType]
        if kind in _UNTRACKABLE or (
            kind is int and _SMALLEST_KEPT_INT <= value <= _LARGEST_KEPT_INT
        ):
            return True
        known = self._known
        if is_small:
            known[id(value)] = (value, False, run_id, origin)
        else:
            try:
                known[id(value)] = (weakref.ref(value), True, run_id, None)
            except TypeError:
                return False
        if len(known) >= LINKS_LIMIT // 2:
            # The older half goes when the younger is full: no search for the oldest.
            self._former, self._known = known, {}
        return False

    def find(self, value: Any) -> UUID | None:
        """Give the task run that `value` is the result of, if it is known."""
        found = self._known.get(id(value)) or self._former.get(id(value))
        if found is None:
            return None
        held = found[0]() if found[1] else found[0]
        return found[2] if held is value else None

    def origin_of(self, value: Any) -> Any:
        """Give what a small result, or one of its few elements, comes from; None if unknown.

        That is the result's whole value as its task run gave it in this process, or the recorded
        `InlineResult` where it was read back.
        """
        found = self._known.get(id(value)) or self._former.get(id(value))
        return None if found is None or found[0] is not value else found[3]

    def as_dict(self) -> dict[int, UUID]:
        """Give the task run's id by the identity of each linked object."""
        known = self._former | self._known
        return {key: run_id for key, (_held, _weak, run_id, _origin) in known.items()}


def link_result(links: ResultLinks, run_id: UUID, state: State, *, was_read: bool = False) -> None:
    """Link the result of a run that completed, if it is in memory, and note it in the state.

    Parameters:
        links: those of the flow run.
        run_id: the task run that gave it.
        state: its state.
        was_read: the value was read back from a record, and did not come from the function.
    """
    data = state.data
    if isinstance(data, BaseResult) and data.has_cached_object():
        origin = data if was_read else None
        untrackable = links.add(data.get(), run_id, is_small=data.type == "inline", origin=origin)
        state.state_details.untrackable_result = untrackable


def link_recorded(links: ResultLinks, run_id: UUID, state: State) -> None:
    """Link a result that was recorded before; what cannot be read says so to who asks for it."""
    data = state.data
    if isinstance(data, BaseResult) and data.type == "inline":
        try:
            data.get()
        except PenstockException:
            return
        link_result(links, run_id, state, was_read=True)
