"""Bringing a store that an older penstock made to the present schema.

And back to an older one. Used by `penstock db upgrade | downgrade`. A new store, and one that is
up to date, need no Alembic.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from penstock.exceptions import RunOwnedElsewhere, StoreError, StoreTooOld
from penstock.store.errors import explain
from penstock.store.migrating import run_migrations
from penstock.store.resetting import in_words, living
from penstock.store.revisions import (
    KNOWN_REVISIONS,
    LOST_BELOW,
    SCHEMA_REVISION,
    wrong_revision,
)
from penstock.store.statements import READ_OWNED_FLOW_RUNS
from penstock.store.store import Store, need_psycopg
from penstock.store.urls import is_on_server, place_of, sqlite_path

if TYPE_CHECKING:
    from collections.abc import Callable
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


def lost_by_downgrade(store: Store, revision: str) -> dict[str, int]:
    """Count what a store holds that it cannot hold at an older revision, by kind."""
    counts: dict[str, int] = {}
    for later in KNOWN_REVISIONS[KNOWN_REVISIONS.index(revision) + 1 :]:
        for kind, query in LOST_BELOW[later].items():
            number = store.read(query)[0][0]
            if number:
                counts[kind] = number
    return counts


def downgrade(url: str, revision: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> str | None:
    """Bring a store back to the schema of an older penstock, in one transaction.

    Parameters:
        url: the store's, as PENSTOCK_STORE_URL.
        revision: the revision that it is to have, one of `KNOWN_REVISIONS`.
        busy_timeout_s: seconds to wait for other processes that use the store.

    Returns:
        The revision that it had.

    Raises:
        StoreError: there is no such revision, no store, or one that is older than that.
        RunOwnedElsewhere: flow runs are being executed; nothing was changed.
    """
    found = current_revision(url, busy_timeout_s)
    refuse_downgrade(url, found, revision)
    if found == revision:
        return found
    if not is_on_server(url):
        migrate(sqlite_path(url), busy_timeout_s, back_to=revision, check=_refuse_while_executed)
        return found
    from penstock.store.postgres_link import Server
    from penstock.store.postgres_schema import migrate as migrate_on_server

    server = Server(url, "normal", busy_timeout_s, 0.0)
    migrate_on_server(server, back_to=revision, check=_refuse_while_executed)
    return found


def refuse_downgrade(url: str, found: str | None, revision: str) -> None:
    """Raise a `StoreError` where a store of revision `found` cannot be brought to an older one."""
    place = place_of(url)
    if revision not in KNOWN_REVISIONS:
        known = ", ".join(KNOWN_REVISIONS)
        message = f"There is no schema revision {revision!r}. Those that were released: {known}."
        raise StoreError(message)
    if found is None:
        message = f"There is no store {place!r} yet: nothing to downgrade."
        raise StoreError(message)
    if found not in KNOWN_REVISIONS:
        raise wrong_revision(place, found) or StoreError(place)
    if KNOWN_REVISIONS.index(found) < KNOWN_REVISIONS.index(revision):
        message = (
            f"The store {place!r} has schema revision {found}, which is older than {revision}."
            " `penstock db upgrade` brings it to this penstock's."
        )
        raise StoreError(message)


def _refuse_while_executed(query: Callable[[str], list[Any]]) -> None:
    owned = living(query(READ_OWNED_FLOW_RUNS))
    if owned:
        raise RunOwnedElsewhere(in_words(owned))


def _migrate(url: str, busy_timeout_s: float) -> None:
    if not is_on_server(url):
        migrate(sqlite_path(url), busy_timeout_s)
        return
    from penstock.store.postgres_link import Server
    from penstock.store.postgres_schema import migrate as migrate_on_server

    migrate_on_server(Server(url, "normal", busy_timeout_s, 0.0))


def migrate(
    path: Path,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    back_to: str | None = None,
    check: Callable[[Callable[[str], list[Any]]], None] | None = None,
) -> None:
    """Run the migrations that a database file lacks, in one transaction of its own.

    Parameters:
        path: the file; an empty or missing one gets all of them.
        busy_timeout_s: seconds to wait for other processes that use the file.
        back_to: the older revision to bring it back to; none for the last one.
        check: called with what runs a query before anything is done; raises to refuse.

    Raises:
        StoreError: the file cannot be written.
    """
    try:
        begin = "begin immediate"
        run_migrations("sqlite://", lambda: _connect(path, busy_timeout_s), begin, back_to, check)
    except sqlite3.Error as error:
        raise explain(error, path, busy_timeout_s) from error


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    # The transaction is begun and ended by hand, so that it holds changes of the schema, too.
    return sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
