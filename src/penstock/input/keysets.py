"""The keys under which a pause keeps what it wants, and what it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.client.run_inputs import checked_key

if TYPE_CHECKING:
    from penstock.states import State

Keyset = dict[str, str]
"""The keys of a pause's schema, response and description."""


def keyset_from_base_key(base_key: str) -> Keyset:
    """Give the keys that begin with a text.

    Parameters:
        base_key: the text: lowercase letters, digits and dashes.

    Returns:
        The keys of the `schema`, the `response` and the `description`.

    Raises:
        ValueError: it has other characters.

    Example:
        >>> keyset_from_base_key("paused-1")["response"]
        'paused-1-response'
    """
    checked_key(base_key, "beginning of the key")
    return {name: f"{base_key}-{name}" for name in ("schema", "response", "description")}


def keyset_from_paused_state(state: State) -> Keyset:
    """Give the keys of a pause.

    Parameters:
        state: the paused, or suspended, state.

    Raises:
        RuntimeError: the state is not paused.
        ValueError: its pause key has characters that keys of inputs do not have.

    Example:
        >>> from penstock.states import Paused
        >>> keyset_from_paused_state(Paused(pause_key="1"))["schema"]
        'paused-1-schema'
    """
    if not state.is_paused():
        message = f"Only a paused state has keys of inputs, and this one is {state.name}."
        raise RuntimeError(message)
    return keyset_from_base_key(f"{state.name.lower()}-{state.state_details.pause_key}")
