"""`--runner threads:8`: where submitted tasks run, from text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.failing import CommandError
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner

if TYPE_CHECKING:
    from penstock.task_runners import BaseTaskRunner


def runner_of(text: str) -> BaseTaskRunner:
    """Give the task runner that a text stands for.

    Parameters:
        text: `threads`, `threads:8` for at most eight tasks at once, or `inline`.

    Raises:
        CommandError: it is none of these.

    Example:
        >>> runner_of("inline").name
        'sequential'
    """
    kind, separator, count = text.strip().lower().partition(":")
    if kind == "inline" and not separator:
        return SequentialTaskRunner()
    if kind == "threads" and not separator:
        return ConcurrentTaskRunner()
    if kind == "threads" and count.isascii() and count.isdigit() and int(count) > 0:
        return ConcurrentTaskRunner(max_workers=int(count))
    message = (
        f"There is no runner {text!r}. Give threads, threads:8 for at most eight tasks at once, or"
        " inline."
    )
    raise CommandError(message)
