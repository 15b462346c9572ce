"""How edges hand on what comes over them: `mapped`, `unmapped`, `flatten` (section 4.1)."""

from __future__ import annotations

from typing import Any

from penstock.utilities.annotations import allow_failure
from penstock.utilities.annotations import unmapped as unmapped_in_flow

__all__ = ["EdgeAnnotation", "annotated", "flatten", "mapped", "unmapped"]


class EdgeAnnotation:
    """The base of the annotations; they can be put around each other.

    Parameters:
        value: a task or a value, annotated or not.

    Attributes:
        annotations: what all of them say; of two that say opposite things the inner one counts.
        value: what is inside of them.
    """

    def __init__(self, value: Any, **annotations: Any) -> None:
        inner, inside = annotated(value)
        self.annotations: dict[str, Any] = {**annotations, **inside}
        self.value = inner

    def __repr__(self) -> str:
        """Show it as it was written."""
        return f"{type(self).__name__}({self.value!r})"


class mapped(EdgeAnnotation):  # noqa: N801 - reads as what it says of its argument
    """Each child of a mapped task gets its element of the value.

    Example:
        >>> mapped([1, 2]).annotations
        {'mapped': True}
    """

    def __init__(self, value: Any) -> None:
        super().__init__(value, mapped=True)


class unmapped(EdgeAnnotation):  # noqa: N801 - as above
    """Each child of a mapped task gets the whole value.

    Example:
        >>> unmapped([1, 2]).annotations
        {'mapped': False}
    """

    def __init__(self, value: Any) -> None:
        super().__init__(value, mapped=False)


class flatten(EdgeAnnotation):  # noqa: N801 - as above
    """The value is a list of lists, of which the elements' elements are taken.

    Example:
        >>> flatten([[1], [2]]).annotations
        {'flattened': True}
    """

    def __init__(self, value: Any) -> None:
        super().__init__(value, flattened=True)


def annotated(value: Any) -> tuple[Any, dict[str, Any]]:
    """Give a value without its annotations, and what they say.

    `penstock.unmapped` says the same as `unmapped` here.

    Raises:
        TypeError: it is annotated with `allow_failure`, which says nothing in a graph.
    """
    if isinstance(value, EdgeAnnotation):
        return value.value, value.annotations
    if isinstance(value, unmapped_in_flow):
        inner, annotations = annotated(value.unwrap())
        return inner, {"mapped": False, **annotations}
    if isinstance(value, allow_failure):
        message = (
            f"{value!r} says nothing in a graph: there, its trigger says whether a task runs after"
            " a failure. Give the task that takes it trigger=all_finished; one of `penstock.task`"
            " by adopt(task, trigger=all_finished) from penstock.graph.decorated."
        )
        raise TypeError(message)
    return value, {}
