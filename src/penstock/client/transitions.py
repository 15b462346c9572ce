"""States that are proposed from outside of a run: read, decided by the rules, written, at once.

Each proposal is one write transaction, so nobody else can change the run between the decision and
the write. What is decided depends on who executes the run:

- Nobody living does. The rules decide, and what they say is written. If a dead process still
  stands as the owner, it is fenced off in the same transaction: should it live after all (on
  another host, silent for as long as it was watched), its next commit is refused and cannot undo
  this one.
- A living process does. That process holds the run's history in memory and writes it whole with
  its next transition, so a state written beside it would be lost, or the history with it.
  Therefore nothing is written but the request: CANCELLING and PAUSED, and RUNNING of a run that is
  paused in its process, are put down in the `control` column, which the owner reads with the
  answer to its next commit or heartbeat; it makes the transition itself. Until then the run reads
  as before. If the run ends first, the request is void. Any other state is refused (ABORT).
- A living process does, and the state is forced. CANCELLING and PAUSED are requested as above,
  since only the owner can carry them out. Any other state takes the run away from its owner: the
  state is written, the owner's token is void, and it stops at its next commit, which is refused.

The states of a task run are its flow run's owner's to decide. While that is another living
process, they are refused unless they are forced; a forced one is written, and the owner writes
over it if it still executes that task run. The owner's own process may set states of task runs, by
the rules: so a flow's code can keep task runs of its own making.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from penstock import clock
from penstock.client.responding import respond
from penstock.client.schemas.responses import OrchestrationResult, StateResponseDetails
from penstock.exceptions import NotPausedError, ObjectNotFound
from penstock.ids import new_id
from penstock.results import BaseResult
from penstock.rules import (
    Answer,
    Facts,
    Status,
    decide_flow,
    decide_task,
    record,
    state_for_parent_task,
)
from penstock.rules.answers import INSERT_CACHE, UPDATE_PARENT_TASK
from penstock.states import Cancelled, Cancelling, Running, Scheduled, State, StateType
from penstock.store import encoding, is_owner_alive, requests
from penstock.store import statements as sql
from penstock.store.lease import this_process
from penstock.store.silence import Owned, watch_owner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from penstock.records import FlowRun, TaskRun
    from penstock.store import Store
    from penstock.store.silence import Silence

    Execute = Callable[..., Any]

REQUESTS = frozenset({StateType.CANCELLING, StateType.PAUSED})
"""The states that are asked of a flow run's owner, whatever state the run is in."""

PARENT_CANCELLED = "The parent flow run was cancelled."

LEFT_LIMIT = 10_000
"""The most task runs, and subflow runs, of a cancelled flow run that are dealt with at once."""

RESUMING = "Resuming"
"""The name of the state of a run that was resumed, and that some process is to go on with."""


class Lease(NamedTuple):
    """Who stands as the owner of a flow run, if that process lives, and what was asked of it."""

    owner: str | None
    is_alive: bool
    control: str | None


NO_LEASE = Lease(None, is_alive=False, control=None)


def read_lease(execute: Execute, flow_run_id: bytes, silence: Silence | None = None) -> Lease:
    """Tell who executes a flow run.

    Parameters:
        execute: runs a statement in the transaction.
        flow_run_id: its key.
        silence: has watched its owner; without it, of one elsewhere the lease decides.
    """
    found = execute(sql.READ_LEASE, (flow_run_id,)).fetchone()
    if found is None or found[0] is None:
        return NO_LEASE
    owner, token, expires, _state_type = found
    control = execute(sql.READ_FENCE, (flow_run_id,)).fetchone()[1]
    if silence is None:
        is_alive = is_owner_alive(owner, expires, clock.epoch())
    else:
        is_alive = not silence.is_dead(Owned(owner, token, expires))
    return Lease(owner, is_alive, control)


# -- flow runs ------------------------------------------------------------------------------------


def set_flow_run_state(
    store: Store, flow_run_id: UUID, proposed: State, *, force: bool
) -> OrchestrationResult:
    """Propose a state for a flow run, or force it; see the head of this file.

    Raises:
        ObjectNotFound: there is no such flow run.
        IllegalTransition: the state is refused, and the run has none that it could keep.
    """
    silence = None if force else watch_owner(store.read, flow_run_id)

    def work(execute: Execute) -> OrchestrationResult:
        found = execute(sql.READ_FLOW_RUN, (flow_run_id.bytes,)).fetchone()
        if found is None:
            raise no_flow_run(store, flow_run_id)
        run = encoding.flow_run_from_row(found)
        lease = read_lease(execute, flow_run_id.bytes, silence)
        if lease.is_alive and (proposed.type in REQUESTS or not force):
            return _ask_owner(execute, run, proposed, lease, force=force)
        return _move_flow_run(execute, run, proposed, lease, force=force)

    return store.transact(work)


def resume_flow_run(
    store: Store, flow_run_id: UUID, run_input: Mapping[str, Any] | None = None
) -> OrchestrationResult:
    """Let a paused flow run go on: in its process, which is asked to, or as a scheduled run.

    Parameters:
        run_input: what the run waits for, by field; it is written with the transition, or not at
            all.

    Returns:
        What became of it: ACCEPT, or REJECT with the Failed state of a run that expired. The
        state is RUNNING if a process was asked, and SCHEDULED if one has to be begun.

    Raises:
        ObjectNotFound: there is no such flow run.
        NotPausedError: it is not paused.
        RuntimeError: it is not resumed with this input. It stays paused.
    """
    silence = watch_owner(store.read, flow_run_id)

    def work(execute: Execute) -> OrchestrationResult:
        found = execute(sql.READ_FLOW_RUN, (flow_run_id.bytes,)).fetchone()
        if found is None:
            raise no_flow_run(store, flow_run_id)
        run = encoding.flow_run_from_row(found)
        lease = read_lease(execute, flow_run_id.bytes, silence)
        state = run.state
        if lease.is_alive and _as_asked(lease, StateType.RUNNING) is not None:
            state = _as_asked(lease, StateType.RUNNING)
        if state is None or not state.is_paused():
            name = "without a state" if state is None else f"in state {state.name}"
            raise NotPausedError(
                f"Flow run {run.name!r} ({run.id}) is {name}: only a paused run can be resumed."
            )
        if lease.is_alive:
            answer = _ask_owner(execute, run, Running(), lease, force=False)
        else:
            answer = _move_flow_run(execute, run, Scheduled(name=RESUMING), lease, force=False)
        if answer.status is Status.ACCEPT:
            respond(execute, run, state, run_input)
        return answer

    return store.transact(work)


def _as_asked(lease: Lease, wanted: StateType) -> State | None:
    """Give the state that was asked of the owner before, where it counts for what is wanted now.

    Of two requests the owner sees the last: a pause that it has not taken note of is taken back by
    a resumption, and the other way round. A cancellation stands.
    """
    if lease.control is None:
        return None
    asked = requests.decode(lease.control)
    counts = asked.is_cancelling() or {asked.type, wanted} == {StateType.PAUSED, StateType.RUNNING}
    return asked if counts or asked.type is wanted is StateType.RUNNING else None


def no_flow_run(store: Store, flow_run_id: UUID) -> ObjectNotFound:
    """Make the error that says that a flow run does not exist."""
    return ObjectNotFound(
        f"There is no flow run {flow_run_id} in the store {store.place!r}. See"
        " `penstock flow-run ls` for those that are there."
    )


def _ask_owner(
    execute: Execute, run: FlowRun, proposed: State, lease: Lease, *, force: bool
) -> OrchestrationResult:
    if run.state is not None and (asked := _as_asked(lease, proposed.type)) is not None:
        # What was asked for before holds, though the owner has not taken note of it yet.
        run.state = asked
    is_resumed = proposed.type is StateType.RUNNING and run.state_type is StateType.PAUSED
    if proposed.type not in REQUESTS and not is_resumed:
        return _result(
            Status.ABORT,
            reason=f"Flow run {run.name!r} is being executed by {_title(lease)}, which decides its"
            " states. Propose Cancelling() to have it stopped, or give force=True to take the run"
            " away from that process.",
        )
    # The rules let a run without a process be cancelled at once; this one has a process.
    run.infrastructure_pid = run.infrastructure_pid or lease.owner
    answer = decide_flow(run, proposed, Facts(now=clock.now()), force=force)
    if answer.state is None:
        return _refusal(run, answer)
    if is_resumed and answer.status is Status.REJECT:
        return _result(Status.REJECT, answer.state, reason=answer.reason)  # its owner sees to it
    if proposed.is_paused() and proposed.state_details.pause_key is None:
        proposed.state_details.pause_key = str(new_id())
    execute(sql.ASK_OF_FLOW_RUN, (requests.encode(proposed), run.id.bytes))
    proposed.state_details.flow_run_id = run.id
    return _result(
        Status.ACCEPT,
        proposed,
        reason=f"Asked of {_title(lease)}, which executes the flow run: it takes note with its"
        " next commit or heartbeat.",
    )


def _title(lease: Lease) -> str:
    return "this very process" if lease.owner == this_process() else f"process {lease.owner}"


def _move_flow_run(
    execute: Execute, run: FlowRun, proposed: State, lease: Lease, *, force: bool
) -> OrchestrationResult:
    facts = Facts(now=clock.now())
    answer = decide_flow(run, proposed, facts, force=force)
    if _has_nobody_to_stop(run, answer, lease):
        cancelled = Cancelled(message=proposed.message)
        further = decide_flow(run, cancelled, facts, force=force)
        reason = "This flow run has no living process that had to be stopped."
        answer = Answer(Status.REJECT, further.state, reason, None, further.changes, further.after)
    if answer.state is None:
        return _refusal(run, answer)
    record(run, answer.state, facts, answer.changes)
    execute(sql.UPDATE_FLOW_RUN, encoding.flow_run_update_row(run))
    if lease.owner is not None:
        execute(sql.FENCE_OFF_FLOW_RUN, (run.id.bytes,))
    if UPDATE_PARENT_TASK in answer.after:
        update_parent_task(execute, run, facts)
    if answer.state.is_cancelled():
        cancel_what_is_left(execute, run.id, force=force)
    return _result(answer.status, answer.state, reason=answer.reason)


def _has_nobody_to_stop(run: FlowRun, answer: Answer, lease: Lease) -> bool:
    """Tell whether a run would wait for ever in CANCELLING: nothing is there to be stopped."""
    if answer.state is None or answer.state.type is not StateType.CANCELLING or lease.is_alive:
        return False
    return lease.owner is not None or run.infrastructure_pid is None


def cancel_what_is_left(
    execute: Execute, flow_run_id: UUID, *, force: bool = False, limit: int = LEFT_LIMIT
) -> list[tuple[FlowRun | TaskRun, State]]:
    """Cancel what a flow run that was cancelled has left (4.6), in a transaction.

    Its task runs become Cancelled, and so do its subflow runs; one that a living process executes
    is asked to be cancelled, unless that process is to be fenced off.

    Parameters:
        execute: runs a statement in the transaction.
        flow_run_id: whose.
        force: do not ask living processes: take the subflow runs away from them.
        limit: the most task runs and the most subflow runs to deal with.

    Returns:
        The runs, with the states that they came to or were asked to come to.
    """
    key, facts = flow_run_id.bytes, Facts(now=clock.now())
    done: list[tuple[FlowRun | TaskRun, State]] = []
    for row in execute(sql.READ_UNFINISHED_SUBFLOW_RUNS, (key, limit)).fetchall():
        subflow_run = encoding.flow_run_from_row(row)
        lease = read_lease(execute, subflow_run.id.bytes)
        if lease.is_alive and not force:
            if lease.control is None or not requests.decode(lease.control).is_cancelling():
                proposed = Cancelling(message=PARENT_CANCELLED)
                _ask_owner(execute, subflow_run, proposed, lease, force=False)
                done.append((subflow_run, proposed))
            continue
        cancelled = Cancelled(message=PARENT_CANCELLED)
        _move_flow_run(execute, subflow_run, cancelled, lease, force=True)
        done.append((subflow_run, cancelled))
    for row in execute(sql.READ_UNFINISHED_TASK_RUNS, (key, limit)).fetchall():
        task_run = encoding.task_run_from_row(row)
        cancelled = Cancelled(message=PARENT_CANCELLED, timestamp=facts.now)
        record(task_run, cancelled, facts)
        execute(sql.WRITE_TASK_RUN, encoding.task_run_row(task_run))
        done.append((task_run, cancelled))
    return done


def cancel_what_a_run_leaves(
    store: Store, flow_run_id: UUID, *, limit: int = LEFT_LIMIT
) -> list[tuple[FlowRun | TaskRun, State]]:
    """Cancel what a flow run has left that is being cancelled; see `cancel_what_is_left`."""
    return store.transact(lambda execute: cancel_what_is_left(execute, flow_run_id, limit=limit))


def update_parent_task(execute: Execute, run: FlowRun, facts: Facts) -> None:
    """Copy a subflow run's state to the task run that stands for it in its parent.

    While the parent is being executed, its owner does that itself.
    """
    if run.parent_task_run_id is None:
        return
    found = execute(sql.READ_TASK_RUN, {"id": run.parent_task_run_id.bytes}).fetchone()
    if found is None or read_lease(execute, found[0]).is_alive:
        return
    task_run = encoding.task_run_from_row(found)
    record(task_run, state_for_parent_task(run), facts)
    execute(sql.WRITE_TASK_RUN, encoding.task_run_row(task_run))


# -- task runs ------------------------------------------------------------------------------------


def set_task_run_state(
    store: Store, task_run_id: UUID, proposed: State, *, force: bool
) -> OrchestrationResult:
    """Propose a state for a task run, or force it; see the head of this file.

    Raises:
        ObjectNotFound: there is no such task run.
        IllegalTransition: the state is refused, and the run has none that it could keep.
    """
    # Finds the task run's place, or says that there is none.
    known = store.read_task_run(task_run_id)
    key = encoding.NO_FLOW_RUN if known.flow_run_id is None else known.flow_run_id.bytes
    cached = _cached_state(store, proposed)

    def work(execute: Execute) -> OrchestrationResult:
        found = execute(sql.READ_TASK_RUN_OF, (key, task_run_id.bytes)).fetchone()
        if found is None:
            # Deleted meanwhile.
            raise ObjectNotFound(f"There is no task run {task_run_id} any more.")
        run = encoding.task_run_from_row(found)
        lease = read_lease(execute, key)
        if lease.is_alive and lease.owner != this_process() and not force:
            return _result(
                Status.ABORT,
                reason=f"The flow run of task run {run.name!r} is being executed by"
                f" {_title(lease)}, which decides about its task runs. Give force=True to set the"
                " state all the same.",
            )
        facts = Facts(now=clock.now(), flow_run=_flow_run_of(execute, run), cached=cached)
        answer = decide_task(run, proposed, facts, force=force)
        if answer.state is None:
            return _refusal(run, answer)
        record(run, answer.state, facts, answer.changes)
        run.cache_key = answer.state.state_details.cache_key or run.cache_key
        write_task_run(execute, run, answer)
        return _result(answer.status, answer.state, reason=answer.reason)

    return store.transact(work)


def _cached_state(store: Store, proposed: State) -> State | None:
    details = proposed.state_details
    if (
        proposed.type is not StateType.RUNNING
        or details.cache_key is None
        or details.refresh_cache
    ):
        return None
    return store.cached_state(details.cache_key, clock.epoch())


def _flow_run_of(execute: Execute, run: TaskRun) -> FlowRun | None:
    if run.flow_run_id is None:
        return None
    found = execute(sql.READ_FLOW_RUN, (run.flow_run_id.bytes,)).fetchone()
    return None if found is None else encoding.flow_run_from_row(found)


def write_task_run(execute: Execute, run: TaskRun, answer: Answer) -> None:
    """Write a task run after its transition, and its cache entry if it makes one."""
    row = encoding.task_run_row(run)
    execute(sql.WRITE_TASK_RUN, row)
    state = answer.state
    if INSERT_CACHE not in answer.after or state is None:
        return
    data, details = state.data, state.state_details
    if isinstance(data, BaseResult) and data.type != "unpersisted":
        expires = encoding.epoch_of(details.cache_expiration)
        execute(sql.WRITE_CACHE_ENTRY, (details.cache_key, row[0], row[1], expires))


# -- answers --------------------------------------------------------------------------------------


def _refusal(run: FlowRun | TaskRun, answer: Answer) -> OrchestrationResult:
    """Answer that nothing was written; after a rejection the present state holds."""
    state = run.state if answer.status is Status.REJECT else None
    return _result(answer.status, state, reason=answer.reason, delay_s=answer.delay_s)


def _result(
    status: Status,
    state: State | None = None,
    *,
    reason: str | None = None,
    delay_s: float | None = None,
) -> OrchestrationResult:
    details = StateResponseDetails(reason=reason, delay_seconds=delay_s)
    return OrchestrationResult(status=status, state=state, details=details)
