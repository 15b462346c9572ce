"""`penstock db path | upgrade | reset` and `penstock version`."""

from __future__ import annotations

import platform
import sqlite3
import sys
from typing import Any

import penstock
from penstock.cli.failing import CommandError
from penstock.cli.output import write, write_json
from penstock.settings import get_current_settings
from penstock.store import get_store
from penstock.store.resetting import contents, in_words, reset, runs_being_executed
from penstock.store.revisions import SCHEMA_REVISION
from penstock.store.upgrade import upgrade
from penstock.store.urls import is_on_server, place_of, sqlite_path


def show_path(*, as_json: bool) -> None:
    """Print where the store is; it is neither made nor opened."""
    url = get_current_settings().store_url
    if is_on_server(url):
        place = place_of(url)
        if as_json:
            write_json([{"path": None, "url": place, "exists": None, "size_bytes": None}])
        else:
            write(f"{place}\n")
        return
    path = sqlite_path(url)
    if not as_json:
        write(f"{path}\n")
        return
    exists = path.is_file()
    size = path.stat().st_size if exists else None
    write_json([{"path": str(path), "url": url, "exists": exists, "size_bytes": size}])


def upgrade_store() -> None:
    """Bring the store to the schema of this penstock, or make it."""
    settings = get_current_settings()
    place = place_of(settings.store_url)
    found, now = upgrade(settings.store_url, settings.store_busy_timeout_s)
    if found is None:
        write(f"The store {place!r} was made, with schema revision {now}.\n")
    elif found == now:
        write(f"The store {place!r} is up to date: schema revision {now}.\n")
    else:
        write(f"The store {place!r} was upgraded from schema revision {found} to {now}.\n")


def reset_store(*, is_confirmed: bool, force: bool) -> None:
    """Delete every record, after asking.

    Parameters:
        is_confirmed: do not ask.
        force: also while living processes execute runs.

    Raises:
        CommandError: runs are being executed, or nobody can be asked.
    """
    url = get_current_settings().store_url
    place = place_of(url)
    if not is_on_server(url) and not sqlite_path(url).exists():
        write(f"There is no store {place!r} yet: nothing to reset.\n")
        return
    store = get_store()
    owned = runs_being_executed(store)
    if owned and not force:
        message = f"{in_words(owned)}\nWith --force, it is stopped at its next commit."
        raise CommandError(message)
    there = contents(store)
    if not there:
        write(f"The store {place!r} is empty already.\n")
        return
    if not is_confirmed:
        _ask(f"Delete {_listed(there)} from the store {place!r}?")
    write(f"Deleted {_listed(reset(store, force=force))} from the store {place!r}.\n")
    storage = get_current_settings().local_storage_path
    if storage.is_dir():
        write(f"Result files in {str(storage)!r} are left; delete the folder if you like.\n")


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} ({count:,})" for kind, count in counts.items())


def _ask(question: str) -> None:
    import typer

    if not sys.stdin.isatty():
        message = "Nobody can be asked here whether to delete all records. Give --yes."
        raise CommandError(message)
    typer.confirm(question, abort=True, err=True)


def show_version(*, as_json: bool) -> None:
    """Print the versions of penstock and of what it stands on."""
    versions: dict[str, Any] = {
        "version": penstock.__version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "schema_revision": SCHEMA_REVISION,
        "platform": platform.platform(),
    }
    if as_json:
        write_json([versions])
        return
    write(
        f"penstock {penstock.__version__} (Python {versions['python']}, SQLite"
        f" {sqlite3.sqlite_version}, schema {SCHEMA_REVISION})\n"
    )
