"""How tasks are put into a flow: called, bound, mapped, and given edges (section 4.2)."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from penstock.graph import task_options as options
from penstock.graph.ambient import context
from penstock.graph.annotations import EdgeAnnotation, annotated
from penstock.graph.operator_methods import TaskOperators
from penstock.utilities.annotations import unmapped as unmapped_in_flow

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TaskBinding"]


class TaskBinding(TaskOperators):
    """What a task does while a graph is declared. `Task` inherits from this."""

    run: Any
    tags: Any
    copy: Any

    def __call__(
        self,
        *args: Any,
        mapped: bool = False,
        task_args: dict[str, Any] | None = None,
        upstream_tasks: Iterable[Any] | None = None,
        flow: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Put a copy of the task into a flow, bound to its arguments.

        Parameters:
            *args, **kwargs: the arguments of `run`: tasks or values.
            mapped: the task is run once for each element.
            task_args: attributes of the copy.
            upstream_tasks: what it comes after besides.
            flow: the flow; the active one by default.

        Returns:
            The copy.

        Raises:
            ValueError: there is no flow.
            TypeError: the arguments do not fit.
        """
        made = self.copy(**(task_args or {}))
        return made.bind(*args, mapped=mapped, upstream_tasks=upstream_tasks, flow=flow, **kwargs)

    def bind(
        self,
        *args: Any,
        mapped: bool = False,
        upstream_tasks: Iterable[Any] | None = None,
        flow: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Put the task itself into a flow, bound to its arguments; see `__call__`."""
        signature = options.signature_of(self.run)
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            message = (
                f"The arguments do not fit task {self.name!r}, which takes {signature}: {error}."
            )
            raise TypeError(message) from None
        arguments = dict(bound.arguments)
        for parameter in signature.parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(parameter.name, {}))
        flow = self._flow_to_bind_into(flow)
        self.tags.update(context.get("tags") or ())
        return self.set_dependencies(
            flow=flow, upstream_tasks=upstream_tasks, keyword_tasks=arguments, mapped=mapped
        )

    def map(
        self,
        *args: Any,
        upstream_tasks: Iterable[Any] | None = None,
        flow: Any = None,
        task_args: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Put a copy of the task into a flow, to be run once for each element of its arguments.

        Arguments are mapped over but for those marked `unmapped`. See `__call__`.

        Raises:
            TypeError: an argument has no elements by their places, as a set.
        """
        for place, value in enumerate(args):
            if not _may_be_mapped(value):
                names = list(options.signature_of(self.run).parameters)
                which = f"{names[place]!r}" if place < len(names) else f"number {place + 1}"
                message = (
                    f"Cannot map task {self.name!r} over its argument {which}, which is of type"
                    f" {type(value).__name__} and has no elements by place. Give a list, or"
                    " unmapped(...) for what is the same for each child."
                )
                raise TypeError(message)
        made = self.copy(**{"nout": None, **(task_args or {})})
        return made.bind(*args, mapped=True, upstream_tasks=upstream_tasks, flow=flow, **kwargs)

    def set_dependencies(
        self,
        flow: Any = None,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Any] | None = None,
        keyword_tasks: dict[str, Any] | None = None,
        mapped: bool = False,  # noqa: FBT001, FBT002 - the field's signature
        validate: bool | None = None,  # noqa: FBT001 - as above
    ) -> Any:
        """Give the task edges in a flow; give the task.

        Parameters:
            flow: the flow; the active one by default.
            upstream_tasks: what it comes after.
            downstream_tasks: what comes after it; these edges are never mapped.
            keyword_tasks: what gives its arguments, by name.
            mapped: edges from upstream and keyword tasks are mapped.
            validate: check the edges as they are added.

        Raises:
            ValueError: there is no flow.
        """
        self._flow_for_edges(flow).set_dependencies(
            task=self,
            upstream_tasks=upstream_tasks,
            downstream_tasks=downstream_tasks,
            keyword_tasks=keyword_tasks,
            mapped=mapped,
            validate=validate,
        )
        return self

    def set_upstream(
        self,
        task: Any,
        flow: Any = None,
        key: str | None = None,
        mapped: bool = False,  # noqa: FBT001, FBT002 - the field's signature
    ) -> Any:
        """Let this task come after another one, which may give one of its arguments.

        Raises:
            ValueError: there is no flow.
        """
        self._flow_for_edges(flow).add_edge(
            upstream_task=task, downstream_task=self, key=key, mapped=mapped
        )
        return self

    def set_downstream(
        self,
        task: Any,
        flow: Any = None,
        key: str | None = None,
        mapped: bool = False,  # noqa: FBT001, FBT002 - the field's signature
    ) -> Any:
        """Let another task come after this one, which may give one of its arguments.

        Raises:
            ValueError: there is no flow.
        """
        self._flow_for_edges(flow).add_edge(
            upstream_task=self, downstream_task=task, key=key, mapped=mapped
        )
        return self

    def pipe(self, other_task: Any, /, **kwargs: Any) -> Any:
        """Give what comes of another task that is called with this one: `other_task(self, ...)`.

        Raises:
            ValueError: a keyword is named `self`.
        """
        if "self" in kwargs:
            message = (
                f"pipe() of task {self.name!r} takes no keyword named 'self': the task itself is"
                " the first argument."
            )
            raise ValueError(message)
        if isinstance(other_task, type) and issubclass(
            other_task, (EdgeAnnotation, unmapped_in_flow)
        ):
            return self
        return other_task(self, **kwargs)

    # -- the flow -----------------------------------------------------------------------------

    def _flow_for_edges(self, flow: Any) -> Any:
        """Give the flow that was given, or the active one."""
        found = context.get("flow") if flow is None else flow
        if found is None:
            message = (
                f"No Flow was passed, and none is active: task {self.name!r} cannot be given"
                " edges. Write it inside of `with Flow(...):`, or give flow=..."
            )
            raise ValueError(message)
        return found

    def _flow_to_bind_into(self, flow: Any) -> Any:
        """Give the flow that was given, or the active one, for a task that is called."""
        found = context.get("flow") if flow is None else flow
        if found is None:
            message = (
                f"Could not infer an active Flow context while creating edge to {self!r}. This"
                " often means you called a task outside a `with Flow(...)` block. If you're trying"
                " to run this task outside of a Flow context, you need to call"
                f" `{self._example_of_run()}`."
            )
            raise ValueError(message)
        return found

    def _example_of_run(self) -> str:
        """Give how one would run the task without a flow."""
        return f"{type(self).__name__}(...).run(...)"


def _may_be_mapped(value: Any) -> bool:
    """Tell whether a value is a task or annotated, which is seen later, or has elements."""
    return (
        hasattr(value, "__getitem__")
        or annotated(value)[0] is not value
        or options.is_decorated(value)
    )
