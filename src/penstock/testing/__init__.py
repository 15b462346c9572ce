"""Simulated runs: the engine in a world of its own, where threads, time and death go by a seed."""

from penstock.testing.checking import Violation
from penstock.testing.scheduling import Stuck
from penstock.testing.simulation import Life, Simulation
from penstock.testing.sweeping import Sweep, crash_sweep, fault_sweep, stall_sweep

__all__ = [
    "Life",
    "Simulation",
    "Stuck",
    "Sweep",
    "Violation",
    "crash_sweep",
    "fault_sweep",
    "stall_sweep",
]
