"""The inputs of flow runs, in a store: what is sent to a run under a key that is given once."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from penstock import clock
from penstock.exceptions import ObjectAlreadyExists, ObjectNotFound
from penstock.records import FlowRunInput
from penstock.store import input_statements as sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from penstock.store import Store

    Execute = Callable[..., Any]

KEY_LIMIT = 500
"""The most characters of a key."""

_KEY = re.compile(r"[a-z0-9-]+")


def checked_key(key: object, what: str = "key") -> str:
    """Give a key, or the beginning of one, that may be used.

    Raises:
        ValueError: it has other characters, or is too long.
    """
    if isinstance(key, str) and len(key) <= KEY_LIMIT and _KEY.fullmatch(key):
        return key
    message = (
        f"{key!r} is no {what} of an input of a flow run: use lowercase letters, digits and"
        f" dashes, {KEY_LIMIT} characters at most, such as 'approval-1'."
    )
    raise ValueError(message)


def to_json(value: Any, title: str) -> str:
    """Write a value down as it is kept.

    Parameters:
        value: what JSON has a form for; times, UUIDs, enums, dataclasses and the like, too.
        title: what it is, for the message.

    Raises:
        TypeError: a part of it has no form in JSON.
        ValueError: it contains itself, or a number that JSON does not know.
    """
    try:
        return json.dumps(value, allow_nan=False, default=_plain)
    except TypeError as error:
        message = f"{title} does not fit into JSON: {error}."
        raise TypeError(message) from error
    except (ValueError, RecursionError) as error:
        message = f"{title} does not fit into JSON: {error}."
        raise ValueError(message) from error


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)  # a pydantic model, whose library is not needed here
    return msgspec.to_builtins(value) if dump is None else dump(mode="json", by_alias=True)


def create_input(
    store: Store, flow_run_id: UUID, key: str, value: Any, sender: str | None
) -> FlowRunInput:
    """Record an input of a flow run; see `SyncPenstockClient.create_flow_run_input`."""
    text = to_json(value, f"The value of input {key!r}")
    created = clock.epoch()

    def work(execute: Execute) -> None:
        if execute(sql.HAS_FLOW_RUN, (flow_run_id.bytes,)).fetchone() is None:
            raise ObjectNotFound(
                f"There is no flow run {flow_run_id} in the store {store.place!r} to give an input"
                " to. See `penstock flow-run ls` for those that are there."
            )
        row = (flow_run_id.bytes, checked_key(key), text, sender, created)
        if execute(sql.INSERT_INPUT, row).rowcount == 0:
            raise ObjectAlreadyExists(
                f"Flow run {flow_run_id} has an input with the key {key!r} already: a key is given"
                " once. Use another key, or delete that input first."
            )

    store.transact(work)
    return FlowRunInput(flow_run_id, key, text, sender, clock.from_epoch(created))


def read_input(store: Store, flow_run_id: UUID, key: str) -> FlowRunInput | None:
    """Give an input of a flow run; none if there is none of this key."""
    rows = store.read(sql.READ_INPUT, (flow_run_id.bytes, checked_key(key)))
    if not rows:
        return None
    found, text, sender, created = rows[0]
    return FlowRunInput(flow_run_id, found, text, sender, clock.from_epoch(created))


def find_inputs(
    store: Store, flow_run_id: UUID, key_prefix: str, limit: int, exclude_keys: Iterable[str] = ()
) -> list[FlowRunInput]:
    """Give the inputs of a flow run whose keys begin so, in the order they came."""
    checked_key(key_prefix, "beginning of the key")
    excluded = set(exclude_keys)
    values = (flow_run_id.bytes, len(key_prefix), key_prefix)
    keys = [row[0] for row in store.read(sql.READ_INPUT_KEYS, values) if row[0] not in excluded]
    found = (read_input(store, flow_run_id, key) for key in keys[:limit])
    return [each for each in found if each is not None]  # one may have been deleted meanwhile


def delete_input(store: Store, flow_run_id: UUID, key: str) -> None:
    """Delete an input of a flow run.

    Raises:
        ObjectNotFound: it has none of this key.
    """
    values = (flow_run_id.bytes, checked_key(key))
    if store.write_counted(sql.DELETE_INPUT, values) == 0:
        raise ObjectNotFound(f"Flow run {flow_run_id} has no input with the key {key!r}.")
