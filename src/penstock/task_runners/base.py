"""What every task runner has in common (section 2.6).

A runner is given calls and answers with outcomes: `run(call, done)`. `submit` and `wait` are the
same by key, as the field knows them.
"""

from __future__ import annotations

import enum
import threading
import warnings
from typing import TYPE_CHECKING, Any, Self

from penstock import world
from penstock.states import State, exception_to_crashed_state
from penstock.task_runners.calls import Call, Outcome
from penstock.task_runners.waiting import block

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import TracebackType


class TaskConcurrencyType(enum.StrEnum):
    """How the tasks of a runner run beside each other."""

    SEQUENTIAL = "SEQUENTIAL"
    CONCURRENT = "CONCURRENT"
    PARALLEL = "PARALLEL"

    def __repr__(self) -> str:
        """Show class and member, as it is written in code."""
        return f"TaskConcurrencyType.{self.value}"


class _Submitted:
    __slots__ = ("done", "state")

    def __init__(self) -> None:
        self.done = threading.Lock()
        self.done.acquire()
        self.state: State | None = None


class BaseTaskRunner:
    """Where a task's function runs; subclasses have `concurrency_type`, `run` and `duplicate`."""

    concurrency_type: TaskConcurrencyType
    calls_on_its_workers = False
    """Whether what `dispatch` is given runs where calls are to be made: on a worker in here."""

    def __init__(self) -> None:
        self._started = False
        self._submitted: dict[Hashable, _Submitted] = {}
        self._options: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Give the runner's name, for logs."""
        return type(self).__name__.lower().replace("taskrunner", "")

    def duplicate(self) -> Any:
        """Give a fresh runner with the same options; NotImplemented means "use this one"."""
        return NotImplemented

    def run(self, call: Call, done: Callable[[Outcome], None]) -> None:
        """Make a call and hand its outcome to `done`, on any thread. Never raises for the call.

        Parameters:
            call: what to call.
            done: what to tell; called once.
        """
        raise NotImplementedError

    def dispatch(self, work: Callable[[], None], *, first: bool = False) -> None:
        """Run a piece of penstock's own work in this process, on a thread that may block.

        Parameters:
            work: what to call.
            first: before what waits for a thread already.
        """
        del first  # here nothing waits
        world.start_thread(work, "penstock-dispatch")

    def run_limited(self, call: Call, done: Callable[[Outcome], None]) -> None:
        """Make a call of limited time on the worker that this runs on."""
        raise NotImplementedError

    # -- starting -----------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the runner for the time of a `with` (or `async with`) block.

        Raises:
            RuntimeError: it is started already.
        """
        if self._started:
            message = f"The task runner {self.name!r} is started already. Use a duplicate() of it."
            raise RuntimeError(message)
        self._started = True
        self._open()
        return self

    def _open(self) -> None:
        """Make what the runner needs while it is started."""

    def _close(self) -> None:
        """Release what `_open` made."""

    def close(self) -> None:
        """Stop the runner. Calls that are still running are not waited for."""
        if self._started:
            self._started = False
            self._close()

    def __enter__(self) -> Self:
        """Begin the block that `start()` is for."""
        if not self._started:
            self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the runner."""
        self.close()

    async def __aenter__(self) -> Self:
        """Begin the block in async code."""
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the runner."""
        self.close()

    # -- by key -------------------------------------------------------------------------------

    def submit(self, key: Hashable, call: Callable[[], Any]) -> None:
        """Run `call`, which gives a state, under a key.

        Raises:
            RuntimeError: the runner is not started.
        """
        if not self._started:
            message = f"The task runner {self.name!r} must be started before submitting work."
            raise RuntimeError(message)
        submitted = self._submitted[key] = _Submitted()

        def done(outcome: Outcome) -> None:
            if outcome.error is not None:
                submitted.state = exception_to_crashed_state(outcome.error)
            else:
                submitted.state = outcome.value
            submitted.done.release()

        self.run(Call(call, (), {}), done)

    def wait(self, key: Hashable, timeout: float | None = None) -> State | None:
        """Give the state of what was submitted under `key`; none when `timeout` seconds are over.

        Never raises what the call raised: that becomes a Crashed state.
        """
        if not self._started:
            message = f"The task runner {self.name!r} must be started before waiting for work."
            raise RuntimeError(message)
        submitted = self._submitted[key]
        if not block(submitted.done, timeout):
            return None
        submitted.done.release()
        return submitted.state

    def __getstate__(self) -> dict[str, Any]:
        """Pickle a runner by its options; what is running stays here."""
        state = {k: v for k, v in self.__dict__.items() if not k.startswith("_")}
        return state | {"_options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make a runner that is not started."""
        self.__dict__.update(state)
        self._started = False
        self._submitted = {}

    def __eq__(self, other: object) -> bool:
        """Two runners of one class with the same options are equal."""
        if not isinstance(other, BaseTaskRunner) or type(self) is not type(other):
            return NotImplemented
        return self._options == other._options

    def __hash__(self) -> int:
        """Hash by identity's stand-in: the class."""
        return hash(type(self))


def duplicate_of(runner: BaseTaskRunner) -> BaseTaskRunner:
    """Give the runner that one flow run uses: a duplicate, or the same with a warning."""
    made = runner.duplicate()
    if made is NotImplemented:
        warnings.warn(
            f"{type(runner).__name__} does not implement duplicate() and will fail if it is used"
            " by two flow runs at once. Define duplicate() to give a fresh runner.",
            stacklevel=2,
        )
        return runner
    return made
