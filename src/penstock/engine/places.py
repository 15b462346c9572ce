"""Where the code of a thread is: what tells a call that blocks from code that goes on."""

from __future__ import annotations

import sys
from typing import Any

_frames: Any = sys._current_frames  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the only way


def place_of(thread_id: int | None) -> tuple[int, int] | None:
    """Tell where the code of a thread is, so that one sees whether it has gone on since."""
    frame = None if thread_id is None else _frames().get(thread_id)
    return None if frame is None else (id(frame), frame.f_lasti)
