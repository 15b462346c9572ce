"""Texts that mean a moment: of a run's context, and of parameters."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress

_COARSE = ("%Y-%m", "%Y-%j", "%Y")
"""What ISO 8601 has, and `datetime.fromisoformat` does not read: a month, a day, a year."""


def moment_of(given: object) -> dt.datetime:
    """Give the moment that a datetime or a text means, in UTC where it does not say otherwise.

    Parameters:
        given: a datetime, or a text of ISO 8601, in which slashes may be between year, month and
            day.

    Raises:
        TypeError: it is neither.
        ValueError: the text means no moment.

    Example:
        >>> moment_of("2013/02/08").isoformat()
        '2013-02-08T00:00:00+00:00'
    """
    if isinstance(given, str):
        moment = _parsed(given.replace("/", "-", 2))
    elif isinstance(given, dt.datetime):
        moment = given
    else:
        raise TypeError(f"{given!r} is neither a datetime nor a text of one.")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)


def _parsed(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        for form in _COARSE:
            with suppress(ValueError):
                return dt.datetime.strptime(text, form).replace(tzinfo=dt.UTC)
        raise
