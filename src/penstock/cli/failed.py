"""What failed in a flow run, and where in the user's code: for the summary of `penstock run`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from penstock.cli.visible import visible_line
from penstock.store import encoding, failures
from penstock.utilities.tracebacks import Place, last_place_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from penstock.records import TaskRun
    from penstock.store import Store

READ_LIMIT = 50
"""The most task runs of which it is looked up what failed."""
NAMED_LIMIT = 3
"""The most task runs that are named of those to which the same happened."""
_ERRORS_LIMIT = 5
"""The most log records of a run that are searched for the place of its error."""
_COMMONPLACE = re.compile(
    r"^((Task|Flow) run encountered an exception[.:]?|Error during execution of task:) "
)

_ALL_WELL = "All states completed."


class Failure(NamedTuple):
    """A task run that went wrong."""

    id: str
    name: str
    state_name: str
    message: str
    place: Place | None
    subflow_run: str = ""
    """The name of the subflow run that it stands for, if it does."""

    @property
    def title(self) -> str:
        """Its name, and that of the subflow run."""
        more = f" (subflow run {self.subflow_run!r})" if self.subflow_run else ""
        return f"{self.name}{more}"

    @property
    def what(self) -> str:
        """What happened to it, in one line."""
        return told(self.message)


@dataclass(slots=True)
class Group:
    """Task runs to which the same happened at the same place."""

    state_name: str
    what: str
    place: Place | None
    names: list[str] = field(default_factory=list[str])

    def title(self) -> str:
        """Name the task runs, or the first of them."""
        named = ", ".join(visible_line(name) for name in self.names[:NAMED_LIMIT])
        more = len(self.names) - NAMED_LIMIT
        return f"{named} and {more} more" if more > 0 else named


def told(message: str) -> str:
    """Give a state's message in one line, without what goes without saying."""
    line = _COMMONPLACE.sub("", visible_line(message))
    return "" if line == _ALL_WELL else line


def read_failures(store: Store, run_id: UUID, limit: int) -> list[Failure]:
    """Give the first task runs of a flow run that failed or crashed, in the order of their making.

    Parameters:
        store: where they are recorded.
        run_id: the flow run.
        limit: how many, at most.
    """
    rows = store.read(failures.READ_FAILED_TASK_RUNS, (run_id.bytes, limit))
    return [_failure(store, run_id, each) for each in map(encoding.task_run_from_row, rows)]


def _failure(store: Store, run_id: UUID, run: TaskRun) -> Failure:
    values = (run_id.bytes, run.id.bytes, _ERRORS_LIMIT)
    place = _place_in(store.read(failures.READ_ERRORS_OF_TASK_RUN, values))
    subflow_run = ""
    if place is None:
        for each in store.read_subflow_runs(run.id)[:1]:
            place, subflow_run = place_of_flow(store, each.id), each.name
    message = "" if run.state is None else run.state.message or ""
    return Failure(str(run.id), run.name, run.state_name or "", message, place, subflow_run)


def place_of_flow(store: Store, run_id: UUID) -> Place | None:
    """Give the line of the user's code where a flow run's own code failed, if it is known."""
    return _place_in(store.read(failures.READ_ERRORS_OF_FLOW, (run_id.bytes, _ERRORS_LIMIT)))


def _place_in(rows: Sequence[tuple[str]]) -> Place | None:
    for (text,) in rows:
        place = last_place_in(text)
        if place is not None:
            return place
    return None


def grouped(failed: Sequence[Failure]) -> list[Group]:
    """Fold failures into groups of the same kind, in the order of their first ones."""
    groups: dict[tuple[str, str, Place | None], Group] = {}
    for each in failed:
        key = each.state_name, each.what, each.place
        groups.setdefault(key, Group(*key)).names.append(each.title)
    return list(groups.values())


def shown_place(place: Place) -> str:
    """Say where a line of code is, and what it is."""
    # Only where something failed.
    import linecache

    file = Path(place.file)
    if file.is_relative_to(Path.cwd()):
        file = file.relative_to(Path.cwd())
    text = linecache.getline(place.file, place.line or 0).strip()
    return visible_line(f"{file}, line {place.line}" + (f": {text}" if text else ""))
