"""Learning from a PostgreSQL server that others have written, without asking it for anything.

Whoever decides from outside of a run tells all who listen, with its commit. A listener looks at
what has arrived on its connection: that is no round trip.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from penstock.store.postgres_link import Link, Server

if TYPE_CHECKING:
    from penstock.store.postgres_link import Connection

CHANNEL = "penstock_written"

NOTIFY = f"select pg_notify('{CHANNEL}', '')"
_LISTEN = f"listen {CHANNEL}".encode()


class Listener:
    """A connection on which others' news arrive; made when it is first asked for them."""

    def __init__(self, server: Server) -> None:
        self._link = Link(server)
        self._listens_on: Connection | None = None
        self._lock = threading.Lock()
        self._version = 0

    def version(self) -> int:
        """Give a number that has grown if there was news since it was asked for last."""
        with self._lock:
            self._link.do(self._hear)
            return self._version

    def _hear(self, connection: Connection) -> None:
        if connection is not self._listens_on:
            connection.execute(_LISTEN)
            self._listens_on = connection
            self._version += 1  # what was said before is not heard any more
        connection.pgconn.consume_input()
        while connection.pgconn.notifies() is not None:
            self._version += 1

    def close(self, message: str) -> None:
        """Close the connection, and raise a `StoreError` with this message from now on."""
        with self._lock:
            self._link.close()
            self._link.refuse(message)

    def refuse(self, message: str) -> None:
        """Raise a `StoreError` with this message from now on."""
        self._lock = threading.Lock()
        self._link.refuse(message)
