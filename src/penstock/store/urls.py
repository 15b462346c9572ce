"""Store URLs: what each kind names, and how messages may show it."""

from __future__ import annotations

import re
from pathlib import Path

from penstock.exceptions import StoreError

_SQLITE = "sqlite:///"
_POSTGRESQL = "postgresql://"
_PASSWORD_OF_USER = re.compile(r"(?<=://)([^:@/]*):.*(?=@)")
_PASSWORD_OF_QUERY = re.compile(r"(?<=[?&])password=[^&]*&?", re.IGNORECASE)


def without_password(url: str) -> str:
    """Give a URL without its password.

    Example:
        >>> without_password("postgresql://me:secret@db/penstock?password=x&sslmode=require")
        'postgresql://me@db/penstock?sslmode=require'
    """
    return _PASSWORD_OF_QUERY.sub("", _PASSWORD_OF_USER.sub(r"\1", url)).rstrip("?&")


def sqlite_path(url: str) -> Path:
    """Give the file that a store's URL names.

    Raises:
        StoreError: the URL is not understood.
    """
    path = url[len(_SQLITE) :]
    if url.startswith(_SQLITE) and path in ("", ":memory:"):
        message = (
            f"PENSTOCK_STORE_URL={url!r} names no file, and the records need one. Give sqlite:///"
            " and a path, for example sqlite:////home/me/.penstock/penstock.db."
        )
        raise StoreError(message)
    if not url.startswith(_SQLITE):
        message = (
            f"PENSTOCK_STORE_URL={without_password(url)!r} is not understood. Give sqlite:/// and"
            " a path, for example sqlite:////home/me/.penstock/penstock.db (four slashes: an"
            " absolute path), or postgresql://user:password@host:5432/database."
        )
        raise StoreError(message)
    return Path(path).expanduser()


def place_of(url: str) -> str:
    """Name the store of a URL in messages: a path, or the URL without its password.

    Raises:
        StoreError: the URL is not understood.
    """
    return without_password(url) if is_on_server(url) else str(sqlite_path(url))


def is_on_server(url: str) -> bool:
    """Tell whether a store's URL names a database server, and not a file."""
    return url.startswith(_POSTGRESQL)
