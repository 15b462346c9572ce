"""`penstock config`: look at settings, and change those of the profile in use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.failing import CommandError
from penstock.cli.output import write, write_document, write_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
config_app = typer.Typer(
    help="Look at settings and where they come from; change those of the profile in use.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@config_app.command("view")
def view(
    *,
    sources: Annotated[
        bool, typer.Option("--sources", help="All settings, and where each value comes from.")
    ] = False,
    json: _Json = False,
) -> None:
    """Show the settings that somebody gave; passwords are masked.

    Example: penstock config view --sources
    """
    from penstock.cli.notices import report_settings
    from penstock.settings import SETTINGS, get_current_settings

    report_settings()
    settings = get_current_settings()
    shown = [each for each in SETTINGS.values() if sources or json or each.name in settings.given]
    rows = [
        (each.name, _shown(settings.value_of(each)), settings.source_of(each)) for each in shown
    ]
    if json:
        values = {name: {"value": value, "source": source} for name, value, source in rows}
        write_document({"profile": settings.profile.name, "settings": values})
        return
    write(f"Profile: {settings.profile.name}\n")
    if sources:
        write_table(("Setting", "Value", "Source"), rows)
    elif rows:
        write_table(("Setting", "Value"), [row[:2] for row in rows])
    else:
        write("All settings have their defaults: see them with --sources.\n")


@config_app.command("set")
def set_values(
    pairs: Annotated[
        list[str],
        typer.Argument(metavar="K=V...", help="Settings and values.", show_default=False),
    ],
) -> None:
    """Set settings in the profile in use; others are chosen with `penstock --profile NAME`.

    Example: penstock config set TASK_DEFAULT_RETRIES=2
    """
    from penstock.settings.masking import masked
    from penstock.settings.model import find_profiles
    from penstock.settings.project import full_name

    changes: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            msg = f"{masked(pair)!r} is not of the form SETTING=VALUE."
            raise CommandError(msg)
        setting = _setting(key)
        setting.parse(value, "the command line")
        changes[setting.name] = value
    profiles, name = find_profiles(os.environ)
    profiles.find(name)

    def change(_document: Any, tables: Any) -> None:
        table: Any = tables.setdefault(name, {})
        for key in [key for key in table if key not in changes and full_name(key) in changes]:
            del table[key]  # the same setting, written in another way
        table.update(changes)

    _change(profiles.source, change)
    for key, value in changes.items():
        write(f"Set {key} to {masked(value)!r} in profile {name!r}.\n")
        if os.environ.get(key):
            write(f"The environment variable {key} counts more: unset it to use this value.\n")


@config_app.command("unset")
def unset_values(
    keys: Annotated[
        list[str], typer.Argument(metavar="K...", help="Settings.", show_default=False)
    ],
) -> None:
    """Take settings out of the profile in use.

    Example: penstock config unset TASK_DEFAULT_RETRIES
    """
    from penstock.settings.model import find_profiles
    from penstock.settings.project import full_name

    profiles, name = find_profiles(os.environ)
    given = {full_name(key): key for key in profiles.find(name).settings}
    for key in keys:
        if full_name(key) not in given:
            _setting(key)
            msg = f"{full_name(key)} is not set in profile {name!r} of {profiles.source}."
            raise CommandError(msg)

    def change(_document: Any, tables: Any) -> None:
        for key in dict.fromkeys(map(full_name, keys)):
            del tables[name][given[key]]

    _change(profiles.source, change)
    for key in keys:
        write(f"{full_name(key)} is not set in profile {name!r} any more.\n")


@config_app.command("validate")
def validate() -> None:
    """Read all settings, and say what is wrong with them and where.

    Example: penstock config validate
    """
    from penstock.settings.model import load_settings

    settings, notices = load_settings(os.environ)
    if notices:
        raise CommandError("\n".join(notices))
    write(f"Settings are right: {len(settings.given)} given, profile {settings.profile.name!r}.\n")


def _setting(key: str) -> Any:
    from penstock.settings import find_setting
    from penstock.settings.model import ENVIRONMENT_ONLY
    from penstock.settings.project import full_name

    setting = find_setting(full_name(key))
    if setting.name in ENVIRONMENT_ONLY:
        msg = f"{setting.name} cannot be set in a profile: set it as environment variable."
        raise CommandError(msg)
    return setting


def _shown(value: object) -> str:
    from penstock.settings.masking import masked

    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType]
    return "" if value is None else masked(str(value))


def _change(path: Path, change: Callable[[Any, Any], object]) -> None:
    from penstock.settings.writing import change_profiles

    change_profiles(path, change)
