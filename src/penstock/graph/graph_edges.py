"""The tasks and edges of a flow, and what follows from them: orders, roots, ends (section 4.4).

What follows is worked out when it is asked for and kept until tasks or edges change. Every
question about one task costs what its answer does.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from penstock.graph.graph_sets import GraphSet
from penstock.graph.parameter import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.graph.edge import Edge
    from penstock.graph.task import Task


class GraphEdges:
    """The base of `Flow`: its tasks, with what each is known by, and its edges."""

    name: Any

    def __init__(self) -> None:
        self.slugs: dict[Task, str] = {}
        # Asked for those of any task: of one without, there are none.
        self.constants: defaultdict[Task, dict[str, Any]] = defaultdict(dict)
        self._edges: dict[Edge, None] = {}
        self._incoming: dict[Task, dict[Edge, None]] = {}
        self._outgoing: dict[Task, dict[Edge, None]] = {}
        self._keys: dict[Task, set[str]] = {}
        self.adopted: dict[int, Task] = {}
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
    def tasks(self) -> GraphSet[Task]:
        """The tasks, in the order in which they were added."""
        return GraphSet(self.slugs, self._put_new_task, self._take_task)

    @property
    def edges(self) -> GraphSet[Edge]:
        """The edges, in the order in which they were added."""
        return GraphSet(self._edges, self._put_edge, self._take_edge)

    def _known(self, task: Any) -> Any:
        if task not in self.slugs:
            name = getattr(task, "name", task)
            message = (
                f"Task {name!r} was not found in Flow {self.name!r}. Calling a task in a flow adds"
                " a copy of it: what the call gave is what the flow knows."
            )
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

    def edges_out_in_order(self, task: Task) -> list[Edge]:
        """Give the edges that begin at a task in the order in which they were added."""
        return list(self._outgoing.get(task, ()))

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
            ValueError: one of them, or an end of an edge, is not in the flow; there is a cycle.
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
        for edge in self._edges:
            if edge.upstream_task not in self.slugs or edge.downstream_task not in self.slugs:
                message = (
                    f"Some edges refer to tasks not contained in flow {self.name!r}: {edge!r}."
                )
                raise ValueError(message)
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
        edge_above: dict[Task, Edge] = {}
        task = next(task for task in self.slugs if task in unsorted)
        while task not in edge_above:
            # Each of them has an edge from another of them, or it could have been sorted.
            edge = next(edge for edge in self._incoming[task] if edge.upstream_task in unsorted)
            edge_above[task] = edge
            task = edge.upstream_task
        start = task
        cycle: list[Edge] = []
        while not cycle or task is not start:
            edge = edge_above[task]
            cycle.append(edge)
            task = edge.upstream_task
        return self._cycle_of(cycle[::-1])

    def _cycle_of(self, edges: list[Edge]) -> str:
        """Say which edges are a cycle, in their order."""
        shown = "".join(_shown(self._name_in_text(edge.upstream_task), edge) for edge in edges)
        return (
            f"Cycle found; flows must be acyclic! In flow {self.name!r}:"
            f" {shown}{self._name_in_text(edges[0].upstream_task)}. Take one of these edges out."
        )

    def _name_in_text(self, task: Task) -> str:
        """Give what a task is known by in the flow; it is unique, other than its name."""
        name = str(task.name)
        slug = self.slugs.get(task, name)
        return repr(slug) if slug.startswith(name) else f"{name!r} (slug {slug!r})"

    def _refuse_cycle(self, upstream: Task, downstream: Task) -> None:
        """Refuse an edge that would close a cycle.

        Raises:
            ValueError: the upstream task comes after the downstream task.
        """
        if not self._outgoing.get(downstream) or not self._incoming.get(upstream):
            return
        edge_to: dict[Task, Edge | None] = {downstream: None}
        waiting = deque([downstream])
        while waiting and upstream not in edge_to:
            for edge in self._outgoing.get(waiting.popleft(), ()):
                if edge.downstream_task not in edge_to:
                    edge_to[edge.downstream_task] = edge
                    waiting.append(edge.downstream_task)
        if upstream not in edge_to:
            return
        path: list[Edge] = []
        edge = edge_to[upstream]
        while edge is not None:
            path.append(edge)
            edge = edge_to[edge.upstream_task]
        shown = "".join(
            _shown(self._name_in_text(edge.upstream_task), edge) for edge in path[::-1]
        )
        message = (
            f"Cycle found; flows must be acyclic! In flow {self.name!r}, the edge from"
            f" {self._name_in_text(upstream)} to {self._name_in_text(downstream)} would close:"
            f" {shown}{self._name_in_text(upstream)} -> {self._name_in_text(downstream)}."
        )
        raise ValueError(message)

    # -- what it is ---------------------------------------------------------------------------

    def parameters(self) -> set[Parameter]:
        """Give the parameters."""
        return {task for task in self.slugs if isinstance(task, Parameter)}

    def reference_tasks(self) -> set[Task]:
        """Give the tasks whose states decide the flow's."""
        if self._reference_tasks:
            return set(self._reference_tasks)
        return set(self._cached("reference_tasks", self._default_reference_tasks))

    def _default_reference_tasks(self) -> set[Task]:
        return {
            task
            for task in self.slugs
            if not _is_kept_out(task)
            and all(_cleans_up(edge.downstream_task) for edge in self._outgoing.get(task, ()))
        }

    def set_reference_tasks(self, tasks: Iterable[Task]) -> None:
        """Say whose states decide the flow's; an empty list for the default.

        Raises:
            TypeError: this is no list.
            ValueError: a task is not in the flow.
        """
        # A task that says how many values it gives can be iterated, which would add tasks.
        if not isinstance(tasks, Iterable) or hasattr(tasks, "nout"):  # pyright: ignore[reportUnnecessaryIsInstance] - users give single ones
            message = (
                f"The reference tasks of flow {self.name!r} must be a list of tasks, not"
                f" {tasks!r}. Put a single one into a list."
            )
            raise TypeError(message)
        given = list(tasks)
        for task in given:
            self._known(task)
        self._reference_tasks = dict.fromkeys(given)
        self._cache.clear()

    def get_tasks(
        self,
        name: str | None = None,
        slug: str | None = None,
        tags: Iterable[str] | None = None,
        task_type: type[Task] | None = None,
    ) -> list[Task]:
        """Give the tasks that are all of this, in the order in which they were added.

        Parameters:
            name: they have this name.
            slug: they are known by this.
            tags: they have these tags, and perhaps more.
            task_type: they are of this class.
        """
        wanted = set(tags or ())
        return [
            task
            for task, known_by in self.slugs.items()
            if (name is None or task.name == name)
            and (slug is None or known_by == slug)
            and wanted <= task.tags
            and (task_type is None or isinstance(task, task_type))
        ]

    def validate(self) -> None:
        """Check the graph.

        Raises:
            ValueError: an edge or reference task is not in it; there is a cycle.
        """
        self.sorted_tasks()
        missing = [task for task in self._reference_tasks if task not in self.slugs]
        if missing:
            message = f"Reference tasks are not in flow {self.name!r}: {missing!r}."
            raise ValueError(message)

    # -- as they are changed ------------------------------------------------------------------

    def copy_graph(self, other: GraphEdges) -> None:
        """Take over the tasks and edges of another graph; they are shared, the lists are not."""
        self.slugs = dict(other.slugs)
        self.constants = defaultdict(dict)
        for task, values in other.constants.items():
            self.constants[task] = dict(values)
        self._edges = dict(other._edges)
        self._incoming = {task: dict(edges) for task, edges in other._incoming.items()}
        self._outgoing = {task: dict(edges) for task, edges in other._outgoing.items()}
        self._keys = {task: set(keys) for task, keys in other._keys.items()}
        self.adopted = dict(other.adopted)
        self._slugs_used = set(other._slugs_used)
        self._slug_numbers = dict(other._slug_numbers)
        self._reference_tasks = dict(other._reference_tasks)
        self._cache = {}

    def _put_edge(self, edge: Edge) -> None:
        self._edges[edge] = None
        self._incoming.setdefault(edge.downstream_task, {})[edge] = None
        self._outgoing.setdefault(edge.upstream_task, {})[edge] = None
        if edge.key is not None:
            self._keys.setdefault(edge.downstream_task, set()).add(edge.key)
        self._cache.clear()

    def _take_edge(self, edge: Edge) -> None:
        del self._edges[edge]
        del self._incoming[edge.downstream_task][edge]
        del self._outgoing[edge.upstream_task][edge]
        if edge.key is not None:
            self._keys[edge.downstream_task].discard(edge.key)
        self._cache.clear()

    def _take_task(self, task: Task) -> tuple[str, bool]:
        """Take a task out; give what it was known by, and whether it was a reference task."""
        slug = self.slugs.pop(task)
        self._slugs_used.discard(slug)
        was_reference = task in self._reference_tasks
        self._reference_tasks.pop(task, None)
        self._cache.clear()
        return slug, was_reference

    def _put_task(self, task: Task, slug: str, *, is_reference: bool) -> None:
        """Put a task in, unless it is there already, known by a slug that is free."""
        if task not in self.slugs:
            self.slugs[task] = slug
            self._slugs_used.add(slug)
        if is_reference:
            self._reference_tasks[task] = None
        self._cache.clear()

    def _put_new_task(self, task: Task) -> None:
        self._put_task(task, self._new_slug(task), is_reference=False)

    def _new_slug(self, task: Task) -> str:
        """Give what a task is to be known by: its own slug, or its name and tags, numbered."""
        if task.slug:
            self._refuse_slug(task)
            slug = task.slug
        else:
            prefix = "-".join([str(task.name), *sorted(task.tags)])
            number = self._slug_numbers.get(prefix, 0) + 1
            while f"{prefix}-{number}" in self._slugs_used:
                number += 1
            self._slug_numbers[prefix] = number
            slug = f"{prefix}-{number}"
        self._slugs_used.add(slug)
        return slug

    def _refuse_slug(self, task: Task) -> None:
        """Refuse a task whose own slug is another one's.

        Raises:
            ValueError: it is.
        """
        if task.slug in self._slugs_used:
            other = next((each for each in self.slugs if self.slugs[each] == task.slug), None)
            message = (
                f"A task with the slug {task.slug!r} already exists in flow {self.name!r}:"
                f" {other!r}. {task!r} needs another one. A parameter's slug is its name, so that"
                " two parameters cannot have one name."
            )
            raise ValueError(message)


def _is_kept_out(task: Task) -> bool:
    """Tell whether a task manages a resource: it does not decide the flow's state."""
    return bool(getattr(task, "manages_resource", False))


def _cleans_up(task: Task) -> bool:
    return bool(getattr(task, "cleans_up", False))


def _shown(name: str, edge: Edge) -> str:
    return f"{name} -> " if edge.key is None else f"{name} -({edge.key})-> "
