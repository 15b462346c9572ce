"""Inputs of flow runs under keys of one's own: given, read, deleted.

Within a flow run it is that run's inputs that are meant, unless another one's id is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.client import run_inputs
from penstock.client.awaiting import here_or_awaitable
from penstock.client.base import id_of
from penstock.context import FlowRunContext, TaskRunContext
from penstock.store import get_store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

SENDER_PREFIX = "penstock.flow-run."
"""What the name of a sender that is a flow run begins with; its id follows."""


def this_flow_run_id() -> UUID | None:
    """Give the id of the flow run that this code is in; none outside of one."""
    task_context = TaskRunContext.variable.get()
    if task_context is not None:
        return task_context.task_run.flow_run_id
    context = FlowRunContext.variable.get()
    return None if context is None or context.flow_run is None else context.flow_run.id


def ensure_flow_run_id(flow_run_id: UUID | str | None = None) -> UUID:
    """Give the id of the flow run that is meant: the given one, or this code's.

    Raises:
        RuntimeError: none is given, and this is not in a flow run.
        ValueError: what is given is no id.
    """
    if flow_run_id is not None:
        return id_of(flow_run_id, "flow run")
    found = this_flow_run_id()
    if found is None:
        message = (
            "There is no flow run here whose inputs could be meant: give flow_run_id=..., or call"
            " this in the code of a @flow."
        )
        raise RuntimeError(message)
    return found


def sender_or_own(sender: str | None) -> str | None:
    """Give who sends: as given, or the flow run that this code is in, if any."""
    own = this_flow_run_id()
    return sender if sender is not None or own is None else f"{SENDER_PREFIX}{own}"


def create_flow_run_input(
    key: str, value: Any, flow_run_id: UUID | str | None = None, sender: str | None = None
) -> Any:
    """Give a flow run an input.

    Parameters:
        key: names the input: lowercase letters, digits and dashes; once in a run.
        value: what JSON has a form for.
        flow_run_id: the run; the one that this code is in unless given.
        sender: who gives it.

    Returns:
        Nothing; in async code an awaitable of it.

    Raises:
        RuntimeError: no run is given, and this is not in one.
        ObjectNotFound: there is no such run.
        ObjectAlreadyExists: the run has an input of this key.
        ValueError: the key or the id is none, or the value contains itself.
        TypeError: the value has no form in JSON.

    Example:
        >>> create_flow_run_input("greeting", "hello", flow_run_id=run.id)  # doctest: +SKIP
    """
    run_id = ensure_flow_run_id(flow_run_id)
    run_inputs.checked_key(key)

    def work() -> None:
        run_inputs.create_input(get_store(), run_id, key, value, sender)

    return here_or_awaitable(work)


def create_flow_run_input_from_model(
    key: str, model_instance: Any, flow_run_id: UUID | str | None = None, sender: str | None = None
) -> Any:
    """Give a flow run a pydantic model as an input; its sender is this code's run unless given.

    Parameters, answer and errors are otherwise those of `create_flow_run_input`.
    """
    value = model_instance.model_dump(mode="json", by_alias=True)
    return create_flow_run_input(key, value, flow_run_id, sender_or_own(sender))


def read_flow_run_input(key: str, flow_run_id: UUID | str | None = None) -> Any:
    """Give the value of an input of a flow run.

    Parameters:
        key: its key.
        flow_run_id: the run; the one that this code is in unless given.

    Returns:
        The value, none if there is none; in async code an awaitable of it.

    Raises:
        RuntimeError: no run is given, and this is not in one.
        ValueError: the key or the id is none.
    """
    run_id = ensure_flow_run_id(flow_run_id)

    def work() -> Any:
        found = run_inputs.read_input(get_store(), run_id, key)
        return None if found is None else found.decoded_value

    return here_or_awaitable(work)


def filter_flow_run_input(
    key_prefix: str,
    limit: int = 1,
    exclude_keys: Iterable[str] | None = None,
    flow_run_id: UUID | str | None = None,
) -> Any:
    """Give inputs of a flow run, in the order they came.

    Parameters:
        key_prefix: only those whose keys begin so.
        limit: the most to give.
        exclude_keys: none of these.
        flow_run_id: the run; the one that this code is in unless given.

    Returns:
        A list of `FlowRunInput`; in async code an awaitable of it.

    Raises:
        RuntimeError: no run is given, and this is not in one.
        ValueError: the prefix or the id is none.
    """
    run_id = ensure_flow_run_id(flow_run_id)
    excluded = set(exclude_keys or ())
    return here_or_awaitable(
        lambda: run_inputs.find_inputs(get_store(), run_id, key_prefix, limit, excluded)
    )


def delete_flow_run_input(key: str, flow_run_id: UUID | str | None = None) -> Any:
    """Delete an input of a flow run.

    Parameters:
        key: its key.
        flow_run_id: the run; the one that this code is in unless given.

    Returns:
        Nothing; in async code an awaitable of it.

    Raises:
        RuntimeError: no run is given, and this is not in one.
        ObjectNotFound: the run has no such input.
        ValueError: the key or the id is none.
    """
    run_id = ensure_flow_run_id(flow_run_id)
    return here_or_awaitable(lambda: run_inputs.delete_input(get_store(), run_id, key))
