"""`Flow`: a graph of tasks, built in its `with` block or task by task (section 4.4)."""

from __future__ import annotations

import copy as copying
import inspect
import json
import sys
import warnings
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self, cast

from penstock.context import current_run_id
from penstock.graph import task_options as options
from penstock.graph.ambient import context
from penstock.graph.edge import Edge
from penstock.graph.flow_running import resume_flow, run_flow
from penstock.graph.graph_building import DECLARED_IN, TRACKER, GraphBuilding
from penstock.graph.graph_json import describe_flow
from penstock.graph.wrapping import Constant
from penstock.loading import LoadableFlow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType
    from uuid import UUID

    from penstock.graph.results import Result
    from penstock.graph.state import State
    from penstock.graph.task import Task

__all__ = ["Flow"]


class Flow(GraphBuilding, LoadableFlow):
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
        ValueError: there is no name; a task, edge or reference task cannot be in it.
        TypeError: the name is no text; state handlers are no sequence.

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
            message = "A name must be provided for the flow, as in Flow('nightly')."
            raise ValueError(message)
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users give more
            message = f"The name of a flow must be a text, not {name!r}."
            raise TypeError(message)
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
        self._given_entrypoint: str | None = None
        self._module: str | None = _calling_module()
        self._outer: list[Any] = []
        for task in tasks or ():
            self.add_task(task)
        self.set_reference_tasks(reference_tasks or ())
        for edge in edges or ():
            if not isinstance(edge, Edge):  # pyright: ignore[reportUnnecessaryIsInstance] - as above
                message = (
                    f"Edges of flow {name!r} must be Edge instances, not {edge!r}. Write"
                    " Edge(upstream_task, downstream_task)."
                )
                raise TypeError(message)
            self.add_edge(
                edge.upstream_task,
                edge.downstream_task,
                key=edge.key,
                mapped=edge.mapped,
                flattened=edge.flattened,
                validate=validate,
            )
        if self.is_checked(validate):
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
        keys = {"flow": self, TRACKER: set[Any](), DECLARED_IN: current_run_id()}
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
        unused = cast("set[Task]", context.get(TRACKER) or set())
        for key, value in self._outer.pop().items():
            if value is None:
                context.pop(key, None)
            else:
                context[key] = value
        unused = {
            task for task in unused if task not in self.slugs and not isinstance(task, Constant)
        }
        if unused and kind is None:
            names = ", ".join(sorted(map(repr, unused)))
            warnings.warn(
                f"Tasks were created but not added to flow {self.name!r}: {names}. This can occur"
                " when `Task` classes, including `Parameters`, are instantiated inside a `with"
                " Flow` block but not added to the flow either explicitly or as the input to"
                " another task.",
                UserWarning,
                stacklevel=2,
            )

    def copy(self) -> Any:
        """Give a copy with tasks, edges and so on of its own; the tasks themselves are shared."""
        made = copying.copy(self)
        made.copy_graph(self)
        made.state_handlers = list(self.state_handlers)
        made._outer = []  # noqa: SLF001 - of the same class
        return made

    # -- where it is --------------------------------------------------------------------------

    @property
    def entrypoint(self) -> str | None:
        """Give where another process finds it, `file:variable`; none if it cannot."""
        if self._given_entrypoint is not None:
            return self._given_entrypoint
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
        return describe_flow(self)

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


def _calling_module() -> str | None:
    """Give the name of the module in which the flow is made."""
    frame = inspect.currentframe()
    while frame is not None:
        name: str = frame.f_globals.get("__name__", "")
        if not f"{name}.".startswith("penstock.graph."):
            return name
        frame = frame.f_back
    return None
