"""What PostgreSQL says when something is wrong, in words that help."""

from __future__ import annotations

import re

from psycopg import Error, InterfaceError, OperationalError, errors

from penstock.exceptions import StoreError, StoreLocked, StoreUnreachable, StoreUnusable

# A server ends sessions so when it stops or starts, or when an administrator does.
_LOST = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.IdleInTransactionSessionTimeout,
    errors.ConnectionException,
    InterfaceError,
)

_HINTS: tuple[tuple[type[Error], str, str], ...] = (
    (
        errors.InsufficientPrivilege,
        "permission is denied",
        "have its owner grant this user the database's schema and tables, or give another user",
    ),
    (errors.DiskFull, "the server's disk is full", "free some space there"),
    (
        errors.ReadOnlySqlTransaction,
        "it is read-only",
        "set PENSTOCK_STORE_URL to the primary server, not to a standby",
    ),
    (
        errors.InvalidSchemaName,
        "its schema does not exist",
        "create the schema that search_path names, or change it",
    ),
)

# libpq tells what went wrong while it connected in words alone. These do not pass by waiting.
_LASTING: tuple[tuple[str, str], ...] = (
    ("password authentication failed", "Check the user and the password in PENSTOCK_STORE_URL."),
    ("no password supplied", "Give the password in PENSTOCK_STORE_URL or in PGPASSWORD."),
    ("authentication failed", "Check the user that PENSTOCK_STORE_URL names."),
    ("no pg_hba.conf entry", "Have the server's pg_hba.conf let this user in from here."),
    ("permission denied for database", "Have its owner run: grant connect on database."),
    ('role "', "Check the user in PENSTOCK_STORE_URL, or have it created."),
    ('database "', "Create it with createdb, or check PENSTOCK_STORE_URL."),
    ("invalid ", "Check PENSTOCK_STORE_URL."),
)
_NUMBER_OF_ERROR = re.compile(r"\[Errno -?\d+\] ")
_MISSING = ("does not exist", "is not permitted to log in")


def is_repeatable(error: Error) -> bool:
    """Tell whether a transaction only stood in the way of others, and may be tried again."""
    return isinstance(error, errors.DeadlockDetected | errors.SerializationFailure)


def is_lost(error: Error) -> bool:
    """Tell whether an error says that the connection is gone, or of no use any more.

    What the server did not say, libpq did: of a connection that ended in the middle of a pipeline
    it may say no more than that it "cannot exit pipeline mode while busy".
    """
    if isinstance(error, _LOST):
        return True
    return isinstance(error, OperationalError) and error.sqlstate is None


def is_lasting(error: Error) -> bool:
    """Tell whether connecting again would not help."""
    return _hint_for_connecting(str(error)) is not None


def is_passing(error: Error) -> bool:
    """Tell whether a server says that it is there, but about to start or stop."""
    return "the database system is " in str(error)


def _hint_for_connecting(text: str) -> str | None:
    for sign, hint in _LASTING:
        if sign in text and (not sign.endswith('"') or any(each in text for each in _MISSING)):
            return hint
    return None


def explain(error: Error, place: str, busy_timeout_s: float) -> StoreError:
    """Give the exception to raise instead of psycopg's own."""
    said = in_one_line(error)
    if isinstance(error, errors.LockNotAvailable):
        return StoreLocked(
            f"The store {place!r} was kept busy by other processes for more than"
            f" {busy_timeout_s:g} s. Find the session that holds it in pg_stat_activity, or raise"
            " PENSTOCK_STORE_BUSY_TIMEOUT_S."
        )
    for kind, what, hint in _HINTS:
        if isinstance(error, kind):
            return StoreUnusable(
                f"The store {place!r} cannot be used: {what} ({said}). To go on, {hint}."
            )
    if error.sqlstate is not None or not isinstance(error, OperationalError | InterfaceError):
        return StoreError(f"The store {place!r} could not do what was asked: {said}.")
    hint = _hint_for_connecting(said)
    if hint is not None:
        return StoreUnusable(f"The store {place!r} refuses the connection: {said}. {hint}")
    return StoreUnreachable(
        f"The store {place!r} cannot be reached: {said}. Start the server, or check the host and"
        " the port in PENSTOCK_STORE_URL."
    )


def unreachable(error: Error, place: str, outage_timeout_s: float) -> StoreUnreachable:
    """Give the exception for a server that was away for too long."""
    return StoreUnreachable(
        f"The store {place!r} was away for more than {outage_timeout_s:g} s:"
        f" {in_one_line(error)}. When it is back, resume the run; to wait longer, raise"
        " PENSTOCK_STORE_OUTAGE_TIMEOUT_S."
    )


def in_one_line(error: Error) -> str:
    """Give what the server said, without its line breaks."""
    # A question of the library's, such as whether the server is running, is a line of its own.
    lines = [line.strip() for line in str(error).splitlines() if not line.rstrip().endswith("?")]
    text = _NUMBER_OF_ERROR.sub("", " ".join(" ".join(lines).split()))
    text = text.removeprefix("connection failed: ")
    return text.removeprefix("connection is bad: ").rstrip(".?")
