"""Concurrency limits and rate limits, for flows, tasks and any other code.

    from penstock.concurrency import concurrency, rate_limit

    with concurrency("database", occupy=2):
        ...

Those are the forms for sync code, as in `penstock.concurrency.sync`; async code takes the ones of
`penstock.concurrency.asyncio`. The engine comes to `desk.py` for the limits of tags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.utilities.lazy import lazy_names

if TYPE_CHECKING:
    from penstock.concurrency.sync import concurrency, rate_limit

__all__ = ["concurrency", "rate_limit"]

# Loaded when asked for: the engine comes in here for less.
__getattr__ = lazy_names(__name__, dict.fromkeys(__all__, "penstock.concurrency.sync"))
