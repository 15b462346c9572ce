"""A copy of a SQLite store while others write to it, and giving room on the disk back.

Used by `penstock db backup | vacuum`. A server has tools of its own for both.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from penstock.exceptions import StoreError
from penstock.store.errors import explain

if TYPE_CHECKING:
    from pathlib import Path

PAGES_PER_STEP = 1024
"""How many pages are copied before others may write again."""


def backup(
    source: Path, target: Path, *, replace: bool = False, busy_timeout_s: float = 30.0
) -> int:
    """Copy a store to a file: as it was at one moment, whole or not at all.

    Parameters:
        source: the store's file; others may write to it meanwhile.
        target: the file to make.
        replace: put it in the place of one that is there.
        busy_timeout_s: seconds to wait for other processes.

    Returns:
        The size of the copy in bytes.

    Raises:
        FileExistsError: `target` is there, and is not to be replaced.
        StoreError: the store cannot be read, or the copy not be written.
        OSError: the copy cannot be put in its place.

    Example:
        >>> backup(Path("penstock.db"), Path("penstock-backup.db"))  # doctest: +SKIP
        81920
    """
    if target.exists() and (not replace or target.samefile(source)):
        raise FileExistsError(f"The file {str(target)!r} is there already.")
    draft = target.with_name(f".{target.name}.{uuid4().hex}.part")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            _copy(source, draft, busy_timeout_s)
        except sqlite3.Error as error:
            raise explain(error, source, busy_timeout_s) from error
        size = draft.stat().st_size
        _put_in_place(draft, target, replace=replace)
    finally:
        draft.unlink(missing_ok=True)
    return size


def _copy(source: Path, draft: Path, busy_timeout_s: float) -> None:
    with (
        closing(sqlite3.connect(source, timeout=busy_timeout_s)) as read,
        closing(sqlite3.connect(draft)) as written,
    ):
        # One transaction for the whole copy: writers go on in the log meanwhile, and what they
        # write does not make it begin anew.
        read.execute("begin")
        read.execute("select count(*) from alembic_version").fetchone()
        read.backup(written, pages=PAGES_PER_STEP, sleep=0.0)
        read.rollback()
        # The copy is one file: nothing of it is left in a log beside it.
        written.execute("pragma journal_mode = delete")
    with draft.open("rb") as file:
        os.fsync(file.fileno())


def _put_in_place(draft: Path, target: Path, *, replace: bool) -> None:
    if replace:
        draft.replace(target)
        # What is beside the former file belongs to that one.
        for suffix in ("-wal", "-shm"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)
        return
    try:
        # Unlike a rename, it fails where somebody else has made the file meanwhile.
        os.link(draft, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        draft.rename(target)


def vacuum(path: Path, busy_timeout_s: float = 30.0) -> tuple[int, int]:
    """Have a store take no more room on the disk than it needs.

    Parameters:
        path: the store's file.
        busy_timeout_s: seconds to wait for other processes.

    Returns:
        The bytes that it took, and those that it takes now, with the log beside it.

    Raises:
        StoreLocked: others used it for longer than `busy_timeout_s`.
        StoreUnusable: there is no room for the copy that is made of it meanwhile.
        StoreError: it cannot be written.
    """
    before = size_of(path)
    try:
        with closing(sqlite3.connect(path, timeout=busy_timeout_s)) as connection:
            connection.execute("vacuum")
            busy = connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
    except sqlite3.Error as error:
        raise explain(error, path, busy_timeout_s) from error
    if busy:
        message = (
            f"The store {str(path)!r} is in use, so the file could not be made smaller yet: that"
            " happens when the last process that uses it has ended."
        )
        raise StoreError(message)
    return before, size_of(path)


def size_of(path: Path) -> int:
    """Give the bytes that a store's files take."""
    total = 0
    for name in (path.name, f"{path.name}-wal"):
        with suppress(FileNotFoundError):
            total += path.with_name(name).stat().st_size
    return total
