"""Slots of concurrency limits: never more than there are, in order, and nothing leaks."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import clock
from penstock.exceptions import (
    ConcurrencySlotAcquisitionError,
    ObjectAlreadyExists,
    ObjectNotFound,
)
from penstock.store import Store, limits
from penstock.store import slots_sql as sql
from penstock.store.slots import Counter, Request

TTL_S = 15.0


@pytest.fixture
def store(store_url):
    """Open a store of each kind, and close it when the test is over."""
    opened = Store(store_url)
    yield opened
    opened.close()


def serve(store, *, enter=(), free=(), waiting=()):
    """Do in one transaction what a desk does in one."""

    def work(execute):
        def rows(statement, values):
            return execute(statement, values).fetchall()

        counter = Counter(rows, execute, {}, TTL_S)
        counter.free(free)
        counter.let_in({each.id: each for each in waiting})
        for request in enter:
            counter.enter(request)
        return counter

    counter = store.transact(work)
    counter.outcome.apply()
    return counter.outcome


def wanted(*names, occupy=1, **options):
    return Request(names, occupy, holder="somebody", **options)


def test_there_are_no_more_slots_than_the_limit(store):
    limits.create_limit(store, "db", 2)
    first, second, third = wanted("db"), wanted("db"), wanted("db")

    serve(store, enter=[first, second, third])

    assert [first.taken, second.taken, third.taken] == [True, True, False]


def test_a_slot_that_is_given_back_is_the_next_ones(store):
    limits.create_limit(store, "db", 1)
    first, second, third = wanted("db"), wanted("db"), wanted("db")
    serve(store, enter=[first, second, third])

    serve(store, free=[first], waiting=[third, second])

    assert [second.taken, third.taken] == [True, False]


def test_who_comes_later_does_not_overtake(store):
    limits.create_limit(store, "db", 3)
    first, large, small = wanted("db"), wanted("db", occupy=3), wanted("db")

    serve(store, enter=[first, large, small])
    assert [large.taken, small.taken] == [False, False]

    serve(store, free=[first], waiting=[large, small])
    assert [large.taken, small.taken] == [True, False]


def test_slots_of_several_limits_are_taken_together_or_not_at_all(store):
    limits.create_limit(store, "a", 1)
    limits.create_limit(store, "b", 1)
    holder, both = wanted("b"), wanted("a", "b")

    serve(store, enter=[holder, both])

    assert not both.taken
    assert limits.read_limit(store, "a").taken == 0
    serve(store, free=[holder], waiting=[both])
    assert both.taken
    assert [limits.read_limit(store, name).taken for name in "ab"] == [1, 1]


def test_an_unknown_name_is_noted_and_limits_nothing(store):
    request = wanted("new", occupy=100)

    serve(store, enter=[request])

    assert request.taken
    assert not limits.read_limit(store, "new").active
    limits.create_limit(store, "new", 5)
    assert limits.read_limit(store, "new").slots == 5


def test_more_than_there_are_is_refused(store):
    limits.create_limit(store, "db", 2)
    request = wanted("db", occupy=3)

    serve(store, enter=[request])

    assert isinstance(request.error, ConcurrencySlotAcquisitionError)
    assert "3 slots" in str(request.error)


def test_a_limit_that_is_lowered_refuses_who_waits_for_more(store):
    limits.create_limit(store, "db", 2)
    holder, both = wanted("db"), wanted("db", occupy=2)
    serve(store, enter=[holder, both])

    limits.update_limit(store, "db", {"slots": 1})
    serve(store, waiting=[both])

    assert isinstance(both.error, ConcurrencySlotAcquisitionError)
    assert limits.read_limit(store, "db").waiting == []


@pytest.mark.parametrize("end", ["delete", "disable"])
def test_who_waits_for_a_limit_that_is_no_more_goes_on(store, end):
    limits.create_limit(store, "db", 1)
    holder, waiter = wanted("db"), wanted("db")
    serve(store, enter=[holder, waiter])

    if end == "delete":
        limits.delete_limit(store, "db")
    else:
        limits.update_limit(store, "db", {"active": False})
    serve(store, waiting=[waiter])

    assert waiter.taken


def test_a_reset_frees_what_is_taken(store):
    limits.create_limit(store, "db", 1)
    holder, waiter = wanted("db"), wanted("db")
    serve(store, enter=[holder, waiter])

    limits.reset_limit(store, "db")
    serve(store, waiting=[waiter])

    assert waiter.taken


def test_a_rate_limit_frees_its_slots_with_time(store):
    limits.create_limit(store, "mail", 2, slot_decay_per_second=2.0)
    virtual = clock.VirtualClock()
    with clock.use_clock(virtual):
        requests = [wanted("mail", decays=True) for _ in range(3)]
        outcome = serve(store, enter=requests)
        assert [each.taken for each in requests] == [True, True, False]
        assert outcome.retry_at == pytest.approx(virtual.time() + 0.5)

        virtual.sleep(0.5)
        serve(store, waiting=[requests[2]])

        assert requests[2].taken
        assert limits.read_limit(store, "mail").holders == []


def test_a_clock_that_is_set_back_does_not_stop_the_decay(store):
    limits.create_limit(store, "mail", 1, slot_decay_per_second=1.0)
    virtual = clock.VirtualClock()
    with clock.use_clock(virtual):
        first, second = wanted("mail", decays=True), wanted("mail", decays=True)
        serve(store, enter=[first])
    with clock.use_clock(later := clock.VirtualClock(virtual.time() - 3600)):
        serve(store, enter=[second])
        later.sleep(1.0)
        serve(store, waiting=[second])

    assert second.taken


def test_a_rate_limit_needs_a_decay(store):
    limits.create_limit(store, "db", 1)
    request = wanted("db", decays=True)

    serve(store, enter=[request])

    assert "no slot decay" in str(request.error)


def put_row(store, name, owner, expires, *, taken):
    """Record what another process has, or waits for."""
    key = limits.read_limit(store, name).id.bytes
    row = (key, bytes(16), "another", None, owner, expires, 1, taken)
    store.write(sql.INSERT_SLOT, row)


@pytest.mark.parametrize("taken", [1.0, None])
def test_what_a_dead_process_of_another_host_has_counts_for_nothing(store, taken):
    limits.create_limit(store, "db", 1)
    put_row(store, "db", "far/boot/ns:7:9", clock.epoch() - 1, taken=taken)
    request = wanted("db")

    serve(store, enter=[request])

    assert request.taken
    assert [each.holder for each in limits.read_limit(store, "db").holders] == ["somebody"]


@pytest.mark.parametrize("taken", [1.0, None])
def test_what_a_living_process_of_another_host_has_counts(store, taken):
    limits.create_limit(store, "db", 1)
    put_row(store, "db", "far/boot/ns:7:9", clock.epoch() + 60, taken=taken)
    request = wanted("db")

    serve(store, enter=[request])

    assert not request.taken


def test_limits_are_set_once_and_found_by_name(store):
    limits.create_limit(store, "db", 2)

    with pytest.raises(ObjectAlreadyExists, match="'db' already"):
        limits.create_limit(store, "db", 3)
    with pytest.raises(ObjectNotFound, match="global-concurrency-limit ls"):
        limits.read_limit(store, "another")
    with pytest.raises(ValueError, match="0 or more"):
        limits.create_limit(store, "less", -1)


def test_a_tag_is_known_to_be_limited_at_once_where_it_was_set(store):
    assert limits.limited_tags(store, ["db", "web"]) == []

    limits.create_limit(store, "tag:db", 2)
    assert limits.limited_tags(store, ["db", "web"]) == ["db"]

    limits.delete_limit(store, "tag:db")
    assert limits.limited_tags(store, ["db", "web"]) == []


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("enter"),
            st.sets(st.sampled_from(["a", "b"]), min_size=1),
            st.integers(1, 3),
        ),
        st.tuples(st.just("leave"), st.integers(0, 20), st.none()),
        st.tuples(st.just("look"), st.none(), st.none()),
    ),
    max_size=30,
)


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(steps=STEPS)
def test_whatever_happens_limits_and_order_are_kept(tmp_path_factory, steps):
    """Never over a limit; who is ahead in a queue is served first; at last nothing stays."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('slots') / 'store.db'}")
    sizes = {"a": 3, "b": 4}
    for name, size in sizes.items():
        limits.create_limit(store, name, size)
    there: list[Request] = []
    try:
        for what, which, occupy in [*steps, *[("leave", 0, None)] * len(steps)]:
            waiting = [each for each in there if not each.taken]
            if what == "enter":
                there.append(wanted(*which, occupy=occupy))
                serve(store, enter=[there[-1]], waiting=waiting)
            elif what == "leave" and there:
                gone = there.pop(which % len(there))
                serve(store, free=[gone], waiting=[each for each in waiting if each is not gone])
            else:
                serve(store, waiting=waiting)
            for name, size in sizes.items():
                shared = [each for each in there if name in each.names]
                held = sum(each.occupy for each in shared if each.taken)
                assert held <= size
                assert limits.read_limit(store, name).taken == held
                first_waiting = next((i for i, e in enumerate(shared) if not e.taken), None)
                if first_waiting is not None:
                    assert not any(each.taken for each in shared[first_waiting:])
        assert not there
        assert store.read("select count(*) from concurrency_slot") == [(0,)]
    finally:
        store.close()
