"""Tasks of a graph: what they are, and functions as tasks (section 3)."""

from __future__ import annotations

import copy as copying
import inspect
import logging
import warnings
from contextlib import contextmanager
from functools import partial, update_wrapper, wraps
from typing import TYPE_CHECKING, Any, cast, overload

from penstock import clock
from penstock.graph import task_options as options
from penstock.graph.ambient import context
from penstock.graph.graph_json import describe_task
from penstock.graph.signals import PAUSE
from penstock.graph.task_binding import TaskBinding
from penstock.graph.triggers import all_successful

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from datetime import timedelta

    from penstock.graph.results import Result

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


class _Signature:
    """The signature of calling a task, and for its class that of the constructor."""

    def __get__(self, instance: Any, owner: type[Any]) -> inspect.Signature:
        if instance is None:
            constructor = inspect.signature(owner.__init__)
            return constructor.replace(parameters=list(constructor.parameters.values())[1:])
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


class Task(TaskBinding):
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

    __signature__ = _Signature()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a `run` that a task cannot have.

        Raises:
            ValueError: it takes `*args`, a reserved name, or cannot be inspected.
        """
        super().__init_subclass__(**kwargs)
        if "run" in cls.__dict__:
            options.check_run(cls.run, cls.__name__)

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
        retry_on: Any = None,
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
    ) -> None:
        lost = [key for key in vars(self) if key in _OWN]
        if lost:
            warnings.warn(
                f"`{type(self).__name__}` sets {', '.join(f'`{key}`' for key in lost)} before it"
                " calls `super().__init__`, which overwrites that. Give it to that call instead,"
                " or set it afterwards.",
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
        tracker = context.get(_UNUSED)
        if tracker is not None:
            tracker.add(self)

    def run(self) -> Any:
        """Do the task's work; a subclass defines it, with the arguments it takes."""

    @property
    def logger(self) -> Any:
        """The task's logger, `penstock.graph.<name>`; made when it is first asked for."""
        return self.__dict__.get("_logger") or logging.getLogger(f"penstock.graph.{self.name}")

    @logger.setter
    def logger(self, logger: Any) -> None:
        self._logger = logger

    def __repr__(self) -> str:
        """Give the name."""
        return f"<Task: {self.name}>"

    __hash__ = object.__hash__

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
        made.state_handlers = list(self.state_handlers)
        if made.slug and "slug" not in task_args:
            task_args["slug"] = f"{made.slug}-copy"
        for attribute, value in task_args.items():
            if not hasattr(made, attribute):
                message = (
                    f"{type(self).__name__} {self.name!r} does not have {attribute!r} as an"
                    " attribute, which a copy of it was to be given (as one of task_args)."
                )
                raise AttributeError(message)
            setattr(made, attribute, value)
        made.tags = {*self.tags, *options.checked_tags(task_args.get("tags"), self.name)}
        options.check_again(made, task_args)
        if "result" in task_args or "target" in task_args:
            made.result = _result_for(made.result, made.target, made.name)
        tracker = context.get(_UNUSED)
        if tracker is not None:
            tracker.discard(self)
            tracker.add(made)
        return made

    # -- what it takes and gives --------------------------------------------------------------

    def inputs(self) -> dict[str, dict[str, Any]]:
        """Give the arguments by name: with their `type`, their `default`, and if `required`."""
        kinds = options.hints_of(self.run)
        found: dict[str, dict[str, Any]] = {}
        for name, parameter in options.signature_of(self.run).parameters.items():
            has_default = parameter.default is not inspect.Parameter.empty
            found[name] = {
                "type": kinds.get(name, Any),
                "default": parameter.default if has_default else None,
                "required": not has_default and parameter.kind is not parameter.VAR_KEYWORD,
            }
        return found

    def outputs(self) -> Any:
        """Give the type of what it gives."""
        return options.hints_of(self.run).get("return", Any)

    def serialize(self) -> dict[str, Any]:
        """Give the task as JSON can hold it: not its code."""
        return describe_task(self)


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
        update_wrapper(self, fn, updated=())
        self.run = fn
        super().__init__(name=name or own_name, **kwargs)

    def _example_of_run(self) -> str:
        return f"{self.name}.run(...)"

    def __getattr__(self, key: str) -> Any:
        """Say what is probably meant where a task is taken for its result.

        Raises:
            AttributeError: always.
        """
        if key.startswith("__"):
            raise AttributeError(key)
        name = self.__dict__.get("name")
        message = (
            f"'FunctionTask' object {name!r} has no attribute {key!r}. Did you call this object"
            " within a function that should have been decorated with @task?"
        )
        raise AttributeError(message)


@overload
def task(fn: Callable[..., Any], **task_kwargs: Any) -> FunctionTask: ...


@overload
def task(fn: None = None, **task_kwargs: Any) -> Callable[[Callable[..., Any]], FunctionTask]: ...


def task(fn: Callable[..., Any] | None = None, **task_kwargs: Any) -> Any:
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
        return partial(FunctionTask, **task_kwargs)
    return FunctionTask(fn, **task_kwargs)


@contextmanager
def tags(*names: str) -> Generator[None]:
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
