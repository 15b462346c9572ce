"""Of whom a flow run may be taken: the owner's lease is over, and it gives no sign of life."""

from __future__ import annotations

import pytest

from penstock import clock
from penstock.clock import VirtualClock
from penstock.exceptions import RunOwnedElsewhere
from penstock.records import FlowRun
from penstock.rules import Facts, record
from penstock.settings import reload_settings
from penstock.states import Running
from penstock.store import get_store
from penstock.store import statements as sql
from penstock.store.encoding import flow_run_insert_row
from penstock.store.lease import this_process
from penstock.store.silence import LOOK_S, Silence, confirming_s, watch_owner

ELSEWHERE = "alpha/0123456789abcdef/4026531111:4711:99"
DAY_S = 86_400.0


class HostClock(VirtualClock):
    """The clock of a host whose time is ahead of others'; it tells how long was waited."""

    def __init__(self, ahead_s=0.0):
        super().__init__()
        self.ahead_s = ahead_s
        self.waits = []
        self.meanwhile = None

    def time(self):
        return super().time() + self.ahead_s

    def sleep(self, seconds):
        super().sleep(seconds)
        self.waits.append(seconds)
        if self.meanwhile is not None:
            self.meanwhile()


@pytest.fixture
def here():
    with clock.use_clock(HostClock()) as made:
        yield made


@pytest.fixture
def store(store_url, monkeypatch):
    monkeypatch.setenv("PENSTOCK_STORE_URL", store_url)
    reload_settings()
    return get_store()


@pytest.fixture
def own(store, here):
    """Record a flow run that a process has, until its lease is over."""

    def make(owner, lease_s):
        run = FlowRun(name="brave-otter", flow_name="ingest", flow_id=store.flow_id("ingest"))
        record(run, Running(), Facts(now=clock.now()))
        row = flow_run_insert_row(run, owner, 1, here.time() + lease_s)
        store.write(sql.INSERT_FLOW_RUN, row)
        return run

    return make


def dead_here():
    host, pid, start = this_process().rsplit(":", 2)
    return f"{host}:{pid}:{int(start) - 1}"


def test_from_one_elsewhere_nothing_is_taken_unwatched(store, own):
    run = own(ELSEWHERE, -DAY_S)

    with pytest.raises(RunOwnedElsewhere, match="alpha"):
        store.claim(run.id, 15.0)


def test_one_elsewhere_that_stays_silent_is_dead(store, own, here):
    run = own(ELSEWHERE, -1)

    silence = watch_owner(store.read, run.id)

    assert sum(here.waits) == pytest.approx(confirming_s())
    assert max(here.waits) <= LOOK_S
    assert store.claim(run.id, 15.0, silence).token == 2


def test_one_that_extends_its_lease_lives_however_late_it_is_here(store, own, here):
    run = own(ELSEWHERE, 15)
    here.ahead_s = DAY_S

    def beat():
        if len(here.waits) == 3:
            owners_time = here.time() - DAY_S
            store.write(sql.EXTEND_LEASE, (owners_time + 15, run.id.bytes, 1))

    here.meanwhile = beat
    silence = watch_owner(store.read, run.id)

    assert len(here.waits) == 3
    with pytest.raises(RunOwnedElsewhere):
        store.claim(run.id, 15.0, silence)


def test_one_that_comes_back_at_the_last_moment_keeps_its_run(store, own):
    run = own(ELSEWHERE, -1)
    silence = watch_owner(store.read, run.id)
    store.write(sql.EXTEND_LEASE, (clock.epoch() - 0.5, run.id.bytes, 1))

    with pytest.raises(RunOwnedElsewhere):
        store.claim(run.id, 15.0, silence)


def test_one_whose_lease_is_not_over_is_not_watched(store, own, here):
    run = own(ELSEWHERE, 15)

    silence = watch_owner(store.read, run.id)

    assert here.waits == []
    with pytest.raises(RunOwnedElsewhere):
        store.claim(run.id, 15.0, silence)


def test_one_that_died_here_is_not_waited_for(store, own, here):
    run = own(dead_here(), 15)

    silence = watch_owner(store.read, run.id)

    assert here.waits == []
    assert store.claim(run.id, 15.0, silence).token == 2


def test_nobody_has_it(store, own, here):
    run = own(None, 15)
    silence = Silence(store.read, run.id)

    assert silence.look() == 0
    assert silence.found is None
    assert store.claim(run.id, 15.0, silence).token == 2
    assert here.waits == []
