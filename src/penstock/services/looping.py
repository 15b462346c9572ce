"""The loop that repeats the services, each with its period, in one thread."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple

from penstock import clock, world
from penstock.exceptions import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_logger = logging.getLogger("penstock.services")


class Service(NamedTuple):
    """Something that is to be done again and again.

    Attributes:
        name: What it is called in logs.
        period_s: Seconds from the beginning of one pass to that of the next.
        work: One pass.
    """

    name: str
    period_s: float
    work: Callable[[], object]


class Services:
    """Repeats services until it is stopped. A pass that fails is logged, and made again later.

    Parameters:
        services: what to do.

    Example:
        >>> from penstock.services import expire_paused
        >>> from penstock.store import get_store
        >>> services = Services([Service("expiry", 5.0, lambda: expire_paused(get_store()))])
        >>> services.start()
        >>> services.stop()
    """

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = list(services)
        self._stopping = threading.Lock()
        self._stopping.acquire()
        self._is_stopped = False
        self._over = threading.Lock()

    def start(self) -> None:
        """Do it in a thread of its own, until `stop`."""
        self._over.acquire()
        world.start_thread(self._run_in_thread, "penstock-services")

    def _run_in_thread(self) -> None:
        try:
            self.run()
        finally:
            self._over.release()

    def run(self) -> None:
        """Do it here, until `stop` is called in another thread or by a signal's handler."""
        due = dict.fromkeys(range(len(self._services)), clock.monotonic())
        while not self._is_stopped:
            for index, service in enumerate(self._services):
                now = clock.monotonic()
                if due[index] <= now and not self._is_stopped:
                    due[index] = now + service.period_s
                    _do(service)
            wait_s = min(due.values()) - clock.monotonic()
            if wait_s > 0:
                world.acquire(self._stopping, wait_s)

    def stop(self, timeout_s: float = 0.0) -> None:
        """End it when the pass that is being made is over.

        Parameters:
            timeout_s: for how many seconds to wait for the end of the thread.
        """
        if not self._is_stopped:
            self._is_stopped = True
            self._stopping.release()
        if timeout_s:
            world.acquire(self._over, timeout_s)


def _do(service: Service) -> None:
    try:
        service.work()
    except StoreError as error:
        _logger.warning("Service %r could not reach the store: %s", service.name, error)
    except Exception:
        # One run that cannot be read must not keep all others from being seen to.
        _logger.exception("Service %r failed; it is tried again.", service.name)
