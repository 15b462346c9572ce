"""Tasks: functions whose every run is recorded (sections 2.3 and 2.4)."""

from __future__ import annotations

import inspect
import sys
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Never, ParamSpec, TypeVar, overload

from penstock import decorating as check
from penstock.context import FlowRunContext, TaskRunContext, collected, current_run_id
from penstock.records import TaskRunPolicy
from penstock.settings import get_current_settings
from penstock.utilities.annotations import NotSet
from penstock.utilities.collections import isiterable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Task", "exponential_backoff", "task", "task_input_hash"]

P = ParamSpec("P")
R = TypeVar("R")

RETRY_DELAYS_LIMIT = 50
"""The most different delays between retries that a task can have."""

_OPTIONS = (
    "name",
    "description",
    "tags",
    "version",
    "cache_key_fn",
    "cache_expiration",
    "task_run_name",
    "retries",
    "retry_delay_seconds",
    "retry_jitter_factor",
    "persist_result",
    "result_storage",
    "result_serializer",
    "result_storage_key",
    "cache_result_in_memory",
    "timeout_seconds",
    "log_prints",
    "refresh_cache",
    "on_completion",
    "on_failure",
    "retry_condition_fn",
    "viz_return_value",
)

_OPTIONS_TO_CHANGE = tuple(option for option in _OPTIONS if option != "version")


def exponential_backoff(backoff_factor: float) -> Callable[[int], list[float]]:
    """Give delays that double: `retry_delay_seconds=exponential_backoff(10)`.

    Parameters:
        backoff_factor: the first delay, in seconds.

    Returns:
        A function of the number of retries that gives the delays.

    Example:
        >>> exponential_backoff(10)(3)
        [10, 20, 40]
    """

    def delays(retries: int) -> list[float]:
        return [backoff_factor * 2**attempt for attempt in range(min(retries, RETRY_DELAYS_LIMIT))]

    return delays


def task_input_hash(context: TaskRunContext, arguments: dict[str, Any]) -> str | None:
    """Give a cache key made of the task, its code and its arguments (section 6.5).

    Use it as `cache_key_fn=task_input_hash`.

    Parameters:
        context, arguments: of the task run: its context, and its parameters, resolved.

    Raises:
        HashError: an argument cannot be hashed; says which. A key of part of the arguments would
            lead to wrong results.
    """
    from penstock.utilities.hashing import hash_arguments  # brings OpenSSL: 3 ms

    of = context.task
    if of.code_hash is None:
        code = getattr(of.fn, "__code__", None)
        of.code_hash = hash_arguments({"task_key": of.task_key, "code": code})
    return f"{of.code_hash}-{hash_arguments(arguments)}"


class Task(check.Decorated, Generic[P, R]):
    """A function whose runs are recorded, retried, cached and timed. Made by `@task`.

    The options are those of `task`.
    """

    kind = "task"

    @collected
    def __init__(  # noqa: PLR0913, PLR0917 - one parameter for each option of the field's decorator
        self,
        fn: Callable[P, R],
        name: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        version: str | None = None,
        cache_key_fn: Callable[[TaskRunContext, dict[str, Any]], str | None] | None = None,
        cache_expiration: timedelta | None = None,
        task_run_name: str | Callable[[], str] | None = None,
        retries: int | None = None,
        retry_delay_seconds: float | list[float] | Callable[[int], list[float]] | None = None,
        retry_jitter_factor: float | None = None,
        persist_result: bool | None = None,  # noqa: FBT001
        result_storage: Any = None,
        result_serializer: Any = None,
        result_storage_key: str | None = None,
        cache_result_in_memory: bool = True,  # noqa: FBT001, FBT002
        timeout_seconds: float | None = None,
        log_prints: bool | None = None,  # noqa: FBT001
        refresh_cache: bool | None = None,  # noqa: FBT001
        on_completion: list[Callable[..., Any]] | None = None,
        on_failure: list[Callable[..., Any]] | None = None,
        retry_condition_fn: Callable[..., Any] | None = None,
        viz_return_value: Any = None,
        **unknown: Never,
    ) -> None:
        check.refuse_unknown(unknown, _OPTIONS, "task")
        check.check_function(fn, "task")
        check.check_name(name, "task", ban_characters=False)
        check.check_texts(
            "task", description=description, version=version, result_storage_key=result_storage_key
        )
        check.check_callable(cache_key_fn, "cache_key_fn", "task")
        check.check_callable(retry_condition_fn, "retry_condition_fn", "task")
        check.check_flags("task", refresh_cache=refresh_cache)
        self.describe(fn, name or getattr(fn, "__name__", type(fn).__name__), description)
        self.__name__ = self.name
        if inspect.isasyncgenfunction(fn):
            message = f"Task {self.name!r} is an async generator, which tasks cannot be."
            raise TypeError(message)
        check.check_run_name(task_run_name, "task_run_name")
        self.task_run_name = task_run_name
        self.tags = check.check_tags(tags, "task")
        self.version = version
        self.code_hash: str | None = None
        self.cache_key_fn = cache_key_fn
        self.cache_expiration = cache_expiration
        self.refresh_cache = refresh_cache
        self.result_storage_key = result_storage_key
        self.take_results(persist_result, result_storage, result_serializer)
        self.take_flags(cache_result_in_memory, log_prints)
        self.viz_return_value = viz_return_value
        self.on_completion = check.check_hooks(on_completion, "on_completion")
        self.on_failure = check.check_hooks(on_failure, "on_failure")
        check.check_not_negative(timeout_seconds, "timeout_seconds", "task", self.name)
        self.timeout_seconds = float(timeout_seconds) if timeout_seconds else None
        self._take_retries(retries, retry_delay_seconds, retry_jitter_factor)
        self.retry_condition_fn = retry_condition_fn
        self._refuse_conflicts()

    def _take_retries(self, retries: Any, delay: Any, jitter_factor: Any) -> None:
        settings = get_current_settings()
        self.retries = settings.task_default_retries if retries is None else retries
        check.check_count(self.retries, "retries", "task", self.name)
        if delay is None:
            delay = settings.task_default_retry_delay_seconds
        if callable(delay):
            delay = delay(self.retries)
        if isinstance(delay, (list, tuple)):
            delays: list[Any] = list(delay)  # pyright: ignore[reportUnknownArgumentType]
            if len(delays) > RETRY_DELAYS_LIMIT:
                message = (
                    f"Can not configure more than {RETRY_DELAYS_LIMIT} retry delays per task; task"
                    f" {self.name!r} has {len(delays)}. The last one is used for all further"
                    " retries."
                )
                raise ValueError(message)
            for one in delays:
                if one is None:
                    message = f"A retry delay of task {self.name!r} must be a number, not None."
                    raise TypeError(message)
                check.check_not_negative(one, "retry_delay_seconds", "task", self.name)
            delay = delays
        else:
            check.check_not_negative(delay, "retry_delay_seconds", "task", self.name)
        self.retry_delay_seconds = delay
        check.check_not_negative(jitter_factor, "retry_jitter_factor", "task", self.name)
        self.retry_jitter_factor = jitter_factor
        self.policy = TaskRunPolicy(
            retries=self.retries, retry_delay=delay or None, retry_jitter_factor=jitter_factor
        )

    def _refuse_conflicts(self) -> None:
        if self.persist_result is False and self.result_storage_key is not None:
            message = (
                f"Task {self.name!r} has persist_result=False and a result_storage_key. A result"
                " that is not kept has no key: leave one of them out."
            )
            raise ValueError(message)
        if self.cache_expiration is not None and not isinstance(self.cache_expiration, timedelta):  # pyright: ignore[reportUnnecessaryIsInstance]
            message = (
                f"Expected 'cache_expiration' of task {self.name!r} to be a timedelta, got"
                f" {type(self.cache_expiration).__name__}. Write, for example, timedelta(hours=1)."
            )
            raise TypeError(message)
        if self.cache_expiration is not None and self.cache_key_fn is None:
            warnings.warn(
                f"Task {self.name!r} has a cache_expiration but no cache_key_fn, so nothing is"
                " cached. Add cache_key_fn=task_input_hash.",
                stacklevel=5,
            )

    # -- calling ------------------------------------------------------------------------------

    def __call__(
        self, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any
    ) -> Any:
        """Run the task here and now.

        Parameters:
            return_state: give the final state instead of the value; a failed run does not raise.
            wait_for: futures, states or collections of them that have to complete before.

        Returns:
            The value; an awaitable of it for an async task that is called by async code. In the
            `with` block of a graph, which this is made a part of, the graph's task.
        """
        if _GRAPH in sys.modules and _is_in_graph():
            return _put_into_graph(self, "__call__", args, kwargs, wait_for)
        if _SKETCHING in sys.modules and (sketch := sys.modules[_SKETCHING].present_sketch()):
            return sketch.call(self, self.signature.bind(args, kwargs), wait_for)
        return _engine()(
            self,
            self.signature.bind(args, kwargs),
            wait_for,
            "state" if return_state else "result",
            None,
            False,  # noqa: FBT003
            TaskRunContext.variable.get() is not None,
        )

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        return self(*args, return_state=True, **kwargs)

    def submit(
        self, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any
    ) -> Any:
        """Run the task on the flow's task runner, without waiting for it.

        Parameters:
            return_state: wait, and give the final state.
            wait_for: runs that have to complete before.

        Returns:
            A `PenstockFuture`; an awaitable of it for an async task in async code.

        Raises:
            RuntimeError: this is not in a flow.
        """
        if _GRAPH in sys.modules and _is_in_graph():
            return _put_into_graph(self, "__call__", args, kwargs, wait_for)
        if _SKETCHING in sys.modules and (sketch := sys.modules[_SKETCHING].present_sketch()):
            sketch.refuse(self, "submit")
        return _engine()(
            self,
            self.signature.bind(args, kwargs),
            wait_for,
            "state" if return_state else "future",
            _runner_here(),
        )

    def map(
        self, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any
    ) -> Any:
        """Run the task once for each element of what it is given.

        Parameters:
            return_state: wait, and give the final states.
            wait_for: runs that have to complete before any of them.

        Returns:
            A list of futures, in the order of the elements.

        Raises:
            MappingMissingIterable: nothing given can be iterated over.
            MappingLengthMismatch: the lengths differ.
            RuntimeError: this is not in a flow.

        Example:
            >>> double.map([1, 2, 3])  # doctest: +SKIP
        """
        if _GRAPH in sys.modules and _is_in_graph():
            return _put_into_graph(self, "map", args, kwargs, wait_for)
        if _SKETCHING in sys.modules and (sketch := sys.modules[_SKETCHING].present_sketch()):
            sketch.refuse(self, "map")
        return _engine()(
            self,
            self.signature.bind(args, kwargs),
            wait_for,
            "state" if return_state else "future",
            _runner_here(),
            mapped=True,
        )

    # -- options ------------------------------------------------------------------------------

    def with_options(  # noqa: PLR0913 - one parameter for each option
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        cache_key_fn: Callable[..., Any] | None = None,
        cache_expiration: timedelta | None = None,
        task_run_name: str | Callable[[], str] | None = None,
        retries: Any = NotSet,
        retry_delay_seconds: Any = NotSet,
        retry_jitter_factor: Any = NotSet,
        persist_result: Any = NotSet,
        result_storage: Any = NotSet,
        result_serializer: Any = NotSet,
        result_storage_key: Any = NotSet,
        cache_result_in_memory: bool | None = None,
        timeout_seconds: float | None = None,
        log_prints: Any = NotSet,
        refresh_cache: Any = NotSet,
        on_completion: list[Callable[..., Any]] | None = None,
        on_failure: list[Callable[..., Any]] | None = None,
        retry_condition_fn: Callable[..., Any] | None = None,
        viz_return_value: Any = None,
        **unknown: Never,
    ) -> Task[P, R]:
        """Give the same task with other options; those that are not given are kept.

        None keeps an option, too, except for `retries`, `retry_delay_seconds`,
        `retry_jitter_factor`, `persist_result`, `result_storage`, `result_serializer`,
        `result_storage_key`, `log_prints` and `refresh_cache`, which None unsets.

        Example:
            >>> fast = load.with_options(name="fast load", retries=0)  # doctest: +SKIP
        """
        check.refuse_unknown(unknown, _OPTIONS_TO_CHANGE, "with_options")
        keep_none = {
            "name": name,
            "description": description,
            "tags": tags,
            "cache_key_fn": cache_key_fn,
            "cache_expiration": cache_expiration,
            "task_run_name": task_run_name,
            "cache_result_in_memory": cache_result_in_memory,
            "timeout_seconds": timeout_seconds,
            "on_completion": on_completion,
            "on_failure": on_failure,
            "retry_condition_fn": retry_condition_fn,
            "viz_return_value": viz_return_value,
        }
        unset_none = {
            "retries": retries,
            "retry_delay_seconds": retry_delay_seconds,
            "retry_jitter_factor": retry_jitter_factor,
            "persist_result": persist_result,
            "result_storage": result_storage,
            "result_serializer": result_serializer,
            "result_storage_key": result_storage_key,
            "log_prints": log_prints,
            "refresh_cache": refresh_cache,
        }
        options = {option: getattr(self, option) for option in _OPTIONS}
        options |= {option: value for option, value in keep_none.items() if value is not None}
        options |= check.given(unset_none)
        return type(self)(self.fn, **options)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the place where the task is defined, if it can be found there."""
        return check.reduce_decorated(self)

    def __repr__(self) -> str:
        """Give the task's name."""
        return f"<Task {self.name!r}>"


_enter: Callable[..., Any] | None = None


def _engine() -> Callable[..., Any]:
    """Give the entry to the engine, which is loaded with the first call."""
    global _enter  # noqa: PLW0603 - an import statement in each call costs as much as a rule
    if _enter is None:
        from penstock.engine import enter_task_run_engine

        _enter = enter_task_run_engine
    return _enter


_GRAPH, _SKETCHING = "penstock.graph.ambient", "penstock.sketching"


def _is_in_graph() -> bool:
    """Tell whether this code declares a graph: in a `with` block of the run that it is in."""
    here = sys.modules[_GRAPH].context
    return here.get("flow") is not None and here.get("_declared_in") == current_run_id()


def _put_into_graph(task: Any, how: str, args: Any, kwargs: Any, wait_for: Any) -> Any:
    from penstock.graph.decorated import adopt

    if wait_for is not None:
        kwargs["upstream_tasks"] = list(wait_for) if isiterable(wait_for) else [wait_for]
    return getattr(adopt(task), how)(*args, **kwargs)


def _runner_here() -> Any:
    context = FlowRunContext.variable.get()
    return None if context is None else context.execution.runner


@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *,
    name: str | None = None,
    description: str | None = None,
    tags: Iterable[str] | None = None,
    version: str | None = None,
    cache_key_fn: Callable[[TaskRunContext, dict[str, Any]], str | None] | None = None,
    cache_expiration: timedelta | None = None,
    task_run_name: str | Callable[[], str] | None = None,
    retries: int | None = None,
    retry_delay_seconds: float | list[float] | Callable[[int], list[float]] | None = None,
    retry_jitter_factor: float | None = None,
    persist_result: bool | None = None,
    result_storage: Any = None,
    result_serializer: Any = None,
    result_storage_key: str | None = None,
    cache_result_in_memory: bool = True,
    timeout_seconds: float | None = None,
    log_prints: bool | None = None,
    refresh_cache: bool | None = None,
    on_completion: list[Callable[..., Any]] | None = None,
    on_failure: list[Callable[..., Any]] | None = None,
    retry_condition_fn: Callable[..., Any] | None = None,
    viz_return_value: Any = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def task(fn: Any = None, /, **options: Any) -> Any:
    """Make a function a task: its runs are recorded, and may be retried, cached, mapped.

    Parameters:
        name: the function's name by default.
        description: the docstring by default.
        tags: given to every run, besides those of the context.
        version: any text.
        cache_key_fn: of the run's context and parameters; a run whose key was met before takes
            that run's result. See `task_input_hash`.
        cache_expiration: how long a result may be taken; for ever by default.
        task_run_name: a template over the parameters, or a function that gives the name.
        retries: how often a failed run is tried again; PENSTOCK_TASK_DEFAULT_RETRIES by default.
        retry_delay_seconds: seconds before each retry: a number, a list, or a function of the
            number of retries that gives a list.
        retry_jitter_factor: spreads the delays by up to this part of them.
        persist_result: True writes the result to storage, False keeps it in memory only; by
            default small results are kept in the run's record and larger ones in storage.
        result_storage, result_serializer: where and how results are written.
        result_storage_key: a template for the name that a result is written under, over
            `parameters`, `flow_run` and `task_run`; with one, it is written whatever its size.
        cache_result_in_memory: keep the value in memory after it was written.
        timeout_seconds: seconds after which a run is interrupted and is TimedOut.
        log_prints: log what the function prints; None takes the flow's.
        refresh_cache: execute in any case, and replace the cached result.
        on_completion, on_failure: lists of functions of (task, task_run, state).
        retry_condition_fn: of (task, task_run, state); a failed run is only retried if true.
        viz_return_value: what a call gives while its flow is drawn.

    Raises:
        TypeError, ValueError: an option is unknown, of the wrong type, or out of its range.

    Example:
        >>> @task(retries=3, retry_delay_seconds=1)
        ... def fetch(url: str) -> bytes: ...
    """
    if fn is not None:
        check.check_function(fn, "task")
        return Task(fn, **options)
    check.refuse_unknown({k: v for k, v in options.items() if k not in _OPTIONS}, _OPTIONS, "task")

    def decorate(fn: Callable[..., Any]) -> Task[..., Any]:
        return Task(fn, **options)

    return decorate
