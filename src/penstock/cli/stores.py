"""The store that a command looks at, which is not made by looking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.failing import CommandError
from penstock.cli.output import write
from penstock.settings import get_current_settings
from penstock.store import get_store
from penstock.store.urls import is_on_server, place_of, sqlite_path

if TYPE_CHECKING:
    from penstock.store import Store


def _place_without_store() -> str | None:
    url = get_current_settings().store_url
    if is_on_server(url) or sqlite_path(url).exists():
        return None
    present = next(each for each in sqlite_path(url).parents if each.exists())
    return place_of(url) if present.is_dir() else None  # opening it says what is in its way


def has_store() -> bool:
    """Tell whether there is a store to look at, or something in its way."""
    return _place_without_store() is None


def is_empty_without_store(message: str, *, as_json: bool) -> bool:
    """Tell whether nothing has made the store yet; if so, answer what asks for a list of it.

    Parameters:
        message: what people are told; `{place!r}` in it is where the store would be.
        as_json: write an empty list instead.
    """
    place = _place_without_store()
    if place is None:
        return False
    write("[]\n" if as_json else f"{message.format(place=place)}\n")
    return True


def existing_store() -> Store:
    """Give the store.

    Raises:
        CommandError: there is none.
    """
    place = _place_without_store()
    if place is not None:
        message = (
            f"There is no store {place!r} yet: the first flow run makes it. If it is elsewhere,"
            " set PENSTOCK_STORE_URL or PENSTOCK_HOME."
        )
        raise CommandError(message)
    return get_store()
