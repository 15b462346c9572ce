"""`penstock db path | upgrade | downgrade | reset` and `penstock version`."""

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
from penstock.store import reset_store as close_store
from penstock.store.resetting import contents, in_words, reset, runs_being_executed
from penstock.store.revisions import SCHEMA_REVISION
from penstock.store.upgrade import (
    current_revision,
    downgrade,
    lost_by_downgrade,
    refuse_downgrade,
    upgrade,
)
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


def upgrade_store(*, as_json: bool) -> None:
    """Bring the store to the schema of this penstock, or make it."""
    settings = get_current_settings()
    place = place_of(settings.store_url)
    found, now = upgrade(settings.store_url, settings.store_busy_timeout_s)
    if as_json:
        write_json([{"store": place, "former_revision": found, "revision": now}])
    elif found is None:
        write(f"The store {place!r} was made, with schema revision {now}.\n")
    elif found == now:
        write(f"The store {place!r} is up to date: schema revision {now}.\n")
    else:
        write(f"The store {place!r} was upgraded from schema revision {found} to {now}.\n")


def downgrade_store(revision: str, *, is_confirmed: bool, as_json: bool) -> None:
    """Bring the store back to the schema of an older penstock, after asking.

    Parameters:
        revision: the schema revision that it is to have.
        is_confirmed: do not ask.
        as_json: print JSON.

    Raises:
        CommandError: nobody can be asked.
        StoreError: there is no such revision or store, or runs are being executed.
    """
    settings = get_current_settings()
    url, place = settings.store_url, place_of(settings.store_url)
    found = current_revision(url, settings.store_busy_timeout_s)
    if found is None and not is_on_server(url) and sqlite_path(url).exists():
        get_store()  # says what else is there
    refuse_downgrade(url, found, revision)
    lost: dict[str, int] = {}
    if found == SCHEMA_REVISION != revision:
        lost = lost_by_downgrade(get_store(), revision)
        if not is_confirmed:
            what = f", and lose {_listed(lost)}" if lost else "; nothing is lost"
            question = f"Bring the store {place!r} from revision {found} to {revision}{what}?"
            _ask(question, "whether to downgrade the store")
    close_store()
    downgrade(url, revision, settings.store_busy_timeout_s)
    if as_json:
        counts = {kind.replace(" ", "_"): count for kind, count in lost.items()}
        done = {"store": place, "former_revision": found, "revision": revision, "lost": counts}
        write_json([done])
    elif found == revision:
        write(f"The store {place!r} has schema revision {revision} already.\n")
    else:
        write(
            f"The store {place!r} was downgraded from schema revision {found} to {revision}."
            + (f" Lost: {_listed(lost)}." if lost else "")
            + " This penstock does not use it until `penstock db upgrade`.\n"
        )


def reset_store(*, is_confirmed: bool, force: bool, as_json: bool) -> None:
    """Delete every record, after asking.

    Parameters:
        is_confirmed: do not ask.
        force: also while living processes execute runs.
        as_json: print JSON.

    Raises:
        CommandError: runs are being executed, or nobody can be asked.
    """
    url = get_current_settings().store_url
    place = place_of(url)
    if not is_on_server(url) and not sqlite_path(url).exists():
        _say_reset(place, {}, f"There is no store {place!r} yet: nothing to reset.", as_json)
        return
    store = get_store()
    owned = runs_being_executed(store)
    if owned and not force:
        message = f"{in_words(owned)}\nWith --force, it is stopped at its next commit."
        raise CommandError(message)
    there = contents(store)
    if not there:
        _say_reset(place, {}, f"The store {place!r} is empty already.", as_json)
        return
    if not is_confirmed:
        question = f"Delete {_listed(there)} from the store {place!r}?"
        _ask(question, "whether to delete all records")
    deleted = reset(store, force=force)
    text = f"Deleted {_listed(deleted)} from the store {place!r}."
    _say_reset(place, deleted, text, as_json)
    storage = get_current_settings().local_storage_path
    if storage.is_dir() and not as_json:
        write(f"Result files in {str(storage)!r} are left; delete the folder if you like.\n")


def _say_reset(place: str, deleted: dict[str, int], text: str, as_json: bool) -> None:  # noqa: FBT001 - passed on
    if as_json:
        counts = {kind.replace(" ", "_"): count for kind, count in deleted.items()}
        write_json([{"store": place, "deleted": counts}])
    else:
        write(f"{text}\n")


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} ({count:,})" for kind, count in counts.items())


def _ask(question: str, matter: str) -> None:
    import typer

    if not sys.stdin.isatty():
        message = f"Nobody can be asked here {matter}. Give --yes."
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
