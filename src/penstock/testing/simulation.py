"""Simulated processes that run flows: each from its seed, in virtual time, and mortal.

A process of a simulation is this very process, with another world around it (`penstock.world`) and
nothing in memory of the one before it. It may die before or after any effect of its runs: nothing
more is committed then, and its leases are those of a dead owner. The next process opens the same
store, as a new one would in real life.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import warnings
from contextvars import Context
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from penstock import clock, ids, world
from penstock.client import get_client
from penstock.engine import heartbeat as heartbeat_room
from penstock.engine import watching as watching_room
from penstock.engine.drivers.simulated import Ended, observed
from penstock.engine.effects import Commit, Invoke
from penstock.engine.flow_transitions import FlowCall
from penstock.exceptions import NotPausedError, StoreLocked
from penstock.logging import buffer as buffer_room
from penstock.settings import PENSTOCK_STORE_URL, Setting, get_current_settings
from penstock.settings.model import set_settings_in_force
from penstock.states import State
from penstock.store import Store, reset_store
from penstock.store import store as store_room
from penstock.task_runners import loops as loops_room
from penstock.task_runners import timers as timers_room
from penstock.testing.checking import Recorder, Violation
from penstock.testing.scheduling import Clock, Scheduler
from penstock.testing.substitutes import EventLoop, Pool, Timers
from penstock.testing.wording import inputs_in_words

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path
    from uuid import UUID

    from penstock.engine.effects import Effect

_MEMORY: tuple[tuple[Any, str], ...] = (
    (store_room, "_stores"),
    (heartbeat_room, "_heartbeat"),
    (watching_room, "_watch"),
    (loops_room, "_loop_threads"),
    (timers_room, "_timers"),
    (buffer_room, "_buffer"),
)
"""What the rooms keep for one process: where, and under which name."""

SWITCHING = (0.05, 0.3, 0.7, 1.0)
"""How often threads take turns; one of these is taken for each process, by the seed."""


class Life:
    """What became of one simulated process.

    `value` is what the flow returned and `error` what it raised, if the process has not `died`;
    `points` are the places where it could have died, in words, as far as it came.
    """

    def __init__(self) -> None:
        self.died = False
        self.value: Any = None
        self.error: BaseException | None = None
        self.points: list[str] = []

    def answer(self) -> str:
        """Give what the flow returned or raised, to be compared with another life's.

        The states of its tasks are what a flow gives that returns nothing; they are not kept.
        """
        value = self.value
        if isinstance(value, list) and value:
            parts = cast("list[Any]", value)
            value = None if all(isinstance(part, State) for part in parts) else parts
        return repr(_plain(value) if self.error is None else self.error)


class Simulation:
    """A machine on which processes run flows, one process after the other, on one store.

    Everything that happens follows from the seed: which thread goes on when, how long things
    take, what is random. What a process did against its promises is in `violations`.

    Parameters:
        seed: what decides.
        store: the database file.
        settings: penstock's settings for the processes, besides the store.
        one_host: a process sees at once that another one is dead; on hosts of their own only the
            end of its lease tells.

    Example:
        >>> simulation = Simulation(7, tmp_path / "simulated.db")  # doctest: +SKIP
        >>> simulation.run(my_flow, {"n": 3}, die_at=12).died  # doctest: +SKIP
        True
        >>> simulation.resume(my_flow).value  # doctest: +SKIP
        6
    """

    def __init__(
        self,
        seed: int,
        store: Path,
        settings: Mapping[Setting[Any], Any] | None = None,
        *,
        one_host: bool = True,
    ) -> None:
        self.seed = seed
        self.path = store
        self.clock = Clock()
        self._one_host = one_host
        url = f"sqlite:///{store}"
        self._settings = {**(settings or {}), PENSTOCK_STORE_URL: url}
        self._processes: list[Process] = []
        self.resumes = False
        self.run_input: Mapping[str, Any] | None = None
        self.reader = Store(url)
        self.recorder = Recorder(self.reader)

    def resume_paused(self, run_input: Mapping[str, Any] | None = None) -> None:
        """Have somebody resume each run that is paused or suspended, as soon as it is."""
        self.resumes = True
        self.run_input = run_input

    def rests(self) -> bool:
        """Tell whether the newest run has left its process to be resumed."""
        state = self._root_state()
        return state is not None and (state.is_paused() or state.is_scheduled())

    def has_failed(self) -> bool:
        """Tell whether the newest run has come to a bad end."""
        state = self._root_state()
        return state is not None and (state.is_failed() or state.is_crashed())

    def _root_state(self) -> State | None:
        run_id = self.flow_run_id
        return None if run_id is None else self.reader.read_flow_run(run_id).state

    def without_names(self, text: str) -> str:
        """Replace the names and ids of flow runs, which are others in each simulation."""
        for name, run_id in self.recorder.flow_run_names():
            text = text.replace(name, "<name>").replace(str(run_id), "<id>")
        return text

    def close(self) -> None:
        """Close the store that the simulation reads from."""
        self.reader.close()

    @property
    def violations(self) -> list[Violation]:
        """Give what was done against the promises so far."""
        return self.recorder.violations

    @property
    def flow_run_id(self) -> UUID | None:
        """Give the newest root flow run; none before its creation is committed."""
        return self.recorder.newest_root()

    def run(
        self,
        flow: Any,
        parameters: Mapping[str, Any] | None = None,
        *,
        die_at: int | None = None,
        fail_at: int | None = None,
        stall_at: int | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> Life:
        """Call a flow in a new process. Points are counted from 0, each before or after an effect.

        Parameters:
            flow: the flow, or any function that runs some.
            parameters: what to call it with, by name.
            die_at: the point at which the process dies.
            fail_at: the point at which the store fails, once, if it is before a commit.
            stall_at: the point at which the process stands still while `meanwhile` is called.

        Raises:
            Stuck: the flow would never return.
        """
        troubles = _Troubles(die_at, fail_at, stall_at, meanwhile)
        return self._live(flow, lambda: flow(**(parameters or {})), troubles)

    def resume(
        self, flow: Any, flow_run_id: UUID | None = None, *, die_at: int | None = None
    ) -> Life:
        """Go on with a flow run, the newest by default, in a new process."""
        run_id = flow_run_id or self.flow_run_id
        assert run_id is not None

        def call() -> Any:
            if self.resumes:
                let_go(run_id, self.run_input)
            return flow.resume(run_id)

        return self._live(flow, call, _Troubles(die_at))

    def _live(self, flow: Any, call: Callable[[], Any], troubles: _Troubles) -> Life:
        process = Process(self, len(self._processes), troubles)
        self._processes.append(process)
        settings = get_current_settings().copy_with_update(
            self._settings, None, None, source="a simulation"
        )
        process.context.run(set_settings_in_force, settings)
        is_async = getattr(flow, "isasync", False)
        process.live(lambda: process.run_async(call) if is_async else call())
        self.recorder.end_process(process.number)
        return process.life

    def is_owner_alive(self, owner: str, lease_expires: float | None, now: float) -> bool:
        """Tell whether an owner of a flow run may still be executing, as far as can be seen."""
        if self._one_host:
            return any(p.owner == owner and not p.has_ended for p in self._processes)
        return lease_expires is not None and lease_expires > now


class _Troubles(NamedTuple):
    """At which points a process meets what it has to survive, or does not."""

    die_at: int | None = None
    fail_at: int | None = None
    stall_at: int | None = None
    meanwhile: Any = None


class Process:
    """One simulated process: the world that the engine finds itself in."""

    def __init__(self, simulation: Simulation, number: int, troubles: _Troubles) -> None:
        self.number = number
        self.owner = f"simulated/{simulation.seed}:{number}:0"
        self.life = Life()
        self.context = Context()
        self.has_ended = False
        self._simulation = simulation
        self._recorder = simulation.recorder
        self._troubles = troubles
        self._random = Random(f"{simulation.seed}/{number}")
        self._clock = simulation.clock
        self._scheduler = Scheduler(
            self._random, self._clock, self.context, self._random.choice(SWITCHING)
        )
        self._timers = Timers(self._scheduler, self._clock)
        self._loops: list[EventLoop] = []

    def live(self, call: Callable[[], Any]) -> None:
        """Make a call as the process's main thread, and note what comes of it."""

        def main() -> None:
            try:
                self.life.value = call()
            except Ended:
                self.life.died = True
            except BaseException as error:  # noqa: BLE001 - part of the answer
                self.life.error = error

        with world.use_world(self), clock.use_clock(self._clock), self._own_memory():
            self._scheduler.run(main)
            self.has_ended = True
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for loop in self._loops:
                    loop.take_down()
        if self._scheduler.ending is not None and not isinstance(self._scheduler.ending, Ended):
            raise self._scheduler.ending
        if self._scheduler.failures:
            raise self._scheduler.failures[0]

    @contextlib.contextmanager
    def _own_memory(self) -> Generator[None]:
        """Begin with nothing that another process has in memory, and leave its memory alone."""
        kept = [(room, name, getattr(room, name)) for room, name in _MEMORY]
        for room, name, value in kept:
            setattr(room, name, type(value)())
        world.begin_process()
        former = ids.use_source(
            lambda: int(self._clock.time() * 1e9), self._random.getrandbits(40)
        )
        collects = gc.isenabled()
        # When it runs is not up to the seed, and what it finalizes may switch threads.
        gc.disable()
        try:
            yield
        finally:
            if collects:
                gc.enable()
            ids.use_source(*former)
            reset_store(at_once=True)
            for room, name, value in kept:
                setattr(room, name, value)

    def run_async(self, call: Callable[[], Any]) -> Any:
        """Run a coroutine to its end, as `asyncio.run` does."""
        with asyncio.Runner(loop_factory=self.new_event_loop) as runner:
            return runner.run(call())

    # -- the world ----------------------------------------------------------------------------

    def is_here(self) -> bool:
        """Tell whether this thread is one of the process."""
        return self._scheduler.is_here()

    def is_owner_alive(self, owner: str, lease_expires: float | None, now: float) -> bool:
        """Tell whether an owner may still be executing."""
        return self._simulation.is_owner_alive(owner, lease_expires, now)

    def start_thread(self, target: Callable[[], None], name: str) -> None:
        """Start a thread of the process."""
        self._scheduler.start(target, name.removeprefix("penstock-"))

    def acquire(self, lock: LockType, timeout_s: float | None) -> bool:
        """Wait for a lock, while others go on."""
        return self._scheduler.acquire(lock, timeout_s)

    def timers(self) -> Timers:
        """Give the process's timers."""
        return self._timers

    def new_event_loop(self) -> EventLoop:
        """Make an event loop in virtual time."""
        loop = EventLoop(self._scheduler, self._clock)
        self._loops.append(loop)
        return loop

    def new_pool(self, max_workers: int) -> Pool:
        """Make a pool of threads."""
        return Pool(self._scheduler, max_workers)

    def observe(self, steps: Any) -> Any:
        """Watch a run."""
        return observed(steps, self)

    # -- the watch ----------------------------------------------------------------------------

    def before(self, call: Any, effect: Effect) -> Exception | None:
        """Die here, let the effect fail, or note what is about to be done."""
        point = self._pass(f"before {_in_words(call, effect)}")
        if type(effect) is Invoke:
            self._recorder.executes(self.number, call, lambda: inputs_in_words(effect.call))
        if type(effect) is Commit and point == self._troubles.fail_at:
            return StoreLocked("The store could not be written. The simulation wants it so.")
        return None

    def after(self, call: Any, effect: Effect) -> None:
        """Note what was done, or die before the run is told."""
        if type(effect) is Commit and self._scheduler.ending is None:
            self._recorder.committed(self.number, effect)
            if self._simulation.resumes and isinstance(call, FlowCall):
                self._resume_paused(call)
        self._pass(f"after {_in_words(call, effect)}")

    def _resume_paused(self, call: FlowCall) -> None:
        state, run_id = call.run.state, call.run.id
        if state is not None and state.is_paused():
            self._scheduler.start(lambda: self._let_go(run_id), "somebody")

    def _let_go(self, flow_run_id: UUID) -> None:
        try:
            let_go(flow_run_id, self._simulation.run_input)
        except ValueError as error:
            self._scheduler.end(error)  # the run would wait for ever

    def over(self, call: Any, value: Any) -> None:
        """Look whether what the caller is about to be given is recorded."""
        self._scheduler.check()
        self._recorder.hands_over(self.number, call, value)

    def _pass(self, point: str) -> int:
        self._scheduler.check()
        number = len(self.life.points)
        self.life.points.append(f"{point} on {self._scheduler.here}")
        if number == self._troubles.die_at:
            self._die()
        if number == self._troubles.stall_at:
            self._troubles.meanwhile()
        self._scheduler.pause()
        return number

    def _die(self) -> None:
        self.life.died = True
        self.has_ended = True
        self._scheduler.end(Ended("the process has died"))
        # Whatever still runs while it is taken down finds no store to write to.
        reset_store(at_once=True)
        self._scheduler.check()


def let_go(flow_run_id: UUID, run_input: Mapping[str, Any] | None) -> None:
    """Resume a run as another program would; one that is not paused is left as it is.

    Raises:
        ValueError: the run waits for another input.
    """
    try:
        get_client(sync_client=True).resume_flow_run(flow_run_id, run_input)
    except NotPausedError:
        pass
    except RuntimeError as error:
        why = str(error).split(" It stays paused", 1)[0]
        given = "is given none" if run_input is None else f"is given {dict(run_input)!r}"
        raise ValueError(
            f"A pause is to be ended at once, and {given}: {why} Say what it is to be given:"
            " crash_sweep.with_options(run_input={...})."
        ) from error


def _plain(value: Any) -> Any:
    """Replace states by what they say."""
    if isinstance(value, State):
        return value.name, _plain(value.result(raise_on_failure=False))
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in cast("list[Any]", value)]
    return value


def _in_words(call: Any, effect: Effect) -> str:
    kind = type(effect).__name__
    run = None if call is None else call.run
    if isinstance(call, FlowCall):
        name = call.flow.name
    else:
        name = "?" if call is None or run is None else f"{call.task.name}-{run.dynamic_key}"
    state = "" if run is None or run.state is None else f" ({run.state.name})"
    return f"{kind} of {name}{state}"
