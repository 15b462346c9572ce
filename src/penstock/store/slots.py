"""Taking slots of limits, and freeing them: all that is decided in a transaction.

A request names one limit or several, and gets its slots of all of them at once. Who has to wait
stands in each limit's queue, in the order of arrival, and each process lets its own in: those that
are first in all their queues. Rows of processes that are dead count for nothing and are removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from penstock import clock
from penstock.exceptions import ConcurrencySlotAcquisitionError
from penstock.ids import new_id
from penstock.store import slots_sql as sql
from penstock.store.lease import is_owner_alive, this_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HEADS_LIMIT = 16
"""How many of those who wait first in a queue are looked at in one step."""

SWEEP_INTERVAL_S = 0.5
"""How often it is looked whether the owners of a limit's slots are alive, at most."""

LATEST_RETRY_S = 3600.0
"""A rate limit that frees slots very slowly is looked at this often, too."""

_ENOUGH = 1e-9

Rows = list[tuple[Any, ...]]


class LimitRow(NamedTuple):
    """A limit, as it is recorded."""

    id: bytes
    name: str
    slots: int
    active: int
    slot_decay_per_second: float
    decaying_slots: float
    decaying_since: float
    created: float
    updated: float

    def decaying(self, now: float) -> float:
        """Give how many slots are not free again of those that a rate limit has given."""
        # A clock that was set back must not stop the decay for as long.
        elapsed = now - self.decaying_since if self.decaying_since <= now else 0.0
        return max(self.decaying_slots - elapsed * self.slot_decay_per_second, 0.0)


class Request:
    """Slots that somebody wants, of each of the limits `names`.

    Parameters:
        names: of the limits.
        occupy: how many slots of each.
        holder: who wants them, as people are told.
        flow_run_id: whose, if it is a flow run or one of its task runs.
        decays: they are a rate limit's: not given back, but free again with time.
        is_known: the limits have to be there; otherwise unknown names are noted.
    """

    __slots__ = (
        "decays",
        "error",
        "flow_run_id",
        "holder",
        "id",
        "is_known",
        "limit_ids",
        "names",
        "occupy",
        "taken",
    )

    def __init__(
        self,
        names: Iterable[str],
        occupy: int = 1,
        *,
        holder: str,
        flow_run_id: bytes | None = None,
        decays: bool = False,
        is_known: bool = False,
    ) -> None:
        self.names = tuple(sorted(set(names)))
        self.occupy = occupy
        self.holder = holder
        self.flow_run_id = flow_run_id
        self.decays = decays
        self.is_known = is_known
        self.id = b""
        self.limit_ids: tuple[bytes, ...] = ()
        self.taken = False
        self.error: Exception | None = None


class Outcome:
    """What became of requests in one transaction; it counts once that is committed."""

    def __init__(self) -> None:
        self.taken: list[Request] = []
        self.refused: list[tuple[Request, Exception | None]] = []
        self.placed: list[tuple[Request, bytes, tuple[bytes, ...]]] = []
        self.retry_at: float | None = None
        self.wants_to_write = False

    def apply(self) -> None:
        """Tell the requests."""
        for request, key, limit_ids in self.placed:
            request.id, request.limit_ids = key, limit_ids
        for request in self.taken:
            request.taken = True
        for request, error in self.refused:
            request.error = error

    def note_retry(self, when: float) -> None:
        """Look again then, at the latest."""
        self.retry_at = when if self.retry_at is None else min(self.retry_at, when)


class Counter:
    """The limits as one transaction, or one look, sees them.

    Parameters:
        rows: runs a read and gives its rows.
        execute: runs a write; none if this is only a look.
        swept: when each limit was last swept, on the monotonic clock; kept between counters.
        lease_ttl_s: for how long rows are valid that are written.
    """

    def __init__(
        self,
        rows: Callable[[str, tuple[Any, ...]], Rows],
        execute: Callable[..., Any] | None,
        swept: dict[bytes, float],
        lease_ttl_s: float,
    ) -> None:
        self._rows = rows
        self._execute = execute
        self._swept = swept
        self._ttl_s = lease_ttl_s
        self._limits: dict[bytes, LimitRow | None] = {}
        self._taken: dict[bytes, int] = {}
        self._heads: dict[bytes, list[bytes]] = {}
        self._now = clock.epoch()
        self.outcome = Outcome()

    # -- what is asked of it ------------------------------------------------------------------

    def free(self, requests: Iterable[Request]) -> None:
        """Free slots, or leave queues."""
        assert self._execute is not None
        for request in requests:
            for limit_id in request.limit_ids:
                self._execute(sql.DELETE_SLOT, (limit_id, request.id))

    def enter(self, request: Request) -> None:
        """Take the slots that are wanted, or stand in the queues for them."""
        assert self._execute is not None
        limits = [limit for name in request.names if (limit := self._named(name, request))]
        error = next((e for limit in limits if (e := refusal_of(limit, request))), None)
        if error is not None:
            self.outcome.refused.append((request, error))
            return
        keys = tuple(limit.id for limit in limits)
        for each in limits:
            self._limits[each.id] = each
        taken = self._now if self._may_take(request, keys, b"") else None
        key = self._next_id(keys)
        held = () if request.decays and taken is not None else keys
        self.outcome.placed.append((request, key, held))
        expires = self._now + self._ttl_s
        for limit_id in held:
            row = (limit_id, key, request.holder, request.flow_run_id, this_process(), expires)
            self._execute(sql.INSERT_SLOT, (*row, request.occupy, taken))
            if not self._heads.get(limit_id):
                self._heads.pop(limit_id, None)
        if taken is not None:
            self._count(request, keys)
            self.outcome.taken.append(request)

    def let_in(self, waiting: dict[bytes, Request]) -> None:
        """Let those in that are first in all their queues and find enough slots.

        Parameters:
            waiting: the requests of this process that wait, by their ids.
        """
        goes_on = True
        while goes_on and waiting:
            goes_on = False
            awaited = {each for request in waiting.values() for each in request.limit_ids}
            for limit_id in sorted(awaited):
                head = self._head(limit_id)
                request = None if head is None else waiting.get(head)
                if request is None and self._is_in_force(limit_id):
                    if head is not None:
                        self._sweep(limit_id)
                    continue
                gone = [request] if request is not None else self._freed_of(waiting, limit_id)
                for each in gone:
                    if self._advance(each):
                        del waiting[each.id]
                        goes_on = True
            if self._execute is None and self.outcome.wants_to_write:
                return

    # -- steps --------------------------------------------------------------------------------

    def _named(self, name: str, request: Request) -> LimitRow | None:
        """Give the limit of a name if it is in force; note the name if it is new."""
        found = self._rows(sql.READ_LIMIT_BY_NAME, (name,))
        if not found:
            if not request.is_known and self._execute is not None:
                row = (new_id().bytes, name, 1, 0, 0.0, self._now, self._now)
                self._execute(sql.INSERT_LIMIT, row)
            return None
        limit = LimitRow(*found[0])
        return limit if limit.active else None

    def _freed_of(self, waiting: dict[bytes, Request], limit_id: bytes) -> list[Request]:
        """Give those who wait for a limit that is no longer in force."""
        return [each for each in waiting.values() if limit_id in each.limit_ids]

    def _is_in_force(self, limit_id: bytes) -> bool:
        limit = self._limit(limit_id)
        return limit is not None and bool(limit.active)

    def _advance(self, request: Request) -> bool:
        """Take what a request waits for, if it may now; tell whether it waits no more."""
        limits = [self._limit(each) for each in request.limit_ids]
        keys = tuple(limit.id for limit in limits if limit is not None and limit.active)
        error = next(
            (e for each in limits if each and each.active and (e := refusal_of(each, request))),
            None,
        )
        if error is None and not self._may_take(request, keys, request.id):
            return False
        self.outcome.wants_to_write = True
        if self._execute is None:
            return False
        for limit_id in request.limit_ids:
            if error is None and limit_id in keys and not request.decays:
                self._execute(sql.TAKE_SLOT, (self._now, limit_id, request.id))
            else:
                self._execute(sql.DELETE_SLOT, (limit_id, request.id))
            heads = self._heads.get(limit_id)
            if heads and request.id in heads:
                heads.remove(request.id)
                if not heads:
                    del self._heads[limit_id]
        if error is not None:
            self.outcome.placed.append((request, request.id, ()))
            self.outcome.refused.append((request, error))
            return True
        self._count(request, keys)
        held = () if request.decays else keys
        self.outcome.placed.append((request, request.id, held))
        self.outcome.taken.append(request)
        return True

    def _may_take(self, request: Request, keys: tuple[bytes, ...], own: bytes) -> bool:
        """Tell whether a request is first everywhere, and finds enough slots everywhere.

        Parameters:
            own: its place in the queues; empty if it has none yet.
        """
        return all(self._may_take_of(key, request, own) for key in keys)

    def _may_take_of(self, limit_id: bytes, request: Request, own: bytes) -> bool:
        if self._has_room(limit_id, request, own):
            return True
        return self._sweep(limit_id) and self._has_room(limit_id, request, own)

    def _has_room(self, limit_id: bytes, request: Request, own: bytes) -> bool:
        limit = self._limit(limit_id)
        assert limit is not None
        head = self._head(limit_id)
        if head is not None and head != own:
            return False
        decaying = limit.decaying(self._now)
        missing = request.occupy + self._taken_of(limit_id) + decaying - limit.slots
        if missing <= _ENOUGH:
            return True
        if limit.slot_decay_per_second > 0 and decaying > _ENOUGH:
            delay_s = min(missing, decaying) / limit.slot_decay_per_second
            self.outcome.note_retry(self._now + min(delay_s, LATEST_RETRY_S))
            if limit.decaying_since > self._now:  # the clock was set back
                self._set_decay(limit, decaying)
        return False

    def _count(self, request: Request, keys: tuple[bytes, ...]) -> None:
        for limit_id in keys:
            limit = self._limits[limit_id]
            if not request.decays:
                self._taken[limit_id] = self._taken_of(limit_id) + request.occupy
            elif limit is not None:
                self._set_decay(limit, limit.decaying(self._now) + request.occupy)

    def _set_decay(self, limit: LimitRow, amount: float) -> None:
        if self._execute is None:
            self.outcome.wants_to_write = True
            return
        self._execute(sql.UPDATE_DECAY, (amount, self._now, limit.id))
        changed = limit._replace(decaying_slots=amount, decaying_since=self._now)
        self._limits[limit.id] = changed

    # -- what is there ------------------------------------------------------------------------

    def _limit(self, limit_id: bytes) -> LimitRow | None:
        if limit_id not in self._limits:
            found = self._rows(sql.READ_LIMIT, (limit_id,))
            self._limits[limit_id] = LimitRow(*found[0]) if found else None
        return self._limits[limit_id]

    def _taken_of(self, limit_id: bytes) -> int:
        taken = self._taken.get(limit_id)
        if taken is None:
            taken = int(self._rows(sql.SUM_TAKEN_SLOTS, (limit_id,))[0][0])
            self._taken[limit_id] = taken
        return taken

    def _head(self, limit_id: bytes) -> bytes | None:
        heads = self._heads.get(limit_id)
        if heads is None:
            found = self._rows(sql.READ_FIRST_WAITING, (limit_id, HEADS_LIMIT))
            heads = self._heads[limit_id] = [bytes(row[0]) for row in found]
        return heads[0] if heads else None

    def _next_id(self, keys: tuple[bytes, ...]) -> bytes:
        """Make an id that comes after those who wait, whatever the clocks of their hosts say."""
        key = new_id().bytes
        for limit_id in keys:
            last = self._rows(sql.READ_LAST_ID, (limit_id,))
            if last and bytes(last[0][0]) >= key:
                key = (int.from_bytes(last[0][0], "big") + 1).to_bytes(16, "big")
        return key

    def _sweep(self, limit_id: bytes) -> bool:
        """Remove what dead processes have of a limit; tell whether there was anything."""
        now = clock.monotonic()
        if now < self._swept.get(limit_id, -SWEEP_INTERVAL_S) + SWEEP_INTERVAL_S:
            return False
        owners = self._rows(sql.READ_OWNERS, (limit_id,))
        own = this_process()
        dead = [
            owner
            for owner, expires in owners
            if owner != own and not is_owner_alive(owner, expires, self._now)
        ]
        if not dead:
            self._swept[limit_id] = now
            return False
        self.outcome.wants_to_write = True
        if self._execute is None:
            return False
        for owner in dead:
            self._execute(sql.DELETE_SLOTS_OF_OWNER, (limit_id, owner))
        self._heads.pop(limit_id, None)
        self._taken.pop(limit_id, None)
        return True


def refusal_of(limit: LimitRow, request: Request) -> Exception | None:
    """Give why a request can never have its slots; none if it can."""
    title = title_of(limit.name)
    if request.decays and limit.slot_decay_per_second <= 0:
        return ConcurrencySlotAcquisitionError(
            f"The {title} has no slot decay: what rate_limit() takes would never be free again."
            " Give it one (`penstock global-concurrency-limit update --slot-decay-per-second N`)"
            " or use concurrency()."
        )
    if request.occupy > limit.slots:
        return ConcurrencySlotAcquisitionError(
            f"{request.occupy} slots of the {title} were asked for, and it has"
            f" {limit.slots}: that could never be. Occupy fewer, or raise the limit."
        )
    return None


def title_of(name: str) -> str:
    """Name a limit as messages do."""
    if name.startswith("tag:"):
        return f"tag limit {name.removeprefix('tag:')!r}"
    return f"concurrency limit {name!r}"
