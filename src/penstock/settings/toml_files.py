"""Reads TOML files; what is wrong with one is said with its name and line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.settings.parsing import InvalidSettingError

if TYPE_CHECKING:
    from pathlib import Path


def parse_toml(content: bytes, path: Path, what: str) -> dict[str, Any]:
    """Read the content of a file.

    Args:
        content: The bytes of it; a byte order mark is no part of the text.
        path: Its name, for the message.
        what: What it is for, e.g. `profiles file`.

    Raises:
        InvalidSettingError: It is not TOML.
    """
    import tomllib

    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        reason: object = error
        cause = error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"it is not UTF-8 (at line {line}): save it as UTF-8"
        cause = error
    msg = f"The {what} {path} is not valid TOML: {reason}. Correct it or move it away."
    raise InvalidSettingError(msg) from cause
