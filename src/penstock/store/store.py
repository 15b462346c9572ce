"""A store: the journal that writes it, the reads that an engine needs, and who owns which run."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from penstock import clock, settings, world
from penstock.exceptions import (
    MissingLibraryError,
    ObjectNotFound,
    RunOwnedElsewhere,
)
from penstock.ids import id_from_bytes, new_id
from penstock.store import encoding
from penstock.store import statements as sql
from penstock.store.journal import Fence, Journal, Row
from penstock.store.lease import this_process
from penstock.store.silence import Owned, Silence
from penstock.store.sqlite import SqliteDialect
from penstock.store.urls import is_on_server, sqlite_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from penstock.records import FlowRun, TaskRun
    from penstock.states import State
    from penstock.store.postgres import PostgresDialect

T = TypeVar("T")


def need_psycopg() -> None:
    """Make sure that PostgreSQL can be talked to.

    Raises:
        MissingLibraryError: psycopg is not installed.
    """
    try:
        import psycopg  # noqa: F401  # pyright: ignore[reportUnusedImport] - a store on a server needs it
    except ImportError as error:
        message = (
            f"PENSTOCK_STORE_URL names a PostgreSQL server, and psycopg cannot be imported:"
            f" {error}. Install it: pip install 'penstock[postgres]'."
        )
        raise MissingLibraryError(message) from error


def _open(
    url: str, durability: str, busy_timeout_s: float, outage_timeout_s: float
) -> SqliteDialect | PostgresDialect:
    if not is_on_server(url):
        return SqliteDialect(sqlite_path(url), durability, busy_timeout_s)
    need_psycopg()
    from penstock.store.postgres import PostgresDialect  # psycopg: 50 ms that SQLite is spared

    return PostgresDialect(url, durability, busy_timeout_s, outage_timeout_s)


class Store:
    """The records of one database.

    Parameters:
        url: `sqlite:///` and a path, or `postgresql://user:password@host:port/database`.
        durability, busy_timeout_s, outage_timeout_s: see the settings of these names.

    Attributes:
        place: Where it is, as messages say it: a path, or a URL without its password.
        dialect: `sqlite` or `postgresql`.
        is_on_server: A commit takes a round trip.

    Raises:
        StoreError: the URL is not understood, or its database cannot be used.
        MissingLibraryError: the URL names a PostgreSQL server, and psycopg is not installed.
    """

    def __init__(
        self,
        url: str,
        durability: str = "normal",
        busy_timeout_s: float = 30.0,
        outage_timeout_s: float = 30.0,
    ) -> None:
        self.url = url
        self._dialect = _open(url, durability, busy_timeout_s, outage_timeout_s)
        self.path = self._dialect.path
        self.place = self._dialect.place
        self.dialect = self._dialect.name
        self.is_on_server = is_on_server(url)
        self.journal = Journal(self._dialect)
        self.commit = self.journal.commit
        self.read = self._dialect.read
        self._flow_ids: dict[str, UUID] = {}

    def close(self, *, at_once: bool = False) -> None:
        """Close the database, once no thread of this process is in the middle of using it.

        Parameters:
            at_once: wait for nobody: who is in the middle of it never goes on, as the threads of a
                simulated process that has died.
        """
        self.journal.close()
        if at_once:
            self._dialect.close()
        else:
            self.journal.exclusively(self._dialect.close)

    def give_space_back(self) -> None:
        """Have the database take less room on the disk, where it does not see to it by itself."""
        self._dialect.give_space_back()

    def hold(self) -> None:
        """Let nobody write or read until `release`: no transaction is under way then."""
        self.journal.hold()
        self._dialect.hold()

    def release(self) -> None:
        """Let others write and read again."""
        self._dialect.release()
        self.journal.release()

    def leave_to_parent(self) -> None:
        """Refuse everything in a forked child: the connections are its parent's."""
        self._dialect.refuse(
            f"This process was forked from the one that uses the store {self.place!r} for a"
            " flow run: that run is its parent's to write. Call flows in the child, or give the"
            " parent what the child has made."
        )
        self.journal = Journal(self._dialect)
        self.commit = self.journal.commit

    def write(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        """Run one named write in a transaction."""
        self.commit([(statement, values)])

    def write_counted(self, statement: str, values: tuple[Any, ...] = ()) -> int:
        """Run one named write by itself and give how many rows it changed."""
        return self.transact(lambda execute: execute(statement, values).rowcount)

    def transact(self, work: Callable[[Callable[..., Any]], T]) -> T:
        """Run `work(execute)` in a transaction of its own, in turn with the journal's."""
        return self.journal.exclusively(lambda: self._dialect.transact(work))

    def version(self) -> int:
        """Give a number that has changed if anything was decided from outside of a run meanwhile.

        Cheap enough to be asked for many times a second. It may change when nothing was decided.
        """
        return self._dialect.version()

    # -- flows and flow runs ------------------------------------------------------------------

    def known_flow_id(self, name: str) -> UUID | None:
        """Give the id of a flow that this process has seen in the store."""
        return self._flow_ids.get(name)

    def flow_id(self, name: str) -> UUID:
        """Give the id of the flow called `name`; its row is made if there is none."""
        known = self._flow_ids.get(name)
        if known is not None:
            return known
        rows = self.read(sql.READ_FLOW_BY_NAME, (name,))
        if not rows:
            self.write(sql.INSERT_FLOW, (new_id().bytes, name, None, clock.epoch()))
            rows = self.read(sql.READ_FLOW_BY_NAME, (name,))
        found = self._flow_ids[name] = id_from_bytes(rows[0][0])
        return found

    def forget_flow(self, name: str) -> None:
        """Ask the store again for the id of the flow called `name`: it was deleted."""
        self._flow_ids.pop(name, None)

    def read_flow_run(self, flow_run_id: UUID) -> FlowRun:
        """Give a flow run.

        Raises:
            ObjectNotFound: there is none of this id.
        """
        rows = self.read(sql.READ_FLOW_RUN, (flow_run_id.bytes,))
        if not rows:
            message = (
                f"There is no flow run {flow_run_id} in the store {self.place!r}. See"
                " `penstock flow-run ls` for those that are there."
            )
            raise ObjectNotFound(message)
        return encoding.flow_run_from_row(rows[0])

    def read_task_run(self, task_run_id: UUID) -> TaskRun:
        """Give a task run.

        Raises:
            ObjectNotFound: there is none of this id.
        """
        key = task_run_id.bytes
        rows = self.read(sql.READ_TASK_RUN, {"id": key})
        rows = rows or self.read(sql.READ_TASK_RUN_OF, (encoding.NO_FLOW_RUN, key))
        if not rows:
            message = (
                f"There is no task run {task_run_id} in the store {self.place!r}. A task run"
                " is recorded once it has finished, or has been running for a while."
            )
            raise ObjectNotFound(message)
        return encoding.task_run_from_row(rows[0])

    def read_task_runs(self, flow_run_id: UUID) -> list[TaskRun]:
        """Give all task runs that are recorded of a flow run, in the order they were made."""
        rows = self.read(sql.READ_TASK_RUNS_OF_FLOW_RUN, (flow_run_id.bytes,))
        return [encoding.task_run_from_row(row) for row in rows]

    def read_subflow_runs(self, parent_task_run_id: UUID) -> list[FlowRun]:
        """Give the subflow runs of a dummy task run, newest first."""
        rows = self.read(sql.READ_FLOW_RUNS_OF_PARENT, (parent_task_run_id.bytes,))
        return [encoding.flow_run_from_row(row) for row in rows]

    def find_flow_run_of(self, task_run_id: UUID) -> bytes | None:
        """Give the key of the flow run that a task run belongs to; none if there is no such one.

        A task run without a flow run has `encoding.NO_FLOW_RUN` as its key.
        """
        key = task_run_id.bytes
        rows = self.read(sql.READ_FLOW_RUN_ID_OF_TASK_RUN, {"id": key})
        if rows:
            return bytes(rows[0][0])
        alone = self.read(sql.HAS_TASK_RUN, (encoding.NO_FLOW_RUN, key))
        return encoding.NO_FLOW_RUN if alone else None

    def cached_state(self, cache_key: str, now: float) -> State | None:
        """Give the completed state that a cache key leads to, if it has not expired."""
        rows = self.read(sql.READ_CACHE_ENTRY, (cache_key, now))
        if not rows:
            return None
        _expires, result_type, result_data, history = rows[0]
        state = encoding.decode_last_state(history)
        state.data = encoding.from_record(result_type, result_data)
        return state if state.is_completed() and state.data is not None else None

    # -- leases -------------------------------------------------------------------------------

    def claim(self, flow_run_id: UUID, ttl_s: float, silence: Silence | None = None) -> Fence:
        """Become the owner of a flow run that no living process owns, and fence off the former.

        Parameters:
            ttl_s: for how long, in seconds, unless the heartbeat extends it.
            silence: has watched the owner; without it, nothing is taken from one elsewhere.

        Raises:
            RunOwnedElsewhere: a living process executes it.
            ObjectNotFound: there is no such run.
        """
        key = flow_run_id.bytes
        watched = silence or Silence(self.read, flow_run_id)

        def take(execute: Callable[..., Any]) -> Fence | str:
            found = execute(sql.READ_LEASE, (key,)).fetchone()
            if found is None:
                return ""
            owner, token, expires, _state = found
            if owner is not None and not watched.is_dead(Owned(owner, token, expires)):
                return str(owner)
            execute(sql.CLAIM_FLOW_RUN, (this_process(), clock.epoch() + ttl_s, key, token))
            return Fence(key, token + 1)

        answer = self.transact(take)
        if isinstance(answer, Fence):
            return answer
        if not answer:
            self.read_flow_run(flow_run_id)
        who = "this very process" if answer == this_process() else f"a living process ({answer})"
        message = (
            f"Flow run {flow_run_id} is being executed by {who}. Wait until it has finished, or"
            " stop that process, and then resume it."
        )
        raise RunOwnedElsewhere(message)

    def extend_leases(
        self,
        fences: list[Fence],
        ttl_s: float,
        recorded: Iterable[tuple[bytes, tuple[int | None, str | None]]] | None = None,
    ) -> None:
        """Say that this process still lives: extend its leases, in one transaction.

        Parameters:
            fences: those of the runs that it executes.
            ttl_s: for how long, in seconds.
            recorded: what the store holds of this process: ids, each with its token and its
                request. Where that is no more than the fences, they are extended together.
        """
        expires = clock.epoch() + ttl_s
        apart = dict(fences)
        held = {} if recorded is None else {key: token for key, (token, _) in recorded}
        are_known = bool(held) and all(apart.get(key) == token for key, token in held.items())
        if are_known:
            for key in held:
                del apart[key]
        rows: list[Row] = [
            (sql.EXTEND_LEASE, (expires, key, token)) for key, token in apart.items()
        ]
        if are_known:
            rows.append((sql.EXTEND_LEASES_OF_OWNER, (expires, str(this_process()))))
        self.commit(rows)


_stores: dict[tuple[str, str], Store] = {}
_opening = threading.Lock()


def get_store() -> Store:
    """Give the store of the present settings, opened once in a process."""
    current = settings.get_current_settings()
    key = (current.store_url, current.store_durability)
    store = _stores.get(key)
    if store is None:
        with _opening:
            store = _stores.get(key)
            if store is None:
                store = _stores[key] = Store(
                    *key, current.store_busy_timeout_s, current.store_outage_timeout_s
                )
    return store


def reset_store(*, at_once: bool = False) -> None:
    """Close this process's stores; the next use opens them again. `at_once`: see `Store.close`."""
    with _opening:
        for store in _stores.values():
            store.close(at_once=at_once)
        _stores.clear()


_kept_for_the_parent: list[Store] = []


def _after_fork() -> None:
    # In a forked child a connection must not be used, nor closed: that drops the parent's locks.
    global _opening  # noqa: PLW0603 - the parent may have held the lock while it forked
    _kept_for_the_parent.extend(_stores.values())
    _stores.clear()
    _opening = threading.Lock()


world.at_new_process(_after_fork)


_held: list[Store] = []


def _before_fork() -> None:
    # What is inherited in the middle of a transaction would look locked to the child for ever.
    _opening.acquire()
    for store in _stores.values():
        store.hold()
        _held.append(store)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()
    _opening.release()


def _after_fork_in_child() -> None:
    _held.clear()
    for store in _kept_for_the_parent:
        store.leave_to_parent()


if sys.platform != "win32":
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
