"""The slots that task runs need whose tags are limited (rule T4): waited for without a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.concurrency.desk import Ticket, desk_of
from penstock.engine.effects import Await, Commit, Read, Sleep, Steps
from penstock.rules import Facts, Status, decide_task, record
from penstock.rules.answers import TAKE_SLOTS
from penstock.states import StateType
from penstock.store import limits, slots_sql
from penstock.store import statements as sql
from penstock.store.encoding import task_run_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.rules import Answer
    from penstock.states import State

EXPLAIN_AFTER_S = 1.0
"""A task run that has waited for so long says why, in its log and its record."""

_WAITING = (StateType.PENDING, StateType.SCHEDULED)


_SLOT_WAIT = "PENSTOCK_TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS"


def decide_with_slots(
    call: Any, proposed: State, cached: State | None, tags: list[str]
) -> Steps[tuple[Answer, Facts]]:
    """Ask the rules for a run that wants to begin, and has slots of its tags' limits if it may."""
    execution = call.execution
    wait_s = execution.settings.values_by_name[_SLOT_WAIT]
    while True:
        has_slots = call.slots is not None and call.slots.taken
        found = yield Read(lambda: limits_of(call, tags))
        if has_slots:  # though the limit was lowered meanwhile
            found = {tag: (limit, 0) for tag, (limit, _) in found.items()}
        facts = Facts(
            now=proposed.timestamp,
            flow_run=execution.seen_flow_run,
            cached=cached,
            limits=found,
            slot_wait_s=wait_s,
        )
        answer = decide_task(call.run, proposed, facts)
        is_full = any(taken >= limit for limit, taken in found.values())
        if TAKE_SLOTS in answer.after and not has_slots:
            yield from take(call, tags, wait_s)
        elif answer.status is not Status.WAIT:
            return answer, facts
        elif is_full:
            yield from take(call, tags, answer.delay_s or 0.0)
        else:
            yield Sleep(clock.epoch() + (answer.delay_s or 0.0))
        proposed.timestamp = clock.now()


def limits_of(call: Any, tags: list[str]) -> Mapping[str, tuple[int, int]]:
    """Give the limits of tags: how many slots there are, and how many others have."""
    own = b"" if call.slots is None else call.slots.id
    found: dict[str, tuple[int, int]] = {}
    for tag in tags:
        rows = call.execution.store.read(slots_sql.READ_TAG_LIMIT, (own, limits.TAG + tag))
        if rows:
            found[tag] = (int(rows[0][0]), int(rows[0][1]))
    return found


def take(call: Any, tags: list[str], delay_s: float) -> Steps[None]:
    """Take a slot of each limit, or wait for them; at `delay_s` the rules are asked again.

    Whoever calls asks the rules again in any case: much may have happened meanwhile.
    """
    execution = call.execution
    ticket: Any = call.slots
    desk = desk_of(execution.store)
    if ticket is None:
        flow_run = execution.flow_run
        holder = f"task run {call.run.name!r}"
        ticket = call.slots = Ticket(
            [limits.TAG + tag for tag in tags],
            holder=holder if flow_run is None else f"{holder} of flow run {flow_run.name!r}",
            flow_run_id=None if flow_run is None else flow_run.id.bytes,
            is_known=True,
        )
        ticket.is_asked = lambda: execution.asked is not None or execution.stopped is not None
        ticket.wake_at = clock.monotonic() + min(delay_s, EXPLAIN_AFTER_S)
        desk.enter(ticket)
        yield Await([ticket.future])
        if not ticket.taken and ticket.error is None and execution.asked is None:
            yield from _explain(call, ticket)
    else:
        desk.renew(ticket, clock.monotonic() + delay_s)
        yield Await([ticket.future])
    if execution.stopped is not None:
        execution.refuse_when_stopped()
    if ticket.error is not None:
        call.slots = None
        if limits.is_store_error(ticket.error):
            raise ticket.error


def _explain(call: Any, ticket: Ticket) -> Steps[None]:
    """Say why the run waits: in its log, and in the message of the state it is in."""
    run, execution = call.run, call.execution
    why = limits.why_waiting(execution.store, ticket.names)
    call.logger().info("%s", why)
    former = run.state
    if former is None or former.type not in _WAITING:
        return
    record(run, former.copy(message=why), Facts(now=clock.now()))
    yield Commit(execution, [(sql.WRITE_TASK_RUN, task_run_row(run))])


def give_back(call: Any) -> Steps[None]:
    """Give the slots back, or wait for them no longer, and wait until that is done."""
    done = let_go(call)
    if done is not None:
        yield Await([done])


def let_go(call: Any) -> Any:
    """Give the slots back; the future that is returned says when that is done."""
    ticket, call.slots = call.slots, None
    return None if ticket is None else desk_of(call.execution.store).leave(ticket)
