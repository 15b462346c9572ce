"""`penstock recover`: runs whose process died, pauses whose time is over, runs that wait."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock import clock
from penstock.cli.failing import CommandError, EndedBySignal, OutputClosed, warn
from penstock.cli.output import duration, flush, utc, write, write_json
from penstock.cli.stores import is_empty_without_store
from penstock.logging import setup_logging
from penstock.services import (
    Service,
    Services,
    Suspects,
    expire_paused,
    find_left,
    find_ready,
    recover,
)
from penstock.services.cancelling import clean_up_cancelled
from penstock.services.taking_up import Processes
from penstock.settings import get_current_settings
from penstock.store import get_store

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from types import FrameType
    from uuid import UUID

    from penstock.services import Expired, Left, Ready, Recovery
    from penstock.services.cancelling import CleanedUp
    from penstock.store import Store

READY_LIMIT = 100
"""The most runs that wait for a process that are listed."""

HOOKS_TIMEOUT_S = 60.0
"""For how long the `on_crashed` hooks of runs that were found are waited for."""

END_GRACE_S = 10.0
"""How long processes get to end in order that are interrupted, before they are killed."""

POLL_S = 0.1

_NOTHING = "No run was left by its process, and none waits for one."
_NO_STORE = "There is no store {place!r} yet: no run was left by its process."


class Finding(NamedTuple):
    """What is said of one run."""

    flow_run_id: UUID
    name: str
    flow_name: str
    found: str
    was: str
    became: str
    why: str
    next: str
    owner: str | None = None
    last_seen: str | None = None
    kind: str = "flow run"


def recover_runs(*, watch: bool, limit: int | None, dry_run: bool, as_json: bool) -> int:
    """Look for runs that were left, and see to them: once, or until it is interrupted.

    Parameters:
        watch: go on, and execute the runs that wait for a process.
        limit: how many are executed at once; PENSTOCK_RUNNER_PROCESS_LIMIT if it is not said.
        dry_run: only say what would be done.
        as_json: print objects, for programs.

    Returns:
        The exit code.

    Raises:
        CommandError: the options do not go together.
        EndedBySignal: it was interrupted twice.
    """
    if watch and dry_run:
        message = "--dry-run looks once and changes nothing: leave out --watch."
        raise CommandError(message)
    setup_logging()
    most = limit or get_current_settings().runner_process_limit
    if watch:
        return _Watch(get_store(), most, as_json=as_json).run()
    if is_empty_without_store(_NO_STORE, as_json=as_json):
        return 0
    store = get_store()
    findings = _look_once(store, most, dry_run=dry_run)
    if as_json:
        write_json(_as_object(each) for each in findings)
        return 0
    count = 0
    for each in findings:
        _write_finding(each, dry_run=dry_run)
        count += 1
    if not count:
        write(f"{_NOTHING}\n")
    return 0


# -- once -----------------------------------------------------------------------------------------


def _look_once(store: Store, limit: int, *, dry_run: bool) -> Iterator[Finding]:
    processes = Processes(limit)
    recovered: set[UUID] = set()
    for left in _find_all_left(store):
        recovery = recover(store, left, dry_run=dry_run)
        if recovery is not None:
            recovered.add(recovery.flow_run_id)
            yield _of_recovery(recovery)
            if recovery.has_hooks and not dry_run:
                processes.call_hooks(recovery.flow_run_id)
    for expired in expire_paused(store, dry_run=dry_run):
        yield _of_expired(expired)
    for ready in find_ready(store, READY_LIMIT):
        if ready.flow_run_id not in recovered:
            yield _of_ready(ready)
    if not processes.wait(HOOKS_TIMEOUT_S):
        warn(f"on_crashed hooks took longer than {HOOKS_TIMEOUT_S:g} s, and are ended.")
        processes.terminate(END_GRACE_S)


def _find_all_left(store: Store) -> list[Left]:
    """Find what was left; what seems to be, on other hosts, only after a second look."""
    suspects = Suspects()
    left = find_left(store, suspects)
    if not suspects:
        return left
    warn(
        "There are runs of processes on other hosts whose leases have expired: looking for"
        f" {duration(suspects.confirming_s)} whether those give a sign of life."
    )
    clock.sleep(suspects.confirming_s)
    return find_left(store, suspects)


# -- for long -------------------------------------------------------------------------------------


class _Watch:
    """Sees to runs, and executes those that wait, until it is interrupted."""

    def __init__(self, store: Store, limit: int, *, as_json: bool) -> None:
        self.store = store
        self.as_json = as_json
        self.processes = Processes(limit)
        self.suspects = Suspects()
        self.signals: list[int] = []
        settings = get_current_settings()
        services = [Service("taking up", settings.runner_poll_frequency, self._take_up)]
        if settings.api_services_recovery_enabled:
            period_s = settings.api_services_recovery_loop_seconds
            services.insert(0, Service("recovery", period_s, self._recover))
        if settings.api_services_pause_expirations_enabled:
            period_s = settings.api_services_pause_expirations_loop_seconds
            services.append(Service("pause expiry", period_s, self._expire))
        if settings.api_services_cancellation_cleanup_enabled:
            period_s = settings.api_services_cancellation_cleanup_loop_seconds
            services.append(Service("cancellation clean-up", period_s, self._clean_up))
        self.services = Services(services)

    def run(self) -> int:
        """Do it, and end in order."""
        if not self.as_json:
            write(
                f"Looking after the runs of {self.store.place}: executing at most"
                f" {self.processes.limit} at once. Ctrl-C ends it.\n"
            )
            flush()
        with self._signals_noted():
            self.services.run()
            count = len(self.processes)
            if count and not self._is_interrupted_again():
                what = "the process that was" if count == 1 else f"{count} processes that were"
                warn(
                    f"Nothing more is taken up. Waiting for {what} begun; a second Ctrl-C, or"
                    " SIGTERM, ends what is executed."
                )
            while not self._is_interrupted_again() and not self.processes.wait(POLL_S):
                pass
            if len(self.processes):
                self.processes.terminate(END_GRACE_S)
                raise EndedBySignal(self.signals[-1])
        return 0

    def _is_interrupted_again(self) -> bool:
        return len(self.signals) > 1

    @contextmanager
    def _signals_noted(self) -> Generator[None]:
        def note(number: int, frame: FrameType | None) -> None:
            del frame
            self.signals.append(number)
            self.services.stop()

        former = {each: signal.signal(each, note) for each in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _recover(self) -> None:
        for left in find_left(self.store, self.suspects):
            recovery = recover(self.store, left)
            if recovery is None:
                continue
            self._report(_of_recovery(recovery, is_watched=True))
            if recovery.has_hooks:
                self.processes.call_hooks(recovery.flow_run_id)

    def _expire(self) -> None:
        for expired in expire_paused(self.store):
            self._report(_of_expired(expired))

    def _clean_up(self) -> None:
        for cleaned in clean_up_cancelled(self.store, clock.epoch()):
            self._report(_of_cleaned(cleaned))

    def _take_up(self) -> None:
        for ready in self.processes.take_up(self.store):
            self._report(_of_ready(ready, is_taken_up=True))

    def _report(self, finding: Finding) -> None:
        try:
            if self.as_json:
                write(json.dumps(_as_object(finding)) + "\n")
            else:
                _write_finding(finding)
            flush()
        except OutputClosed:
            self.services.stop()


# -- what is said ---------------------------------------------------------------------------------


def _of_recovery(recovery: Recovery, *, is_watched: bool = False) -> Finding:
    if recovery.is_ready:
        after = "it is executed next" if is_watched else _execute_hint(recovery.flow_run_id)
    elif recovery.is_subflow:
        after = "its parent goes on with it"
    elif recovery.became == "Cancelled":
        after = ""
    else:
        after = f"penstock flow-run resume {recovery.flow_run_id}"
    return Finding(
        recovery.flow_run_id,
        recovery.name,
        recovery.flow_name,
        "dead process",
        recovery.was,
        recovery.became,
        recovery.why,
        after,
        recovery.owner,
        utc(recovery.last_seen),
    )


def _execute_hint(run_id: UUID) -> str:
    return f"penstock recover --watch, or penstock flow-run execute {run_id}"


def _of_expired(expired: Expired) -> Finding:
    after = f"penstock flow-run resume {expired.flow_run_id}"
    found = "expired pause"
    run = (expired.flow_run_id, expired.name, expired.flow_name)
    return Finding(*run, found, expired.was, "Failed", expired.why, after)


def _of_cleaned(cleaned: CleanedUp) -> Finding:
    why = "The flow run that it belongs to was cancelled."
    state = cleaned.state_name
    run = (cleaned.id, cleaned.name, "")
    return Finding(*run, "left by a cancelled run", state, state, why, "", kind=cleaned.kind)


def _of_ready(ready: Ready, *, is_taken_up: bool = False) -> Finding:
    after = "it is being executed" if is_taken_up else _execute_hint(ready.flow_run_id)
    why = "A process was begun for it." if is_taken_up else "It waits for a process."
    found, state = "taken up" if is_taken_up else "waiting", ready.state_name
    run = (ready.flow_run_id, ready.name, ready.flow_name)
    return Finding(*run, found, state, state, why, after)


def _write_finding(finding: Finding, *, dry_run: bool = False) -> None:
    would = "would be " if dry_run and finding.was != finding.became else ""
    states = finding.was if finding.was == finding.became else f"{finding.was} -> {would}"
    became = "" if finding.was == finding.became else finding.became
    of_flow = f" of flow {finding.flow_name!r}" if finding.flow_name else ""
    title = f"{finding.kind.capitalize()} {finding.name!r} ({finding.flow_run_id}){of_flow}"
    write(f"{title}: {states}{became}\n  {finding.why}\n")
    if finding.next:
        write(f"  Next: {finding.next}\n")


def _as_object(finding: Finding) -> dict[str, Any]:
    fields = finding._asdict()
    return {"id": str(fields.pop("flow_run_id")), **fields}
