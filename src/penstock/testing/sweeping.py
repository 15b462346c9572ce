"""Every crash there is: a flow is stopped at each effect in turn, resumed, and looked at."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from penstock.store import Store
from penstock.testing.checking import SAME_ANSWER, Violation
from penstock.testing.scheduling import Stuck
from penstock.testing.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROCESSES_LIMIT = 5
"""So many processes may follow a death; the last of them must finish the run."""

FAILURES_SHOWN = 5
"""So many points, and so many violations at each, are told in words."""

HANGS = "A run comes to its end"


class Sweep:
    """What a crash sweep has found.

    `points` are the places where the process was made to die, in words; `failures` says for each
    point where a promise was not kept what was seen there.
    """

    def __init__(self, flow_name: str, seed: int) -> None:
        self.flow_name = flow_name
        self.seed = seed
        self.points: list[str] = []
        self.deaths = 0
        self.failures: list[tuple[int | None, list[Violation]]] = []

    def check(self) -> None:
        """Raise, and say how to see it again, if a promise was not kept."""
        if self.failures:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        """Give what was found, each with the seed and the point that show it again."""
        head = (
            f"Flow {self.flow_name!r}, seed {self.seed}: {self.deaths} deaths,"
            f" {len(self.failures)} with a promise not kept."
        )
        lines = [head]
        for point, violations in self.failures[:FAILURES_SHOWN]:
            where = "undisturbed" if point is None else f"die_at={point} ({self.points[point]})"
            lines += [f"  {where}: {violation}" for violation in violations[:FAILURES_SHOWN]]
        return "\n".join(lines)


def crash_sweep(
    flow: Any,
    parameters: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    deaths: int = 1,
    settings: Mapping[str, Any] | None = None,
    before_each: Callable[[], object] | None = None,
    only: int | None = None,
) -> Sweep:
    """Let a process die at every effect of a flow in turn, resume it, and check what is promised.

    The flow is run once undisturbed. Then, for each point before and after an effect, it is run
    on a fresh store until it dies there, and resumed in new processes until it has finished.

    Parameters:
        flow: the flow; its functions should depend on nothing but their arguments.
        parameters: what it is called with, by name.
        seed: what decides the order of things; the first process of each run goes by it alone.
        deaths: how many processes die, one after the other; after the first, at points that the
            seed decides.
        settings: penstock's settings, by name.
        before_each: called before each run, to clear what the flow's functions count.
        only: the one point to look at again.

    Returns:
        What was found; `check()` raises if a promise was not kept.

    Example:
        >>> crash_sweep(my_flow, {"n": 3}, seed=7).check()  # doctest: +SKIP
    """
    sweep = Sweep(flow.name, seed)
    with tempfile.TemporaryDirectory(prefix="penstock-sweep-") as folder:
        empty = Path(folder, "empty.db")
        Store(f"sqlite:///{empty}").close()
        trial = _Trial(flow, parameters, seed, settings, empty, before_each)
        sweep.points, violations = trial.undisturbed()
        if violations:
            sweep.failures.append((None, violations))
        for point in range(len(sweep.points)) if only is None else (only,):
            violations = trial.die_at(point, deaths)
            sweep.deaths += 1
            if violations:
                sweep.failures.append((point, violations))
    return sweep


class _Trial:
    """Runs of one flow from one seed, each on a store of its own."""

    def __init__(
        self,
        flow: Any,
        parameters: Mapping[str, Any] | None,
        seed: int,
        settings: Mapping[str, Any] | None,
        empty: Path,
        before_each: Callable[[], object] | None,
    ) -> None:
        self._flow = flow
        self._parameters = parameters
        self._seed = seed
        self._settings = settings
        self._empty = empty
        self._before_each = before_each
        self._answer = ""
        self._points = 0

    def _simulation(self) -> Simulation:
        path = self._empty.with_name("trial.db")
        for old in path.parent.glob("trial.db*"):
            old.unlink()
        shutil.copy(self._empty, path)
        if self._before_each is not None:
            self._before_each()
        return Simulation(self._seed, path, self._settings)

    def undisturbed(self) -> tuple[list[str], list[Violation]]:
        simulation = self._simulation()
        try:
            life = simulation.run(self._flow, self._parameters)
            simulation.recorder.finish()
        finally:
            simulation.close()
        self._answer, self._points = life.answer(), len(life.points)
        return life.points, simulation.violations

    def die_at(self, point: int, deaths: int) -> list[Violation]:
        simulation = self._simulation()
        try:
            self._die_and_go_on(simulation, point, deaths)
        except Stuck as stuck:
            simulation.recorder.note(HANGS, str(stuck))
        finally:
            simulation.close()
        return simulation.violations

    def _die_and_go_on(self, simulation: Simulation, point: int, deaths: int) -> None:
        flow, recorder = self._flow, simulation.recorder
        random = Random(f"{self._seed}/{point}")
        life = simulation.run(flow, self._parameters, die_at=point)
        if not life.died:
            recorder.note(SAME_ANSWER, f"the run came to its end before point {point}")
        for number in range(1, PROCESSES_LIMIT):
            if not life.died:
                break
            next_point = random.randrange(self._points) if number < deaths else None
            if simulation.flow_run_id is None:
                # It died before there was a run to go on with.
                life = simulation.run(flow, self._parameters, die_at=next_point)
            else:
                life = simulation.resume(flow, die_at=next_point)
        if life.answer() != self._answer:
            recorder.note(SAME_ANSWER, f"{life.answer()} instead of {self._answer}")
        recorder.finish()
