"""Ids that grow with time: made in one place, unique between processes, cheap.

They are UUIDs of version 7: milliseconds, then a fraction of a millisecond, then a counter and
random bits of this process. Rows whose keys grow are appended to an index, not scattered over it.
"""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING
from uuid import UUID, SafeUUID

from penstock import world

if TYPE_CHECKING:
    from collections.abc import Callable

_new = object.__new__
_set = object.__setattr__
_UNKNOWN = SafeUUID.unknown
_now_ns = time.time_ns
_next = itertools.count().__next__
_VERSION_AND_VARIANT = (0x7 << 76) | (0x2 << 62)
_COUNTER_MASK = (1 << 22) - 1
_salt = int.from_bytes(os.urandom(5), "big")


def _reseed() -> None:
    global _salt  # noqa: PLW0603 - a forked child must not make its parent's ids
    _salt = int.from_bytes(os.urandom(5), "big")


world.at_new_process(_reseed)


def use_source(now_ns: Callable[[], int], salt: int) -> tuple[Callable[[], int], int]:
    """Make ids of another time and other random bits from here on; give the former two.

    For simulations: the ids are the same then whenever they are made again.
    """
    global _now_ns, _salt, _next
    former = _now_ns, _salt
    _now_ns, _salt, _next = now_ns, salt, itertools.count().__next__
    return former


def new_id() -> UUID:
    """Make an id that is larger than those made before it."""
    milliseconds, rest = divmod(_now_ns(), 1_000_000)
    # 1 ms in 4096 parts of 244.14 ns fills the 12 bits beside the version.
    number = (
        (milliseconds << 80)
        | _VERSION_AND_VARIANT
        | ((rest * 4096 // 1_000_000) << 64)
        | ((_next() & _COUNTER_MASK) << 40)
        | _salt
    )
    made = _new(UUID)
    _set(made, "int", number)
    _set(made, "is_safe", _UNKNOWN)
    return made


def key_at(moment: float) -> bytes:
    """Give the bytes of the smallest id that is made at a moment, in seconds since the epoch."""
    milliseconds = min(max(int(moment * 1000), 0), (1 << 48) - 1)
    return (milliseconds << 80).to_bytes(16, "big")


def id_from_bytes(data: bytes) -> UUID:
    """Make the id again that `UUID.bytes` was taken from."""
    made = _new(UUID)
    _set(made, "int", int.from_bytes(data, "big"))
    _set(made, "is_safe", _UNKNOWN)
    return made
