"""Flow runs that wait for a process: which ones, and processes that execute them.

They were suspended and resumed, or left by a process that died. Each is executed by a process of
its own, `python -m penstock.engine ID`, which claims it: so it does not matter if two see it.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

from penstock import clock
from penstock.ids import id_from_bytes
from penstock.services import statements as own_sql

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.store import Store

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
"""After how many seconds a run that could not be begun is tried again: longer each time."""

POLL_S = 0.05
"""How often it is looked whether a process has ended, while that is waited for."""

_STDERR = 2

_logger = logging.getLogger("penstock.services")


class Ready(NamedTuple):
    """A flow run that waits for a process; `since` is in seconds since the epoch."""

    flow_run_id: UUID
    name: str
    flow_name: str
    state_name: str
    since: float


def find_ready(store: Store, limit: int) -> list[Ready]:
    """Find the flow runs that were resumed or left, and that some process is to go on with.

    Parameters:
        store: where to look.
        limit: the most to give, those that wait longest first.
    """
    rows = store.read(own_sql.READ_READY, (clock.epoch(), limit))
    return [Ready(id_from_bytes(key), *rest) for key, *rest in rows]


class _Failures(NamedTuple):
    """How often in a row a run could not be begun that waits since that moment."""

    since: float
    times: int
    again_at: float


class _Begun(NamedTuple):
    process: subprocess.Popen[bytes]
    since: float


class Processes:
    """The processes that were begun for flow runs.

    Parameters:
        limit: the most that execute flow runs at once.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._executing: dict[UUID, _Begun] = {}
        self._calling_hooks: list[subprocess.Popen[bytes]] = []
        self._failures: dict[UUID, _Failures] = {}

    def __len__(self) -> int:
        """Give how many processes are there."""
        return len(self._executing) + len(self._calling_hooks)

    def take_up(self, store: Store) -> list[Ready]:
        """Begin a process for each flow run that waits for one, within the limit.

        Returns:
            The flow runs for which one was begun.
        """
        self.reap()
        room = self.limit - len(self._executing)
        if room <= 0:
            return []
        # Those that failed a moment ago must not hide the others.
        limit = self.limit + len(self._failures)
        ready = find_ready(store, limit)
        if len(ready) < limit:
            waiting = {each.flow_run_id for each in ready}
            self._failures = {key: one for key, one in self._failures.items() if key in waiting}
        begun: list[Ready] = []
        for each in ready:
            if len(begun) >= room or self._is_early(each) or each.flow_run_id in self._executing:
                continue
            process = _begin("penstock.engine", each.flow_run_id)
            self._executing[each.flow_run_id] = _Begun(process, each.since)
            begun.append(each)
        return begun

    def _is_early(self, ready: Ready) -> bool:
        """Tell whether a run could not be begun a moment ago; one that was begun and died was."""
        failures = self._failures.get(ready.flow_run_id)
        if failures is None or failures.since != ready.since:
            return False
        return failures.again_at > clock.monotonic()

    def call_hooks(self, flow_run_id: UUID) -> None:
        """Begin a process that calls the `on_crashed` hooks of a run's flow."""
        self._calling_hooks.append(_begin("penstock.services.crash_hooks", flow_run_id))

    def reap(self) -> None:
        """Take note of the processes that have ended."""
        self._calling_hooks = [each for each in self._calling_hooks if each.poll() is None]
        for key, begun in list(self._executing.items()):
            code = begun.process.poll()
            if code is None:
                continue
            del self._executing[key]
            if code == 0:
                self._failures.pop(key, None)
            else:
                self._note_failure(key, begun.since, code)

    def _note_failure(self, key: UUID, since: float, code: int) -> None:
        former = self._failures.get(key)
        times = 1 if former is None or former.since != since else former.times + 1
        pause_s = min(FIRST_PAUSE_S * 2 ** (times - 1), LONGEST_PAUSE_S)
        self._failures[key] = _Failures(since, times, clock.monotonic() + pause_s)
        _logger.warning(
            "The process for flow run %s ended with code %s. If it has not begun with the run, it"
            " is tried again in %g s.",
            key,
            code,
            pause_s,
        )

    def wait(self, timeout_s: float) -> bool:
        """Wait until all have ended, at most so many seconds; tell whether they have."""
        deadline = clock.monotonic() + timeout_s
        while len(self) and clock.monotonic() < deadline:
            clock.sleep(POLL_S)
            self.reap()
        return not len(self)

    def terminate(self, grace_s: float) -> None:
        """Have all end in order; kill those that have not within so many seconds."""
        for process in self._all():
            process.terminate()
        if not self.wait(grace_s):
            for process in self._all():
                process.kill()
            self.wait(grace_s)

    def _all(self) -> list[subprocess.Popen[bytes]]:
        executing = [begun.process for begun in self._executing.values()]
        return [*executing, *self._calling_hooks]


def _begin(module: str, flow_run_id: UUID) -> subprocess.Popen[bytes]:
    # In a session of its own: Ctrl-C is for whoever looks after the processes, not for them.
    return subprocess.Popen(  # noqa: S603 - this very interpreter, and an id
        [sys.executable, "-m", module, str(flow_run_id)],
        stdin=subprocess.DEVNULL,
        stdout=_STDERR,
        start_new_session=True,
    )
