"""Settings of a project: `penstock.toml`, and `[tool.penstock]` in `pyproject.toml`.

They are looked for from the working directory upward. The nearest folder that has either wins, and
what is further up does not count. Keys are names of settings, in full or without the prefix:
`task-default-retries`, `task_default_retries`, `PENSTOCK_TASK_DEFAULT_RETRIES`.
"""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple, cast

from penstock.settings.parsing import InvalidSettingError

PROJECT_FILE = "penstock.toml"
PYPROJECT_FILE = "pyproject.toml"
_MARK = b"tool.penstock"


class ProjectTable(NamedTuple):
    """What one file says of the project.

    Attributes:
        path: The file.
        values: Values as they stand there, by the key they stand under.
    """

    path: Path
    values: dict[str, Any]


def load_project(folder: str | None = None) -> tuple[ProjectTable, ...]:
    """Read the project files that count in a folder.

    Args:
        folder: Where to begin; None means the working directory.

    Returns:
        None, one or two tables; the first one counts most.

    Raises:
        InvalidSettingError: A file cannot be read, or is not TOML.
    """
    try:
        current = os.path.abspath(folder) if folder else os.getcwd()  # noqa: PTH100, PTH109 - see below
    except OSError:  # the working directory was deleted
        return ()
    # Plain text: this is done at each start, and paths as objects take three times as long.
    while True:
        found = _tables_of(current)
        if found:
            return found
        above = os.path.dirname(current)  # noqa: PTH120
        if above == current:
            return ()
        current = above


def full_name(key: str) -> str:
    """Give the full name of a setting that is written in a file or on a command line.

    Example:
        >>> full_name("task-default-retries")
        'PENSTOCK_TASK_DEFAULT_RETRIES'
    """
    name = key.upper().replace("-", "_")
    return name if name.startswith("PENSTOCK_") else f"PENSTOCK_{name}"


def line_of(path: Path, key: str, header: str = "") -> int | None:
    """Say on which line of a file a key stands.

    Args:
        path: A TOML file.
        key: The key, as it is written there.
        header: The table it stands in, e.g. `tool.penstock`; none means the top of the file.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    table = ""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("["):
            table = text.partition("#")[0].strip("[] ").replace('"', "").replace("'", "")
        elif table == header and text.partition("=")[0].strip().strip("\"'") == key:
            return number
    return None


def _tables_of(folder: str) -> tuple[ProjectTable, ...]:
    tables: list[ProjectTable] = []
    own = os.path.join(folder, PROJECT_FILE)  # noqa: PTH118
    if _is_file(own):
        path = Path(own)
        tables.append(ProjectTable(path, _parse(_read(path), path)))
    shared = os.path.join(folder, PYPROJECT_FILE)  # noqa: PTH118
    if _is_file(shared):
        path = Path(shared)
        values = _tool_table(path)
        if values is not None:
            tables.append(ProjectTable(path, values))
    return tuple(tables)


def _is_file(path: str) -> bool:
    try:
        return S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def _tool_table(path: Path) -> dict[str, Any] | None:
    try:
        content = path.read_bytes()
    except OSError:  # it is for other tools, most likely, and none of penstock's business
        return None
    if _MARK not in content:
        return None
    tools: Any = _parse(content, path).get("tool", {})
    table: Any = cast("dict[str, Any]", tools).get("penstock") if isinstance(tools, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        msg = f"`penstock` in {path} must be a table of settings: [tool.penstock]."
        raise InvalidSettingError(msg)
    return cast("dict[str, Any]", table)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = (
            f"The project file {path} cannot be read: {error.strerror or error}. Make it readable,"
            " or move it away."
        )
        raise InvalidSettingError(msg) from error


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"The project file {path} is not valid TOML: {error}. Correct it or move it away."
        raise InvalidSettingError(msg) from error
