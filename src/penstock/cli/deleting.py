"""`penstock flow-run delete`: flow runs with all that is recorded of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from penstock.cli.controlling import title_of
from penstock.cli.failing import CommandError
from penstock.cli.finding import find_flow_run
from penstock.cli.output import flush, write
from penstock.cli.ownership import ownership_of
from penstock.cli.stores import existing_store
from penstock.client.deleting import delete_flow_run

if TYPE_CHECKING:
    from collections.abc import Sequence

_LISTED_LIMIT = 10


def delete_flow_runs(references: Sequence[str], *, is_confirmed: bool) -> None:
    """Delete flow runs, after asking. Which they are is found out of all of them first.

    Parameters:
        references: which; see `find_flow_run`.
        is_confirmed: do not ask.

    Raises:
        CommandError: it cannot be told which are meant, one is being executed, or nobody is there
            to be asked.
    """
    store = existing_store()
    ids = list(dict.fromkeys(find_flow_run(store, each) for each in references))
    runs = [store.read_flow_run(each) for each in ids]
    for run in runs:
        ownership = ownership_of(store, run)
        if ownership.is_alive:
            message = (
                f"{title_of(run)} is being executed by {ownership.title}: nothing was deleted."
                f" Cancel it first: penstock flow-run cancel {run.id}"
            )
            raise CommandError(message)
    if not is_confirmed:
        _ask(f"{len(runs)} flow run{'' if len(runs) == 1 else 's'}", [title_of(r) for r in runs])
    for run in runs:
        delete_flow_run(store, run.id)
        write(f"Deleted: {title_of(run)}\n")


def _ask(what: str, titles: list[str]) -> None:
    if not sys.stdin.isatty():
        message = f"{what} would be deleted, and there is no terminal to ask on: give --yes."
        raise CommandError(message)
    import typer

    for title in titles[:_LISTED_LIMIT]:
        write(f"  {title}\n")
    if len(titles) > _LISTED_LIMIT:
        write(f"  ... and {len(titles) - _LISTED_LIMIT} more\n")
    flush()
    typer.confirm(f"Delete {what}, with task runs and logs?", abort=True)
