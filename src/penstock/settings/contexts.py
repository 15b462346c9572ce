"""Other settings for a while: contexts that put another snapshot in force; the home folder."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Self

from penstock.settings.model import (
    Setting,
    Settings,
    get_current_settings,
    load_all_profiles,
    load_settings,
    reset_settings_in_force,
    set_settings_in_force,
    warn_of,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from pathlib import Path

    from penstock.settings.profiles import Profile

_Tokens = tuple[Token["SettingsContext | None"], Token[Settings | None]]


class SettingsContext:
    """Puts a snapshot of settings in force while it is entered.

    Entering creates the home folder; where that fails there is a warning. A context is entered
    once at a time; a copy of it can be entered meanwhile.

    Args:
        profile: The profile that the settings were read with.
        settings: The snapshot.
    """

    __slots__ = ("_tokens", "profile", "settings")

    def __init__(self, profile: Profile, settings: Settings) -> None:
        """Hold the two, without effect until entered."""
        self.profile = profile
        self.settings = settings
        self._tokens: _Tokens | None = None

    @classmethod
    def get(cls) -> SettingsContext:
        """Return the innermost context, or one of the process's settings; never None."""
        return get_settings_context()

    def copy(self) -> SettingsContext:
        """Return a context of the same profile and settings that is not entered."""
        return SettingsContext(self.profile, self.settings)

    def __enter__(self) -> Self:
        """Put the settings in force."""
        if self._tokens is not None:
            msg = "This SettingsContext is entered already. Enter a copy of it: `context.copy()`."
            raise RuntimeError(msg)
        ensure_home(self.settings)
        self._tokens = (_entered.set(self), set_settings_in_force(self.settings))
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Put the former settings back in force."""
        if self._tokens is None:
            msg = "This SettingsContext was left without having been entered."
            raise RuntimeError(msg)
        entered, in_force = self._tokens
        self._tokens = None
        reset_settings_in_force(in_force)
        _entered.reset(entered)

    def __repr__(self) -> str:
        """Show the profile and which settings were given."""
        return f"SettingsContext(profile={self.profile!r}, settings={self.settings!r})"


_entered: ContextVar[SettingsContext | None] = ContextVar(
    "penstock_settings_context", default=None
)


def get_settings_context() -> SettingsContext:
    """Return the innermost entered context; outside of all, one of the process's settings."""
    context = _entered.get()
    if context is not None:
        return context
    settings = get_current_settings()
    return SettingsContext(settings.profile, settings)


@contextmanager
def temporary_settings(
    updates: Mapping[Setting[Any], Any] | None = None,
    set_defaults: Mapping[Setting[Any], Any] | None = None,
    restore_defaults: Iterable[Setting[Any]] | None = None,
) -> Generator[Settings]:
    """Change settings inside a `with` block, for tests mostly.

    Args:
        updates: Values to set.
        set_defaults: Values to set only where none is given yet.
        restore_defaults: Settings that get their default again.

    Yields:
        The snapshot in force inside the block. It holds in this context (`contextvars`) and in
        copies of it; a thread started by hand has the settings of the process.

    Raises:
        UnknownSettingError: A name that no setting has.
        InvalidSettingError: A value that its setting cannot take.

    Example:
        >>> from penstock.settings import PENSTOCK_TASK_DEFAULT_RETRIES, temporary_settings
        >>> with temporary_settings({PENSTOCK_TASK_DEFAULT_RETRIES: 3}):
        ...     PENSTOCK_TASK_DEFAULT_RETRIES.value()
        3
    """
    settings = get_current_settings().copy_with_update(
        updates, set_defaults, restore_defaults, source="temporary_settings()"
    )
    with SettingsContext(settings.profile, settings):
        yield settings


@contextmanager
def use_profile(
    profile: Profile | str,
    override_environment_variables: bool = False,  # noqa: FBT001, FBT002 - as programs give it
    include_current_context: bool = True,  # noqa: FBT001, FBT002
) -> Generator[SettingsContext]:
    """Use another profile inside a `with` block.

    Args:
        profile: A profile, or the name of one in the profiles file.
        override_environment_variables: Let the profile's values count more than environment
            variables.
        include_current_context: Keep the values in force now for settings that the profile does
            not have; else start from the environment and the defaults.

    Yields:
        The context, entered.

    Raises:
        MissingProfileError: There is no profile of this name.
        InvalidSettingError: A value in it is wrong.
    """
    current = get_current_settings()
    if isinstance(profile, str):
        profile = load_all_profiles(current).find(profile)
    settings, notices = load_settings(
        os.environ, profile, prefer_profile=override_environment_variables
    )
    warn_of(notices)
    if include_current_context:
        settings = Settings(
            {**current.given, **settings.given}, {**current.sources, **settings.sources}, profile
        )
    with SettingsContext(profile, settings) as context:
        yield context


def ensure_home(settings: Settings | None = None) -> Path:
    """Create the home folder (PENSTOCK_HOME) where it does not exist; warn where that fails.

    Args:
        settings: Whose home; None means that of the settings in force.

    Returns:
        The folder, whether it exists now or not.
    """
    home: Path = (settings or get_current_settings()).home
    if not os.path.isdir(home):  # noqa: PTH112 - asked often, and a third of the time of Path.is_dir
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = (
                f"The home folder {home} (PENSTOCK_HOME) cannot be created:"
                f" {error.strerror or error}. Runs cannot be recorded there; set PENSTOCK_HOME to"
                " a folder that can be written."
            )
            warnings.warn(msg, stacklevel=3)
    return home
