"""A flow run's parameters as they are recorded, and back.

JSON for people and other programs; pickled as well where JSON does not hold the values as they
are, so that a run can go on in another process with what it was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.results.pickling import dumps_bounded, loads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.records import FlowRun

PICKLED_LIMIT_BYTES = 1 << 20
"""The largest pickled parameters that are kept in a flow run's record."""

PLAIN_DEPTH_LIMIT = 64
"""How deep plain parameters may be nested.

Deeper ones, and those that contain themselves, are not looked through."""

_PLAIN = frozenset({str, int, float, bool, type(None)})


def _is_plain(value: Any, depth: int = PLAIN_DEPTH_LIMIT) -> bool:
    """Tell whether JSON gives the very same value back."""
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in _PLAIN:
        return kind is not float or value - value == 0.0
    if depth == 0:
        return False
    if kind is list:
        return all(_is_plain(item, depth - 1) for item in value)
    if kind is dict:
        return all(type(key) is str and _is_plain(item, depth - 1) for key, item in value.items())
    return False


def to_json(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Give the parameters as JSON can hold them; `<TypeName>` stands for what it cannot."""
    return {name: _jsonable(value) for name, value in parameters.items()}


def _jsonable(value: Any) -> Any:
    if _is_plain(value):
        return value
    import json

    # Needed for dates, models and the like only.
    from pydantic_core import to_jsonable_python

    try:
        made = to_jsonable_python(value)
        json.dumps(made)
    except Exception:  # noqa: BLE001 - any value may be a parameter
        return f"<{type(value).__name__}>"
    return made


def pickled_unless_plain(
    parameters: Mapping[str, Any], serialized: Mapping[str, Any]
) -> bytes | None:
    """Give the parameters pickled, if JSON does not hold them and they are not too large."""
    if all(_is_plain(value) for value in parameters.values()):
        return None
    del serialized
    try:
        return dumps_bounded(dict(parameters), PICKLED_LIMIT_BYTES)
    except Exception:  # noqa: BLE001 - what cannot be pickled is only there as JSON
        return None


def from_record(flow_run: FlowRun) -> dict[str, Any]:
    """Give the parameters of a recorded flow run."""
    if flow_run.parameters_pickle is not None:
        return loads(flow_run.parameters_pickle)
    return dict(flow_run.parameters)
