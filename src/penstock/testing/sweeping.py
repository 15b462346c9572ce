"""Every crash there is: a flow is stopped at each effect in turn, gone on with, and looked at."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from penstock.exceptions import Abort, RunOwnedElsewhere
from penstock.flows import Flow
from penstock.settings import PENSTOCK_LEASE_TTL_S
from penstock.store import Store
from penstock.testing.checking import ONE_OWNER, SAME_ANSWER, Violation
from penstock.testing.graphs import swept
from penstock.testing.reporting import Sweep
from penstock.testing.scheduling import Stuck
from penstock.testing.simulation import Life, Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


PROCESSES_LIMIT = 5
"""So many processes may follow a death; the last of them must finish the run."""

RESTS_LIMIT = 20
"""So often a run may leave its process to be resumed, as one that is suspended does."""

HANGS = "A run comes to its end"


def crash_sweep(  # noqa: PLR0913 - all but two are options of the sweep
    flow: Any,
    parameters: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    deaths: int = 1,
    one_host: bool = True,
    before_each: Callable[[], object] | None = None,
    only: int | None = None,
    limit: int | None = None,
    every_task: bool = False,
    run_input: Mapping[str, Any] | None = None,
) -> Sweep:
    """Let a process die at every effect of a flow in turn, resume it, and check what is promised.

    The flow is run once undisturbed. Then, for each point before and after an effect, it is run
    on a fresh store until it dies there, and resumed in new processes until it has finished. Where
    it is paused or suspended, somebody resumes it at once.

    Parameters:
        flow: the flow, of a decorated function or a graph; what its functions give should depend
            on nothing but their arguments.
        parameters: what it is called with, by name.
        seed: what decides the order of things.
        deaths: how many processes die, one after the other; after the first, at points that the
            seed decides.
        one_host: the next process sees at once that the former is dead; else it has to wait
            until the lease is over.
        before_each: called before each run, to clear what the flow's functions count.
        only: the one point to look at again.
        limit: the most points to die at; where there are more, the seed chooses.
        every_task: object to a task, too, that is executed again because its result was not
            recorded.
        run_input: what each pause is given that waits for input, by field.

    Returns:
        What was found; `check()` raises if a promise was not kept.

    Example:
        >>> crash_sweep(my_flow, {"n": 3}, seed=7).check()  # doctest: +SKIP
    """
    trial = _Trial(flow, parameters, seed, before_each, one_host=one_host)
    trial.limit, trial.every_task = limit, every_task
    trial.resumes, trial.run_input = True, run_input
    return trial.sweep(lambda simulation, point: trial.die_at(simulation, point, deaths), only)


def stall_sweep(
    flow: Any,
    parameters: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    before_each: Callable[[], object] | None = None,
    only: int | None = None,
) -> Sweep:
    """Let a process stand still at every effect in turn, until another one has finished its run.

    When the lease is over, a process on another host takes the run over and goes on with it; then
    the first one comes back, and must not write anything more. Parameters and answer are those of
    `crash_sweep`.
    """
    trial = _Trial(flow, parameters, seed, before_each, one_host=False)
    return trial.sweep(trial.stall_at, only)


def fault_sweep(
    flow: Any,
    parameters: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    before_each: Callable[[], object] | None = None,
    only: int | None = None,
) -> Sweep:
    """Let the store fail at every commit in turn, once, and go on with the run that broke by it.

    Parameters and answer are those of `crash_sweep`.
    """
    trial = _Trial(flow, parameters, seed, before_each, one_host=True)
    return trial.sweep(trial.fail_at, only)


class _Trial:
    """Runs of one flow from one seed, each on a store of its own."""

    def __init__(
        self,
        flow: Any,
        parameters: Mapping[str, Any] | None,
        seed: int,
        before_each: Callable[[], object] | None,
        *,
        one_host: bool,
    ) -> None:
        self._flow = swept(flow)
        self._parameters = parameters
        self._seed = seed
        self._before_each = before_each
        self._one_host = one_host
        self._answer = ""
        self._failed = False
        self._points: list[str] = []
        self.limit: int | None = None
        self.every_task = False
        self.resumes = False
        self.run_input: Mapping[str, Any] | None = None

    def _chosen(self, only: int | None) -> Sequence[int]:
        """Give the points to stop at, in order."""
        if only is not None:
            return (only,)
        every = range(len(self._points))
        if self.limit is None or len(every) <= self.limit:
            return every
        return sorted(Random(f"{self._seed}/points").sample(every, self.limit))

    def sweep(self, stop: Callable[[Simulation, int], Life | None], only: int | None) -> Sweep:
        """Run the flow undisturbed, and then once for each point, with `stop` there."""
        sweep = Sweep(self._flow.name, self._seed)
        with tempfile.TemporaryDirectory(prefix="penstock-sweep-") as folder:
            empty = Path(folder, "empty.db")
            Store(f"sqlite:///{empty}").close()
            violations = self._judged(empty, self._undisturbed)
            if violations:
                sweep.failures.append((None, violations))
            sweep.points, sweep.answer, sweep.failed = self._points, self._answer, self._failed
            if only is not None and not 0 <= only < len(self._points):
                message = (
                    f"There is no point {only}: the run has points 0 to {len(self._points) - 1}."
                )
                raise ValueError(message)
            for point in self._chosen(only):
                violations = self._judged(empty, lambda each, at=point: stop(each, at))
                sweep.stops += 1
                if violations:
                    sweep.failures.append((point, violations))
        return sweep

    def _judged(self, empty: Path, work: Callable[[Simulation], Life | None]) -> list[Violation]:
        """Do something on a machine with an empty store, and see what it has come to."""
        path = empty.with_name("trial.db")
        for old in path.parent.glob("trial.db*"):
            old.unlink()
        shutil.copy(empty, path)
        if self._before_each is not None:
            self._before_each()
        simulation = Simulation(self._seed, path, one_host=self._one_host)
        simulation.recorder.needs_results = not self.every_task
        if self.resumes:
            simulation.resume_paused(self.run_input)
        try:
            life = work(simulation)
            if life is not None:
                answer = simulation.without_names(life.answer())
                if answer != self._answer:
                    what = f"{answer} instead of {self._answer}"
                    simulation.recorder.note(SAME_ANSWER, what, about="answer")
                if life.error is None and isinstance(self._flow, Flow):
                    simulation.recorder.check_reached()
            simulation.recorder.finish()
        except Stuck as stuck:
            simulation.recorder.note(HANGS, str(stuck))
        finally:
            simulation.close()
        return simulation.violations

    def _undisturbed(self, simulation: Simulation) -> Life:
        life = simulation.run(self._flow, self._parameters)
        if life.error is not None and not life.points:
            raise life.error  # it was not even begun: there is nothing to stop
        points = life.points
        for _ in range(RESTS_LIMIT):
            if not self._rests(simulation):
                break
            life = simulation.resume(self._flow)
            points = [*points, *life.points]
        self._answer, self._points = simulation.without_names(life.answer()), points
        self._failed = simulation.has_failed()
        return life

    def _rests(self, simulation: Simulation) -> bool:
        return self.resumes and simulation.rests()

    def die_at(self, simulation: Simulation, point: int, deaths: int) -> Life:
        """Let the process die at a point, and others after it, until one comes to the end."""
        random = Random(f"{self._seed}/{point}")
        died, lives, die_at = 0, 0, point
        life = simulation.run(self._flow, self._parameters, die_at=die_at)
        while lives < PROCESSES_LIMIT + RESTS_LIMIT:
            lives += 1
            next_point = None
            if life.died:
                died += 1
                next_point = random.randrange(len(self._points)) if died < deaths else None
            elif not self._rests(simulation):
                break
            elif not died:
                # It left in good order before that point: the next process comes to it.
                die_at -= len(life.points)
                next_point = die_at
            if died == PROCESSES_LIMIT:
                break
            if simulation.flow_run_id is None:
                # It died before there was a run to go on with.
                life = simulation.run(self._flow, self._parameters, die_at=next_point)
            else:
                life = self._go_on(simulation, next_point)
        if not died:
            simulation.recorder.note(SAME_ANSWER, f"the run was over before point {point}")
        return life

    def _go_on(self, simulation: Simulation, die_at: int | None = None) -> Life:
        life = simulation.resume(self._flow, die_at=die_at)
        if isinstance(life.error, RunOwnedElsewhere):
            if self._one_host:
                simulation.recorder.note(ONE_OWNER, "a dead owner was taken for a living one")
            simulation.clock.sleep(PENSTOCK_LEASE_TTL_S.value())
            life = simulation.resume(self._flow, die_at=die_at)
        return life

    def stall_at(self, simulation: Simulation, point: int) -> Life:
        """Let the process stand still at a point while another one goes on with its run."""
        others: list[Life] = []
        recorder = simulation.recorder

        def go_on_elsewhere() -> None:
            if simulation.flow_run_id is None:
                return
            simulation.clock.elapsed_s += PENSTOCK_LEASE_TTL_S.value()
            recorder.late.add(0)
            others.append(self._go_on(simulation))

        life = simulation.run(
            self._flow, self._parameters, stall_at=point, meanwhile=go_on_elsewhere
        )
        if not others:
            return life
        if not isinstance(life.error, Abort) and life.answer() != self._answer:
            recorder.note(ONE_OWNER, f"the former owner was told {life.answer()}")
        return others[0]

    def fail_at(self, simulation: Simulation, point: int) -> Life | None:
        """Let the store fail at a point, and go on if the flow did not come to its end for it.

        A flow that has come to its end may have made something else of a run that crashed.
        """
        life = simulation.run(self._flow, self._parameters, fail_at=point)
        if life.error is None:
            return None
        if simulation.flow_run_id is None:
            return simulation.run(self._flow, self._parameters)
        return self._go_on(simulation)
