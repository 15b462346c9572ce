"""What `penstock run` shows while the flow runs: its logs, its prints, or as little as can be."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.cli.failing import CommandError
from penstock.cli.live import live_display
from penstock.logging.configuration import setup_logging
from penstock.logging.handlers import ConsoleHandler

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence


@dataclass(slots=True)
class RunOptions:
    """How a flow is to be run, and what is to be shown of it."""

    tags: Sequence[str] = field(default_factory=list[str])
    name: str | None = None
    runner: str | None = None
    watch: bool = False
    quiet: bool = False
    as_json: bool = False

    def refuse_contradictions(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            CommandError: two options contradict each other, or one is empty.
        """
        if self.watch and self.quiet:
            message = "--watch shows the logs and --quiet keeps them back. Give one of them."
            raise CommandError(message)
        if self.name is not None and not self.name.strip():
            message = "--name is empty. Give a name, or leave the option out for one made up."
            raise CommandError(message)
        if not all(tag.strip() for tag in self.tags):
            message = "A --tag is empty. Give it a text, as in --tag nightly."
            raise CommandError(message)


@contextmanager
def shown_as(options: RunOptions) -> Generator[None]:
    """Show a run in the block as the options say.

    Parameters:
        options: `as_json` keeps stdout for what the command prints at the end; `quiet` keeps back
            the logs that are no errors, which are recorded all the same.
    """
    is_live = not (options.as_json or options.quiet or options.watch)
    with _logs_kept_back(wanted=options.quiet), live_display(wanted=is_live):
        if options.as_json:
            with redirect_stdout(sys.stderr):
                yield
        else:
            yield


@contextmanager
def _logs_kept_back(*, wanted: bool) -> Generator[None]:
    if not wanted:
        yield
        return
    setup_logging()
    handlers = [
        handler
        for name in ("penstock", "penstock.extra")
        for handler in logging.getLogger(name).handlers
        if isinstance(handler, ConsoleHandler)
    ]
    former = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(max(handler.level, logging.ERROR))
    try:
        yield
    finally:
        for handler, level in zip(handlers, former, strict=True):
            handler.setLevel(level)
