"""What a run wants done: effects, yielded by the engine's generators, done by a driver.

A run decides; it never does I/O, sleeps, or starts a thread. Structs, not frozen: these are made
several times for each task run. A new need is a new effect or, better, no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

if TYPE_CHECKING:
    from penstock.context import ContextModel
    from penstock.engine.execution import Execution
    from penstock.futures import PenstockFuture
    from penstock.results import ResultFactory
    from penstock.store import Fence, Row
    from penstock.task_runners import Call

T = TypeVar("T")


class Await(msgspec.Struct, eq=False):
    """Wait until these task runs are over. Answer: nothing; the futures hold their states."""

    futures: Sequence[PenstockFuture]


class Commit(msgspec.Struct, eq=False):
    """Write rows for the run's execution, behind its fence. Answer: nothing.

    `behind` is the fence of the flow run that called it, where rows of that one are written, too.
    """

    execution: Execution
    rows: list[Row]
    behind: Fence | None = None


class Invoke(msgspec.Struct, eq=False):
    """Call the user's function. Answer: an `Outcome`."""

    call: Call


class Sleep(msgspec.Struct, eq=False):
    """Wait until a time, in seconds since the epoch. Answer: nothing."""

    until: float


class Save(msgspec.Struct, eq=False):
    """Write a value to result storage. Answer: the result object."""

    factory: ResultFactory
    value: Any
    parameters: dict[str, Any]
    inside: ContextModel | None


class Read(msgspec.Struct, eq=False):
    """Read from the store, or from anything else that may wait. Answer: what `read` returns."""

    read: Callable[[], Any]


class Ask(msgspec.Struct, eq=False):
    """Call a function that the user gave besides the run's own: a hook, a condition.

    It may be a coroutine function. Answer: what it returns; what it raises is thrown in.
    """

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inside: ContextModel | None


Effect = Await | Commit | Invoke | Sleep | Save | Read | Ask
Steps = Generator[Effect, Any, T]
