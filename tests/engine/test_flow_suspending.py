"""Flow runs that leave their process until they are resumed, as users see them (9.2, 9.3)."""

from __future__ import annotations

import pytest

from penstock import flow, pause_flow_run, resume_flow_run, suspend_flow_run, task
from penstock.context import FlowRunContext
from penstock.exceptions import FlowPauseTimeout, NotPausedError, Pause, PausedRun

calls: list[object] = []


@pytest.fixture(autouse=True)
def no_calls():
    calls.clear()


@task
def step(number):
    calls.append(number)
    return number


@flow
def leaves(limit=60):
    first = step(1)
    suspend_flow_run(timeout=limit)
    return first + step(2)


@flow
def leaves_twice():
    calls.append("begin")
    suspend_flow_run(timeout=60)
    calls.append("middle")
    suspend_flow_run(timeout=60)
    return 1


@flow
def leaves_with_a_key():
    suspend_flow_run(timeout=60, key="night")
    suspend_flow_run(timeout=60, key="night")
    return 1


@flow
def swallows():
    try:
        suspend_flow_run(timeout=60)
    except Exception:  # noqa: BLE001 - as users write it
        calls.append("swallowed")
    return 1


@flow
def outer():
    return leaves()


@flow
def drains():
    futures = step.map(range(20))
    suspend_flow_run(timeout=60)
    return sum(future.result() for future in futures)


def suspended(flow, name="Suspended"):
    with pytest.raises(Pause) as pause:
        flow()
    assert pause.value.state.name == name
    assert pause.value.state.state_details.pause_reschedule


def test_a_suspended_run_goes_on_where_it_was(records):
    suspended(leaves)
    run = records.flow_run()
    assert run.state_name == "Suspended"
    assert f"penstock flow-run resume {run.id}" in run.state.message
    assert calls == [1]

    resume_flow_run(run.id)

    assert records.flow_run().state_name == "Resuming"
    assert leaves.resume(run.id) == 3
    assert calls == [1, 2]
    run = records.flow_run()
    names = [state.name for state in run.history]
    assert names == ["Pending", "Running", "Suspended", "Resuming", "Running", "Completed"]
    assert run.run_count == 1


def test_each_pause_has_its_turn(records):
    suspended(leaves_twice)
    run_id = records.flow_run().id
    with pytest.raises(Pause):
        leaves_twice.resume(run_id)
    assert records.flow_run().state.state_details.pause_key == "2"

    assert leaves_twice.resume(run_id) == 1
    assert calls == ["begin", "begin", "middle", "begin", "middle"]


def test_the_same_key_suspends_once(records):
    suspended(leaves_with_a_key)
    assert leaves_with_a_key.resume(records.flow_run().id) == 1


def test_a_suspension_is_no_exception_to_be_swallowed(records):
    suspended(swallows)
    assert calls == []


def test_tasks_that_run_come_to_their_end_before(records):
    suspended(drains)
    run = records.flow_run()
    counts = [each.state_name for each in records.task_runs()]
    assert set(counts) <= {"Completed", "NotReady"}
    done = counts.count("Completed")
    assert len(calls) == done

    assert drains.resume(run.id) == sum(range(20))
    assert sorted(calls) == list(range(20))


@flow
def reschedules():
    pause_flow_run(timeout=60, reschedule=True)
    return step(2)


def test_a_pause_with_reschedule_leaves_under_its_own_name(records):
    suspended(reschedules, "Paused")
    run = records.flow_run()
    assert "Paused: it has left its process" in run.state.message
    assert reschedules.resume(run.id) == 2


@flow
def asks(ask, key=None):
    before = [step.submit(number) for number in range(2)]
    for future in before:
        future.wait()
    ask(flow_run_id=FlowRunContext.get().flow_run.id, timeout=60, key=key)
    return [step(wait_for=before, number=3)]


@flow
def asks_and_submits(ask, key=None):
    before = step.submit(1)
    before.wait()
    ask(flow_run_id=FlowRunContext.get().flow_run.id, timeout=60, key=key)
    return [step.submit(number, wait_for=[before]) for number in (2, 3)]


@pytest.mark.parametrize("call", [asks, asks_and_submits])
@pytest.mark.parametrize(
    ("ask", "name"), [(pause_flow_run, "Paused"), (suspend_flow_run, "Suspended")]
)
def test_a_run_leaves_that_is_paused_or_suspended_by_its_id(records, call, ask, name):
    state = call(ask, key="night", return_state=True)

    run = records.flow_run()
    assert state.name == run.state_name == name
    details = run.state.state_details
    assert (details.pause_key, details.pause_reschedule) == ("night", True)
    assert details.pause_timeout is not None
    assert f"penstock flow-run resume {run.id}" in run.state.message
    assert set(calls) <= {0, 1}
    with pytest.raises(PausedRun):
        state.result()
    rested = [each.state for each in records.task_runs() if not each.state.is_completed()]
    assert rested
    assert all(state.is_paused() for state in rested)


@flow
def looks():
    suspend_flow_run(flow_run_id=FlowRunContext.get().flow_run.id, timeout=60)
    calls.append(step.submit(1).wait())


def test_a_task_that_is_held_back_gives_the_state_that_its_flow_comes_to(records):
    with pytest.raises(PausedRun):
        looks()

    [state] = calls
    assert (state.name, state.state_details.pause_reschedule) == ("Suspended", True)
    assert state.state_details.task_run_id == records.task_runs()[0].id


def test_a_subflow_is_not_suspended(records):
    with pytest.raises(RuntimeError, match="Cannot suspend subflows"):
        outer()


def test_a_flow_that_nobody_could_load_is_not_suspended(records):
    @flow
    def local():
        suspend_flow_run()

    with pytest.raises(RuntimeError, match="it is not recorded where its flow is"):
        local()


def test_where_there_is_nothing_to_suspend(records):
    with pytest.raises(RuntimeError, match="There is no flow run to suspend here"):
        suspend_flow_run()
    with pytest.raises(ValueError, match="timeout=0: give a positive number"):
        suspend_flow_run(timeout=0)


def test_a_run_whose_time_is_over_fails_and_begins_anew_if_it_is_resumed(records, virtual):
    suspended(leaves)
    run_id = records.flow_run().id
    virtual.sleep(61)

    with pytest.raises(FlowPauseTimeout, match="expired"):
        resume_flow_run(run_id)
    run = records.flow_run()
    assert (run.state_name, run.state.message) == (
        "Failed",
        "The flow was paused and never resumed.",
    )
    with pytest.raises(NotPausedError, match="in state Failed"):
        resume_flow_run(run_id)

    with pytest.raises(Pause):
        leaves.resume(run_id)
    assert leaves.resume(run_id) == 3
    assert calls == [1, 2]


@pytest.fixture
def virtual():
    from penstock import clock

    with clock.use_clock(clock.VirtualClock()) as made:
        yield made
