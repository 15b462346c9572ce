"""Changes of the profiles file that keep its comments, and whatever else is in it."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from penstock.settings.parsing import InvalidSettingError
from penstock.settings.profiles import load_profiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def change_profiles(path: Path, change: Callable[[Any, Any], object]) -> None:
    """Change the profiles file; it is made where there is none, for its owner's eyes only.

    Args:
        path: The file.
        change: Is given the document and its table of profiles, and changes them in place.

    Raises:
        InvalidSettingError: The file cannot be read or written, or is not laid out as profiles.
    """
    # Only commands that change settings need it, and it takes long to import.
    import tomlkit

    load_profiles(path)  # refuses what is not laid out as profiles
    try:
        document = tomlkit.parse(path.read_text("utf-8")) if path.exists() else tomlkit.document()
        if "profiles" not in document:
            document["profiles"] = tomlkit.table(is_super_table=True)
        change(document, document["profiles"])
        _replace(path.resolve(), tomlkit.dumps(document))
    except OSError as error:
        msg = (
            f"The profiles file {path} cannot be written: {error.strerror or error}. Make its"
            " folder writable, or point PENSTOCK_PROFILES_PATH at another file."
        )
        raise InvalidSettingError(msg) from error


def _replace(path: Path, text: str) -> None:
    """Write a file at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise
