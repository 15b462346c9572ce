"""What keeps the cost of a submitted task flat while thousands wait.

Each full pass of Python's cyclic garbage collector looks at every object that waits, and passes
come more often the more of them are made: at 10,000 waiting task runs that was half of the cost of
each (docs/decisions/0003-garbage-collector.md). So during a burst what is there is set aside from
the collector (`gc.freeze`, which takes no time), and given back when the burst is over. Only
cycles of garbage wait that long; all else is freed as ever.
"""

from __future__ import annotations

import gc
import threading

BURST = 1024
"""So many more unfinished task runs of one flow run are set aside at once."""

_lock = threading.Lock()
_bursting: set[int] = set()


def grow(execution_id: int) -> None:
    """Set aside what is there now: a burst goes on. Left alone if the program does that itself."""
    with _lock:
        if not _bursting and gc.get_freeze_count():
            return
        _bursting.add(execution_id)
        gc.freeze()


def end(execution_id: int) -> None:
    """Give everything back to the collector, if this was the last burst."""
    if execution_id not in _bursting:
        return
    with _lock:
        _bursting.discard(execution_id)
        if not _bursting:
            gc.unfreeze()
