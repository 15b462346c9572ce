"""Fixtures that a test suite imports; those that need no import are in `pytest_plugin`."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from penstock.clock import VirtualClock, use_clock

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = ["MockSleep", "mock_anyio_sleep"]


class MockSleep:
    """Stands in for `anyio.sleep`: time jumps, and the event loop turns once.

    Attributes:
        slept_s: the seconds of each sleep, in order; those of runs that wait are not among them.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.slept_s: list[float] = []

    async def __call__(self, delay: float) -> None:
        """Move the clock by `delay` seconds; let others on the event loop go on."""
        self.slept_s.append(delay)
        self._clock.sleep(delay)
        await asyncio.sleep(0)

    @contextmanager
    def assert_sleeps_for(self, seconds: float, extra_tolerance: float = 0.01) -> Generator[None]:
        """Fail if the clock moves by anything else than `seconds` in the block.

        Parameters:
            seconds: what is expected, of sleeps and of runs that wait together.
            extra_tolerance: how many seconds it may be off.

        Raises:
            AssertionError: it was more, or less; says by how much.
        """
        began = self._clock.monotonic()
        yield
        moved = self._clock.monotonic() - began
        if abs(moved - seconds) > extra_tolerance:
            message = f"It slept for {moved:.3f} seconds; {seconds:.3f} were expected."
            raise AssertionError(message)


@pytest.fixture
def mock_anyio_sleep(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockSleep]:
    """Have time jump where code awaits `anyio.sleep`, and where a run would wait for a retry.

    Example:
        >>> from penstock.testing.fixtures import mock_anyio_sleep
        >>> async def test_it_waits_a_minute(mock_anyio_sleep):
        ...     with mock_anyio_sleep.assert_sleeps_for(60):
        ...         await my_flow()
    """
    clock = VirtualClock()
    mock = MockSleep(clock)
    if find_spec("anyio") is not None:
        monkeypatch.setattr(import_module("anyio"), "sleep", mock)
    with use_clock(clock):
        yield mock
