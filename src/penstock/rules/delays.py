"""How long a task run waits between two attempts (rule T7)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.records import TaskRunPolicy

# Each step halves the interval that holds the bound: 50 of them leave nothing of it.
_BISECTIONS = 50


def retry_delay(policy: TaskRunPolicy, run_count: int, jitter: Callable[[float], float]) -> float:
    """Give the seconds to wait after attempt number `run_count`.

    Parameters:
        policy: how the task is retried. Of a list of delays the one at the attempt's place
            counts, and the last one from there on.
        run_count: how many attempts were made, from 1.
        jitter: draws from the exponential distribution of the mean it is given.
    """
    delay = policy.retry_delay
    if isinstance(delay, list):
        delay = delay[min(max(run_count, 1), len(delay)) - 1] if delay else None
    if not delay or delay < 0:
        return 0.0
    factor = policy.retry_jitter_factor
    if not factor:
        return float(delay)
    return clamped(jitter(delay), delay, factor)


def clamped(drawn_s: float, mean_s: float, factor: float) -> float:
    """Bound a draw so that it is at most `mean_s * (1 + factor)` and `mean_s` on average.

    Cutting off the large draws makes the mean smaller; raising the small ones to a lower bound
    makes up for it.
    """
    upper = 1.0 + factor
    return mean_s * min(max(drawn_s / mean_s, _lower_bound(upper)), upper)


def _lower_bound(upper: float) -> float:
    """Give the bound below which draws of mean 1 are raised when those above `upper` are cut.

    The mean of an exponential variate that is kept between L and U is L + exp(-L) - exp(-U),
    which grows with L; so the L that makes it 1 is found by halving.
    """
    low, high = 0.0, 1.0
    wanted = 1.0 + math.exp(-upper)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if middle + math.exp(-middle) < wanted:
            low = middle
        else:
            high = middle
    return low
