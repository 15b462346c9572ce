"""PAINS 3 and 4: a run whose process died is found; one whose process lives is left alone."""

from __future__ import annotations

import os

import pytest

from penstock import clock, flow
from penstock.rules import validate
from penstock.services import Suspects, find_left, recover
from penstock.services.recovering import RECOVERIES_LIMIT
from penstock.states import (
    AwaitingRetry,
    Cancelling,
    Completed,
    Paused,
    Pending,
    Running,
    Scheduled,
)
from penstock.store import Fence, FenceLost
from penstock.store import statements as sql
from penstock.store.lease import this_process


def recover_all(records, **options):
    """Make one pass; give what became of each run."""
    found = find_left(records.store, Suspects())
    made = [recover(records.store, each, **options) for each in found]
    return [each for each in made if each is not None]


# -- who is dead ----------------------------------------------------------------------------------


def test_a_dead_process_of_this_host_is_found_whatever_its_lease_says(records, dead):
    # Its lease is good for an hour: a clock may have been set back.
    run = records.flow_run(owner=dead, lease_s=3600)

    (recovery,) = recover_all(records)

    assert (recovery.flow_run_id, recovery.was, recovery.became) == (run.id, "Running", "Crashed")
    state = records.state(run)
    assert state.is_crashed()
    assert f"died: process {os.getpid()} on host" in state.message
    assert "last seen 20" in state.message
    assert f"`penstock flow-run resume {run.id}`" in state.message
    assert records.lease(run) == (None, 2, None)
    validate(records.store.read_flow_run(run.id))


def test_a_living_process_of_this_host_keeps_its_run_whatever_its_lease_says(records):
    # Its lease was over an hour ago: a clock may have jumped, or the process was stopped.
    run = records.flow_run(owner=str(this_process()), lease_s=-3600)

    assert recover_all(records) == []
    assert records.state(run).is_running()


def test_a_run_was_executed_until_its_process_was_last_heard_of(records, dead):
    """Not until somebody has found that out: it may have been dead for the night."""
    began = clock.epoch() - 3600
    with clock.use_clock(clock.VirtualClock(began)):
        run = records.flow_run(owner=dead)
        left = records.task_run(run)
    records.own(run, dead, lease_s=15 - 3590)

    recover_all(records)

    for found in (records.store.read_flow_run(run.id), records.store.read_task_run(left.id)):
        assert found.state.is_crashed()
        assert found.run_time_s == pytest.approx(10, abs=1)
        assert found.end_time.timestamp() == pytest.approx(began + 10, abs=1)
        validate(found, forced=True)


def test_what_it_has_recorded_is_a_sign_of_life_too(records, dead):
    began = clock.VirtualClock(clock.epoch() - 3600)
    with clock.use_clock(began):
        run = records.flow_run(owner=dead, on_crash="resume")
        task_run = records.task_run(run)
        began.sleep(2)
        records.finish(run, task_run)

    recover_all(records)

    found = records.store.read_flow_run(run.id)
    assert found.state.name == "AwaitingRetry"
    assert found.run_time_s == pytest.approx(2)


class Clocks:
    """The time of this host, which may jump, and a clock that does not."""

    def __init__(self):
        self.wall, self.steady = 1_700_000_000.0, 50.0

    def time(self):
        return self.wall

    def monotonic(self):
        return self.steady

    def sleep(self, seconds):
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clocks():
    made = Clocks()
    with clock.use_clock(made):
        yield made


def test_a_process_elsewhere_is_dead_when_its_lease_is_over_and_it_stays_silent(
    records, nowhere, clocks
):
    run = records.flow_run(owner=nowhere)
    suspects = Suspects()
    assert find_left(records.store, suspects) == []
    assert not suspects
    clocks.sleep(15.1)
    assert find_left(records.store, suspects) == []
    assert suspects
    clocks.sleep(suspects.confirming_s)

    (left,) = find_left(records.store, suspects)

    recovery = recover(records.store, left)
    assert recovery.became == "Crashed"
    assert "gives no sign of life, and its lease is over: process 4711 on host alpha" in (
        records.state(run).message
    )


def test_a_clock_that_jumps_forward_takes_no_runs_away(records, nowhere, clocks):
    run = records.flow_run(owner=nowhere)
    suspects = Suspects()
    owners_time = clocks.wall
    clocks.wall += 86_400
    for _ in range(20):
        assert find_left(records.store, suspects) == []
        clocks.sleep(3.0)
        owners_time += 3.0
        # The owner, whose clock is right, goes on extending its lease.
        records.store.write(sql.EXTEND_LEASE, (owners_time + 15, run.id.bytes, 1))

    assert records.state(run).is_running()


def test_a_run_that_found_another_owner_is_watched_anew(records, nowhere, clocks):
    run = records.flow_run(owner=nowhere)
    suspects = Suspects()
    clocks.sleep(20)
    assert find_left(records.store, suspects) == []
    records.own(run, nowhere.replace("4711", "4712"), lease_s=-1)
    clocks.sleep(suspects.confirming_s)

    assert find_left(records.store, suspects) == []


@pytest.mark.parametrize("was_heard_of", [False, True], ids=["silent", "extended"])
def test_what_is_old_is_found_again_and_again(records, nowhere, clocks, was_heard_of):
    """Two looks are needed for it, however long ago it began."""
    run = records.flow_run(owner=nowhere)
    if was_heard_of:
        records.store.write(sql.EXTEND_LEASE, (clocks.wall - 1, run.id.bytes, 1))
    newer = [records.flow_run(owner=str(this_process())) for _ in range(3)]
    clocks.wall = newer[-1].created.timestamp() + 3600  # the ids are an hour old
    suspects = Suspects()
    for _ in range(3):
        assert find_left(records.store, suspects) == []
        clocks.sleep(suspects.confirming_s / 3)

    assert [left.flow_run_id for left in find_left(records.store, suspects)] == [run.id.bytes]


def test_looks_go_through_what_is_new_and_what_was_heard_of(records, dead):
    suspects = Suspects()
    assert find_left(records.store, suspects) == []
    old = records.flow_run(owner=str(this_process()))
    records.store.write(sql.EXTEND_LEASE, (clock.epoch() + 15, old.id.bytes, 1))
    with clock.use_clock(clock.VirtualClock(clock.epoch() + 3600)):
        assert find_left(records.store, suspects) == []
        assert suspects.oldest > old.id.bytes
        records.own(old, dead)
        (left,) = find_left(records.store, suspects)
    assert left.flow_run_id == old.id.bytes


def test_many_runs_are_looked_through_page_by_page(records, dead, monkeypatch):
    monkeypatch.setattr("penstock.services.recovering.PAGE_RUNS", 3)
    runs = [records.flow_run(owner=dead) for _ in range(8)]
    records.flow_run(owner=str(this_process()))

    found = find_left(records.store, Suspects())

    assert [each.flow_run_id for each in found] == [run.id.bytes for run in reversed(runs)]


# -- what follows ---------------------------------------------------------------------------------


def test_its_unfinished_task_runs_are_crashed_and_the_others_kept(records, dead):
    run = records.flow_run(owner=dead)
    done = records.complete(run, "load-0")
    running = records.task_run(run, name="load-1")
    waiting = records.task_run(run, Pending(), Running(), AwaitingRetry(), name="load-2")

    recover_all(records)

    assert records.state(done).is_completed()
    for each in (running, waiting):
        assert records.state(each).is_crashed()
        assert "process that executed the flow run died" in records.state(each).message
        validate(records.store.read_task_run(each.id))


def test_the_former_process_can_write_nothing_more(records, dead):
    run = records.flow_run(owner=dead)
    recover_all(records)

    with pytest.raises(FenceLost):
        records.store.commit([(sql.EXTEND_LEASE, (0, b"", 0))], Fence(run.id.bytes, 1))


def test_of_two_recoverers_one_does_it(records, dead):
    records.flow_run(owner=dead)
    (left,) = find_left(records.store, Suspects())

    assert recover(records.store, left).became == "Crashed"
    assert recover(records.store, left) is None


def test_a_process_that_gives_a_sign_of_life_meanwhile_keeps_its_run(records, dead):
    run = records.flow_run(owner=dead)
    (left,) = find_left(records.store, Suspects())
    records.store.write(sql.EXTEND_LEASE, (clock.epoch() + 99, run.id.bytes, 1))

    assert recover(records.store, left) is None
    assert records.state(run).is_running()


def test_a_dry_run_changes_nothing(records, dead):
    run = records.flow_run(owner=dead)
    before = records.lease(run)

    (recovery,) = recover_all(records, dry_run=True)

    assert recovery.became == "Crashed"
    assert records.state(run).is_running()
    assert records.lease(run) == before


def test_it_is_said_in_the_runs_log(records, dead):
    run = records.flow_run(owner=dead)
    recover_all(records)

    rows = records.store.read(sql.READ_LOGS, (run.id.bytes, b"", 10))

    assert ["Crashed: The process that executed the flow run died" in row[5] for row in rows] == [
        True
    ]


def test_subflow_runs_first_and_what_stands_for_them(records, dead):
    outer = records.flow_run(owner=dead)
    inner, dummy = records.subflow_run(outer, owner=dead)

    first, second = recover_all(records)

    assert (first.flow_run_id, second.flow_run_id) == (inner.id, outer.id)
    assert "The flow run that called it goes on with it" in first.why
    assert records.state(dummy).is_crashed()
    assert records.state(dummy).state_details.child_flow_run_id == inner.id
    assert records.state(outer).is_crashed()


@pytest.mark.parametrize("asked", [False, True], ids=["begun", "asked for"])
def test_a_run_that_was_being_cancelled_is_cancelled(records, dead, asked):
    states = (Pending(), Running()) if asked else (Pending(), Running(), Cancelling())
    run = records.flow_run(*states, owner=dead, on_crash="resume")
    if asked:
        records.store.write(sql.ASK_OF_FLOW_RUN, ("CANCELLING", run.id.bytes))

    (recovery,) = recover_all(records)

    assert recovery.became == "Cancelled"
    assert "was being cancelled" in records.state(run).message
    validate(records.store.read_flow_run(run.id))


def test_a_paused_run_stays_paused_and_belongs_to_nobody(records, dead):
    paused = Paused(timeout_seconds=600, pause_key="1")
    run = records.flow_run(Pending(), Running(), paused, owner=dead, on_crash="resume")

    (recovery,) = recover_all(records)

    assert (recovery.was, recovery.became) == ("Paused", "Paused")
    assert f"It stays Paused: go on with it by `penstock flow-run resume {run.id}`" in recovery.why
    assert records.state(run).is_paused()
    assert records.lease(run) == (None, 2, None)


def test_a_paused_run_that_was_resumed_goes_on_elsewhere(records, dead):
    paused = Paused(timeout_seconds=600, pause_key="1")
    run = records.flow_run(Pending(), Running(), paused, owner=dead)
    records.store.write(sql.ASK_OF_FLOW_RUN, ("RUNNING", run.id.bytes))

    (recovery,) = recover_all(records)

    assert (recovery.became, recovery.is_ready) == ("Resuming", True)
    validate(records.store.read_flow_run(run.id))


def test_a_paused_subflow_run_crashes_so_that_it_pauses_again(records, dead):
    outer = records.flow_run(owner=dead)
    paused = Paused(timeout_seconds=600, pause_key="1")
    inner, _dummy = records.subflow_run(outer, Pending(), Running(), paused, owner=dead)

    recover_all(records)

    assert records.state(inner).is_crashed()


def test_a_run_that_was_over_is_only_given_up(records, dead):
    run = records.flow_run(Pending(), Running(), Completed(), owner=dead)

    assert recover_all(records) == []
    assert records.state(run).is_completed()
    assert records.lease(run)[0] is None


# -- going on by itself ---------------------------------------------------------------------------


def test_a_flow_that_wants_to_be_resumed_is_put_up_to_be_gone_on_with(records, dead):
    run = records.flow_run(owner=dead, on_crash="resume", crash_hooks=True)
    records.complete(run, "load-0")

    (recovery,) = recover_all(records)

    assert (recovery.became, recovery.is_ready, recovery.has_hooks) == (
        "AwaitingRetry",
        True,
        False,
    )
    assert "It goes on in another process" in records.state(run).message
    found = records.store.read_flow_run(run.id)
    assert found.next_scheduled_start_time is not None
    validate(found)


@pytest.mark.parametrize("state", [Pending(), Scheduled()])
def test_also_before_it_was_running(records, dead, state):
    run = records.flow_run(state, owner=dead, on_crash="resume")

    (recovery,) = recover_all(records)

    assert recovery.became == "AwaitingRetry"
    validate(records.store.read_flow_run(run.id))


def test_a_run_that_kills_its_processes_is_left_after_a_while(records, dead):
    run = records.flow_run(owner=dead, on_crash="resume", crash_hooks=True)
    for _ in range(RECOVERIES_LIMIT):
        (recovery,) = recover_all(records)
        assert recovery.became == "AwaitingRetry"
        records.die_again(run, dead)

    (recovery,) = recover_all(records)

    assert (recovery.became, recovery.has_hooks) == ("Crashed", True)
    assert f"gone on with {RECOVERIES_LIMIT} times in a row" in records.state(run).message
    validate(records.store.read_flow_run(run.id))


@pytest.mark.parametrize("is_inner", [False, True], ids=["of its own", "in a subflow"])
def test_a_task_that_finished_begins_the_count_anew(records, dead, is_inner):
    run = records.flow_run(owner=dead, on_crash="resume")
    place = records.subflow_run(run)[0] if is_inner else run
    for count in range(RECOVERIES_LIMIT + 2):
        (recovery,) = recover_all(records)
        assert recovery.became == "AwaitingRetry"
        records.die_again(run, dead)
        records.complete(place, f"load-{count}")


def test_a_flow_that_no_other_process_can_load_crashes_and_says_so(records, dead):
    run = records.flow_run(owner=dead, on_crash="resume")
    records.store.write("update flow_run set entrypoint = null where id = ?", (run.id.bytes,))

    (recovery,) = recover_all(records)

    assert recovery.became == "Crashed"
    assert "it is not recorded which file it is in" in records.state(run).message


@pytest.mark.parametrize(("on_crash", "called"), [(None, True), ("resume", False)])
def test_no_hooks_for_a_subflow_run_that_goes_on_at_once(records, dead, on_crash, called):
    outer = records.flow_run(owner=dead, on_crash=on_crash)
    between, _ = records.subflow_run(outer, owner=dead)
    inner, _ = records.subflow_run(between, owner=dead, crash_hooks=True)

    found = {each.flow_run_id: each.has_hooks for each in recover_all(records)}

    assert found == {outer.id: False, between.id: False, inner.id: called}


# -- going on by hand -----------------------------------------------------------------------------


@flow
def ingest():
    if broken:
        raise OSError("the disk is full")


broken = False


def test_who_goes_on_with_it_first_says_who_had_died(records, dead):
    run = records.flow_run(owner=dead)

    ingest.resume(run.id)

    _, _, crashed, *_ = records.store.read_flow_run(run.id).history
    assert crashed.message.startswith(
        f"The process that executed the flow run died: process {os.getpid()} on host "
    )


def test_whoever_goes_on_with_it_by_hand_begins_the_count_anew(records, dead, monkeypatch):
    run = records.flow_run(owner=dead, on_crash="resume", recoveries=RECOVERIES_LIMIT)
    assert recover_all(records)[0].became == "Crashed"
    monkeypatch.setitem(globals(), "broken", True)
    assert ingest.resume(run.id, return_state=True).is_failed()
    monkeypatch.setitem(globals(), "broken", False)
    records.own(run, None)

    records.die_again(run, dead)

    assert recover_all(records)[0].became == "AwaitingRetry"


def test_a_run_that_was_being_cancelled_is_not_gone_on_with(records, dead):
    run = records.flow_run(Pending(), Running(), Cancelling(), owner=dead)

    state = ingest.resume(run.id, return_state=True)

    assert state.is_cancelled()
    found = records.store.read_flow_run(run.id)
    assert found.state.is_cancelled()
    assert records.lease(run)[0] is None
    validate(found)
