"""What of the commands has to be built for a command line: typer builds each from its function.

To build all of them takes as long as two interpreters to start, and one is called.
"""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typer import Typer
    from typer.models import CommandInfo, TyperInfo


def named_by(arguments: Sequence[str], app: Typer) -> Typer:
    """Give the commands without those beside the one that a command line begins with.

    Parameters:
        arguments: what follows the program's name.
        app: all commands; they are left as they are.

    Returns:
        As much of them as can be told: all, where the first word is an option or no command.

    Example:
        >>> from penstock.cli.app import app
        >>> [group.name for group in named_by(["flow-run", "ls"], app).registered_groups]
        ['flow-run']
    """
    words = _completed_words(os.environ) if "_PENSTOCK_COMPLETE" in os.environ else arguments
    return _narrowed(app, words)


def _completed_words(environment: Mapping[str, str]) -> list[str]:
    """Give what is written before the word at which Tab was pressed."""
    if "COMP_CWORD" in environment:  # bash
        words = environment.get("COMP_WORDS", "").split()
        return words[1 : int(environment["COMP_CWORD"])]
    line = environment.get("_TYPER_COMPLETE_ARGS", "")
    words = line.split()
    return words[1:] if line.endswith(" ") else words[1:-1]


def _narrowed(app: Typer, words: Sequence[str]) -> Typer:
    if not words:
        return app
    for group in app.registered_groups:
        if group.name == words[0] and group.typer_instance is not None:
            only = copy.copy(group)
            only.typer_instance = _narrowed(group.typer_instance, words[1:])
            return _with(app, [only], [])
    for command in app.registered_commands:
        if _name_of(command) == words[0]:
            return _with(app, [], [command])
    return app


def _name_of(command: CommandInfo) -> str | None:
    from typer.main import get_command_name  # typer: see entry

    if command.name or command.callback is None:
        return command.name
    return get_command_name(command.callback.__name__)


def _with(app: Typer, groups: list[TyperInfo], commands: list[CommandInfo]) -> Typer:
    made = copy.copy(app)
    made.registered_groups = groups
    made.registered_commands = commands
    return made
