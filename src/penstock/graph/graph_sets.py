"""What `flow.tasks` and `flow.edges` are: sets in the order in which their members were added."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSet
from typing import Any, Generic, TypeVar

__all__ = ["GraphSet"]

T = TypeVar("T")


class GraphSet(MutableSet[T], Generic[T]):
    """A set that is a part of a graph: it changes with the graph, and the graph with it.

    It has what a set has. What is made of it (`copy`, `union`, `-` and so on) is a plain set.

    Parameters:
        members: what is in it.
        put: puts a new member into the graph.
        take: takes a member out of the graph.
    """

    __slots__ = ("_members", "_put", "_take")

    def __init__(
        self, members: dict[T, Any], put: Callable[[T], object], take: Callable[[T], object]
    ) -> None:
        self._members = members
        self._put = put
        self._take = take

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> set[Any]:
        """Give what the operators of a set make; asked for by the base class."""
        return set(it)

    def __repr__(self) -> str:
        """Show it as a set."""
        return f"{{{', '.join(map(repr, self._members))}}}" if self._members else "set()"

    def __contains__(self, member: object) -> bool:
        """Tell whether something is in it."""
        return member in self._members

    def __iter__(self) -> Iterator[T]:
        """Go over the members in the order in which they were added."""
        return iter(self._members)

    def __len__(self) -> int:
        """Count the members."""
        return len(self._members)

    def add(self, value: T) -> None:
        """Put a member into the graph; nothing else: `Flow.validate` says what is missing then."""
        if value not in self._members:
            self._put(value)

    def discard(self, value: T) -> None:
        """Take a member out of the graph, if it is there; nothing else, as with `add`."""
        if value in self._members:
            self._take(value)

    def update(self, *others: Iterable[T]) -> None:
        """Put the members of others into the graph."""
        for other in others:
            for member in list(other):
                self.add(member)

    def copy(self) -> set[T]:
        """Give the members as a set of their own."""
        return set(self._members)

    def union(self, *others: Iterable[Any]) -> set[Any]:
        """Give the members of this one and of others."""
        return self.copy().union(*others)

    def intersection(self, *others: Iterable[Any]) -> set[T]:
        """Give the members that are in all others, too."""
        return self.copy().intersection(*others)

    def difference(self, *others: Iterable[Any]) -> set[T]:
        """Give the members that are in no other."""
        return self.copy().difference(*others)

    def symmetric_difference(self, other: Iterable[Any]) -> set[Any]:
        """Give what is in this one or in another, and not in both."""
        return self.copy().symmetric_difference(other)

    def issubset(self, other: Iterable[Any]) -> bool:
        """Tell whether all members are in another."""
        return self.copy().issubset(other)

    def issuperset(self, other: Iterable[Any]) -> bool:
        """Tell whether all members of another are in this one."""
        return all(member in self._members for member in other)
