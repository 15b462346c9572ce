"""Flow runs whose process died: found, fenced off, and Crashed or put up to be gone on with.

A process of this host is dead when the kernel says so, whatever clocks and leases say. One of
another host has to have let its lease expire, and to give no sign of life while this process
watches, by a clock that does not jump: a host whose time jumps forward takes no runs away.

All that becomes of a run is one transaction, which begins with a look at whether the run is still
as it was found. So of two recoverers one does it, and the other finds nothing left to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from penstock import clock
from penstock.client.transitions import RESUMING, update_parent_task
from penstock.exceptions import ObjectNotFound
from penstock.ids import id_from_bytes, key_at
from penstock.records import Log
from penstock.rules import Facts, decide_flow, decide_task, record
from penstock.services import statements as own_sql
from penstock.settings import get_current_settings
from penstock.states import AwaitingRetry, Cancelled, Crashed, Scheduled, StateType
from penstock.store import encoding, is_owner_alive, requests
from penstock.store import statements as sql
from penstock.store.lease import is_known_here, title_of
from penstock.store.silence import confirming_s, last_sign_of_life

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from uuid import UUID

    from penstock.records import FlowRun
    from penstock.states import State
    from penstock.store import Store

    Execute = Callable[..., Any]
    _Owned = tuple[str, bytes, int, float | None]

PAGE_RUNS = 500
"""How many flow runs that are executed are looked at with one read."""

LEFT_LIMIT = 200
"""The most flow runs that one pass recovers; what is left is found by the next one."""

RECOVERIES_LIMIT = 3
"""How often in a row a run is put up again without a task that finished since."""

WHOLE_PERIOD_S = 600.0
"""How often runs of every age are looked through, those that no index leads to, too."""

RECENT_S = 60.0
"""How much older than the last look such a run may be otherwise: clocks of hosts differ."""

CALLS_DEPTH_LIMIT = 50
"""How deep subflows in subflows are looked into for what has finished."""

_LOGGER_NAME = "penstock.flow_runs"
_ERROR = 40


class Left(NamedTuple):
    """A flow run that its process has left: as it stands in the store."""

    flow_run_id: bytes
    owner: str
    token: int
    lease_expires: float | None


class Recovery(NamedTuple):
    """What was found of a flow run whose process died, and what became of it.

    Attributes:
        became: The name of the state that it is in now.
        why: What had happened, in a sentence.
        has_hooks: Its flow has `on_crashed` hooks, which are to be called now.
        is_ready: It is put up to be gone on with in another process.
    """

    flow_run_id: UUID
    name: str
    flow_name: str
    owner: str
    last_seen: datetime | None
    was: str
    became: str
    why: str
    has_hooks: bool
    is_ready: bool
    is_subflow: bool


class Suspects:
    """The processes elsewhere whose leases have expired, and since when they are watched."""

    def __init__(self) -> None:
        self._seen: dict[bytes, tuple[float | None, float]] = {}
        self._former: dict[bytes, tuple[float | None, float]] = {}
        self._whole_at: float | None = None
        self.oldest = b""
        """The smallest key of what no index leads to, and may still be executed."""

    @property
    def confirming_s(self) -> float:
        """Give for how many seconds a process has to be silent while it is watched."""
        return confirming_s()

    def __bool__(self) -> bool:
        """Tell whether any were found in the last pass that are not known to be dead yet."""
        return bool(self._seen)

    def begin_pass(self) -> None:
        """Forget those that are not found again."""
        self._former, self._seen = self._seen, {}
        now = clock.monotonic()
        if self._whole_at is None or now - self._whole_at >= WHOLE_PERIOD_S:
            self._whole_at, self.oldest = now, b""

    def is_silent(self, key: bytes, lease_expires: float | None) -> bool:
        """Tell whether an owner has not touched its lease for long enough, as seen from here."""
        now = clock.monotonic()
        known = self._former.get(key)
        since = now if known is None or known[0] != lease_expires else known[1]
        if known is not None and now - since >= self.confirming_s:
            return True
        self._seen[key] = (lease_expires, since)
        return False


def find_left(store: Store, suspects: Suspects) -> list[Left]:
    """Find the flow runs whose process is dead, the inner ones first.

    Parameters:
        store: where to look.
        suspects: what earlier passes have seen; a process elsewhere is not known to be dead
            before it was found silent by two passes, `suspects.confirming_s` apart.
    """
    suspects.begin_pass()
    now, alive = clock.epoch(), dict[tuple[str, bool], bool]()
    left: list[Left] = []
    for owner, key, token, expires in _owned(store, suspects):
        # A process has many runs, and the kernel is to be asked once.
        case = (owner, expires is not None and expires > now)
        if case not in alive:
            alive[case] = is_owner_alive(owner, expires, now)
        is_dead = not alive[case]
        if is_dead and not is_known_here(owner):
            is_dead = suspects.is_silent(key, expires)
        if is_dead:
            left.append(Left(key, owner, token, expires))
    # A subflow run is made after the run that calls it, and ids grow with time.
    left.sort(reverse=True)
    return left[:LEFT_LIMIT]


def _owned(store: Store, suspects: Suspects) -> Iterator[_Owned]:
    """Give the flow runs that some process has, page by page.

    Those whose lease was never extended are few, and as a rule they are the newest of all.
    """
    yield from _owned_silently(store, suspects)
    after: tuple[str, bytes] = ("", b"")
    while True:
        rows = store.read(own_sql.READ_OWNED, (*after, PAGE_RUNS))
        for owner, key, token, expires in rows:
            yield owner, bytes(key), token, expires
        if len(rows) < PAGE_RUNS:
            return
        after = (rows[-1][0], bytes(rows[-1][1]))


def _owned_silently(store: Store, suspects: Suspects) -> Iterator[_Owned]:
    after, oldest = suspects.oldest, key_at(clock.epoch() - RECENT_S)
    while True:
        rows = store.read(own_sql.READ_OWNED_SILENTLY, (after, PAGE_RUNS))
        for owner, key, token, expires in rows:
            after = bytes(key)
            oldest = min(oldest, after)
            yield owner, after, token, expires
        if len(rows) < PAGE_RUNS:
            break
    # The next look is at all that is not older than the oldest of these.
    suspects.oldest = (max(int.from_bytes(oldest, "big") - 1, 0)).to_bytes(16, "big")


def recover(store: Store, left: Left, *, dry_run: bool = False) -> Recovery | None:
    """Bring a flow run that its process has left into the state that follows.

    It is Crashed with its unfinished task runs, or AwaitingRetry if its flow says
    `on_crash="resume"`; Cancelled if it was being cancelled; one that was paused stays so. The
    former process can write nothing more to it.

    Parameters:
        store: where it is recorded.
        left: as `find_left` gave it.
        dry_run: only say what would become of it.

    Returns:
        What became of it; none if somebody else has seen to it meanwhile.
    """
    key = left.flow_run_id
    unfinished = store.read(own_sql.READ_UNFINISHED_TASK_RUNS, (key,))
    try:
        found_run = store.read_flow_run(id_from_bytes(key))
        finished, root = _finished(store, found_run), _root_of(store, found_run)
    except ObjectNotFound:
        return None

    def work(execute: Execute) -> Recovery | None:
        found = execute(sql.READ_LEASE, (key,)).fetchone()
        if found is None or tuple(found[:3]) != (left.owner, left.token, left.lease_expires):
            return None
        run = encoding.flow_run_from_row(execute(sql.READ_FLOW_RUN, (key,)).fetchone())
        control = execute(sql.READ_FENCE, (key,)).fetchone()[1]
        latest = execute(sql.READ_LATEST_CHANGE, (key,)).fetchone()[0]
        case = _Case(run, left, control, finished, last_sign_of_life(left.lease_expires, latest))
        if not dry_run:
            execute(sql.FENCE_OFF_FLOW_RUN, (key,))
            case.write(execute, [bytes(row[0]) for row in unfinished])
        return None if case.was_final() else case.recovery(root)

    return store.transact(work)


def _finished(store: Store, run: FlowRun) -> int:
    """Count what has completed in a run and in the runs that it has called, where that matters."""
    if run.empirical_policy.on_crash != "resume":
        return 0
    count, level = 0, [run.id.bytes]
    for _ in range(CALLS_DEPTH_LIMIT):
        called: list[bytes] = []
        for key in level:
            count += store.read(own_sql.COUNT_COMPLETED, (key,))[0][0]
            rows = store.read(own_sql.READ_CALLED_FLOW_RUNS, (key,))
            called += [bytes(row[0]) for row in rows]
        if not called:
            break
        level = called
    return count


def _root_of(store: Store, run: FlowRun) -> FlowRun:
    """Give the flow run that nobody called, and that has led to this one."""
    for _ in range(CALLS_DEPTH_LIMIT):
        parent = run.parent_task_run_id
        key = None if parent is None else store.find_flow_run_of(parent)
        if key is None or key == encoding.NO_FLOW_RUN:
            break
        run = store.read_flow_run(id_from_bytes(key))
    return run


class _Case:
    """One flow run that was left: what is known of it, and what follows."""

    def __init__(
        self, run: FlowRun, left: Left, control: str | None, finished: int, ended: float
    ) -> None:
        self.run = run
        self.ended = clock.from_epoch(ended)
        self.left = left
        self.asked = None if control is None else requests.word_of(control)
        self.facts = Facts(now=clock.now())
        self.was = "no state" if run.state is None else run.state.name
        self.last_seen = self._last_seen()
        self.why = self._why()
        self.recoveries = 0
        self.finished = finished
        self.proposed = self._proposed()

    def _last_seen(self) -> datetime | None:
        expires = self.left.lease_expires
        if expires is None:
            return None
        return clock.from_epoch(expires - get_current_settings().lease_ttl_s)

    def _why(self) -> str:
        owner = self.left.owner
        seen = "" if self.last_seen is None else f", last seen {self.last_seen:%Y-%m-%d %H:%M:%S}"
        utc = " UTC" if seen else ""
        if is_known_here(owner):
            return f"The process that executed the flow run died: {title_of(owner)}{seen}{utc}."
        return (
            "The process that executed the flow run gives no sign of life, and its lease is over:"
            f" {title_of(owner)}{seen}{utc}."
        )

    def _proposed(self) -> State | None:
        """Give the state that follows; none if the run stays in the one that it is in."""
        state = self.run.state
        if state is not None and state.is_final():
            return None
        is_cancelling = state is not None and state.is_cancelling()
        if is_cancelling or self.asked is StateType.CANCELLING:
            return Cancelled(message=f"The flow run was being cancelled. {self.why}")
        is_root = self.run.parent_task_run_id is None
        if state is not None and state.is_paused() and is_root:
            return self._after_pause(state)
        return self._after_crash()

    def _after_pause(self, paused: State) -> State | None:
        """Give the state of a run that waited for somebody: it goes on to, or was resumed."""
        if self.asked is StateType.RUNNING:
            message = f"It was resumed, and goes on in another process. {self.why}"
            return Scheduled(name=RESUMING, message=message)
        self.why = f"{self.why} It stays {paused.name}: {self._go_on()}"
        return None

    def _go_on(self) -> str:
        return f"go on with it by `penstock flow-run resume {self.run.id}`."

    def _after_crash(self) -> State:
        """Give the state of a run that was being executed when its process died."""
        run, policy = self.run, self.run.empirical_policy
        if run.parent_task_run_id is not None:
            return Crashed(message=f"{self.why} The flow run that called it goes on with it.")
        if policy.on_crash != "resume":
            return Crashed(message=f"{self.why} Its finished tasks are kept: {self._go_on()}")
        if run.entrypoint is None:
            return Crashed(
                message=f"{self.why} Its flow says on_crash='resume', but no other process can"
                " load it: it is not recorded which file it is in."
            )
        has_progressed = self.finished > policy.recovered_with
        self.recoveries = 0 if has_progressed else policy.recoveries
        if self.recoveries >= RECOVERIES_LIMIT:
            return Crashed(
                message=f"{self.why} It was gone on with {self.recoveries} times in a row, and"
                f" died each time before another task had finished. Find out why, then"
                f" {self._go_on()}"
            )
        self.recoveries += 1
        return AwaitingRetry(
            message=f"{self.why} It goes on in another process, as its flow says (recovery"
            f" {self.recoveries} of {RECOVERIES_LIMIT} until another task finishes)."
        )

    def write(self, execute: Execute, unfinished: list[bytes]) -> None:
        """Write what follows, for the run and for what it has left behind."""
        run, state = self.run, self.proposed
        if self.was_final():
            return
        for key in unfinished:
            self._crash_task_run(execute, key)
        if state is not None:
            facts = self.facts
            if not state.is_cancelled():  # what it has left is looked for by that time
                facts = Facts(now=self.ended)
                state.timestamp = self.ended
            answer = decide_flow(run, state, facts)
            if answer.state is None:
                answer = decide_flow(run, state, facts, force=True)
            self.proposed = state = answer.state or state
            record(run, state, facts, answer.changes)
            if state.is_scheduled():
                run.empirical_policy = msgspec.structs.replace(
                    run.empirical_policy,
                    recoveries=self.recoveries,
                    recovered_with=self.finished,
                )
            execute(sql.UPDATE_FLOW_RUN, encoding.flow_run_update_row(run))
            if not self._is_parent_paused(execute):
                update_parent_task(execute, run, self.facts)
        self._log(execute)

    def was_final(self) -> bool:
        """Tell whether the run had come to its end."""
        return self.proposed is None and self.run.state is not None and self.run.state.is_final()

    def _crash_task_run(self, execute: Execute, key: bytes) -> None:
        found = execute(sql.READ_TASK_RUN_OF, (self.left.flow_run_id, key)).fetchone()
        if found is None:
            return
        task_run = encoding.task_run_from_row(found)
        state = task_run.state
        if state is not None and state.is_final():
            return
        stands_for_subflow = state is not None and state.state_details.child_flow_run_id
        if stands_for_subflow and self.proposed is None:
            return  # of a paused run, which goes on with that subflow run once it is resumed
        crashed = Crashed(message=self.why, timestamp=self.ended)
        facts = Facts(now=self.ended, flow_run=self.run)
        answer = decide_task(task_run, crashed, facts, force=True)
        record(task_run, answer.state or crashed, facts, answer.changes)
        execute(sql.WRITE_TASK_RUN, encoding.task_run_row(task_run))

    def _is_parent_paused(self, execute: Execute) -> bool:
        """Tell whether the run's caller rests: what stands for it there stays unfinished."""
        parent = self.run.parent_task_run_id
        if parent is None:
            return False
        found = execute(sql.READ_TASK_RUN, {"id": parent.bytes}).fetchone()
        if found is None:
            return False
        lease = execute(sql.READ_LEASE, (bytes(found[0]),)).fetchone()
        return lease is not None and lease[3] == StateType.PAUSED.value

    def _log(self, execute: Execute) -> None:
        state = self.proposed
        message = self.why if state is None else f"{state.name}: {state.message}"
        log = Log(
            name=_LOGGER_NAME,
            level=_ERROR,
            message=message,
            timestamp=self.facts.now,
            flow_run_id=self.run.id,
        )
        execute(sql.INSERT_LOG, encoding.log_row(log))

    def recovery(self, root: FlowRun) -> Recovery:
        """Say what became of the run.

        No hooks are called for a subflow run that its caller goes on with at once.
        """
        run, state = self.run, self.proposed
        policy = root.empirical_policy
        goes_on = policy.on_crash == "resume" and policy.recoveries < RECOVERIES_LIMIT
        is_left = state is not None and state.is_crashed() and (root.id == run.id or not goes_on)
        became = self.was if state is None else state.name
        message = self.why if state is None else state.message or self.why
        return Recovery(
            run.id,
            run.name,
            run.flow_name,
            self.left.owner,
            self.last_seen,
            self.was,
            became,
            message,
            has_hooks=run.empirical_policy.crash_hooks and is_left,
            is_ready=state is not None and state.is_scheduled(),
            is_subflow=run.parent_task_run_id is not None,
        )
