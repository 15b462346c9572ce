"""What SQLite says when something is wrong, in words that help."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from penstock.exceptions import StoreError, StoreLocked, StoreUnusable

if TYPE_CHECKING:
    from pathlib import Path

_HINTS = {
    sqlite3.SQLITE_FULL: (
        "the disk is full",
        "free some space, or set PENSTOCK_HOME to a folder on another disk",
    ),
    sqlite3.SQLITE_READONLY: (
        "it is read-only",
        "give this user write permission for the file and its folder, or set PENSTOCK_HOME",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "its content is damaged",
        "restore it from a backup, or move it away: a new one is made on the next run",
    ),
    sqlite3.SQLITE_NOTADB: (
        "it is not a SQLite database",
        "move it away, or set PENSTOCK_STORE_URL to another file",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened",
        "check that its folder exists and that this user may write there, or set PENSTOCK_HOME",
    ),
    sqlite3.SQLITE_IOERR: (
        "reading or writing the disk failed",
        "check the disk; network file systems that do not lock files are not supported",
    ),
    sqlite3.SQLITE_PERM: (
        "permission is denied",
        "give this user permission for the file, or set PENSTOCK_HOME",
    ),
}


def primary_code(error: sqlite3.Error) -> int | None:
    """Give SQLite's primary result code of an error, if it has one."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether another connection holds a lock that this one waits for."""
    return primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def explain(error: sqlite3.Error, path: Path, timeout_s: float) -> Exception:
    """Give the exception to raise instead of SQLite's own."""
    if is_busy(error):
        return StoreLocked(
            f"The store {str(path)!r} was kept busy by other processes for more than"
            f" {timeout_s:g} s. Find the process that holds it (a backup, an open shell?), or"
            " raise PENSTOCK_STORE_BUSY_TIMEOUT_S."
        )
    code = primary_code(error)
    if code in _HINTS:
        what, hint = _HINTS[code]
        return StoreUnusable(
            f"The store {str(path)!r} cannot be used: {what} ({error}). To go on, {hint}."
        )
    return StoreError(f"The store {str(path)!r} could not do what was asked: {error}.")
