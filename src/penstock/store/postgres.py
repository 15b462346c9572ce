"""PostgreSQL: transactions as the journal needs them, on a server that may go away for a while.

All that is PostgreSQL's own is in this and the other `postgres_*` files; psycopg is imported with
them. A lost connection is waited for (`Link`). What was being committed then is done again: rows
are put in the place of those of the same key, behind the same fence. Where that is refused, the
server is asked what became of the first attempt.
"""

from __future__ import annotations

import threading
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from penstock.exceptions import StoreError
from penstock.store import postgres_sql as own_sql
from penstock.store import statements as sql
from penstock.store.journal import FenceLost, fence_lost
from penstock.store.postgres_link import Link, Server
from penstock.store.postgres_listening import NOTIFY, Listener
from penstock.store.postgres_schema import prepare
from penstock.store.postgres_sql import translate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.store.journal import Fence, Row, Write
    from penstock.store.postgres_link import Connection

T = TypeVar("T")

TRANSACTIONS_LIMIT = 5
"""How often work is done anew that was interrupted and overtaken, before it is given up."""


class PostgresDialect:
    """One PostgreSQL database: a connection that writes, and one that reads.

    Parameters:
        url: `postgresql://user:password@host:port/database`, and libpq's other parameters.
        durability: "full" waits for the server's disk even where the server is set not to.
        busy_timeout_s: seconds to wait for other sessions before giving up.
        outage_timeout_s: seconds to wait for a server that has gone away before giving up.

    Raises:
        StoreError: the URL is malformed.
        StoreUnreachable, StoreUnusable: the server cannot be reached or used; says why.
        StoreTooNew, StoreTooOld: the database has another schema.
    """

    name = "postgresql"
    path = None

    def __init__(
        self,
        url: str,
        durability: str = "normal",
        busy_timeout_s: float = 30.0,
        outage_timeout_s: float = 30.0,
    ) -> None:
        server = Server(url, durability, busy_timeout_s, outage_timeout_s)
        self.place = server.place
        self._writer = Link(server)
        self._reader = Link(server)
        self._listener = Listener(server)
        self._reader_lock = threading.Lock()
        self._writer.open()
        try:
            self._writer.do(lambda connection: prepare(connection, server))
        except BaseException:
            self._writer.close()
            raise

    def close(self) -> None:
        """Close the connections, while nobody writes. Who reads is waited for.

        libpq does not bear it that a connection is closed while another thread is in it.
        """
        message = f"The store {self.place!r} is closed."
        self._writer.close()
        self._writer.refuse(message)
        with self._reader_lock:
            self._reader.close()
            self._reader.refuse(message)
        self._listener.close(message)

    def refuse(self, message: str) -> None:
        """Raise a `StoreError` with this message from now on, whatever is asked."""
        self._reader_lock = threading.Lock()
        self._writer.refuse(message)
        self._reader.refuse(message)
        self._listener.refuse(message)

    def hold(self) -> None:
        """Let nobody read until `release`."""
        self._reader_lock.acquire()

    def release(self) -> None:
        """Let others read again."""
        self._reader_lock.release()

    def give_space_back(self) -> None:
        """Do nothing: the server sees to it by itself."""

    def read(self, statement: str, values: Any = ()) -> list[tuple[Any, ...]]:
        """Run a named read and give its rows."""
        translated = translate(statement)

        def fetch(connection: Connection) -> list[tuple[Any, ...]]:
            return connection.execute(translated, values, binary=True).fetchall()

        with self._reader_lock:
            return self._reader.do(fetch)

    def version(self) -> int:
        """Give a number that has changed if others may have decided anything meanwhile."""
        return self._listener.version()

    def apply(self, group: Sequence[Write]) -> None:
        """Commit a group of writes in one transaction, each behind its fence."""
        if len(group) == 1:
            write = group[0]
            fence = write.fence
            if fence is not None and write.behind is None:
                form = own_sql.quick_form(tuple([statement for statement, _ in write.rows]))
                if form is not None:
                    self._write_quickly(write, fence, form)
                    return
        attempt = _Group(group)
        self._writer.do(attempt.commit)

    def _write_quickly(self, write: Write, fence: Fence, form: bytes) -> None:
        """Check the fence, write the rows and commit, all in one step."""
        values: list[Any] = [*fence]
        for _, row in write.rows:
            values.extend(row)

        def step(connection: Connection) -> None:
            found = connection.writing.execute(form, values).fetchone()
            if found is not None:
                write.answer = found[0]
                return
            known = connection.execute(translate(sql.READ_FENCE), fence[:1]).fetchone()
            write.error = fence_lost(is_there=known is not None)

        self._writer.do(step)

    def transact(self, work: Callable[[Callable[..., Any]], T]) -> T:
        """Run `work(execute)` in one write transaction of its own and give what it returns.

        Where the connection was lost, and what `work` had read has changed meanwhile, it is called
        anew: nothing was written.
        """
        for _ in range(TRANSACTIONS_LIMIT - 1):
            try:
                return self._transact_once(work)
            except _Overtaken:
                continue
        return self._transact_once(work)

    def _transact_once(self, work: Callable[[Callable[..., Any]], T]) -> T:
        transaction = _Transaction(self._writer)
        try:
            answer = work(transaction.execute)
            transaction.commit()
        except BaseException:
            transaction.roll_back()
            raise
        return answer


def _committed(connection: Connection, numbers: list[str]) -> str | None:
    """Give the one of the transactions of these numbers that was committed, if any was."""
    for number in numbers:
        try:
            found = connection.execute(own_sql.READ_FATE, (number,)).fetchone()
        except psycopg.DataError:
            continue  # the server has forgotten it, in a crash: it was not
        if found is not None and found[0] == "committed":
            return number
    return None


class _Group:
    """A group of writes on its way into the database."""

    def __init__(self, group: Sequence[Write]) -> None:
        self._group = group
        self._doubtful: dict[str, list[tuple[str | None, BaseException | None]]] = {}
        fences = {fence[0] for write in group for fence in (write.fence, write.behind) if fence}
        self._flow_runs = sorted(fences)

    def commit(self, connection: Connection) -> None:
        """Commit the group; called again when the connection was lost."""
        lost = list(self._doubtful)
        try:
            self._attempt(connection)
        except psycopg.IntegrityError:
            # What is there already may be what a lost attempt has written.
            connection.execute(own_sql.ROLLBACK)
            if not self._was_committed(connection, lost):
                raise
        else:
            if lost and any(isinstance(write.error, FenceLost) for write in self._group):
                self._was_committed(connection, lost)

    def _attempt(self, connection: Connection) -> None:
        failure: psycopg.Error | None = None
        try:
            with connection.pipeline() as pipeline:
                try:
                    self._send(connection, pipeline)
                except psycopg.Error as error:
                    failure = error  # raised outside: in here, psycopg would log its own comment
        except psycopg.Error as error:
            failure = failure or error
        if failure is not None:
            raise failure

    def _send(self, connection: Connection, pipeline: psycopg.Pipeline) -> None:
        connection.execute(own_sql.BEGIN)
        entered = connection.execute(own_sql.ENTER)
        fences = None
        if self._flow_runs:
            fences = connection.execute(own_sql.READ_FENCES, (self._flow_runs,), binary=True)
        pipeline.sync()
        number = entered.fetchall()[0][1]
        known = {} if fences is None else {row[0]: row for row in fences.fetchall()}
        rows = _rows_within_fences(self._group, known)
        cursor = connection.cursor()
        for statement, same in groupby(rows, key=_statement_of):
            cursor.executemany(translate(statement), [values for _, values in same])
        # Once this is sent, nobody but the server knows what becomes of it.
        self._doubtful[number] = [(write.answer, write.error) for write in self._group]
        connection.execute(own_sql.COMMIT)

    def _was_committed(self, connection: Connection, lost: list[str]) -> bool:
        """Tell whether a lost attempt was committed after all; give the writes its answers."""
        number = _committed(connection, lost)
        if number is None:
            return False
        for write, (answer, error) in zip(self._group, self._doubtful[number], strict=True):
            write.answer, write.error = answer, error
        return True


def _statement_of(row: Row) -> str:
    return row[0]


def _order_of(row: Row) -> tuple[str, Any]:
    # Keys of the cache are shared by all: in one order, so that no two groups wait in a circle.
    return row[0], row[1][0] if row[0] == sql.WRITE_CACHE_ENTRY else ""


def _rows_within_fences(group: Sequence[Write], known: dict[bytes, Any]) -> list[Row]:
    """Give the rows of those writes whose fences hold; tell the others that theirs are lost."""
    rows: list[Row] = []
    for write in group:
        write.answer = write.error = None
        fence, behind = write.fence, write.behind
        if fence is not None:
            found = known.get(fence[0])
            if found is None or found[1] != fence[1]:
                write.error = fence_lost(is_there=found is not None)
                continue
            write.answer = found[2]
        if behind is not None and known.get(behind[0], (None, None))[1] != behind[1]:
            write.error = fence_lost(of_caller=True)
            continue
        rows.extend(write.rows)
    if len(group) > 1:
        # Runs of the same statement go together; their order among each other is kept.
        rows.sort(key=_order_of)
    return rows


class Answer(NamedTuple):
    """What a statement gave, all of it."""

    rows: list[tuple[Any, ...]]
    rowcount: int

    def fetchone(self) -> tuple[Any, ...] | None:
        """Give the first row, if there is one."""
        return self.rows[0] if self.rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Give all rows."""
        return self.rows


def _run(connection: Connection, statement: str, values: Any) -> Answer:
    cursor = connection.execute(translate(statement), values, binary=True)
    return Answer([] if cursor.description is None else cursor.fetchall(), cursor.rowcount)


class _Overtaken(StoreError):
    """Others have changed what a transaction went by whose connection was lost."""


class _Transaction:
    """A transaction in which its user reads, decides and writes, alone in the database.

    When its connection is lost, what was done so far is done again on the next one, and has to
    give the same answers: its user has decided by them.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._connection: Connection | None = None
        self._done: list[tuple[str, Any, Answer]] = []
        self._number = ""
        self._doubtful: list[str] = []
        link.do(self._ready)

    def execute(self, statement: str, values: Any = ()) -> Answer:
        """Run a statement and give its answer."""

        def step(connection: Connection) -> Answer:
            self._ready(connection)
            return _run(connection, statement, values)

        answer = self._link.do(step)
        self._done.append((statement, values, answer))
        return answer

    def commit(self) -> None:
        """Commit what was done, and tell those who listen."""
        if any(not statement.startswith("select") for statement, _, _ in self._done):
            self.execute(NOTIFY)

        def step(connection: Connection) -> None:
            if self._ready(connection):
                self._doubtful.append(self._number)
                connection.execute(own_sql.COMMIT)

        self._link.do(step)

    def roll_back(self) -> None:
        """Undo what was done."""
        connection = self._connection
        if connection is None or connection.closed:
            return
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            self._link.do(lambda present: present.execute(own_sql.ROLLBACK))

    def _ready(self, connection: Connection) -> bool:
        """Go on with the transaction, or begin it anew where it was lost.

        Returns:
            False if it turns out to have been committed.
        """
        status = connection.info.transaction_status
        if connection is self._connection and status is TransactionStatus.INTRANS:
            return True
        connection.execute(own_sql.BEGIN)
        self._number = connection.execute(own_sql.ENTER_ALONE).fetchall()[0][1]
        self._connection = connection
        if self._is_repeated(connection):
            return True
        connection.execute(own_sql.ROLLBACK)
        if _committed(connection, self._doubtful) is not None:
            return False
        message = (
            f"The connection to the store {self._link.server.place!r} was lost, and others have"
            " changed what was to be changed. Nothing was written: try again."
        )
        raise _Overtaken(message)

    def _is_repeated(self, connection: Connection) -> bool:
        try:
            return all(
                _run(connection, statement, values) == answer
                for statement, values, answer in self._done
            )
        except psycopg.IntegrityError:
            return False
