"""Text that others wrote, as it may be shown: names and logs cannot steer a terminal."""

from __future__ import annotations

import re

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""Give a text with its control characters escaped; line ends and tabs stay.

    Example:
        >>> visible("a\x1b[2Jb")
        'a\\x1b[2Jb'
    """
    return _UNSEEN.sub(_escaped, text)


def visible_line(text: str) -> str:
    r"""Give a text in one line, with its control characters escaped.

    Example:
        >>> visible_line("two\nlines")
        'two lines'
    """
    return visible(" ".join(text.split()))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
