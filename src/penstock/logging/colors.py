"""Colours of log lines on a terminal: levels, names of runs, names of states, links."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

_COLORS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_CODES = {
    "bold": "1",
    "dim": "2",
    "italic": "3",
    "underline": "4",
    **{name: str(30 + number) for number, name in enumerate(_COLORS)},
    **{f"bright_{name}": str(90 + number) for number, name in enumerate(_COLORS)},
}
_USUAL = {
    "log.web_url": "bright_blue",
    "log.debug_level": "blue",
    "log.info_level": "cyan",
    "log.warning_level": "yellow",
    "log.error_level": "red",
    "log.critical_level": "bright_red",
    "log.completed_state": "green",
    "log.cancelled_state": "yellow",
    "log.failed_state": "red",
    "log.crashed_state": "bright_red",
    "log.cached_state": "bright_blue",
    "log.flow_run_name": "magenta",
    "log.flow_name": "bright_magenta",
    "log.task_run_name": "blue",
}
_WORDS = (
    r"(?P<web_url>https?://[^\s'\"]+)|\b(?:(?P<completed_state>Completed)|(?P<failed_state>Failed)"
    r"|(?P<cancelled_state>Cancell?ed|Cancelling)|(?P<crashed_state>Crashed)"
    r"|(?P<cached_state>Cached))\b"
)
_RESET = "\x1b[0m"


def palette(styles: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the escape sequence of each style; what names no colour leaves it uncoloured."""
    found: dict[str, str] = {}
    for name, words in {**_USUAL, **(styles or {})}.items():
        codes = ";".join(_CODES[word] for word in words.split() if word in _CODES)
        if codes:
            found[name] = f"\x1b[{codes}m"
    return found


def takes_color(stream: Any) -> bool:
    """Tell whether colours can be seen on `stream`, and are wanted (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    if sys.platform == "win32" and "WT_SESSION" not in os.environ:
        return False  # older consoles show the escape sequences themselves
    isatty = getattr(stream, "isatty", None)
    try:
        return bool(isatty is not None and isatty())
    except ValueError:  # it is closed
        return False


def paint(
    text: str, record: logging.LogRecord, styles: Mapping[str, str], *, color: bool, markup: bool
) -> str:
    """Colour the words of a formatted record that have a style.

    Args:
        text: The record as it was formatted.
        record: The record.
        styles: What `palette` gave.
        color: Whether to colour; without it only the markup is taken out.
        markup: Whether the message has markup such as `[red]text[/red]`.
    """
    if markup:
        text = _rendered(text, color=color)
    if not color:
        return text
    text = re.sub(_WORDS, lambda found: _painted(found[0], f"log.{found.lastgroup}", styles), text)
    for name in ("task_run_name", "flow_run_name", "flow_name"):
        value = getattr(record, name, None)
        if value and repr(value) in text:
            quoted = repr(value)
            text = text.replace(quoted, _painted(quoted, f"log.{name}", styles), 1)
    level = record.levelname
    return text.replace(level, _painted(level, f"log.{level.lower()}_level", styles), 1)


def _painted(text: str, style: str, styles: Mapping[str, str]) -> str:
    start = styles.get(style)
    return text if start is None else f"{start}{text}{_RESET}"


def _rendered(text: str, *, color: bool) -> str:
    """Turn markup into colours, or take it out. What is no valid markup stays as it is."""
    # Rich is heavy, and only who switches markup on needs it.
    from rich.console import Console
    from rich.errors import MarkupError
    from rich.text import Text

    try:
        rich_text = Text.from_markup(text, emoji=False)
    except MarkupError:
        return text
    if not color:
        return rich_text.plain
    console = Console(force_terminal=True, color_system="standard", soft_wrap=True)
    with console.capture() as capture:
        console.print(rich_text, end="", highlight=False)
    return capture.get()
