"""Inputs of flow runs: what a paused run is given, and what runs send to each other (9.4).

Names are loaded when they are first asked for: pydantic comes with most of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.utilities.lazy import lazy_names

if TYPE_CHECKING:
    from penstock.input.actions import (
        create_flow_run_input,
        create_flow_run_input_from_model,
        delete_flow_run_input,
        filter_flow_run_input,
        read_flow_run_input,
    )
    from penstock.input.keysets import keyset_from_base_key, keyset_from_paused_state
    from penstock.input.run_input import (
        RunInput,
        RunInputMetadata,
        receive_input,
        run_input_subclass_from_type,
        send_input,
    )

_WHERE = {
    "RunInput": "penstock.input.run_input",
    "RunInputMetadata": "penstock.input.run_input",
    "create_flow_run_input": "penstock.input.actions",
    "create_flow_run_input_from_model": "penstock.input.actions",
    "delete_flow_run_input": "penstock.input.actions",
    "filter_flow_run_input": "penstock.input.actions",
    "keyset_from_base_key": "penstock.input.keysets",
    "keyset_from_paused_state": "penstock.input.keysets",
    "read_flow_run_input": "penstock.input.actions",
    "receive_input": "penstock.input.run_input",
    "run_input_subclass_from_type": "penstock.input.run_input",
    "send_input": "penstock.input.run_input",
}

__all__ = [
    "RunInput",
    "RunInputMetadata",
    "create_flow_run_input",
    "create_flow_run_input_from_model",
    "delete_flow_run_input",
    "filter_flow_run_input",
    "keyset_from_base_key",
    "keyset_from_paused_state",
    "read_flow_run_input",
    "receive_input",
    "run_input_subclass_from_type",
    "send_input",
]

__getattr__ = lazy_names(__name__, _WHERE, ("actions", "run_input"))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
