"""A process that stood still for longer than its lease: it has lost its run, and sees that."""

from __future__ import annotations

import os
import signal
import sys
import time
from uuid import UUID

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")

LEASE_TTL_S = 0.5
END_TIMEOUT_S = 20
COUNT = 12
STOPPED = "stops here: The flow run was taken over by another process"


class Lease:
    """The lease of a flow run, as it stands in the store."""

    def __init__(self, database):
        self.database = database
        (found,) = database.read(
            "select id, lease_expires from flow_run where parent_task_run_id is null"
        )
        self.run_id, self.expires = UUID(bytes=found[0]), found[1]

    def wait_until_extended(self):
        """Wait for the next sign of life."""
        limit = time.monotonic() + END_TIMEOUT_S
        while (now := Lease(self.database).expires) == self.expires:
            assert time.monotonic() < limit
            time.sleep(0.005)
        self.expires = now

    def give_to_another_host(self):
        """Let the owner be on a host of which nothing is known but the lease.

        On this one, its process is seen to exist.
        """
        self.set("elsewhere/0/0:1:1", time.time() + 3600)

    def wait_until_over(self):
        """Let it end when it would have ended anyway."""
        self.set("elsewhere/0/0:1:1", self.expires)
        time.sleep(max(self.expires - time.time(), 0))

    def set(self, owner, expires):
        change = "update flow_run set owner = ?, lease_expires = ?"
        assert self.database.write(change, (owner, expires))


def records(database):
    """Give all that is recorded of runs."""
    return [
        database.read(f"select * from {table} order by id") for table in ("flow_run", "task_run")
    ]


@pytest.mark.parametrize("kind", ["called", "mapped", "asynchronous", "outer"])
def test_a_process_that_was_paused_for_too_long(programs, database, ledger, tmp_path, kind):
    programs.environment |= {
        "GATE": str(tmp_path / "gate"),
        "PENSTOCK_LEASE_TTL_S": str(LEASE_TTL_S),
        "PENSTOCK_HEARTBEAT_INTERVAL_S": "0.2",
    }
    paused = programs.start("paused.py", "run", kind)
    for _ in range(2 if kind == "mapped" else 1):
        programs.wait_until(paused)
    lease = Lease(database)
    lease.wait_until_extended()
    with database.held():  # it must not be stopped while it has the file itself
        paused.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, paused.pid, os.WSTOPPED | os.WNOWAIT)
    lease.give_to_another_host()
    (tmp_path / "gate").touch()

    early = programs.run("paused.py", "resume", kind, lease.run_id)
    lease.wait_until_over()
    ended = programs.run("paused.py", "resume", kind, lease.run_id)

    assert early.code == 1
    assert "is being executed by a living process (elsewhere/0/0:1:1)" in early.err
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == f"value {COUNT * (COUNT + 1) // 2}"
    assert set(database.counts("flow_run")) == set(database.counts("task_run")) == {"Completed"}

    before = records(database)
    logs = "select name, message from log order by id"
    logged = database.read(logs)
    executed = ledger.read_text().splitlines()

    paused.send_signal(signal.SIGCONT)
    late = programs.end(paused, END_TIMEOUT_S)

    assert late.code == 1
    assert "value" not in late.out
    # Of two runs, the inner one's end may be all that is heard of before the process ends.
    assert late.err.count(STOPPED) in ((1, 2) if kind == "outer" else (1,)), late.err
    assert records(database) == before
    assert database.read(logs)[: len(logged)] == logged
    if kind != "mapped":
        # Threads may have taken the next ones before they know; else none is begun any more.
        after = ledger.read_text().splitlines()[len(executed) :]
        # The task itself is interrupted, or has come to its end just before.
        assert [line.split()[0] for line in after] in ([], ["end"])
