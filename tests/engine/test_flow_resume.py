"""Flow runs that go on: after a failure, a crash, a kill (issue 2, DESIGN 5; PAINS 3, 4, 19)."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import date
from uuid import uuid4

import pydantic
import pytest

from penstock import flow, get_client, task
from penstock.exceptions import (
    Abort,
    ObjectNotFound,
    ParameterTypeError,
    RunOwnedElsewhere,
    StoreError,
)
from penstock.states import Completed
from penstock.store import get_store


class City(pydantic.BaseModel):
    name: str


@dataclasses.dataclass
class Point:
    x: int


class Opaque:
    def __init__(self, x):
        self.x = x


# -- in one process -------------------------------------------------------------------------------


@pytest.fixture
def counts():
    return {}


@pytest.fixture
def breaks_once(counts):
    """A flow of three tasks that fails after the second, the first time."""

    def count(name):
        counts[name] = counts.get(name, 0) + 1

    @task
    def first(x):
        count("first")
        return x + 1

    @task
    def second(x):
        count("second")
        return x * 2

    @task
    def third(x):
        count("third")
        return x - 1

    @flow
    def breaks(x):
        value = second.submit(first(x))
        count("flow")
        if counts["flow"] == 1:
            value.wait()
            raise ValueError("once")
        return third(value)

    return breaks


def test_a_failed_run_goes_on(breaks_once, counts, records, history):
    breaks_once(1, return_state=True)
    run_id = records.flow_run().id

    assert breaks_once.resume(run_id) == 3

    assert counts == {"first": 1, "second": 1, "third": 1, "flow": 2}
    run = records.flow_run()
    assert history(run) == ["Pending", "Running", "Failed", "Running", "Completed"]
    assert run.run_count == 2
    assert [one.name for one in records.task_runs()] == ["first-0", "second-0", "third-0"]
    assert any("Going on with flow run" in line for line in records.logs())


@pytest.mark.parametrize("kind", [str, lambda run_id: run_id], ids=["text", "uuid"])
def test_the_id_may_be_text(breaks_once, records, kind):
    breaks_once(1, return_state=True)

    assert breaks_once.resume(kind(records.flow_run().id)) == 3


def test_the_state_may_be_asked_for(breaks_once, records):
    breaks_once(1, return_state=True)

    state = breaks_once.resume(records.flow_run().id, return_state=True)

    assert state.is_completed()
    assert state.result() == 3


def test_a_run_that_fails_again_may_go_on_again(records, history):
    attempts = []

    @flow
    def breaks():
        attempts.append(1)
        if len(attempts) < 3:
            raise ValueError(f"attempt {len(attempts)}")
        return "done"

    with pytest.raises(ValueError, match="attempt 1"):
        breaks()
    run_id = records.flow_run().id
    with pytest.raises(ValueError, match="attempt 2"):
        breaks.resume(run_id)
    assert breaks.resume(run_id) == "done"

    assert history(records.flow_run()) == [
        "Pending",
        *["Running", "Failed"] * 2,
        "Running",
        "Completed",
    ]


def test_a_completed_run_gives_its_recorded_result(records, history):
    executed = []

    @flow
    def works():
        executed.append(1)
        return [1, 2]

    works()
    run_id = records.flow_run().id

    assert works.resume(run_id) == [1, 2]
    assert works.resume(run_id, return_state=True).is_completed()
    assert executed == [1]
    assert history(records.flow_run()) == ["Pending", "Running", "Completed"]


def test_retries_are_all_there_again(records):
    attempts = []

    @flow(retries=1)
    def breaks():
        attempts.append(1)
        raise ValueError("boom")

    breaks(return_state=True)
    breaks.resume(records.flow_run().id, return_state=True)

    assert len(attempts) in (3, 4)


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, Abort])
def test_a_run_that_was_broken_off_goes_on(records, end):
    executed = []

    @task
    def add(x):
        executed.append(x)
        return x + 1

    @flow
    def breaks():
        value = add(1)
        if len(executed) == 1:
            executed.append("end")
            raise end
        return add(value)

    with pytest.raises(end):
        breaks()

    assert breaks.resume(records.flow_run().id) == 3
    assert executed == [1, "end", 2]


def test_an_async_run_goes_on(records):
    executed = []

    @task
    async def add(x):
        executed.append(x)
        return x + 1

    @flow
    async def breaks():
        values = await asyncio.gather(add(1), add(2))
        if len(executed) == 2:
            executed.append("end")
            raise ValueError("boom")
        return await add(sum(values))

    with pytest.raises(ValueError, match="boom"):
        asyncio.run(breaks())

    assert asyncio.run(breaks.resume(records.flow_run().id)) == 6
    assert executed == [1, 2, "end", 5]


def test_async_and_sync_flows_run_under_their_hooks_again(records):
    called = []

    def note(kind):
        return lambda flow, flow_run, state: called.append(kind)

    @flow(on_running=[note("running")], on_failure=[note("failure")])
    def breaks():
        raise ValueError("boom")

    breaks(return_state=True)
    breaks.resume(records.flow_run().id, return_state=True)

    assert called == ["running", "failure"] * 2


PARAMETERS = [
    {"x": 1, "y": "text", "z": [1, {"a": None}]},
    {"x": date(2024, 5, 1), "y": (1, 2), "z": {3, 4}},
    {"x": City(name="Oslo"), "y": Point(3), "z": float("inf")},
    {"x": {1: "one"}, "y": b"bytes", "z": None},
]


@pytest.mark.parametrize("given", PARAMETERS, ids=["json", "python", "models", "others"])
def test_recorded_parameters_are_what_was_given(records, given):
    seen = []

    @flow
    def breaks(x, y, z, limit=3):
        seen.append({"x": x, "y": y, "z": z, "limit": limit})
        if len(seen) == 1:
            raise ValueError("boom")

    breaks(**given, return_state=True)
    breaks.resume(records.flow_run().id)

    assert seen[1] == {**given, "limit": 3}
    assert [type(value) for value in seen[1].values()] == [
        type(value) for value in seen[0].values()
    ]


def test_parameters_are_cast_again(records):
    seen = []

    @flow
    def breaks(day: date):
        seen.append(day)
        if len(seen) == 1:
            raise ValueError("boom")

    breaks("2024-05-01", return_state=True)
    breaks.resume(records.flow_run().id)

    assert seen == [date(2024, 5, 1)] * 2


def test_a_new_parameter_gets_its_default(records):
    @flow(name="grows")
    def before(x):
        raise ValueError("boom")

    @flow(name="grows")
    def after(x, y=7):
        return x, y

    before(1, return_state=True)

    assert after.resume(records.flow_run().id) == (1, 7)


def test_recorded_parameters_that_do_not_fit_any_more(records):
    @flow(name="changes")
    def before(x):
        raise ValueError("boom")

    @flow(name="changes")
    def after(x: int):
        raise AssertionError

    before("no number", return_state=True)
    run_id = records.flow_run().id

    with pytest.raises(ParameterTypeError, match="x"):
        after.resume(run_id)
    run = records.flow_run()
    assert run.state.is_failed()
    assert "Validation of flow parameters failed" in run.state.message
    with pytest.raises(ValueError, match="boom"):
        before.resume(run_id)  # it is not held on to


def test_variadic_parameters(records):
    seen = []

    @flow
    def breaks(first, *rest, named=None, **more):
        seen.append((first, rest, named, more))
        if len(seen) == 1:
            raise ValueError("boom")

    breaks(1, 2, 3, named=4, other=5, return_state=True)
    breaks.resume(records.flow_run().id)

    assert seen[1] == (1, (2, 3), 4, {"other": 5}) == seen[0]


# -- what cannot go on ----------------------------------------------------------------------------


def test_an_unknown_id():
    @flow
    def works(): ...

    missing = uuid4()
    with pytest.raises(ObjectNotFound, match=rf"no flow run {missing}.*flow-run ls"):
        works.resume(missing)
    with pytest.raises(LookupError):
        works.resume(str(missing))


@pytest.mark.parametrize("nonsense", ["nonsense", "", "brave-otter", 7, None])
def test_what_is_no_id(nonsense):
    @flow
    def works(): ...

    with pytest.raises(ValueError, match=r"not the id of a flow run.*flow-run ls"):
        works.resume(nonsense)


def test_a_run_of_another_flow(records):
    @flow
    def one():
        raise ValueError("boom")

    @flow
    def another(): ...

    one(return_state=True)

    with pytest.raises(ValueError, match="is a run of flow 'one', not of 'another'"):
        another.resume(records.flow_run().id)


def test_a_run_that_runs_right_now(records):
    refused = []

    @flow
    def runs():
        run_id = records.flow_run().id
        with pytest.raises(RunOwnedElsewhere, match="this very process") as caught:
            runs.resume(run_id)
        refused.append(caught.value)
        return 1

    assert runs() == 1
    assert isinstance(refused[0], StoreError)
    assert records.flow_run().state.is_completed()


def test_a_cancelled_run_stays_cancelled(records):
    from penstock.states import Cancelled

    @flow
    def stops():
        return Cancelled()

    stops(return_state=True)
    run_id = records.flow_run().id

    state = stops.resume(run_id, return_state=True)

    assert state.is_cancelled()
    assert stops.resume(run_id, return_state=True).is_cancelled(), "nobody holds on to it"


def test_a_run_completed_by_hand_is_left_alone(records):
    @flow
    def breaks():
        raise ValueError("boom")

    breaks(return_state=True)
    run_id = records.flow_run().id
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, Completed(), force=True)

    assert breaks.resume(run_id, return_state=True).is_completed()


# -- subflows -------------------------------------------------------------------------------------


def test_a_subflow_that_failed_runs_anew_and_a_completed_one_does_not(records):
    executed = []

    @flow
    def good(x):
        executed.append("good")
        return x

    @flow
    def bad():
        executed.append("bad")
        if executed.count("bad") == 1:
            raise ValueError("boom")
        return 10

    @flow
    def parent():
        return good(1) + bad()

    parent(return_state=True)
    assert parent.resume(records.flow_run("parent").id) == 11

    assert executed == ["good", "bad", "bad"]


def test_a_subflow_left_half_way_goes_on(records, history):
    executed = []

    @task
    def step(x):
        executed.append(x)
        if x == 2 and executed.count(2) == 1:
            raise KeyboardInterrupt
        return x

    @flow
    def child():
        return [step(x) for x in (1, 2, 3)]

    @flow
    def parent():
        return child()

    with pytest.raises(KeyboardInterrupt):
        parent()
    assert parent.resume(records.flow_run("parent").id) == [1, 2, 3]

    assert executed == [1, 2, 2, 3]
    assert history(records.flow_run("child")) == [
        "Pending",
        "Running",
        "Crashed",
        "Running",
        "Completed",
    ]


# -- processes ------------------------------------------------------------------------------------

FLOWS = """
import os, sys, time
from penstock import flow, task

LEDGER = os.environ["LEDGER"]

def note(what):
    with open(LEDGER, "a") as file:
        file.write(what + "\\n")

def ready():
    print("ready", flush=True)
    time.sleep(60)

@task
def step(x):
    note(f"step {x}")
    return x

@task
def dies(x):
    note("dies")
    if "--die" in sys.argv:
        ready()
    return x

@task(retries=1)
def fails_once():
    note("fails once")
    if "--die" in sys.argv and os.path.exists(LEDGER):
        raise ValueError("boom")
    return 1

@flow
def straight(x):
    first = step(x)
    mapped = [future.result() for future in step.map([10, 20])]
    second = dies(first)
    return [second, *mapped, step(99)]

@flow
def child(x):
    note("child")
    return [step(x), dies(x + 1), step(x + 2)]

@flow
def done_child():
    note("done child")
    return step(7)

@flow
def parent():
    note("parent")
    return [done_child(), child(1), step(100)]

@flow
async def gathered():
    import asyncio
    return await asyncio.gather(async_step(1), async_dies(2))

@task
async def async_step(x):
    note(f"step {x}")
    return x

@task
async def async_dies(x):
    import asyncio
    await asyncio.sleep(0.05)
    note("dies")
    if "--die" in sys.argv:
        ready()
    return x
"""


class Worlds:
    """A script of flows, started in processes of its own."""

    def __init__(self, folder):
        self.path = folder / "flows.py"
        self.ledger = folder / "ledger"
        self.started = []

    def begin(self, call):
        """Start a process and wait until it is where it would stay."""
        process = self.start(call, "--die")
        line = process.stdout.readline()
        assert line == "ready\n", process.stderr.read()
        return process

    def start(self, call, *arguments):
        self.path.write_text(textwrap.dedent(FLOWS) + "\n" + textwrap.dedent(call))
        process = subprocess.Popen(
            [sys.executable, str(self.path), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "LEDGER": str(self.ledger)},
        )
        self.started.append(process)
        return process

    def run(self, call):
        """Run a process to its end and give what it printed."""
        process = self.start(call)
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return out

    def kill(self, process):
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)

    def notes(self):
        return self.ledger.read_text().splitlines()


@pytest.fixture
def worlds(tmp_path):
    worlds = Worlds(tmp_path)
    yield worlds
    for process in worlds.started:
        process.kill()
        process.communicate()


def test_a_killed_run_goes_on_in_another_process(worlds, records, history):
    worlds.kill(worlds.begin("straight(5)"))
    run = records.flow_run()
    assert run.state.is_running()
    began = time.monotonic()

    out = worlds.run(f"print(straight.resume('{run.id}'))")

    assert time.monotonic() - began < 10, "a dead owner on this host is seen at once"
    assert out == "[5, 10, 20, 99]\n"
    assert sorted(worlds.notes()) == sorted(
        ["step 5", "step 10", "step 20", "dies", "dies", "step 99"]
    )
    run = records.flow_run()
    assert history(run) == ["Pending", "Running", "Crashed", "Running", "Completed"]
    assert "died" in run.history[2].message
    assert run.run_count == 2
    runs = {one.name: one for one in records.task_runs()}
    assert set(runs) == {"step-0", "step-1", "step-2", "dies-0", "step-3"}
    assert {one.state.name for one in runs.values()} == {"Completed"}


def test_it_goes_on_in_this_process_with_the_flow_loaded(worlds, records):
    worlds.kill(worlds.begin("if __name__ == '__main__': straight(5)"))
    from penstock.flows import load_flow_from_entrypoint

    os.environ["LEDGER"] = str(worlds.ledger)
    try:
        loaded = load_flow_from_entrypoint(f"{worlds.path}:straight")
        assert loaded.resume(records.flow_run().id) == [5, 10, 20, 99]
    finally:
        del os.environ["LEDGER"]
        sys.modules.pop("flows", None)
        sys.path.remove(str(worlds.path.parent))


def test_a_subflow_goes_on_after_a_kill(worlds, records, history):
    worlds.kill(worlds.begin("parent()"))
    run = records.flow_run("parent")

    out = worlds.run(f"print(parent.resume('{run.id}'))")

    assert out == "[7, [1, 2, 3], 100]\n"
    assert worlds.notes() == [
        "parent",
        "done child",
        "step 7",
        "child",
        "step 1",
        "dies",
        "parent",
        "child",
        "dies",
        "step 3",
        "step 100",
    ]
    assert len(records.flow_runs()) == 3, "the child is the same run"
    assert history(records.flow_run("child"))[-1] == "Completed"
    assert "Crashed" in history(records.flow_run("child"))


def test_the_time_between_a_death_and_a_resumption_is_nobodys(worlds, records):
    """A run, and the task that it was executing, took as long as its process was heard of."""
    worlds.kill(worlds.begin("straight(5)"))

    worlds.run(
        f"""
        import time
        from penstock import clock
        with clock.use_clock(clock.VirtualClock(time.time() + 3600)):
            straight.resume('{records.flow_run().id}')
        """
    )

    run = records.flow_run()
    assert run.end_time.timestamp() - run.start_time.timestamp() > 3000
    for each in (run, *records.task_runs()):
        assert each.state.is_completed()
        assert each.run_time_s < 60


def test_an_async_run_goes_on_after_a_kill(worlds, records):
    worlds.kill(worlds.begin("import asyncio; asyncio.run(gathered())"))

    out = worlds.run(
        f"import asyncio; print(asyncio.run(gathered.resume('{records.flow_run().id}')))"
    )

    assert out == "[1, 2]\n"
    assert sorted(worlds.notes()) == ["dies", "dies", "step 1"]


def test_a_run_that_lives_elsewhere_is_not_touched(worlds, records):
    worlds.begin("straight(5)")
    run = records.flow_run()

    with pytest.raises(RunOwnedElsewhere, match=r"living process.*Wait until"):
        get_store().claim(run.id, 15.0)
    refused = worlds.start(f"straight.resume('{run.id}')")
    _out, errors = refused.communicate(timeout=60)

    assert refused.returncode == 1
    assert "RunOwnedElsewhere" in errors
    assert records.flow_run().state.is_running()
    assert worlds.notes().count("dies") == 1


def test_two_that_go_on_with_one_run(worlds, records):
    worlds.kill(worlds.begin("straight(5)"))
    run = records.flow_run()

    both = [worlds.start(f"print(straight.resume('{run.id}'))") for _ in range(2)]
    outs = [process.communicate(timeout=60) for process in both]

    # The second is refused, or comes late and gets the recorded result.
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 1])
    for process, (out, errors) in zip(both, outs, strict=True):
        if process.returncode:
            assert "RunOwnedElsewhere" in errors
        else:
            assert out == "[5, 10, 20, 99]\n"
    assert worlds.notes().count("dies") == 2
    assert worlds.notes().count("step 99") == 1


def test_a_stopped_owner_that_wakes_up_writes_nothing_more(worlds, records, history):
    """Its lease is over, another process has gone on with the run: final means final (PAINS 4)."""
    process = worlds.start(
        """
        import signal
        @task
        def stands_still():
            os.kill(os.getpid(), signal.SIGSTOP)
            return "late"

        @flow
        def owner():
            step(1)
            value = stands_still() if "--die" in sys.argv else step(2)
            step(3)
            return value

        if "--die" in sys.argv:
            owner()
    """,
        "--die",
    )
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    run = records.flow_run()
    key = run.id.bytes
    # As if it ran on another host, of which only the lease tells that it is dead.
    get_store().write(
        "update flow_run set owner = 'far/away:1:2', lease_expires = 0 where id = ?", (key,)
    )

    worlds.path.write_text(worlds.path.read_text() + f"\nprint(owner.resume('{run.id}'))\n")
    done = subprocess.run(
        [sys.executable, str(worlds.path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={
            **os.environ,
            "LEDGER": str(worlds.ledger),
            "PENSTOCK_HEARTBEAT_INTERVAL_S": "0.1",
        },
    )
    assert done.stdout == "2\n", done.stderr
    assert "process 1 on host far is over: looking for 0.2 s whether" in done.stderr
    before = records.flow_run(), records.task_runs()

    process.send_signal(signal.SIGCONT)
    _out, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "Abort" in errors
    after = records.flow_run(), records.task_runs()
    assert history(after[0]) == history(before[0])
    assert [history(one) for one in after[1]] == [history(one) for one in before[1]]
    assert records.flow_run().state.result() == 2
    assert worlds.notes() == ["step 1", "step 2", "step 3"]
