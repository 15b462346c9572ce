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
    """Name this host, this boot of it, and this namespace of process ids.

    The host's name is for people. Containers share it, or have each their own on one machine; what
    tells whether two processes see the same process ids is the kernel's boot and the namespace.
    """
    parts = [_host_name()]
    for read in (
        lambda: _BOOT_ID.read_text("ascii").replace("-", "")[:16],
        lambda: str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]"),
    ):
        try:
            parts.append(read().strip())
        except OSError:
            parts.append("")
    return "/".join(parts)


_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _start_of(pid: int) -> str | None:
    """Give when a process started, as the kernel counts; none when there is no such process.

    It is empty where it cannot be told: the process may be there, and hidden from this user.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return "" if _is_hidden(pid) else None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


def _is_hidden(pid: int) -> bool:
    """Tell whether there is a process of this id that /proc does not show (`hidepid`)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return False  # it may be signalled, so it is this user's, and has ended as it was looked at


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

    Of a process on this host the kernel knows; what its lease and the clocks say does not matter
    then. Of any other one the lease decides.

    Parameters:
        owner: the id that was recorded.
        lease_expires: until when it has the run, in seconds since the epoch.
        now: the present time, likewise.
    """
    if world.stand_in is not None:
        return world.stand_in.is_owner_alive(owner, lease_expires, now)
    if is_known_here(owner):
        _host_part, pid, start = owner.rsplit(":", 2)
        found = _start_of(int(pid))
        if found != "":
            return found == start
    return lease_expires is not None and lease_expires > now


def is_known_here(owner: str) -> bool:
    """Tell whether an owner's process id means here what it meant where the owner got it.

    That is so in the same boot of the same kernel, and the same namespace of process ids.
    """
    if world.stand_in is not None:
        return True
    host, _, process = owner.rpartition(":")[0].rpartition(":")
    start = owner.rpartition(":")[2]
    boot, _, space = host.partition("/")[2].partition("/")
    is_here = (boot, space) == tuple(_host().split("/")[1:])
    return bool(is_here and boot and space and start) and process.isdecimal()


def title_of(owner: str) -> str:
    """Name an owner as people do: `process 4711 on host alpha`."""
    host, pid, _start = f"::{owner}".rsplit(":", 2)
    return f"process {pid or '?'} on host {host.strip(':').partition('/')[0] or '?'}"
