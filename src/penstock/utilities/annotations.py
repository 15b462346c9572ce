"""Marks a caller puts around an argument to change how an engine treats it.

A mark is only a box around a value: `unmapped` says "the same for every child of a map",
`allow_failure` says "give me the exception of a failed upstream", `quote` says "do not look
inside". The engine reads the marks while it resolves inputs; the function itself gets the bare
value.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

__all__ = ["BaseAnnotation", "NotSet", "Quote", "allow_failure", "quote", "unmapped"]

T = TypeVar("T")


class BaseAnnotation(Generic[T]):
    """A value with a mark around it.

    Two annotations are equal when they are of the same class and their values are equal.

    Args:
        value: What is marked; any object.

    Example:
        >>> class urgent(BaseAnnotation): ...
        >>> urgent(1).rewrap(2).unwrap()
        2
    """

    __slots__ = ("value",)

    value: T

    def __init__(self, value: T) -> None:
        """Put the mark around `value`."""
        self.value = value

    def unwrap(self) -> T:
        """Return the value without its mark."""
        return self.value

    def rewrap(self, value: Any) -> BaseAnnotation[Any]:
        """Return `value` with the same mark around it."""
        return type(self)(value)

    def __eq__(self, other: object) -> bool:
        """Say whether `other` is the same mark around an equal value."""
        if type(other) is not type(self):
            return NotImplemented
        return bool(self.value == other.value)

    def __hash__(self) -> int:
        """Hash by mark and value; an unhashable value makes the annotation unhashable."""
        return hash((type(self), self.value))

    def __repr__(self) -> str:
        """Show the annotation as it would be written."""
        return f"{type(self).__name__}({self.value!r})"


class unmapped(BaseAnnotation[T]):  # noqa: N801 - used like a function, and known by this name
    """Give every child of a map the whole value instead of one element of it.

    Args:
        value: The value that each child gets.

    Example:
        >>> add.map([1, 2, 3], unmapped(10))  # doctest: +SKIP
    """

    __slots__ = ()

    def __getitem__(self, _index: object) -> T:
        """Return the value, whatever the index: it is the same for each child."""
        return self.value


class allow_failure(BaseAnnotation[T]):  # noqa: N801 - used like a function, and known by this name
    """Run even where this upstream failed; its exception is then given as the argument.

    May be put around a collection, and then holds for every upstream in it. It also holds when a
    future is given by `wait_for`.

    Args:
        value: A future, a state, or a collection of them.

    Example:
        >>> clean_up(allow_failure(load.submit()))  # doctest: +SKIP
    """

    __slots__ = ()


class quote(BaseAnnotation[T]):  # noqa: N801 - used like a function, and known by this name
    """Hand a value on untouched: it is not searched for futures and states.

    Saves the time of walking through a large collection. Futures inside it are not waited for.

    Args:
        value: The value to hand on.

    Example:
        >>> quote([1, 2]).unquote()
        [1, 2]
    """

    __slots__ = ()

    def unquote(self) -> T:
        """Return the value without its mark."""
        return self.value


Quote = quote
"""The former name of `quote`."""


class NotSet:
    """Marks an option that was not given, where None is a value of its own.

    The class itself is the marker: `option is NotSet`. It is never instantiated.
    """

    __slots__ = ()
