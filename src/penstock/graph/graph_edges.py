"""The tasks and edges of a flow, and what follows from them: orders, roots, ends (section 4.4).

What follows is worked out when it is asked for and kept until tasks or edges change. Every
question about one task costs what its answer does.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, KeysView

    from penstock.graph.edge import Edge
    from penstock.graph.task import Task


class GraphEdges:
    """The base of `Flow`: its tasks, with what each is known by, and its edges."""

    name: Any

    def __init__(self) -> None:
        self.slugs: dict[Task, str] = {}
        self.constants: dict[Task, dict[str, Any]] = {}
        self._edges: dict[Edge, None] = {}
        self._incoming: dict[Task, dict[Edge, None]] = {}
        self._outgoing: dict[Task, dict[Edge, None]] = {}
        self._slugs_used: set[str] = set()
        self._slug_numbers: dict[str, int] = {}
        self._reference_tasks: dict[Task, None] = {}
        self._cache: dict[Any, Any] = {}

    def _cached(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]

    # -- all of them --------------------------------------------------------------------------

    @property
    def tasks(self) -> KeysView[Task]:
        """The tasks, in the order in which they were added."""
        return self.slugs.keys()

    @property
    def edges(self) -> KeysView[Edge]:
        """The edges, in the order in which they were added."""
        return self._edges.keys()

    def _known(self, task: Any) -> Any:
        if task not in self.slugs:
            name = getattr(task, "name", task)
            message = f"Task {name!r} was not found in Flow {self.name!r}."
            raise ValueError(message)
        return task

    # -- of one task --------------------------------------------------------------------------

    def edges_to(self, task: Task) -> set[Edge]:
        """Give the edges that end at a task.

        Raises:
            ValueError: the task is not in the flow.
        """
        return set(self._incoming.get(self._known(task), ()))

    def edges_from(self, task: Task) -> set[Edge]:
        """Give the edges that begin at a task.

        Raises:
            ValueError: the task is not in the flow.
        """
        return set(self._outgoing.get(self._known(task), ()))

    def edges_in_order(self, task: Task) -> list[Edge]:
        """Give the edges that end at a task in the order in which they were added."""
        return list(self._incoming.get(task, ()))

    def has_edges(self, task: Task) -> bool:
        """Tell whether an edge begins or ends at a task, or it was given a constant."""
        return bool(
            self._incoming.get(task) or self._outgoing.get(task) or self.constants.get(task)
        )

    def upstream_tasks(self, task: Task) -> set[Task]:
        """Give the tasks right before a task.

        Raises:
            ValueError: the task is not in the flow.
        """
        return {edge.upstream_task for edge in self._incoming.get(self._known(task), ())}

    def downstream_tasks(self, task: Task) -> set[Task]:
        """Give the tasks right after a task.

        Raises:
            ValueError: the task is not in the flow.
        """
        return {edge.downstream_task for edge in self._outgoing.get(self._known(task), ())}

    def all_upstream_edges(self) -> dict[Task, set[Edge]]:
        """Give for each task the edges that end at it."""
        return {task: set(self._incoming.get(task, ())) for task in self.slugs}

    def all_downstream_edges(self) -> dict[Task, set[Edge]]:
        """Give for each task the edges that begin at it."""
        return {task: set(self._outgoing.get(task, ())) for task in self.slugs}

    # -- of the whole -------------------------------------------------------------------------

    def root_tasks(self) -> set[Task]:
        """Give the tasks that no edge ends at."""
        found: set[Task] = self._cached(
            "root_tasks", lambda: {task for task in self.slugs if not self._incoming.get(task)}
        )
        return set(found)

    def terminal_tasks(self) -> set[Task]:
        """Give the tasks that no edge begins at."""
        found: set[Task] = self._cached(
            "terminal_tasks", lambda: {task for task in self.slugs if not self._outgoing.get(task)}
        )
        return set(found)

    def sorted_tasks(self, root_tasks: Iterable[Task] | None = None) -> tuple[Task, ...]:
        """Give the tasks, each after all that it comes after.

        Parameters:
            root_tasks: give these, and what comes after them, only.

        Raises:
            ValueError: one of them is not in the flow, or there is a cycle.
        """
        everything: tuple[Task, ...] = self._cached("sorted_tasks", self._sorted)
        roots = list(root_tasks or ())
        if not roots:
            return everything
        wanted: set[Task] = set()
        waiting = deque(self._known(task) for task in roots)
        while waiting:
            task = waiting.popleft()
            if task not in wanted:
                wanted.add(task)
                waiting.extend(edge.downstream_task for edge in self._outgoing.get(task, ()))
        return tuple(task for task in everything if task in wanted)

    def _sorted(self) -> tuple[Task, ...]:
        missing = {task: len(self._incoming.get(task, ())) for task in self.slugs}
        ready = deque(task for task, count in missing.items() if not count)
        found: list[Task] = []
        while ready:
            task = ready.popleft()
            found.append(task)
            for edge in self._outgoing.get(task, ()):
                below = edge.downstream_task
                missing[below] -= 1
                if not missing[below]:
                    ready.append(below)
        if len(found) < len(self.slugs):
            raise ValueError(self._cycle_text({task for task in missing if missing[task] > 0}))
        return tuple(found)

    def _cycle_text(self, unsorted: set[Task]) -> str:
        """Name the tasks of a cycle among tasks that could not be brought into an order."""
        task = next(task for task in self.slugs if task in unsorted)
        path: dict[Task, None] = {}
        while task not in path:
            path[task] = None
            # Each of them has an edge from another of them, or it could have been sorted.
            task = next(
                edge.upstream_task
                for edge in self._incoming[task]
                if edge.upstream_task in unsorted
            )
        names = [one.name for one in path]
        start = list(path).index(task)
        cycle = [*reversed(names[start:])]
        shown = " -> ".join(repr(name) for name in [*cycle, cycle[0]])
        return f"Cycle found; flows must be acyclic! In flow {self.name!r}: {shown}."

    # -- as they are changed ------------------------------------------------------------------

    def _put_edge(self, edge: Edge) -> None:
        self._edges[edge] = None
        self._incoming.setdefault(edge.downstream_task, {})[edge] = None
        self._outgoing.setdefault(edge.upstream_task, {})[edge] = None
        self._cache.clear()

    def _take_edge(self, edge: Edge) -> None:
        del self._edges[edge]
        del self._incoming[edge.downstream_task][edge]
        del self._outgoing[edge.upstream_task][edge]
        self._cache.clear()

    def _new_slug(self, task: Task) -> str:
        """Give what a task is to be known by: its own slug, or a number under its name and tags."""
        if task.slug:
            slug = task.slug
            if slug in self._slugs_used:
                message = (
                    f"A task with the slug {slug!r} already exists in flow {self.name!r}: task"
                    f" {task.name!r} needs another. Two parameters cannot have one name."
                )
                raise ValueError(message)
        else:
            prefix = "-".join([str(task.name), *sorted(task.tags)])
            number = self._slug_numbers.get(prefix, 0) + 1
            while f"{prefix}-{number}" in self._slugs_used:
                number += 1
            self._slug_numbers[prefix] = number
            slug = f"{prefix}-{number}"
        self._slugs_used.add(slug)
        return slug
