"""Who owns a flow run that is being executed, and how one tells that an owner is dead.

An owner's id names its host, the boot of that host, its process and when that process started, so
that another process on the same host sees at once that it is gone, without waiting for the lease.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from penstock import world


class Owner(str):
    """The id of a process that executes flow runs."""

    __slots__ = ()


def _host_name() -> str:
    if hasattr(os, "uname"):
        return os.uname().nodename
    import socket  # where there is no uname; it costs a tenth of Python's start

    return socket.gethostname()


@functools.cache
def _host() -> str:
    """Name this host, this boot of it, and this namespace of process ids."""
    parts = [_host_name()]
    for read in (
        lambda: Path("/proc/sys/kernel/random/boot_id").read_text("ascii")[:8],
        lambda: str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]"),
    ):
        try:
            parts.append(read())
        except OSError:
            parts.append("")
    return "/".join(parts)


def _start_of(pid: int) -> str | None:
    """Give when a process started, as the kernel counts; none when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


_this: tuple[int, Owner] | None = None


def this_process() -> Owner:
    """Give the id of this process as an owner."""
    if world.stand_in is not None:
        return Owner(world.stand_in.owner)
    global _this  # noqa: PLW0603 - remembered until a fork makes it another process
    pid = os.getpid()
    if _this is None or _this[0] != pid:
        _this = (pid, Owner(f"{_host()}:{pid}:{_start_of(pid) or ''}"))
    return _this[1]


def is_owner_alive(owner: str, lease_expires: float | None, now: float) -> bool:
    """Tell whether an owner may still be executing.

    Parameters:
        owner: the id that was recorded.
        lease_expires: until when it has the run, in seconds since the epoch.
        now: the present time, likewise.
    """
    if world.stand_in is not None:
        return world.stand_in.is_owner_alive(owner, lease_expires, now)
    host, _, process = owner.rpartition(":")[0].rpartition(":")
    start = owner.rpartition(":")[2]
    if host == _host() and start and Path("/proc/self/stat").exists():
        return _start_of(int(process)) == start
    return lease_expires is not None and lease_expires > now
