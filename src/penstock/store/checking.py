"""Checking a store: does what is recorded keep the promises that were made of it?

It reads everything once, in bounded memory, and changes nothing; runs may go on meanwhile. Used by
`penstock db check`, and by tests that kill processes and then look at what they have left.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from penstock import clock
from penstock.store import checking_sql as sql
from penstock.store.checking_runs import PAGE_ROWS, run_findings
from penstock.store.encoding import NO_FLOW_RUN
from penstock.store.findings import Finding, finding
from penstock.store.lease import is_owner_alive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.store.store import Store

FINDINGS_LIMIT = 1000
"""How many findings are given at most: a store with more of them is broken as a whole."""

GRACE_S = 60.0
"""For how long after the end of its lease a run of a dead owner is left to recovery."""


def check_history(
    store: Store, *, limit: int = FINDINGS_LIMIT, grace_s: float = GRACE_S
) -> list[Finding]:
    """Check everything that is recorded in a store.

    No transition out of a final state but those that the rules permit, and every other one legal;
    books that agree with the history, in the order of time; nothing executed after it completed
    with a result; no owner of what is over, no owner without a token; nothing stuck; no task run
    unfinished in a finished flow run; no limit exceeded; nothing that belongs to nothing; nothing
    unreadable; and the database itself whole.

    Parameters:
        store: the store. It is only read, and may be written meanwhile.
        limit: the most findings to give.
        grace_s: for how long, in seconds, a run is not called stuck after the lease of its dead
            owner is over. 0 calls it so at once.

    Returns:
        What is wrong; an empty list where all is in order.

    Raises:
        StoreError: the store cannot be read.

    Example:
        >>> from penstock.store import get_store
        >>> from penstock.store.checking import check_history
        >>> [finding.what for finding in check_history(get_store())]  # doctest: +SKIP
        []
    """
    return list(islice(find_problems(store, grace_s=grace_s), limit))


def find_problems(store: Store, *, grace_s: float = GRACE_S) -> Iterator[Finding]:
    """Give what is wrong in a store, as it is found. See `check_history`."""
    now = clock.epoch()
    yield from _damages(store)
    yield from run_findings(store, now, grace_s)
    yield from _limit_findings(store, now, grace_s)
    yield from _left_over(store)


def _damages(store: Store) -> Iterator[Finding]:
    if store.dialect != "sqlite":
        return  # a server looks after its own files
    for (text,) in store.read(sql.INTEGRITY):
        if text != "ok":
            yield finding("damaged", "store", f"SQLite says: {text}.", name=store.place)


def _limit_findings(store: Store, now: float, grace_s: float) -> Iterator[Finding]:
    for key, name, slots, is_active in store.read(sql.LIMITS):
        taken = int(store.read(sql.TAKEN_SLOTS, (key,))[0][0])
        if is_active and taken > slots:
            what = f"{taken} slots of it are taken, and it has {slots}."
            yield finding("over-limit", "limit", what, bytes(key), name)
    last = (b"", b"")
    while rows := store.read(sql.SLOTS, (*last, PAGE_ROWS)):
        for _limit, key, name, holder, owner, expires in rows:
            if name is None:
                yield finding("without-limit", "slot", f"It is held by {holder}.", bytes(key))
            elif expires + grace_s < now and not is_owner_alive(owner, expires, now):
                what = f"It is held by {holder}, whose process {owner} is dead."
                yield finding("leaked-slot", "slot", what, bytes(key), name)
        last = (bytes(rows[-1][0]), bytes(rows[-1][1]))


def _left_over(store: Store) -> Iterator[Finding]:
    last = NO_FLOW_RUN
    while rows := store.read(sql.NEXT_OF_LOGS, (last,)):
        last = bytes(rows[0][0])
        if not store.read(sql.HAS_FLOW_RUN, (last,)):
            what = "They are of a flow run that is not there."
            yield finding("without-flow-run", "log records", what, last)
    for key, number in store.read(sql.INPUTS_WITHOUT_FLOW_RUN, (FINDINGS_LIMIT,)):
        yield finding("without-flow-run", "inputs", f"{number} were sent to it.", bytes(key))
    entries = store.read(sql.CACHE_ENTRIES_WITHOUT_TASK_RUN, (FINDINGS_LIMIT,))
    for name, _owner, key in entries:
        what = "Its cache key leads nowhere."
        yield finding("without-task-run", "cache entry", what, bytes(key), name)
