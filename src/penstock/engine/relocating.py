"""Code that has moved since its flow run was begun: its tasks go by the keys they had then.

A task's key holds the path of its file (section 2.3), so that two tasks of one name are told
apart. A release in another folder moves every file; a run that is resumed from there would not
find any of its task runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.utilities.sources import key_at, key_of, source_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.records import FlowRun


class Relocation:
    """From where to where the code of a flow has moved.

    Parameters:
        former: the flow's file when the run was begun.
        present: its file now.
        recorded: the keys of the task runs that are recorded.

    Example:
        >>> moved = Relocation(Path("/v1/etl/flow.py"), Path("/v2/etl/flow.py"), [])
        >>> moved.former_path(Path("/v2/lib/load.py"))
        PosixPath('/v1/lib/load.py')
    """

    def __init__(self, former: Path, present: Path, recorded: Iterable[str]) -> None:
        self.former = former
        self.present = present
        self._recorded = frozenset(recorded)
        self._keys: dict[str, str] = {}
        before, now = list(former.parent.parts), list(present.parent.parts)
        while before and now and before[-1] == now[-1]:
            before.pop()
            now.pop()
        self._former_root, self._present_root = Path(*before), Path(*now)

    def key_of(self, decorated: Any) -> str:
        """Give the key under which a task, or a subflow, is recorded."""
        present: str = decorated.task_key
        key = self._keys.get(present)
        if key is None:
            key = self._keys[present] = self._former_key(decorated)
        return key

    def _former_key(self, decorated: Any) -> str:
        path = _path_in_key(decorated)
        if path is None or decorated.task_key in self._recorded:
            return decorated.task_key  # it has not moved
        former = self.former_path(path)
        if former is None:
            return decorated.task_key
        return key_at(decorated.fn, decorated.name, str(former))

    def former_path(self, path: Path) -> Path | None:
        """Tell where a file was before; none if it is outside of what has moved."""
        if path == self.present:
            return self.former
        if not path.is_relative_to(self._present_root):
            return None
        return self._former_root / path.relative_to(self._present_root)


def relocation_of(flow: Any, run: FlowRun, recorded: Iterable[str]) -> Relocation | None:
    """Tell whether a flow is in another file than the run was begun from.

    Parameters:
        flow: the flow, as it is executed now.
        run: the run's record.
        recorded: the keys of its task runs that are recorded.
    """
    former = Path((run.entrypoint or "").rpartition(":")[0])
    present = _path_in_key(flow)
    if present is None or former.suffix != ".py" or not former.is_absolute():
        return None
    former = former.resolve()
    return None if former == present else Relocation(former, present, recorded)


def _path_in_key(decorated: Any) -> Path | None:
    """Give the file that a key was made of; none of a graph's, which is known by its name."""
    path = source_file(decorated.fn)
    if path is None or key_of(decorated.fn, decorated.name) != decorated.task_key:
        return None
    return Path(path)
