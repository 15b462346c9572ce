"""What is old enough to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86_400.0


class Limits(NamedTuple):
    """What is old enough to go. Times are in seconds since the epoch.

    Attributes:
        runs_before: Flow runs that ended before; none keeps them all.
        logs_before: Log records that were written before; none keeps them with their flow run.
        keep: How many of the newest runs of each flow stay, however old they are.
        result_folder: Where result files are deleted; none leaves them.
    """

    runs_before: float | None
    logs_before: float | None
    keep: int = 0
    result_folder: Path | None = None
