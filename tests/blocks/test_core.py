"""Blocks: saved and loaded by name in the real store, with secrets that are never printed."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import os
import pickle
import sqlite3
import subprocess
import sys
from typing import Any, ClassVar, Optional
from uuid import UUID

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretBytes, SecretStr, v1

from penstock import flow, task
from penstock.blocks import JSON, Block, DateTime, Secret, SecretDict, String
from penstock.blocks.documents import read_block_document
from penstock.filesystems import LocalFileSystem
from penstock.store import get_store


class Nested(pydantic.BaseModel):
    token: SecretStr
    hosts: list[str] = []


class Mail(Block):
    """As a user writes one."""

    host: str
    port: int = 25
    password: SecretStr = SecretStr("")
    key: SecretBytes | None = None
    options: SecretDict = SecretDict({})
    nested: Nested | None = None
    tokens: list[SecretStr] = pydantic.Field(default_factory=list)
    raw: bytes = b""
    since: dt.datetime | None = None


SECRETS = ("hunter2", "s3same", "abracadabra", "shibboleth", "swordfish")


def full_mail() -> Mail:
    return Mail(
        host="localhost",
        password="hunter2",
        key=b"s3same",
        options={"login": "abracadabra", "deep": {"list": [1, None]}},
        nested={"token": "shibboleth", "hosts": ["a"]},
        tokens=["swordfish"],
        raw=b"\xff\x00",
        since="2024-01-01T00:00:00Z",
    )


def test_a_block_comes_back_as_it_was_saved():
    mail = full_mail()
    mail.save("office")
    for again in (Mail.load("office"), Block.load("mail/office"), Mail.load("mail/office")):
        assert type(again) is Mail
        assert again.model_dump() == mail.model_dump()
        assert again.password.get_secret_value() == "hunter2"
        assert again.key.get_secret_value() == b"s3same"
        assert again.options.get_secret_value() == {
            "login": "abracadabra",
            "deep": {"list": [1, None]},
        }
        assert again.nested.token.get_secret_value() == "shibboleth"
        assert again.block_document_name == "office"


def test_a_block_has_an_id_once_it_is_saved():
    mail = Mail(host="a")
    assert mail.block_document_id is None
    saved_id = mail.save("office")
    assert isinstance(saved_id, UUID)
    assert mail.block_document_id == saved_id == Mail.load("office").block_document_id


def test_a_taken_name_is_refused_unless_told_otherwise():
    first_id = Mail(host="one").save("office")
    with pytest.raises(ValueError, match=r"mail/office is saved already.*overwrite=True"):
        Mail(host="two").save("office")
    assert Mail.load("office").host == "one"
    assert Mail(host="two").save("office", overwrite=True) == first_id
    assert Mail.load("office").host == "two"


def test_types_have_names_of_their_own():
    Mail(host="a").save("same")
    String(value="b").save("same")
    assert Mail.load("same").host == "a"
    assert String.load("same").value == "b"


def test_a_block_can_be_deleted():
    Mail(host="a").save("office")
    Mail.delete("office")
    with pytest.raises(ValueError, match="No block is saved as mail/office"):
        Mail.load("office")
    with pytest.raises(ValueError, match="No block is saved"):
        Block.delete("mail/office")
    Mail(host="b").save("office")
    Block.delete("mail/office")


def test_a_missing_block_is_named_with_what_there_is():
    with pytest.raises(ValueError, match=r"mail/office.*Nothing is saved.*Mail\(\.\.\.\)\.save"):
        Mail.load("office")
    Mail(host="a").save("office")
    with pytest.raises(ValueError, match="Did you mean 'mail/office'"):
        Mail.load("ofice")
    with pytest.raises(ValueError, match="Saved are: mail/office"):
        Secret.load("x")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("office", "lacks a type"),
        ("mial/office", "Did you mean 'mail'"),
        ("zzzzzzzz/office", "known are: .*secret"),
    ],
)
def test_a_name_without_a_known_type_is_refused(name, problem):
    with pytest.raises(ValueError, match=problem):
        Block.load(name)


def test_a_block_of_another_type_is_refused():
    Mail(host="a").save("office")
    with pytest.raises(ValueError, match=r"is no String.*Block\.load"):
        String.load("mail/office")


@pytest.mark.parametrize(
    "name", ["", "Office", "a b", "a/b", "-a", "a-", "a--b", "ä", "anonymous-1"]
)
def test_names_are_lower_case_words_with_dashes(name):
    with pytest.raises(ValueError, match="block's name"):
        Mail(host="a").save(name)


def test_slugs_follow_the_class():
    class PlainName(Block):
        pass

    class Named(Block):
        _block_type_name = "My Thing"

    class Slugged(Block):
        _block_type_slug: Optional[str] = "own-slug"  # noqa: UP045 - as older code has it

    class Inherited(Slugged):
        pass

    class Constant(Block):
        _block_type_slug: ClassVar[str] = "constant-slug"

    kinds = (PlainName, Named, Slugged, Inherited, Constant)
    slugs = [kind.get_block_type_slug() for kind in kinds]
    assert slugs == ["plainname", "my-thing", "own-slug", "inherited", "constant-slug"]
    assert Named.get_block_type_name() == "My Thing"


def test_secrets_are_never_printed(caplog):
    mail = full_mail()
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").info("%s %r %s", mail, mail, mail.model_dump())
        logging.getLogger("x").info("%s %r", mail.options, mail.options)
        logging.getLogger("x").info("%s", mail.model_dump_json())
        mail.save("office")
        logging.getLogger("x").info("%r", read_block_document("mail", "office"))
    for secret in SECRETS:
        assert secret not in caplog.text
    assert "login" in caplog.text
    assert "localhost" in caplog.text


def test_a_wrong_value_is_not_repeated_in_the_error():
    with pytest.raises(pydantic.ValidationError) as caught:
        Mail(host="a", port="hunter2", password=["s3same"], options="abracadabra")
    assert "port" in str(caught.value)
    for secret in SECRETS:
        assert secret not in str(caught.value)
    with pytest.raises(pydantic.ValidationError, match="nope"):
        Mail(host="a", nope=1)


def test_a_saved_block_that_no_longer_fits_is_named(monkeypatch):
    Mail(host="a").save("office")
    document = read_block_document("mail", "office")
    get_store().write(
        "update block_document set data = ? where name = ?",
        (document.data.replace("25", '"hunter2"'), "office"),
    )
    with pytest.raises(ValueError, match=r"mail/office does not fit Mail.*port") as caught:
        Mail.load("office")
    assert "overwrite=True" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_another_process_loads_what_was_saved(tmp_path):
    Secret(value="hunter2").save("login")
    script = (
        "from penstock.blocks import Block\n"
        "block = Block.load('secret/login')\n"
        "print(type(block).__name__, block, block.get() == 'hunter2')\n"
        "Block.load('local-file-system/none')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert ended.stdout == "Secret value=SecretStr('**********') True\n"
    assert "No block is saved as local-file-system/none" in ended.stderr


def test_a_block_survives_a_pickle():
    mail = full_mail()
    mail.save("office")
    again = pickle.loads(pickle.dumps(mail))
    assert again == mail
    assert again.block_document_id == mail.block_document_id


def test_the_store_holds_one_row_a_block():
    Mail(host="a").save("office")
    Mail(host="b").save("office", overwrite=True)
    with sqlite3.connect(get_store().path) as database:
        rows = database.execute(
            "select type_slug, name, data, created, updated from block_document"
        )
        ((slug, name, data, created, updated),) = rows.fetchall()
    database.close()
    assert (slug, name) == ("mail", "office")
    assert json.loads(data)["host"] == "b"
    assert updated >= created


def test_a_block_without_a_name_is_saved_once_when_a_record_has_to_name_it():
    one, other, third = Mail(host="a"), Mail(host="a"), Mail(host="b")
    assert one.storage_descriptor() == one.storage_descriptor() == other.storage_descriptor()
    assert third.storage_descriptor() != one.storage_descriptor()
    name = one.storage_descriptor()["block"]
    assert name.startswith("mail/anonymous-")
    assert Block.load(name) == one
    with pytest.raises(ValueError, match="Nothing is saved"):
        Mail.load("office")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(json_values, st.text(), st.binary())
def test_any_content_comes_back(value, text, raw):
    block = Mail(host=text, password=text, raw=raw, key=raw, options={text: value})
    block.save("any", overwrite=True)
    again = Mail.load("any")
    assert again.model_dump() == block.model_dump()
    assert again.key.get_secret_value() == raw
    JSON(value=value).save("any", overwrite=True)
    assert JSON.load("any").value == value


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (JSON(value={"rows": [1, None]}), {"rows": [1, None]}),
        (String(value="text"), "text"),
        (
            DateTime(value="2024-01-01T12:00:00+02:00"),
            dt.datetime(2024, 1, 1, 10, tzinfo=dt.UTC),
        ),
    ],
    ids=["json", "string", "date-time"],
)
def test_system_blocks_hold_a_value(block, expected):
    block.save("mine")
    again: Any = type(block).load("mine")
    assert again.value == expected
    assert Block.load(f"{block.get_block_type_slug()}/mine") == block


def test_a_secret_is_given_when_asked_for():
    Secret(value="hunter2").save("login")
    secret = Secret.load("login")
    assert secret.get() == "hunter2"
    assert "hunter2" not in f"{secret} {secret!r}"


def test_a_value_that_json_has_no_form_for_is_refused():
    with pytest.raises(ValueError, match="serialize unknown type"):
        JSON(value=object()).save("odd")


def make_field():
    class Warehouse(Block):
        options: dict = v1.Field(default_factory=dict)


def make_secret():
    class Warehouse(Block):
        options: list[v1.SecretStr]


def make_validator():
    class Warehouse(Block):
        options: str

        @v1.validator("options")
        def checked(cls, value):  # noqa: N805 - what pydantic 1 makes of it
            return value


@pytest.mark.parametrize("make", [make_field, make_secret, make_validator])
def test_what_is_of_pydantic_1_is_refused_where_it_stands(make):
    with pytest.raises(TypeError, match=r"^Warehouse\.\w+ is made with pydantic\.v1\. Blocks are"):
        make()


def test_async_code_awaits_what_it_saves_loads_and_deletes():
    async def all_three():
        saved_id = await Mail(host="a").save("office")
        loaded = await Mail.load("office")
        assert (loaded.host, loaded.block_document_id) == ("a", saved_id)
        assert (await Block.load("mail/office")).host == "a"
        await Mail.delete("office")
        with pytest.raises(ValueError, match="No block is saved"):
            await Mail.load("office")

    asyncio.run(all_three())


def test_a_run_loads_blocks_as_its_own_code_is():
    Secret(value="hunter2").save("login")

    @task
    def plain():
        return Secret.load("login").get()

    @task
    async def awaits():
        return (await Secret.load("login")).get()

    @flow
    async def both():
        return plain(), await awaits(), (await Secret.load("login")).get()

    assert asyncio.run(both()) == ("hunter2",) * 3


def test_an_async_flow_writes_to_a_storage_that_it_names(tmp_path):
    LocalFileSystem(basepath=str(tmp_path / "kept")).save("results")

    @task(persist_result=True, result_storage="local-file-system/results")
    async def makes():
        return [1]

    @flow
    async def keeps():
        return await makes()

    assert asyncio.run(keeps()) == [1]
    assert len(list((tmp_path / "kept").iterdir())) == 1
