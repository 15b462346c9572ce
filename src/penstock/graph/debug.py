"""For debugging: have exceptions raised where they would become states (section 5.15)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.graph.ambient import context

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["raise_on_exception"]


@contextmanager
def raise_on_exception() -> Generator[None]:
    """Have exceptions of tasks, triggers and handlers raised out of the run in the block.

    Example:
        >>> from penstock.graph import Flow, task
        >>> @task
        ... def broken():
        ...     raise ValueError("so")
        >>> with Flow("broken") as flow:
        ...     _ = broken()
        >>> with raise_on_exception():
        ...     flow.run()  # doctest: +SKIP
        Traceback (most recent call last):
        ValueError: so
    """
    with context(raise_on_exception=True):
        yield
