"""States as JSON can hold them (section 1.7): all of a state but the values of its results.

`State.serialize` and `State.deserialize` are what users call.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from penstock.graph import results
from penstock.graph.serializers import DateTimeSerializer, JSONSerializer, PickleSerializer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["state_from_dict", "state_to_dict"]

FORMAT_VERSION = "1"
"""What `__version__` says: the version of this form, not that of penstock."""

_SCHEDULED = ("start_time",)
_FIELDS: dict[str, tuple[str, ...]] = {
    "Pending": (),
    "Scheduled": _SCHEDULED,
    "Paused": _SCHEDULED,
    "Resume": _SCHEDULED,
    "Retrying": (*_SCHEDULED, "run_count"),
    "Running": (),
    "Cancelling": (),
    "Finished": (),
    "Looped": ("loop_count",),
    "Cancelled": (),
    "Success": (),
    "Cached": ("cached_parameters", "cached_result_expiration", "hashed_inputs"),
    "Mapped": ("n_map_states",),
    "Skipped": (),
    "Failed": (),
    "TimedOut": (),
    "TriggerFailed": (),
    "ValidationFailed": (),
    "ClientFailed": ("state",),
    "Submitted": ("state",),
    "Queued": ("state", *_SCHEDULED),
}
"""What each class has besides message, context, result and cached inputs."""

_SERIALIZERS: dict[str, Any] = {
    kind.__name__: kind for kind in (PickleSerializer, JSONSerializer, DateTimeSerializer)
}
_KNOWN_RESULTS = frozenset(
    {results.Result, results.LocalResult, results.PrefectResult, results.ConstantResult}
)


def state_to_dict(state: Any) -> dict[str, Any]:
    """Give a state as JSON can hold it.

    Raises:
        ValueError: something in it cannot be held by JSON, or its class is not known.
    """
    name = _known_name(type(state))
    content: dict[str, Any] = {
        "type": name,
        "message": None if state.message is None else str(state.message),
        "context": _as_json(state.context, name, "context"),
        "cached_inputs": {
            key: _result_to_dict(entry) for key, entry in state.cached_inputs.items()
        },
        "__version__": FORMAT_VERSION,
    }
    if name != "Mapped":
        content["_result"] = _result_to_dict(state._result)  # noqa: SLF001 - nothing public has it
    for field in _FIELDS[name]:
        content[field] = _CODECS[field].write(getattr(state, field), name, field)
    return content


def state_from_dict(content: Mapping[str, Any], kinds: Mapping[str, type[Any]]) -> Any:
    """Give a state again.

    Parameters:
        content: what `state_to_dict` gave.
        kinds: the classes of states by name.

    Raises:
        ValueError: it names no class of states, or one that is not known, or a field is wrong.
    """
    name = content.get("type")
    if not isinstance(name, str) or name not in _FIELDS:
        message = (
            f"This is no serialized state: its 'type' is {name!r}. It must be the name of a class"
            f" of states: {', '.join(_FIELDS)}."
        )
        raise ValueError(message)
    state: Any = kinds[name](message=content.get("message"))
    # Not handed to the class, which would add what the present task run has.
    state.context = dict(content.get("context") or {})
    inputs: dict[str, Any] = content.get("cached_inputs") or {}
    state.cached_inputs = {key: _result_from_dict(entry, name) for key, entry in inputs.items()}
    if name != "Mapped":
        state.result = _result_from_dict(content.get("_result"), name)
    for field in _FIELDS[name]:
        codec = _CODECS[field]
        if codec.read is not None:
            setattr(state, field, codec.read(content.get(field), kinds, name))
    if name == "Mapped":
        state.map_states = [None] * (content.get("n_map_states") or 0)
    return state


def _known_name(kind: Any) -> str:
    for base in kind.__mro__:
        # A user's own class is written as the nearest of ours, which is what is read back.
        if base.__name__ in _FIELDS and base.__module__.startswith("penstock.graph."):
            return base.__name__
    message = (
        f"A state of class {kind.__name__} cannot be serialized: it is none of"
        f" {', '.join(_FIELDS)}, nor derived from one of them."
    )
    raise ValueError(message)


# -- fields ---------------------------------------------------------------------------------------


class _Codec(NamedTuple):
    """How one field is written and read; what is not read is worked out from the others."""

    write: Callable[[Any, str, str], Any]
    read: Callable[[Any, Mapping[str, type[Any]], str], Any] | None


def _as_json(value: Any, name: str, field: str) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError) as error:
        message = (
            f"The {field} of a {name} state cannot be serialized: {error}. Put in only what JSON"
            " can hold."
        )
        raise ValueError(message) from error


def _as_it_is(value: Any, _kinds: Mapping[str, type[Any]], _name: str) -> Any:
    return value


def _time_to_text(moment: dt.datetime | None, _name: str, _field: str) -> str | None:
    return None if moment is None else moment.isoformat()


def _time_from_text(text: Any, _kinds: Mapping[str, type[Any]], name: str) -> dt.datetime | None:
    if text is None or isinstance(text, dt.datetime):
        return text
    try:
        moment = dt.datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        message = (
            f"A time of this serialized {name} state is {text!r}, which cannot be read: {error}."
            " Write it as in '2013-01-01T00:00:00+00:00'."
        )
        raise ValueError(message) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)


def _state_to_dict(state: Any, _name: str, _field: str) -> dict[str, Any] | None:
    return None if state is None else state_to_dict(state)


def _state_from_dict(content: Any, kinds: Mapping[str, type[Any]], _name: str) -> Any:
    return None if content is None else state_from_dict(content, kinds)


_PLAIN = _Codec(_as_json, _as_it_is)
_TIME = _Codec(_time_to_text, _time_from_text)
_CODECS: dict[str, _Codec] = {
    "start_time": _TIME,
    "cached_result_expiration": _TIME,
    "run_count": _PLAIN,
    "loop_count": _PLAIN,
    "cached_parameters": _PLAIN,
    "hashed_inputs": _PLAIN,
    "n_map_states": _Codec(_as_json, None),
    "state": _Codec(_state_to_dict, _state_from_dict),
}


# -- results --------------------------------------------------------------------------------------


def _result_to_dict(result: results.Result) -> dict[str, Any]:
    kind = type(result)
    if kind is results.NoResultType:
        return {"type": "NoResultType"}
    if kind not in _KNOWN_RESULTS:
        full_name = f"{kind.__module__}.{kind.__qualname__}"
        return {"type": full_name, "location": result.location}
    content: dict[str, Any] = {"type": kind.__name__, "location": result.location}
    if isinstance(result, results.LocalResult):
        content["dir"] = result.dir
    if kind is not results.ConstantResult:
        serializer = type(result.serializer).__name__
        content["serializer"] = serializer if serializer in _SERIALIZERS else None
    return content


def _result_from_dict(content: Any, name: str) -> results.Result:
    if content is None:
        return results.NoResult
    fields = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    kind = fields.get("type")
    if not isinstance(kind, str):
        message = (
            f"A result of this serialized {name} state is {content!r}. It must be an object with"
            " 'type' and 'location'."
        )
        raise ValueError(message)  # noqa: TRY004 - what is wrong is the data, not a call
    location = fields.get("location")
    if kind == "NoResultType":
        return results.NoResult
    if kind == "ConstantResult":
        return results.ConstantResult(location=location)
    serializer: Any = _SERIALIZERS.get(fields.get("serializer") or "")
    options = {} if serializer is None else {"serializer": serializer()}
    if kind == "LocalResult":
        # Nothing is made on the disk of who only reads a state.
        return results.LocalResult(
            dir=fields.get("dir"), validate_dir=False, location=location, **options
        )
    made = results.PrefectResult if kind == "PrefectResult" else results.Result
    return made(location=location, **options)
