"""Run the steps that check_snippets.py found in one file: `run_snippets.py FILE STEPS_JSON`.

A process of its own, started in the folder where the snippets may write. The snippets share one
`__main__`, as if typed one after the other, and their lines count as in the file they stand in, so
that a traceback points there.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import subprocess
import sys
import traceback
import types
from pathlib import Path
from typing import Any


class StepFailedError(Exception):
    """A step did not succeed; `line` is the one to look at."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def run_python(path: str, line: int, text: str, names: dict[str, Any]) -> None:
    """Execute a snippet in `names`; `await` may stand outside of functions."""
    try:
        code = compile(
            "\n" * (line - 1) + text,
            path,
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(eval(code, names))  # noqa: S307 - running it is what the check is for
        else:
            exec(code, names)  # noqa: S102 - the same
    except SyntaxError as error:
        raise StepFailedError(error.lineno or line, f"SyntaxError: {error.msg}") from error
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        here = [frame.lineno or line for frame in frames if frame.filename == path]
        message = "".join(traceback.format_exception(error)).strip()
        raise StepFailedError(here[-1] if here else line, message) from error


def run_console(line: int, text: str) -> None:
    """Run each command of a session; a command may go on after a backslash."""
    lines = text.replace("\\\n", "\\\0").splitlines()
    number = line
    for each in lines:
        if each.startswith("$ "):
            command = each.removeprefix("$ ").replace("\\\0", "\\\n")
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                said = f"{done.stdout}{done.stderr}".strip()
                message = f"exit code {done.returncode} from: {command}\n{said}"
                raise StepFailedError(number, message)
        number += 1 + each.count("\0")


def main(path: str, steps: str) -> int:
    """Run the steps in order; print the first that fails, with its place."""
    snippets = types.ModuleType("__main__")
    sys.modules["__main__"] = snippets
    sys.argv = [path]
    sys.path.insert(0, str(Path.cwd()))
    for step in json.loads(Path(steps).read_text()):
        try:
            match step["kind"]:
                case "python":
                    run_python(path, step["line"], step["text"], vars(snippets))
                case "console":
                    run_console(step["line"], step["text"])
                case _:
                    Path(step["name"]).write_text(step["text"])
        except StepFailedError as failed:
            print(f"{path}:{failed.line}: {failed}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
