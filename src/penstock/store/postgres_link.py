"""A connection to a PostgreSQL server that is made again when it is lost.

A server that restarts, or a network that fails, is waited for within a bound. What was under way
is done again by those who use the link: they know what may be done twice.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.pq import TransactionStatus
from psycopg.types.string import StrDumperUnknown

from penstock import clock
from penstock.exceptions import StoreError
from penstock.store.postgres_errors import (
    explain,
    is_lasting,
    is_lost,
    is_passing,
    is_repeatable,
    unreachable,
)
from penstock.store.urls import without_password

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

CONNECT_TIMEOUT_S = 10
"""For how long one attempt to connect may take."""

IDLE_IN_TRANSACTION_S = 20
"""After how long the server ends a session that was stopped while it kept others waiting."""

OLDEST_SERVER = 130_000
"""PostgreSQL 13: the first that tells a transaction's fate by its 64-bit number."""

REPEATS_LIMIT = 20
"""How often a transaction is tried again that stood in the way of others."""

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5

# Settings of the session: how long to wait for others' locks, and what the connection survives.
_CONFIGURE = b"""select set_config('lock_timeout', %s, false),
    set_config('idle_in_transaction_session_timeout', %s, false),
    set_config('synchronous_commit', coalesce(%s, current_setting('synchronous_commit')), false)"""


class Server(NamedTuple):
    """Where a store is, and how patient one is with it."""

    url: str
    durability: str
    busy_timeout_s: float
    outage_timeout_s: float

    @property
    def place(self) -> str:
        """Name the store in messages: its URL without the password."""
        return without_password(self.url)


def parameters_of(url: str) -> dict[str, Any]:
    """Give libpq's parameters for a URL.

    Raises:
        StoreError: the URL is malformed.
    """
    try:
        given = conninfo.conninfo_to_dict(url)
        for port in str(given.get("port") or 0).split(","):  # several hosts may be given
            int(port or 0)
    except (psycopg.ProgrammingError, ValueError) as error:
        # What it says may repeat a part of the password.
        why = "" if "@" in url else f" ({' '.join(str(error).split())})"
        message = (
            f"PENSTOCK_STORE_URL={without_password(url)!r} is malformed{why}. Give"
            " postgresql://user:password@host:5432/database, with special characters of the"
            " password percent-encoded."
        )
        raise StoreError(message) from error
    usual = {
        "application_name": "penstock",
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": CONNECT_TIMEOUT_S,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    return usual | given


class _Text(StrDumperUnknown):
    """Texts as PostgreSQL takes them: it has no place for the character NUL."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in obj else obj)


class Connection(psycopg.Connection[Any]):
    """A connection that may outlive its process's interest in it: after a fork, or at the end.

    Attributes:
        writing: Its cursor for what is written most; to make one each time costs 10 us.
    """

    writing: psycopg.Cursor[Any]

    def __del__(self, *_warn: Any) -> None:
        """Say nothing: in a forked child it is the parent's, and open for a good reason."""


def connect(server: Server) -> Connection:
    """Connect once.

    Raises:
        psycopg.Error: it did not work.
    """
    parameters = parameters_of(server.url)
    # What was sent and never confirmed counts as lost after as long as an outage may last.
    parameters.setdefault("tcp_user_timeout", max(int(server.outage_timeout_s * 1000), 1000))
    connection = Connection.connect(**parameters, autocommit=True)
    try:
        connection.adapters.register_dumper(str, _Text)
        connection.writing = connection.cursor(binary=True)
        connection.execute(
            _CONFIGURE,
            (
                f"{max(int(server.busy_timeout_s * 1000), 1)}ms",
                f"{IDLE_IN_TRANSACTION_S}s",
                "on" if server.durability == "full" else None,
            ),
        )
    except BaseException:
        connection.close()
        raise
    return connection


class Link:
    """One connection, made when it is first needed and again when it was lost."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._connection: Connection | None = None
        self._refusal: str | None = None

    def open(self) -> None:
        """Connect now, and do not wait for a server unless it says that it starts or stops.

        Raises:
            StoreError: it cannot be reached or used; says why.
        """
        try:
            self._connection = connect(self.server)
        except psycopg.Error as error:
            if not is_passing(error):
                raise self.explained(error) from error
            self.do(lambda _connection: None)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def refuse(self, message: str) -> None:
        """Raise a `StoreError` with this message from now on; the connection is left alone."""
        self._refusal = message

    def do(self, work: Callable[[Connection], T]) -> T:
        """Give what `work` gives, called again for as long as its connections are lost.

        Raises:
            StoreUnreachable: the server was away for longer than its outage timeout.
            StoreError: the server refused what was asked.
        """
        pause_s, away_since, repeats = _FIRST_PAUSE_S, None, 0
        while True:
            if self._refusal is not None:
                raise StoreError(self._refusal)
            try:
                return work(self._connected())
            except psycopg.Error as error:
                if is_repeatable(error) and repeats < REPEATS_LIMIT:
                    repeats += 1
                    self._tidy()
                elif self._is_lost(error):
                    self._drop()
                    away_since = away_since or clock.monotonic()
                    if clock.monotonic() - away_since >= self.server.outage_timeout_s:
                        raise self._unreachable(error) from error
                else:
                    self._tidy()
                    raise self.explained(error) from error
            except BaseException:
                self._tidy()
                raise
            # Not all at once again: each waits for a part of it that only chance decides.
            clock.sleep(pause_s * (1 + int.from_bytes(os.urandom(2), "big") / 65_536) / 2)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def explained(self, error: psycopg.Error) -> Exception:
        """Give the exception to raise instead of psycopg's own."""
        return explain(error, self.server.place, self.server.busy_timeout_s)

    def _unreachable(self, error: psycopg.Error) -> Exception:
        return unreachable(error, self.server.place, self.server.outage_timeout_s)

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self.server)
        return self._connection

    def _is_lost(self, error: psycopg.Error) -> bool:
        if self._connection is None:
            return not is_lasting(error)
        return is_lost(error) or self._connection.closed

    def _drop(self) -> None:
        """Let go of a connection that is lost."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _tidy(self) -> None:
        """End a transaction that was left open; what cannot be ended is let go of."""
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.info.transaction_status is not TransactionStatus.IDLE:
                connection.execute(b"rollback")
        except psycopg.Error:
            pass
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            self._drop()
