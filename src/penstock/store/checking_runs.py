"""The part of a check that looks at every flow run and task run: one walk over both, side by side.

Both are read in the order of their keys, a page at a time, so that memory stays bounded however
much is recorded. The store may be written meanwhile: what looks wrong only because the two were
read one after the other is looked at again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.exceptions import IllegalTransition
from penstock.results.objects import CorruptResult
from penstock.rules import has_stored_result, validate
from penstock.states import TERMINAL_STATES, StateType
from penstock.store import checking_sql as sql
from penstock.store import statements
from penstock.store.encoding import NO_FLOW_RUN, flow_run_from_row, task_run_from_row
from penstock.store.findings import Finding, finding, finding_of_run
from penstock.store.lease import is_owner_alive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.records import FlowRun, Run, TaskRun
    from penstock.store.store import Store

    Row = tuple[Any, ...]

PAGE_ROWS = 500
"""How many runs of each kind are in memory at once."""

_FINAL = frozenset(kind.value for kind in TERMINAL_STATES)
_PAUSED = StateType.PAUSED.value
_EXECUTED = frozenset({StateType.RUNNING, StateType.CANCELLING})


def run_findings(store: Store, now: float, grace_s: float) -> Iterator[Finding]:
    """Give what is wrong with the runs of a store.

    Parameters:
        store: the store.
        now: the present time, in seconds since the epoch.
        grace_s: for how long, in seconds, a run whose owner is dead is not called stuck.
    """
    tasks = _Tasks(store)
    yield from tasks.up_to(NO_FLOW_RUN, None)
    for row in _flow_run_rows(store):
        yield from tasks.before(row[0])
        run: FlowRun | None = None
        try:
            run = flow_run_from_row(row)
        except Exception as error:  # noqa: BLE001 - whatever a broken record makes of the decoders
            yield _unreadable("flow run", row[0], row[3], error)
        if row[2] is None:
            yield finding("without-flow", "flow run", "It names no flow.", row[0], row[3])
        if run is not None:
            yield from _history_findings(run)
            yield from _owner_findings(run, row[-3], row[-2], row[-1], now, grace_s)
            yield from _parent_findings(store, run)
        yield from tasks.up_to(row[0], run)
    yield from tasks.before(None)


def _flow_run_rows(store: Store) -> Iterator[Row]:
    last = b""
    while rows := store.read(sql.FLOW_RUNS, (last, PAGE_ROWS)):
        yield from rows
        last = bytes(rows[-1][0])


def _unreadable(subject: str, key: Any, name: Any, error: Exception) -> Finding:
    what = f"Its record cannot be decoded: {type(error).__name__}: {error}."
    return finding("unreadable", subject, what, bytes(key), str(name))


def _history_findings(run: Run) -> Iterator[Finding]:
    """Look at a run's states and books."""
    if run.state is not None and isinstance(run.state.data, CorruptResult):
        yield finding_of_run("unreadable", run, "What is recorded of its result is corrupt.")
    try:
        validate(run)
    except IllegalTransition as error:
        what = _what_is_wrong(str(error))
        if what:
            yield finding_of_run(_kind_of(run), run, what)


def _what_is_wrong(text: str) -> str:
    """Take what is wrong out of a message of `validate`; nothing if the engine means it."""
    problems, mark, history = text.partition(" is not in order: ")[2].partition(". Its history")
    meant = [each for each in problems.split("; ") if each != _BLOCKED]
    if not meant:
        return ""
    what = "; ".join(meant)
    return f"{what[:1].upper()}{what[1:]}{mark}{history}"


# A run whose inputs cannot be used is forced there.
_BLOCKED = "it went from Pending to NotReady"


def _kind_of(run: Run) -> str:
    try:
        validate(run, forced=True)
    except IllegalTransition:
        return "inconsistent"
    return "illegal-move"


# -- flow runs ------------------------------------------------------------------------------------


def _owner_findings(
    run: FlowRun,
    owner: str | None,
    fence: int,
    expires: float | None,
    now: float,
    grace_s: float,
) -> Iterator[Finding]:
    kind = run.state_type
    if owner is not None and kind in TERMINAL_STATES:
        what = f"It is {run.state_name}, and still owned by {owner}."
        yield finding_of_run("owned-after-end", run, what)
    if owner is not None and fence < 1:
        what = f"It is owned by {owner}, with the token {fence}."
        yield finding_of_run("owned-without-token", run, what)
    if kind in TERMINAL_STATES or kind is StateType.PAUSED:
        return
    if owner is None:
        if kind in _EXECUTED and _age_s(run, now) > grace_s:
            yield finding_of_run("stuck", run, f"It is {run.state_name}, and has no owner.")
        return
    is_over = expires is None or expires + grace_s < now
    if is_over and not is_owner_alive(owner, expires, now):
        ago = "" if expires is None else f", whose lease was over {now - expires:.0f} s ago"
        what = f"It is {run.state_name or 'without a state'}; its owner {owner}{ago}, is dead."
        yield finding_of_run("stuck", run, what)


def _age_s(run: FlowRun, now: float) -> float:
    return now - run.updated.timestamp()


def _parent_findings(store: Store, run: FlowRun) -> Iterator[Finding]:
    parent = run.parent_task_run_id
    if parent is None or store.find_flow_run_of(parent) is not None:
        return
    if store.read(sql.HAS_FLOW_RUN, (run.id.bytes,)):
        yield finding_of_run("without-parent", run, f"It was called by task run {parent}.")


# -- task runs ------------------------------------------------------------------------------------


class _Tasks:
    """All task runs in the order of their flow runs, handed out as far as these have come."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows = self._read()
        self._next: Row | None = next(self._rows, None)
        self._seen = NO_FLOW_RUN

    def _read(self) -> Iterator[Row]:
        last = (b"", b"")
        while rows := self._store.read(sql.TASK_RUNS, (*last, PAGE_ROWS)):
            yield from rows
            last = (bytes(rows[-1][0]), bytes(rows[-1][1]))

    def _take(self) -> Row:
        row = self._next
        assert row is not None
        self._next = next(self._rows, None)
        return row

    def before(self, key: Any) -> Iterator[Finding]:
        """Give what is found of task runs before those of flow run `key`: they belong to none."""
        while self._next is not None and (key is None or bytes(self._next[0]) < bytes(key)):
            row = self._take()
            owner = bytes(row[0])
            if self._store.read(sql.HAS_FLOW_RUN, (owner,)):
                continue  # it was made since that page was read
            if self._store.read(sql.TASK_RUN_STATE, (owner, row[1])):
                what = f"It is a task run of flow run {_text(owner)}."
                yield finding("without-flow-run", "task run", what, bytes(row[1]), row[4], owner)

    def up_to(self, key: Any, flow_run: FlowRun | None) -> Iterator[Finding]:
        """Give what is found of the task runs of flow run `key`."""
        number = 0
        while self._next is not None and bytes(self._next[0]) == bytes(key):
            row = self._take()
            number += 1
            try:
                run = task_run_from_row(row)
            except Exception as error:  # noqa: BLE001 - as for flow runs
                yield _unreadable("task run", row[1], row[4], error)
                continue
            yield from _history_findings(run)
            if _ran_again(run):
                what = "It was started again after it had completed, and has a recorded result."
                yield finding_of_run("executed-again", run, what)
            if flow_run is not None:
                yield from self._unfinished(run, flow_run)
        if number > 1 and bytes(key) != NO_FLOW_RUN:
            yield from _repeated_calls(self._store, bytes(key))

    def _unfinished(self, run: TaskRun, flow_run: FlowRun) -> Iterator[Finding]:
        state = flow_run.state
        if state is None or not state.is_final() or _is_over(run.state_type, run.state_name):
            return
        owner = flow_run.id.bytes
        found = self._store.read(sql.HAS_FLOW_RUN, (owner,))
        now = self._store.read(sql.TASK_RUN_STATE, (owner, run.id.bytes))
        if not found or found[0][0] not in _FINAL or not now or _is_over(*now[0]):
            return  # somebody goes on with it, or has done so meanwhile
        is_crash = state.type is StateType.CRASHED
        kind = "unfinished-task-of-crash" if is_crash else "unfinished-task"
        what = f"It is {run.state_name}, and its flow run {flow_run.name!r} is {state.name}."
        yield finding_of_run(kind, run, what)


def _is_over(state_type: str | None, state_name: str | None) -> bool:
    # A task may give back a Paused state, as any other: that is its answer then.
    return state_type in _FINAL or state_type == _PAUSED or state_name == "NotReady"


def _ran_again(run: TaskRun) -> bool:
    """Tell whether a run was started after it had completed, and ended with a recorded result.

    The history does not keep what came of each attempt. But what has a result that can be recorded
    now had one then, too. Runs that stand for a subflow run or loop in a graph are not meant.
    """
    state = run.state
    if state is None or state.type is not StateType.COMPLETED or not has_stored_result(state):
        return False
    completed = False
    for each in run.history:
        if each.state_details.child_flow_run_id or each.state_details.graph is not None:
            return False
        if each.type is StateType.RUNNING and completed:
            return True
        completed |= each.type is StateType.COMPLETED
    return False


def _repeated_calls(store: Store, key: bytes) -> Iterator[Finding]:
    for task_key, dynamic_key, fingerprint in store.read(sql.REPEATED_CALLS, (key,)):
        if fingerprint is None:
            continue
        rows = store.read(statements.READ_TASK_RUN_BY_KEY, (key, task_key, dynamic_key))
        done: TaskRun | None = None
        for run in sorted(map(task_run_from_row, rows), key=_created):
            if run.fingerprint != bytes(fingerprint):
                continue
            started = next((s for s in run.history if s.type is StateType.RUNNING), None)
            if done is not None and started is not None and not _has_new_inputs(store, run, done):
                what = f"The same call had completed as task run {done.id} before."
                yield finding_of_run("executed-again", run, what)
            state = run.state
            if state is not None and state.is_completed() and has_stored_result(state):
                done = run


def _has_new_inputs(store: Store, run: TaskRun, done: TaskRun) -> bool:
    """Tell whether a run's inputs come from task runs that ran, or ran again, after another one.

    In a graph a task is known by its wiring: it runs again when what comes before it has.
    """
    if run.task_inputs != done.task_inputs:
        return True
    assert done.state is not None
    ended = done.state.timestamp
    owner = bytes(16) if run.flow_run_id is None else run.flow_run_id.bytes
    for each in {given.id for inputs in run.task_inputs.values() for given in inputs}:
        rows = store.read(statements.READ_TASK_RUN_OF, (owner, each.bytes))
        if any(task_run_from_row(row).updated > ended for row in rows):
            return True
    return False


def _created(run: TaskRun) -> bytes:
    return run.id.bytes


def _text(key: bytes) -> str:
    from uuid import UUID

    return str(UUID(bytes=key)) if len(key) == len(NO_FLOW_RUN) else key.hex()
