"""`RunInput`: typed inputs, saved, loaded, sent, received (9.4)."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import threading
import time

import pydantic
import pytest

from penstock import flow
from penstock.exceptions import ObjectNotFound
from penstock.input import (
    RunInput,
    create_flow_run_input,
    keyset_from_base_key,
    keyset_from_paused_state,
    read_flow_run_input,
    receive_input,
    run_input_subclass_from_type,
    send_input,
)
from penstock.states import Paused, Running, Suspended

pytestmark = pytest.mark.usefixtures("records_place")


class Approval(RunInput):
    approved: bool
    reason: str = pydantic.Field(default="none", description="Why.", max_length=20)


class Person(pydantic.BaseModel):
    name: str
    age: int = 3


@flow
def plain():
    return 1


@pytest.fixture
def run_id():
    return plain(return_state=True).state_details.flow_run_id


def test_the_keys_of_a_pause():
    keys = {"schema": "paused-1-schema", "response": "paused-1-response"}
    keys["description"] = "paused-1-description"
    assert keyset_from_paused_state(Paused(pause_key="1")) == keys
    assert keyset_from_base_key("paused-1") == keys
    assert keyset_from_paused_state(Suspended(pause_key="a"))["schema"] == "suspended-a-schema"
    assert Approval.keyset_from_type()["schema"] == "approval-schema"
    with pytest.raises(RuntimeError, match="Only a paused state"):
        keyset_from_paused_state(Running())


def test_initial_data_are_defaults_that_people_see():
    made = Approval.with_initial_data("Is it **good**?", approved=True, reason="so it is")

    assert made() == made(approved=True, reason="so it is")
    assert issubclass(made, Approval)
    schema = made.model_json_schema()
    assert schema["properties"]["reason"]["default"] == "so it is"
    assert schema["properties"]["reason"]["description"] == "Why."
    with pytest.raises(pydantic.ValidationError):
        made(reason="x" * 21)
    with pytest.raises(TypeError, match="no field 'aproved'"):
        Approval.with_initial_data(aproved=True)
    with pytest.raises(pydantic.ValidationError):
        Approval()


def test_what_is_wanted_and_given_is_saved_and_loaded(run_id):
    keyset = keyset_from_base_key("night")
    Approval.with_initial_data("Well?").save(keyset, run_id)

    assert read_flow_run_input("night-description", flow_run_id=run_id) == "Well?"
    schema = read_flow_run_input("night-schema", flow_run_id=run_id)
    assert schema["required"] == ["approved"]
    with pytest.raises(pydantic.ValidationError):
        Approval.load(keyset, run_id)
    assert Approval.with_initial_data(approved=False).load(keyset, run_id).approved is False

    create_flow_run_input("night-response", {"approved": True}, flow_run_id=run_id)
    loaded = Approval.load(keyset, run_id)
    assert (loaded.approved, loaded.reason) == (True, "none")
    assert loaded.metadata.key == "night-response"


def test_other_fields_are_forbidden(run_id):
    with pytest.raises(pydantic.ValidationError):
        Approval(approved=True, other=1)
    with pytest.raises(pydantic.ValidationError):
        run_input_subclass_from_type(Person)(name="a", other=1)


def test_any_type_can_be_an_input():
    assert run_input_subclass_from_type(Approval) is Approval
    person = run_input_subclass_from_type(Person)(name="Ada")
    assert isinstance(person, Person)
    assert isinstance(person, RunInput)
    assert run_input_subclass_from_type(list[int])(value=["3"]).value == [3]
    assert run_input_subclass_from_type(int | None)(value=None).value is None
    for wrong in (3, Person(name="a"), threading.Thread):
        with pytest.raises(TypeError):
            run_input_subclass_from_type(wrong)


def test_a_field_that_hides_a_method_is_refused():
    with pytest.warns(UserWarning, match="shadows"):

        class Sender(pydantic.BaseModel):
            copy: str  # of pydantic's own
            metadata: str

    with pytest.raises(TypeError, match="field 'copy' has a name that RunInput uses"):
        run_input_subclass_from_type(Sender)


@pytest.mark.parametrize(
    ("sent", "kind", "prefix"),
    [
        (3, int, "int-auto-"),
        ("text", str, "str-auto-"),
        ([1, 2], list[int], "list-auto-"),
        ({"a": 1}, dict[str, int], "dict-auto-"),
        (Person(name="Ada"), Person, "person-auto-"),
        (Approval(approved=True), Approval, "approval-auto-"),
    ],
)
def test_what_is_sent_is_received(run_id, sent, kind, prefix):
    send_input(sent, run_id)

    (received,) = receive_input(kind, timeout=0, flow_run_id=run_id, with_metadata=True)
    (plainly,) = receive_input(kind, timeout=0, flow_run_id=run_id)

    assert received.metadata.key.startswith(prefix)
    assert (received.metadata.sender, received.metadata.receiver) == (None, run_id)
    if isinstance(sent, pydantic.BaseModel):
        assert plainly.model_dump() == sent.model_dump()
    else:
        assert plainly == sent
        assert received.value == sent


def test_each_is_seen_once_and_in_order(run_id):
    for number in range(5):
        send_input(number, run_id)
    receiver = receive_input(int, timeout=0, flow_run_id=run_id)
    assert list(receiver) == [0, 1, 2, 3, 4]
    assert list(receiver) == []
    send_input(5, run_id)
    assert receiver.next() == 5


def test_keys_that_are_left_out_and_prefixes_of_ones_own(run_id):
    send_input(1, run_id, key_prefix="mine")
    send_input(2, run_id)
    (first,) = receive_input(
        int, timeout=0, flow_run_id=run_id, key_prefix="mine", with_metadata=True
    )
    assert first.value == 1
    others = receive_input(
        int,
        timeout=0,
        flow_run_id=run_id,
        key_prefix="mine",
        exclude_keys={first.metadata.key},
    )
    assert list(others) == []


def test_when_none_comes_in_time(run_id):
    assert list(receive_input(int, timeout=0.05, flow_run_id=run_id)) == []
    raising = receive_input(int, timeout=0, raise_timeout_error=True, flow_run_id=run_id)
    with pytest.raises(TimeoutError, match="no input with a key that begins with 'int-auto'"):
        list(raising)
    with pytest.raises(TimeoutError):
        receive_input(int, timeout=0, flow_run_id=run_id).next()


def test_in_async_code(run_id):
    async def talk():
        await send_input("a", run_id)
        receiver = receive_input(str, timeout=10, flow_run_id=run_id)
        first = await receiver.next()
        later = asyncio.ensure_future(receiver.next())
        await asyncio.sleep(0)
        await send_input("b", run_id)
        second = await later
        rest = [each async for each in receive_input(str, timeout=0, flow_run_id=run_id)]
        with pytest.raises(TypeError, match="async for"):
            for _ in receiver:
                pass
        with pytest.raises(TimeoutError):
            await receive_input(int, timeout=0.05, flow_run_id=run_id).next()
        with pytest.raises(TimeoutError):
            async for _ in receive_input(int, 0, 1, True, flow_run_id=run_id):
                pass
        return first, second, rest

    assert asyncio.run(talk()) == ("a", "b", ["a", "b"])


def test_bad_waits_and_runs():
    with pytest.raises(RuntimeError, match="give flow_run_id"):
        receive_input(int)
    with pytest.raises(ObjectNotFound):
        send_input(1, "01a20480-3334-7aa3-8186-a049104944c6")


@pytest.mark.parametrize("wrong", [{"timeout": -1}, {"poll_interval": 0}])
def test_times_that_are_none(run_id, wrong):
    with pytest.raises(ValueError, match="give seconds"):
        receive_input(int, flow_run_id=run_id, **wrong)


def test_what_does_not_fit_is_said(run_id):
    send_input("no number", run_id, key_prefix="int-auto")
    with pytest.raises(pydantic.ValidationError):
        receive_input(int, timeout=0, flow_run_id=run_id).next()


@flow
def answers():
    for question in receive_input(Approval, timeout=20):
        question.respond(f"heard {question.reason}")
        if question.reason == "last":
            return question.metadata.sender
    return None


@flow
def asks(answering_id):
    Approval(approved=True, reason="first").send_to(answering_id)
    receiver = receive_input(str, timeout=20)
    first = receiver.next()
    Approval(approved=True, reason="last").send_to(answering_id)
    return first, receiver.next()


@flow
async def asks_async(answering_id):
    await Approval(approved=True, reason="first").send_to(answering_id)
    receiver = receive_input(str, timeout=20)
    first = await receiver.next()
    await Approval(approved=True, reason="last").send_to(answering_id)
    return first, await receiver.next()


@pytest.mark.parametrize(
    "ask", [asks, lambda key: asyncio.run(asks_async(key))], ids=["sync", "async"]
)
def test_runs_talk_to_each_other(begin, wait_for_state, ask):
    answering = begin(answers)
    run = wait_for_state("Running")
    said = ask(run.id)
    assert said == ("heard first", "heard last")
    assert answering.end().startswith("penstock.flow-run.")


def test_only_a_flow_run_can_be_responded_to(run_id):
    send_input(Approval(approved=True), run_id, sender="somebody")
    send_input(Approval(approved=True), run_id)
    for received in receive_input(Approval, timeout=0, flow_run_id=run_id):
        with pytest.raises(RuntimeError, match="only a flow run can be sent an input"):
            received.respond("thanks")
    with pytest.raises(RuntimeError, match="was not received"):
        Approval(approved=True).respond("thanks")


SEND = """
import sys
from penstock.input import send_input
for line in sys.stdin:
    send_input(line.strip(), sys.argv[1])
    print("sent", flush=True)
"""


def test_it_is_noticed_in_under_a_tenth_of_a_second_whatever_the_interval(run_id):
    sender = subprocess.Popen(
        [sys.executable, "-c", SEND, str(run_id)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    receiver = receive_input(str, timeout=20, poll_interval=1000, flow_run_id=run_id)
    took = []

    def say(word):
        sender.stdin.write(f"{word}\n")
        sender.stdin.flush()
        sender.stdout.readline()
        took.append(time.monotonic())

    try:
        for number in range(10):
            speaker = threading.Thread(target=say, args=(number,))
            speaker.start()
            assert receiver.next() == str(number)
            received = time.monotonic()
            speaker.join()
            took[-1] = received - took[-1]
    finally:
        sender.stdin.close()
        sender.wait(20)
        sender.stdout.close()
    assert statistics.median(took[1:]) < 0.1


def test_waiting_costs_next_to_nothing(run_id):
    receiver = receive_input(str, timeout=1.5, flow_run_id=run_id)
    before = time.process_time()
    assert list(receiver) == []
    assert time.process_time() - before < 0.15
