"""A setting, a snapshot of all settings, and the one that is in force here.

Values are looked for in this order: environment variable, a profile asked for by name, project
file, active profile, default. All are read once, at the first use of any setting.
"""

from __future__ import annotations

import os
import threading
import warnings
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from penstock.exceptions import MissingProfileError
from penstock.settings.foreign import PREFIX, hint
from penstock.settings.parsing import InvalidSettingError, Kind, UnknownSettingError
from penstock.settings.profiles import Profile, Profiles, load_profiles
from penstock.settings.reading import Found, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from penstock.exceptions import PenstockException

T = TypeVar("T")

SETTINGS: dict[str, Setting[Any]] = {}
"""Every setting by its full name, in the order in which they are defined."""

_FORMER_NAMES: dict[str, str] = {}


class Setting(Generic[T]):
    """One setting.

    Args:
        name: The full name, which is also the name of the environment variable.
        kind: What its value may be.
        default: The value where nobody gave one, or a callable that makes it from the values of
            the settings defined before, by full name.
        description: What it changes, with its unit.
        former_names: Other full names it can be given by.

    Example:
        >>> from penstock.settings import PENSTOCK_TASK_DEFAULT_RETRIES
        >>> PENSTOCK_TASK_DEFAULT_RETRIES.value()
        0
    """

    __slots__ = ("_default", "attribute", "description", "former_names", "kind", "name")

    def __init__(
        self,
        name: str,
        kind: Kind[T],
        *,
        default: T | Callable[[Mapping[str, Any]], T],
        description: str,
        former_names: tuple[str, ...] = (),
    ) -> None:
        """Define the setting and enter it into `SETTINGS`."""
        self.name = name
        self.kind = kind
        self._default = default
        self.description = description
        self.former_names = former_names
        self.attribute = name.removeprefix(PREFIX).lower()
        SETTINGS[name] = self
        for former_name in former_names:
            _FORMER_NAMES[former_name] = name

    @property
    def type(self) -> Any:
        """The type of the value."""
        return self.kind.python_type

    @property
    def default(self) -> T:
        """The value where nobody gives one; some depend on the home folder in force."""
        return self.default_from(get_current_settings().values_by_name)

    def default_from(self, values: Mapping[str, Any]) -> T:
        """Return the default that goes with the values of the settings defined before."""
        default = self._default
        if callable(default):
            return cast("Callable[[Mapping[str, Any]], T]", default)(values)
        return default

    def value(self) -> T:
        """Return the value in force here.

        Raises:
            InvalidSettingError: At first use: a value in the environment or profile is wrong.
        """
        settings = _in_force.get() or _process_settings or get_current_settings()
        return settings.values_by_name[self.name]

    def parse(self, value: object, source: str) -> T:
        """Make a value of the setting's type.

        Args:
            value: Text, a TOML value or a Python object.
            source: Where it was found, for the error message.

        Raises:
            InvalidSettingError: It is not such a value.
        """
        try:
            return self.kind.parse(value)
        except (ValueError, TypeError, OverflowError, RuntimeError):
            from penstock.settings.masking import masked

            msg = (
                f"Setting {self.name} from {source} is {masked(repr(value))}, but must be"
                f" {self.kind.expected}. Correct it there, or remove it to use the default."
            )
            raise InvalidSettingError(msg) from None

    def parse_in_file(self, value: object, source: str, folder: Path | None) -> T:
        """Make a value that stands in a file; what it names is relative to the file's folder.

        Args:
            value: A TOML value.
            source: Where it was found, for the error message.
            folder: The folder of the file; None where there is no file.

        Raises:
            InvalidSettingError: It is not such a value.
        """
        place = self.kind.relative_to
        try:
            located = value if place is None or folder is None else place(value, folder)
        except RuntimeError:  # the folder of a user whom nobody knows
            located = value
        return self.parse(located, source)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by name: there is one object for each setting."""
        return find_setting, (self.name,)

    def __repr__(self) -> str:
        """Show the name; the value may be secret."""
        return f"<Setting {self.name}>"


class Settings:
    """The values of all settings at one moment; never changed once made.

    Every value is also an attribute, by the setting's name in lower case without the prefix:
    `settings.task_default_retries`.

    Args:
        given: Parsed values that somebody gave, by full name; the rest are defaults.
        sources: For each of them where it came from, in words.
        profile: The profile they were read with.
    """

    given: Mapping[str, Any]
    sources: Mapping[str, str]
    values_by_name: Mapping[str, Any]
    profile: Profile

    def __init__(
        self, given: Mapping[str, Any], sources: Mapping[str, str], profile: Profile
    ) -> None:
        """Work out the values that were not given."""
        values: dict[str, Any] = {}
        fields: dict[str, Any] = {}
        for name, setting in SETTINGS.items():
            value = given[name] if name in given else setting.default_from(values)
            values[name] = fields[setting.attribute] = value
        fields["given"] = dict(given)
        fields["sources"] = dict(sources)
        fields["profile"] = profile
        fields["values_by_name"] = values
        self.__dict__.update(fields)

    def value_of(self, setting: Setting[T]) -> T:
        """Return the value of `setting`."""
        return self.values_by_name[setting.name]

    def source_of(self, setting: Setting[Any]) -> str:
        """Say where the value of `setting` came from, e.g. `environment` or `default`."""
        return self.sources.get(setting.name, "default")

    def copy_with_update(
        self,
        updates: Mapping[Setting[Any], Any] | None = None,
        set_defaults: Mapping[Setting[Any], Any] | None = None,
        restore_defaults: Iterable[Setting[Any]] | None = None,
        source: str = "code",
    ) -> Settings:
        """Make a changed copy; full names are taken in place of settings as well.

        Args:
            updates: Values to set.
            set_defaults: Values to set only where none is given yet.
            restore_defaults: Settings that get their default again.
            source: Where the values come from, for messages.

        Returns:
            The new snapshot. Defaults that depend on a changed value follow it.

        Raises:
            UnknownSettingError: A name that no setting has.
            InvalidSettingError: A value that its setting cannot take.
        """
        given, sources = dict(self.given), dict(self.sources)
        for setting in map(find_setting, restore_defaults or ()):
            given.pop(setting.name, None)
            sources.pop(setting.name, None)
        defaults = {find_setting(key): value for key, value in (set_defaults or {}).items()}
        changes = {key: value for key, value in defaults.items() if key.name not in given}
        changes.update({find_setting(key): value for key, value in (updates or {}).items()})
        for setting, value in changes.items():
            given[setting.name] = setting.parse(value, source)
            sources[setting.name] = source
        return Settings(given, sources, self.profile)

    def to_environment_variables(
        self, include: Iterable[Setting[Any]] | None = None, *, exclude_unset: bool = False
    ) -> dict[str, str]:
        """Write the values as environment variables, for a process that is to have the same.

        Args:
            include: Only these settings; None means all.
            exclude_unset: Leave out those that nobody gave.

        Returns:
            Text by full name. A value of None is left out.
        """
        chosen = SETTINGS.values() if include is None else include
        return {
            setting.name: _as_text(self.values_by_name[setting.name])
            for setting in chosen
            if self.values_by_name[setting.name] is not None
            and (setting.name in self.given or not exclude_unset)
        }

    def __getattr__(self, name: str) -> Any:
        """Refuse a name that no setting has (called only for those)."""
        if name.startswith("__"):
            raise AttributeError(name)
        attributes = [setting.attribute for setting in SETTINGS.values()]
        msg = f"There is no setting {name!r}. {hint(name, attributes)}"
        raise UnknownSettingError(msg)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse: a snapshot is frozen."""
        msg = f"Settings are frozen ({name!r}). Use temporary_settings() or copy_with_update()."
        raise AttributeError(msg)

    def __eq__(self, other: object) -> bool:
        """Say whether all values are equal."""
        if not isinstance(other, Settings):
            return NotImplemented
        return self.values_by_name == other.values_by_name

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Show which settings were given; values may be secret."""
        return f"Settings(profile={self.profile.name!r}, given={sorted(self.given)})"


_in_force: ContextVar[Settings | None] = ContextVar("penstock_settings", default=None)
_process_settings: Settings | None = None
_load_lock = threading.Lock()


def get_current_settings() -> Settings:
    """Return the snapshot in force: that of the innermost context, else that of the process.

    Raises:
        InvalidSettingError: At first use: a value in the environment or profile is wrong.
        MissingProfileError: At first use: PENSTOCK_PROFILE names a profile that does not exist.
    """
    global _process_settings
    settings = _in_force.get() or _process_settings
    if settings is not None:
        return settings
    with _load_lock:
        if _process_settings is not None:
            return _process_settings
        _process_settings, notices = load_settings(os.environ)
        settings = _process_settings
    # Only now, as what shows a warning may itself ask for a setting.
    warn_of(notices)
    return settings


def set_settings_in_force(settings: Settings) -> Token[Settings | None]:
    """Put a snapshot in force in this context; SettingsContext is the public way."""
    return _in_force.set(settings)


def reset_settings_in_force(token: Token[Settings | None]) -> None:
    """Undo `set_settings_in_force`."""
    _in_force.reset(token)


def reload_settings() -> Settings:
    """Read the environment and the profiles file again, and return the process's new snapshot.

    Snapshots of contexts that are open now stay as they are.
    """
    global _process_settings
    with _load_lock:
        _process_settings, notices = load_settings(os.environ)
        settings = _process_settings
    warn_of(notices)
    return settings


def load_settings(
    environment: Mapping[str, str],
    profile: Profile | None = None,
    *,
    prefer_profile: bool = False,
) -> tuple[Settings, list[str]]:
    """Read all settings.

    Args:
        environment: Environment variables.
        profile: The profile to read, which counts more than project files; None means the one
            that PENSTOCK_PROFILE names, else the active one of the profiles file.
        prefer_profile: Let the profile's values count more than the environment's.

    Returns:
        The snapshot, and what the user is to be warned of: names that no setting has.

    Raises:
        InvalidSettingError: A value is wrong, or the profiles file cannot be read.
        MissingProfileError: The named profile does not exist.
    """
    return _load(Reader(SETTINGS, _FORMER_NAMES), environment, profile, prefer_profile)


def find_faults(environment: Mapping[str, str]) -> tuple[Settings | None, list[str]]:
    """Read all settings, and find everything that is wrong with them.

    Args:
        environment: Environment variables.

    Returns:
        The snapshot, of the values that are right (None where there can be none), and a sentence
        or two for each fault.
    """
    faults: list[PenstockException] = []
    settings, notices = None, []
    try:
        settings, notices = _load(Reader(SETTINGS, _FORMER_NAMES, faults), environment)
    except InvalidSettingError as error:  # a default that cannot be worked out: nothing can be
        faults.append(error)
    return settings, [*map(str, faults), *notices]


def _load(
    reader: Reader,
    environment: Mapping[str, str],
    profile: Profile | None = None,
    prefer_profile: bool = False,  # noqa: FBT001, FBT002
) -> tuple[Settings, list[str]]:
    in_environment = reader.environment(environment)
    is_asked_for = profile is not None or bool(in_environment.values.get("PENSTOCK_PROFILE"))
    if profile is None:
        profiles, name = reader.profiles(in_environment.values)
        try:
            profile = profiles.find(name)
        except MissingProfileError as error:
            reader.refuse(error)
            profile = Profile(name)
    in_profile = reader.profile(profile)
    in_project = reader.project()
    # What counts least comes first.
    order = [in_project, in_profile] if is_asked_for else [in_profile, in_project]
    order.insert(1 if prefer_profile else 2, in_environment)
    merged = Found({}, {})
    for found in order:
        merged.values.update(found.values)
        merged.sources.update(found.sources)
    if merged.values.get("PENSTOCK_API_URL"):
        reader.notices.append(
            f"PENSTOCK_API_URL from {merged.sources['PENSTOCK_API_URL']} names a server, and"
            " penstock talks to none: runs are recorded in PENSTOCK_STORE_URL. Remove it; where"
            " several computers are to share their records, name a PostgreSQL database there."
        )
    return Settings(*merged, profile), reader.notices


def find_profiles(environment: Mapping[str, str]) -> tuple[Profiles, str]:
    """Read the profiles file, whatever the values in it and in project files are.

    Args:
        environment: Environment variables.

    Returns:
        All profiles, and the name of the one in use. There may be none of this name.

    Raises:
        InvalidSettingError: A variable is wrong, or the file cannot be read.
    """
    reader = Reader(SETTINGS, _FORMER_NAMES)
    return reader.profiles(reader.environment(environment).values)


def warn_of(notices: Iterable[str]) -> None:
    """Give a warning for each notice of `load_settings`."""
    for notice in notices:
        warnings.warn(notice, stacklevel=3)


def find_setting(name: str | Setting[Any]) -> Setting[Any]:
    """Return the setting of this full name (a former name, or a setting itself, will do).

    Raises:
        UnknownSettingError: There is none; the message has the closest name.
    """
    if isinstance(name, Setting):
        return name
    setting = SETTINGS.get(_FORMER_NAMES.get(name, name))
    if setting is None:
        msg = f"There is no setting {name!r}. {hint(name, SETTINGS)}"
        raise UnknownSettingError(msg)
    return setting


def load_all_profiles(settings: Settings | None = None) -> Profiles:
    """Read the profiles file of `settings`, or of those in force."""
    values = (settings or get_current_settings()).values_by_name
    return load_profiles(values["PENSTOCK_PROFILES_PATH"])


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(map(str, cast("tuple[str, ...]", value)))
    return str(value)
