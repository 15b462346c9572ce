"""The slots that task runs need whose tags are limited (rule T4): waited for without a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.concurrency.desk import Ticket, desk_of
from penstock.engine.effects import Await, Commit, Steps
from penstock.rules import Facts, record
from penstock.states import StateType
from penstock.store import limits, slots_sql
from penstock.store import statements as sql
from penstock.store.encoding import task_run_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.engine.task_transitions import TaskCall

EXPLAIN_AFTER_S = 1.0
"""A task run that has waited for so long says why, in its log and its record."""

_WAITING = (StateType.PENDING, StateType.SCHEDULED)


def limits_of(call: TaskCall, tags: list[str]) -> Mapping[str, tuple[int, int]]:
    """Give the limits of tags: how many slots there are, and how many others have."""
    own = b"" if call.slots is None else call.slots.id
    found: dict[str, tuple[int, int]] = {}
    for tag in tags:
        rows = call.execution.store.read(slots_sql.READ_TAG_LIMIT, (own, limits.TAG + tag))
        if rows:
            found[tag] = (int(rows[0][0]), int(rows[0][1]))
    return found


def take(call: TaskCall, tags: list[str], delay_s: float) -> Steps[None]:
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


def _explain(call: TaskCall, ticket: Ticket) -> Steps[None]:
    """Say why the run waits: in its log, and in the message of the state it is in."""
    run, execution = call.run, call.execution
    why = limits.why_waiting(execution.store, ticket.names)
    call.logger().info("%s", why)
    former = run.state
    if former is None or former.type not in _WAITING:
        return
    record(run, former.copy(message=why), Facts(now=clock.now()))
    yield Commit(execution, [(sql.WRITE_TASK_RUN, task_run_row(run))])


def give_back(call: TaskCall) -> Steps[None]:
    """Give the slots back, or wait for them no longer, and wait until that is done."""
    done = let_go(call)
    if done is not None:
        yield Await([done])


def let_go(call: TaskCall) -> Any:
    """Give the slots back; the future that is returned says when that is done."""
    ticket, call.slots = call.slots, None
    return None if ticket is None else desk_of(call.execution.store).leave(ticket)
