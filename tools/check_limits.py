"""Check that what is in src/ stays small enough to read: files and functions within limits.

Run by `make check` and by tests/test_project.py. A docstring does not count towards its
function's length: documenting an option must not be what makes a function too long.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES = 500
FUNCTION_LINES = 60


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines, from its `def` to its end, without its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def problems(path: Path) -> Iterator[str]:
    """Give a line for each thing in the file that is past its limit."""
    text = path.read_text()
    name = path.relative_to(ROOT)
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield f"{name}:1: {lines} lines, the limit is {FILE_LINES}: it wants to be two files"
    try:
        tree = ast.parse(text, str(path))
    except SyntaxError as error:
        yield f"{name}:{error.lineno}: {error.msg}, says Python {sys.version.split()[0]}"
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if (lines := length(node)) > FUNCTION_LINES:
            yield (
                f"{name}:{node.lineno}: {node.name} has {lines} lines without its docstring, "
                f"the limit is {FUNCTION_LINES}: give its parts names"
            )


def main() -> int:
    """Print each problem; fail when there is one."""
    files = sorted((ROOT / "src").rglob("*.py"))
    found = [problem for path in files for problem in problems(path)]
    print("\n".join(found) if found else f"limits: {len(files)} files are within them")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
