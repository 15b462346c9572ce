"""One place where all of this process come that want slots of concurrency limits.

One daemon thread does all that is done with the store for them: whoever wants slots, or gives them
back, tells it and waits for a future. So nobody's own thread can be interrupted in the middle of
it, requests that come together share a transaction, and the leases of what is held are extended.
The thread is started with the first request, and ends soon after the last slot is given back.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from penstock import clock, world
from penstock.exceptions import StoreError
from penstock.futures import PenstockFuture
from penstock.ids import new_id
from penstock.settings import get_current_settings
from penstock.states import Completed
from penstock.store import get_store
from penstock.store import slots_sql as sql
from penstock.store.lease import this_process
from penstock.store.slots import Counter, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.store import Store

INTERVAL_S = 0.025
"""How often it is looked whether anything was written, while somebody waits."""

GLANCE_S = 0.5
"""How often it is looked at when nothing was written: a process that had slots may have died."""

LINGER_S = 1.0
"""For how long the thread waits for something to do."""

REST_FACTOR = 5
"""The thread rests so much longer than it looked in vain."""

_logger = logging.getLogger("penstock.concurrency")
_DONE = Completed()


class Ticket(Request):
    """A request, and how one learns what became of it.

    `future` is done when the slots are taken, when they can never be had (`error`), or when
    `wake_at` has come on the monotonic clock, or `is_asked` has given true.
    """

    __slots__ = ("future", "is_asked", "is_given_back", "wake_at")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.future = PenstockFuture("slots", new_id(), None)
        self.is_asked: Callable[[], bool] | None = None
        self.is_given_back = False
        self.wake_at: float | None = None

    def is_due(self, now: float) -> bool:
        """Tell whether whoever waits is to be woken, slots or not."""
        if self.wake_at is not None and self.wake_at <= now:
            return True
        return self.is_asked is not None and self.is_asked()


class Desk:
    """The slots of one store that this process has or wants, and the thread that sees to them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._bell = threading.Lock()
        self._bell.acquire()
        self._runs = False
        self._entering: list[Ticket] = []
        self._leaving: list[tuple[Ticket, PenstockFuture]] = []
        self._waiting: dict[bytes, Ticket] = {}
        self._held: dict[bytes, Ticket] = {}
        self._swept: dict[bytes, float] = {}
        self._version: int | None = None
        self._look_at = 0.0
        self._extend_at = 0.0

    # -- for those who come -------------------------------------------------------------------

    def enter(self, ticket: Ticket) -> None:
        """Want slots: `ticket.future` tells."""
        with self._lock:
            self._entering.append(ticket)
            self._ring()

    def renew(self, ticket: Ticket, wake_at: float | None) -> None:
        """Go on waiting: `ticket.future` is a new one, done at `wake_at` at the latest."""
        with self._lock:
            ticket.wake_at = wake_at
            future = ticket.future = PenstockFuture("slots", new_id(), None)
            is_over = ticket.taken or ticket.error is not None
            if not is_over:
                self._ring()
        if is_over:
            future.set_state(_DONE)

    def leave(self, ticket: Ticket) -> PenstockFuture:
        """Give slots back, or wait for them no longer; the future tells when that is done."""
        done = PenstockFuture("slots given back", new_id(), None)
        with self._lock:
            is_first, ticket.is_given_back = not ticket.is_given_back, True
            if is_first:
                self._leaving.append((ticket, done))
                self._ring()
        if not is_first:
            done.set_state(_DONE)
        return done

    def _ring(self) -> None:
        if not self._runs:
            self._runs = True
            world.start_thread(self._run, "penstock-slots")
        elif self._bell.locked():
            self._bell.release()

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        idle_since: float | None = None
        while True:
            with self._lock:
                entering, self._entering = self._entering, []
                leaving, self._leaving = self._leaving, []
                is_idle = not (entering or leaving or self._waiting or self._held)
                now = clock.monotonic()
                if not is_idle:
                    idle_since = None
                elif idle_since is None:
                    idle_since = now
                elif now >= idle_since + LINGER_S:
                    self._runs = False
                    return
            pause_s = LINGER_S if is_idle else self._turn(entering, leaving)
            world.acquire(self._bell, pause_s)

    def _turn(self, entering: list[Ticket], leaving: list[tuple[Ticket, PenstockFuture]]) -> float:
        """Do what there is to do; give how long to rest then."""
        began = clock.monotonic()
        try:
            if entering or leaving:
                self._serve(entering, leaving)
            elif self._waiting:
                self._look(began)
            self._extend(clock.monotonic())
        except StoreError as error:
            _logger.warning("The concurrency limits could not be read or written: %s", error)
            self._version = None
            self._fail(entering, leaving, error)
            if type(error) is StoreError:
                self._give_up(error)
            self._wake(clock.monotonic())
            return GLANCE_S
        now = clock.monotonic()
        self._wake(now)
        return self._rest_s(now, now - began)

    def _rest_s(self, now: float, looked_s: float) -> float:
        rest_s = self._extend_at - now
        if self._waiting:
            rest_s = min(rest_s, max(INTERVAL_S, looked_s * REST_FACTOR), self._look_at - now)
            due = [each.wake_at for each in list(self._waiting.values()) if each.wake_at]
            if due:
                rest_s = min(rest_s, min(due) - now)
        return max(rest_s, 0.001)

    def _fail(
        self,
        entering: list[Ticket],
        leaving: list[tuple[Ticket, PenstockFuture]],
        error: StoreError,
    ) -> None:
        """Tell those who came that it could not be done; what is given back is so later."""
        for ticket in entering:
            if ticket.id not in self._held and ticket.id not in self._waiting:
                ticket.error = error
                ticket.future.set_state(_DONE)
        with self._lock:
            undone = [(ticket, done) for ticket, done in leaving if not done.done()]
            self._leaving = undone + self._leaving
        for _, done in undone:
            done.set_state(_DONE)

    def _give_up(self, error: StoreError) -> None:
        """Let everybody go: the store is closed, and will not be there again."""
        with self._lock:
            self._leaving.clear()
            waiting = list(self._waiting.values())
            self._waiting.clear()
            self._held.clear()
        for ticket in waiting:
            ticket.error = error
            ticket.future.set_state(_DONE)

    def _serve(self, entering: list[Ticket], leaving: list[tuple[Ticket, PenstockFuture]]) -> None:
        gone = {id(ticket) for ticket, _ in leaving}
        coming = [each for each in entering if not each.is_given_back]
        waiting = {key: each for key, each in self._waiting.items() if id(each) not in gone}

        def work(execute: Callable[..., Any]) -> Counter:
            counter = self._counter(execute)
            counter.free([ticket for ticket, _ in leaving])
            counter.let_in(dict[bytes, Request](waiting))
            for ticket in coming:
                counter.enter(ticket)
            return counter

        counter = self._store.transact(work)
        for ticket, done in leaving:
            self._waiting.pop(ticket.id, None)
            self._held.pop(ticket.id, None)
            done.set_state(_DONE)
        for ticket in entering:
            if ticket.is_given_back:
                ticket.future.set_state(_DONE)
        self._note(counter, coming)

    def _look(self, now: float) -> None:
        """Look whether those who wait may go in, if anything may have changed."""
        version = self._store.version()
        if version == self._version and now < self._look_at:
            return
        self._version = version
        counter = self._counter(None)
        counter.let_in(dict[bytes, Request](self._waiting))
        self._look_at = now + GLANCE_S
        self._note_retry(counter)
        if not counter.outcome.wants_to_write:
            return

        def work(execute: Callable[..., Any]) -> Counter:
            counter = self._counter(execute)
            counter.let_in(dict[bytes, Request](self._waiting))
            return counter

        self._note(self._store.transact(work), [])

    def _counter(self, execute: Callable[..., Any] | None) -> Counter:
        def rows(statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
            if execute is None:
                return self._store.read(statement, values)
            return execute(statement, values).fetchall()

        return Counter(rows, execute, self._swept, get_current_settings().lease_ttl_s)

    def _note(self, counter: Counter, entered: list[Ticket]) -> None:
        """Tell those who are concerned what was decided, now that it is committed."""
        outcome = counter.outcome
        concerned: Any = [*outcome.taken, *[each for each, _ in outcome.refused]]
        with self._lock:
            former = {id(each): each.id for each in concerned}
            outcome.apply()
        for ticket in concerned:
            self._waiting.pop(former[id(ticket)], None)
            if ticket.taken and ticket.limit_ids:
                self._held[ticket.id] = ticket
            ticket.future.set_state(_DONE)
        for ticket in entered:
            if not ticket.taken and ticket.error is None:
                self._waiting[ticket.id] = ticket
        self._look_at = clock.monotonic() + GLANCE_S
        self._note_retry(counter)

    def _note_retry(self, counter: Counter) -> None:
        retry_at = counter.outcome.retry_at
        if retry_at is not None:
            delay_s = max(retry_at - clock.epoch(), 0.0)
            self._look_at = min(self._look_at, clock.monotonic() + delay_s)

    def _wake(self, now: float) -> None:
        """Wake those who want to be, though they have no slots yet."""
        for ticket in list(self._waiting.values()):
            if not ticket.future.done() and ticket.is_due(now):
                ticket.future.set_state(_DONE)

    def _extend(self, now: float) -> None:
        """Say that this process lives; see whether what it has was taken away meanwhile."""
        settings = get_current_settings()
        if now < self._extend_at:
            return
        self._extend_at = now + settings.heartbeat_interval_s
        if not (self._held or self._waiting):
            return
        owner = this_process()
        expires = clock.epoch() + settings.lease_ttl_s
        self._store.write(sql.EXTEND_SLOTS, (expires, owner))
        there = {bytes(row[1]) for row in self._store.read(sql.READ_IDS_OF_OWNER, (owner,))}
        for key in [key for key in self._held if key not in there]:
            ticket = self._held.pop(key)
            _logger.warning(
                "The slots that %s had of %s were taken away: the limit was reset or deleted, or"
                " this process was stopped for longer than its lease.",
                ticket.holder,
                ", ".join(ticket.names),
            )
        lost = [each for key, each in self._waiting.items() if key not in there]
        if lost:
            for ticket in lost:
                del self._waiting[ticket.id]
                ticket.limit_ids = ()
            with self._lock:
                self._entering.extend(lost)
                self._ring()


_desks: dict[Store, Desk] = {}
_opening = threading.Lock()


def desk_of(store: Store | None = None) -> Desk:
    """Give this process's desk for a store; that of the settings in force unless given."""
    store = store or get_store()
    with _opening:
        desk = _desks.get(store)
        if desk is None:
            desk = _desks[store] = Desk(store)
        return desk


def _after_fork() -> None:
    global _opening  # noqa: PLW0603 - the parent may have held it; its slots stay its own
    _opening = threading.Lock()
    _desks.clear()


world.at_new_process(_after_fork)
