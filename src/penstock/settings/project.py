"""Settings of a project: `penstock.toml`, and `[tool.penstock]` in `pyproject.toml`.

They are looked for from the working directory upward. The nearest folder that has either wins, and
what is further up does not count. Keys are names of settings, in full or without the prefix:
`task-default-retries`, `task_default_retries`, `PENSTOCK_TASK_DEFAULT_RETRIES`.
"""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from penstock.settings.parsing import InvalidSettingError
from penstock.settings.toml_files import parse_toml

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT_FILE = "penstock.toml"
PYPROJECT_FILE = "pyproject.toml"
_WHAT = "project file"
_MARK = b"tool.penstock"


class ProjectTable(NamedTuple):
    """What one file says of the project.

    Attributes:
        path: The file.
        values: Values as they stand there, by the key they stand under.
    """

    path: Path
    values: dict[str, Any]


def load_project(
    folder: str | None = None, refuse: Callable[[InvalidSettingError], None] | None = None
) -> tuple[ProjectTable, ...]:
    """Read the project files that count in a folder.

    Args:
        folder: Where to begin; None means the working directory.
        refuse: Is given what is wrong with a file, which then holds nothing; with none it is
            raised.

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
        found = _tables_of(current, refuse)
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


def _tables_of(
    folder: str, refuse: Callable[[InvalidSettingError], None] | None
) -> tuple[ProjectTable, ...]:
    tables: list[ProjectTable] = []
    for name, read in ((PROJECT_FILE, _own_table), (PYPROJECT_FILE, _tool_table)):
        file = os.path.join(folder, name)  # noqa: PTH118
        if not _is_file(file):
            continue
        path = Path(file)
        try:
            values = read(path)
        except InvalidSettingError as error:
            if refuse is None:
                raise
            refuse(error)
            values = {}
        if values is not None:
            tables.append(ProjectTable(path, values))
    return tuple(tables)


def _is_file(path: str) -> bool:
    try:
        return S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def _own_table(path: Path) -> dict[str, Any]:
    return parse_toml(_read(path), path, _WHAT)


def _tool_table(path: Path) -> dict[str, Any] | None:
    try:
        content = path.read_bytes()
    except OSError:  # it is for other tools, most likely, and none of penstock's business
        return None
    if _MARK not in content:
        return None
    tools: Any = parse_toml(content, path, _WHAT).get("tool", {})
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
