"""One place where all of this process wait to whom an input may be sent.

One daemon thread looks every few hundredths of a second whether anything was written to the
store, and only then has those who wait look for their inputs. It is started with the first that
waits and ends with the last.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from penstock import clock, world
from penstock.exceptions import StoreError

if TYPE_CHECKING:
    from collections.abc import Generator

    from penstock.store import Store

INTERVAL_S = 0.025
"""How often the thread looks: what bounds how long after it was sent an input is received."""

REST_FACTOR = 10
"""The thread rests so much longer than it looked, so that it takes a tenth of a core at most."""

_logger = logging.getLogger("penstock.input")


class Bell(Protocol):
    """What is rung when there may be inputs."""

    def ring(self) -> None:
        """Wake who waits."""
        ...


class ThreadBell:
    """Wakes a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._guard = threading.Lock()
        self._is_rung = False

    def ring(self) -> None:
        """Wake the thread, now or when it next waits."""
        with self._guard:
            if not self._is_rung:
                self._is_rung = True
                self._lock.release()

    def wait(self, timeout_s: float) -> None:
        """Wait until it is rung, so many seconds at most."""
        if world.acquire(self._lock, timeout_s):
            with self._guard:
                self._is_rung = False


class LoopBell:
    """Wakes a coroutine."""

    def __init__(self) -> None:
        import asyncio  # in a coroutine it is loaded already

        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the coroutine, now or when it next waits."""
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            if not self._loop.is_closed():  # else nobody waits any more
                raise

    async def wait(self, timeout_s: float) -> None:
        """Wait until it is rung, so many seconds at most."""
        import asyncio

        try:
            await asyncio.wait_for(self._event.wait(), timeout_s)
        except TimeoutError:
            return
        self._event.clear()


class Arrivals:
    """Who waits, and the thread that looks for them."""

    def __init__(self) -> None:
        self._bells: dict[Store, set[Any]] = {}
        self._lock = threading.Lock()
        self._looks = False
        self._versions: dict[Store, int] = {}

    @contextmanager
    def ringing(self, store: Store, bell: Bell) -> Generator[None]:
        """Ring a bell with what is written to a store, while the block lasts."""
        with self._lock:
            self._bells.setdefault(store, set()).add(bell)
            if not self._looks:
                self._looks = True
                world.start_thread(self._run, "penstock-inputs")
        try:
            yield
        finally:
            with self._lock:
                bells = self._bells.get(store, set())
                bells.discard(bell)
                if not bells:
                    self._bells.pop(store, None)
                    self._versions.pop(store, None)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._bells:
                    self._looks = False
                    return
                stores = list(self._bells)
            began = clock.monotonic()
            changed = [store for store in stores if self._has_changed(store)]
            with self._lock:
                bells = [bell for store in changed for bell in self._bells.get(store, ())]
            for bell in bells:
                bell.ring()
            looked_s = clock.monotonic() - began
            world.sleep(max(INTERVAL_S, looked_s * REST_FACTOR))

    def _has_changed(self, store: Store) -> bool:
        """Tell whether a store was written to since this was asked last, as far as one sees."""
        try:
            version = store.version()
        except StoreError as error:
            # Those who wait look for themselves, and learn what is wrong.
            _logger.warning("The store of runs that wait for inputs could not be read: %s", error)
            self._versions.pop(store, None)
            return True
        if self._versions.get(store) == version:
            return False
        self._versions[store] = version
        return True


_arrivals = Arrivals()


def arrivals() -> Arrivals:
    """Give this process's waiting place."""
    return _arrivals


def _after_fork() -> None:
    global _arrivals  # noqa: PLW0603 - the thread stays in the parent
    _arrivals = Arrivals()


world.at_new_process(_after_fork)
