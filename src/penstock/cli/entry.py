"""Where the command line begins, and where every error ends: as a line that says what to do."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from penstock.cli.failing import (
    EXIT_ABORTED,
    EXIT_PIPE_CLOSED,
    EXIT_USAGE,
    EndedBySignal,
    OutputClosed,
    OutputRefused,
    complain,
    show_tracebacks,
    warn,
)
from penstock.cli.output import flush

if TYPE_CHECKING:
    from collections.abc import Sequence

DEBUG_OPTION = "--debug"
_USERS_CODE = "penstock.loading"
"""Imported by whatever imports flows."""
_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
"""The standard streams in the order of their numbers, and how they are opened."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters:
        arguments: what follows the program's name; those of the process by default.

    Returns:
        The exit code.

    Example:
        >>> main(["version", "--json"])  # doctest: +SKIP
        0
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    show_tracebacks(wanted=_take_debug(given))
    _open_what_is_closed()
    _let_any_text_through()
    try:
        return _run(given)
    except OutputClosed:
        _close_output()
        return EXIT_PIPE_CLOSED
    except OutputRefused as error:
        complain(error)
        _close_output()
        return EXIT_USAGE
    except EndedBySignal as ended:
        return _end_by(ended.signal)
    except KeyboardInterrupt:
        warn("Interrupted.")
        return EXIT_ABORTED
    except Exception as error:  # noqa: BLE001 - every error ends here, as lines on stderr
        complain(error)
        return EXIT_USAGE
    finally:
        show_tracebacks(wanted=False)
        if arguments is None and _USERS_CODE not in sys.modules:
            _end_soon()


def _end_soon() -> None:
    """Spare the interpreter a last search for garbage, which takes two of its starts.

    Never where a user's code may have run: what that holds may be waiting to be written.
    """
    import gc

    gc.freeze()


def _run(arguments: list[str]) -> int:
    # typer is imported here and not with the package: it alone takes as long as a flow does.
    from typer.main import get_command

    from penstock.cli.app import app
    from penstock.cli.building import named_by
    from penstock.cli.helping import help_width

    try:
        command = get_command(named_by(arguments, app))
        width = help_width()
        code = command.main(arguments, "penstock", standalone_mode=False, terminal_width=width)
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # while help was written
            raise OutputClosed from ended
        code = ended.code
    flush()
    return code if isinstance(code, int) else 0


def _take_debug(arguments: list[str]) -> bool:
    """Take `--debug` out of the arguments: it may stand after the command, too."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    places = [place for place in range(end) if arguments[place] == DEBUG_OPTION]
    for place in reversed(places):
        del arguments[place]
    return bool(places)


def _open_what_is_closed() -> None:
    """Give this process standard streams where whoever started it has closed them (`>&-`).

    A file that is opened later, such as the store, must not take the number of one of them: what
    is printed would go into it.
    """
    for name, mode in _STREAMS:
        if getattr(sys, name) is None:
            # The lowest number that is free, which is the stream's.
            nowhere = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(nowhere, mode, closefd=False))


def _let_any_text_through() -> None:
    """Names may have characters that a terminal's encoding lacks: they are shown escaped."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _close_output() -> None:
    """Keep the interpreter from writing what is left, and failing, when it exits."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _end_by(number: int) -> int:
    """End this process as the signal would have, so that whoever started it sees that."""
    import signal

    sys.stdout.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number
