"""Tasks of a graph, and how they are bound into one (sections 3 and 4.2)."""

from __future__ import annotations

import copy as copying
import inspect
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import update_wrapper, wraps
from typing import Any, cast, overload

from penstock import clock
from penstock.graph import task_options as options
from penstock.graph.ambient import context
from penstock.graph.annotations import EdgeAnnotation, annotated
from penstock.graph.operator_methods import TaskOperators
from penstock.graph.results import Result
from penstock.graph.signals import PAUSE
from penstock.graph.triggers import all_successful

__all__ = ["FunctionTask", "Task", "defaults_from_attrs", "pause_task", "tags", "task"]

_OWN = (
    "name",
    "slug",
    "tags",
    "max_retries",
    "retry_delay",
    "retry_on",
    "timeout",
    "trigger",
    "skip_on_upstream_skip",
    "cache_for",
    "cache_validator",
    "cache_key",
    "checkpoint",
    "state_handlers",
    "log_stdout",
    "result",
    "target",
    "task_run_name",
    "nout",
    "auto_generated",
)
_UNUSED = "_unused_task_tracker"


class _InstanceSignature:
    """The signature of calling a task; the class itself keeps that of its constructor."""

    def __get__(self, instance: Any, owner: type[Any]) -> inspect.Signature:
        if instance is None:
            raise AttributeError("__signature__")
        given = list(options.signature_of(instance.run).parameters.values())
        variable = [one for one in given if one.kind is inspect.Parameter.VAR_KEYWORD]
        own = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
            for name, default in (
                ("mapped", False),
                ("task_args", None),
                ("upstream_tasks", None),
                ("flow", None),
            )
        ]
        named = [one for one in given if one.kind is not inspect.Parameter.VAR_KEYWORD]
        return inspect.Signature([*named, *own, *variable], return_annotation="Task")


class Task(TaskOperators):
    """One step of a graph. A subclass defines `run`; `@task` makes one of a function.

    Parameters:
        name: the class's name by default.
        slug: what it is known by in its flow; made of name and tags by default.
        tags: labels; those of `with tags(...)` are added.
        max_retries: how often it is run again after a failure.
        retry_delay: how long after; needed with `max_retries`.
        retry_on: the exceptions after which it is run again; any by default.
        timeout: seconds that a run may take; a timedelta is truncated to these.
        trigger: decides by the upstream states whether it runs; `all_successful` by default.
        skip_on_upstream_skip: it is skipped if anything upstream is.
        cache_for: how long a result holds for later runs.
        cache_validator: decides whether it does; `duration_only` by default.
        cache_key: what its results are kept under; the name by default.
        checkpoint: False for results that are never written.
        state_handlers: functions `f(task, old, new)` told of each change of state.
        on_failure: a function `f(task, state)` told of failures.
        log_stdout: what it prints is logged.
        result: how its results are kept.
        target: where its result is kept, and looked for before it runs.
        task_run_name: the name of a run: a template, or a function that gives it.
        nout: how many values it gives, to unpack it; by default by the return annotation.

    Example:
        >>> class Add(Task):
        ...     def run(self, x, y):
        ...         return x + y
        >>> Add().run(1, 2)
        3
    """

    auto_generated = False
    # What the engine asks of whatever it records.
    isasync = False
    persist_result: bool | None = None
    result_storage: Any = None
    result_serializer: Any = None
    result_storage_key: str | None = None
    cache_result_in_memory = True

    __signature__ = _InstanceSignature()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a `run` that a task cannot have.

        Raises:
            ValueError: it takes `*args`, a reserved name, or cannot be inspected.
        """
        super().__init_subclass__(**kwargs)
        if "run" in cls.__dict__:
            options.check_run(cls.__dict__["run"], cls.__name__)

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Warn of a task that is given to the constructor of a task."""
        if any(isinstance(value, Task) for value in (*args, *kwargs.values())):
            warnings.warn(
                f"A Task was passed to the constructor of {cls.__name__}, which is called when the"
                f" graph is made. Did you mean to bind it: {cls.__name__}(...)(task)?",
                UserWarning,
                stacklevel=2,
            )
        return super().__new__(cls)

    def __init__(  # noqa: PLR0913, PLR0917 - one parameter for each option of the field's class
        self,
        name: str | None = None,
        slug: str | None = None,
        tags: Iterable[str] | None = None,
        max_retries: int | None = None,
        retry_delay: timedelta | None = None,
        timeout: int | timedelta | None = None,
        trigger: Callable[..., Any] | None = None,
        skip_on_upstream_skip: bool = True,  # noqa: FBT001, FBT002
        cache_for: timedelta | None = None,
        cache_validator: Callable[..., bool] | None = None,
        cache_key: str | None = None,
        checkpoint: bool | None = None,  # noqa: FBT001
        state_handlers: list[Callable[..., Any]] | None = None,
        on_failure: Callable[..., Any] | None = None,
        log_stdout: bool = False,  # noqa: FBT001, FBT002
        result: Result | None = None,
        target: str | Callable[..., str] | None = None,
        task_run_name: str | Callable[..., str] | None = None,
        nout: int | None = None,
        retry_on: Any = None,
    ) -> None:
        lost = [key for key in vars(self) if key in _OWN]
        if lost:
            warnings.warn(
                f"`{type(self).__name__}` sets {', '.join(f'`{key}`' for key in lost)} before it"
                " calls `super().__init__`, which overwrites that. Give it to that call instead.",
                UserWarning,
                stacklevel=3,
            )
        self.name: Any = name or type(self).__name__
        options.refuse_positional_only(self.run, self.name)
        self.slug = slug
        self.tags = options.checked_tags(tags, self.name)
        self.max_retries, self.retry_delay = options.checked_retries(
            max_retries, retry_delay, self.name
        )
        self.retry_on = options.checked_retry_on(retry_on, self.max_retries, self.name)
        self.timeout = options.checked_timeout(timeout, self.name)
        self.trigger: Any = trigger or all_successful
        self.skip_on_upstream_skip = skip_on_upstream_skip
        self.cache_for = cache_for
        self.cache_validator = options.checked_validator(cache_for, cache_validator, self.name)
        self.cache_key = cache_key
        self.checkpoint: Any = checkpoint
        self.state_handlers = options.checked_handlers(state_handlers, f"task {self.name!r}")
        if on_failure is not None:
            self.state_handlers.append(options.handler_on_failure(on_failure))
        self.log_stdout = log_stdout
        self.task_run_name = task_run_name
        self.target = target
        self.result: Any = _result_for(result, target, self.name)
        self.nout: Any = options.inferred_nout(self.run) if nout is None else nout
        self.auto_generated = False
        self.logger = logging.getLogger(f"penstock.graph.{self.name}")
        tracker = context.get(_UNUSED)
        if tracker is not None:
            tracker.add(self)

    def run(self) -> Any:
        """Do the task's work; a subclass defines it, with the arguments it takes."""

    def __repr__(self) -> str:
        """Give the name."""
        return f"<Task: {self.name}>"

    __hash__ = object.__hash__

    # -- binding ------------------------------------------------------------------------------

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
                f"The arguments do not fit task {self.name!r}, which takes {signature}: {error}"
            )
            raise TypeError(message) from None
        arguments = dict(bound.arguments)
        for parameter in signature.parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(parameter.name, {}))
        flow = self._flow(flow, "bind")
        self.tags.update(context.get("tags") or ())
        return self.set_dependencies(
            flow=flow, upstream_tasks=upstream_tasks, keyword_tasks=arguments, mapped=mapped
        )

    def _flow(self, flow: Any, how: str) -> Any:
        found = flow if flow is not None else context.get("flow")
        if found is not None:
            return found
        if how != "bind":
            message = (
                f"No Flow was passed, and none is active: task {self.name!r} cannot be given edges."
                " Write it inside of `with Flow(...):`, or give flow=..."
            )
            raise ValueError(message)
        fn = isinstance(self, FunctionTask)
        example = f"{self.name}.run(...)" if fn else f"{type(self).__name__}(...).run(...)"
        message = (
            f"Could not infer an active Flow context while creating edge to {self!r}. This often"
            " means you called a task outside a `with Flow(...)` block. If you're trying to run"
            f" this task outside of a Flow context, you need to call `{example}`"
        )
        raise ValueError(message)

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
        for value in args:
            if (
                not hasattr(value, "__getitem__")
                and not isinstance(annotated(value)[0], Task)
                and not _is_annotated(value)
            ):
                message = (
                    f"Cannot map task {self.name!r} over an object of type"
                    f" {type(value).__name__}, which has no elements by place. Give a list, or"
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
            downstream_tasks: what comes after it.
            keyword_tasks: what gives its arguments, by name.
            mapped: edges from upstream and keyword tasks are mapped.
            validate: check the edges as they are added.

        Raises:
            ValueError: there is no flow.
        """
        flow = self._flow(flow, "edges")
        flow.set_dependencies(
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
        self._flow(flow, "edges").add_edge(
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
        self._flow(flow, "edges").add_edge(
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
                "pipe() takes no keyword named 'self': the task itself is the first argument."
            )
            raise ValueError(message)
        if isinstance(other_task, type) and issubclass(other_task, EdgeAnnotation):
            return self
        return other_task(self, **kwargs)

    def copy(self, **task_args: Any) -> Any:
        """Give a copy of the task.

        Parameters:
            **task_args: attributes of the copy.

        Raises:
            AttributeError: a task has no such attribute.
        """
        flow = context.get("flow")
        if flow is not None and self in flow.tasks and flow.has_edges(self):
            warnings.warn(
                f"You are making a copy of task {self.name!r}, which has edges in flow"
                f" {flow.name!r} already. The copy has none of them: call the task's function"
                " where you use it, or bind it once.",
                UserWarning,
                stacklevel=3,
            )
        made = copying.copy(self)
        if made.slug and "slug" not in task_args:
            task_args["slug"] = f"{made.slug}-copy"
        for attribute, value in task_args.items():
            if not hasattr(made, attribute):
                message = f"{type(self).__name__} does not have {attribute!r} as an attribute."
                raise AttributeError(message)
            setattr(made, attribute, value)
        made.tags = {*self.tags, *options.checked_tags(task_args.get("tags"), self.name)}
        if "result" in task_args or "target" in task_args:
            made.result = _result_for(made.result, made.target, made.name)
        if "name" in task_args:
            made.logger = logging.getLogger(f"penstock.graph.{made.name}")
        tracker = context.get(_UNUSED)
        if tracker is not None:
            tracker.discard(self)
            tracker.add(made)
        return made

    # -- what it takes and gives --------------------------------------------------------------

    def inputs(self) -> dict[str, dict[str, Any]]:
        """Give the arguments by name: with their `type`, their `default`, and if `required`."""
        found: dict[str, dict[str, Any]] = {}
        for name, parameter in options.signature_of(self.run).parameters.items():
            has_default = parameter.default is not inspect.Parameter.empty
            kind = parameter.annotation
            found[name] = {
                "type": Any if kind is inspect.Parameter.empty else kind,
                "default": parameter.default if has_default else None,
                "required": not has_default,
            }
        return found

    def outputs(self) -> Any:
        """Give the type of what it gives."""
        kind = options.signature_of(self.run).return_annotation
        return Any if kind is inspect.Signature.empty else kind

    def serialize(self) -> dict[str, Any]:
        """Give the task as JSON can hold it: not its code."""
        return {
            "name": self.name,
            "slug": self.slug,
            "type": f"{type(self).__module__}.{type(self).__qualname__}",
            "tags": sorted(self.tags),
            "max_retries": self.max_retries,
            "retry_delay": None if self.retry_delay is None else self.retry_delay.total_seconds(),
            "timeout": self.timeout,
            "trigger": getattr(self.trigger, "__name__", repr(self.trigger)),
            "skip_on_upstream_skip": self.skip_on_upstream_skip,
            "cache_for": None if self.cache_for is None else self.cache_for.total_seconds(),
            "cache_key": self.cache_key,
            "auto_generated": self.auto_generated,
            "inputs": {
                name: {**entry, "type": str(entry["type"]), "default": repr(entry["default"])}
                for name, entry in self.inputs().items()
            },
            "outputs": str(self.outputs()),
        }


def _is_annotated(value: Any) -> bool:
    return annotated(value)[0] is not value


def _result_for(result: Any, target: Any, name: Any) -> Any:
    """Give the result that goes with a target: a copy that is kept there."""
    if result is None or target is None:
        return result
    if result.location and result.location != target:
        warnings.warn(
            f"Both `result.location` and `target` were provided for task {name!r}. `target` is"
            " used.",
            UserWarning,
            stacklevel=4,
        )
    made = result.copy()
    made.location = target
    return made


class FunctionTask(Task):
    """A task whose work is a function. Made by `@task`.

    Parameters:
        fn: the function.
        name: its name by default.
        **kwargs: the options of any task.

    Raises:
        TypeError: it is no function, or has positional-only arguments.
        ValueError: its arguments are none that a task can have.
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, **kwargs: Any) -> None:
        if not callable(fn):
            message = f"fn must be callable, not {fn!r}: use @task on a function."
            raise TypeError(message)
        own_name = getattr(fn, "__name__", type(fn).__name__)
        options.check_run(fn, own_name)
        update_wrapper(self, fn, updated=())  # pyright: ignore[reportArgumentType] - it is called
        self.run = fn
        super().__init__(name=name or own_name, **kwargs)

    def __getattr__(self, key: str) -> Any:
        """Say what is probably meant where a task is taken for its result.

        Raises:
            AttributeError: always.
        """
        if key.startswith("__"):
            raise AttributeError(key)
        message = f"'FunctionTask' object has no attribute {key!r}."
        if self.__dict__.get("name") is not None:
            message += " Did you call this object within a function that should have been decorated with @task?"
        raise AttributeError(message)


@overload
def task(fn: Callable[..., Any], /) -> FunctionTask: ...


@overload
def task(**task_kwargs: Any) -> Callable[[Callable[..., Any]], FunctionTask]: ...


def task(fn: Callable[..., Any] | None = None, /, **task_kwargs: Any) -> Any:
    """Decorate a function to make it a task of graphs.

    Parameters:
        fn: the function.
        **task_kwargs: the options of `Task`.

    Example:
        >>> @task(name="twice")
        ... def double(n):
        ...     return 2 * n
        >>> double.run(2)
        4
    """
    if fn is None:
        return lambda function: FunctionTask(function, **task_kwargs)
    return FunctionTask(fn, **task_kwargs)


@contextmanager
def tags(*names: str) -> Iterator[None]:
    """Give tasks that are made, or bound, in the block these tags, too.

    Example:
        >>> with tags("nightly"):
        ...     made = Task()
        >>> made.tags
        {'nightly'}
    """
    with context(tags={*(context.get("tags") or ()), *names}):
        yield


def pause_task(message: str | None = None, duration: timedelta | None = None) -> None:
    """Pause the task that calls it, unless it was resumed.

    Parameters:
        message: the state's message.
        duration: after which it goes on by itself; never by default.

    Raises:
        PAUSE: the task was not resumed.
    """
    if not context.get("resume"):
        start_time = None if duration is None else clock.now() + duration
        raise PAUSE(message or "Pause signal raised during task execution.", start_time=start_time)


def defaults_from_attrs(*attr_args: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a `run` so that arguments that are not passed come from the task's attributes.

    Parameters:
        *attr_args: the names of the arguments.

    Example:
        >>> class Power(Task):
        ...     def __init__(self, exponent=None, **kwargs):
        ...         self.exponent = exponent
        ...         super().__init__(**kwargs)
        ...
        ...     @defaults_from_attrs("exponent")
        ...     def run(self, x, exponent=None):
        ...         return x**exponent
        >>> Power(exponent=2).run(3)
        9
    """

    def decorate(run: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(run)
        def call(self: Task, *args: Any, **kwargs: Any) -> Any:
            names = list(inspect.signature(run).parameters)[1 : 1 + len(args)]
            for attribute in attr_args:
                if attribute not in kwargs and attribute not in names:
                    kwargs[attribute] = getattr(self, attribute)
            return run(self, *args, **kwargs)

        return cast("Callable[..., Any]", call)

    return decorate
