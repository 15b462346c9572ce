"""Changes of the profiles file that keep its comments, and whatever else is in it."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from penstock.settings.parsing import InvalidSettingError
from penstock.settings.profiles import Profiles, load_profiles

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path


def change_profiles(path: Path, change: Callable[[Profiles, Any, Any], object]) -> None:
    """Change the profiles file; it is made where there is none, for its owner's eyes only.

    Processes that change it at once do so one after the other.

    Args:
        path: The file; where it is a link, what it leads to is changed.
        change: Is given the profiles as they are, the document and its table of profiles, and
            changes the latter two in place. What it raises leaves the file as it is.

    Raises:
        InvalidSettingError: The file cannot be read or written, or is not laid out as profiles.
    """
    # Only commands that change settings need it, and it takes long to import.
    import tomlkit

    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(target.parent):
            profiles = load_profiles(path)  # refuses what is not laid out as profiles
            text = target.read_bytes().decode("utf-8-sig") if target.exists() else ""
            document = tomlkit.parse(text)
            if "profiles" not in document:
                document["profiles"] = tomlkit.table(is_super_table=True)
            change(profiles, document, document["profiles"])
            _replace(target, tomlkit.dumps(document))
    except OSError as error:
        msg = (
            f"The profiles file {path} cannot be written: {error.strerror or error}. Make its"
            " folder one that can be written, or point PENSTOCK_HOME or PENSTOCK_PROFILES_PATH"
            " elsewhere."
        )
        raise InvalidSettingError(msg) from error


@contextmanager
def _alone_in(folder: Path) -> Generator[None]:
    """Keep other processes from changing a file of the folder in the same way meanwhile."""
    try:
        import fcntl
    except ImportError:  # Windows has no such locks, and whoever writes last is right there
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    """Write a file at once or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise
