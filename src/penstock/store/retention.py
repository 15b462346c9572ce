"""Retention: what is old is deleted by whichever process starts a flow run, at most once an hour.

`look` is called with every flow run that is no subflow's, and has to cost next to nothing. What it
starts is a thread that asks the store whether an hour is over, and if so does the work, a little
at a time. A process that ends before the work is done leaves it to the next one, which goes on at
once: the stamp of an hour is only set by the one that has finished.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock import clock, world
from penstock.ids import key_at
from penstock.settings import get_current_settings
from penstock.store.ages import DAY_S, Limits
from penstock.store.encoding import NO_FLOW_RUN
from penstock.store.lease import is_owner_alive, this_process

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.store.store import Store

INTERVAL_S = 3600.0
"""How long after one pass over a store the next one begins, at the earliest."""

LOOK_INTERVAL_S = 600.0
"""How often a process asks the store whether that time is over."""

CLAIM_TTL_S = 60.0
"""For how long whoever began a pass may be silent before another one goes on with it."""

REST_RATIO = 20
"""How many times longer than it worked a pass rests, so that flows do not notice it."""

SHORTEST_REST_S = 0.005
CHORE = "retention"

_next_looks: dict[str, float] = {}


class _Wanted(NamedTuple):
    """What the settings say, as it was when a flow run began."""

    runs_days: float
    logs_days: float
    result_folder: Any


def look(store: Store) -> None:
    """Have what is old deleted, if it is time for that. Never fails, and never waits.

    Parameters:
        store: the store that a flow run begins in.
    """
    now = clock.monotonic()
    if now < _next_looks.get(store.url, -1.0):
        return
    _next_looks[store.url] = now + LOOK_INTERVAL_S
    wanted = _wanted()
    # A simulated world has records of its own making, and no hours to spare.
    if world.stand_in is None and (wanted.runs_days or wanted.logs_days):
        with suppress(RuntimeError):  # a process that is ending starts no thread any more
            world.start_thread(lambda: _tidy(store, wanted), "penstock-retention")


def forget_looks() -> None:
    """Ask each store again with the next flow run."""
    _next_looks.clear()


world.at_new_process(forget_looks)


def _wanted() -> _Wanted:
    settings = get_current_settings()
    folder = settings.local_storage_path if settings.retention_results else None
    return _Wanted(settings.retention_runs_days, settings.retention_logs_days, folder)


def _tidy(store: Store, wanted: _Wanted) -> None:
    try:
        tidy(store, limits_of(wanted))
    except Exception as error:  # noqa: BLE001 - no flow's business: it is noted, and tried again
        import logging

        # The store is busy, away, or was closed in the middle, whatever its driver makes of that.
        logging.getLogger("penstock.store").debug("Old records were not deleted: %s", error)


def limits_of(wanted: _Wanted | None = None) -> Limits:
    """Give what is old enough by now, as the settings say."""
    runs_days, logs_days, folder = wanted or _wanted()
    now = clock.epoch()
    return Limits(
        runs_before=now - runs_days * DAY_S if runs_days else None,
        logs_before=now - logs_days * DAY_S if logs_days else None,
        result_folder=folder,
    )


def tidy(store: Store, limits: Limits) -> dict[str, int] | None:
    """Delete what is old, unless somebody else does or has done so within the hour.

    Parameters:
        store: the store.
        limits: what is old enough.

    Returns:
        How much of each kind was deleted; None where it was not this process's turn.

    Raises:
        StoreError: the store could not be read or written.
    """
    if not _is_due(store) or not store.transact(_claim):
        return None
    deleted: dict[str, int] = {}
    if _has_what_is_old(store, limits):
        from penstock.store.pruning import Pruning  # mostly there is nothing to do for it

        deleted = Pruning(store, limits, _Claim(store).rest).run()
    store.write(_sql().WRITE_CHORE, (CHORE, clock.epoch(), None, None))
    return deleted


class _Claim:
    """That this process is at it, which others go by as long as it is extended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._extended = self._resumed = clock.monotonic()

    def rest(self) -> None:
        """Let flows go on before the next transaction."""
        worked_s = clock.monotonic() - self._resumed
        world.sleep(max(worked_s * REST_RATIO, SHORTEST_REST_S))
        self._resumed = clock.monotonic()
        if self._resumed - self._extended > CLAIM_TTL_S / 3:
            self._extended = self._resumed
            values = (clock.epoch() + CLAIM_TTL_S, CHORE, str(this_process()))
            self._store.write(_sql().EXTEND_CHORE, values)


def _has_what_is_old(store: Store, limits: Limits) -> bool:
    """Tell whether there is anything at all that was begun so long ago."""
    moments = [each for each in (limits.runs_before, limits.logs_before) if each is not None]
    for statement in (_sql().OLDEST_FLOW_RUN_KEY, _sql().OLDEST_TASK_RUN_KEY_ALONE):
        values = (NO_FLOW_RUN,) if "?" in statement else ()
        rows = store.read(statement, values)
        if rows and moments and bytes(rows[0][0]) < key_at(max(moments)):
            return True
    return False


def _is_due(store: Store) -> bool:
    """Look without keeping others from writing: mostly it is not."""
    rows = store.read(_sql().READ_CHORE, (CHORE,))
    return not rows or _is_free(rows[0])


def _claim(execute: Callable[..., Any]) -> bool:
    row = execute(_sql().READ_CHORE, (CHORE,)).fetchone()
    if row is not None and not _is_free(row):
        return False
    finished = 0.0 if row is None else row[0]
    values = (CHORE, finished, str(this_process()), clock.epoch() + CLAIM_TTL_S)
    execute(_sql().WRITE_CHORE, values)
    return True


def _is_free(row: tuple[Any, ...]) -> bool:
    finished, owner, expires = row
    now = clock.epoch()
    if finished <= now < finished + INTERVAL_S:  # a clock that was set back does not stop it
        return False
    return owner is None or expires <= now or not is_owner_alive(owner, expires, now)


def _sql() -> Any:
    from penstock.store import pruning_sql  # as for `Pruning`

    return pruning_sql
