"""Flow runs whose processes are gone, without the trouble of having had them."""

from __future__ import annotations

import pytest

from penstock import clock
from penstock.ids import new_id
from penstock.records import FlowRun, FlowRunPolicy, TaskRun
from penstock.rules import Facts, record, state_for_parent_task
from penstock.settings import reload_settings
from penstock.states import Completed, Pending, Running
from penstock.store import get_store
from penstock.store import statements as sql
from penstock.store.encoding import flow_run_insert_row, flow_run_update_row, task_run_row
from penstock.store.lease import this_process

NOWHERE = "alpha/0123456789abcdef/4026531111:4711:99"
"""A process on another host."""


def dead_here():
    """Name a process of this host that is dead: another one has its number now."""
    host, pid, start = this_process().rsplit(":", 2)
    return f"{host}:{pid}:{int(start) - 1}"


class Records:
    """A store, and runs in it as a process leaves them."""

    def __init__(self, store):
        self.store = store

    def flow_run(self, *states, owner=None, lease_s=15.0, parent=None, **policy):
        """Record a flow run that went through the states and has this owner."""
        run = FlowRun(
            name="brave-otter",
            flow_name="ingest",
            flow_id=self.store.flow_id("ingest"),
            entrypoint="flows.py:ingest",
            empirical_policy=FlowRunPolicy(**policy),
            parent_task_run_id=None if parent is None else parent.id,
        )
        for state in states or (Pending(), Running()):
            record(run, state, Facts(now=clock.now()))
        expires = None if owner is None else clock.epoch() + lease_s
        row = flow_run_insert_row(run, owner, 1, expires)
        self.store.write(sql.INSERT_FLOW_RUN, row)
        return run

    def task_run(self, flow_run, *states, name="load-0"):
        """Record a task run that went through the states."""
        run = TaskRun(name=name, flow_run_id=flow_run.id, task_key=name, dynamic_key="0")
        for state in states or (Pending(), Running()):
            record(run, state, Facts(now=clock.now(), flow_run=flow_run))
        self.store.write(sql.WRITE_TASK_RUN, task_run_row(run))
        return run

    def subflow_run(self, parent, *states, **options):
        """Record a subflow run, with the task run that stands for it in its parent."""
        dummy = self.task_run(parent, Pending(), name=f"inner-{new_id()}")
        run = self.flow_run(*states, parent=dummy, **options)
        record(dummy, state_for_parent_task(run), Facts(now=clock.now()))
        self.store.write(sql.WRITE_TASK_RUN, task_run_row(dummy))
        return run, dummy

    def complete(self, flow_run, name):
        """Record one more task run that completed."""
        return self.task_run(flow_run, Pending(), Running(), Completed(), name=name)

    def finish(self, flow_run, task_run):
        """Record that a task run completed now."""
        record(task_run, Completed(), Facts(now=clock.now(), flow_run=flow_run))
        self.store.write(sql.WRITE_TASK_RUN, task_run_row(task_run))

    def die_again(self, run, owner):
        """Have another process take a run up, and die."""
        fence = self.store.claim(run.id, 15.0)
        found = self.store.read_flow_run(run.id)
        record(found, Running(), Facts(now=clock.now()))
        self.store.commit([(sql.UPDATE_FLOW_RUN, flow_run_update_row(found))], fence)
        self.own(run, owner)

    def own(self, run, owner, lease_s=15.0):
        """Say that a process has a run, until its lease is over."""
        self.store.write(
            "update flow_run set owner = ?, lease_expires = ? where id = ?",
            (owner, clock.epoch() + lease_s, run.id.bytes),
        )

    def lease(self, run):
        """Give the owner, the token and the expiry of a run."""
        return tuple(self.store.read(sql.READ_LEASE, (run.id.bytes,))[0][:3])

    def state(self, run):
        """Give the state of a run as recorded."""
        read = self.store.read_flow_run if isinstance(run, FlowRun) else self.store.read_task_run
        return read(run.id).state


@pytest.fixture
def records(store_url, monkeypatch):
    monkeypatch.setenv("PENSTOCK_STORE_URL", store_url)
    reload_settings()
    return Records(get_store())


@pytest.fixture
def dead():
    return dead_here()


@pytest.fixture
def nowhere():
    return NOWHERE
