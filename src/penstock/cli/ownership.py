"""Who executes a flow run, and why one that is not over waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from penstock import clock
from penstock.cli.output import here
from penstock.states import StateType
from penstock.store import get_store, is_owner_alive, requests
from penstock.store import statements as sql
from penstock.store.limits import waits_of_flow_run

if TYPE_CHECKING:
    from penstock.records import FlowRun
    from penstock.states import State
    from penstock.store import Store

_SHOWN_WAITS_LIMIT = 3
"""Of how many of its task runs it is said that they wait for slots."""


class Ownership(NamedTuple):
    """The process that has a flow run, whether it lives, and what was asked of it."""

    owner: str | None
    is_alive: bool
    asked_for: str | None

    @property
    def title(self) -> str:
        """Name the process: `process 4711 on host alpha`."""
        host, pid, _start = (self.owner or "::").rsplit(":", 2)
        return f"process {pid} on host {host.partition('/')[0]}"


NOBODY = Ownership(None, is_alive=False, asked_for=None)


def ownership_of(store: Store, run: FlowRun) -> Ownership:
    """Tell who executes a flow run now; nobody does one that is over."""
    if run.state is not None and run.state.is_final():
        return NOBODY
    rows = store.read(sql.READ_LEASE, (run.id.bytes,))
    if not rows or rows[0][0] is None:
        return NOBODY
    owner, _fence, expires, _state_type = rows[0]
    control = store.read(sql.READ_FENCE, (run.id.bytes,))[0][1]
    asked_for = None if control is None else requests.word_of(control).value
    return Ownership(owner, is_owner_alive(owner, expires, clock.epoch()), asked_for)


def ownership_in(row: tuple[Any, ...], run: FlowRun) -> Ownership:
    """Tell the same from a row that ends with the owner, its lease and what was asked of it."""
    owner, expires, control = row[-3:]
    if owner is None or (run.state is not None and run.state.is_final()):
        return NOBODY
    asked_for = None if control is None else requests.word_of(control).value
    return Ownership(owner, is_owner_alive(owner, expires, clock.epoch()), asked_for)


def why_it_waits(run: FlowRun, ownership: Ownership) -> str | None:
    """Say what a flow run that is not over waits for, or who executes it; none if it is over."""
    state = run.state
    if state is not None and state.is_final():
        return None
    parts = [_own_reason(state)]
    if ownership.asked_for and (state is None or state.type.value != ownership.asked_for):
        parts.append(
            f"It was asked to become {ownership.asked_for}; its process takes note with the next"
            " commit or heartbeat."
        )
    if ownership.is_alive:
        parts.append(f"It is executed by {ownership.title}.")
        parts += waits_of_flow_run(get_store(), run.id, _SHOWN_WAITS_LIMIT)
    else:
        gone = f"The process that executed it is gone ({ownership.title})"
        nobody = gone if ownership.owner else "No process executes it"
        parts.append(f"{nobody}: go on with `penstock flow-run resume {run.id}`.")
    return " ".join(part for part in parts if part)


def _own_reason(state: State | None) -> str:
    """Say what the state itself tells of the wait."""
    if state is None:
        return "It has no state yet."
    details = state.state_details
    if state.type is StateType.SCHEDULED:
        return f"It is to start at {here(details.scheduled_time)}."
    if state.type is StateType.PAUSED:
        until = f" until {here(details.pause_timeout)}" if details.pause_timeout else ""
        given = " with input" if details.run_input_keyset is not None else ""
        return f"It waits{until} to be resumed{given}."
    if state.type is StateType.PENDING:
        return state.message or "It has not begun."
    return ""
