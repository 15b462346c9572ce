"""The run that somebody means: by its id, the beginning of it, its name, or `-`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import UUID

from penstock.cli.failing import CommandError
from penstock.ids import id_from_bytes
from penstock.store import listing
from penstock.store import statements as sql

if TYPE_CHECKING:
    from penstock.store import Store

LATEST = "-"
"""Stands for the latest flow run that is no subflow's."""

_SHOWN_LIMIT = 4
_HEX = re.compile(r"[0-9a-fA-F-]+")
_ID_DIGITS = 32


def find_flow_run(store: Store, reference: str) -> UUID:
    """Give the id of the flow run that `reference` stands for.

    Parameters:
        store: where it is recorded.
        reference: an id, the beginning of one, a flow run's name, or `-` for the latest.

    Raises:
        CommandError: there is none, or there are several.
    """
    if reference == LATEST:
        return _latest(store)
    found: dict[UUID, str] = {}
    digits = reference.replace("-", "")
    if _HEX.fullmatch(reference) and 0 < len(digits) <= _ID_DIGITS:
        first, last = digits.ljust(_ID_DIGITS, "0"), digits.ljust(_ID_DIGITS, "f")
        values = (bytes.fromhex(first), bytes.fromhex(last), _SHOWN_LIMIT)
        found = _as_dictionary(store.read(sql.FIND_FLOW_RUNS_BETWEEN, values))
    if len(digits) < _ID_DIGITS or not found:
        named = store.read(sql.FIND_FLOW_RUNS_BY_NAME, (reference, _SHOWN_LIMIT))
        found |= _as_dictionary(named)
    if len(found) == 1:
        return next(iter(found))
    if found:
        raise _ambiguous(reference, found, "flow")
    raise _unknown(store, reference, digits)


def _as_dictionary(rows: list[tuple[bytes, str]]) -> dict[UUID, str]:
    return {id_from_bytes(key): name for key, name in rows}


def _latest(store: Store) -> UUID:
    rows = store.read(sql.FIND_LATEST_FLOW_RUN)
    if not rows:
        message = f"There are no flow runs in the store {store.place!r} yet."
        raise CommandError(message)
    return id_from_bytes(rows[0][0])


def _ambiguous(reference: str, found: dict[UUID, str], kind: str) -> CommandError:
    listed = ", ".join(f"{run_id} ({name})" for run_id, name in found.items())
    more = " and more" if len(found) >= _SHOWN_LIMIT else ""
    return CommandError(
        f"{reference!r} may be each of several {kind} runs: {listed}{more}.\nGive the id of"
        " the one you mean, or as much of it as no other begins with."
    )


def _unknown(store: Store, reference: str, digits: str) -> CommandError:
    where = f"There is no flow run {reference!r} in the store {store.place!r}."
    if len(digits) == _ID_DIGITS and _HEX.fullmatch(reference):
        owner = store.find_flow_run_of(UUID(digits))
        if owner is not None and any(owner):
            return CommandError(
                f"{where} It is the id of a task run of flow run {id_from_bytes(owner)}."
            )
    return CommandError(f"{where} See `penstock flow-run ls` for those that are there.")


def find_task_run(store: Store, reference: str, flow_run: str | UUID = LATEST) -> UUID:
    """Give the id of the task run that `reference` stands for.

    Parameters:
        store: where it is recorded.
        reference: a whole id; or within `flow_run` the beginning of one, or a task run's name.
        flow_run: the id of the flow run, or what stands for it; see `find_flow_run`.

    Raises:
        CommandError: there is none, or there are several.
    """
    digits = reference.replace("-", "")
    is_hex = _HEX.fullmatch(reference) is not None and 0 < len(digits) <= _ID_DIGITS
    if is_hex and len(digits) == _ID_DIGITS and store.find_flow_run_of(UUID(digits)) is not None:
        return UUID(digits)
    within = flow_run if isinstance(flow_run, UUID) else find_flow_run(store, flow_run)
    found: dict[UUID, str] = {}
    if is_hex:
        first, last = digits.ljust(_ID_DIGITS, "0"), digits.ljust(_ID_DIGITS, "f")
        values = (within.bytes, bytes.fromhex(first), bytes.fromhex(last), _SHOWN_LIMIT)
        found = _as_dictionary(store.read(listing.FIND_TASK_RUNS_BETWEEN, values))
    values = (within.bytes, reference, _SHOWN_LIMIT)
    # Of a call that was executed again, the newest: they come first.
    named: dict[tuple[str, str], tuple[bytes, str]] = {}
    for key, name, task_key, dynamic_key in store.read(listing.FIND_TASK_RUNS_BY_NAME, values):
        named.setdefault((task_key, dynamic_key), (key, name))
    found |= _as_dictionary(list(named.values()))
    if len(found) == 1:
        return next(iter(found))
    if found:
        raise _ambiguous(reference, found, "task")
    message = (
        f"There is no task run {reference!r} in flow run {within}. See `penstock task-run ls"
        f" {within}`, or give --run with the flow run to which it belongs."
    )
    raise CommandError(message)
