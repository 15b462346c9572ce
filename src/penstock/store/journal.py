"""The journal: every write goes through it, and what arrives together shares a transaction.

The first thread that has something to commit commits at once, and then for all that arrived
meanwhile (group commit); a single caller commits by itself, with no hop to another thread. The
dialect does the transaction; the journal decides who, when and what together.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from penstock import world
from penstock.exceptions import StoreError, StoreLocked, StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")

GROUP_LIMIT_WRITES = 256
"""The most writes in one transaction: what bounds how long a writer waits for its group."""


class Fence(NamedTuple):
    """What proves that a writer still owns a flow run: the run's id and the owner's token."""

    flow_run_id: bytes
    token: int


class FenceLost(StoreError):
    """The flow run was taken over by another owner; nothing was written."""


def fence_lost(*, is_there: bool = True, of_caller: bool = False) -> FenceLost:
    """Make the error of a write whose fence does not hold.

    Parameters:
        is_there: the flow run is still recorded.
        of_caller: it is the fence of the flow run that called this one.
    """
    if of_caller:
        return FenceLost(
            "The flow run that called this one was taken over by another process, so nothing more"
            " is written here."
        )
    if is_there:
        return FenceLost(
            "The flow run was taken over by another process, so nothing more is written here."
        )
    return FenceLost("The flow run was deleted, so nothing more is written for it.")


Row = tuple[str, tuple[Any, ...]]
"""A named statement and its values."""


class Write:
    """What is committed together: rows, and the fence that allows them.

    `behind` is a second fence: that of the flow run which called this one, where its records are
    written, too.

    `answer` is the control word of the flow run (what somebody else asked of it) once the write is
    committed; `error` is why it was not.
    """

    __slots__ = ("answer", "behind", "done", "error", "fence", "rows", "then")

    def __init__(
        self,
        rows: Sequence[Row],
        fence: Fence | None = None,
        then: Callable[[Write], None] | None = None,
        behind: Fence | None = None,
    ) -> None:
        self.rows = rows
        self.fence = fence
        self.behind = behind
        self.then = then
        self.answer: str | None = None
        self.error: BaseException | None = None
        self.done: threading.Lock | None = None

    def finish(self) -> None:
        """Tell whoever waits that the write is over, well or not."""
        if self.then is not None:
            self.then(self)
        elif self.done is not None:
            self.done.release()

    def outcome(self) -> str | None:
        """Give the control word, or raise what went wrong."""
        if self.error is not None:
            raise self.error
        return self.answer


class Dialect(Protocol):
    """What a database has to do for the journal."""

    def apply(self, group: Sequence[Write]) -> None:
        """Commit the group in one transaction, and set each write's answer or its `FenceLost`.

        Raises whatever keeps the whole transaction from being committed; then nothing is written.
        """
        ...


class Journal:
    """Orders the writes of this process and groups them into transactions."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._lock = threading.Lock()
        self._waiting: deque[Write] = deque()
        self._gates: deque[Write] = deque()
        self._leading = False
        self._thread: ThreadPoolExecutor | None = None

    def commit(
        self, rows: Sequence[Row], fence: Fence | None = None, behind: Fence | None = None
    ) -> str | None:
        """Commit rows and give the flow run's control word. Blocks until they are committed.

        Raises:
            FenceLost: another owner took the flow run over.
            StoreError: the store could not be written.
        """
        write = Write(rows, fence, None, behind)
        with self._lock:
            if self._leading:
                done = write.done = threading.Lock()
                done.acquire()
                self._waiting.append(write)
            else:
                self._leading = True
                done = None
        if done is None:
            try:
                self._apply((write,))
            finally:
                self._lead()
        else:
            world.acquire(done)
        return write.outcome()

    def close(self) -> None:
        """Wait for what is being committed elsewhere."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def exclusively(self, work: Callable[[], T]) -> T:
        """Do `work`, which uses the database by itself, while nobody else commits."""
        self.hold()
        try:
            return work()
        finally:
            self.release()

    def hold(self) -> None:
        """Wait for one's turn, and let nobody commit until `release`."""
        gate = Write((), None)
        with self._lock:
            if not self._leading:
                self._leading = True
                return
            turn = gate.done = threading.Lock()
            turn.acquire()
            self._gates.append(gate)
        world.acquire(turn)

    def release(self) -> None:
        """Let others commit again; what has arrived meanwhile is committed first."""
        self._lead()

    def submit(self, write: Write, *, elsewhere: bool = False) -> None:
        """Commit a write and call its `then`; in this thread, or in the one that is committing.

        With `elsewhere` it is never this thread, which does not wait.
        """
        with self._lock:
            self._waiting.append(write)
            if self._leading:
                return
            self._leading = True
        if elsewhere:
            self._hand_over()
        else:
            self._lead()

    def _hand_over(self) -> None:
        """Have a thread of the journal's own commit what waits."""
        if self._thread is None:
            from concurrent.futures import ThreadPoolExecutor  # async code on a server alone does

            self._thread = ThreadPoolExecutor(1, "penstock-journal")
        self._thread.submit(self._lead)

    def submit_built(self, build: Callable[[], Sequence[Row]], fence: Fence | None) -> None:
        """Commit the rows that `build` gives, if any; nothing is enqueued while it is asked."""
        with self._lock:
            rows = build()
            if not rows:
                return
            self._waiting.append(Write(rows, fence))
            if self._leading:
                return
            self._leading = True
        self._lead()

    def _lead(self) -> None:
        """Commit what has arrived meanwhile, group by group, until there is nothing more."""
        while True:
            with self._lock:
                waiting = self._waiting
                if self._gates:
                    # Whoever wants the database for itself becomes the leader.
                    self._gates.popleft().finish()
                    return
                if not waiting:
                    self._leading = False
                    return
                if len(waiting) <= GROUP_LIMIT_WRITES:
                    group: Sequence[Write] = tuple(waiting)
                    waiting.clear()
                else:
                    group = tuple(waiting.popleft() for _ in range(GROUP_LIMIT_WRITES))
            self._apply(group)
            for write in group:
                write.finish()

    def _apply(self, group: Sequence[Write]) -> None:
        try:
            self._dialect.apply(group)
        except BaseException as error:  # noqa: BLE001 - it becomes the answer of each write
            if len(group) > 1 and not isinstance(error, StoreLocked | StoreUnreachable):
                # One bad write must not take the others with it: each is tried alone.
                for write in group:
                    self._apply((write,))
                return
            # A store that stays busy, or away, is so for all of them: they do not wait in turn.
            for write in group:
                write.error = error
