"""What a run wants done: effects, yielded by the engine's generators, done by a driver.

A run decides; it never does I/O, sleeps, or starts a thread. Slotted classes, not frozen: these are
made several times for each task run. A new need is a new effect or, better, no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from penstock.context import ContextModel
    from penstock.engine.execution import Execution
    from penstock.futures import PenstockFuture
    from penstock.results import ResultFactory
    from penstock.store import Row
    from penstock.task_runners import Call

T = TypeVar("T")


class Await:
    """Wait until these task runs are over. Answer: nothing; the futures hold their states."""

    __slots__ = ("futures",)

    def __init__(self, futures: Sequence[PenstockFuture]) -> None:
        self.futures = futures


class Commit:
    """Write rows for the run's execution, behind its fence. Answer: nothing."""

    __slots__ = ("execution", "rows")

    def __init__(self, execution: Execution, rows: list[Row]) -> None:
        self.execution = execution
        self.rows = rows


class Invoke:
    """Call the user's function. Answer: an `Outcome`."""

    __slots__ = ("call",)

    def __init__(self, call: Call) -> None:
        self.call = call


class Sleep:
    """Wait until a time, in seconds since the epoch. Answer: nothing."""

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        self.until = until


class Save:
    """Write a value to result storage. Answer: the result object."""

    __slots__ = ("factory", "inside", "parameters", "value")

    def __init__(
        self,
        factory: ResultFactory,
        value: Any,
        parameters: dict[str, Any],
        inside: ContextModel | None,
    ) -> None:
        self.factory = factory
        self.value = value
        self.parameters = parameters
        self.inside = inside


class Read:
    """Read from the store, or from anything else that may wait. Answer: what `read` returns."""

    __slots__ = ("read",)

    def __init__(self, read: Callable[[], Any]) -> None:
        self.read = read


class Ask:
    """Call a function that the user gave besides the run's own: a hook, a condition.

    It may be a coroutine function. Answer: what it returns; what it raises is thrown in.
    """

    __slots__ = ("args", "fn", "inside", "kwargs")

    def __init__(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        inside: ContextModel | None,
    ) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.inside = inside


Effect = Await | Commit | Invoke | Sleep | Save | Read | Ask
Steps = Generator[Effect, Any, T]
