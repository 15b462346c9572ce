"""One flow run as the process that executes it sees it: who it is, and what its tasks have done.

Finished task runs are let go; what stays of them are counts and, up to a bound, their states. A
task run outside of any flow has an execution of its own, without a flow run.
"""

from __future__ import annotations

import logging
import threading
from _blake2 import blake2b  # as in hashlib, which would load OpenSSL
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from penstock import logging as run_logging
from penstock.engine.bursts import Burst
from penstock.engine.fencing import who_has
from penstock.engine.links import ResultLinks
from penstock.engine.termination import enter_critical, leave_critical
from penstock.exceptions import Abort
from penstock.results import ResultFactory
from penstock.settings import get_current_settings
from penstock.states import State, StateGroup, StateType
from penstock.store import Fence, FenceLost, Row, Store, Write, requests
from penstock.store import statements as sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.context import TaskRunContext
    from penstock.engine.relocating import Relocation
    from penstock.futures import PenstockFuture
    from penstock.records import FlowRun, TaskRun
    from penstock.task_runners import BaseTaskRunner

TIMED_OUT = "Flow run timed out"
"""Why an execution is stopped whose time is over; a retry of the flow run begins anew."""

CANCELLED = "The flow run is being cancelled"
"""Why an execution is stopped that somebody wants to end."""

KEPT_STATES_LIMIT = 1000
"""The most states of finished task runs that a flow run keeps in memory."""

LOGS_PER_COMMIT = 500

_logger = logging.getLogger("penstock.engine")
_counting = threading.Lock()


class Execution:
    """What the engine keeps of one flow run while it executes it.

    Parameters:
        store: where it is recorded.
        flow: the flow; none around a task run without one.
        flow_run: its record.
        fence: the proof that this process owns the run.
        runner: where its submitted tasks run.
        log_prints: prints are logged.
        parent: the execution that it is a subflow of.
    """

    __slots__ = (
        "_factories",
        "asked",
        "autonomous",
        "burst",
        "call",
        "crash",
        "deadline",
        "drives",
        "dynamic_keys",
        "fence",
        "flow",
        "flow_run",
        "in_flight",
        "interrupted",
        "invocation",
        "is_lost",
        "kept_states",
        "left_behind",
        "links",
        "log_prints",
        "observed_pauses",
        "parent",
        "recorded",
        "relocation",
        "rest",
        "result_serializer",
        "result_storage",
        "runner",
        "seen_flow_run",
        "settings",
        "stopped",
        "store",
        "subflow_states",
        "subflows",
        "tally",
        "unfinished",
    )

    def __init__(
        self,
        store: Store,
        *,
        flow: Any = None,
        flow_run: FlowRun | None = None,
        fence: Fence | None = None,
        runner: BaseTaskRunner | None = None,
        log_prints: bool = False,
        parent: Execution | None = None,
    ) -> None:
        self.store = store
        self.flow = flow
        self.flow_run = flow_run
        self.seen_flow_run = flow_run
        self.asked: State | None = None
        self.call: Any = None
        self.rest: PenstockFuture | None = None
        """Done when the run, which rests in this process, goes on; none while it does not rest."""
        self.fence = fence
        self.runner = runner
        self.log_prints = log_prints
        self.parent = parent
        self.settings = get_current_settings()
        self.links = ResultLinks()
        self.in_flight: set[TaskRun] = set()
        self.unfinished: set[PenstockFuture] = set()
        self.drives: set[Any] = set()
        self.left_behind: set[Any] = set()
        """What drove task runs that are over, though their functions may still be executed."""
        self.is_lost = False
        """Another process has the run: nothing of it may be executed here."""
        self.interrupted = False
        """The code of the flow was interrupted, to end it: that happens once."""
        self.invocation: Any = None
        """The call of the flow's function, while that is executed."""
        self.subflows: set[Any] = set()
        self.deadline: Any = None
        self.stopped: str | None = None
        self.crash: BaseException | None = None
        self.recorded: dict[tuple[str, str], TaskRun] | None = None
        self.relocation: Relocation | None = None
        self.autonomous: TaskRun | None = None
        self.burst = Burst()
        self.result_storage: Any = None
        self.result_serializer: Any = None
        self._factories: dict[Any, ResultFactory] = {}
        self.begin_attempt()

    def begin_attempt(self) -> None:
        """Count from the start: the flow's code runs (again) from its beginning."""
        self.dynamic_keys: dict[str, int] = {}
        self.tally: Counter[StateType] = Counter()
        self.kept_states: list[State] = []
        self.subflow_states: list[State] = []
        self.observed_pauses: dict[str, int] = {"counter": 0}
        self.crash = None
        if self.stopped == TIMED_OUT:
            self.stopped = None

    # -- identity -----------------------------------------------------------------------------

    def identify(self, called: Any, caller: TaskRunContext | None) -> tuple[str, int, str]:
        """Say which task run a call makes: the task's key, the call's index, and its dynamic key.

        Parameters:
            called: the task, or the flow as a subflow.
            caller: the task run that calls it; none where the flow does.
        """
        moved = self.relocation
        task_key: str = called.task_key if moved is None else moved.key_of(called)
        if caller is None or caller.call.execution is not self:
            counters = self.dynamic_keys
            index = counters.get(task_key, 0)
            counters[task_key] = index + 1
            return task_key, index, str(index)
        counters = caller.dynamic_keys
        if counters is None:
            counters = caller.dynamic_keys = {}
        index = counters.get(task_key, 0)
        counters[task_key] = index + 1
        turn = "" if caller.turn == 1 else f".{caller.turn}"
        return task_key, index, f"{index}@{identity_hash(caller.task_run)}{turn}"

    def load_recorded(self) -> None:
        """Read what earlier executions of this flow run have recorded of its tasks."""
        if self.flow_run is not None:
            runs = self.store.read_task_runs(self.flow_run.id)
            self.recorded = {(run.task_key, run.dynamic_key): run for run in runs}
            # Only second executions need it.
            from penstock.engine.relocating import relocation_of

            keys = [run.task_key for run in runs]
            self.relocation = relocation_of(self.flow, self.flow_run, keys)

    def take_recorded(self, task_key: str, dynamic_key: str) -> TaskRun | None:
        """Give the record of the task run of this identity, once."""
        if not self.recorded:
            return None
        return self.recorded.pop((task_key, dynamic_key), None)

    # -- results ------------------------------------------------------------------------------

    def factory_of(self, owner: Any) -> ResultFactory:
        """Give what makes the results of a task (or of the flow itself) in this flow run."""
        factory = self._factories.get(owner)
        if factory is None:
            factory = self._factories[owner] = self._make_factory(owner)
        return factory

    def _make_factory(self, owner: Any) -> ResultFactory:
        settings = self.settings
        persist: bool | None = owner.persist_result
        key = getattr(owner, "result_storage_key", None)
        if persist is None and (settings.results_persist_by_default or key is not None):
            persist = True
        kind = "flow" if owner is self.flow else "task"
        factory = ResultFactory(
            persist,
            self.result_storage if owner.result_storage is None else owner.result_storage,
            self.result_serializer if owner.result_serializer is None else owner.result_serializer,
            owner.cache_result_in_memory,
            settings.results_inline_limit_bytes,
            key,
            f"{kind} {owner.name!r}",
        )
        factory.check_options()
        return factory

    # -- writing ------------------------------------------------------------------------------

    def commit(self, rows: list[Row], behind: Fence | None = None) -> None:
        """Commit rows behind the fence; heed what was asked of the run meanwhile.

        Raises:
            Abort: another process has taken the run over.
            StoreError: the store could not be written.
        """
        logs = self._with_logs(rows)
        is_main_thread = enter_critical()
        try:
            control = self.store.commit(rows, self.fence, behind)
        except FenceLost as error:
            run_logging.give_back(logs)
            raise self.lost(error) from error
        except BaseException:
            run_logging.give_back(logs)
            raise
        finally:
            if is_main_thread:
                leave_critical()
        if control is not None:
            self.heed(control)

    def submit(
        self,
        rows: list[Row],
        then: Callable[[BaseException | None], None],
        behind: Fence | None = None,
        *,
        elsewhere: bool = False,
    ) -> None:
        """Commit rows as `commit` does, and call `then` with what went wrong, or with none.

        With `elsewhere` this thread does not wait for the store.
        """
        logs = self._with_logs(rows)

        def over(write: Write) -> None:
            error = write.error
            if error is not None:
                run_logging.give_back(logs)
                then(self.lost(error) if isinstance(error, FenceLost) else error)
                return
            if write.answer is not None:
                self.heed(write.answer)
            then(None)

        is_main_thread = enter_critical()
        try:
            write = Write(rows, self.fence, over, behind)
            self.store.journal.submit(write, elsewhere=elsewhere)
        finally:
            if is_main_thread:
                leave_critical()

    def _with_logs(self, rows: list[Row]) -> list[tuple[Any, ...]]:
        if not run_logging.pending():
            return []
        logs = run_logging.drain(LOGS_PER_COMMIT)
        rows.extend((sql.INSERT_LOG, log) for log in logs)
        return logs

    def lost(self, error: BaseException) -> Abort:
        """The run belongs to another process now: nothing more may be done for it here."""
        with _counting:  # several threads may learn of it at once
            is_news = not self.is_lost
            self.is_lost = True
        if is_news and self.stopped is None:
            who = "" if self.fence is None else who_has(self.store, self.fence)
            self.stopped = f"{error} {who}".rstrip()
            _logger.warning(
                "Flow run %s stops here: %s", self.flow_run and self.flow_run.name, self.stopped
            )
        return Abort(self.stopped or str(error))

    def heed(self, control: str) -> None:
        """Take note of what was asked of the run from outside: its task runs go by it from now on.

        The run's own record changes when its code has come to an end.
        """
        run, word = self.flow_run, requests.word_of(control)
        if run is None or (self.asked is not None and self.asked.type == word):
            return
        if word is StateType.RUNNING or (self.asked is not None and self.asked.is_cancelling()):
            if word is StateType.RUNNING and self.rest is None:
                self.forget_request()  # it had not begun to rest yet
            return
        asked = requests.decode(control)
        if word is StateType.CANCELLING:
            self.cancel(asked)
        else:
            self.hold_back(asked)

    def cancel(self, asked: State) -> None:
        """Let nothing more begin in the run and its subflow runs, and interrupt their tasks.

        The code of the flows themselves is interrupted by `cancelling`.
        """
        if self.is_cancelling():
            return
        self.hold_back(asked)
        for subflow in list(self.subflows):
            subflow.execution.cancel(asked)
        self.stop(CANCELLED)

    def is_cancelling(self) -> bool:
        """Tell whether somebody has asked for the end of the run."""
        return self.asked is not None and self.asked.type is StateType.CANCELLING

    def may_be_interrupted(self) -> bool:
        """Tell whether the code of the flow is to be interrupted, which is not in a subflow."""
        is_alone = self.invocation is not None and not self.subflows
        return is_alone and self.is_to_end() and not self.interrupted

    def is_to_end(self) -> bool:
        """Tell whether the code of the flow is to come to its end, wherever it is."""
        return self.is_lost or self.is_cancelling()

    def still_running(self) -> list[Any]:
        """Give what drove task runs whose functions have not come to their end."""
        running = [drive for drive in list(self.left_behind) if drive.is_calling]
        self.left_behind.intersection_update(running)
        return running

    def hold_back(self, asked: State) -> None:
        """Have task runs go by a state that the run is to come into."""
        self.asked = asked
        if self.flow_run is not None:
            self.seen_flow_run = msgspec.structs.replace(self.flow_run, state=asked)

    def forget_request(self) -> None:
        """Go by the run's own state again: what was asked of it is done."""
        if self.asked is not None and not self.asked.is_cancelling():
            self.asked = None
            self.seen_flow_run = self.flow_run

    # -- what has happened --------------------------------------------------------------------

    def note_finished(self, state: State, *, counts: bool, is_subflow: bool = False) -> None:
        """Count a run that is over; keep its state while there is room."""
        if is_subflow and len(self.subflow_states) < KEPT_STATES_LIMIT:
            self.subflow_states.append(state)
        if not counts:
            return
        with _counting:
            self.tally[state.type] += 1
            kept = self.kept_states
            if len(kept) < KEPT_STATES_LIMIT:
                kept.append(state)
            elif not state.is_completed():
                # One that failed is worth more than one that did not.
                for index in range(len(kept) - 1, -1, -1):
                    if kept[index].is_completed():
                        kept[index] = state
                        return

    def group(self) -> StateGroup:
        """Give the counts of all runs that decide a flow which returns nothing."""
        return StateGroup.from_counts(self.tally)

    def refuse_when_stopped(self) -> None:
        """Let nothing begin in a run that was stopped: raise why."""
        if self.stopped is not None:
            if self.stopped == TIMED_OUT:
                raise TimeoutError(self.stopped)
            raise Abort(self.stopped)

    def stop(self, reason: str) -> None:
        """Let nothing more begin, and interrupt what runs: the flow run is over."""
        if self.stopped is None:
            self.stopped = reason
        for drive in list(self.drives):
            drive.stop(reason)

    def relieve_logs(self) -> None:
        """Have log records written that wait, in the midst of logging: nothing is waited for.

        Whoever commits at the time takes them along; if nobody does, this thread commits them.
        """
        logs = run_logging.drain(LOGS_PER_COMMIT)

        def over(write: Write) -> None:
            if write.error is not None:
                run_logging.give_back(logs)

        is_main_thread = enter_critical()
        try:
            self.store.journal.submit(Write([(sql.INSERT_LOG, log) for log in logs], None, over))
        finally:
            if is_main_thread:
                leave_critical()

    def flush_logs(self) -> None:
        """Write every log record that waits, for whichever run."""
        while run_logging.pending():
            logs = run_logging.drain(LOGS_PER_COMMIT)
            try:
                self.store.commit([(sql.INSERT_LOG, log) for log in logs])
            except BaseException:
                run_logging.give_back(logs)
                raise


def identity_hash(run: TaskRun) -> str:
    """Name a task run within its flow run, briefly, the same in every execution."""
    identity = f"{run.task_key}\0{run.dynamic_key}".encode()
    return blake2b(identity, digest_size=4).hexdigest()
