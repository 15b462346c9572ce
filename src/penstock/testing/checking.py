"""What the engine promises of its runs, and how a simulation sees that it is kept.

All that is checked is read from the store as anybody could read it, through a connection of its
own that sees only what is committed; and from a ledger of which runs' functions were called.
Section 5 of the design holds the promises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.engine.flow_transitions import FlowCall
from penstock.exceptions import IllegalTransition, ObjectNotFound
from penstock.graph.recording import STORED_AS
from penstock.graph.state import State as GraphState
from penstock.results import have_same_inputs
from penstock.rules import has_stored_result, validate
from penstock.states import State
from penstock.store.encoding import flow_run_from_row, task_run_from_row
from penstock.store.statements import FLOW_RUN_COLUMNS, READ_TASK_RUN_BY_KEY
from penstock.testing.wording import differences_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from penstock.engine.effects import Commit
    from penstock.engine.task_transitions import TaskCall
    from penstock.graph.task_calls import GraphCall
    from penstock.records import FlowRun, Run, TaskRun
    from penstock.store import Fence, Store

    AnyCall = TaskCall | FlowCall | GraphCall | None

READ_FLOW_RUNS = f"""select {FLOW_RUN_COLUMNS}
from flow_run r join flow f on f.id = r.flow_id order by r.id"""  # noqa: S608 - constants alone
READ_FENCES = "select id, fence from flow_run"

EXECUTED_AGAIN = "What is recorded Completed with a result is not executed again"
WITHOUT_RESULT = (
    "What is recorded Completed is not executed again; its result was not recorded, which"
    " persist_result=True does"
)
NOT_REACHED = "What is recorded Completed is reached again"
OTHER_INPUTS = "What is recorded Completed is reached again with the inputs it had"
COMMITTED_FIRST = "A value is committed before it is handed over"
LEGAL = "Every history is legal"
APPEND_ONLY = "A history is only appended to"
ALL_FINAL = "Every run comes to a final state"
ONE_OWNER = "One process at a time advances a flow run"
SAME_ANSWER = "A run that was interrupted gives what one gives that was not"

Place = tuple[tuple[str, str], ...]
"""Which run it is, in every execution: the keys of the calls that lead to it, from the root."""


class Violation(NamedTuple):
    """A promise that was not kept, and in which process of the simulation.

    `about` is what is common to those that were seen at several points, and differ in values.
    """

    promise: str
    process: int
    what: str
    about: str = ""

    def __str__(self) -> str:
        """Give it in a line."""
        return f"{self.promise} (process {self.process}): {self.what}"


class _Execution(NamedTuple):
    process: int
    flow_run_id: UUID | None
    key: tuple[str, str]
    fingerprint: bytes | None
    inputs: Mapping[str, Any]


class _Snapshot(NamedTuple):
    """What the store held when a process had ended."""

    histories: dict[UUID, list[UUID]]
    completed: dict[Place, TaskRun]
    failed: set[Place]
    places: dict[UUID | None, Place]
    fences: dict[bytes, int]


class Recorder:
    """Keeps the ledger of a simulation, and looks at the store when there is something to see.

    `late` are the processes whose runs others have gone on with while they stood still: what they
    have begun they may execute, but nothing of it may be written. With `needs_results` off, what
    has completed may not be executed again, whether its result was recorded or not.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._executions: list[_Execution] = []
        self._snapshots: list[_Snapshot] = []
        self._began: set[int] = set()
        self._reached: set[tuple[int, tuple[str, str]]] = set()
        self._tokens: dict[Fence, int] = {}
        self.late: set[int] = set()
        self.needs_results = True
        self.violations: list[Violation] = []

    def _note(self, promise: str, process: int, what: str) -> None:
        self.violations.append(Violation(promise, process, what))

    def note(self, promise: str, what: str, about: str = "") -> None:
        """Add what was seen from outside, of the process that lived last."""
        self.violations.append(Violation(promise, len(self._snapshots) - 1, what, about))

    def newest_root(self) -> UUID | None:
        """Give the newest flow run that is no subflow run; none if there is none."""
        roots = [run.id for run in self._flow_runs() if run.parent_task_run_id is None]
        return roots[-1] if roots else None

    def flow_run_names(self) -> list[tuple[str, UUID]]:
        """Give each flow run's name and id."""
        return [(run.name, run.id) for run in self._flow_runs()]

    # -- as it happens ------------------------------------------------------------------------

    def executes(
        self, process: int, call: AnyCall, inputs: Callable[[], Mapping[str, Any]]
    ) -> None:
        """Note that the function of a run is about to be called; it must not be completed.

        Parameters:
            process: the number of the process.
            call: the call of the run.
            inputs: gives what is told of its inputs.
        """
        if call is None or call.run is None or process in self.late:
            return
        if not isinstance(call, FlowCall):
            run, name = call.run, call.run.name
        elif call.dummy is not None:
            run, name = call.dummy, call.dummy.name
        else:
            self._began.add(process)
            recorded = self._store.read_flow_run(call.run.id)
            if self._is_done(recorded):
                self._note(EXECUTED_AGAIN, process, f"flow {call.flow.name}")
            return
        key = (run.task_key, run.dynamic_key)
        execution = _Execution(process, run.flow_run_id, key, run.fingerprint, inputs())
        self._executions.append(execution)
        if run.flow_run_id is None:
            return
        rows = self._store.read(READ_TASK_RUN_BY_KEY, (run.flow_run_id.bytes, *key))
        for former in map(task_run_from_row, rows):
            if self._is_done(former):
                self._note_again(execution, former, name)

    def committed(self, process: int, effect: Commit) -> None:
        """Note who has written with which token."""
        fence = effect.execution.fence
        if fence is not None and self._tokens.setdefault(fence, process) != process:
            first = self._tokens[fence]
            self._note(ONE_OWNER, process, f"token {fence.token} is that of process {first}, too")

    def hands_over(self, process: int, call: AnyCall, value: Any) -> None:
        """Make sure that a final state which is given to a caller is in the store."""
        if isinstance(value, GraphState):
            self._hands_over_in_graph(process, call, value)
            return
        if call is None or not isinstance(value, State) or not value.is_final():
            return
        assert call.run is not None
        if not isinstance(call, FlowCall):
            self._reached.add((process, (call.run.task_key, call.run.dynamic_key)))
        if value.is_crashed() and process in self.late:
            return
        run_id = call.run.id
        try:
            if not isinstance(call, FlowCall):
                run = self._store.read_task_run(run_id)
            else:
                run = self._store.read_flow_run(value.state_details.flow_run_id or run_id)
        except ObjectNotFound:
            self._note(COMMITTED_FIRST, process, f"{call.run.name}: {value} is not recorded")
            return
        if all(state.id != value.id for state in run.history):
            self._note(COMMITTED_FIRST, process, f"{run.name}: {value}, recorded is {run.state}")

    def _hands_over_in_graph(self, process: int, call: AnyCall, value: GraphState) -> None:
        if call is None or call.run is None or not value.is_finished() or process in self.late:
            return
        wanted = STORED_AS[type(value)]
        try:
            state = self._store.read_task_run(call.run.id).state
        except ObjectNotFound:
            state = None
        if state is None or (state.type, state.name) != wanted:
            what = f"{call.run.name}: {value}, recorded is {state}"
            self._note(COMMITTED_FIRST, process, what)

    # -- afterwards ---------------------------------------------------------------------------

    def end_process(self, process: int) -> None:
        """Look at what a process has left, and compare it with what it had found."""
        snapshot = self._take_snapshot()
        for former in self._snapshots[-1:]:
            for run_id, history in former.histories.items():
                if snapshot.histories.get(run_id, [])[: len(history)] != history:
                    self._note(APPEND_ONLY, process, f"history of run {run_id} was changed")
            for run_key, token in former.fences.items():
                if snapshot.fences.get(run_key, 0) < token:
                    self._note(ONE_OWNER, process, "a fencing token became smaller")
            same = (former.histories, former.fences) == (snapshot.histories, snapshot.fences)
            if process in self.late and not same:
                self._note(ONE_OWNER, process, "it wrote after another process had gone on")
            for execution in self._executions:
                if execution.process == process and process not in self.late:
                    self._compare(execution, former, snapshot)
        self._snapshots.append(snapshot)

    def _compare(self, execution: _Execution, former: _Snapshot, now: _Snapshot) -> None:
        place = (*now.places.get(execution.flow_run_id, ()), execution.key)
        done = former.completed.get(place)
        # A subflow that has failed begins anew, as another run, and so does what it has called.
        begins_anew = any(place[:length] in now.failed for length in range(2, len(place)))
        if done is not None and (done.flow_run_id == execution.flow_run_id or not begins_anew):
            self._note_again(execution, done, done.name)

    def finish(self) -> None:
        """Make sure that every history is legal, and every run over."""
        last = len(self._snapshots) - 1
        for run in (*self._flow_runs(), *self._task_runs()):
            state = run.state
            try:
                validate(run)
            except IllegalTransition as error:
                self._note(LEGAL, last, str(error))
            if state is None or not (state.is_final() or state.name == "NotReady"):
                self._note(ALL_FINAL, last, f"{run.name} was left in {state}")

    def check_reached(self) -> None:
        """Make sure that the flow's code has called all that it had called before the crash.

        Of what tasks and subflows call nothing is said: they may have been taken from the record.
        """
        last, root = len(self._snapshots) - 1, self.newest_root()
        if last < 1 or last not in self._began:
            return  # the flow's code has not been executed again
        for place, run in self._snapshots[-2].completed.items():
            key = place[-1]
            is_called_by_root = run.flow_run_id == root and "@" not in key[1]
            is_task = all(state.state_details.child_flow_run_id is None for state in run.history)
            if is_called_by_root and is_task and (last, key) not in self._reached:
                what = f"task run {run.name!r} was not called any more"
                self._note(NOT_REACHED, last, what)

    def _is_done(self, run: Run) -> bool:
        state = run.state
        if state is None or not state.is_completed():
            return False
        # The parent of mapped tasks in a graph has no result of its own, and expands anew.
        return has_stored_result(state) or not (self.needs_results or state.name == "Mapped")

    def _note_again(self, execution: _Execution, former: TaskRun, name: str) -> None:
        """Note that what had completed is executed, and which of its inputs differs."""
        assert former.state is not None
        what = f"task run {name!r}"
        if not have_same_inputs(former.fingerprint, execution.fingerprint):
            promise = OTHER_INPUTS
            first = next(
                each
                for each in self._executions
                if (each.flow_run_id, each.key) == (former.flow_run_id, execution.key)
            )
            what += differences_in_words(first.inputs, execution.inputs)
        else:
            promise = EXECUTED_AGAIN if has_stored_result(former.state) else WITHOUT_RESULT
        violation = Violation(promise, execution.process, what, about=name)
        if violation not in self.violations:  # it is seen when it begins, and when all is over
            self.violations.append(violation)

    def _flow_runs(self) -> list[FlowRun]:
        rows = self._store.read(READ_FLOW_RUNS)
        return [flow_run_from_row(row) for row in rows]

    def _task_runs(self) -> list[TaskRun]:
        return [run for flow in self._flow_runs() for run in self._store.read_task_runs(flow.id)]

    def _take_snapshot(self) -> _Snapshot:
        flow_runs, task_runs = self._flow_runs(), self._task_runs()
        by_id = {run.id: run for run in task_runs}
        places: dict[UUID | None, Place] = {}
        for flow_run in flow_runs:
            # Oldest first: a parent comes before its subflow runs.
            dummy = by_id.get(flow_run.parent_task_run_id) if flow_run.parent_task_run_id else None
            root = ((str(flow_run.id), ""),)
            places[flow_run.id] = root if dummy is None else _place(dummy, places)
        return _Snapshot(
            histories={run.id: [s.id for s in run.history] for run in (*flow_runs, *task_runs)},
            completed={_place(run, places): run for run in task_runs if self._is_done(run)},
            failed={places[run.id] for run in flow_runs if run.state and run.state.is_failed()},
            places=places,
            fences=dict(self._store.read(READ_FENCES)),
        )


def _place(run: TaskRun, places: dict[UUID | None, Place]) -> Place:
    return (*places.get(run.flow_run_id, ()), (run.task_key, run.dynamic_key))
