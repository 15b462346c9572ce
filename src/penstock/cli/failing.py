"""How commands end: exit codes, and errors in a line or two that say what to do."""

from __future__ import annotations

import errno
import re
import sys
from contextlib import suppress
from typing import Any

from penstock.exceptions import PenstockException, PenstockSignal, ScriptError
from penstock.utilities.tracebacks import Place, folded_traceback, places_of_users, unfold

EXIT_COMPLETED = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CRASHED = 3
EXIT_CANCELLED = 4
EXIT_PAUSED = 5
EXIT_ABORTED = 130
EXIT_PIPE_CLOSED = 141


_SYSTEM_HINTS = {
    errno.EACCES: " Change who may use it, or name another one.",
    errno.EPERM: " Change who may use it, or name another one.",
    errno.EROFS: " Name another place.",
    errno.EISDIR: " Name a file.",
    errno.ENOTDIR: " Name another place.",
    errno.ENOENT: " Check the name.",
    errno.ENOSPC: " Make room, or name another place.",
}
_TYPES = {
    "int range": "a whole number",
    "int": "a whole number",
    "float range": "a number",
    "float": "a number",
}
"""What typer calls the types of options, longest first, and what they are in words."""
_TOO_SMALL = re.compile(r"is not in the range x>=(\d+(?:\.\d+)?)")


class CommandError(Exception):
    """A command cannot do what was asked; the message says why and what to do."""


class OutputClosed(Exception):
    """Whoever read the output has stopped reading."""


class OutputRefused(Exception):
    """What is to be printed cannot be written, for another reason than that nobody reads it."""


class EndedBySignal(Exception):
    """The command was interrupted, and has said so; `signal` is the signal's number."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


class _Showing:
    """Whether tracebacks are wanted: `--debug`."""

    tracebacks = False


def show_tracebacks(*, wanted: bool) -> None:
    """Say whether `complain` is to show tracebacks from now on, and all tracebacks be whole."""
    _Showing.tracebacks = wanted
    unfold(wanted=wanted)


def complain(error: BaseException) -> None:
    """Say on stderr what went wrong and what to do."""
    if _Showing.tracebacks:
        warn(folded_traceback(error, whole=True))
    warn(explain(error))


def warn(text: str) -> None:
    """Write a line to stderr; where nobody reads it, the exit code has to say it."""
    if text:
        with suppress(OSError):
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


def explain(error: BaseException) -> str:  # noqa: PLR0911 - one for each kind
    """Say in a line or two what went wrong and what to do."""
    if isinstance(error, ScriptError):
        return _explain_script(error)
    if isinstance(error, OutputRefused):
        return f"Error: What is printed cannot be written: {error.__cause__}."
    if isinstance(error, (CommandError, PenstockException, PenstockSignal)):
        return f"Error: {error}"
    if callable(getattr(error, "format_message", None)):
        return _explain_typed(error)
    if type(error).__name__ == "Abort" and type(error).__module__.startswith(("typer", "click")):
        return "Nothing was changed."
    if isinstance(error, OSError):
        return _explain_system(error)
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return (
            f"Error: {error.object!r} is no text: it has bytes that UTF-8 does not know. Give it"
            " in UTF-8, or the id in place of a name."
        )
    return (
        f"Error: {type(error).__name__}: {error}\n"
        "This is unexpected: repeat the command with --debug, and report what it shows."
    )


def _explain_system(error: OSError) -> str:
    """Explain what the operating system refused."""
    if error.strerror is None:
        return f"Error: {error}"
    names = [repr(str(name)) for name in (error.filename, error.filename2) if name is not None]
    where = f" {' and '.join(names)}" if names else ""
    hint = _SYSTEM_HINTS.get(error.errno or 0, "")
    return f"Error: {error.strerror}{':' if names else ''}{where}.{hint}"


def _explain_typed(error: Any) -> str:
    """Explain what typer has to say of the arguments."""
    what = str(error.format_message())
    for typed, plain in _TYPES.items():
        what = what.replace(f" is not a valid {typed}", f" is not {plain}")
    what = _TOO_SMALL.sub(r"is too small: give \1 or more", what)
    what = _TOO_SMALL.sub(r"is too small: give \1 or more", what)
    if type(error).__name__ == "NoArgsIsHelpError":
        return what
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", None) or "penstock"
    end = "" if what.endswith((".", "?")) else "."
    return f"Error: {what}{end} See `{command} --help`."


def _explain_script(error: ScriptError) -> str:
    cause = error.user_exc
    reason = f"{type(cause).__name__}: {error.said}".splitlines()[0]
    hint = ""
    if isinstance(cause, SyntaxError):
        place = Place(cause.filename or error.path, cause.lineno, (cause.text or "").strip())
        reason = f"{type(cause).__name__}: {cause.msg}"
    else:
        places = list(places_of_users(cause))
        place = places[-1] if places else Place(error.path, None)
    if isinstance(cause, SystemExit):
        reason = f"SystemExit: {cause.code}"
        hint = ' Put what is not to run under `if __name__ == "__main__":`.'
    elif isinstance(cause, ImportError) and "relative import" in str(cause):
        hint = " Its folder is no package: add an __init__.py, or import by absolute names."
    file, line, text = place
    where = file if line is None else f"{file}, line {line}: {text}"
    return f"Error: The flow's file could not be imported. {where}\n{reason}.{hint}"
