"""What pytest offers beside penstock: `penstock_store`, `virtual_clock`, `crash_sweep`.

pytest imports this module in every test run. It imports nothing of penstock's before a test asks
for a fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.client import SyncPenstockClient
    from penstock.clock import VirtualClock
    from penstock.testing.proving import CrashSweep


@pytest.fixture
def penstock_store() -> Iterator[SyncPenstockClient]:
    """Give the test an empty store; the value is a client that reads what was recorded in it."""
    from penstock.testing.utilities import penstock_test_harness

    with penstock_test_harness() as client:
        yield client


@pytest.fixture
def virtual_clock() -> Iterator[VirtualClock]:
    """Have time jump where runs would wait; `virtual_clock.sleep(seconds)` moves it, too."""
    from penstock.clock import VirtualClock, use_clock

    clock = VirtualClock()
    with use_clock(clock):
        yield clock


@pytest.fixture
def crash_sweep() -> CrashSweep:
    """Crash a flow at every effect in turn, resume it, and fail with what was not as promised."""
    from penstock.testing.proving import CrashSweep

    return CrashSweep()
