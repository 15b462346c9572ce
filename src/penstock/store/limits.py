"""Concurrency limits as they are set and looked at; which tags have one.

Taking their slots is in `slots.py`. The engine asks here, before each task run with tags, whether
any of them is limited: that is answered from memory, which is filled again a few times a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID
from weakref import WeakKeyDictionary

import msgspec

from penstock import clock, world
from penstock.exceptions import (
    ConcurrencySlotAcquisitionError,
    ObjectAlreadyExists,
    ObjectNotFound,
)
from penstock.ids import id_from_bytes, new_id
from penstock.store import slots_sql as sql
from penstock.store.lease import is_owner_alive, title_of
from penstock.store.slots import LimitRow
from penstock.store.slots import title_of as limit_title

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from penstock.store.store import Store

TAG = "tag:"
"""What stands before the name of a tag's limit."""

TAGS_INTERVAL_S = 0.1
"""How old at most the knowledge is of which tags have limits."""

SHOWN_HOLDERS_LIMIT = 3


class SlotUse(msgspec.Struct, kw_only=True):
    """Who has slots of a limit, or waits for them.

    Parameters:
        holder: a task run, a flow run, or a process, by its name.
        flow_run_id: the flow run it belongs to, if any.
        process: in which process.
        slots: how many.
        since: when they were taken; of those who wait, when they came.
    """

    holder: str
    flow_run_id: UUID | None
    process: str
    slots: int
    since: float


class Limit(msgspec.Struct, kw_only=True):
    """A limit, with who has its slots and who waits for them, in the order of their turn."""

    id: UUID
    name: str
    slots: int
    active: bool
    slot_decay_per_second: float
    decaying_slots: float
    holders: list[SlotUse]
    waiting: list[SlotUse]
    created: float
    updated: float

    @property
    def taken(self) -> float:
        """How many slots are not free."""
        return sum(each.slots for each in self.holders) + self.decaying_slots


# -- looking --------------------------------------------------------------------------------------


def read_limit(store: Store, name: str) -> Limit:
    """Give a limit.

    Raises:
        ObjectNotFound: there is none of this name.
    """
    found = store.read(sql.READ_LIMIT_BY_NAME, (name,))
    if not found:
        raise _missing(store, name)
    return _whole(store, LimitRow(*found[0]))


def read_limits(store: Store) -> list[Limit]:
    """Give all limits, by name."""
    return [_whole(store, LimitRow(*row)) for row in store.read(sql.READ_LIMITS)]


def _whole(store: Store, row: LimitRow) -> Limit:
    now = clock.epoch()
    holders: list[SlotUse] = []
    waiting: list[SlotUse] = []
    alive: dict[str, bool] = {}
    for key, holder, flow_run_id, owner, expires, slots, taken in store.read(
        sql.READ_SLOTS, (row.id,)
    ):
        if owner not in alive:
            alive[owner] = is_owner_alive(owner, expires, now)
        if not alive[owner]:
            continue  # free, though nobody has needed it yet
        came = (int.from_bytes(bytes(key)[:6], "big")) / 1000
        use = SlotUse(
            holder=holder,
            flow_run_id=None if flow_run_id is None else id_from_bytes(flow_run_id),
            process=title_of(owner),
            slots=slots,
            since=came if taken is None else taken,
        )
        (waiting if taken is None else holders).append(use)
    return Limit(
        id=id_from_bytes(row.id),
        name=row.name,
        slots=row.slots,
        active=bool(row.active),
        slot_decay_per_second=row.slot_decay_per_second,
        decaying_slots=round(row.decaying(now), 6),
        holders=holders,
        waiting=waiting,
        created=row.created,
        updated=row.updated,
    )


def why_waiting(store: Store, names: Collection[str]) -> str:
    """Say what somebody waits for who wants slots of these limits."""
    parts: list[str] = []
    for name in names:
        found = store.read(sql.READ_LIMIT_BY_NAME, (name,))
        if not found or not found[0][3]:
            continue
        limit = _whole(store, LimitRow(*found[0]))
        shown = [each.holder for each in limit.holders[:SHOWN_HOLDERS_LIMIT]]
        more = ", ..." if len(limit.holders) > len(shown) else ""
        by = f", by {', '.join(shown)}{more}" if shown else ""
        parts.append(f"{limit_title(name)} ({limit.taken:g} of {limit.slots} taken{by})")
    return f"It waits for a slot of {' and of '.join(parts) or 'a concurrency limit'}."


def waits_of_flow_run(store: Store, flow_run_id: UUID, limit: int) -> list[str]:
    """Say what a flow run and its task runs wait for: who, and for which limits."""
    rows = store.read(sql.READ_WAITS_OF_FLOW_RUN, (flow_run_id.bytes, limit))
    by_request: dict[bytes, tuple[str, list[str]]] = {}
    for name, holder, key in rows:
        by_request.setdefault(bytes(key), (holder, []))[1].append(name)
    return [f"{holder}: {why_waiting(store, names)}" for holder, names in by_request.values()]


# -- setting --------------------------------------------------------------------------------------


def create_limit(
    store: Store, name: str, slots: int, *, active: bool = True, slot_decay_per_second: float = 0.0
) -> Limit:
    """Set a limit for a name that has none; one that was only noted gets it.

    Raises:
        ObjectAlreadyExists: somebody has set one.
        ValueError: there cannot be so many slots.
    """
    check_limit(name, slots, slot_decay_per_second)

    def work(execute: Callable[..., Any]) -> bool:
        now = clock.epoch()
        found = execute(sql.READ_LIMIT_BY_NAME, (name,)).fetchone()
        if found is None:
            row = (new_id().bytes, name, slots, int(active), slot_decay_per_second, now, now)
            execute(sql.INSERT_LIMIT, row)
            return True
        noted = LimitRow(*found)
        if noted.active or noted.updated != noted.created:
            return False
        values = (name, slots, int(active), slot_decay_per_second, now, noted.id)
        execute(sql.UPDATE_LIMIT, values)
        return True

    if not store.transact(work):
        message = f"There is a {limit_title(name)} already: update it, or delete it first."
        raise ObjectAlreadyExists(message)
    forget_tags(store)
    return read_limit(store, name)


def set_limit(store: Store, name: str, slots: int) -> Limit:
    """Set a limit for a name, or change how many slots the one it has is of."""
    try:
        return create_limit(store, name, slots)
    except ObjectAlreadyExists:
        return update_limit(store, name, {"slots": slots, "active": True})


def update_limit(store: Store, name: str, changes: dict[str, Any]) -> Limit:
    """Change a limit; those who wait for it learn of it.

    Parameters:
        changes: of `name`, `slots`, `active`, `slot_decay_per_second`.

    Raises:
        ObjectNotFound: there is none of this name.
        ObjectAlreadyExists: the new name is another one's.
        ValueError: there cannot be so many slots.
    """

    def work(execute: Callable[..., Any]) -> LimitRow | str:
        found = execute(sql.READ_LIMIT_BY_NAME, (name,)).fetchone()
        if found is None:
            return ""
        row = LimitRow(*found)._replace(**changes)
        check_limit(row.name, row.slots, row.slot_decay_per_second)
        other = execute(sql.READ_LIMIT_BY_NAME, (row.name,)).fetchone()
        if other is not None and bytes(other[0]) != bytes(row.id):
            return row.name
        now = clock.epoch()
        values = (row.name, row.slots, int(row.active), row.slot_decay_per_second, now, row.id)
        execute(sql.UPDATE_LIMIT, values)
        if "slot_decay_per_second" in changes:
            decaying = LimitRow(*found).decaying(now)
            execute(sql.UPDATE_DECAY, (decaying, now, row.id))
        return row

    answer = store.transact(work)
    if answer == "":
        raise _missing(store, name)
    if isinstance(answer, str):
        message = f"There is a {limit_title(answer)} already: choose another name."
        raise ObjectAlreadyExists(message)
    forget_tags(store)
    return read_limit(store, answer.name)


def delete_limit(store: Store, name: str) -> None:
    """Delete a limit: it limits nothing any more, and who waits for it goes on.

    Raises:
        ObjectNotFound: there is none of this name.
    """
    _change_slots(store, name, (sql.DELETE_SLOTS_OF_LIMIT, sql.DELETE_LIMIT))
    forget_tags(store)


def reset_limit(store: Store, name: str) -> None:
    """Free all slots of a limit that are taken, whoever has them.

    Raises:
        ObjectNotFound: there is none of this name.
    """
    _change_slots(store, name, (sql.DELETE_TAKEN_SLOTS_OF_LIMIT, sql.FORGET_DECAY))


def _change_slots(store: Store, name: str, statements: tuple[str, ...]) -> None:
    def work(execute: Callable[..., Any]) -> bool:
        found = execute(sql.READ_LIMIT_BY_NAME, (name,)).fetchone()
        if found is None:
            return False
        for statement in statements:
            execute(statement, (found[0],))
        return True

    if not store.transact(work):
        raise _missing(store, name)


def check_limit(name: str, slots: int, slot_decay_per_second: float) -> None:
    """Raise a `ValueError` if there can be no such limit."""
    if not name.removeprefix(TAG):
        message = "The name of a concurrency limit is empty: give it one."
        raise ValueError(message)
    if isinstance(slots, bool) or not isinstance(slots, int) or not 0 <= slots < 2**31:  # pyright: ignore[reportUnnecessaryIsInstance]
        message = f"A {limit_title(name)} of {slots!r}: give a whole number, 0 or more."
        raise ValueError(message)
    if not 0 <= slot_decay_per_second < float("inf"):
        message = (
            f"A slot decay of {slot_decay_per_second!r} per second: give a number, 0 or more."
        )
        raise ValueError(message)


def _missing(store: Store, name: str) -> ObjectNotFound:
    group = "concurrency-limit" if name.startswith(TAG) else "global-concurrency-limit"
    return ObjectNotFound(
        f"There is no {limit_title(name)} in the store {store.place!r}. See `penstock {group} ls`"
        " for those that are there."
    )


def is_store_error(error: Exception) -> bool:
    """Tell whether slots were not had because of the store, and not of the limit."""
    return not isinstance(error, ConcurrencySlotAcquisitionError)


# -- which tags are limited -----------------------------------------------------------------------


class _Tags:
    __slots__ = ("limited", "until")

    def __init__(self) -> None:
        self.limited: frozenset[str] = frozenset()
        self.until = float("-inf")


_tags: WeakKeyDictionary[Store, _Tags] = WeakKeyDictionary()


def limited_tags(store: Store, tags: Collection[str]) -> list[str]:
    """Give those of `tags` that have a limit, as far as this process has seen lately."""
    known = _tags.get(store)
    if known is None:
        known = _tags[store] = _Tags()
    now = clock.monotonic()
    if now >= known.until:
        known.limited = frozenset([row[0] for row in store.read(sql.READ_LIMITED_TAGS)])
        known.until = now + TAGS_INTERVAL_S
    limited = known.limited
    return [tag for tag in tags if tag in limited] if limited else []


def forget_tags(store: Store) -> None:
    """Look anew, with the next task run, which tags have limits."""
    _tags.pop(store, None)


world.at_new_process(_tags.clear)
