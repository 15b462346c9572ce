"""`wait_for_flow_run`: a program waits for a flow run that another one executes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.client import get_client
from penstock.client.awaiting import awaits, in_thread
from penstock.client.base import id_of
from penstock.exceptions import FlowRunWaitTimeout
from penstock.logging import get_logger, setup_logging

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.records import FlowRun

__all__ = ["wait_for_flow_run"]

LOOK_S = 0.1
"""How often the run is looked at, at least."""


def wait_for_flow_run(
    flow_run_id: UUID | str,
    timeout: float | None = 10800,
    poll_interval: float = 5,
    log_states: bool = False,  # noqa: FBT001, FBT002 - as programs give it
) -> Any:
    """Wait until a flow run has finished, in whichever way.

    Parameters:
        flow_run_id: which.
        timeout: how many seconds to wait at most; None for ever. At 0 it is looked at once.
        poll_interval: taken for programs that give it: a run's end is noticed within a tenth of a
            second, whatever it is.
        log_states: log each state that it is seen in, at INFO.

    Returns:
        The run's record; its `state` is Completed, Failed, Crashed or Cancelled. In async code an
        awaitable of it.

    Raises:
        FlowRunWaitTimeout: it has not finished in time. It goes on.
        ObjectNotFound: there is no such run.
        ValueError: `timeout` or `poll_interval` is negative, or this is no id.

    Example:
        >>> run = wait_for_flow_run("01a20480-3334-7aa3-8186-a049104944c6")  # doctest: +SKIP
        >>> run.state.is_completed()  # doctest: +SKIP
        True
    """
    for name, seconds in (("timeout", timeout), ("poll_interval", poll_interval)):
        if seconds is not None and seconds < 0:
            message = f"{name}={seconds!r}: give a number of seconds that is not negative."
            raise ValueError(message)
    watch = _Watch(id_of(flow_run_id, "flow run"), timeout, log_states=log_states)
    if awaits():
        return _wait_async(watch)
    while (delay_s := watch.look()) is not None:
        clock.sleep(delay_s)
    return watch.run


async def _wait_async(watch: _Watch) -> FlowRun | None:
    import asyncio  # in async code it is loaded already

    while (delay_s := await in_thread(watch.look)) is not None:
        if clock.is_virtual():
            clock.sleep(delay_s)
        else:
            await asyncio.sleep(delay_s)
    return watch.run


class _Watch:
    """Looks at a run, and says how long to wait before it looks again."""

    def __init__(self, flow_run_id: UUID, timeout: float | None, *, log_states: bool) -> None:
        self.run: FlowRun | None = None
        self._id = flow_run_id
        self._timeout_s = timeout
        self._until = None if timeout is None else clock.monotonic() + timeout
        self._client = get_client(sync_client=True)
        self._logger = None
        if log_states:
            setup_logging()
            self._logger = get_logger("wait_for_flow_run")
        self._seen: str | None = None

    def look(self) -> float | None:
        """Read the run; give the seconds to wait, or none when it has finished.

        Raises:
            FlowRunWaitTimeout: the time is over.
        """
        run = self.run = self._client.read_flow_run(self._id)
        state = run.state
        if self._logger is not None and state is not None and state.name != self._seen:
            self._seen = state.name
            self._logger.info("Flow run %r is in state %r", run.name, state.name)
        if state is not None and state.is_final():
            return None
        if self._until is None:
            return LOOK_S
        left_s = self._until - clock.monotonic()
        if left_s <= 0:
            name = "no state" if state is None else f"state {state.name}"
            raise FlowRunWaitTimeout(
                f"Flow run {run.name!r} ({run.id}) has not finished within {self._timeout_s:g}"
                f" seconds: it is in {name}, and goes on. See"
                f" `penstock flow-run inspect {run.id}`."
            )
        return min(LOOK_S, left_s)
