from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time

import pytest

from penstock import clock
from penstock.exceptions import ObjectNotFound, RunOwnedElsewhere
from penstock.ids import new_id
from penstock.records import FlowRun
from penstock.rules import Facts, record
from penstock.settings import reload_settings
from penstock.states import Running
from penstock.store import Fence, FenceLost, get_store, requests
from penstock.store import statements as sql
from penstock.store.encoding import flow_run_insert_row
from penstock.store.lease import is_known_here, is_owner_alive, this_process, title_of

NOW = 1_700_000_000.0
SOON, PAST = NOW + 10, NOW - 10


@pytest.fixture
def store(store_url, monkeypatch):
    monkeypatch.setenv("PENSTOCK_STORE_URL", store_url)
    reload_settings()
    return get_store()


@pytest.fixture
def run(store):
    """A flow run that is recorded as running, without an owner."""
    run = FlowRun(name="brave-otter", flow_name="ingest", flow_id=store.flow_id("ingest"))
    record(run, Running(), Facts(now=clock.now()))
    store.commit([(sql.INSERT_FLOW_RUN, flow_run_insert_row(run))])
    return run


def owner_of(store, run):
    ((owner, fence, expires, _state),) = store.read(sql.READ_LEASE, (run.id.bytes,))
    return owner, fence, expires


def dead_here():
    """Name a process of this host that is dead: another one has its number now."""
    host, pid, start = this_process().rsplit(":", 2)
    return f"{host}:{pid}:{int(start) - 1}"


def own(store, run, owner, expires):
    store.write(
        "update flow_run set owner = ?, lease_expires = ? where id = ?",
        (owner, expires, run.id.bytes),
    )


# -- who is alive ---------------------------------------------------------------------------------


def test_this_process_is_alive_whatever_its_lease_says():
    assert is_owner_alive(this_process(), SOON, NOW)
    assert is_owner_alive(this_process(), PAST, NOW)
    assert is_owner_alive(this_process(), None, NOW)


def test_the_id_of_a_process_names_it():
    assert f":{os.getpid()}:" in this_process()
    assert this_process() == this_process()


def test_another_process_on_this_host_is_seen_at_once():
    source = "import sys; from penstock.store.lease import this_process; print(this_process()); "
    process = subprocess.Popen(
        [sys.executable, "-c", source + "sys.stdout.flush(); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    owner = process.stdout.readline().strip()

    assert owner != this_process()
    assert is_owner_alive(owner, PAST, NOW)
    process.kill()
    # Dead, though nobody has waited for it yet.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_owner_alive(owner, SOON, NOW)
    process.communicate()
    assert not is_owner_alive(owner, SOON, NOW)


def test_another_process_with_the_same_number_is_another_owner():
    host, pid, start = this_process().rsplit(":", 2)

    assert not is_owner_alive(f"{host}:{pid}:{int(start) - 1}", SOON, NOW)


def test_the_name_of_a_host_does_not_decide_what_its_process_ids_mean():
    # Containers may share the machine's process ids under names of their own, and a laptop's name
    # changes with its network.
    host, pid, start = this_process().rsplit(":", 2)
    renamed = "elsewhere/" + host.partition("/")[2]

    assert is_known_here(f"{renamed}:{pid}:{start}")
    assert is_owner_alive(f"{renamed}:{pid}:{start}", PAST, NOW)
    assert not is_owner_alive(f"{renamed}:{pid}:{int(start) - 1}", SOON, NOW)


@pytest.mark.parametrize("part", [1, 2], ids=["boot", "namespace"])
@pytest.mark.parametrize("other", ["", "4026539999"])
def test_process_ids_of_another_container_or_boot_mean_nothing_here(part, other):
    host, pid, start = this_process().rsplit(":", 2)
    parts = host.split("/")
    parts[part] = other
    owner = f"{'/'.join(parts)}:{pid}:{int(start) - 1}"

    assert not is_known_here(owner)
    assert is_owner_alive(owner, SOON, NOW)
    assert not is_owner_alive(owner, PAST, NOW)


@pytest.mark.parametrize(
    ("owner", "title"),
    [
        ("alpha/b007/4026531836:4711:99", "process 4711 on host alpha"),
        ("alpha//:4711:", "process 4711 on host alpha"),
        ("odd", "process ? on host ?"),
    ],
)
def test_people_read_the_process_and_its_host(owner, title):
    assert title_of(owner) == title


@pytest.mark.parametrize(
    ("expires", "alive"), [(SOON, True), (PAST, False), (NOW, False), (None, False)]
)
@pytest.mark.parametrize("owner", ["far/away:1:2", "far:1:", "odd"])
def test_a_process_elsewhere_is_known_by_its_lease_alone(owner, expires, alive):
    assert is_owner_alive(owner, expires, NOW) is alive


def test_a_forked_process_is_another_owner():
    here = this_process()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=lambda: queue.put(str(this_process())))
    process.start()
    process.join()

    assert queue.get() != here
    assert this_process() == here


# -- taking over ----------------------------------------------------------------------------------


def test_a_run_without_an_owner_is_taken(store, run):
    fence = store.claim(run.id, 15.0)

    owner, token, expires = owner_of(store, run)
    assert fence == Fence(run.id.bytes, token)
    assert token == 1
    assert owner == this_process()
    assert time.time() + 5 < expires <= time.time() + 15


def test_a_dead_owner_is_taken_over_and_the_token_grows(store, run):
    own(store, run, dead_here(), time.time() + 60)

    first = store.claim(run.id, 15.0)
    own(store, run, dead_here(), time.time() + 60)
    second = store.claim(run.id, 15.0)

    assert second.token == first.token + 1


def test_a_living_owner_is_left_alone(store, run):
    own(store, run, "far/away:1:2", time.time() + 60)

    with pytest.raises(RunOwnedElsewhere, match=r"living process \(far/away:1:2\)"):
        store.claim(run.id, 15.0)
    assert owner_of(store, run)[:2] == ("far/away:1:2", 0)


def test_nobody_takes_a_run_from_itself(store, run):
    store.claim(run.id, 15.0)

    with pytest.raises(RunOwnedElsewhere, match="this very process"):
        store.claim(run.id, 15.0)


def test_a_run_that_is_not_there(store):
    with pytest.raises(ObjectNotFound):
        store.claim(new_id(), 15.0)


def test_the_heartbeat_extends_what_it_owns_and_nothing_else(store, run):
    fence = store.claim(run.id, 1.0)
    before = owner_of(store, run)[2]

    store.extend_leases([fence], 60.0)
    extended = owner_of(store, run)[2]
    store.extend_leases([Fence(fence.flow_run_id, fence.token + 1)], 120.0)

    assert extended > before + 30
    assert owner_of(store, run)[2] == extended


# -- behind the fence -----------------------------------------------------------------------------

RENAME = "update flow_run set name = ? where id = ?"


def name_of(store, run):
    return store.read("select name from flow_run where id = ?", (run.id.bytes,))[0][0]


def test_the_owner_writes(store, run):
    fence = store.claim(run.id, 15.0)

    assert store.commit([(RENAME, ("new", run.id.bytes))], fence) is None
    assert name_of(store, run) == "new"


def test_a_stale_token_writes_nothing(store, run):
    stale = store.claim(run.id, 15.0)
    own(store, run, dead_here(), time.time() - 1)
    fresh = store.claim(run.id, 15.0)

    with pytest.raises(FenceLost):
        store.commit([(RENAME, ("stale", run.id.bytes))], stale)
    assert name_of(store, run) == "brave-otter"
    store.commit([(RENAME, ("fresh", run.id.bytes))], fresh)
    assert name_of(store, run) == "fresh"


def test_a_run_that_was_deleted_takes_nothing(store, run):
    fence = store.claim(run.id, 15.0)
    store.write(sql.DELETE_FLOW_RUN, (run.id.bytes,))

    with pytest.raises(FenceLost):
        store.commit([(RENAME, ("late", run.id.bytes))], fence)


def test_what_was_asked_of_a_run_comes_with_the_next_commit(store, run):
    fence = store.claim(run.id, 15.0)
    store.write(sql.ASK_OF_FLOW_RUN, ("CANCELLING", run.id.bytes))

    assert store.commit([(RENAME, ("new", run.id.bytes))], fence) == "CANCELLING"


def test_nothing_is_asked_of_a_run_that_nobody_executes(store, run):
    store.write(sql.ASK_OF_FLOW_RUN, ("CANCELLING", run.id.bytes))
    fence = store.claim(run.id, 15.0)

    assert store.commit([(RENAME, ("new", run.id.bytes))], fence) is None


def test_many_leases_are_extended_at_once_but_no_others(store):
    """A run that stands for this process and is executed by nobody in it is left to expire."""
    fences: list[Fence] = []
    for name in "abc":
        made = FlowRun(name=name, flow_name="ingest", flow_id=store.flow_id("ingest"))
        record(made, Running(), Facts(now=clock.now()))
        store.commit([(sql.INSERT_FLOW_RUN, flow_run_insert_row(made))])
        fences.append(store.claim(made.id, 1.0))
    expiries = dict(store.read("select id, lease_expires from flow_run"))

    recorded = requests.read_all(store)
    assert set(recorded) == {fence.flow_run_id for fence in fences}
    store.extend_leases(fences, 60.0, recorded.items())
    later = dict(store.read("select id, lease_expires from flow_run"))
    assert all(later[key] > expiries[key] + 30 for key in expiries)

    store.extend_leases(fences[:2], 600.0, recorded.items())
    last = dict(store.read("select id, lease_expires from flow_run"))
    extended = {bytes(key) for key, expires in last.items() if expires > later[key]}
    assert extended == {fence.flow_run_id for fence in fences[:2]}
