"""What a crash sweep tells: which promise was not kept, where, and what a user can do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.testing.checking import (
    EXECUTED_AGAIN,
    NOT_REACHED,
    OTHER_INPUTS,
    SAME_ANSWER,
    WITHOUT_RESULT,
)

if TYPE_CHECKING:
    from penstock.testing.checking import Violation

KINDS_SHOWN = 10
"""So many kinds of violation are told in words."""

POINTS_SHOWN = 3
"""At so many points each is said to have been seen."""

_TAKE_IN_A_TASK = (
    "When the flow's code runs again, what it takes from outside is taken again: time, random"
    " numbers, files, variables of a module. Take that in a task, whose result is recorded; or"
    " have the caller give it as a parameter."
)
_CHANGE_NOTHING = (
    "A task that changes what it is given does not do so where its result is taken from the"
    " record: have it return a changed copy, and use that."
)

_BEGINS_AGAIN = (
    "A task that had begun, and was not recorded, runs again: what it gives should depend on its"
    " inputs alone, also where it has done its work before."
)

_CLEAR_BEFORE = (
    "It gave something else even when it was stopped before its first step: what it gives depends"
    " on time or chance, or on what the runs of the sweep before it have left, in files or"
    " variables of a module. Clear these with crash_sweep.with_options(before_each=function): it"
    " is called before each run."
)

ADVICE = {
    SAME_ANSWER: (_BEGINS_AGAIN, _TAKE_IN_A_TASK, _CHANGE_NOTHING),
    OTHER_INPUTS: (_TAKE_IN_A_TASK, _CHANGE_NOTHING),
    NOT_REACHED: (_TAKE_IN_A_TASK,),
    WITHOUT_RESULT: ("If the task may run twice, sweep with every_task=False.",),
    EXECUTED_AGAIN: ("This should not be, whatever the flow does: please report it.",),
}


class Sweep:
    """What a crash sweep has found.

    `points` are the places where the process was stopped, in words; `failures` says for each point
    where a promise was not kept what was seen there. `failed` says that the flow run had failed
    when nothing disturbed it, and `answer` what it gave or raised then.
    """

    def __init__(self, flow_name: str, seed: int) -> None:
        self.flow_name = flow_name
        self.seed = seed
        self.points: list[str] = []
        self.stops = 0
        self.answer = ""
        self.failed = False
        self.failures: list[tuple[int | None, list[Violation]]] = []

    def check(self) -> None:
        """Raise, and say how to see it again, if a promise was not kept."""
        if self.failures:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        """Give what was found, with the seed and the points that show it again."""
        head = (
            f"Flow {self.flow_name!r} was stopped at {self.stops} of {len(self.points)} points"
            f" (seed {self.seed}), at {len(self.failures)} with a promise not kept."
        )
        lines = [head]
        found = self._by_kind()
        for (promise, _about), (what, points) in list(found.items())[:KINDS_SHOWN]:
            lines.append(f"\n  {promise}: {what}")
            lines += [f"    {self._where(point)}" for point in points[:POINTS_SHOWN]]
            if len(points) > POINTS_SHOWN:
                lines.append(f"    ... and at {len(points) - POINTS_SHOWN} other points")
        if len(found) > KINDS_SHOWN:
            lines.append(f"\n  ... and {len(found) - KINDS_SHOWN} others.")
        promises = dict.fromkeys(promise for promise, _about in found)
        advice = dict.fromkeys(each for promise in promises for each in ADVICE.get(promise, ()))
        if any(
            promise == SAME_ANSWER and seen[0][0] == 0 for (promise, _), (_, seen) in found.items()
        ):
            advice = {_CLEAR_BEFORE: None, **advice}
        if advice:
            lines += ["\nWhat to do:", *(f"  - {each}" for each in advice)]
        return "\n".join(lines)

    def _by_kind(self) -> dict[tuple[str, str], tuple[str, list[tuple[int | None, int]]]]:
        """Give each kind of violation as first seen, with the points and processes."""
        found: dict[tuple[str, str], tuple[str, list[tuple[int | None, int]]]] = {}
        for point, violations in self.failures:
            for each in violations:
                key = (each.promise, each.about or each.what)
                _what, seen = found.setdefault(key, (each.what, []))
                if all(point != other for other, _process in seen):
                    seen.append((point, each.process))
        return found

    def _where(self, seen: tuple[int | None, int]) -> str:
        point, process = seen
        if point is None:
            return "when nothing disturbed it"
        return f"seen in process {process}, stopped at point {point} ({self.points[point]})"
