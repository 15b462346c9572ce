"""Paused flow runs whose time to be resumed is over, and that nobody has: they fail (4.6).

A run that is paused in a living process is that process's to end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from penstock import clock
from penstock.client.transitions import read_lease, update_parent_task
from penstock.rules import Facts, decide_flow, record
from penstock.rules.flow_rules import NEVER_RESUMED
from penstock.services import statements as own_sql
from penstock.states import Failed
from penstock.store import encoding
from penstock.store import statements as sql
from penstock.store.lease import is_known_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from penstock.records import FlowRun
    from penstock.store import Store

PAGE_RUNS = 500
"""How many paused flow runs are looked at with one read."""

EXPIRED_LIMIT = 500
"""The most flow runs that one pass ends; what is left is found by the next one."""


class Expired(NamedTuple):
    """A flow run that nobody resumed in time."""

    flow_run_id: UUID
    name: str
    flow_name: str
    was: str
    why: str


def expire_paused(store: Store, *, dry_run: bool = False) -> list[Expired]:
    """Fail the flow runs that were paused, belong to no process, and were not resumed in time.

    Parameters:
        store: where to look.
        dry_run: only say which.

    Returns:
        Those that failed.
    """
    expired: list[Expired] = []
    for run in _paused(store):
        if len(expired) >= EXPIRED_LIMIT:
            break
        if _is_expired(run):
            made = _expire(store, run.id.bytes, dry_run=dry_run)
            if made is not None:
                expired.append(made)
    return expired


def _paused(store: Store) -> Iterator[FlowRun]:
    after = b""
    while True:
        rows = store.read(own_sql.READ_PAUSED, (after, PAGE_RUNS))
        yield from map(encoding.flow_run_from_row, rows)
        if len(rows) < PAGE_RUNS:
            return
        after = bytes(rows[-1][0])


def _is_expired(run: FlowRun) -> bool:
    state = run.state
    if state is None or not state.is_paused():
        return False
    until = state.state_details.pause_timeout
    return until is not None and until <= clock.now()


def _expire(store: Store, key: bytes, *, dry_run: bool) -> Expired | None:
    def work(execute: Callable[..., Any]) -> Expired | None:
        found = execute(sql.READ_FLOW_RUN, (key,)).fetchone()
        if found is None:
            return None
        run = encoding.flow_run_from_row(found)
        lease = read_lease(execute, key)
        # A process elsewhere is not known to be dead before recovery has taken its runs away.
        may_live = lease.owner is not None and not is_known_here(lease.owner)
        # Resumed meanwhile, or its process sees to it.
        if not _is_expired(run) or lease.is_alive or may_live:
            return None
        assert run.state is not None
        expired = Expired(run.id, run.name, run.flow_name, run.state.name, NEVER_RESUMED)
        if dry_run:
            return expired
        facts = Facts(now=clock.now())
        failed = Failed(message=NEVER_RESUMED)
        answer = decide_flow(run, failed, facts, force=True)
        record(run, answer.state or failed, facts, answer.changes)
        execute(sql.UPDATE_FLOW_RUN, encoding.flow_run_update_row(run))
        execute(sql.FENCE_OFF_FLOW_RUN, (key,))
        update_parent_task(execute, run, facts)
        return expired

    return store.transact(work)
