"""What users prove their flows with: a store for a test, crash sweeps, simulated runs.

Names are loaded when they are first asked for: pytest imports this room in each test run, of
suites that do not use it, too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.testing.checking import Violation
    from penstock.testing.scheduling import Stuck
    from penstock.testing.simulation import Life, Simulation
    from penstock.testing.sweeping import Sweep, crash_sweep, fault_sweep, stall_sweep
    from penstock.testing.utilities import penstock_test_harness

_ROOMS = {
    "Life": "simulation",
    "Simulation": "simulation",
    "Stuck": "scheduling",
    "Sweep": "sweeping",
    "Violation": "checking",
    "crash_sweep": "sweeping",
    "fault_sweep": "sweeping",
    "penstock_test_harness": "utilities",
    "stall_sweep": "sweeping",
}

__all__ = [
    "Life",
    "Simulation",
    "Stuck",
    "Sweep",
    "Violation",
    "crash_sweep",
    "fault_sweep",
    "penstock_test_harness",
    "stall_sweep",
]


def __getattr__(name: str) -> Any:
    room = _ROOMS.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{room}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
