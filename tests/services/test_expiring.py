from __future__ import annotations

import pytest

from penstock import clock
from penstock.rules import validate
from penstock.services import expire_paused
from penstock.states import Paused, Pending, Running, Suspended
from penstock.store.lease import this_process


def paused(timeout_s, kind=Paused):
    return Pending(), Running(), kind(timeout_seconds=timeout_s, pause_key="1")


@pytest.fixture
def later(records):
    """Make runs an hour ago."""
    with clock.use_clock(clock.VirtualClock(clock.epoch() - 3600)):
        yield records.flow_run


def expire(records, **options):
    with clock.use_clock(clock.VirtualClock(clock.epoch() + 3600)):
        return expire_paused(records.store, **options)


@pytest.mark.parametrize("kind", [Paused, Suspended])
def test_a_pause_that_nobody_ended_in_time_fails(records, later, kind):
    run = later(*paused(600, kind))

    (expired,) = expire(records)

    assert (expired.flow_run_id, expired.was) == (run.id, kind.__name__)
    state = records.state(run)
    assert state.is_failed()
    assert "never resumed" in state.message
    validate(records.store.read_flow_run(run.id), forced=True)
    assert expire(records) == []


def test_one_whose_process_died_fails_too_and_belongs_to_nobody(records, later, dead):
    run = later(*paused(600), owner=dead)

    assert len(expire(records)) == 1
    assert records.lease(run) == (None, 2, None)


@pytest.mark.parametrize("timeout_s", [7200, None], ids=["not yet", "never"])
def test_one_that_still_has_time_is_left_alone(records, later, timeout_s):
    run = later(*paused(timeout_s))

    assert expire(records) == []
    assert records.state(run).is_paused()


def test_one_in_a_living_process_is_left_to_it(records, later):
    run = later(*paused(600), owner=str(this_process()))

    assert expire(records) == []
    assert records.state(run).is_paused()


def test_one_elsewhere_is_left_to_its_process_until_recovery_has_taken_it_away(
    records, later, nowhere
):
    """The clock that says that its time and its lease are over may be this host's alone."""
    run = later(*paused(600), owner=nowhere)

    assert expire(records) == []
    assert records.state(run).is_paused()


def test_a_dry_run_only_says_which(records, later):
    run = later(*paused(600))

    assert [each.flow_run_id for each in expire(records, dry_run=True)] == [run.id]
    assert records.state(run).is_paused()


def test_what_stands_for_a_subflow_run_fails_with_it(records, later):
    outer = later()
    inner, dummy = records.subflow_run(outer, *paused(600))

    expire(records)

    assert records.state(inner).is_failed()
    assert records.state(dummy).is_failed()


def test_each_pass_has_an_end(records, later, monkeypatch):
    monkeypatch.setattr("penstock.services.expiring.EXPIRED_LIMIT", 2)
    monkeypatch.setattr("penstock.services.expiring.PAGE_RUNS", 2)
    for _ in range(5):
        later(*paused(600))

    assert [len(expire(records)) for _ in range(4)] == [2, 2, 1, 0]
