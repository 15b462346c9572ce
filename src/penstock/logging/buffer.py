"""Log rows on their way to the store: one bounded buffer for the process.

The store handler puts rows in; the engine drains them into its commits, so that a run's logs are
in the store before the run returns. A row is what the statement `INSERT_LOG` takes: flow run id
(16 zero bytes without one), log id, task run id or none, logger, level, message, epoch seconds.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from penstock import clock, world
from penstock.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LogRow = tuple[bytes, bytes, bytes | None, str, int, str, float]

NO_FLOW_RUN = bytes(16)
"""Stands for the flow run of a record that belongs to a task run without one."""

FLUSH_ROWS = 5_000
"""With so many rows waiting, whoever logs is asked to wait until they are written."""

FLUSH_CHARACTERS = 16_000_000
"""The same, for the length of their messages together."""

MAX_ROWS = 100_000
"""So many rows wait at most; the oldest make room for new ones."""

MAX_CHARACTERS = 256_000_000
"""So long are the waiting messages together at most."""

_log = logging.getLogger("penstock.logging")


class _Buffer:
    """The rows that wait, and how long their messages are together."""

    __slots__ = ("characters", "dropped", "flush", "flushing", "lock", "lost_by", "rows")

    def __init__(self) -> None:
        # Re-entrant, as a signal may interrupt a thread here and its handler may log.
        self.lock = threading.RLock()
        self.flush: Callable[[], object] | None = None
        self.clear()

    def clear(self) -> None:
        self.rows: deque[LogRow] = deque()
        self.characters = 0
        self.dropped = 0
        self.lost_by: bytes = NO_FLOW_RUN
        self.flushing = False


_buffer = _Buffer()


def put(row: LogRow) -> None:
    """Let a row wait for the next commit.

    Where too many wait already, the registered flush is called first, in this thread: a program
    that logs faster than the store writes is slowed down, and its logs are not lost.
    """
    buffer = _buffer
    with buffer.lock:
        buffer.rows.append(row)
        buffer.characters += len(row[5])
    if len(buffer.rows) >= FLUSH_ROWS or buffer.characters >= FLUSH_CHARACTERS:
        _relieve()


def put_rows(rows: Iterable[LogRow]) -> None:
    """Let rows wait that were drained elsewhere: in the process that executed a task."""
    for row in rows:
        put(row)


def pending() -> int:
    """Give how many rows wait."""
    return len(_buffer.rows)


def drain(limit: int = 1000) -> list[LogRow]:
    """Take the oldest rows out, at most `limit` of them, for a commit.

    A commit that fails hands them to `give_back`.
    """
    buffer = _buffer
    if not buffer.rows:
        return []
    with buffer.lock:
        rows = buffer.rows
        taken = [rows.popleft() for _ in range(min(limit, len(rows)))]
        if rows:
            buffer.characters -= sum(len(row[5]) for row in taken)
        else:
            buffer.characters = 0
        if buffer.dropped:
            taken.append(_notice_of_loss())
    return taken


def give_back(rows: Iterable[LogRow]) -> None:
    """Put rows back in front that could not be committed.

    A row that was committed all the same is not doubled: the store knows it by its id.
    """
    buffer = _buffer
    with buffer.lock:
        returned = list(rows)
        buffer.rows.extendleft(reversed(returned))
        buffer.characters += sum(len(row[5]) for row in returned)
        _drop_beyond_bounds()


def on_overflow(flush: Callable[[], object] | None) -> None:
    """Say what writes the waiting rows when there are too many of them.

    Args:
        flush: Called without arguments in the thread that logs, by one thread at a time. It
            drains and commits; what it raises is not handed on. None: nothing does.
    """
    _buffer.flush = flush


def _relieve() -> None:
    """Have rows written, and keep the bounds if that does not help."""
    buffer = _buffer
    flush = buffer.flush
    with buffer.lock:
        first = flush is not None and not buffer.flushing
        buffer.flushing = buffer.flushing or first
    if first and flush is not None:
        try:
            flush()
        except Exception as error:  # noqa: BLE001 - a log call must not fail for the store's sake
            _log.error("Logs could not be recorded yet, and wait for the next commit: %s", error)
        finally:
            buffer.flushing = False
    if len(buffer.rows) > MAX_ROWS or buffer.characters > MAX_CHARACTERS:
        with buffer.lock:
            _drop_beyond_bounds()


def _drop_beyond_bounds() -> None:
    buffer = _buffer
    while len(buffer.rows) > 1 and (
        len(buffer.rows) > MAX_ROWS or buffer.characters > MAX_CHARACTERS
    ):
        oldest = buffer.rows.popleft()
        buffer.characters -= len(oldest[5])
        buffer.dropped += 1
        buffer.lost_by = oldest[0]


def _notice_of_loss() -> LogRow:
    buffer = _buffer
    message = (
        f"{buffer.dropped} log records were dropped before this one, because the store did not"
        " take them in time. They went to the other log handlers only."
    )
    flow_run_id, buffer.dropped = buffer.lost_by, 0
    moment = clock.epoch()
    return (
        flow_run_id,
        new_id().bytes,
        None,
        "penstock.logging",
        logging.WARNING,
        message,
        moment,
    )


def _forget_parents_rows() -> None:
    # They are the parent's to commit, and one of its threads may have held the lock.
    _buffer.lock = threading.RLock()
    _buffer.clear()


world.at_new_process(_forget_parents_rows)
