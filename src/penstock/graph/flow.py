"""`Flow`: a graph of tasks, built in its `with` block or task by task (section 4.4)."""

from __future__ import annotations

import copy as copying
import json
import sys
import warnings
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self, cast

from penstock.graph import task_options as options
from penstock.graph.ambient import context
from penstock.graph.annotations import annotated
from penstock.graph.edge import Edge
from penstock.graph.flow_running import resume_flow, run_flow
from penstock.graph.graph_edges import GraphEdges
from penstock.graph.parameter import Parameter
from penstock.graph.task import Task
from penstock.graph.wrapping import Constant, as_task, is_decorated
from penstock.loading import LoadableFlow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType
    from uuid import UUID

    from penstock.graph.results import Result
    from penstock.graph.state import State

__all__ = ["Flow"]

_TRACKER = "_unused_task_tracker"


class Flow(GraphEdges, LoadableFlow):
    """A graph of tasks.

    Parameters:
        name: what it is known by.
        schedule: when it runs: any object whose `next(n)` gives its next times.
        executor: where its tasks run: an executor of `penstock.graph.executors`, or one of
            penstock's task runners; in this process, one after the other, by default.
        run_config, storage: kept for who deploys the flow.
        tasks, edges: what it is made of, besides what is added later.
        reference_tasks: the tasks whose states decide the flow's; by default the last ones.
        state_handlers: functions `f(flow, old, new)` told of each change of the flow's state.
        on_failure: a function `f(flow, state)` told of failures.
        validate: check the graph as it is made.
        result: how results of tasks are kept that do not say so themselves.
        terminal_state_handler: `f(flow, state, reference_states)`, may give another final state.

    Raises:
        ValueError: there is no name.
        TypeError: state handlers are no sequence.

    Example:
        >>> from penstock.graph import task
        >>> @task
        ... def one():
        ...     return 1
        >>> with Flow("sum") as flow:
        ...     total = one() + one()
        >>> [task.name for task in flow.sorted_tasks()]
        ['one', 'one', 'Add']
    """

    is_graph = True

    def __init__(  # noqa: PLR0913, PLR0917 - one parameter for each option of the field's class
        self,
        name: str,
        schedule: Any = None,
        executor: Any = None,
        run_config: Any = None,
        storage: Any = None,
        tasks: Iterable[Task] | None = None,
        edges: Iterable[Edge] | None = None,
        reference_tasks: Iterable[Task] | None = None,
        state_handlers: list[Callable[..., Any]] | None = None,
        on_failure: Callable[..., Any] | None = None,
        validate: bool | None = None,  # noqa: FBT001
        result: Result | None = None,
        terminal_state_handler: Callable[..., Any] | None = None,
    ) -> None:
        if not name:
            message = "A name must be provided for the flow: Flow('nightly')."
            raise ValueError(message)
        super().__init__()
        self.name = name
        self.schedule = schedule
        self.executor = executor
        self.run_config = run_config
        self.storage = storage
        self.result = result
        self.terminal_state_handler = terminal_state_handler
        self.state_handlers = options.checked_handlers(state_handlers, f"flow {name!r}")
        if on_failure is not None:
            self.state_handlers.append(options.handler_on_failure(on_failure))
        self._entrypoint: str | None = None
        self._module: str | None = _calling_module()
        self._outer: list[Any] = []
        for task in tasks or ():
            self.add_task(task)
        self.set_reference_tasks(list(reference_tasks or ()))
        for edge in edges or ():
            self.add_edge(
                edge.upstream_task,
                edge.downstream_task,
                key=edge.key,
                mapped=edge.mapped,
                flattened=edge.flattened,
                validate=False,
            )
        if validate or (validate is None and context.config.flows.eager_edge_validation):
            self.validate()

    def __repr__(self) -> str:
        """Give the name."""
        return f"<Flow: name={self.name!r}>"

    def __eq__(self, other: object) -> bool:
        """Two flows are equal with the same name, tasks, edges and reference tasks."""
        if not isinstance(other, Flow):
            return False
        return (
            self.name == other.name
            and self.tasks == other.tasks
            and self.edges == other.edges
            and self.reference_tasks() == other.reference_tasks()
        )

    __hash__ = object.__hash__

    def __iter__(self) -> Iterator[Task]:
        """Go over the tasks, each after all that it comes after."""
        return iter(self.sorted_tasks())

    # -- as a block ---------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Make it the flow that tasks are bound into."""
        keys = {"flow": self, _TRACKER: set[Any]()}
        self._outer.append({key: context.get(key) for key in keys})
        for key, value in keys.items():
            context[key] = value
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the flow around it be that again; warn of tasks that were made and not added."""
        unused = cast("set[Task]", context.get(_TRACKER) or set())
        for key, value in self._outer.pop().items():
            if value is None:
                context.pop(key, None)
            else:
                context[key] = value
        unused = {
            task for task in unused if task not in self.slugs and not isinstance(task, Constant)
        }
        if unused and kind is None:
            names = ", ".join(sorted(repr(task) for task in unused))
            warnings.warn(
                f"Tasks were created but not added to flow {self.name!r}: {names}. This can occur"
                " when `Task` classes, including `Parameters`, are instantiated inside a `with"
                " Flow` block but not added to the flow either explicitly or as the input to"
                " another task.",
                UserWarning,
                stacklevel=2,
            )

    # -- building -----------------------------------------------------------------------------

    def add_task(self, task: Any) -> Any:
        """Add a task; give it. One that is there already is left as it is.

        Raises:
            TypeError: it is no task.
            ValueError: another task has its slug.
        """
        if is_decorated(task):
            task = as_task(task, flow=self)
        if not isinstance(task, Task):
            message = (
                f"Tasks must be Task instances (received {type(task).__name__}: {task!r}). To put"
                " a value into a flow, give it to a task as an argument."
            )
            raise TypeError(message)
        if task in self.slugs:
            return task
        self.slugs[task] = self._new_slug(task)
        self._cache.clear()
        tracker = context.get(_TRACKER)
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
            validate: check the key, and that there is no cycle.

        Raises:
            ValueError: a parameter cannot come after anything; the key is taken; there would be
                a cycle.
            TypeError: the downstream task has no such argument.
        """
        edge = Edge(upstream_task, downstream_task, key, mapped, flattened, flow=self)
        if edge.mapped and context.get("mapped"):
            message = (
                f"Cannot make the mapped edge to {edge.downstream_task.name!r} in a mapped context:"
                " everything in a function that apply_map calls is mapped already."
            )
            raise ValueError(message)
        upstream, downstream = edge.upstream_task, edge.downstream_task
        if isinstance(downstream, Parameter):
            message = (
                f"Parameters must be root tasks and can not have upstream dependencies:"
                f" {upstream.name!r} cannot come before parameter {downstream.name!r}."
            )
            raise ValueError(message)
        checks = validate
        if checks is None:
            checks = bool(context.config.flows.eager_edge_validation)
        if checks:
            self._check_key(edge)
        self.add_task(downstream)
        if (
            isinstance(upstream, Constant)
            and key is not None
            and not edge.mapped
            and not edge.flattened
        ):
            self.constants.setdefault(downstream, {})[key] = upstream.value
            return edge
        self.add_task(upstream)
        self._put_edge(edge)
        if checks:
            self.validate()
        return edge

    def _check_key(self, edge: Edge) -> None:
        task, key = edge.downstream_task, edge.key
        if key is None:
            return
        taken = {each.key for each in self.edges_in_order(task)} | set(
            self.constants.get(task, ())
        )
        if key in taken:
            message = f"Argument {key!r} of task {task.name!r} has already been assigned in flow {self.name!r}."
            raise ValueError(message)
        signature = options.signature_of(task.run)
        try:
            signature.bind_partial(**{key: None})
        except TypeError as error:
            message = (
                f"Task {task.name!r} has no argument {key!r}, to which the edge from"
                f" {edge.upstream_task.name!r} leads: it takes {signature}."
            )
            raise TypeError(message) from error

    def chain(self, *tasks: Any, validate: bool | None = None) -> list[Edge]:
        """Let each task come after the one before; give the edges."""
        return [
            self.add_edge(above, below, validate=validate)
            for above, below in zip(tasks, tasks[1:], strict=False)
        ]

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
        """
        task = self.add_task(as_task(task, flow=self))
        for above in upstream_tasks or ():
            mapping = mapped and not isinstance(annotated(above)[0], Constant)
            self.add_edge(above, task, mapped=mapping, validate=validate)
        for below in downstream_tasks or ():
            self.add_edge(task, below, validate=validate)
        for key, value in (keyword_tasks or {}).items():
            self.add_edge(value, task, key=key, mapped=mapped, validate=validate)

    def update(
        self,
        flow: Flow,
        merge_parameters: bool = False,  # noqa: FBT001, FBT002 - the field's signature
        validate: bool | None = None,  # noqa: FBT001 - as above
        merge_reference_tasks: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> None:
        """Take over the tasks, edges and constants of another flow.

        Parameters:
            flow: the other flow.
            merge_parameters: its parameters take the place of those of this flow with their names.
            validate: check the graph afterwards.
            merge_reference_tasks: take over its reference tasks, too.

        Raises:
            ValueError: both have a parameter of one name.
        """
        ours = {parameter.name: parameter for parameter in self.parameters()}
        for task in flow.tasks:
            own = ours.get(task.name) if isinstance(task, Parameter) else None
            if own is not None and own is not task and merge_parameters:
                self.replace(own, task, validate=False)
            else:
                self.add_task(task)
        for edge in flow.edges:
            if edge not in self.edges:
                self._put_edge(edge)
        for task, values in flow.constants.items():
            self.constants.setdefault(task, {}).update(values)
        if merge_reference_tasks:
            self.set_reference_tasks([*self.reference_tasks(), *flow.reference_tasks()])
        if validate:
            self.validate()

    def replace(
        self,
        old: Task,
        new: Any,
        validate: bool = True,  # noqa: FBT001, FBT002 - the field's signature
    ) -> None:
        """Put a task, or a value, in the place of a task.

        Raises:
            ValueError: the old one is not in the flow.
        """
        if old not in self.slugs:
            message = (
                f"Task {old.name!r} was not found in Flow {self.name!r}: it cannot be replaced."
            )
            raise ValueError(message)
        made = as_task(new, flow=self)
        edges = [*self._incoming.get(old, ()), *self._outgoing.get(old, ())]
        slug = self.slugs.pop(old)
        self._slugs_used.discard(slug)
        was_reference = old in self._reference_tasks
        self._reference_tasks.pop(old, None)
        constants = self.constants.pop(old, {})
        folds = isinstance(made, Constant) and all(
            edge.key is not None and not edge.mapped and not edge.flattened
            for edge in edges
            if edge.upstream_task is old
        )
        if made not in self.slugs and not folds:
            if made.slug:
                self.add_task(made)
            else:
                self.slugs[made] = slug
                self._slugs_used.add(slug)
        for edge in edges:
            self._take_edge(edge)
            above = made if edge.upstream_task is old else edge.upstream_task
            below = made if edge.downstream_task is old else edge.downstream_task
            self.add_edge(above, below, edge.key, edge.mapped, edge.flattened, validate=False)
        if constants:
            self.constants[made] = constants
        if was_reference and made in self.slugs:
            self._reference_tasks[made] = None
        self._cache.clear()
        if validate:
            self.validate()

    def copy(self) -> Any:
        """Give a copy with tasks, edges and so on of its own; the tasks themselves are shared."""
        made = copying.copy(self)
        for attribute in ("slugs", "_edges", "_slugs_used", "_slug_numbers", "_reference_tasks"):
            setattr(made, attribute, copying.copy(getattr(self, attribute)))
        for attribute in ("constants", "_incoming", "_outgoing"):
            found = getattr(self, attribute)
            setattr(made, attribute, {key: dict(value) for key, value in found.items()})
        made.state_handlers = list(self.state_handlers)
        made._outer, made._cache = [], {}  # noqa: SLF001 - of the same class
        return made

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
        if not hasattr(tasks, "__iter__"):
            message = f"reference_tasks must be a list of tasks, not {tasks!r}."
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
        for edge in self._edges:
            for end in (edge.upstream_task, edge.downstream_task):
                if end not in self.slugs:
                    message = (
                        f"Some edges refer to tasks not contained in flow {self.name!r}: {edge!r}."
                    )
                    raise ValueError(message)
        self.sorted_tasks()
        missing = [task for task in self._reference_tasks if task not in self.slugs]
        if missing:
            message = f"Reference tasks are not in flow {self.name!r}: {missing!r}."
            raise ValueError(message)

    # -- where it is --------------------------------------------------------------------------

    @property
    def entrypoint(self) -> str | None:
        """Give where another process finds it, `file:variable`; none if it cannot."""
        if self._entrypoint is not None:
            return self._entrypoint
        module = sys.modules.get(self._module or "")
        path = getattr(module, "__file__", None)
        if path is None:
            return None
        for name, value in list(vars(module).items()):
            if value is self:
                return f"{path}:{name}"
        return None

    # -- as JSON ------------------------------------------------------------------------------

    def serialize(self, build: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - the field's signature
        """Give the graph as JSON can hold it: not the tasks' code, nor constants' values.

        Parameters:
            build: kept for who deploys the flow.

        Raises:
            ValueError: the graph is not valid.
        """
        del build
        self.validate()
        slugs = self.slugs
        tasks = [{**task.serialize(), "slug": slugs[task]} for task in slugs]
        edges = [
            {
                **edge.serialize(),
                "upstream_task": slugs[edge.upstream_task],
                "downstream_task": slugs[edge.downstream_task],
            }
            for edge in self._edges
        ]
        return {
            "name": self.name,
            "type": f"{type(self).__module__}.{type(self).__qualname__}",
            "tasks": sorted(tasks, key=lambda entry: entry["slug"]),
            "parameters": sorted(
                (
                    {"name": one.name, "required": one.required, "default": repr(one.default)}
                    for one in self.parameters()
                ),
                key=lambda entry: str(entry["name"]),
            ),
            "edges": sorted(edges, key=lambda entry: json.dumps(entry, sort_keys=True)),
            "reference_tasks": sorted(slugs[task] for task in self.reference_tasks()),
        }

    def serialized_hash(self, build: bool = False) -> str:  # noqa: FBT001, FBT002 - as above
        """Give a hash of the graph, the same in every process and order of building."""
        content = json.dumps(self.serialize(build), sort_keys=True)
        return sha256(content.encode()).hexdigest()

    # -- running ------------------------------------------------------------------------------

    def run(
        self,
        parameters: Mapping[str, Any] | None = None,
        run_on_schedule: bool | None = None,  # noqa: FBT001 - the field's signature
        runner_cls: type[Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run the flow, and record it (section 6.6).

        Parameters:
            parameters: values of its parameters, by name; or as keywords.
            run_on_schedule: run at each time of the schedule, if there is one.
            runner_cls: the class of the flow runner.
            **kwargs: parameters, and arguments of the flow runner: `executor`, `context`,
                `task_states`, `state`, `task_contexts`, `task_runner_state_handlers`; and
                `flow_run_id` and `flow_run_name`.

        Returns:
            The flow's state; its result has the state of each task, by task.

        Raises:
            ValueError: parameters are missing or unknown.
            RuntimeError: this is inside of its own `with` block.
        """
        return run_flow(self, parameters, run_on_schedule, runner_cls, kwargs)

    def resume(self, flow_run_id: UUID | str) -> State:
        """Go on with a recorded run: what is finished stays, the rest is run.

        A run that rests because tasks are paused goes on with these resumed.

        Parameters:
            flow_run_id: the run's id.

        Raises:
            ObjectNotFound: there is no such run.
            RunOwnedElsewhere: a living process executes it.
        """
        return resume_flow(self, flow_run_id)

    def visualize(
        self,
        flow_state: Any = None,
        filename: str | None = None,
        format: str | None = None,  # noqa: A002 - the field's name
    ) -> Any:
        """Draw the graph; after a run with the states of its tasks as colours.

        Parameters:
            flow_state: what `run` returned.
            filename: where to write the drawing; by default it is returned.
            format: `mermaid`, `dot`, `svg`, `text` and so on.
        """
        from penstock.graph.visualizing import visualize  # brings libraries that draw

        return visualize(self, flow_state, filename=filename, format=format)


def _is_kept_out(task: Task) -> bool:
    """Tell whether a task manages a resource: it does not decide the flow's state."""
    return bool(getattr(task, "manages_resource", False))


def _cleans_up(task: Task) -> bool:
    return bool(getattr(task, "cleans_up", False))


def _calling_module() -> str | None:
    """Give the name of the module in which the flow is made."""
    frame: Any = sys._getframe(1)  # noqa: SLF001 - the only way to know it
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith("penstock.graph"):
            return name
        frame = frame.f_back
    return None
