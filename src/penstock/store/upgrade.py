"""Bringing a store that an older penstock made to the present schema.

Used by `penstock db upgrade`. A new store, and one that is up to date, need no Alembic.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from penstock.exceptions import StoreTooOld
from penstock.store.errors import explain
from penstock.store.sqlite import SCHEMA_REVISION
from penstock.store.store import Store, sqlite_path

if TYPE_CHECKING:
    from pathlib import Path

MIGRATIONS = "penstock.store:migrations"

BUSY_TIMEOUT_S = 30.0


def current_revision(url: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> str | None:
    """Give the schema revision of a store, and change nothing.

    Parameters:
        url: `sqlite:///` and a path, as PENSTOCK_STORE_URL.
        busy_timeout_s: seconds to wait for other processes that use the store.

    Returns:
        The revision; None when there is no database yet, or one without penstock's tables.

    Raises:
        StoreError: the URL is not understood, or what is there cannot be read.

    Example:
        >>> current_revision("sqlite:////nowhere/penstock.db") is None
        True
    """
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
        url: `sqlite:///` and a path, as PENSTOCK_STORE_URL.
        busy_timeout_s: seconds to wait for other processes that use the store.

    Returns:
        The revision it had, None for a new one, and the revision it has now.

    Raises:
        StoreTooNew: a newer penstock made it; it is left as it is.
        StoreUnusable: it is no store, or cannot be written.
        StoreLocked: other processes kept it busy for longer than `busy_timeout_s`.

    Example:
        >>> upgrade("sqlite:////home/me/.penstock/penstock.db")  # doctest: +SKIP
        ('0001', '0001')
    """
    found = current_revision(url, busy_timeout_s)
    try:
        # Makes a new one, and refuses what must not be touched.
        Store(url, busy_timeout_s=busy_timeout_s).close()
    except StoreTooOld:
        migrate(sqlite_path(url), busy_timeout_s)
    return found, SCHEMA_REVISION


def migrate(path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
    """Run the migrations that a database file lacks, in one transaction of its own.

    Parameters:
        path: the file; an empty or missing one gets all of them.
        busy_timeout_s: seconds to wait for other processes that use the file.

    Raises:
        StoreError: the file cannot be written.
    """
    # SQLAlchemy and Alembic take a third of a second to import and are needed here only.
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import Connection, NullPool, create_engine, event
    from sqlalchemy.exc import DBAPIError

    def begin(connection: Connection) -> None:
        # At once as a writer: of two processes, the second waits and then finds nothing to do.
        connection.exec_driver_sql("begin immediate")

    engine = create_engine(
        "sqlite://", creator=lambda: _connect(path, busy_timeout_s), poolclass=NullPool
    )
    event.listen(engine, "begin", begin)
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise explain(error.orig, path, busy_timeout_s) from error
        raise


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    # The transaction is begun and ended by hand, so that it holds changes of the schema, too.
    return sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
