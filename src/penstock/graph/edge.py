"""Edges: what comes after what in a graph, and what is handed on (section 4.1)."""

from __future__ import annotations

import keyword
from typing import Any

from penstock.graph.annotations import annotated
from penstock.graph.wrapping import as_task

__all__ = ["Edge"]


class Edge:
    """Says that a task comes after another one, and perhaps gets its result.

    Parameters:
        upstream_task: what comes before: a task, or a value that becomes one.
        downstream_task: what comes after.
        key: the argument of the downstream task that gets the result; none for none.
        mapped: each child of the downstream task gets an element of the result.
        flattened: the elements' elements are taken.
        flow: where tasks are put that are made for collections.

    Raises:
        ValueError: both ends are the same, or the key is no name of an argument.
    """

    __slots__ = ("_hash", "downstream_task", "flattened", "key", "mapped", "upstream_task")

    def __init__(
        self,
        upstream_task: Any,
        downstream_task: Any,
        key: str | None = None,
        mapped: bool | None = None,  # noqa: FBT001 - the field's signature
        flattened: bool | None = None,  # noqa: FBT001 - the field's signature
        flow: Any = None,
    ) -> None:
        if upstream_task is downstream_task:
            name = getattr(upstream_task, "name", upstream_task)
            message = (
                f"Edges can not have the same task at both ends: {name!r} cannot come after"
                " itself."
            )
            raise ValueError(message)
        if key is not None and (
            not isinstance(key, str) or not key.isidentifier() or keyword.iskeyword(key)  # pyright: ignore[reportUnnecessaryIsInstance]
        ):
            up = getattr(annotated(upstream_task)[0], "name", upstream_task)
            down = getattr(annotated(downstream_task)[0], "name", downstream_task)
            message = (
                f"{key!r} cannot be the key of the edge from {up!r} to {down!r}: a key is the name"
                " of an argument of the task that the edge ends at."
            )
            raise ValueError(message)
        upstream, above = annotated(upstream_task)
        downstream, below = annotated(downstream_task)
        said = {**above, **below}
        self.key = key
        self.mapped: bool = bool(said.get("mapped", mapped))
        self.flattened: bool = bool(said.get("flattened", flattened))
        self.upstream_task: Any = as_task(upstream, flow=flow)
        self.downstream_task: Any = as_task(downstream, flow=flow)
        self._hash = hash(
            (self.upstream_task, self.downstream_task, key, self.mapped, self.flattened)
        )

    @property
    def tasks(self) -> set[Any]:
        """Both ends."""
        return {self.upstream_task, self.downstream_task}

    def __eq__(self, other: object) -> bool:
        """Two edges are equal that say the same of the same tasks."""
        if not isinstance(other, Edge):
            return False
        return (
            self.upstream_task is other.upstream_task
            and self.downstream_task is other.downstream_task
            and self.key == other.key
            and self.mapped == other.mapped
            and self.flattened == other.flattened
        )

    def __hash__(self) -> int:
        """Hash by what it says."""
        return self._hash

    def __repr__(self) -> str:
        """Give both ends, the key, and how it hands on."""
        key = "" if self.key is None else f" ({self.key})"
        how = f"{' mapped' if self.mapped else ''}{' flattened' if self.flattened else ''}"
        return f"<Edge{how}{key}: {self.upstream_task.name} to {self.downstream_task.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it by what it says: the hash is made anew."""
        return Edge, (
            self.upstream_task,
            self.downstream_task,
            self.key,
            self.mapped,
            self.flattened,
        )

    def serialize(self) -> dict[str, Any]:
        """Give the edge as JSON can hold it, its tasks by their names."""
        return {
            "upstream_task": self.upstream_task.name,
            "downstream_task": self.downstream_task.name,
            "key": self.key,
            "mapped": self.mapped,
            "flattened": self.flattened,
        }
