"""Bringing a store that an older penstock made to the present schema.

Used by `penstock db upgrade`. A new store, and one that is up to date, need no Alembic.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from penstock.exceptions import StoreTooOld
from penstock.store.errors import explain
from penstock.store.migrating import run_migrations
from penstock.store.revisions import SCHEMA_REVISION
from penstock.store.store import Store, need_psycopg
from penstock.store.urls import is_on_server, sqlite_path

if TYPE_CHECKING:
    from pathlib import Path

BUSY_TIMEOUT_S = 30.0


def current_revision(url: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> str | None:
    """Give the schema revision of a store, and change nothing.

    Parameters:
        url: the store's, as PENSTOCK_STORE_URL.
        busy_timeout_s: seconds to wait for other processes that use the store.

    Returns:
        The revision; None when there is no database yet, or one without penstock's tables.

    Raises:
        StoreError: the URL is not understood, or what is there cannot be read.

    Example:
        >>> current_revision("sqlite:////nowhere/penstock.db") is None
        True
    """
    if is_on_server(url):
        need_psycopg()
        from penstock.store.postgres_link import Server
        from penstock.store.postgres_schema import current_revision as revision_on_server

        return revision_on_server(Server(url, "normal", busy_timeout_s, 0.0))
    path = sqlite_path(url)
    if not path.is_file():
        return None
    try:
        with closing(_connect(path, busy_timeout_s)) as connection:
            if not connection.execute(_HAS_REVISION).fetchone():
                return None
            found = connection.execute("select version_num from alembic_version").fetchone()
            return None if found is None else str(found[0])
    except sqlite3.Error as error:
        raise explain(error, path, busy_timeout_s) from error


_HAS_REVISION = "select 1 from sqlite_master where name = 'alembic_version'"


def upgrade(url: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> tuple[str | None, str]:
    """Bring a store to the schema of this penstock; make it if there is none.

    May be called by several processes at once: one does the work while the others wait. All
    migrations are made in one transaction.

    Parameters:
        url: the store's, as PENSTOCK_STORE_URL.
        busy_timeout_s: seconds to wait for other processes that use the store.

    Returns:
        The revision it had, None for a new one, and the revision it has now.

    Raises:
        StoreTooNew: a newer penstock made it; it is left as it is.
        StoreUnusable: it is no store, or cannot be written.
        StoreLocked: other processes kept it busy for longer than `busy_timeout_s`.

    Example:
        >>> upgrade("sqlite:////home/me/.penstock/penstock.db")  # doctest: +SKIP
        ('0002', '0002')
    """
    found = current_revision(url, busy_timeout_s)
    try:
        # Makes a new one, and refuses what must not be touched.
        Store(url, busy_timeout_s=busy_timeout_s).close()
    except StoreTooOld:
        _migrate(url, busy_timeout_s)
    return found, SCHEMA_REVISION


def _migrate(url: str, busy_timeout_s: float) -> None:
    if not is_on_server(url):
        migrate(sqlite_path(url), busy_timeout_s)
        return
    from penstock.store.postgres_link import Server
    from penstock.store.postgres_schema import migrate as migrate_on_server

    migrate_on_server(Server(url, "normal", busy_timeout_s, 0.0))


def migrate(path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
    """Run the migrations that a database file lacks, in one transaction of its own.

    Parameters:
        path: the file; an empty or missing one gets all of them.
        busy_timeout_s: seconds to wait for other processes that use the file.

    Raises:
        StoreError: the file cannot be written.
    """
    try:
        run_migrations("sqlite://", lambda: _connect(path, busy_timeout_s), "begin immediate")
    except sqlite3.Error as error:
        raise explain(error, path, busy_timeout_s) from error


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    # The transaction is begun and ended by hand, so that it holds changes of the schema, too.
    return sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
