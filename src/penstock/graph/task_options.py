"""What the options of a graph's task may be, and what is made of them (section 3)."""

from __future__ import annotations

import datetime as dt
import inspect
import typing
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from penstock.graph.ambient import context
from penstock.graph.cache_validators import duration_only, never_use

if TYPE_CHECKING:
    from collections.abc import Callable

RESERVED = ("upstream_tasks", "mapped", "task_args", "flow")
"""Names that `run` cannot have: they are those of the call that binds a task."""


@lru_cache(maxsize=1024)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def signature_of(run: Callable[..., Any]) -> inspect.Signature:
    """Give the signature of a task's `run`."""
    owner = getattr(run, "__self__", None)
    if owner is None:
        return _signature(run)
    found = _signature(run.__func__)  # type: ignore[attr-defined]
    return found.replace(parameters=list(found.parameters.values())[1:])


def check_run(run: Any, name: str) -> None:
    """Refuse a `run` that a task cannot have.

    Raises:
        ValueError: it takes `*args` or a reserved name, or does not tell what it takes.
    """
    try:
        parameters = _signature(run).parameters
    except ValueError:
        message = (
            f"The arguments of {name!r} cannot be told: this function cannot be inspected. Wrap it"
            " in one that can: a Python function with named arguments."
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
            f"Task {name!r} has positional-only arguments: {', '.join(found)}. Every argument needs"
            " a name for its edge: take the / out."
        )
        raise TypeError(message)


def checked_tags(tags: Any, name: str) -> set[str]:
    """Give tags as a set of their own.

    Raises:
        TypeError: they are one text.
    """
    if isinstance(tags, str):
        message = f"Tags of task {name!r} should be a set of texts, not a text: {{{tags!r}}}."
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
    retries: int = defaults.max_retries if max_retries is None else max_retries
    if retry_delay is not None and not retries:
        message = (
            f"A `max_retries` argument greater than 0 must be provided if specifying a retry"
            f" delay, as task {name!r} does."
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
            f" as task {name!r} does."
        )
        raise ValueError(message)
    types = {retry_on} if isinstance(retry_on, type) else set(retry_on)
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
    if handlers and not isinstance(handlers, (list, tuple)):
        message = (
            f"state_handlers of {what} must be a sequence of functions, not {handlers!r}. Put a"
            " single one into a list."
        )
        raise TypeError(message)
    return list(handlers or ())


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
    try:
        annotation = signature_of(run).return_annotation
    except (TypeError, ValueError):
        return None
    if isinstance(annotation, str):
        if not annotation.lower().startswith(("tuple", "typing.tuple")):
            return None
        try:
            annotation = typing.get_type_hints(run).get("return")
        except (NameError, TypeError, AttributeError):
            return None
    if annotation in (tuple, typing.Tuple) or typing.get_origin(annotation) is not tuple:  # noqa: UP006 - users write it
        return None
    arguments = typing.get_args(annotation)
    if Ellipsis in arguments:
        return None
    return 0 if arguments == ((),) else len(arguments)
