"""Tasks of `penstock.task` as tasks of a graph; how they run is in `decorated_runs`."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import Any

from penstock.graph.task import Task
from penstock.task_runners import Call

_ITS_OWN = frozenset(
    (
        "max_retries",
        "retry_delay",
        "retry_on",
        "timeout",
        "cache_for",
        "cache_validator",
        "cache_key",
        "checkpoint",
        "result",
        "target",
        "log_stdout",
        "task_run_name",
    )
)
"""What a decorated task decides for itself, mostly by an option of another name."""


class DecoratedTask(Task):
    """A task of `penstock.task` as a task of a graph.

    Parameters:
        decorated: the task.
        **options: what a task of a graph has besides: `trigger`, `skip_on_upstream_skip`,
            `state_handlers`, `slug` and so on. Retries, timeouts, caching and run names are the
            task's own, and are set where it is decorated.
    """

    def __init__(self, decorated: Any, **options: Any) -> None:
        _refuse_its_own(decorated, options)
        self.decorated = decorated
        self.run = _function_of(decorated)
        options.setdefault("name", decorated.name)
        options["tags"] = {*decorated.tags, *(options.get("tags") or ())}
        super().__init__(**options)
        self.__doc__ = decorated.__doc__
        self.__wrapped__ = decorated.fn

    def copy(self, **task_args: Any) -> Any:
        """Give a copy of the task, as `Task.copy` does; what is the decorated task's own stays.

        Parameters:
            **task_args: what is other on the copy.

        Raises:
            TypeError: an option is the decorated task's own to set.
        """
        _refuse_its_own(self.decorated, task_args)
        return super().copy(**task_args)


def _refuse_its_own(decorated: Any, options: dict[str, Any]) -> None:
    for option in sorted(_ITS_OWN & options.keys()):
        if options[option] not in (None, False):
            message = (
                f"{option!r} cannot be set on {decorated.name!r} in a graph: it is a task of"
                " `penstock.task`, which keeps its own retries, timeout, cache, results and names."
                " Set them where it is decorated, or use `.with_options(...)` of the task."
            )
            raise TypeError(message)


def adopt(decorated: Any, **options: Any) -> DecoratedTask:
    """Give a task of `penstock.task` as a task of a graph.

    Parameters:
        decorated: the task.
        **options: what a task of a graph has besides, as `trigger`.

    Raises:
        TypeError: an option is the decorated task's own to set.
    """
    return DecoratedTask(decorated, **options)


def _function_of(decorated: Any) -> Any:
    """Give a function with the task's signature that runs the task, recorded on its own."""

    @wraps(decorated.fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        made = decorated(*args, **kwargs)
        if inspect.isawaitable(made):
            from penstock.task_runners import loops

            call = Call(lambda: made, (), {}, is_async=True)
            outcome = loops.run_blocking(call)
            if outcome.error is not None:
                raise outcome.error
            return outcome.value
        return made

    return run
