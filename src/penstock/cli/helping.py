"""How `--help` is laid out: as wide as the terminal, and nothing of it cut off."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer import Context

WIDEST = 98
"""Lines longer than that are hard to read."""

_NARROWEST = 20
_LONGEST_NAME = 30
_WHOLE_SENTENCE = 1_000


def help_width() -> int:
    """Give how many columns help may take here."""
    return max(min(shutil.get_terminal_size().columns - 2, WIDEST), _NARROWEST)


class CommandGroup(TyperGroup):
    """A group of commands whose help has the whole first sentence of each."""

    def format_commands(self, ctx: Context, formatter: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - typer's own formatter has no public name
        """Write the names of the commands, and what each does."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [
            (name, command.get_short_help_str(_WHOLE_SENTENCE))
            for name, command in found.items()
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows, col_max=min(_LONGEST_NAME, formatter.width // 3))
