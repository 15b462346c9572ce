"""`penstock profile`: named sets of settings, of which one is active."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.failing import CommandError
from penstock.cli.helping import CommandGroup
from penstock.cli.output import write, write_document, write_fields, write_json, write_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.settings import Profiles

_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
profile_app = typer.Typer(
    cls=CommandGroup, help="Named sets of settings.", no_args_is_help=True, rich_markup_mode=None
)
_Name = Annotated[str, typer.Argument(metavar="NAME", help="The profile.", show_default=False)]


@profile_app.command("ls")
def list_all(*, json: _Json = False) -> None:
    """List the profiles; the one in use is marked.

    Example: penstock profile ls
    """
    profiles, used = _profiles()
    if json:
        write_json({"name": name, "in_use": name == used} for name in profiles.names)
        return
    write_table(("Profile", "In use"), [(n, "*" if n == used else "") for n in profiles.names])


@profile_app.command("create")
def create(name: _Name) -> None:
    """Make a profile without settings.

    Example: penstock profile create work
    """

    def change(profiles: Profiles, _document: Any, tables: Any) -> None:
        _refuse_taken(profiles, name)
        tables[name] = {}

    _change(change)
    write(f"Made profile {name!r}: use it with `penstock profile use {name}`.\n")


@profile_app.command("use")
def use(name: _Name) -> None:
    """Make a profile the active one.

    Example: penstock profile use work
    """

    def change(profiles: Profiles, document: Any, _tables: Any) -> None:
        profiles.find(name)
        _activate(document, name)

    _change(change)
    write(f"Profile {name!r} is active.\n")
    named = os.environ.get("PENSTOCK_PROFILE")
    if named and named != name:
        write(f"PENSTOCK_PROFILE names {named!r}, which counts more: unset it to use {name!r}.\n")


@profile_app.command("delete")
def delete(name: _Name) -> None:
    """Delete a profile that is not in use.

    Example: penstock profile delete work
    """

    def change(profiles: Profiles, _document: Any, tables: Any) -> None:
        _refuse_unwritten(profiles, name)
        if name in (_profiles()[1], profiles.active):
            msg = (
                f"Profile {name!r} is in use: make another active with `penstock profile use`"
                " first."
            )
            raise CommandError(msg)
        del tables[name]

    _change(change)
    write(f"Deleted profile {name!r}.\n")


@profile_app.command("inspect")
def inspect(name: _Name, *, json: _Json = False) -> None:
    """Show the settings of a profile; passwords are masked.

    Example: penstock profile inspect work
    """
    from penstock.settings.masking import masked

    profiles, _ = _profiles()
    found = {key: masked(str(value)) for key, value in profiles.find(name).settings.items()}
    if json:
        write_document({"name": name, "settings": found})
    elif found:
        write_fields(found.items())
    else:
        write(f"Profile {name!r} has no settings.\n")


@profile_app.command("rename")
def rename(
    name: _Name,
    new_name: Annotated[
        str, typer.Argument(metavar="NEW", help="Its new name.", show_default=False)
    ],
) -> None:
    """Give a profile another name.

    Example: penstock profile rename work office
    """

    def change(profiles: Profiles, document: Any, tables: Any) -> None:
        _refuse_unwritten(profiles, name)
        _refuse_taken(profiles, new_name)
        tables[new_name] = tables.pop(name)
        if profiles.active == name:
            _activate(document, new_name)

    _change(change)
    write(f"Profile {name!r} is named {new_name!r} now.\n")


def _activate(document: Any, name: str) -> None:
    if "active" in document:
        document["active"] = name
        return
    # A key after a table would belong to the table.
    tables = {key: document.pop(key) for key in list(document)}
    document["active"] = name
    document.update(tables)


def _refuse_taken(profiles: Profiles, name: str) -> None:
    if not name.strip() or name in profiles.names:
        reason = "is there already" if name.strip() else "is no name"
        msg = f"Profile {name!r} {reason}: choose another name."
        raise CommandError(msg)


def _refuse_unwritten(profiles: Profiles, name: str) -> None:
    if profiles.find(name).source is None:
        msg = f"Profile {name!r} is built in, and not in {profiles.source}: nothing to change."
        raise CommandError(msg)


def _profiles() -> tuple[Profiles, str]:
    from penstock.settings.model import find_profiles

    return find_profiles(os.environ)


def _change(change: Callable[[Profiles, Any, Any], object]) -> None:
    from penstock.settings.writing import change_profiles

    change_profiles(_profiles()[0].source, change)
