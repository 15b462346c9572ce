"""What is asked of a flow run's owner, as it stands in the `control` column.

A request is the type of the state that is wanted: CANCELLING; RUNNING, of a run that rests in its
process; PAUSED, followed by what kind of pause it is to be.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from penstock import clock
from penstock.states import State, StateDetails, StateType
from penstock.store import statements as sql
from penstock.store.lease import this_process

if TYPE_CHECKING:
    from penstock.store.store import Store

    Requests = dict[bytes, tuple[int | None, str | None]]

MANY = 16
"""From so many runs on, all that is asked of a process is better read at once."""

_MESSAGE = "Asked for from outside of the run."


def read_all(store: Store) -> Requests:
    """Read what is asked of all runs of this process that are not just begun."""
    rows = store.read(sql.READ_REQUESTS_OF_OWNER, (str(this_process()),))
    return {bytes(key): (token, control) for key, token, control in rows}


def encode(state: State) -> str:
    """Write down that a state is asked for."""
    if state.type is not StateType.PAUSED:
        return state.type.value
    details = state.state_details
    timeout = details.pause_timeout
    kind: dict[str, object] = {"name": state.name, "key": details.pause_key}
    kind["timeout"] = None if timeout is None else timeout.timestamp()
    kind["reschedule"] = details.pause_reschedule
    if details.run_input_keyset is not None:
        kind["inputs"] = details.run_input_keyset
        kind["message"] = state.message or _MESSAGE
    return f"{state.type.value} {json.dumps(kind)}"


def word_of(control: str) -> StateType:
    """Give the type of the state that is asked for."""
    return StateType(control.partition(" ")[0])


def decode(control: str) -> State:
    """Give the state that is asked for."""
    word, _, kind = control.partition(" ")
    if not kind:
        return State(type=StateType(word), message=_MESSAGE)
    given = json.loads(kind)
    timeout = given["timeout"]
    details = StateDetails(
        pause_key=given["key"],
        pause_timeout=None if timeout is None else clock.from_epoch(timeout),
        pause_reschedule=given["reschedule"],
        run_input_keyset=given.get("inputs"),
    )
    message = given.get("message", _MESSAGE)
    return State(type=StateType(word), name=given["name"], message=message, state_details=details)
