"""What the options of a graph's task may be, and what is made of them (section 3)."""

from __future__ import annotations

import datetime as dt
import inspect
import typing
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from inspect import ismethod
from typing import Any, cast

from penstock.graph.ambient import context
from penstock.graph.cache_validators import duration_only, never_use

RESERVED = ("upstream_tasks", "mapped", "task_args", "flow")
"""Names that `run` cannot have: they are those of the call that binds a task."""


@lru_cache(maxsize=1024)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


@lru_cache(maxsize=1024)
def _method_signature(function: Callable[..., Any]) -> inspect.Signature:
    found = inspect.signature(function)
    return found.replace(parameters=list(found.parameters.values())[1:])


def signature_of(run: Any) -> inspect.Signature:
    """Give the signature of a task's `run`."""
    try:
        # A bound method is made anew each time it is asked for: its function is what stays.
        return _method_signature(run.__func__) if ismethod(run) else _signature(run)
    except TypeError:
        return inspect.signature(run)  # a callable object without a hash


def hints_of(run: Any) -> dict[str, Any]:
    """Give the types that `run` takes, and gives as `return`, as far as it says."""
    signature = signature_of(run)
    written = {name: one.annotation for name, one in signature.parameters.items()}
    written["return"] = signature.return_annotation
    found = {name: kind for name, kind in written.items() if kind is not inspect.Parameter.empty}
    if any(isinstance(kind, str) for kind in found.values()):
        try:
            read = typing.get_type_hints(run)
        except (AttributeError, NameError, TypeError):
            return found  # names that exist for type checkers only; what is no function
        found = {name: read.get(name, kind) for name, kind in found.items()}
    return found


def is_decorated(value: Any) -> bool:
    """Tell whether a value is a task of `penstock.task`."""
    return getattr(value, "kind", None) == "task" and hasattr(value, "fn")


def check_run(run: Any, name: str) -> None:
    """Refuse a `run` that a task cannot have.

    Raises:
        ValueError: it takes `*args` or a reserved name, or does not tell what it takes.
    """
    try:
        parameters = signature_of(run).parameters
    except ValueError:
        message = (
            f"The arguments of task {name!r} cannot be told: {run!r} cannot be inspected, as some"
            " functions that are not written in Python. Wrap it in one that can: a Python function"
            " with named arguments."
        )
        raise ValueError(message) from None
    for parameter in parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            message = (
                f"Tasks with variable positional arguments (*{parameter.name}) are not supported,"
                f" and {name!r} has them: every argument needs a name for its edge."
            )
            raise ValueError(message)
        if parameter.name in RESERVED:
            message = (
                f"{name!r} has an argument named {parameter.name!r}, which is a reserved name of"
                f" the call that binds a task, as are {', '.join(RESERVED)}. Rename it."
            )
            raise ValueError(message)


def refuse_positional_only(run: Any, name: str) -> None:
    """Refuse a `run` with arguments that have no names.

    Raises:
        TypeError: it has some.
    """
    found = [
        parameter.name
        for parameter in signature_of(run).parameters.values()
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY
    ]
    if found:
        message = (
            f"Task {name!r} has positional-only arguments: {', '.join(found)}. Every argument"
            " needs a name for its edge: take the / out."
        )
        raise TypeError(message)


def checked_tags(tags: Any, name: str) -> set[str]:
    """Give tags as a set of their own.

    Raises:
        TypeError: they are one text.
    """
    if isinstance(tags, str):
        message = (
            f"Tags of task {name!r} should be a set of texts, not a single one. Write"
            f" tags=[{tags!r}]."
        )
        raise TypeError(message)
    return set(tags or ()) | set(context.get("tags") or ())


def checked_retries(
    max_retries: int | None, retry_delay: dt.timedelta | None, name: str
) -> tuple[int, dt.timedelta | None]:
    """Give how often, and after how long, a task is run again.

    Raises:
        ValueError: one is given that needs the other.
    """
    defaults = context.config.tasks.defaults
    retries: Any = defaults.max_retries if max_retries is None else max_retries
    if not isinstance(retries, int) or retries < 0:
        message = (
            f"`max_retries` of task {name!r} must be a whole number from 0 up, not {retries!r}."
        )
        raise (ValueError if isinstance(retries, int) else TypeError)(message)
    if retry_delay is not None and not isinstance(retry_delay, dt.timedelta):  # pyright: ignore[reportUnnecessaryIsInstance] - users give numbers
        message = (
            f"`retry_delay` of task {name!r} must be a datetime.timedelta, not {retry_delay!r}."
            " Write timedelta(seconds=...)."
        )
        raise TypeError(message)
    if retry_delay is not None and not retries:
        message = (
            f"A `max_retries` argument greater than 0 must be provided if specifying a retry"
            f" delay, as task {name!r} does: it would never be retried."
        )
        raise ValueError(message)
    if retries and retry_delay is None:
        seconds = defaults.retry_delay
        if seconds is None:
            message = (
                f"A datetime.timedelta `retry_delay` must be provided if max_retries > 0, as it is"
                f" for task {name!r}."
            )
            raise ValueError(message)
        retry_delay = (
            seconds if isinstance(seconds, dt.timedelta) else dt.timedelta(seconds=seconds)
        )
    return retries or 0, retry_delay


def checked_retry_on(retry_on: Any, max_retries: int, name: str) -> set[type[Exception]] | None:
    """Give the exceptions after which a task is run again.

    Raises:
        ValueError: it is never run again.
        TypeError: they are no exceptions.
    """
    if retry_on is None:
        return None
    if not max_retries:
        message = (
            f"A `max_retries` argument greater than 0 must be provided if specifying `retry_on`,"
            f" as task {name!r} does: it would never be retried."
        )
        raise ValueError(message)
    is_one = isinstance(retry_on, type) or not isinstance(retry_on, Iterable)
    types: set[Any] = {retry_on} if is_one else set(cast("Iterable[Any]", retry_on))
    for kind in types:
        if not isinstance(kind, type) or not issubclass(kind, Exception):
            message = (
                f"`retry_on` of task {name!r} must be types of exceptions, and {kind!r} is none."
            )
            raise TypeError(message)
    return cast("set[type[Exception]]", types)


def checked_timeout(timeout: Any, name: str) -> int | None:
    """Give a timeout in whole seconds.

    Raises:
        TypeError: it is neither a whole number nor a timedelta.
    """
    if timeout is None:
        return None
    if isinstance(timeout, dt.timedelta):
        if timeout.microseconds:
            warnings.warn(
                f"Task timeouts are in whole seconds: that of task {name!r}, {timeout}, is"
                " truncated.",
                UserWarning,
                stacklevel=4,
            )
        return int(timeout.total_seconds())
    if not isinstance(timeout, int) or isinstance(timeout, bool):
        message = (
            f"The timeout of task {name!r} must be a whole number of seconds or a timedelta, not"
            f" {timeout!r}."
        )
        raise TypeError(message)
    return timeout


def checked_validator(cache_for: dt.timedelta | None, validator: Any, name: str) -> Any:
    """Give what tells whether a cached result still holds."""
    if validator is None:
        return never_use if cache_for is None else duration_only
    if cache_for is None and validator is not never_use:
        warnings.warn(
            f"Task {name!r} has a cache_validator but no cache_for, so it will not be cached. Give"
            " it, for example, cache_for=timedelta(hours=1).",
            UserWarning,
            stacklevel=4,
        )
    return validator


def checked_handlers(handlers: Any, what: str) -> list[Any]:
    """Give state handlers as a list.

    Raises:
        TypeError: they are no sequence.
    """
    if handlers and (isinstance(handlers, str) or not isinstance(handlers, Sequence)):
        message = (
            f"state_handlers of {what} must be a sequence of functions, not {handlers!r}. Put a"
            " single one into a list."
        )
        raise TypeError(message)
    made: list[Any] = [*(handlers or ())]
    for handler in made:
        if not callable(handler):
            message = (
                f"state_handlers of {what} must be functions (target, old, new), and"
                f" {handler!r} is none."
            )
            raise TypeError(message)
    return made


def check_again(task: Any, changed: Collection[str]) -> None:
    """Check the options of a copy that differ from those of its original.

    Raises:
        ValueError, TypeError: as where the original is made.
    """
    name = task.name
    if "max_retries" in changed or "retry_delay" in changed:
        if not task.max_retries and "retry_delay" not in changed:
            task.retry_delay = None  # the original's, for the retries that the copy has not
            task.retry_on = task.retry_on if "retry_on" in changed else None
        task.max_retries, task.retry_delay = checked_retries(
            task.max_retries, task.retry_delay, name
        )
    if "retry_on" in changed:
        task.retry_on = checked_retry_on(task.retry_on, task.max_retries, name)
    if "timeout" in changed:
        task.timeout = checked_timeout(task.timeout, name)
    if "cache_for" in changed or "cache_validator" in changed:
        is_default = task.cache_validator in {never_use, duration_only}
        own = None if is_default and "cache_validator" not in changed else task.cache_validator
        task.cache_validator = checked_validator(task.cache_for, own, name)
    if "state_handlers" in changed:
        task.state_handlers = checked_handlers(task.state_handlers, f"task {name!r}")


def handler_on_failure(on_failure: Callable[..., Any]) -> Callable[[Any, Any, Any], None]:
    """Give a state handler that calls a function when something has failed."""
    return _OnFailure(on_failure)


class _OnFailure:
    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, target: Any, _old: Any, new: Any) -> None:
        """Call the function, if the new state is a failed one."""
        if new.is_failed():
            self.function(target, new)


def inferred_nout(run: Callable[..., Any]) -> int | None:
    """Give how many values a function gives, if its annotation says so."""
    annotation: Any = signature_of(run).return_annotation
    if isinstance(annotation, str):
        if "tuple" not in annotation.lower():
            return None
        annotation = hints_of(run).get("return")
    if annotation in (tuple, typing.Tuple) or typing.get_origin(annotation) is not tuple:  # noqa: UP006 - users write it
        return None
    arguments = typing.get_args(annotation)
    if Ellipsis in arguments:
        return None
    return 0 if arguments == ((),) else len(arguments)
