"""Flow runs that wait for input, as their users see them (the input rows of 9.1 to 9.3)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pydantic
import pytest

from penstock import flow, get_client, pause_flow_run, resume_flow_run, suspend_flow_run, task
from penstock.exceptions import FlowPauseTimeout, NotPausedError, Pause, PausedRun
from penstock.input import RunInput, filter_flow_run_input, keyset_from_base_key
from penstock.settings import reload_settings
from penstock.store import get_store
from penstock.store import statements as sql

LIMIT_S = 20


class Approval(RunInput):
    approved: bool
    reason: str = "none"


class Person(pydantic.BaseModel):
    name: str


@pytest.fixture
def each_store(store_url, monkeypatch):
    monkeypatch.setenv("PENSTOCK_STORE_URL", store_url)
    reload_settings()


class Begun:
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


def wait_for_pause(key=None):
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        with get_client(sync_client=True) as client:
            for run in client.read_flow_runs():
                if run.state_name == "Paused" and key in (
                    None,
                    run.state.state_details.pause_key,
                ):
                    return run
        time.sleep(0.005)
    raise AssertionError("no flow run was paused")


@flow
def approves(kind):
    return pause_flow_run(wait_for_input=kind, timeout=LIMIT_S)


@flow
async def approves_async(kind):
    return await pause_flow_run(wait_for_input=kind, timeout=LIMIT_S)


BOTH = pytest.mark.parametrize(
    "call", [approves, lambda kind: asyncio.run(approves_async(kind))], ids=["sync", "async"]
)


@BOTH
@pytest.mark.usefixtures("each_store")
def test_the_code_gets_what_the_run_was_given(call):
    begun = Begun(lambda: call(Approval.with_initial_data("Release 2.1?", reason="fine")))
    run = wait_for_pause()

    assert run.state.state_details.run_input_keyset == keyset_from_base_key("paused-1")
    for words in ("Release 2.1?", "approved (true or false)", '"fine" if left out', run.id):
        assert str(words) in run.state.message
    resume_flow_run(run.id, run_input={"approved": True})

    given = begun.end()
    assert isinstance(given, Approval)
    assert (given.approved, given.reason) == (True, "fine")
    assert given.metadata.key == "paused-1-response"


@pytest.mark.parametrize(
    ("kind", "run_input", "expected"),
    [
        (int, {"value": 3}, 3),
        (list[str], {"value": ["a"]}, ["a"]),
        (Person, {"name": "Ada"}, Person(name="Ada")),
        (Person, Person(name="Ada"), Person(name="Ada")),
    ],
    ids=["int", "list", "model", "instance"],
)
@BOTH
def test_any_type_can_be_waited_for(call, kind, run_input, expected):
    begun = Begun(lambda: call(kind))
    resume_flow_run(wait_for_pause().id, run_input)
    given = begun.end()
    if isinstance(given, Person):
        given = Person(**given.model_dump())
    assert given == expected


def circular():
    value = {}
    value["approved"] = value
    return value


@pytest.mark.parametrize(
    ("run_input", "words"),
    [
        (None, "waits for input: 'approved' is a required property"),
        ({"approved": "perhaps"}, "approved: 'perhaps' is not of type 'boolean'"),
        ({"approved": True, "other": 1}, "'other' was unexpected"),
        (circular(), "does not fit into JSON: Circular reference"),
        ({"approved": object()}, "does not fit into JSON"),
        ([1], "is not of type 'object'"),
    ],
    ids=["missing", "invalid", "other-field", "circular", "no-json", "no-object"],
)
@pytest.mark.usefixtures("each_store")
def test_a_wrong_input_is_refused_and_the_run_stays_paused(run_input, words):
    begun = Begun(lambda: approves(Approval))
    run = wait_for_pause()

    with pytest.raises(RuntimeError, match="It stays paused") as refused:
        resume_flow_run(run.id, run_input)
    assert words in str(refused.value)
    assert str(run.id) in str(refused.value)
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(run.id).state_name == "Paused"
        assert client.read_flow_run_input(run.id, "paused-1-response") is None

    resume_flow_run(run.id, {"approved": False})
    assert begun.end().approved is False


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("delete from flow_run_input", "its schema was deleted"),
        ("update flow_run_input set value = '{'", "is no JSON"),
        ("""update flow_run_input set value = '{"type": 3}'""", "cannot be understood"),
    ],
    ids=["deleted", "no-json", "no-schema"],
)
def test_a_schema_that_cannot_be_used_is_said(records, damage, words):
    begun = Begun(lambda: approves(Approval))
    run = wait_for_pause()
    (row,) = filter_flow_run_input("paused-1-schema", flow_run_id=run.id)
    get_store().write(damage)

    with pytest.raises(RuntimeError, match=words):
        resume_flow_run(run.id, {"approved": True})
    assert records.flow_run().state_name == "Paused"

    get_store().write("delete from flow_run_input")
    with get_client(sync_client=True) as client:
        client.create_flow_run_input(run.id, row.key, row.decoded_value)
        assert client.resume_flow_run(run.id, {"approved": True}).state.is_running()
    assert begun.end().approved


def test_an_input_that_is_not_wanted_is_refused(records):
    @flow
    def waits():
        pause_flow_run(timeout=LIMIT_S)

    begun = Begun(waits)
    run = wait_for_pause()
    with pytest.raises(RuntimeError, match="waits for no input"):
        resume_flow_run(run.id, {"approved": True})
    assert records.flow_run().state_name == "Paused"
    resume_flow_run(run.id)
    begun.end()


def test_without_required_fields_no_input_is_needed():
    begun = Begun(lambda: approves(Approval.with_initial_data(approved=True)))
    resume_flow_run(wait_for_pause().id)
    assert begun.end().approved is True


def test_the_same_key_gives_the_same_input_again():
    @flow
    def twice():
        first = pause_flow_run(wait_for_input=int, timeout=LIMIT_S, key="ask")
        return first, pause_flow_run(wait_for_input=int, timeout=LIMIT_S, key="ask")

    begun = Begun(twice)
    resume_flow_run(wait_for_pause().id, {"value": 4})
    assert begun.end() == (4, 4)


@pytest.mark.usefixtures("each_store")
def test_a_subflow_waits_for_its_own_input():
    @flow
    def outer():
        return approves(int) + 1

    begun = Begun(outer)
    run = wait_for_pause()
    assert run.flow_name == "approves"
    resume_flow_run(run.id, {"value": 1})
    assert begun.end() == 2


def test_a_retry_asks_again():
    failures = iter([True, False])

    @flow(retries=1)
    def tries():
        value = pause_flow_run(wait_for_input=int, timeout=LIMIT_S)
        if next(failures):
            raise ValueError(value)
        return value

    begun = Begun(tries)
    run = wait_for_pause()
    resume_flow_run(run.id, {"value": 1})
    until = time.monotonic() + LIMIT_S
    while wait_for_pause().state.id == run.state.id:
        assert time.monotonic() < until
    with pytest.raises(RuntimeError, match="waits for input"):
        resume_flow_run(run.id)
    resume_flow_run(run.id, {"value": 2})
    assert begun.end() == 2


def test_nobody_answers(records):
    @flow
    def short():
        pause_flow_run(wait_for_input=int, timeout=0.2)

    with pytest.raises(FlowPauseTimeout, match="never resumed"):
        short()
    with pytest.raises(NotPausedError):
        resume_flow_run(records.flow_run().id, {"value": 1})


def test_what_cannot_be_waited_for():
    @flow
    def wrong(kind, **options):
        pause_flow_run(wait_for_input=kind, timeout=0.2, **options)

    with pytest.raises(TypeError, match="cannot be an input"):
        wrong(threading.Thread)
    with pytest.raises(ValueError, match="lowercase letters, digits and dashes"):
        wrong(int, key="My Key")
    with pytest.raises(RuntimeError, match="cannot be paused to wait for input"):
        wrong(int, flow_run_id="01a20480-3334-7aa3-8186-a049104944c6")


# -- suspending -----------------------------------------------------------------------------------


@task
def step(number):
    return number


@flow
def leaves(limit=60):
    first = step(1)
    given = suspend_flow_run(wait_for_input=Approval, timeout=limit)
    return first, given.approved, given.reason


@flow
async def leaves_async():
    first = step(1)
    given = await suspend_flow_run(wait_for_input=Approval, timeout=60)
    return first, given.approved, given.reason


def suspend(flow):
    with pytest.raises(Pause):
        if flow.isasync:
            asyncio.run(flow())
        else:
            flow()
    with get_client(sync_client=True) as client:
        return client.read_flow_runs()[0]


@pytest.mark.parametrize("flow", [leaves, leaves_async], ids=["sync", "async"])
@pytest.mark.usefixtures("each_store")
def test_a_suspended_run_is_executed_anew_with_its_input(flow):
    run = suspend(flow)
    assert "approved (true or false)" in run.state.message
    with pytest.raises(RuntimeError, match="'approved' is a required property"):
        resume_flow_run(run.id)

    resume_flow_run(run.id, {"approved": True, "reason": "so"})

    with get_client(sync_client=True) as client:
        assert client.read_flow_run(run.id).state_name == "Resuming"
    value = flow.resume(run.id)
    if flow.isasync:
        value = asyncio.run(value)
    assert value == (1, True, "so")


def test_it_is_not_gone_on_with_without_its_input(records):
    run = suspend(leaves)
    with pytest.raises(RuntimeError, match="waits for input"):
        leaves.resume(run.id)
    assert records.flow_run().state_name == "Suspended"


def test_an_expired_one_fails_whatever_it_is_given(records):
    with pytest.raises(Pause):
        leaves(0.01)
    run = records.flow_run()
    time.sleep(0.02)
    with pytest.raises(FlowPauseTimeout):
        resume_flow_run(run.id, {"approved": "wrong"})
    assert records.flow_run().state_name == "Failed"


go_on = threading.Event()
begins = threading.Event()


@task
def is_stopped():
    begins.set()
    assert go_on.wait(LIMIT_S)


@flow
def goes_on():
    is_stopped()
    return step(2)


def test_another_run_is_suspended_until_it_is_given_something(records):
    go_on.clear()
    begins.clear()
    begun = Begun(goes_on)
    assert begins.wait(LIMIT_S)
    run = records.flow_run()
    suspend_flow_run(wait_for_input=int, flow_run_id=run.id, timeout=60, key="desk")
    go_on.set()
    with pytest.raises(PausedRun):
        begun.end()
    state = records.flow_run().state
    assert state.name == "Suspended"
    assert "value (integer)" in state.message

    with pytest.raises(RuntimeError, match="'value' is a required property"):
        resume_flow_run(run.id)
    resume_flow_run(run.id, {"value": 5})
    with get_client(sync_client=True) as client:
        assert client.read_flow_run_input(run.id, "suspended-desk-response") == {"value": 5}
    assert goes_on.resume(run.id) == 2


# -- the process dies -----------------------------------------------------------------------------

SCRIPT = """
from pathlib import Path
from penstock import flow, pause_flow_run, task
from penstock.input import RunInput

class Approval(RunInput):
    approved: bool

@task
def step(number):
    with Path("steps.txt").open("a") as file:
        print(number, file=file)
    return number

@flow
def waits():
    first = step(1)
    given = pause_flow_run(wait_for_input=Approval, timeout=600)
    return [first, given.approved, step(2)]

if __name__ == "__main__":
    waits()
"""


@pytest.mark.usefixtures("each_store")
def test_the_input_of_a_run_whose_process_died_is_read_by_the_next_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "waiting_script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, str(script)], env=dict(os.environ))
    run = wait_for_pause()
    process.send_signal(signal.SIGKILL)
    process.wait(LIMIT_S)

    resume_flow_run(run.id, {"approved": True})
    engine = [sys.executable, "-m", "penstock.engine", str(run.id)]
    subprocess.run(engine, check=True, timeout=60, env=dict(os.environ))

    with get_client(sync_client=True) as client:
        assert client.read_flow_run(run.id).state.result() == [1, True, 2]
    assert (tmp_path / "steps.txt").read_text().split() == ["1", "2"]
    rows = get_store().read(sql.READ_LEASE, (run.id.bytes,))
    assert rows[0][0] is None
