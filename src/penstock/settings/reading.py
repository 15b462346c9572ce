"""Reads settings from the environment, the profiles file and project files.

Used by `model`, which says what settings there are. What is wrong is raised as it is found or, for
`penstock config validate`, gathered with the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from penstock.settings.foreign import PREFIX, hint
from penstock.settings.parsing import InvalidSettingError
from penstock.settings.profiles import DEFAULT_PROFILE, Profile, Profiles, load_profiles
from penstock.settings.project import PROJECT_FILE, full_name, line_of, load_project

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.exceptions import PenstockException

INTERNAL_PREFIX = "PENSTOCK__"
LOGGING_OVERRIDE_PREFIXES = tuple(
    f"{PREFIX}LOGGING_{section}_"
    for section in ("LOGGERS", "HANDLERS", "FORMATTERS", "FILTERS", "ROOT")
)
"""Variables that change single entries of the logging configuration; read by penstock.logging."""

_PROFILE = "PENSTOCK_PROFILE"
_PROFILES_PATH = "PENSTOCK_PROFILES_PATH"

ENVIRONMENT_ONLY = frozenset({"PENSTOCK_HOME", _PROFILE, _PROFILES_PATH})
"""The profiles file is found by them, so no file can set them."""


class Readable(Protocol):
    """What a reader has to know of a setting."""

    def parse(self, value: object, source: str) -> Any:
        """Make a value of it."""
        ...

    def parse_in_file(self, value: object, source: str, folder: Path | None) -> Any:
        """Make a value of it that stands in a file."""
        ...

    def default_from(self, values: Mapping[str, Any]) -> Any:
        """Return the default that goes with the settings defined before."""
        ...


class Found(NamedTuple):
    """Values by full name, and for each of them where it came from, in words."""

    values: dict[str, Any]
    sources: dict[str, str]


class Reader:
    """Reads every place once.

    Args:
        settings: What there is to set, by full name, in the order of definition.
        former_names: Other full names, with the names of today.
        faults: Gathers what is wrong; with none, the first thing that is wrong is raised.
    """

    __slots__ = ("_faults", "_former_names", "_settings", "notices")

    notices: list[str]
    """What the user is to be warned of: names that no setting has."""

    def __init__(
        self,
        settings: Mapping[str, Readable],
        former_names: Mapping[str, str],
        faults: list[PenstockException] | None = None,
    ) -> None:
        """Read nothing yet."""
        self._settings = settings
        self._former_names = former_names
        self._faults = faults
        self.notices = []

    def environment(self, environment: Mapping[str, str]) -> Found:
        """Read the variables that are settings."""
        found = Found({}, {})
        for variable in sorted(name for name in environment if name.startswith(PREFIX)):
            if variable.startswith((INTERNAL_PREFIX, *LOGGING_OVERRIDE_PREFIXES)):
                continue
            name = self._former_names.get(variable, variable)
            if name not in self._settings:
                self._note_unknown(variable, "the environment")
            elif environment[variable] and (variable == name or not environment.get(name)):
                source = f"environment variable {variable}"
                try:
                    found.values[name] = self._settings[name].parse(environment[variable], source)
                except InvalidSettingError as error:
                    self.refuse(error)
                else:
                    found.sources[name] = source
        return found

    def profiles(self, given: Mapping[str, Any]) -> tuple[Profiles, str]:
        """Read the profiles file that the environment's values name.

        Args:
            given: The values of the environment.

        Returns:
            All profiles, and the name of the one in use. There may be none of this name.
        """
        name = given.get(_PROFILE)
        path = self._profiles_path(given)
        try:
            profiles = load_profiles(path)
        except InvalidSettingError as error:
            self.refuse(error)
            profiles = Profiles({}, name, path)
            profiles.profiles.setdefault(name or DEFAULT_PROFILE, Profile(name or DEFAULT_PROFILE))
        return profiles, name or profiles.active or DEFAULT_PROFILE

    def profile(self, profile: Profile) -> Found:
        """Read the values of a profile."""
        found = Found({}, {})
        source = profile.in_words()
        header = f"profiles.{profile.name}"
        for key, value in profile.settings.items():
            name = self._name_of(key)
            if name in ENVIRONMENT_ONLY:
                where = _with_line(source, profile.source, key, header)
                self.notices.append(
                    f"{name} in {where} has no effect: set it as environment variable."
                )
            elif name not in self._settings:
                self._note_unknown(key, _with_line(source, profile.source, key, header))
            else:
                self._parse(found, name, value, _Place(source, profile.source, key, header))
        return found

    def project(self) -> Found:
        """Read the project files that count in the working directory."""
        found = Found({}, {})
        for path, table in reversed(load_project(refuse=self.refuse)):
            header = "" if path.name == PROJECT_FILE else "tool.penstock"
            source = f"the project file {path}"
            for key, value in table.items():
                name = self._name_of(key)
                if name in ENVIRONMENT_ONLY:
                    msg = (
                        f"{key} stands in {_with_line(source, path, key, header)}, but no project"
                        " file can set it. Set it as environment variable, and remove it there."
                    )
                    self.refuse(InvalidSettingError(msg))
                elif name not in self._settings:
                    self._note_unknown(key, _with_line(source, path, key, header))
                else:
                    self._parse(found, name, value, _Place(source, path, key, header))
        return found

    def refuse(self, error: PenstockException) -> None:
        """Raise an error, or gather it."""
        if self._faults is None:
            raise error
        self._faults.append(error)

    def _profiles_path(self, given: Mapping[str, Any]) -> Path:
        """Work out the one default that is needed before all values are known."""
        values: dict[str, Any] = {}
        for name, setting in self._settings.items():
            values[name] = given[name] if name in given else setting.default_from(values)
            if name == _PROFILES_PATH:
                break
        return cast("Path", values[_PROFILES_PATH])

    def _parse(self, found: Found, name: str, value: object, place: _Place) -> None:
        setting = self._settings[name]
        folder = None if place.path is None else place.path.parent
        try:
            found.values[name] = setting.parse_in_file(value, place.source, folder)
        except InvalidSettingError:
            # Again, with the line in the message: finding it takes too long for good values.
            try:
                setting.parse(value, _with_line(*place))
            except InvalidSettingError as error:
                self.refuse(error)
        else:
            found.sources[name] = place.source

    def _name_of(self, key: str) -> str:
        name = full_name(key)
        return self._former_names.get(name, name)

    def _note_unknown(self, name: str, where: str) -> None:
        what = hint(full_name(name), self._settings)
        self.notices.append(
            f"{name} in {where} is not a setting of penstock and has no effect. {what}"
        )


class _Place(NamedTuple):
    source: str
    path: Path | None
    key: str
    header: str


def _with_line(source: str, path: Path | None, key: str, header: str) -> str:
    line = None if path is None else line_of(path, key, header)
    return source if line is None else f"{source}, line {line}"
