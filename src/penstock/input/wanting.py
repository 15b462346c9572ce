"""What a pause waits for: recorded when the run rests, read when it goes on.

The engine asks for it with `wait_for_input`; pydantic is loaded with this module.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.client.responding import arguments_for, fields_of
from penstock.input.keysets import Keyset, keyset_from_paused_state
from penstock.input.run_input import (
    description_of,
    read_response,
    run_input_subclass_from_type,
    schema_text,
)
from penstock.store import input_statements as sql

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.states import State
    from penstock.store import Row

WORDS_LIMIT = 1000
"""The most characters of a state's message that say what is wanted."""


class Wanted:
    """The input that a pause waits for.

    Parameters:
        wait_for_input: its type; see `run_input_subclass_from_type`.

    Raises:
        TypeError: nothing of this type can be an input, or nobody could be told what to give.
    """

    def __init__(self, wait_for_input: Any) -> None:
        self._kind = run_input_subclass_from_type(wait_for_input)
        self._schema_text = schema_text(self._kind)

    def announce(self, state: State) -> None:
        """Have a paused state say what it waits for, and under which keys that is kept.

        Raises:
            ValueError: the key of the pause has characters that keys of inputs do not have.
        """
        state.state_details.run_input_keyset = keyset_from_paused_state(state)
        schema: dict[str, Any] = json.loads(self._schema_text)
        arguments = arguments_for(schema).strip()
        words = f" It wants input{f' (`{arguments}`)' if arguments else ''}: "
        words += f"{'; '.join(fields_of(schema))}."
        if description := description_of(self._kind):
            words += f" {description}"
        if len(words) > WORDS_LIMIT:
            words = words[: WORDS_LIMIT - 3] + "..."
        state.message = f"{state.message or ''}{words}".strip()

    def rows(self, flow_run_id: UUID, state: State) -> list[Row]:
        """Give what is written down when a run rests: what it wants. Nothing was given so far.

        What was given to a pause of the same key before counts for that one only: the run has
        been retried, and waits again.
        """
        keyset = _keyset_of(state)
        run = flow_run_id.bytes
        forget: list[Row] = [(sql.DELETE_INPUT, (run, key)) for key in keyset.values()]
        return [*forget, *self.new_rows(flow_run_id, state)]

    def new_rows(self, flow_run_id: UUID, state: State) -> list[Row]:
        """Give what is written down for a pause that has not been before."""
        keyset = _keyset_of(state)
        values = {keyset["schema"]: self._schema_text}
        if description := description_of(self._kind):
            values[keyset["description"]] = json.dumps(description)
        now = clock.epoch()
        return [
            (sql.INSERT_INPUT, (flow_run_id.bytes, key, text, None, now))
            for key, text in values.items()
        ]

    def read(self, flow_run_id: UUID, state: State) -> Any:
        """Give what the run was given: an instance, or the value of a plain type.

        Raises:
            pydantic.ValidationError: it does not fit: the type says more than its schema.
        """
        return read_response(self._kind, flow_run_id, _keyset_of(state))


def _keyset_of(state: State) -> Keyset:
    keyset = state.state_details.run_input_keyset
    assert keyset is not None  # `announce` was called
    return keyset
