"""What the sync and the async forms have in common: generators of the futures to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.concurrency.desk import Desk, Ticket, desk_of
from penstock.context import FlowRunContext, TaskRunContext
from penstock.exceptions import MissingContextError
from penstock.logging.loggers import get_logger, get_run_logger
from penstock.store import get_store
from penstock.store.lease import this_process, title_of
from penstock.store.limits import TAG, why_waiting

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from penstock.futures import PenstockFuture

EXPLAIN_AFTER_S = 1.0
"""Who has waited for so long is told why, in the log."""


class Asking:
    """Slots that are being asked for, from the code that this is made in.

    Raises:
        ValueError, TypeError: an argument is not understood.
    """

    def __init__(
        self,
        names: str | Iterable[str],
        occupy: int,
        timeout_seconds: float | None,
        *,
        decays: bool = False,
    ) -> None:
        given = _checked_names(names)
        _check_occupy(occupy)
        if timeout_seconds is not None and not timeout_seconds >= 0:
            message = f"timeout_seconds={timeout_seconds!r}: give seconds, 0 or more, or None."
            raise ValueError(message)
        self._timeout_s = timeout_seconds
        self._store = get_store()
        self._desk: Desk = desk_of(self._store)
        holder, flow_run_id = _caller()
        self.ticket = Ticket(given, occupy, holder=holder, flow_run_id=flow_run_id, decays=decays)

    def take(self) -> Generator[PenstockFuture]:
        """Take the slots; each future that this gives is to be waited for.

        Raises:
            TimeoutError: the time is over first.
            ConcurrencySlotAcquisitionError: there are not so many slots.
            StoreError: the limits cannot be read.
        """
        ticket = self.ticket
        if not ticket.names:
            return
        timeout_s = self._timeout_s
        began = clock.monotonic()
        until = None if timeout_s is None else began + timeout_s
        explain_at = began + EXPLAIN_AFTER_S
        ticket.wake_at = explain_at if until is None else min(until, explain_at)
        self._desk.enter(ticket)
        is_told = False
        while True:
            yield ticket.future
            if ticket.error is not None:
                raise ticket.error
            if ticket.taken:
                if is_told:
                    self._logger().info("Goes on: it has its slots now.")
                return
            if until is not None and clock.monotonic() >= until:
                why = why_waiting(self._store, ticket.names)
                message = f"No slots within {timeout_s:g} s. {why}"
                raise TimeoutError(message)
            if not is_told:
                is_told = True
                self._logger().info("%s", why_waiting(self._store, ticket.names))
            self._desk.renew(ticket, until)

    def give_back(self) -> PenstockFuture | None:
        """Give back what was taken, or wait for it no longer; the future tells when it is done."""
        return self._desk.leave(self.ticket) if self.ticket.names else None

    def _logger(self) -> Any:
        try:
            return get_run_logger()
        except MissingContextError:
            return get_logger("concurrency")


def _checked_names(names: str | Iterable[str]) -> list[str]:
    try:
        given: list[Any] = [names] if isinstance(names, str) else list(names)
    except TypeError:
        given = [names]
    for name in given:
        if not isinstance(name, str) or not name or name.startswith(TAG):
            message = (
                f"{name!r} is not the name of a concurrency limit: give a text, or several in a"
                f" list, that does not begin with {TAG!r}: tags limit task runs only."
            )
            raise ValueError(message)
    return given


def _check_occupy(occupy: Any) -> None:
    if isinstance(occupy, bool) or not isinstance(occupy, int) or occupy < 1:
        message = f"occupy={occupy!r}: give how many slots to take, a whole number of 1 or more."
        raise ValueError(message)


def _caller() -> tuple[str, bytes | None]:
    """Name who asks, and give the id of the flow run that it belongs to."""
    flow_context, task_context = FlowRunContext.get(), TaskRunContext.get()
    flow_run = None if flow_context is None else flow_context.flow_run
    flow_run_id = None if flow_run is None else flow_run.id.bytes
    if task_context is not None:
        run = task_context.task_run
        where = "" if flow_run is None else f" of flow run {flow_run.name!r}"
        return f"task run {run.name!r}{where}", flow_run_id
    if flow_run is not None:
        return f"flow run {flow_run.name!r}", flow_run_id
    return title_of(this_process()), None
