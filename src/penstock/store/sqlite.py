"""SQLite: opening the file, and transactions as the journal needs them.

All that is SQLite's own is here: pragmas, busy retries, the transaction, making a new database.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from penstock import clock
from penstock.exceptions import StoreError, StoreUnusable
from penstock.store import statements as sql
from penstock.store.errors import explain, is_busy
from penstock.store.journal import Fence, Write, fence_lost
from penstock.store.revisions import SCHEMA_REVISION, wrong_revision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

_FIRST_PAUSE_S = 0.0002
_LONGEST_PAUSE_S = 0.02
_OLD_SQLITE = (3, 35)
_ROWS_AT_ONCE = (256, 64, 16, 4)
_VARIABLES_LIMIT = 32_000


class SqliteDialect:
    """One SQLite file: a connection that writes, and one that reads.

    Parameters:
        path: the database file; made, with its folder, if it does not exist.
        durability: "normal" survives a killed process, "full" a power loss, too.
        busy_timeout_s: seconds to wait for other processes before giving up.

    Raises:
        StoreUnusable: the file cannot be used; says why and what to do.
        StoreTooNew, StoreTooOld: the file has another schema.
    """

    name = "sqlite"

    def __init__(
        self, path: Path, durability: str = "normal", busy_timeout_s: float = 30.0
    ) -> None:
        self.path = path
        self.place = str(path)
        self._busy_timeout_s = busy_timeout_s
        self._durability = durability
        if sqlite3.sqlite_version_info < _OLD_SQLITE:
            message = f"SQLite {sqlite3.sqlite_version} is too old: penstock needs 3.35 or newer."
            raise StoreUnusable(message)
        self._check_place()
        self._writer = self._connect()
        try:
            self._guarded(self._make_schema)
            self._guarded(self._check_revision)
        except BaseException:
            self._writer.close()
            raise
        self._reader: Any = None
        self._reader_lock = threading.Lock()
        self._begin: Callable[..., Any] = self._writer.cursor().execute

    # -- opening ------------------------------------------------------------------------------

    def _check_place(self) -> None:
        if self.path.is_dir():
            message = (
                f"The store {str(self.path)!r} is a directory, not a database file. Set"
                " PENSTOCK_STORE_URL to a file, for example sqlite:////path/to/penstock.db."
            )
            raise StoreUnusable(message)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = (
                f"The folder of the store {str(self.path)!r} cannot be made: {error.strerror}. Set"
                " PENSTOCK_HOME to a folder that this user may write to."
            )
            raise StoreUnusable(message) from error
        if not self.path.exists():
            # For this user alone, and so what SQLite puts beside it. What goes wrong, it says.
            with contextlib.suppress(OSError):
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))

    def _connect(self) -> sqlite3.Connection:
        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(
                self.path, timeout=0, isolation_level=None, check_same_thread=False
            )
            try:
                # Fails at once on what is not a database, before anything is written to it.
                connection.execute("pragma schema_version").fetchone()
                self._refuse_other_programs(connection)
                connection.execute("pragma journal_mode = wal")
                level = "full" if self._durability == "full" else "normal"
                connection.execute(f"pragma synchronous = {level}")
            except BaseException:
                connection.close()
                raise
            return connection

        return self._guarded(connect)

    def _refuse_other_programs(self, connection: sqlite3.Connection) -> None:
        tables = connection.execute(
            "select name from sqlite_master where type = 'table'"
        ).fetchall()
        if tables and ("alembic_version",) not in tables:
            message = (
                f"The store {str(self.path)!r} is a SQLite database of another program: it has no"
                " table alembic_version. Set PENSTOCK_STORE_URL to another file. Nothing was"
                " changed."
            )
            raise StoreUnusable(message)

    def _make_schema(self) -> None:
        connection = self._writer
        if connection.execute(
            "select 1 from sqlite_master where name = 'alembic_version'"
        ).fetchone():
            return
        connection.execute("begin exclusive")
        try:
            # Another process may have made it while this one waited for the lock.
            made = "select count(*) from sqlite_master"
            if connection.execute(made).fetchone()[0] == 0:
                script = Path(__file__).with_name("schema.sql").read_text("utf-8")
                for statement in script.split(";"):
                    connection.execute(statement)
                connection.execute("insert into alembic_version values (?)", (SCHEMA_REVISION,))
            connection.execute("commit")
        except BaseException:
            _roll_back(connection)
            raise

    def _check_revision(self) -> None:
        rows = self._writer.execute("select version_num from alembic_version").fetchall()
        found = rows[0][0] if rows else None
        wrong = wrong_revision(self.place, found)
        if wrong is not None:
            raise wrong

    def close(self) -> None:
        """Close both connections, while nobody writes. Who reads is waited for.

        SQLite does not bear it that a connection is closed while another thread is in it.
        """
        with self._reader_lock:
            self._writer.close()
            if self._reader is not None:
                self._reader.close()
            self.refuse(f"The store {str(self.path)!r} is closed.")

    def refuse(self, message: str) -> None:
        """Raise a `StoreError` with this message from now on, whatever is asked."""

        def execute(*_arguments: Any) -> Any:
            raise StoreError(message)

        self._begin = execute
        self._reader_lock = threading.Lock()
        self._reader = _Refusing(execute)

    def hold(self) -> None:
        """Let nobody read until `release`."""
        self._reader_lock.acquire()

    def release(self) -> None:
        """Let others read again."""
        self._reader_lock.release()

    def give_space_back(self) -> None:
        """Make the file small again after records were deleted."""
        # What is deleted is deleted: that the file stays large while others use it does no harm.
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(self.path, timeout=1)) as connection,
        ):
            connection.execute("vacuum")
            connection.execute("pragma wal_checkpoint(truncate)")

    # -- writing ------------------------------------------------------------------------------

    def apply(self, group: Sequence[Write]) -> None:
        """Commit a group of writes in one transaction, each behind its fence."""
        execute = self._begin
        try:
            execute("begin immediate")
        except sqlite3.Error as error:
            if not is_busy(error):
                raise explain(error, self.path, self._busy_timeout_s) from error
            self._guarded(lambda: execute("begin immediate"))
        try:
            if len(group) == 1:
                write = group[0]
                if _check_fence(execute, write):
                    for statement, values in write.rows:
                        execute(statement, values)
            else:
                self._apply_many(group)
            execute("commit")
        except sqlite3.Error as error:
            _roll_back(self._writer)
            raise explain(error, self.path, self._busy_timeout_s) from error
        except BaseException:
            _roll_back(self._writer)
            raise

    def _apply_many(self, group: Sequence[Write]) -> None:
        execute = self._begin
        answers: dict[Any, tuple[str | None, BaseException | None]] = {}
        rows: list[tuple[str, tuple[Any, ...]]] = []
        for write in group:
            fence = write.fence
            if fence is not None:
                known = answers.get(fence)
                if known is None or write.behind is not None:
                    _check_fence(execute, write)
                    answers[fence] = (write.answer, write.error)
                else:
                    write.answer, write.error = known
            if write.error is None:
                rows.extend(write.rows)
        # Runs of the same statement go together; their order among each other is kept.
        rows.sort(key=_statement_of)
        for statement, same in groupby(rows, key=_statement_of):
            self._insert(statement, [values for _, values in same])

    def _insert(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """Run a statement for many rows, in as few steps as can be.

        Each step lets go of the interpreter's lock, and gets it back only when another thread
        lets it go: with one step a row a group of commits took ten times longer.
        """
        execute = self._begin
        if len(rows) < _ROWS_AT_ONCE[-1] or " values " not in statement:
            for values in rows:
                execute(statement, values)
            return
        head, _, row = statement.rpartition("values ")
        place, size = 0, len(rows[0])
        for count in _ROWS_AT_ONCE:
            while len(rows) - place >= count and count * size < _VARIABLES_LIMIT:
                flat = [value for values in rows[place : place + count] for value in values]
                execute(f"{head}values {', '.join([row] * count)}", flat)
                place += count
        for values in rows[place:]:
            execute(statement, values)

    # -- reading ------------------------------------------------------------------------------

    def read(self, statement: str, values: Any = ()) -> list[tuple[Any, ...]]:
        """Run a named read and give its rows."""
        with self._reader_lock:
            if self._reader is None:
                self._reader = self._connect()
            reader = self._reader
            return self._guarded(lambda: reader.execute(statement, values).fetchall())

    def version(self) -> int:
        """Give a number that changes when any other connection has written to the file."""
        return int(self.read("pragma data_version")[0][0])

    def transact(self, work: Callable[[Callable[..., sqlite3.Cursor]], T]) -> T:
        """Run `work(execute)` in one write transaction of its own and give what it returns."""
        execute = self._begin
        self._guarded(lambda: execute("begin immediate"))
        try:
            answer = work(execute)
            execute("commit")
        except sqlite3.Error as error:
            _roll_back(self._writer)
            raise explain(error, self.path, self._busy_timeout_s) from error
        except BaseException:
            _roll_back(self._writer)
            raise
        return answer

    def _guarded(self, work: Callable[[], T]) -> T:
        """Do `work`, again while other processes keep the file busy, within the bound."""
        pause_s, deadline = _FIRST_PAUSE_S, 0.0
        while True:
            try:
                return work()
            except sqlite3.Error as error:
                now = clock.monotonic()
                deadline = deadline or now + self._busy_timeout_s
                if not is_busy(error) or now >= deadline:
                    raise explain(error, self.path, self._busy_timeout_s) from error
            # Not all at once again: each waits for a part of it that only chance decides.
            clock.sleep(pause_s * int.from_bytes(os.urandom(2), "big") / 65_536)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


class _Refusing:
    """Stands in for a connection that must not be used any more."""

    def __init__(self, execute: Callable[..., Any]) -> None:
        self.execute = execute

    def close(self) -> None:
        """Do nothing."""


def _statement_of(row: tuple[str, tuple[Any, ...]]) -> str:
    return row[0]


def _check_fence(execute: Callable[..., sqlite3.Cursor], write: Write) -> bool:
    fence = write.fence
    if fence is None:
        return write.behind is None or _check_caller(execute, write, write.behind)
    found = execute(sql.READ_FENCE, (fence[0],)).fetchone()
    if found is None or found[0] != fence[1]:
        write.error = fence_lost(is_there=found is not None)
        return False
    write.answer = found[1]
    return write.behind is None or _check_caller(execute, write, write.behind)


def _check_caller(execute: Callable[..., sqlite3.Cursor], write: Write, behind: Fence) -> bool:
    """Check the fence of the flow run that called the one which is written."""
    found = execute(sql.READ_FENCE, (behind[0],)).fetchone()
    if found is not None and found[0] == behind[1]:
        return True
    write.error = fence_lost(of_caller=True)
    return False


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("rollback")
