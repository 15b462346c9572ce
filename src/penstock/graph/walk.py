"""One pass over a graph, driven by events: a task is begun by what it waited for.

Nothing sweeps over the graph again: what a task run costs is what its own edges cost. Task runs
are generators of effects, as all runs are (DESIGN 3); on a pool of workers the event driver drives
them, and whoever finishes one begins the next. Where the executor makes its calls in the thread
that submits them, this thread drives them, one after the other, in the order of the graph.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock import clock, world
from penstock.engine.bursts import BURST, Burst
from penstock.engine.drivers import inline, performing
from penstock.engine.drivers.event import Drive
from penstock.engine.effects import Await, Invoke, Sleep
from penstock.exceptions import Abort
from penstock.graph.executors import calls_here
from penstock.graph.mapping import UnmappableResult, columns_of, flattened_state
from penstock.graph.state import Failed, Mapped, Pending, State, Success
from penstock.graph.task_calls import GraphCall, graph_task_run, perform_pipeline
from penstock.graph.wrapping import Constant
from penstock.task_runners.timers import timers
from penstock.task_runners.waiting import block_for_user

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextvars import Context

    from penstock.engine.execution import Execution
    from penstock.graph.edge import Edge
    from penstock.graph.executors import Executor
    from penstock.graph.nodes import Node
    from penstock.graph.recording import Recording
    from penstock.task_runners import BaseTaskRunner, Outcome

IN_FLIGHT_LIMIT = 1024
"""The most task runs of one graph that are begun at once: what waits costs memory."""


BEGUN_AT_ONCE = 32
"""So many of them are made ready before they are begun."""


class Setup(NamedTuple):
    """How the tasks of a walk are run.

    Attributes:
        context: what each task finds in `penstock.graph.context`.
        runner_class: takes one task through its pipeline.
        handlers: the state handlers of task runners.
        flow_result: the flow's `result`.
        recording: how task runs are recorded; none for a run that is not.
        waits: retries and start times are waited for; else their states are what is given.
    """

    context: dict[str, Any]
    runner_class: type[Any]
    handlers: Any = None
    flow_result: Any = None
    recording: Recording | None = None
    waits: bool = False


class Walk:
    """Takes the tasks of a graph through their states, each as soon as it can be.

    Parameters:
        nodes: the tasks, in the order of the graph.
        execution: what the run's process keeps of it; also for a run that is not recorded.
        executor: where calls are made, where `runner` is none: in this thread, or by protocol.
        runner: the task runner that makes them.
        setup: how the tasks are run.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        execution: Execution,
        executor: Executor,
        runner: BaseTaskRunner | None,
        setup: Setup,
    ) -> None:
        self.nodes = nodes
        self.execution = execution
        self.executor = executor
        self.runner = runner
        self.setup = setup
        self.context = setup.context
        self.recording = setup.recording
        self.waits = setup.waits
        self.error: BaseException | None = None
        self.waiting = threading.Lock()
        self._lock = threading.RLock()
        self._ready: list[tuple[int, int, Node, int | None, bool]] = []
        # In this thread tasks run in the order of the graph. On workers the deepest are first, so
        # that what is mapped over a mapped task goes through element by element.
        self._depth = 1 if runner is None else -1
        self._left = len(nodes)
        self._in_flight = self._has_ended = 0
        self._burst = Burst()
        self._came: deque[tuple[Node, State]] = deque()
        self._inbox: deque[Callable[[], None]] = deque()
        self._called: deque[tuple[GraphCall, Any, Any]] = deque()
        self._calls_here = calls_here(executor)
        self._wake = threading.Lock()
        self._wake.acquire()
        self._contextvars: Context = copy_context()
        self._stopped: str | None = None

    # -- the whole of it ----------------------------------------------------------------------

    def run(self) -> None:
        """Go over the graph; return when nothing can be done any more.

        Raises:
            Abort: the flow run was stopped.
            BaseException: what broke the walk, or a task's own exception that is to be raised.
        """
        self.execution.drives.add(self)
        try:
            with self._lock:
                for node in self.nodes:
                    if not node.missing:
                        self._is_ready(node)
                self._settle()
            self._begin_ready()
            self._work_until_over()
        except BaseException as error:
            self.stop(f"The walk over the graph was broken off: {error!r}")
            self._stop_others()
            raise
        finally:
            self.execution.drives.discard(self)
            self._burst.end()
        if self.error is not None:
            raise self.error
        if self._stopped is not None:
            raise Abort(self._stopped)

    def _work_until_over(self) -> None:
        while True:
            while self._inbox:
                self._inbox.popleft()()
            if self.runner is None and self._begin_next():
                continue
            if self._inbox:
                continue
            with self._lock:
                if self._is_over():
                    return
            if self._called:
                self._await_oldest_call()
            else:
                block_for_user(self._wake)

    def _is_over(self) -> bool:
        if self.error is not None or self._stopped is not None:
            return self._in_flight == 0 or self.runner is None
        return self._left == 0

    def _wake_up(self) -> None:
        """Have the thread that runs the walk look again."""
        if self._wake.locked():
            try:
                self._wake.release()
            except RuntimeError:
                return  # another thread has done so

    def stop(self, reason: str) -> None:
        """Begin nothing more: the flow run is over. What runs is interrupted by who drives it."""
        with self._lock:
            self._stopped = self._stopped or reason
            self._ready.clear()
        self._wake_up()

    def fail(self, error: BaseException) -> None:
        """Begin nothing more: something broke that is no task's own failure."""
        with self._lock:
            if self.error is not None:
                return
            self.error = error
            self._ready.clear()
        self._stop_others()
        self._wake_up()

    def _stop_others(self) -> None:
        """Interrupt what runs."""
        for drive in list(self.execution.drives):
            if drive is not self:
                drive.stop("The walk over the graph was broken off")

    # -- what becomes ready -------------------------------------------------------------------

    def _is_ready(self, node: Node) -> None:
        """All that a task waits for is there."""
        given, task = node.given, node.task
        if given is None and isinstance(task, Constant):
            self._came.append((node, Success(result=task.value)))
        elif given is not None and given.is_finished() and (node.is_kept or _is_kept(given)):
            self._came.append((node, given))
        else:
            self._push(node, -1, None, is_parent=node.is_mapped)

    def _settle(self) -> None:
        """Go on from tasks whose states are given, one after the other: there may be many."""
        while self._came:
            self._has_come(*self._came.popleft())

    def _has_come(self, node: Node, state: State) -> None:
        """A task (of a mapped one the parent) has come to a state."""
        node.state = state
        if node.is_mapped and isinstance(state, Mapped):
            self._spread(node, state)
        for edge, below in node.downstream:
            if edge.mapped and not edge.flattened:
                self._one_less(below)
        if not node.left:
            self._is_complete(node)

    def _is_complete(self, node: Node) -> None:
        """Nothing of a task is missing any more."""
        node.complete()
        self._left -= 1
        for edge, below in node.downstream:
            if not edge.mapped or edge.flattened:
                self._one_less(below)
        if not self._left:
            self._wake_up()

    def _one_less(self, node: Node) -> None:
        node.missing -= 1
        if not node.missing:
            self._is_ready(node)

    def _spread(self, node: Node, state: Mapped) -> None:
        """Make the children of a mapped task; those begin that wait for nothing."""
        try:
            node.columns, count = columns_of(node, state)
        except UnmappableResult as error:
            node.state = Failed(message=str(error), result=error)
            return
        node.children = [None] * count
        node.left = count
        if node.is_followed:
            node.child_ids = {}
        follows = [column.follows for column in node.columns if column.follows is not None]
        node.follows = bool(follows)
        if not follows:
            if count:
                self._push(node, 0, count)
            return
        node.waits = {}
        for index in range(count):
            waits = sum(above.children[index] is None for above in follows)
            if waits:
                node.waits[index] = waits
            else:
                self._child_is_ready(node, index)

    def _child_is_ready(self, node: Node, index: int) -> None:
        self._push(node, index, index + 1)

    def _child_has_come(self, node: Node, index: int, state: State) -> None:
        node.children[index] = state
        node.left -= 1
        for edge, below in node.downstream:
            if edge.mapped and not edge.flattened and below.waits:
                waits = below.waits.get(index)
                if waits is None:
                    continue
                if waits == 1:
                    del below.waits[index]
                    self._child_is_ready(below, index)
                else:
                    below.waits[index] = waits - 1
        if not node.left:
            self._is_complete(node)

    # -- beginning ----------------------------------------------------------------------------

    def _begin_ready(self) -> None:
        """On a pool: begin what is ready, as far as there is room for it.

        The lock is not held while something is begun: whoever ends meanwhile needs it.
        """
        runner = self.runner
        if runner is None:
            return
        while self._ready:
            calls: list[GraphCall] = []
            with self._lock:
                while (
                    self._ready
                    and len(calls) < BEGUN_AT_ONCE
                    and self._in_flight < IN_FLIGHT_LIMIT
                ):
                    call = self._next_call()
                    if call is not None:
                        calls.append(call)
            if not calls:
                return
            for call in calls:
                drive = Drive(call, runner, call, call.loop(), graph_task_run)
                drive.start((), first=call.index is not None and call.node.follows)

    def _begin_next(self) -> bool:
        """In this thread: take the first task that is ready as far as it goes; none if none is."""
        while True:
            with self._lock:
                if not self._ready or self._in_flight >= IN_FLIGHT_LIMIT:
                    return False
                call = self._next_call()
            if call is not None:
                steps = graph_task_run(call)
                if world.stand_in is not None:
                    steps = world.stand_in.observe(steps)
                self._advance(call, steps)
                return True

    def _push(self, node: Node, index: int, end: int | None, *, is_parent: bool = False) -> None:
        """Note that a task is ready, or its children from `index` up to `end`."""
        heapq.heappush(self._ready, (node.order * self._depth, index, node, end, is_parent))

    def _next_call(self) -> GraphCall | None:
        """Take the first of what is ready; none if it has its state already."""
        order, index, node, end, is_parent = heapq.heappop(self._ready)
        if end is None:
            return self._call_of(node, None, node.given, is_parent=is_parent)
        if index + 1 < end:
            heapq.heappush(self._ready, (order, index + 1, node, end, False))
        state = _child_state(node, index)
        if state is not None and state.is_finished() and isinstance(node.given, Mapped):
            self._child_has_come(node, index, state)
            self._settle()
            return None
        return self._call_of(node, index, state, is_parent=False)

    def _call_of(
        self, node: Node, index: int | None, state: State | None, *, is_parent: bool
    ) -> GraphCall:
        upstream = self._upstream_of(node, index)
        self._in_flight += 1
        return GraphCall(self, node, index, state, upstream, is_parent, self._contextvars.copy())

    def _upstream_of(self, node: Node, index: int | None) -> dict[Edge, State]:
        if index is not None:
            return {column.edge: column.get(index) for column in node.columns}
        states: dict[Edge, State] = {}
        for edge, above in node.upstream:
            if edge.flattened:
                states[edge] = flattened_state(edge, above)
            else:
                states[edge] = above.state if above.state is not None else Pending()
        states.update(node.constants)
        return states

    # -- driving in this thread ---------------------------------------------------------------

    def _advance(
        self, call: GraphCall, steps: Any, answer: Any = None, error: BaseException | None = None
    ) -> None:
        """Take a task run as far as it goes without waiting for something else than itself."""
        while True:
            effect = inline.advance(steps, _HERE, answer, error)
            answer = error = None
            if type(effect) is Sleep:
                self._sleep(call, steps, effect)
                return
            if type(effect) is not Invoke:
                call.set_state(effect.value)
                return
            if effect.call.fn is not perform_pipeline or self._calls_here:
                answer = inline.invoke(effect.call)
                continue
            try:
                submitted = call.submit_to(self.executor)
            except BaseException as caught:  # noqa: BLE001 - an executor's failure is the run's
                error = caught
                continue
            if isinstance(submitted, State):
                answer, error = self._answer_of(call, submitted)
                continue
            if hasattr(submitted, "add_done_callback"):
                go_on = partial(self._take_answer, call, steps, submitted)
                submitted.add_done_callback(partial(_without_future, self._do_here, go_on))
            else:
                self._called.append((call, steps, submitted))
            return

    def _sleep(self, call: GraphCall, steps: Any, effect: Sleep) -> None:
        """Go on with a run at a time, in this thread; meanwhile others are begun."""
        go_on = partial(self._do_here, partial(self._advance, call, steps))
        timers().call_later(clock.left_until(effect.until), go_on)

    def _do_here(self, work: Callable[[], None]) -> None:
        """Have a piece of work done by the thread that runs the walk."""
        self._inbox.append(work)
        self._wake_up()

    def _await_oldest_call(self) -> None:
        """Wait for a call that was submitted to an executor that tells nobody when it is over."""
        self._take_answer(*self._called.popleft())

    def _take_answer(self, call: GraphCall, steps: Any, future: Any) -> None:
        """Go on with a run whose call by an executor is over."""
        self._advance(call, steps, *self._answer_of(call, future))

    def _answer_of(
        self, call: GraphCall, submitted: Any
    ) -> tuple[Outcome | None, BaseException | None]:
        """Give what the executor's call has come to, or what the executor has raised."""
        try:
            return call.outcome_of(self.executor.wait(submitted)), None
        except BaseException as caught:  # noqa: BLE001 - an executor's failure is the run's
            return None, caught

    def falls_asleep(self) -> None:
        """A task run waits for its time: it takes no one's place meanwhile."""
        with self._lock:
            self._in_flight -= 1
        self._begin_ready()

    def wakes_up(self) -> None:
        """Its time has come, or it is interrupted."""
        with self._lock:
            self._in_flight += 1

    # -- what has come ------------------------------------------------------------------------

    def has_come(self, call: GraphCall, state: State) -> None:
        """A task run is over, or rests: whatever waited for it may begin."""
        try:
            with self._lock:
                self._in_flight -= 1
                self._has_ended += 1
                if self.error is not None or self._stopped is not None:
                    if not self._in_flight:
                        self._wake_up()
                    return
                if call.index is None:
                    self._has_come(call.node, state)
                else:
                    self._child_has_come(call.node, call.index, state)
                self._settle()
            if self._has_ended >= BURST:
                # The states of what has ended stay until the flow has.
                self._burst.go_on()
            self._begin_ready()
        except BaseException as error:  # noqa: BLE001 - raised by whoever runs the walk
            self.fail(error)


_HERE: dict[type, Any] = {**performing.AT_ONCE, Await: inline.await_}
"""What is done at once in this thread, for a run of a graph's task."""


def _without_future(do: Callable[[Any], None], work: Any, _future: object) -> None:
    do(work)


def _is_kept(state: State) -> bool:
    return not state.is_cached() and not state.is_mapped()


def _child_state(node: Node, index: int) -> State | None:
    given = node.given
    if isinstance(given, Mapped):
        states = given.map_states
        if index < len(states):
            return states[index] or Pending()
        return None
    return given
