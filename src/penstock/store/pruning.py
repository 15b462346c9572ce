"""Deleting what is old: flow runs with all that belongs to them, logs, result files.

It is done a few hundred rows at a time, so that nobody who writes meanwhile waits for long. A flow
run goes first and what was recorded of it after that: what a process that is killed in between
leaves is found by the next one. Used by `penstock db prune`, and by retention.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.ids import key_at
from penstock.store import pruning_sql as sql
from penstock.store import statements
from penstock.store.encoding import NO_FLOW_RUN
from penstock.store.input_statements import DELETE_INPUTS_OF_FLOW_RUN
from penstock.store.result_files import ResultFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from penstock.store.ages import Limits
    from penstock.store.journal import Row
    from penstock.store.store import Store

    Execute = Callable[..., Any]

ROWS_PER_TRANSACTION = 200
"""How many rows are deleted before others may write again."""

ROOTS_PER_TRANSACTION = 50
"""How many flow runs, with their subflow runs, are deleted before others may write again."""

_LAST_KEY = b"\xff" * 16


class Pruning:
    """One pass over a store.

    Parameters:
        store: the store.
        limits: what goes.
        rest: called between transactions; it may wait.
        is_trial: count what would go, and delete nothing.

    Attributes:
        deleted: How much of each kind was deleted, or would be.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        rest: Callable[[], None] | None = None,
        *,
        is_trial: bool = False,
    ) -> None:
        self.deleted: dict[str, int] = {}
        self._store = store
        self._limits = limits
        self._rest = rest
        self._is_trial = is_trial
        self._waiting: list[Row] = []
        self._waiting_rows = 0
        self._cached: list[Row] = []
        self._results: list[tuple[bytes, bytes, bytes]] = []
        self._files = None if limits.result_folder is None else ResultFiles(limits.result_folder)

    def run(self) -> dict[str, int]:
        """Delete what is old, and give how much of each kind it was.

        Raises:
            StoreError: the store could not be read or written; what was deleted stays deleted.
        """
        if self._limits.runs_before is not None:
            self._runs(self._limits.runs_before)
            self._task_runs_alone(self._limits.runs_before)
            if not self._is_trial:
                self._left_over(self._limits.runs_before)
        if self._limits.logs_before is not None:
            self._old_logs(self._limits.logs_before)
        return self.deleted

    # -- flow runs ----------------------------------------------------------------------------

    def _runs(self, before: float) -> None:
        for roots in _in_parts(self._expired_roots(before), ROOTS_PER_TRANSACTION):
            if self._is_trial:
                for root in roots:
                    self._count_tree(root)
                continue
            taken = self._transact(lambda execute, roots=roots: _take_out(execute, roots, before))
            self._note("flow runs", len(taken))
            for key, _result in taken:
                self._belongings(key)
            self._flush()
            for key, result in taken:
                if result is not None:
                    self._delete_file(result, key)

    def _expired_roots(self, before: float) -> Iterator[bytes]:
        floors = self._floors()
        last, bound = b"", key_at(before)
        while True:
            rows = self._store.read(
                sql.FINISHED_ROOTS, (last, bound, before, ROOTS_PER_TRANSACTION)
            )
            for key, flow_id in rows:
                if floors is None or bytes(key) < floors.get(bytes(flow_id), b""):
                    yield bytes(key)
            if len(rows) < ROOTS_PER_TRANSACTION:
                return
            last = bytes(rows[-1][0])

    def _floors(self) -> dict[bytes, bytes] | None:
        """Give the oldest run of each flow that is kept for its place; none where none is."""
        if not self._limits.keep:
            return None
        rows = self._store.read(sql.NEWEST_TO_KEEP, (self._limits.keep,))
        return {bytes(flow): bytes(key) for flow, key in rows}

    def _count_tree(self, root: bytes) -> None:
        tree = tree_of(self._read_one, root)
        if any(not self._store.read(sql.IS_AT_REST, (key,)) for key in tree):
            return
        self._note("flow runs", len(tree))
        logs_before = self._limits.logs_before
        bound = b"" if logs_before is None else key_at(logs_before)
        for key in tree:
            self._note("task runs", self._store.read(_COUNT_TASK_RUNS, (key,))[0][0])
            # Those that are older still are counted by `_old_logs`.
            self._note("log records", self._store.read(_COUNT_LOGS_SINCE, (key, bound))[0][0])

    def _read_one(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self._store.read(statement, values)

    def _belongings(self, key: bytes) -> None:
        """Delete all that is recorded of a flow run that is gone; `_flush` ends it."""
        last = b""
        while rows := self._store.read(sql.NEXT_TASK_RUNS, (key, last, ROWS_PER_TRANSACTION)):
            last = bytes(rows[-1][0])
            self._delete_task_runs(key, rows)
        self._delete_logs(key, _LAST_KEY)
        self._add(1, [(DELETE_INPUTS_OF_FLOW_RUN, (key,))])

    def _delete_task_runs(self, owner: bytes, rows: list[tuple[Any, ...]]) -> None:
        for key, cache_key, result in rows:
            if cache_key is not None:
                self._cached.append((sql.DELETE_CACHE_ENTRY, (cache_key, owner, key)))
            if result is not None:
                self._results.append((bytes(result), owner, bytes(key)))
        self._note("task runs", len(rows))
        keys = [(statements.DELETE_TASK_RUN, (owner, key)) for key, _, _ in rows]
        self._add(len(rows), keys)

    def _add(self, rows: int, work: list[Row]) -> None:
        """Have rows deleted, with others in one transaction."""
        self._waiting += work
        self._waiting_rows += rows
        if self._waiting_rows >= ROWS_PER_TRANSACTION:
            self._flush()

    def _flush(self) -> None:
        """Delete what waits for it."""
        if self._cached:
            # Nobody takes a result from the cache any more before it is looked who has taken it.
            cached, self._cached = self._cached, []
            self._transact(lambda execute: _each(execute, cached))
        results, self._results = self._results, []
        for result, owner, key in results:
            # Before their records: what names a file is the only thing that knows of it.
            self._delete_file(result, owner, key)
        if self._waiting:
            work, self._waiting, self._waiting_rows = self._waiting, [], 0
            self._transact(lambda execute: _each(execute, work))

    def _delete_file(self, record: bytes, owner: bytes, key: bytes | None = None) -> None:
        if self._files is None or self._files.path_of(record) is None:
            return
        if key is not None and owner == NO_FLOW_RUN:
            named = self._store.read(sql.NAMED_BY_TASK_RUN_ALONE, (record, owner, key))
        else:
            named = self._store.read(sql.NAMED_BY_TASK_RUN, (record, owner))
        if named or self._store.read(sql.NAMED_BY_FLOW_RUN, (record,)):
            return
        if self._files.delete(record):
            self._note("result files", 1)

    # -- the rest -----------------------------------------------------------------------------

    def _task_runs_alone(self, before: float) -> None:
        """Delete old task runs that belong to no flow run."""
        last, bound = b"", key_at(before)
        while True:
            values = (NO_FLOW_RUN, last, bound, before, ROWS_PER_TRANSACTION)
            rows = self._store.read(sql.NEXT_TASK_RUNS_ALONE, values)
            if not rows:
                return
            last = bytes(rows[-1][0])
            if self._is_trial:
                self._note("task runs", len(rows))
            else:
                self._delete_task_runs(NO_FLOW_RUN, rows)
                self._flush()

    def _left_over(self, before: float) -> None:
        """Delete what is left of flow runs that are gone, and cache entries of no use."""
        for statement in (sql.NEXT_OF_TASK_RUNS, sql.NEXT_OF_LOGS):
            last, bound = NO_FLOW_RUN, key_at(before)
            while rows := self._store.read(statement, (last, bound)):
                last = bytes(rows[0][0])
                if not self._store.read(sql.HAS_FLOW_RUN, (last,)):
                    self._belongings(last)
        self._add(1, [(sql.INPUTS_WITHOUT_FLOW_RUN, ())])
        self._flush()
        last, now = "", clock.epoch()
        while rows := self._store.read(sql.USELESS_CACHE_KEYS, (last, now, ROWS_PER_TRANSACTION)):
            last = rows[-1][0]
            self._add(len(rows), [(sql.DELETE_CACHE_KEY, row) for row in rows])
            self._note("cache entries", len(rows))
        self._flush()

    def _old_logs(self, before: float) -> None:
        bound = key_at(before)
        self._delete_logs(NO_FLOW_RUN, bound)
        last = NO_FLOW_RUN
        while rows := self._store.read(sql.NEXT_OF_LOGS, (last, bound)):
            last = bytes(rows[0][0])
            # What a run that is not over has logged may still say why it waits.
            if self._store.read(sql.IS_AT_REST, (last,)):
                self._delete_logs(last, bound)
        self._flush()

    def _delete_logs(self, owner: bytes, bound: bytes) -> None:
        if self._is_trial:
            self._note("log records", self._store.read(_COUNT_LOGS, (owner, bound))[0][0])
            return
        last = b""
        while rows := self._store.read(sql.NEXT_LOGS, (owner, last, bound, ROWS_PER_TRANSACTION)):
            last = rows[-1][0]
            self._add(len(rows), [(sql.DELETE_LOGS_TO, (owner, last))])
            self._note("log records", len(rows))

    def _note(self, kind: str, number: int) -> None:
        if number:
            self.deleted[kind] = self.deleted.get(kind, 0) + number

    def _transact(self, work: Callable[[Execute], Any]) -> Any:
        answer = self._store.transact(work)
        if self._rest is not None:
            self._rest()
        return answer


_COUNT_TASK_RUNS = "select count(*) from task_run where flow_run_id = ?"
_COUNT_LOGS_SINCE = "select count(*) from log where flow_run_id = ? and id >= ?"
_COUNT_LOGS = "select count(*) from log where flow_run_id = ? and id < ?"


def tree_of(read: Callable[..., Any], root: bytes) -> list[bytes]:
    """Give the keys of a flow run and of all of its subflow runs, callers first."""
    tree = [root]
    for key in tree:  # grows while it is walked
        tree += [bytes(row[0]) for row in read(sql.SUBFLOW_RUNS, (key,))]
    return tree


def _take_out(
    execute: Execute, roots: list[bytes], before: float
) -> list[tuple[bytes, bytes | None]]:
    """Delete the flow runs of trees that are over as a whole; give them with their results."""
    taken: list[tuple[bytes, bytes | None]] = []
    for root in roots:
        tree = tree_of(lambda *asked: execute(*asked).fetchall(), root)
        # Looked at again: somebody may have gone on with one of them meanwhile.
        if any(execute(sql.IS_FINISHED, (key, before)).fetchone() is None for key in tree):
            continue
        for key in tree:
            row = execute(sql.STORED_RESULT_OF_FLOW_RUN, (key,)).fetchone()
            taken.append((key, None if row is None else bytes(row[0])))
            execute(statements.DELETE_FLOW_RUN, (key,))
    return taken


def _each(execute: Execute, work: list[Row]) -> None:
    for statement, values in work:
        execute(statement, values)


def _in_parts(keys: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    while part := list(islice(keys, size)):
        yield part
