"""Task runs that break outside of their own code, or are aborted (spec 3.10, 3.11)."""

from __future__ import annotations

import asyncio
import threading

import pytest

from penstock import flow, task
from penstock.exceptions import Abort, CrashedRun, MissingResult, PausedRun, UpstreamTaskError
from penstock.states import Cancelled, Crashed, Paused, Pending, Running, Suspended
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner

SIGNALS = [KeyboardInterrupt, SystemExit]


def raiser(error, **options):
    @task(name="stops", **options)
    def stops():
        raise error

    return stops


def raiser_async(error, **options):
    @task(name="stops", **options)
    async def stops():
        await asyncio.sleep(0)
        raise error

    return stops


MAKE = pytest.mark.parametrize("make", [raiser, raiser_async], ids=["sync", "async"])

IN_FLOW = {
    "call": lambda made: made(),
    "state": lambda made: made(return_state=True),
    "submit": lambda made: made.submit().wait(),
    "result": lambda made: made.submit().result(),
}


@MAKE
@pytest.mark.parametrize("error", SIGNALS)
@pytest.mark.parametrize("how", ["call", "state", "submit", "result"])
def test_an_interrupt_crashes_the_run_and_its_flow(how, error, make, records, history):
    made = make(error, retries=3, on_failure=[lambda **_: hooked.append(1)])
    hooked = []

    @flow
    def runs():
        IN_FLOW[how](made)
        return "fine"

    with pytest.raises(error):
        runs()

    run = records.task_run()
    assert history(run) == ["Pending", "Running", "Crashed"]
    assert "Execution was aborted" in run.state.message
    assert run.state.message == exact(error)
    assert run.run_count == 1
    assert hooked == []
    flow_run = records.flow_run()
    assert flow_run.state_type == "CRASHED"
    assert flow_run.state.message == exact(error)
    assert any(line.startswith("Crash detected! ") for line in records.logs())


def exact(error):
    from penstock.states import exception_to_crashed_state

    return exception_to_crashed_state(error()).message


@pytest.mark.parametrize("error", SIGNALS)
def test_in_an_async_flow(error, records):
    made = raiser_async(error)

    @flow
    async def runs():
        await made()

    with pytest.raises(error):
        asyncio.run(runs())

    assert records.task_run().state_type == "CRASHED"
    assert records.flow_run().state_type == "CRASHED"


@pytest.mark.parametrize("error", SIGNALS)
@MAKE
def test_outside_of_a_flow(make, error, records):
    made = make(error)

    with pytest.raises(error):
        if make is raiser:
            made()
        else:
            asyncio.run(made())

    assert records.task_run().state_type == "CRASHED"


def test_the_crash_is_not_kept_for_another_process(records):
    @flow
    def runs():
        raiser(KeyboardInterrupt)()

    with pytest.raises(KeyboardInterrupt):
        runs()

    with pytest.raises(CrashedRun, match="Execution was aborted"):
        records.task_run().state.result()


def test_others_that_were_submitted_are_stopped(records):
    begun = threading.Barrier(2, timeout=20)
    over = threading.Event()

    @task
    def works():
        begun.wait()
        while not over.is_set():
            over.wait(0.01)

    @flow
    def runs():
        works.submit()
        begun.wait()
        raiser(KeyboardInterrupt)()

    with pytest.raises(KeyboardInterrupt):
        runs()
    over.set()

    states = {run.name: run.state_type for run in records.task_runs()}
    assert states == {"works-0": "CRASHED", "stops-0": "CRASHED"}


def test_a_nested_interrupt_crashes_all_around_it(records):
    inner = raiser(KeyboardInterrupt)

    @task
    def outer():
        inner()

    @flow
    def runs():
        outer.submit().result()

    with pytest.raises(KeyboardInterrupt):
        runs()

    assert {run.state_type for run in records.task_runs()} == {"CRASHED"}
    assert records.flow_run().state_type == "CRASHED"


class Odd(BaseException):
    """An exception that is none of ours, nor an ordinary one."""


@pytest.mark.parametrize("how", ["call", "submit"])
def test_another_base_exception_crashes_the_run(how, records):
    @flow
    def runs():
        state = IN_FLOW["state" if how == "call" else "submit"](raiser(Odd("strange")))
        assert state.is_crashed()
        with pytest.raises(Odd, match="strange"):
            state.result()
        return "fine"

    assert runs() == "fine"

    assert records.task_run().state.message == (
        "Execution was interrupted by an unexpected exception: Odd: strange"
    )


# -- breaks in the engine's part ------------------------------------------------------------------


@pytest.mark.parametrize("runner", [SequentialTaskRunner, ConcurrentTaskRunner])
@pytest.mark.parametrize("how", ["state", "submit"])
def test_an_ordinary_exception_of_the_engine_does_not_crash_the_flow(how, runner, records):
    """Here: the parameter cannot be rebuilt with the result in it."""
    import dataclasses

    gives = task(lambda x: x, name="gives")

    @dataclasses.dataclass
    class Strict:
        x: object

        def __post_init__(self):
            if self.x == 1:
                raise ValueError("not 1")

    @flow(task_runner=runner)
    def runs():
        argument = Strict(gives.submit(1))
        return [
            gives.submit(argument).wait()
            if how == "submit"
            else gives(argument, return_state=True)
        ]

    state = runs(return_state=True)

    assert state.is_failed()
    assert state.message == "1/1 states failed."
    run = records.task_runs("gives")[-1]
    assert run.state_type == "CRASHED"
    assert "unexpected exception" in run.state.message
    assert "quote(...)" in run.state.message


def test_what_depends_on_a_crashed_run(records):
    gives = task(lambda x: x, name="gives")

    @flow
    def runs():
        future = gives.submit(raiser(Odd()).submit())
        assert future.wait().name == "NotReady"
        with pytest.raises(UpstreamTaskError):
            gives.map(raiser(Odd()).submit())
        return "fine"

    assert runs() == "fine"


# -- states that a task returns -------------------------------------------------------------------


@pytest.mark.parametrize("how", ["state", "submit"])
@pytest.mark.parametrize(
    "state",
    [Cancelled(message="m"), Crashed(message="m"), Paused(message="m"), Suspended(message="m")],
    ids=lambda state: state.name,
)
def test_returned_states(state, how, records):
    @task
    def gives():
        return state.copy()

    @flow
    def runs():
        made = IN_FLOW[how](gives)
        assert (made.type, made.name, made.message) == (state.type, state.name, "m")
        if state.is_paused():
            with pytest.raises(PausedRun):
                made.result()
        return "fine"

    assert runs() == "fine"
    run = records.task_run()
    assert (run.state_type, run.state_name) == (state.type, state.name)


@pytest.mark.parametrize("state", [Pending(), Running()], ids=lambda state: state.name)
def test_a_returned_state_that_leads_nowhere_ends(state, records):
    """A state that is not final is refused or executed again: not for ever."""
    tries = []

    @task
    def gives():
        tries.append(1)
        return state.copy() if len(tries) < 3 else "done"

    @flow
    def runs():
        made = gives(return_state=True)
        assert made.is_completed() or made.is_pending() or made.is_running()
        return "fine"

    assert runs() == "fine"
    assert len(tries) <= 3


def test_an_abort_in_a_task_leaves_its_state(records):
    @flow
    def runs():
        state = raiser(Abort("not here"))(return_state=True)
        assert not state.is_final()
        return "fine"

    assert runs() == "fine"
    assert any("not here" in line for line in records.logs())


# -- aggregates -----------------------------------------------------------------------------------


def test_a_task_that_returns_states_of_others(records):
    fails = task(lambda: 1 / 0, name="fails")
    gives = task(lambda: 1, name="gives")

    @task
    def parent(kind):
        if kind == "states":
            return [gives(return_state=True), fails(return_state=True)]
        return [gives.submit(), fails.submit()]

    @flow
    def runs():
        for kind in ("states", "futures"):
            state = parent(kind, return_state=True)
            assert state.is_failed()
            assert state.message == "1/2 states failed."
        return "fine"

    assert runs() == "fine"


def test_a_task_that_returns_futures_of_others_that_completed():
    gives = task(lambda x: x, name="gives")

    @task
    def parent():
        return [gives.submit(1), gives.submit(2)]

    @flow
    def runs():
        state = parent.submit().wait()
        assert state.message == "All states completed."
        return [one.result() for one in state.result()]

    assert runs() == [1, 2]


def test_a_result_that_is_not_kept_is_missing_elsewhere(records):
    @flow
    def runs():
        return task(lambda: [1], name="gives", persist_result=False)()

    assert runs() == [1]

    with pytest.raises(MissingResult, match="was not kept"):
        records.task_run().state.result()
