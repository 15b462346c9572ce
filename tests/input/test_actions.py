"""Inputs under keys of one's own, on every store (9.4)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from uuid import uuid4

import pydantic
import pytest

from penstock import flow, get_client, task
from penstock.exceptions import ObjectAlreadyExists, ObjectNotFound
from penstock.input import (
    create_flow_run_input,
    create_flow_run_input_from_model,
    delete_flow_run_input,
    filter_flow_run_input,
    read_flow_run_input,
)

pytestmark = pytest.mark.usefixtures("records_place")


@flow
def plain():
    return 1


@pytest.fixture
def run_id():
    return plain(return_state=True).state_details.flow_run_id


def test_an_input_is_what_was_given(run_id):
    value = {"a": [1, 2.5, None, "ü"], "b": True}
    create_flow_run_input("some-key", value, flow_run_id=run_id, sender="me")

    assert read_flow_run_input("some-key", flow_run_id=str(run_id)) == value
    (found,) = filter_flow_run_input("some", flow_run_id=run_id)
    assert (found.key, found.sender, found.flow_run_id) == ("some-key", "me", run_id)
    assert found.decoded_value == value
    assert abs((datetime.now(UTC) - found.created).total_seconds()) < 60


def test_what_is_not_there_is_none(run_id):
    assert read_flow_run_input("nothing", flow_run_id=run_id) is None
    assert filter_flow_run_input("nothing", flow_run_id=run_id) == []


def test_a_key_is_given_once_in_a_run(run_id):
    create_flow_run_input("key", 1, flow_run_id=run_id)
    with pytest.raises(ObjectAlreadyExists, match="'key' already: a key is given once"):
        create_flow_run_input("key", 2, flow_run_id=run_id)
    assert read_flow_run_input("key", flow_run_id=run_id) == 1

    other = plain(return_state=True).state_details.flow_run_id
    create_flow_run_input("key", 3, flow_run_id=other)
    assert read_flow_run_input("key", flow_run_id=other) == 3


def test_a_deleted_key_may_be_given_again(run_id):
    create_flow_run_input("key", 1, flow_run_id=run_id)
    delete_flow_run_input("key", flow_run_id=run_id)
    assert read_flow_run_input("key", flow_run_id=run_id) is None
    with pytest.raises(ObjectNotFound, match="no input with the key 'key'"):
        delete_flow_run_input("key", flow_run_id=run_id)
    create_flow_run_input("key", 2, flow_run_id=run_id)
    assert read_flow_run_input("key", flow_run_id=run_id) == 2


def test_they_are_found_by_the_beginning_of_the_key_in_the_order_they_came(run_id):
    for number, key in enumerate(["b-2", "b-1", "c-1", "b-3", "bb"]):
        create_flow_run_input(key, number, flow_run_id=run_id)

    found = filter_flow_run_input("b-", limit=10, flow_run_id=run_id)
    assert [each.key for each in found] == ["b-2", "b-1", "b-3"]
    assert [each.key for each in filter_flow_run_input("b-", flow_run_id=run_id)] == ["b-2"]
    found = filter_flow_run_input("b-", 2, exclude_keys=["b-2", "b-1"], flow_run_id=run_id)
    assert [each.key for each in found] == ["b-3"]


@pytest.mark.parametrize(
    "key", ["", "Upper", "under_score", "with space", "ü", "a.b", "x" * 501, 3]
)
def test_keys_have_lowercase_letters_digits_and_dashes(run_id, key):
    with pytest.raises(ValueError, match="lowercase letters, digits and dashes"):
        create_flow_run_input(key, 1, flow_run_id=run_id)
    with pytest.raises(ValueError, match="lowercase letters, digits and dashes"):
        filter_flow_run_input(key, flow_run_id=run_id)


def circular():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "error"),
    [(circular(), ValueError), (object(), TypeError), (float("nan"), ValueError)],
    ids=["circular", "object", "nan"],
)
def test_what_json_has_no_form_for_is_refused(run_id, value, error):
    with pytest.raises(error, match="'key' does not fit into JSON"):
        create_flow_run_input("key", value, flow_run_id=run_id)
    assert read_flow_run_input("key", flow_run_id=run_id) is None


def test_there_has_to_be_such_a_run():
    with pytest.raises(ObjectNotFound, match="There is no flow run"):
        create_flow_run_input("key", 1, flow_run_id=uuid4())
    with pytest.raises(ValueError, match="not the id of a flow run"):
        create_flow_run_input("key", 1, flow_run_id="nobody")


@pytest.mark.parametrize(
    "call",
    [
        lambda: create_flow_run_input("key", 1),
        lambda: read_flow_run_input("key"),
        lambda: filter_flow_run_input("key"),
        lambda: delete_flow_run_input("key"),
    ],
    ids=["create", "read", "filter", "delete"],
)
def test_outside_of_a_run_its_id_has_to_be_given(call):
    with pytest.raises(RuntimeError, match="give flow_run_id"):
        call()


def test_in_a_run_that_run_is_meant():
    @task
    def reads():
        return read_flow_run_input("key")

    @flow
    def own():
        create_flow_run_input("key", "mine")
        return reads(), [each.key for each in filter_flow_run_input("k")]

    assert own() == ("mine", ["key"])


def test_in_an_async_flow_they_are_awaited():
    class Model(pydantic.BaseModel):
        n: int

    @flow
    async def own():
        await create_flow_run_input_from_model("key", Model(n=1))
        first = await read_flow_run_input("key")
        (found,) = await filter_flow_run_input("k")
        await delete_flow_run_input("key")
        return first, found.sender, str(found.flow_run_id), await read_flow_run_input("key")

    value, sender, run_id, after = asyncio.run(own())
    assert (value, sender, after) == ({"n": 1}, f"penstock.flow-run.{run_id}", None)


def test_the_clients_have_the_same(run_id):
    with get_client(sync_client=True) as client:
        client.create_flow_run_input(run_id, "key-1", [1], sender="me")
        assert client.read_flow_run_input(str(run_id), "key-1") == [1]
        (found,) = client.filter_flow_run_input(run_id, "key", limit=5)
        assert found.sender == "me"
        with pytest.raises(ValueError, match="limit=0"):
            client.filter_flow_run_input(run_id, "key", limit=0)

    async def asynchronously():
        async with get_client() as client:
            await client.delete_flow_run_input(run_id, "key-1")
            await client.create_flow_run_input(run_id, "key-2", 2)
            return await client.read_flow_run_input(run_id, "key-2")

    assert asyncio.run(asynchronously()) == 2


def test_they_go_with_their_run(run_id):
    create_flow_run_input("key", 1, flow_run_id=run_id)
    with get_client(sync_client=True) as client:
        client.delete_flow_run(run_id)
        assert client.filter_flow_run_input(run_id, "key") == []


def test_pydantic_is_not_loaded_for_them():
    source = (
        "import sys, penstock.engine, penstock.client, penstock.input\n"
        "from penstock.input import create_flow_run_input, keyset_from_base_key\n"
        "assert 'pydantic' not in sys.modules and 'jsonschema' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", source], check=True, timeout=60)
