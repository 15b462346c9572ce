"""Profiles: named sets of settings in one TOML file, of which one is active.

The file looks so:

    active = "work"

    [profiles.work]
    PENSTOCK_API_URL = "http://127.0.0.1:4200/api"

A profile named `default` without settings exists even where the file does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from penstock.exceptions import MissingProfileError
from penstock.settings.parsing import InvalidSettingError
from penstock.settings.toml_files import parse_toml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DEFAULT_PROFILE = "default"


class Profile:
    """A named set of settings.

    Args:
        name: The name of the profile.
        settings: Values as they stand in the file, by the setting or its full name.
        source: The file it was read from; None for a profile made in code.
    """

    __slots__ = ("name", "settings", "source")

    def __init__(
        self,
        name: str,
        settings: Mapping[Any, Any] | None = None,
        source: Path | None = None,
    ) -> None:
        """Name the set."""
        self.name = name
        given: Mapping[Any, Any] = settings or {}
        self.settings: dict[str, Any] = {
            key if isinstance(key, str) else key.name: value for key, value in given.items()
        }
        self.source = source

    def __eq__(self, other: object) -> bool:
        """Say whether `other` has the same name and settings."""
        if not isinstance(other, Profile):
            return NotImplemented
        return self.name == other.name and self.settings == other.settings

    __hash__ = None  # type: ignore[assignment]

    def in_words(self) -> str:
        """Name the profile and its file, for messages."""
        place = f" in {self.source}" if self.source else ""
        return f"profile {self.name!r}{place}"

    def __repr__(self) -> str:
        """Show the names only: values may be secret."""
        return f"Profile(name={self.name!r}, settings={sorted(self.settings)})"


class Profiles:
    """All profiles of one file.

    Args:
        profiles: The profiles by name; `default` is added when it is not there.
        active: The name that the file calls active; None when it calls none.
        source: The file.
    """

    __slots__ = ("active", "profiles", "source")

    def __init__(self, profiles: Mapping[str, Profile], active: str | None, source: Path) -> None:
        """Gather the profiles."""
        self.profiles: dict[str, Profile] = {DEFAULT_PROFILE: Profile(DEFAULT_PROFILE), **profiles}
        self.active = active
        self.source = source

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all profiles."""
        return tuple(self.profiles)

    def find(self, name: str) -> Profile:
        """Return the profile of this name.

        Raises:
            MissingProfileError: There is none; the message lists those there are.
        """
        profile = self.profiles.get(name)
        if profile is not None:
            return profile
        import difflib

        close = difflib.get_close_matches(name, self.profiles, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        known = ", ".join(repr(known) for known in self.profiles)
        if name == self.active:
            missing = f"The active profile, {name!r}, is not in {self.source}."
            other = close[0] if close else DEFAULT_PROFILE
            remedy = f"Make another one active: `penstock profile use {other}`"
        else:
            missing = f"There is no profile {name!r} in {self.source}."
            remedy = "Set PENSTOCK_PROFILE to one of these"
        msg = (
            f"{missing}{hint} It has {known}. {remedy}, or make it:"
            f" `penstock profile create {name}`."
        )
        raise MissingProfileError(msg)


def load_profiles(path: Path) -> Profiles:
    """Read the profiles file; a missing file holds no more than the empty default profile.

    Args:
        path: The TOML file.

    Returns:
        The profiles. The names of settings in them are not checked yet.

    Raises:
        InvalidSettingError: The file cannot be read, is not TOML, or is not laid out as profiles.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Profiles({}, None, path)
    except OSError as error:
        msg = (
            f"The profiles file {path} cannot be read: {error.strerror or error}. Make it readable"
            " or point PENSTOCK_PROFILES_PATH at another file."
        )
        raise InvalidSettingError(msg) from error
    document = parse_toml(content, path, "profiles file")
    active: object = document.get("active")
    if active is not None and not isinstance(active, str):
        msg = (
            f"`active` in the profiles file {path} must be the name of a profile, not {active!r}."
        )
        raise InvalidSettingError(msg)
    tables = _table(document.get("profiles", {}), path)
    profiles = {name: Profile(name, _table(table, path), path) for name, table in tables.items()}
    return Profiles(profiles, active, path)


def _table(value: object, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        msg = f"The profiles file {path} must hold its profiles as [profiles.<name>] tables."
        raise InvalidSettingError(msg)
    return cast("dict[str, Any]", value)
