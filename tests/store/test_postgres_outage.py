"""Connections that are lost at the worst moment: nothing is lost with them, nothing done twice."""

from __future__ import annotations

import signal
import threading
import time

import psycopg
import pytest

from penstock import clock
from penstock.exceptions import StoreError, StoreUnreachable
from penstock.ids import new_id
from penstock.records import FlowRun, Log, TaskRun
from penstock.rules import Facts, record
from penstock.states import Completed, Pending, Running
from penstock.store import Fence, FenceLost, Store, encoding
from penstock.store import statements as sql
from penstock.store.journal import Write
from penstock.store.lease import this_process
from penstock.store.postgres_link import Link, Server

END_OTHERS = """select pg_terminate_backend(pid) from pg_stat_activity
where application_name = 'penstock' and datname = current_database()"""
PUT = "insert into cache_entry (key, flow_run_id, task_run_id, expires) values (?, ?, ?, ?)"


@pytest.fixture
def store(url_over_network):
    store = Store(url_over_network)
    yield store
    store.close()


@pytest.fixture
def other(postgres_url):
    """The same store, as another process sees it: past the network."""
    store = Store(postgres_url)
    yield store
    store.close()


def new_flow_run(store, state=None):
    run = FlowRun(name="brave-otter", flow_name="ingest", flow_id=store.flow_id("ingest"))
    record(run, state or Running(), Facts(now=clock.now()))
    return run


def owned_flow_run(store):
    """Record a flow run that this process owns; give it with its fence."""
    run = new_flow_run(store)
    owner = (this_process(), 1, clock.epoch() + 60)
    store.commit([(sql.INSERT_FLOW_RUN, encoding.flow_run_insert_row(run, *owner))])
    return run, Fence(run.id.bytes, 1)


def task_run_of(run, key="0"):
    task_run = TaskRun(name=f"add-{key}", flow_run_id=run.id, task_key="add", dynamic_key=key)
    record(task_run, Pending(), Facts(now=clock.now()))
    record(task_run, Running(), Facts(now=clock.now()))
    record(task_run, Completed(), Facts(now=clock.now()))
    return task_run


def task_row(run, key="0"):
    return (sql.WRITE_TASK_RUN, encoding.task_run_row(task_run_of(run, key)))


def log_row(run):
    log = Log(
        name="x", level=20, message="done", timestamp=clock.now(), flow_run_id=run.id, id=new_id()
    )
    return (sql.INSERT_LOG, encoding.log_row(log))


def counts(store, table):
    return store.read(f"select count(*) from {table}")[0][0]


either_way = pytest.mark.parametrize(
    "lets_through", [False, True], ids=["the request is lost", "the answer is lost"]
)


# -- what is being committed ----------------------------------------------------------------------


@either_way
def test_a_task_run(store, network, lets_through):
    run, fence = owned_flow_run(store)
    network.cut_at(b"from held", lets_through=lets_through)

    assert store.commit([task_row(run), log_row(run)], fence) is None

    assert network.cuts == 1
    assert len(store.read_task_runs(run.id)) == 1
    assert counts(store, "log") == 1


@either_way
def test_a_new_flow_run(store, network, lets_through):
    store.flow_id("ingest")
    network.cut_at(b"commit\0", lets_through=lets_through)

    run, _fence = owned_flow_run(store)

    assert network.cuts == 1
    assert store.read_flow_run(run.id).name == "brave-otter"
    assert counts(store, "flow_run") == 1


@either_way
def test_the_end_of_a_flow_run(store, network, lets_through):
    """Its fence is gone with it, and yet it is known that it was this process that ended it."""
    run, fence = owned_flow_run(store)
    record(run, Completed(), Facts(now=clock.now()))
    rows = [
        (sql.UPDATE_FLOW_RUN, encoding.flow_run_update_row(run)),
        (sql.FINISH_FLOW_RUN, fence),
    ]
    network.cut_at(b"commit\0", lets_through=lets_through)

    assert store.commit(rows, fence) is None

    assert network.cuts == 1
    assert store.read_flow_run(run.id).state.is_completed()
    assert store.read(sql.READ_LEASE, fence[:1])[0][:2] == (None, 2)


@either_way
def test_a_group_of_writes(store, network, lets_through):
    runs = [owned_flow_run(store) for _ in range(3)]
    writes = [
        Write([task_row(run, str(key)) for key in range(4)] + [log_row(run)], fence)
        for run, fence in runs
    ]
    writes += [Write([(sql.FINISH_FLOW_RUN, fence)], fence) for _, fence in runs]
    writes.append(Write([(PUT, ("key", b"flow", b"task", None))]))
    writes.append(Write([task_row(runs[0][0], "9")], Fence(runs[0][0].id.bytes, 7)))
    network.cut_at(b"commit\0", lets_through=lets_through)

    store._dialect.apply(writes)

    assert network.cuts == 1
    assert [write.error for write in writes[:-1]] == [None] * 7
    assert isinstance(writes[-1].error, FenceLost)
    assert counts(store, "task_run") == 12
    assert counts(store, "log") == 3
    assert counts(store, "cache_entry") == 1


@either_way
def test_a_claim(store, network, lets_through):
    run = new_flow_run(store)
    store.commit([(sql.INSERT_FLOW_RUN, encoding.flow_run_insert_row(run))])
    network.cut_at(b"commit", lets_through=lets_through)

    fence = store.claim(run.id, 60)

    assert network.cuts == 1
    assert fence.token == 1
    assert store.read(sql.READ_LEASE, fence[:1])[0][:2] == (this_process(), 1)


def test_what_is_there_already_is_still_an_error(store, network):
    store.commit([(PUT, ("key", b"flow", b"task", None))])
    network.cut_at(b"commit\0", lets_through=False)

    with pytest.raises(StoreError, match="duplicate key"):
        store.commit([(PUT, ("key", b"another", b"task", None))])
    assert store.read("select flow_run_id from cache_entry") == [(b"flow",)]


def test_a_run_that_was_taken_over_meanwhile(store, other, network):
    run, fence = owned_flow_run(store)
    network.cut_at(b"from held", lets_through=False)
    other.write_counted(sql.FENCE_OFF_FLOW_RUN, fence[:1])

    with pytest.raises(FenceLost, match="taken over"):
        store.commit([task_row(run)], fence)
    assert store.read_task_runs(run.id) == []


# -- in the middle of work ------------------------------------------------------------------------


def end_connections(postgres_server):
    postgres_server.execute(END_OTHERS, database="records")


def test_reads_and_writes_go_on(store, postgres_server):
    for number in range(5):
        store.write(sql.INSERT_FLOW, (new_id().bytes, f"flow {number}", None, 1.0))
        assert counts(store, "flow") == number + 1
        end_connections(postgres_server)


def version_after(store, former):
    """Wait for a store's version to change: news take a moment to arrive."""
    for _ in range(2000):
        version = store.version()
        if version != former:
            return version
        threading.Event().wait(0.005)
    raise AssertionError(f"still {former}")


def test_news_is_heard_again(store, other, postgres_server):
    before = store.version()
    end_connections(postgres_server)

    # What was said while nobody listened may have been anything.
    again = version_after(store, before)
    other.write_counted(sql.INSERT_FLOW, (new_id().bytes, "one", None, 1.0))

    assert version_after(store, again) > again


def test_work_that_reads_and_writes_goes_on(store, postgres_server):
    seen = []

    def work(execute):
        execute(sql.INSERT_FLOW, (new_id().bytes, "one", None, 1.0))
        seen.append(execute("select count(*) from flow").fetchone())
        end_connections(postgres_server)
        execute(sql.INSERT_FLOW, (new_id().bytes, "two", None, 1.0))
        seen.append(execute("select count(*) from flow").fetchone())
        end_connections(postgres_server)
        return "done"

    assert store.transact(work) == "done"
    assert seen == [(1,), (2,)]
    assert counts(store, "flow") == 2


def test_work_is_done_anew_when_what_it_went_by_holds_no_more(store, other, postgres_server):
    seen = []

    def work(execute):
        seen.append(execute("select count(*) from flow").fetchone()[0])
        if len(seen) == 1:
            end_connections(postgres_server)
            other.flow_id("meanwhile")
        execute(sql.INSERT_FLOW, (new_id().bytes, f"after {seen[-1]}", None, 1.0))
        return seen[-1]

    assert store.transact(work) == 1
    assert seen == [0, 1]
    names = store.read("select name from flow order by name")
    assert names == [("after 1",), ("meanwhile",)]


def test_work_that_is_overtaken_again_and_again_is_given_up(store, other, postgres_server):
    seen = []

    def work(execute):
        seen.append(execute("select count(*) from flow").fetchone()[0])
        end_connections(postgres_server)
        other.flow_id(f"meanwhile {len(seen)}")
        execute(sql.INSERT_FLOW, (new_id().bytes, "one", None, 1.0))

    with pytest.raises(StoreError, match=r"others have changed.*Nothing was written"):
        store.transact(work)
    assert len(seen) == 5
    assert ("one",) not in store.read("select name from flow")


def test_many_threads_while_connections_are_killed(store, postgres_server):
    runs = [owned_flow_run(store) for _ in range(4)]
    errors = []

    def work(run, fence):
        try:
            for number in range(60):
                store.commit([task_row(run, str(number))], fence)
                if number % 10 == 0:
                    store.transact(lambda execute: execute("select count(*) from flow_run"))
        except Exception as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    threads = [threading.Thread(target=work, args=each) for each in runs]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        end_connections(postgres_server)
        threads[0].join(0.3)
    for thread in threads:
        thread.join(60)

    assert errors == []
    for run, _fence in runs:
        assert len(store.read_task_runs(run.id)) == 60


@pytest.mark.parametrize("said", ["cannot exit pipeline mode while busy", "another command is"])
def test_what_libpq_says_of_a_connection_is_no_answer_of_the_server(postgres_url, said):
    """A connection that ends in the middle of a pipeline need not say that it is closed."""
    link, used = Link(Server(postgres_url, "normal", 30, 30)), []

    def work(connection):
        used.append(connection)
        if len(used) == 1:
            raise psycopg.OperationalError(said)
        return connection.execute("select 1").fetchone()

    assert link.do(work) == (1,)
    assert used[0] is not used[1]
    assert used[0].closed
    link.close()


# -- a server that goes away ----------------------------------------------------------------------


@pytest.fixture
def stopped(postgres_server):
    """Stop the server in a test, and have it started when the test is over, if not sooner."""
    yield postgres_server.stop
    if postgres_server.process is None:
        postgres_server.start()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["orderly", "crashed"])
def test_a_server_that_restarts_is_waited_for(postgres_url, postgres_server, stopped, how):
    store = Store(postgres_url)
    run, fence = owned_flow_run(store)
    stopped(how)
    restart = threading.Timer(0.3, postgres_server.start)
    restart.start()

    store.commit([task_row(run)], fence)

    assert len(store.read_task_runs(run.id)) == 1
    assert store.transact(lambda execute: execute("select 1").fetchone()) == (1,)
    restart.join()
    store.close()


def test_a_server_that_stays_away_is_given_up(postgres_url, stopped):
    store = Store(postgres_url, outage_timeout_s=0.3)
    run, fence = owned_flow_run(store)
    stopped()

    began = time.monotonic()
    for ask in (
        lambda: store.commit([task_row(run)], fence),
        lambda: store.read("select 1"),
        lambda: store.transact(lambda execute: execute("select 1")),
    ):
        with pytest.raises(StoreUnreachable, match=r"away for more than 0\.3 s.*OUTAGE_TIMEOUT_S"):
            ask()
    assert time.monotonic() - began < 10
    store.close()


def test_many_who_wait_for_a_server_give_up_together(postgres_url, stopped):
    store = Store(postgres_url, outage_timeout_s=0.5)
    store.flow_id("ingest")
    stopped()
    errors = []

    def work(number):
        try:
            store.commit([(PUT, (str(number), b"flow", b"task", None))])
        except StoreUnreachable as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(errors) == 8
    assert time.monotonic() - began < 5
    store.close()
