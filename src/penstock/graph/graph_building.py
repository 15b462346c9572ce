"""How flows are built: tasks and edges are added, taken over, put in each other's places.

What cannot be is refused before anything is changed, wherever that can be seen (section 4.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from penstock.graph import task_options as options
from penstock.graph.ambient import context
from penstock.graph.annotations import annotated
from penstock.graph.edge import Edge
from penstock.graph.graph_edges import GraphEdges
from penstock.graph.parameter import Parameter
from penstock.graph.task import Task
from penstock.graph.wrapping import Constant, as_task

__all__ = ["GraphBuilding"]

TRACKER = "_unused_task_tracker"
"""Under which the tasks are in the context that were made, and not added to a flow yet."""

DECLARED_IN = "_declared_in"
"""Under which the context has the id of the run whose code is in the `with` block of a flow."""


class GraphBuilding(GraphEdges):
    """What changes a graph. `Flow` inherits from this."""

    def add_task(self, task: Any) -> Any:
        """Add a task; give it. One that is there already is left as it is.

        Parameters:
            task: the task; one of `penstock.task` becomes a task of the graph.

        Raises:
            TypeError: it is no task.
            ValueError: another task has its slug.
        """
        if options.is_decorated(task):
            task = as_task(task, flow=self)
        if not isinstance(task, Task):
            message = (
                f"Tasks must be Task instances, and flow {self.name!r} received"
                f" {type(task).__name__}: {task!r}. To put a value into a flow, give it to a task"
                " as an argument."
            )
            raise TypeError(message)
        if task in self.slugs:
            return task
        self.slugs[task] = self._new_slug(task)
        self._cache.clear()
        tracker = context.get(TRACKER)
        if tracker is not None:
            tracker.discard(task)
        if not isinstance(task, (Parameter, Constant)):
            for block in (context.get("case"), context.get("resource")):
                if block is not None:
                    block.add_task(task, self)
        return task

    def add_edge(
        self,
        upstream_task: Any,
        downstream_task: Any,
        key: str | None = None,
        mapped: bool = False,  # noqa: FBT001, FBT002 - the field's signature
        flattened: bool = False,  # noqa: FBT001, FBT002 - as above
        validate: bool | None = None,  # noqa: FBT001 - as above
    ) -> Edge:
        """Let a task come after another one; give the edge.

        Parameters:
            upstream_task, downstream_task: tasks or values.
            key: the argument of the downstream task that gets the result.
            mapped: each child of the downstream task gets an element of the result.
            flattened: the elements' elements are taken.
            validate: check the key, and that there is no cycle; by default the setting
                `PENSTOCK_GRAPH_EAGER_EDGE_VALIDATION` decides.

        Raises:
            ValueError: a parameter cannot come after anything; the key is taken; there would be
                a cycle.
            TypeError: the downstream task has no such argument.
        """
        edge = Edge(upstream_task, downstream_task, key, mapped, flattened, flow=self)
        upstream, downstream = edge.upstream_task, edge.downstream_task
        if edge.mapped and context.get("mapped"):
            message = (
                f"Cannot make the mapped edge from {upstream.name!r} to {downstream.name!r} in a"
                " mapped context: everything in a function that apply_map calls is mapped already."
            )
            raise ValueError(message)
        self._refuse_before_parameter(upstream, downstream)
        if self.is_checked(validate):
            self._check_edge(edge)
        self.add_task(downstream)
        if _folds(edge):
            self.constants[downstream][edge.key] = upstream.value  # type: ignore[index] - it has a key
            return edge
        self.add_task(upstream)
        self._put_edge(edge)
        return edge

    def chain(self, *tasks: Any, validate: bool | None = None) -> list[Edge]:
        """Let each task come after the one before; give the edges.

        Parameters:
            *tasks: tasks or values, in their order.
            validate: check the edges as they are added.
        """
        made = [as_task(task, flow=self) for task in tasks]
        return [self.add_edge(above, below, validate=validate) for above, below in pairwise(made)]

    def set_dependencies(
        self,
        task: Any,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Any] | None = None,
        keyword_tasks: Mapping[str, Any] | None = None,
        mapped: bool = False,  # noqa: FBT001, FBT002 - the field's signature
        validate: bool | None = None,  # noqa: FBT001 - as above
    ) -> None:
        """Give a task edges.

        Parameters:
            task: the task.
            upstream_tasks: what it comes after.
            downstream_tasks: what comes after it; these edges are never mapped.
            keyword_tasks: what gives its arguments, by name.
            mapped: edges from upstream and keyword tasks are mapped.
            validate: check the edges as they are added.

        Raises:
            TypeError: a single task is given where several are asked for.
        """
        task = self.add_task(as_task(task, flow=self))
        for above in _several(upstream_tasks, "upstream_tasks", task):
            mapping = mapped and not isinstance(annotated(above)[0], Constant)
            self.add_edge(above, task, mapped=mapping, validate=validate)
        for below in _several(downstream_tasks, "downstream_tasks", task):
            self.add_edge(task, below, validate=validate)
        for key, value in (keyword_tasks or {}).items():
            self.add_edge(value, task, key=key, mapped=mapped, validate=validate)

    def update(
        self,
        flow: GraphBuilding,
        merge_parameters: bool = False,  # noqa: FBT001, FBT002 - the field's signature
        validate: bool | None = None,  # noqa: FBT001 - as above
        merge_reference_tasks: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> None:
        """Take over the tasks, edges and constants of another flow.

        Parameters:
            flow: the other flow.
            merge_parameters: its parameters take the place of those of this flow with their names.
            validate: check the graph afterwards.
            merge_reference_tasks: the reference tasks are those of both.

        Raises:
            ValueError: a task of each has the same slug, as parameters of one name have.
        """
        merged = self._merged_parameters(flow) if merge_parameters else {}
        theirs = set(merged.values())
        for task in flow.tasks:
            if task.slug and task not in self.slugs and task not in theirs:
                self._refuse_slug(task)
        references: list[Task] = []
        if merge_reference_tasks:
            own_references = [merged.get(task, task) for task in self.reference_tasks()]
            references = [*own_references, *flow.reference_tasks()]
        for own, task in merged.items():
            self.replace(own, task, validate=False)
        for task in flow.tasks:
            self.add_task(task)
        for edge in flow.edges:
            self._put_edge(edge)
        for task, values in flow.constants.items():
            self.constants[task].update(values)
        if merge_reference_tasks:
            self.set_reference_tasks(references)
        if self.is_checked(validate):
            self.validate()

    def _merged_parameters(self, flow: GraphBuilding) -> dict[Task, Task]:
        """Give the parameters of this flow whose names another flow has, too, with its own."""
        ours = {parameter.name: parameter for parameter in self.parameters()}
        return {
            ours[task.name]: task
            for task in flow.parameters()
            if task.name in ours and ours[task.name] is not task
        }

    def replace(
        self,
        old: Task,
        new: Any,
        validate: bool = True,  # noqa: FBT001, FBT002 - the field's signature
    ) -> None:
        """Put a task, or a value, in the place of a task.

        The edges of the old one become those of the new one. A value gets nothing, so that of
        what comes before it only the order is kept; if it can be a constant of all tasks after it,
        it is no task of the flow.

        Parameters:
            old: the task, which is no longer in the flow then.
            new: the task or value.
            validate: check the graph afterwards.

        Raises:
            ValueError: the old one is not in the flow; a parameter cannot come after anything;
                another task has the new one's slug.
        """
        self._known(old)
        made = as_task(new, flow=self)
        if made is old:
            return
        above, below = self.edges_in_order(old), self.edges_out_in_order(old)
        before = [self._edge_before(made, edge) for edge in above]
        after = [
            Edge(made, edge.downstream_task, edge.key, edge.mapped, edge.flattened)
            for edge in below
        ]
        is_new = made not in self.slugs
        if is_new and made.slug and made.slug != self.slugs[old]:
            self._refuse_slug(made)
        for edge in [*above, *below]:
            self._take_edge(edge)
        slug, was_reference = self._take_task(old)
        constants = self.constants.pop(old, {})
        vanishes = is_new and bool(after) and all(_folds(edge) for edge in after)
        if not vanishes:
            self._put_task(made, made.slug or slug, is_reference=was_reference)
            for edge in before:
                self._put_edge(edge)
            if constants and not isinstance(made, Constant):
                self.constants[made] = {**constants, **self.constants.get(made, {})}
        for edge in after:
            self.add_edge(
                made, edge.downstream_task, edge.key, edge.mapped, edge.flattened, validate=False
            )
        if validate:
            self.validate()

    def _edge_before(self, task: Any, edge: Edge) -> Edge:
        """Give an edge with another end; one to a constant says the order only."""
        upstream = edge.upstream_task
        self._refuse_before_parameter(upstream, task)
        if isinstance(task, Constant):
            return Edge(upstream, task)
        return Edge(upstream, task, edge.key, edge.mapped, edge.flattened)

    # -- what may not be ----------------------------------------------------------------------

    def is_checked(self, validate: bool | None) -> bool:  # noqa: FBT001 - as it is given
        """Tell whether edges are checked as they are added: an option, else a setting."""
        if validate is None:
            return bool(context.config.flows.eager_edge_validation)
        return validate

    def _refuse_before_parameter(self, upstream: Any, downstream: Any) -> None:
        if isinstance(downstream, Parameter):
            message = (
                f"Parameters must be root tasks and can not have upstream dependencies:"
                f" {upstream.name!r} cannot come before parameter {downstream.name!r} of flow"
                f" {self.name!r}."
            )
            raise ValueError(message)  # noqa: TRY004 - the type is right, the place is not

    def _check_edge(self, edge: Edge) -> None:
        """Refuse an edge whose key its task does not take, or has already; and one in a cycle."""
        upstream, task, key = edge.upstream_task, edge.downstream_task, edge.key
        if key is not None:
            if key in self._keys.get(task, ()) or key in self.constants.get(task, ()):
                message = (
                    f"Argument {key!r} of task {task.name!r} has already been assigned in flow"
                    f" {self.name!r}: the edge from {upstream.name!r} cannot give it, too."
                )
                raise ValueError(message)
            signature = options.signature_of(task.run)
            try:
                signature.bind_partial(**{key: None})
            except TypeError as error:
                message = (
                    f"Task {task.name!r} has no argument {key!r}, to which the edge from"
                    f" {upstream.name!r} leads in flow {self.name!r}: it takes {signature}."
                )
                raise TypeError(message) from error
        self._refuse_cycle(upstream, task)


def _folds(edge: Edge) -> bool:
    """Tell whether an edge only says that an argument has a constant value."""
    return (
        isinstance(edge.upstream_task, Constant)
        and edge.key is not None
        and not edge.mapped
        and not edge.flattened
    )


def _several(given: Any, what: str, task: Any) -> Iterable[Any]:
    """Refuse a single task, which would be taken apart, for several."""
    if given is None:
        return ()
    if isinstance(given, Task) or not isinstance(given, Iterable):
        message = (
            f"{what} of task {task.name!r} must be a list of tasks, not {given!r}. Put a single"
            " one into a list."
        )
        raise TypeError(message)
    return given  # pyright: ignore[reportUnknownVariableType]
