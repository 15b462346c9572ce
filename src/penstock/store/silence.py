"""Whether the process that has a flow run is dead, as whoever takes the run has to know.

Of a process of this host the kernel knows. One elsewhere has to have let its lease expire, and to
give no sign of life while it is watched, by a clock that does not jump: the clocks of two hosts
differ, and a host whose time is ahead takes no runs away. Recovery, which looks again and again
anyhow, keeps the same rule (decision 0017).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from penstock import clock
from penstock.settings import get_current_settings
from penstock.store import statements as sql
from penstock.store.lease import is_known_here, is_owner_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any
    from uuid import UUID

CONFIRMING_BEATS = 2
"""For how many heartbeats a process elsewhere has to be silent while it is watched."""


def last_sign_of_life(lease_expires: float | None, latest_change: float | None) -> float:
    """Give when a process that is dead was alive for certain, in seconds since the epoch.

    Parameters:
        lease_expires: until when its lease went; each beat extends it.
        latest_change: when the newest task runs of the flow run came to their states.
    """
    last_beat = 0.0
    if lease_expires is not None:
        last_beat = lease_expires - get_current_settings().lease_ttl_s
    return min(max(last_beat, latest_change or 0.0), clock.epoch())


LOOK_S = 0.5
"""How often it is looked for a sign of life meanwhile."""


def confirming_s() -> float:
    """Give for how many seconds a process elsewhere has to be silent while it is watched."""
    return CONFIRMING_BEATS * get_current_settings().heartbeat_interval_s


class Owned(NamedTuple):
    """How it stands in the store that a process has a flow run."""

    owner: str
    token: int
    lease_expires: float | None


class Silence:
    """Watches the owner of a flow run, if only its lease says that it is dead.

    Parameters:
        read: reads rows of the store.
        flow_run_id: whose owner.

    Attributes:
        found: The owner as it stood in the store at the last look; none if there was none.
        suspect: The owner that is watched; none while there is nothing to watch.

    Example:
        >>> silence = Silence(store.read, run.id)  # doctest: +SKIP
        >>> while wait_s := silence.look():  # doctest: +SKIP
        ...     clock.sleep(wait_s)
        >>> store.claim(run.id, 15.0, silence)  # doctest: +SKIP
    """

    def __init__(
        self, read: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]], flow_run_id: UUID
    ) -> None:
        self._read = read
        self._key = flow_run_id.bytes
        self._since = 0.0
        self._is_confirmed = False
        self.found: Owned | None = None
        self.suspect: Owned | None = None

    def look(self) -> float:
        """Look at the owner; give for how many seconds to wait before the next look, 0 for none.

        It ends with 0 when the owner was silent for long enough, or has given a sign of life.
        """
        rows = self._read(sql.READ_LEASE, (self._key,))
        found = Owned(*rows[0][:3]) if rows and rows[0][0] is not None else None
        self.found = found
        if found is None or is_known_here(found.owner):
            return 0.0
        now = clock.monotonic()
        if self.suspect is None:
            if is_owner_alive(found.owner, found.lease_expires, clock.epoch()):
                return 0.0
            self.suspect, self._since = found, now
        elif found != self.suspect:
            return 0.0
        left_s = self._since + confirming_s() - now
        self._is_confirmed = left_s <= 0
        return 0.0 if self._is_confirmed else min(left_s, LOOK_S)

    def is_dead(self, owned: Owned) -> bool:
        """Tell whether an owner, as it stands in the store now, is known to be dead."""
        if is_known_here(owned.owner):
            return not is_owner_alive(owned.owner, owned.lease_expires, clock.epoch())
        return self._is_confirmed and owned == self.suspect


def watch_owner(
    read: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]], flow_run_id: UUID
) -> Silence:
    """Watch the owner of a flow run, here and now, for as long as it takes; see `Silence`."""
    silence = Silence(read, flow_run_id)
    while wait_s := silence.look():
        clock.sleep(wait_s)
    return silence
