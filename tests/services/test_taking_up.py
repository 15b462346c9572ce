from __future__ import annotations

from datetime import timedelta

import pytest

from penstock import clock
from penstock.services import find_ready
from penstock.services.taking_up import FIRST_PAUSE_S, Processes
from penstock.states import AwaitingRetry, Paused, Pending, Running, Scheduled

RESUMING = (Pending(), Running(), Paused(), Scheduled(name="Resuming"))


@pytest.mark.parametrize("states", [RESUMING, (Pending(), Running(), AwaitingRetry())])
def test_a_run_that_was_resumed_or_left_waits_for_a_process(records, states):
    run = records.flow_run(*states)

    (ready,) = find_ready(records.store, 10)

    assert ready[:4] == (run.id, "brave-otter", "ingest", states[-1].name)


def test_what_waits_for_something_else_is_left_alone(records, dead):
    soon = clock.now() + timedelta(minutes=1)
    records.flow_run(Pending(), Running(), AwaitingRetry(scheduled_time=soon))
    records.flow_run(Scheduled())
    records.flow_run(Pending(), Running(), Paused())
    records.flow_run(*RESUMING, owner=dead)
    records.subflow_run(records.flow_run(), Pending(), Running(), AwaitingRetry())

    assert find_ready(records.store, 10) == []


def test_those_that_wait_longest_come_first(records):
    runs = [
        records.flow_run(
            Pending(),
            Running(),
            AwaitingRetry(scheduled_time=clock.now() - timedelta(minutes=minutes)),
        )
        for minutes in (1, 3, 2)
    ]

    found = [each.flow_run_id for each in find_ready(records.store, 2)]

    assert found == [runs[1].id, runs[2].id]


@pytest.fixture
def processes():
    made = Processes(limit=2)
    yield made
    made.terminate(10.0)


def test_a_process_for_each_within_the_limit(records, processes):
    # Their flow's file is not there: the processes end at once, and the runs stay as they are.
    runs = [records.flow_run(*RESUMING) for _ in range(3)]

    begun = processes.take_up(records.store)

    assert [each.flow_run_id for each in begun] == [run.id for run in runs[:2]]
    assert processes.take_up(records.store) == []
    assert processes.wait(30.0)
    assert [each.flow_run_id for each in processes.take_up(records.store)] == [runs[2].id]


def test_what_cannot_be_begun_is_tried_again_after_a_while(records, processes, caplog):
    run = records.flow_run(*RESUMING)
    assert len(processes.take_up(records.store)) == 1
    assert processes.wait(30.0)
    assert processes.take_up(records.store) == []
    assert f"flow run {run.id} ended with code 1" in caplog.text
    assert f"tried again in {FIRST_PAUSE_S:g} s" in caplog.text

    assert processes.take_up(records.store) == []
    with clock.use_clock(clock.VirtualClock(clock.epoch() + FIRST_PAUSE_S)):
        assert len(processes.take_up(records.store)) == 1


def test_a_run_that_was_begun_and_died_does_not_wait(records, processes):
    run = records.flow_run(*RESUMING)
    assert len(processes.take_up(records.store)) == 1
    assert processes.wait(30.0)
    # As recovery leaves it, which has put it up again.
    moved = "update flow_run set state_timestamp = state_timestamp + 1 where id = ?"
    records.store.write(moved, (run.id.bytes,))

    assert len(processes.take_up(records.store)) == 1
