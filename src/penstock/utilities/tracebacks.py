"""Tracebacks as users need them: their own lines, without those of penstock that called them.

The formatters of logs and the command line use it, where something has failed already.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from penstock.exceptions import PenstockException

if TYPE_CHECKING:
    from collections.abc import Iterator
    from traceback import FrameSummary, TracebackException
    from types import TracebackType

_HOME = str(Path(__file__).parents[1]) + os.sep
_PLACE = r'(?m)^[\s|+]*File "(?P<file>.+)", line (?P<line>\d+)(?:, in .+)?$'


class _Folding:
    """Whether penstock's frames are left out: not with `--debug`."""

    is_off = False


def unfold(*, wanted: bool) -> None:
    """Say whether tracebacks are to be whole from now on, whoever formats them."""
    _Folding.is_off = wanted


class Place(NamedTuple):
    """A line of somebody's code."""

    file: str
    line: int | None
    text: str = ""


def folded_traceback(
    error: BaseException, trace: TracebackType | None = None, *, whole: bool = False
) -> str:
    """Format an exception with its causes, without the frames that are penstock's own.

    An exception in whose traceback nobody else's frames are keeps them all, as it would say
    nothing without. One that penstock raised by mistake keeps the innermost.

    Args:
        error: The exception.
        trace: Its traceback; None means `error.__traceback__`.
        whole: Whether to leave nothing out.

    Returns:
        The lines that `traceback.format_exception` would give, without the last line's end.

    Example:
        >>> folded_traceback(ValueError("no such luck"))
        'ValueError: no such luck'
    """
    # Imported where something has failed: a run that does not needs none of it.
    from traceback import TracebackException

    told = TracebackException(type(error), error, trace or error.__traceback__)
    if not whole and not _Folding.is_off:
        _fold(told, error)
    return "".join(told.format()).rstrip("\n")


def _fold(told: TracebackException, error: BaseException) -> None:
    """Take penstock's frames out of an exception and all that it was raised from."""
    from traceback import StackSummary

    pending: list[tuple[TracebackException, BaseException | None]] = [(told, error)]
    while pending:
        each, of = pending.pop()
        kept = [frame for frame in each.stack if not is_own_file(frame.filename)]
        if kept and len(kept) < len(each.stack):
            last: FrameSummary = each.stack[-1]
            if last is not kept[-1] and not isinstance(of, PenstockException):
                kept.append(last)
            each.stack = StackSummary.from_list(kept)
        if each.__cause__ is not None:
            pending.append((each.__cause__, None if of is None else of.__cause__))
        if each.__context__ is not None:
            pending.append((each.__context__, None if of is None else of.__context__))
        group: tuple[BaseException | None, ...] = getattr(of, "exceptions", None) or ()
        for number, part in enumerate(each.exceptions or ()):
            pending.append((part, group[number] if number < len(group) else None))


def without_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """Give a traceback without penstock's frames: for what is raised to users on purpose.

    Args:
        trace: The traceback of an exception that is raised again with what is given.
    """
    if _Folding.is_off:
        return trace
    of_users: list[TracebackType] = []
    while trace is not None:
        if not is_own_file(trace.tb_frame.f_code.co_filename):
            of_users.append(trace)
        trace = trace.tb_next
    kept: TracebackType | None = None
    for each in reversed(of_users):
        kept = type(each)(kept, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return kept


def is_own_file(file: str) -> bool:
    """Tell whether a file is one of penstock's."""
    return file.startswith(_HOME)


def is_users_file(file: str) -> bool:
    """Tell whether a file is the user's: neither penstock's nor a library's."""
    # Imported where something has failed, as above.
    import sysconfig

    if file.startswith("<") or is_own_file(file):
        return False
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [sysconfig.get_path(kind) for kind in kinds]
    return not any(file.startswith(folder) for folder in folders if folder)


def places_of_users(error: BaseException) -> Iterator[Place]:
    """Give the lines of the user's own code that led to an error, the innermost last."""
    from traceback import extract_tb

    for frame in extract_tb(error.__traceback__):
        if is_users_file(frame.filename):
            yield Place(frame.filename, frame.lineno, frame.line or "")


def last_place_in(text: str) -> Place | None:
    """Give the innermost line of the user's code that a traceback as text names.

    Args:
        text: What was logged of an error.
    """
    found: Place | None = None
    for match in re.finditer(_PLACE, text):
        if is_users_file(match["file"]):
            found = Place(match["file"], int(match["line"]))
    return found
