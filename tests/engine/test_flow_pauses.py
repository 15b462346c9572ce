"""Flow runs that are paused in their process, as their users see them (9.1, 9.3)."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from penstock import flow, pause_flow_run, resume_flow_run, task
from penstock.client import get_client
from penstock.engine.pausing import ask_to_pause
from penstock.exceptions import FlowPauseTimeout, NotPausedError, ObjectNotFound
from penstock.states import Cancelling, Paused, Running
from penstock.store import get_store

LIMIT_S = 20


def wait_for_state(name):
    """Wait until the only flow run is in a state; give its record."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        with get_client(sync_client=True) as client:
            runs = [run for run in client.read_flow_runs() if run.state_name == name]
        if runs:
            return runs[0]
        time.sleep(0.005)
    raise AssertionError(f"no flow run became {name}")


class Started:
    """A flow that is called on another thread."""

    def __init__(self, call):
        self.value = self.error = None
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self.value = self._call()
        except BaseException as error:  # noqa: BLE001 - raised again by `end`
            self.error = error

    def end(self):
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.value


@task
def step(number):
    return number


@flow
def halves():
    first = step(1)
    pause_flow_run(timeout=LIMIT_S)
    return first + step(2)


@flow
async def async_halves():
    first = step(1)
    await pause_flow_run(timeout=LIMIT_S)
    return first + step(2)


@pytest.mark.parametrize(
    "call", [halves, lambda: asyncio.run(async_halves())], ids=["sync", "async"]
)
def test_a_paused_run_waits_and_goes_on(records, call):
    started = Started(call)
    paused = wait_for_state("Paused")

    assert [run.state_name for run in records.task_runs()] == ["Completed"]
    resume_flow_run(paused.id)

    assert started.end() == 3
    run = records.flow_run()
    names = [state.name for state in run.history]
    assert names == ["Pending", "Running", "Paused", "Running", "Completed"]
    assert run.run_count == 1
    message = paused.state.message
    assert f"penstock flow-run resume {run.id}" in message
    assert f"{paused.state.state_details.pause_timeout:%Y-%m-%d %H:%M:%S}" in message


def test_a_run_is_resumed_by_its_state(records):
    started = Started(halves)
    paused = wait_for_state("Paused")

    with get_client(sync_client=True) as client:
        answer = client.set_flow_run_state(paused.id, Running())

    assert answer.status == "ACCEPT"
    assert started.end() == 3


def test_a_subflow_pauses_alone(records):
    @flow
    def outer():
        return halves() + 1

    started = Started(outer)
    paused = wait_for_state("Paused")

    parent = records.flow_run("outer")
    assert (paused.flow_name, parent.state_name) == ("halves", "Running")
    (dummy,) = [run for run in records.task_runs() if run.name == "halves-0"]
    assert dummy.state_name == "Paused"
    resume_flow_run(paused.id)
    assert started.end() == 4


def test_running_tasks_go_on_and_others_wait(records):
    began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    @task
    def slow():
        began.set()
        may_end.wait(LIMIT_S)
        return 1

    @task
    def after(number):
        ended.set()
        return number + 1

    @flow
    def mixed():
        future = after.submit(slow.submit())
        began.wait(LIMIT_S)
        pause_flow_run(timeout=LIMIT_S)
        return future.result()

    started = Started(mixed)
    paused = wait_for_state("Paused")
    may_end.set()
    until = time.monotonic() + LIMIT_S
    while [run.state_name for run in records.task_runs()] != ["Completed", "NotReady"]:
        assert time.monotonic() < until
    assert not ended.is_set()

    resume_flow_run(paused.id)

    assert started.end() == 2
    states = [state.name for state in records.task_runs("after")[0].history]
    assert states == ["Pending", "NotReady", "Running", "Completed"]


def test_a_run_that_is_asked_to_pause_rests_before_its_next_task(records):
    began, may_end = threading.Event(), threading.Event()

    @task
    def first():
        began.set()
        may_end.wait(LIMIT_S)

    @flow
    def two():
        first()
        return step(2)

    started = Started(two)
    began.wait(LIMIT_S)
    run = records.flow_run()
    ask_to_pause(get_store(), run.id, Paused(timeout_seconds=LIMIT_S))
    may_end.set()
    wait_for_state("Paused")
    assert [run.name for run in records.task_runs() if run.state_name == "Completed"] == [
        "first-0"
    ]

    resume_flow_run(str(run.id))

    assert started.end() == 2
    names = [state.name for state in records.flow_run().history]
    assert names == ["Pending", "Running", "Paused", "Running", "Completed"]


def test_a_run_that_is_asked_by_its_own_code_rests_before_its_very_next_task(records):
    @flow
    def by_id():
        ask_to_pause(get_store(), records.flow_run().id, Paused(timeout_seconds=LIMIT_S))
        return step(1)

    started = Started(by_id)
    run = wait_for_state("Paused")
    assert not any(run.state.is_final() for run in records.task_runs())
    resume_flow_run(run.id)

    assert started.end() == 1
    names = [state.name for state in records.flow_run().history]
    assert names == ["Pending", "Running", "Paused", "Running", "Completed"]


def test_another_run_is_not_rescheduled_by_a_pause(records):
    with pytest.raises(RuntimeError, match=r"or call suspend_flow_run\(flow_run_id="):
        pause_flow_run(flow_run_id="00000000-0000-4000-8000-000000000001", reschedule=True)


def test_a_pause_that_was_not_noticed_is_taken_back(records):
    began, may_end = threading.Event(), threading.Event()

    @flow
    def alone():
        began.set()
        may_end.wait(LIMIT_S)
        return step(1)

    started = Started(alone)
    began.wait(LIMIT_S)
    run = records.flow_run()
    ask_to_pause(get_store(), run.id, Paused())
    with get_client(sync_client=True) as client:
        assert client.set_flow_run_state(run.id, Running()).status == "ACCEPT"
    may_end.set()

    assert started.end() == 1
    names = [state.name for state in records.flow_run().history]
    assert names == ["Pending", "Running", "Completed"]


def test_nobody_resumes_it_in_time(records):
    @flow
    def forgotten():
        pause_flow_run(timeout=0.1)

    with pytest.raises(FlowPauseTimeout, match="paused and never resumed"):
        forgotten()

    run = records.flow_run()
    assert [state.name for state in run.history] == ["Pending", "Running", "Paused", "Failed"]
    with pytest.raises(NotPausedError, match="in state Failed: only a paused run"):
        resume_flow_run(run.id)


def test_a_flow_that_goes_on_although_it_was_not_resumed(records):
    @flow
    def stubborn():
        try:
            pause_flow_run(timeout=0.1)
        except FlowPauseTimeout:
            return 1

    state = stubborn(return_state=True)

    assert (state.name, state.message) == ("Failed", "The flow was paused and never resumed.")
    with pytest.raises(FlowPauseTimeout, match="it could be until"):
        state.result()


def test_a_run_that_was_asked_to_rest_and_that_nobody_resumes_fails(records):
    @flow
    def asked():
        ask_to_pause(get_store(), records.flow_run().id, Paused(timeout_seconds=0.1))
        return step(1)

    with pytest.raises(FlowPauseTimeout, match="it could be until"):
        asked()
    names = [state.name for state in records.flow_run().history]
    assert names == ["Pending", "Running", "Paused", "Failed"]


def test_the_same_key_pauses_once(records):
    @flow
    def twice():
        pause_flow_run(timeout=LIMIT_S, key="approval")
        pause_flow_run(timeout=LIMIT_S, key="approval")
        return 1

    started = Started(twice)
    resume_flow_run(wait_for_state("Paused").id)

    assert started.end() == 1
    assert [state.name for state in records.flow_run().history].count("Paused") == 1


def test_several_pauses_are_counted(records):
    @flow
    def thrice():
        for _ in range(3):
            pause_flow_run(timeout=LIMIT_S)

    started = Started(thrice)
    keys = []
    for _ in range(3):
        paused = wait_for_state("Paused")
        keys.append(paused.state.state_details.pause_key)
        resume_flow_run(paused.id)
    started.end()

    assert keys == ["1", "2", "3"]
    assert records.flow_run().empirical_policy.pause_keys == ["1", "2", "3"]


def test_two_pauses_at_once_come_one_after_the_other(records):
    @flow
    async def both():
        await asyncio.gather(
            pause_flow_run(timeout=LIMIT_S, key="a"), pause_flow_run(timeout=LIMIT_S, key="b")
        )
        return 1

    started = Started(lambda: asyncio.run(both()))
    for key in "ab":
        paused = wait_for_state("Paused")
        assert paused.state.state_details.pause_key == key
        resume_flow_run(paused.id)

    assert started.end() == 1


def test_the_time_of_a_flow_goes_on_while_it_rests(records):
    @flow(timeout_seconds=0.3)
    def limited():
        pause_flow_run(timeout=LIMIT_S)

    state = limited(return_state=True)

    assert state.name == "TimedOut"
    assert records.flow_run().state_name == "TimedOut"


def test_where_there_is_nothing_to_pause(records):
    with pytest.raises(RuntimeError, match="There is no flow run to pause here"):
        pause_flow_run()

    @task
    def inside():
        pause_flow_run()

    @flow
    def outer():
        return inside(return_state=True)

    state = outer(return_state=True)
    with pytest.raises(RuntimeError, match="Cannot pause task runs"):
        state.result()


@pytest.mark.parametrize("timeout", [0, -1, "soon", True])
def test_a_timeout_that_is_none(timeout):
    with pytest.raises(ValueError, match=r"timeout=.*: give a positive number of seconds"):
        pause_flow_run(timeout=timeout)


def test_ids_that_lead_to_nothing(records):
    with pytest.raises(ValueError, match="'otter' is not the id of a flow run"):
        resume_flow_run("otter")
    with pytest.raises(ObjectNotFound, match="There is no flow run"):
        resume_flow_run("01a20480-3334-7aa3-8186-a049104944c6")


def test_what_cannot_be_paused_or_resumed(records):
    @flow
    def done():
        return 1

    done()
    run = records.flow_run()
    with pytest.raises(NotPausedError, match="in state Completed"):
        resume_flow_run(run.id)
    with pytest.raises(RuntimeError, match="cannot be paused"):
        pause_flow_run(flow_run_id=run.id)


def test_a_run_that_nobody_keeps_is_scheduled(records):
    @flow
    def rests():
        return Paused(message="for today")

    rests(return_state=True)
    run = records.flow_run()

    resume_flow_run(run.id)

    state = records.flow_run().state
    assert (state.type, state.name) == ("SCHEDULED", "Resuming")


async def awaits(run_id):
    await resume_flow_run(run_id)


def test_resuming_in_async_code_is_awaited(records):
    started = Started(halves)
    asyncio.run(awaits(wait_for_state("Paused").id))
    assert started.end() == 3


def test_a_resumption_is_noticed_soon(records):
    noticed = []

    @flow
    def waits():
        for _ in range(9):
            pause_flow_run(timeout=LIMIT_S)
            noticed.append(time.monotonic())

    started = Started(waits)
    asked = []
    for _ in range(9):
        run = wait_for_state("Paused")
        asked.append(time.monotonic())
        resume_flow_run(run.id)
    started.end()

    delays = sorted(after - before for before, after in zip(asked, noticed, strict=True))
    assert delays[4] < 0.1


def test_many_runs_rest_with_one_thread_and_cost_little(records):
    count = 200

    @flow
    async def waits():
        await pause_flow_run(timeout=LIMIT_S)

    @flow
    async def idle():
        await asyncio.sleep(0)

    async def all_at_once():
        calls = [asyncio.create_task(waits(return_state=True)) for _ in range(count)]
        while get_store().read(COUNT_PAUSED)[0][0] < count:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        began, spent = time.monotonic(), time.process_time()
        await asyncio.sleep(1.0)
        share = (time.process_time() - spent) / (time.monotonic() - began)
        threads = [thread.name for thread in threading.enumerate()].count("penstock-watch")
        for run in records.flow_runs():
            asyncio.get_running_loop().run_in_executor(None, ask, run.id)
        states = await asyncio.gather(*calls)
        return share, threads, {state.name for state in states}

    share, threads, names = asyncio.run(all_at_once())

    assert (threads, names) == (1, {"Completed"})
    assert share < 0.05  # it is under 0.01 on a machine that does nothing else


COUNT_PAUSED = "select count(*) from flow_run where state_name = 'Paused'"


def ask(run_id):
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, Running())


def test_a_paused_run_that_is_asked_to_be_cancelled_is_not_resumed(records):
    began, may_end = threading.Event(), threading.Event()

    @flow
    def alone():
        began.set()
        may_end.wait(LIMIT_S)
        return step(1)

    started = Started(lambda: alone(return_state=True))
    began.wait(LIMIT_S)
    run = records.flow_run()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Paused())
        client.set_flow_run_state(run.id, Cancelling())
        assert client.set_flow_run_state(run.id, Running()).status != "ACCEPT"
    may_end.set()

    assert started.end().name == "Cancelled"
