"""`penstock config`: look at settings, and change those of the profile in use."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from penstock.cli.failing import CommandError
from penstock.cli.helping import CommandGroup
from penstock.cli.output import write, write_document, write_table
from penstock.cli.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from penstock.settings import Profiles, Setting

_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
config_app = typer.Typer(
    cls=CommandGroup,
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
    if json:
        values = {
            each.name: {
                "value": _plain(settings.value_of(each)),
                "source": settings.source_of(each),
            }
            for each in shown
        }
        write_document({"profile": settings.profile.name, "settings": values})
        return
    write(f"Profile: {settings.profile.name}\n")
    rows = [(each.name, _shown(settings.value_of(each))) for each in shown]
    if not rows:
        write("All settings have their defaults: see them with --sources.\n")
    elif sources:
        _write_with_sources([(*row, settings.source_of(SETTINGS[row[0]])) for row in rows])
    else:
        write_table(("Setting", "Value"), rows)


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

    changes: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            msg = f"{masked(pair)!r} is not of the form SETTING=VALUE."
            raise CommandError(msg)
        setting = _setting(key)
        changes[setting.name] = _as_toml(setting, value)
    profiles, name = find_profiles(os.environ)

    def change(profiles: Profiles, _document: Any, tables: Any) -> None:
        profiles.find(name)
        table: Any = tables.setdefault(name, {})
        for key in [key for key in table if key not in changes and _canonical(key) in changes]:
            del table[key]  # the same setting, written in another way
        table.update(changes)

    _change(profiles.source, change)
    for key, value in changes.items():
        write(f"Set {key} to {_quoted(value)} in profile {name!r}.\n")
    _report_overridden(changes, name)


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

    profiles, name = find_profiles(os.environ)
    wanted = dict.fromkeys(map(_canonical, keys))

    def change(profiles: Profiles, _document: Any, tables: Any) -> None:
        given: dict[str, list[str]] = {}
        for key in profiles.find(name).settings:
            given.setdefault(_canonical(key), []).append(key)
        for key in wanted:
            if key not in given:
                _setting(key)
                msg = f"{key} is not set in profile {name!r} of {profiles.source}."
                raise CommandError(msg)
            for spelling in given[key]:
                del tables[name][spelling]

    _change(profiles.source, change)
    for key in wanted:
        write(f"{key} is not set in profile {name!r} any more.\n")


@config_app.command("validate")
def validate() -> None:
    """Read all settings, and say everything that is wrong with them, and where.

    Example: penstock config validate
    """
    from penstock.cli.checking_settings import faults_of
    from penstock.settings.model import find_faults

    settings, faults = find_faults(os.environ)
    if settings is not None:
        faults += faults_of(settings)
    if faults or settings is None:
        raise CommandError("\nError: ".join(faults))
    write(f"Settings are right: {len(settings.given)} given, profile {settings.profile.name!r}.\n")


def _setting(key: str) -> Setting[Any]:
    from penstock.settings import find_setting
    from penstock.settings.project import full_name
    from penstock.settings.reading import ENVIRONMENT_ONLY

    setting = find_setting(full_name(key))
    if setting.name in ENVIRONMENT_ONLY:
        msg = (
            f"{setting.name} cannot be set in a profile, which is found by it: set it as"
            " environment variable."
        )
        raise CommandError(msg)
    return setting


def _canonical(key: str) -> str:
    """Give the full name of today of what is written in a file or on a command line."""
    from penstock.settings import UnknownSettingError, find_setting
    from penstock.settings.project import full_name

    name = full_name(key)
    try:
        return find_setting(name).name
    except UnknownSettingError:
        return name


def _as_toml(setting: Setting[Any], text: str) -> Any:
    """Make what is written to the file: numbers and truths as such, places as seen from here."""
    value = setting.parse(text, "the command line")
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return [_short(item) for item in cast("list[Any]", value)]
    if isinstance(value, str) and setting.kind.relative_to is not None:
        return setting.kind.relative_to(value, Path.cwd())
    return str(value) if isinstance(value, Path) else _short(value)


def _short(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _report_overridden(names: Iterable[str], profile: str) -> None:
    """Say of which settings the value just set is not the one that counts."""
    from penstock.settings.model import find_faults

    settings, _ = find_faults(os.environ)
    if settings is None:
        return
    for name in names:
        source = settings.sources.get(name, "")
        if source and not source.startswith(f"profile {profile!r}"):
            write(f"It does not count here: {name} is set by {source}, which counts more.\n")


def _write_with_sources(rows: list[tuple[str, str, str]]) -> None:
    """Write a table, or where the terminal is too narrow, a line or two for each setting."""
    import shutil

    headings = ("Setting", "Value", "Source")
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    room = shutil.get_terminal_size().columns
    if not sys.stdout.isatty() or sum(widths) + 4 <= room:
        write_table(headings, rows)
        return
    for name, value, source in rows:
        parts = [f"{name} = {visible(value)}" if value else name, f"({visible(source)})"]
        if len("  ".join(parts)) <= room:
            write(f"{'  '.join(parts)}\n")
            continue
        if len(parts[0]) > room:
            parts[:1] = [name, visible(value)]
        # A value that is longer yet is not folded: it is to be copied from.
        write("\n    ".join(parts) + "\n")


def _plain(value: object) -> Any:
    """Give a value as JSON has it, without passwords."""
    from penstock.settings.masking import masked

    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("list[Any]", value)]
    return masked(str(value))


def _shown(value: object) -> str:
    plain = _plain(value)
    if isinstance(plain, bool):
        return str(plain).lower()
    if isinstance(plain, float):
        return f"{plain:g}"
    if isinstance(plain, list):
        return ",".join(map(_shown, cast("list[Any]", plain)))
    return "" if plain is None else str(plain)


def _quoted(value: Any) -> str:
    return repr(_plain(value)) if isinstance(value, str) else _shown(value)


def _change(path: Path, change: Callable[[Profiles, Any, Any], object]) -> None:
    from penstock.settings.writing import change_profiles

    change_profiles(path, change)
