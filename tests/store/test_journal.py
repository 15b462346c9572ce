from __future__ import annotations

import sqlite3
import threading

import pytest

from penstock.exceptions import StoreError, StoreLocked
from penstock.store import Store
from penstock.store.journal import GROUP_LIMIT_WRITES, Fence, FenceLost, Journal, Write

PUT = "insert into cache_entry (key, flow_run_id, task_run_id, expires) values (?, ?, ?, ?)"

REPLACE = PUT.replace("insert", "insert or replace")


def row(key):
    return (PUT, (key, b"flow", b"task", None))


class Watched:
    """A dialect that can be held up, and keeps what it was given."""

    def __init__(self, dialect):
        self.dialect = dialect
        self.groups = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.reached = threading.Event()
        self.error = None

    def apply(self, group):
        self.groups.append([len(write.rows) for write in group])
        self.reached.set()
        assert self.go_on.wait(30)
        if self.error is not None:
            raise self.error
        self.dialect.apply(group)


@pytest.fixture
def dialect(store_url):
    store = Store(store_url)
    yield store._dialect
    store.close()


@pytest.fixture
def watched(dialect):
    return Watched(dialect)


@pytest.fixture
def journal(watched):
    return Journal(watched)


def keys(dialect):
    return {key for (key,) in dialect.read("select key from cache_entry")}


def in_threads(*calls):
    """Start each call in a thread of its own; give the threads and what came of them."""
    outcomes = [None] * len(calls)

    def work(index, call):
        try:
            outcomes[index] = call()
        except Exception as error:  # noqa: BLE001 - looked at by the test
            outcomes[index] = error

    threads = [
        threading.Thread(target=work, args=(index, call)) for index, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    return threads, outcomes


def held_up(watched, journal, *calls):
    """Let one commit hold the journal up until all of `calls` wait behind it."""
    watched.go_on.clear()
    first, _ = in_threads(lambda: journal.commit([row("first")]))
    assert watched.reached.wait(30)
    threads, outcomes = in_threads(*calls)
    while len(journal._waiting) + len(journal._gates) < len(calls):
        threading.Event().wait(0.001)
    watched.go_on.set()
    for thread in first + threads:
        thread.join(30)
        assert not thread.is_alive()
    return outcomes


# -- one after the other --------------------------------------------------------------------------


def test_a_commit_is_there_when_it_returns(journal, dialect):
    assert journal.commit([row("a"), row("b")]) is None
    assert keys(dialect) == {"a", "b"}


def test_a_single_caller_commits_in_its_own_thread(journal, watched):
    before = set(threading.enumerate())

    for number in range(50):
        journal.commit([row(str(number))])

    assert set(threading.enumerate()) <= before  # those of other tests may end meanwhile
    assert watched.groups == [[1]] * 50


def test_all_rows_of_a_write_are_written_or_none(journal, dialect):
    journal.commit([row("a")])

    with pytest.raises(StoreError):
        journal.commit([row("b"), row("a")])  # the second is there already

    assert keys(dialect) == {"a"}


def test_the_journal_goes_on_after_an_error(journal, dialect):
    for _ in range(3):
        with pytest.raises(StoreError):
            journal.commit([("insert into no_such_table values (?)", (1,))])
    journal.commit([row("a")])

    assert keys(dialect) == {"a"}


def test_what_cannot_be_stored_is_an_error_and_nothing_else(journal, dialect):
    with pytest.raises((StoreError, sqlite3.Error, TypeError)):
        journal.commit([(PUT, ("key", object(), b"task", None))])
    journal.commit([row("a")])

    assert keys(dialect) == {"a"}


# -- together -------------------------------------------------------------------------------------


def test_what_arrives_together_shares_a_transaction(journal, watched, dialect):
    outcomes = held_up(
        watched, journal, *(lambda k=k: journal.commit([row(f"k{k}")]) for k in range(20))
    )

    assert outcomes == [None] * 20
    assert watched.groups == [[1], [1] * 20]
    assert len(keys(dialect)) == 21


def test_a_group_is_bounded(journal, watched, dialect):
    count = GROUP_LIMIT_WRITES + 10
    done = []
    watched.go_on.clear()
    first, _ = in_threads(lambda: journal.commit([row("first")]))
    assert watched.reached.wait(30)
    for k in range(count):
        journal.submit(Write([row(f"k{k}")], None, done.append))
    watched.go_on.set()
    first[0].join(30)

    assert [len(group) for group in watched.groups] == [1, GROUP_LIMIT_WRITES, 10]
    assert len(done) == count
    assert len(keys(dialect)) == count + 1


def test_one_bad_write_does_not_take_the_others_with_it(journal, watched, dialect):
    outcomes = held_up(
        watched,
        journal,
        lambda: journal.commit([row("a")]),
        lambda: journal.commit([row("first")]),  # is there already
        lambda: journal.commit([row("b")]),
        lambda: journal.commit([("insert into no_such_table values (1)", ())]),
        lambda: journal.commit([row("c")]),
    )

    assert [isinstance(one, StoreError) for one in outcomes] == [False, True, False, True, False]
    assert keys(dialect) == {"first", "a", "b", "c"}


def test_a_lost_fence_in_a_group_stops_its_own_writes_only(journal, watched, dialect):
    outcomes = held_up(
        watched,
        journal,
        lambda: journal.commit([row("a")]),
        lambda: journal.commit([row("b")], Fence(b"nobody", 1)),
        lambda: journal.commit([row("c")], Fence(b"nobody", 1)),
        lambda: journal.commit([row("d")]),
    )

    assert [isinstance(one, FenceLost) for one in outcomes] == [False, True, True, False]
    assert keys(dialect) == {"first", "a", "d"}


def test_a_busy_store_is_waited_for_once_by_a_group(journal, watched):
    watched.error = StoreLocked("busy")

    outcomes = held_up(
        watched, journal, *(lambda k=k: journal.commit([row(f"k{k}")]) for k in range(20))
    )

    assert all(isinstance(one, StoreLocked) for one in outcomes)
    assert len(watched.groups) == 2


def test_submitted_writes_tell_how_they_ended(journal, dialect):
    ended = []

    journal.submit(Write([row("a")], None, lambda write: ended.append(("a", write.error))))
    journal.submit(Write([row("a")], None, lambda write: ended.append(("again", write.error))))
    journal.submit(Write([row("b")], None, lambda write: ended.append(("b", write.error))))

    assert [(name, error is None) for name, error in ended] == [
        ("a", True),
        ("again", False),
        ("b", True),
    ]
    assert keys(dialect) == {"a", "b"}


def test_writes_that_lead_to_writes_do_not_pile_up(journal, dialect):
    count = 20_000
    left = iter(range(count))

    def submit_next(_write=None):
        number = next(left, None)
        if number is not None:
            key = str(number) if number % 1000 == 0 else "same"
            journal.submit(Write([(REPLACE, (key, b"f", b"t", None))], None, submit_next))

    submit_next()

    assert next(left, None) is None
    assert len(keys(dialect)) == 21


def test_order_is_kept(journal, watched, dialect):
    ended = []

    def submit(name):
        journal.submit(
            Write(
                [(REPLACE, ("k", name, b"", None))],
                None,
                lambda _write: ended.append(name),
            )
        )

    held_up(watched, journal, *[lambda: submit(b"1")])
    for number in range(2, 30):
        submit(str(number).encode())

    assert ended == [str(number).encode() for number in range(1, 30)]
    assert dialect.read("select flow_run_id from cache_entry where key = 'k'") == [(b"29",)]


# -- alone ----------------------------------------------------------------------------------------


def test_who_wants_the_database_alone_gets_it_in_turn(journal, watched, dialect):
    seen = []

    def alone():
        seen.append(keys(dialect))
        return "done"

    outcomes = held_up(watched, journal, lambda: journal.exclusively(alone))

    assert outcomes == ["done"]
    assert seen == [{"first"}]


def test_the_journal_goes_on_after_exclusive_work_that_failed(journal, dialect):
    def breaks():
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        journal.exclusively(breaks)
    journal.commit([row("a")])

    assert keys(dialect) == {"a"}


def test_rows_that_are_built_in_turn(journal, dialect):
    journal.submit_built(list, None)
    journal.submit_built(lambda: [row("a")], None)

    assert keys(dialect) == {"a"}


def test_nothing_is_lost_among_many_threads(journal, dialect):
    threads_count, each = 8, 100

    def work(name):
        for number in range(each):
            if number % 10 == 9:
                journal.exclusively(lambda: None)
            if number % 3 == 0:
                journal.submit(Write([row(f"{name}-{number}")], None, lambda _write: None))
            else:
                journal.commit([row(f"{name}-{number}")])

    threads, outcomes = in_threads(*(lambda n=n: work(n) for n in range(threads_count)))
    for thread in threads:
        thread.join(60)

    assert outcomes == [None] * threads_count
    journal.exclusively(lambda: None)
    assert len(keys(dialect)) == threads_count * each
    assert not journal._leading
