"""What is promised of every store, over each kind of database."""

from __future__ import annotations

import threading

import pytest

from penstock import clock
from penstock.exceptions import ObjectNotFound, StoreError
from penstock.ids import new_id
from penstock.records import FlowRun, TaskRun
from penstock.results import ResultFactory
from penstock.rules import Facts, record
from penstock.states import Completed, Pending
from penstock.store import Store, encoding
from penstock.store import statements as sql


@pytest.fixture
def open_store(store_url):
    """Open the test's store, and close it when the test is over."""
    opened = []

    def open_one(**options):
        store = Store(store_url, **options)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


def test_it_opens_again(open_store):
    open_store().write(sql.INSERT_FLOW, (new_id().bytes, "ingest", None, 1.0))

    assert open_store().flow_id("ingest") == open_store().flow_id("ingest")


# -- records --------------------------------------------------------------------------------------


def test_a_flow_is_made_once(open_store):
    store, other = open_store(), open_store()

    assert store.known_flow_id("ingest") is None
    first = store.flow_id("ingest")

    assert store.known_flow_id("ingest") == first
    assert store.flow_id("ingest") == first
    assert other.flow_id("ingest") == first
    assert other.flow_id("another") != first


def test_what_is_not_there(open_store):
    store, missing = open_store(), new_id()

    with pytest.raises(ObjectNotFound, match=rf"no flow run {missing}.*flow-run ls"):
        store.read_flow_run(missing)
    with pytest.raises(ObjectNotFound, match=rf"no task run {missing}"):
        store.read_task_run(missing)
    assert store.read_task_runs(missing) == []
    assert store.read_subflow_runs(missing) == []
    assert store.find_flow_run_of(missing) is None
    assert store.cached_state("no such key", 0.0) is None


def recorded_flow_run(store, **fields):
    run = FlowRun(
        name="brave-otter", flow_name="ingest", flow_id=store.flow_id("ingest"), **fields
    )
    record(run, Pending(), Facts(now=clock.now()))
    store.commit([(sql.INSERT_FLOW_RUN, encoding.flow_run_insert_row(run))])
    return run


def recorded_task_run(store, flow_run, key):
    run = TaskRun(
        name=f"add-{key}",
        flow_run_id=None if flow_run is None else flow_run.id,
        task_key="add",
        dynamic_key=key,
    )
    record(run, Pending(), Facts(now=clock.now()))
    store.commit([(sql.WRITE_TASK_RUN, encoding.task_run_row(run))])
    return run


def test_task_runs_are_found(open_store):
    store = open_store()
    earlier = recorded_flow_run(store)
    made = [recorded_task_run(store, earlier, str(number)) for number in range(3)]
    alone = recorded_task_run(store, None, "alone")
    later = recorded_flow_run(store)
    other = recorded_task_run(store, later, "0")

    assert [run.id for run in store.read_task_runs(earlier.id)] == [run.id for run in made]
    for run in (*made, alone, other):
        assert store.read_task_run(run.id).name == run.name
    assert store.find_flow_run_of(made[1].id) == earlier.id.bytes
    assert store.find_flow_run_of(other.id) == later.id.bytes
    assert store.find_flow_run_of(alone.id) == encoding.NO_FLOW_RUN


def test_subflow_runs_are_found_newest_first(open_store):
    store = open_store()
    dummy = recorded_task_run(store, recorded_flow_run(store), "0")
    runs = [recorded_flow_run(store, parent_task_run_id=dummy.id) for _ in range(3)]

    assert [run.id for run in store.read_subflow_runs(dummy.id)] == [
        run.id for run in reversed(runs)
    ]


def test_cached_states(open_store):
    store = open_store()
    run = recorded_task_run(store, recorded_flow_run(store), "0")
    factory = ResultFactory(None, None, None, True, 65_536, None, "task 'x'")
    record(run, Completed(data=factory.inline(7)), Facts(now=clock.now()))
    entry = (run.flow_run_id.bytes, run.id.bytes)
    store.commit(
        [
            (sql.WRITE_TASK_RUN, encoding.task_run_row(run)),
            (sql.WRITE_CACHE_ENTRY, ("for ever", *entry, None)),
            (sql.WRITE_CACHE_ENTRY, ("until 100", *entry, 100.0)),
        ]
    )

    assert store.cached_state("for ever", 1e12).result() == 7
    assert store.cached_state("until 100", 99.0).result() == 7
    assert store.cached_state("until 100", 100.0) is None


def test_a_transaction_of_its_own_is_all_or_nothing(open_store):
    store = open_store()

    def breaks(execute):
        execute(sql.INSERT_FLOW, (new_id().bytes, "ingest", None, 1.0))
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        store.transact(breaks)
    assert store.read("select * from flow") == []
    assert store.write_counted("delete from flow") == 0
    store.flow_id("ingest")
    assert store.write_counted("delete from flow") == 1


def test_a_store_that_was_closed(open_store):
    store = open_store()
    store.close()

    with pytest.raises(StoreError, match="closed"):
        store.write("delete from flow")
    with pytest.raises(StoreError, match="closed"):
        store.read("select * from flow")


@pytest.mark.parametrize("use", ["read", "version", "write", "transact"])
def test_a_store_that_is_closed_while_threads_use_it(open_store, use):
    """Each of them is told so; a connection that is closed under a thread ends the process."""

    def work(store, begun):
        uses = {
            "read": lambda: store.read(sql.READ_FLOW_BY_NAME, ("ingest",)),
            "version": store.version,
            "write": lambda: store.write(
                sql.INSERT_FLOW, (new_id().bytes, str(new_id()), None, 1)
            ),
            "transact": lambda: store.transact(
                lambda execute: execute(sql.READ_FLOW_BY_NAME, ("ingest",)).fetchall()
            ),
        }
        try:
            while True:
                uses[use]()
                begun.set()
        except StoreError as error:
            ends.append(str(error))

    ends: list[str] = []
    for _ in range(20):
        store, begun = open_store(), threading.Event()
        threads = [threading.Thread(target=work, args=(store, begun)) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert begun.wait(30)
        store.close()
        for thread in threads:
            thread.join(30)
    assert len(ends) == 60
    assert all(text.endswith("is closed.") for text in ends), ends


def version_after(store, former):
    """Wait for a store's version to change: news take a moment to arrive."""
    for _ in range(2000):
        version = store.version()
        if version != former:
            return version
        threading.Event().wait(0.005)
    raise AssertionError(f"still {former}")


def test_what_others_decide_is_seen_without_reading_it(open_store):
    here, elsewhere = open_store(), open_store()
    run = recorded_flow_run(elsewhere)
    before = here.version()

    assert here.version() == before
    elsewhere.write_counted(sql.FENCE_OFF_FLOW_RUN, (run.id.bytes,))
    after = version_after(here, before)
    assert here.version() == after
    # A store hears of its own, too: several runs of a process may ask things of each other.
    here.write_counted(sql.FENCE_OFF_FLOW_RUN, (run.id.bytes,))
    assert version_after(here, after) != after


# -- threads --------------------------------------------------------------------------------------


def test_one_store_among_threads(open_store):
    store = open_store()
    errors = []

    def work(name):
        try:
            for number in range(50):
                store.flow_id(f"{name}-{number}")
                store.read("select count(*) from flow")
                store.transact(lambda execute: execute("select 1").fetchone())
        except Exception as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert errors == []
    assert store.read("select count(*) from flow") == [(300,)]
