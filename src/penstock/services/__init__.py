"""What changes the states of runs by itself: passes over a store, none of which needs a server.

Each module has one pass in bounded batches; `Services` repeats them with their periods. Used by
`penstock recover`, and by whatever runs for long beside a store.
"""

from penstock.services.cancelling import CleanedUp, clean_up_cancelled
from penstock.services.expiring import Expired, expire_paused
from penstock.services.looping import Service, Services
from penstock.services.recovering import Left, Recovery, Suspects, find_left, recover
from penstock.services.taking_up import Ready, find_ready

__all__ = [
    "CleanedUp",
    "Expired",
    "Left",
    "Ready",
    "Recovery",
    "Service",
    "Services",
    "Suspects",
    "clean_up_cancelled",
    "expire_paused",
    "find_left",
    "find_ready",
    "recover",
]
