"""Making the schema of a PostgreSQL store, bringing it up to date, and telling which it is.

Alembic makes it, under the lock that keeps all others from writing: of two processes that come at
once, the second finds nothing left to do.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg

from penstock.exceptions import StoreUnusable
from penstock.store.migrating import run_migrations
from penstock.store.postgres_errors import explain
from penstock.store.postgres_link import OLDEST_SERVER, Server, connect
from penstock.store.postgres_sql import ENTER_ALONE
from penstock.store.revisions import wrong_revision

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.store.postgres_link import Connection

_FIND_REVISION = b"select to_regclass('alembic_version') is not null"
_READ_REVISION = b"select version_num from alembic_version"
_FIND_SCHEMA = b"select current_schema()"

# Whatever of anybody's is in the schema that a new table would be made in.
_FIND_TABLE = b"select tablename from pg_tables where schemaname = current_schema() limit 1"


def prepare(connection: Connection, server: Server) -> None:
    """Make the schema if there is none, and refuse one that is not this penstock's.

    Raises:
        StoreUnusable: the database is another program's, or the server too old.
        StoreTooNew, StoreTooOld: it is the schema of another penstock.
    """
    version, needed = connection.info.server_version // 10_000, OLDEST_SERVER // 10_000
    if version < needed:
        message = (
            f"The store {server.place!r} is on PostgreSQL {version}, which is too old: penstock"
            f" needs {needed} or newer."
        )
        raise StoreUnusable(message)
    if not _has_revision(connection):
        _refuse_other_programs(connection, server)
        migrate(server)
    wrong = wrong_revision(server.place, _revision(connection))
    if wrong is not None:
        raise wrong


def current_revision(server: Server) -> str | None:
    """Give the schema revision of a store, and change nothing; None where there is none.

    Raises:
        StoreError: the server cannot be reached or read.
    """
    try:
        with closing(connect(server)) as connection:
            return _revision(connection) if _has_revision(connection) else None
    except psycopg.Error as error:
        raise explain(error, server.place, server.busy_timeout_s) from error


def migrate(
    server: Server,
    back_to: str | None = None,
    check: Callable[[Callable[[str], list[Any]]], None] | None = None,
) -> None:
    """Run the migrations that a database lacks, or those back to a revision, in one transaction.

    Raises:
        StoreError: the database cannot be written.
    """
    try:
        begin = ENTER_ALONE.decode()
        run_migrations("postgresql+psycopg://", lambda: _to_migrate(server), begin, back_to, check)
    except psycopg.Error as error:
        raise explain(error, server.place, server.busy_timeout_s) from error


def _to_migrate(server: Server) -> Connection:
    connection = connect(server)
    connection.autocommit = False
    return connection


def _refuse_other_programs(connection: Connection, server: Server) -> None:
    if _one(connection, _FIND_SCHEMA) is None:
        message = (
            f"The store {server.place!r} cannot be used: search_path names no schema that exists."
            " Create the schema, or change search_path."
        )
        raise StoreUnusable(message)
    table = _one(connection, _FIND_TABLE)
    if table is None or _has_revision(connection):
        return
    message = (
        f"The store {server.place!r} is a database of another program: it has a table"
        f" {table!r}, and no alembic_version. Set PENSTOCK_STORE_URL to another database, or to"
        " a schema of its own with ?options=-csearch_path%3Dpenstock. Nothing was changed."
    )
    raise StoreUnusable(message)


def _has_revision(connection: Connection) -> bool:
    return bool(_one(connection, _FIND_REVISION))


def _revision(connection: Connection) -> str | None:
    return _one(connection, _READ_REVISION)


def _one(connection: Connection, statement: bytes) -> Any:
    row = connection.execute(statement).fetchone()
    return None if row is None else row[0]
