"""What JSON has no form for, as JSON objects with a class's path and its data, and back.

The encoder and decoder that `JSONSerializer` uses unless told otherwise.
"""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import msgspec

from penstock.results.scripts import import_by_path

_CLASS = "__class__"
_DICT = "builtins.dict"
_SETS = frozenset({set, frozenset})


def json_object_encoder(value: Any) -> dict[str, Any]:
    """Give the JSON object of a value that JSON has no form for.

    Parameters:
        value: a time, UUID, set, bytes, enum, dataclass, pydantic model, exception, ...

    Raises:
        TypeError: neither msgspec nor pydantic can write it.
    """
    kind = cast("type[Any]", type(value))
    path = f"{kind.__module__}.{kind.__qualname__}"
    if "<locals>" in path:
        raise TypeError(
            f"The class {path} cannot be found by its name, so JSON cannot keep a value of it."
            " Define the class at the top of its module."
        )
    if isinstance(value, BaseException):
        return {_CLASS: path, "message": str(value)}
    if kind in _SETS:
        return {_CLASS: path, "data": [with_plain_keys(element) for element in value]}
    if dataclasses.is_dataclass(kind):
        shallow = {field.name: getattr(value, field.name) for field in dataclasses.fields(kind)}
        return {_CLASS: path, "data": with_plain_keys(shallow)}
    if hasattr(kind, "model_dump"):
        return {_CLASS: path, "data": value.model_dump(mode="json")}
    try:
        return {_CLASS: path, "data": msgspec.to_builtins(value, str_keys=True)}
    except (TypeError, ValueError) as first_error:
        from pydantic import TypeAdapter  # heavy, and only for what msgspec does not know

        try:
            return {_CLASS: path, "data": TypeAdapter(kind).dump_python(value, mode="json")}
        except Exception:  # noqa: BLE001 - pydantic has several, and plain ones of users' types
            raise TypeError(
                f"A value of type {path} has no form in JSON ({first_error}). Use the 'pickle'"
                " serializer, or a JSONSerializer with an object_encoder of your own."
            ) from first_error


def json_object_decoder(found: dict[str, Any]) -> Any:
    """Make a value again of what `json_object_encoder` gave; leave other objects as they are.

    Parameters:
        found: a JSON object.

    Raises:
        ValueError: its class is gone.
    """
    path = found.get(_CLASS)
    if not isinstance(path, str) or len(found) != 2:  # noqa: PLR2004 - the class, and its data
        return found
    if path == _DICT:
        return {_hashable(key): value for key, value in found["data"]}
    kind = import_by_path(path)
    return kind(found["message"]) if "message" in found else _made(kind, found["data"])


def _made(kind: Any, data: Any) -> Any:
    if kind in _SETS:
        return kind(map(_hashable, data))
    if dataclasses.is_dataclass(kind):
        return _made_dataclass(cast("type[Any]", kind), data)
    if hasattr(kind, "model_validate"):
        return kind.model_validate(data)
    try:
        return msgspec.convert(data, type=kind, strict=False)
    except (TypeError, ValueError):
        from pydantic import TypeAdapter  # heavy, and only for what msgspec does not know

        return TypeAdapter(kind).validate_python(data)


def _made_dataclass(kind: type[Any], data: dict[str, Any]) -> Any:
    fields = dataclasses.fields(kind)
    made = kind(**{field.name: data[field.name] for field in fields if field.init})
    for field in fields:
        if not field.init:
            object.__setattr__(made, field.name, data[field.name])  # it may be frozen
    return made


def with_plain_keys(value: Any) -> Any:
    """Give `value` with every dict that JSON would change written as its pairs.

    JSON would make text of keys that are none, and an object with the key `__class__` would be
    taken for the encoder's.
    """
    kind = cast("type[Any]", type(value))
    if kind is dict:
        pairs = [(key, with_plain_keys(item)) for key, item in value.items()]
        if _CLASS not in value and all(type(key) is str for key in value):
            return dict(pairs)
        return {_CLASS: _DICT, "data": [[with_plain_keys(key), item] for key, item in pairs]}
    if kind is list or kind is tuple:
        return [with_plain_keys(item) for item in value]
    return value


def _hashable(key: Any) -> Any:
    if isinstance(key, list):
        return tuple(_hashable(part) for part in cast("list[Any]", key))
    return key
