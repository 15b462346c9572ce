"""Which record an argument is the value of: what is known by more than its own pickled form.

An object that was read back from its record may be pickled in another way than the one that was
recorded: an array that was a view of another one, an object that writes a set as a list. By its
content alone it would be another input after a resume, and what takes it would be executed again.
So results, and parts of results, that hold objects count by the bytes of their record as well.

In the process that made a result these bytes are those that pickling it gives when it is handed
on: had the flow's code changed it meanwhile, they would differ from those of the record. In a
process that has read it they are those of the record, if it still is as it was read.
"""

from __future__ import annotations

from _blake2 import blake2b  # as in hashlib, which would load OpenSSL
from typing import TYPE_CHECKING, Any, cast

from penstock.results import INLINE_LIMIT_BYTES, InlineResult
from penstock.results.pickling import dumps_bounded, loads
from penstock.utilities.collections import LEAF_TYPES, StopVisiting, visit_collection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from penstock.engine.links import ResultLinks

_DIGEST_BYTES = 16


class Origins:
    """Puts the recorded forms of results in their places, in the arguments of one call.

    Parameters:
        links: which objects are results.
        identity_of: what stands for any other part; as `visit_collection` calls it.

    Attributes:
        found: A result was found whose recorded form is known.
    """

    __slots__ = ("_digests", "_identity_of", "_links", "found")

    def __init__(self, links: ResultLinks, identity_of: Callable[[Any], Any]) -> None:
        self._links = links
        self._identity_of = identity_of
        self._digests: dict[int, bytes | None] = {}
        self.found = False

    def in_place_of(self, argument: Any) -> Any:
        """Give a copy of an argument in which its results are represented by their records."""
        try:
            return visit_collection(argument, self._visit, return_data=True)
        except Exception:  # noqa: BLE001 - a class of the user's may refuse what stands for a value
            return argument

    def _visit(self, part: Any) -> Any:
        kind = type(part)  # pyright: ignore[reportUnknownVariableType]
        origin = None if kind in LEAF_TYPES else self._links.origin_of(part)
        if origin is not None:
            place = _place_in(origin, part)
            digest = None if place is None else self._digest_of(origin)
            if digest is not None:
                self.found = True
                raise StopVisiting(("recorded", digest, place))
        return self._identity_of(part)

    def _digest_of(self, origin: Any) -> bytes | None:
        key = id(origin)
        if key not in self._digests:
            data = _recorded_form(origin)
            digest = None if data is None else blake2b(data, digest_size=_DIGEST_BYTES).digest()
            self._digests[key] = digest
        return self._digests[key]


def _place_in(origin: Any, part: Any) -> int | None:
    """Tell which part of a result an object is: -1 is the whole."""
    whole = origin.get() if isinstance(origin, InlineResult) else origin
    if whole is part:
        return -1
    elements: Iterable[Any]
    if isinstance(whole, dict):
        whole = cast("dict[Any, Any]", whole)
        elements = (*whole.keys(), *whole.values())
    else:
        elements = cast("Iterable[Any]", whole)
    for index, element in enumerate(elements):
        if element is part:
            return index
    return None  # it was taken out


def _recorded_form(origin: Any) -> bytes | None:
    """Give the bytes of a result's record; those of its value itself if it has changed."""
    try:
        if not isinstance(origin, InlineResult):
            return dumps_bounded(origin, INLINE_LIMIT_BYTES)
        recorded = origin.record()[1]
        now = dumps_bounded(origin.get(), INLINE_LIMIT_BYTES)
        if now is None or recorded is None or now == recorded:
            return now
        as_read = dumps_bounded(loads(recorded), INLINE_LIMIT_BYTES)
    except Exception:  # noqa: BLE001 - users' code may raise anything while it is pickled
        return None
    return recorded if now == as_read else now
