"""`--input name=value`, `--input-json`: what a paused run is given, from text.

A value is JSON where the field takes what it says, else text, as with `--param`; which fields
there are stands in the schema that the run recorded.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from penstock.cli.failing import CommandError
from penstock.client.responding import resolved, schema_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.records import FlowRun
    from penstock.store import Store

_KINDS: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}
_FLAGS: dict[str, bool] = {
    **dict.fromkeys(("yes", "y", "on", "true", "t", "1"), True),
    **dict.fromkeys(("no", "n", "off", "false", "f", "0"), False),
}
"""What `--param` takes for true and false, too."""


def input_of(
    store: Store, run: FlowRun, assignments: Sequence[str], text: str | None
) -> dict[str, Any] | None:
    """Give what a run is to be given; none if nothing was typed.

    Parameters:
        store: where the run is.
        run: the run.
        assignments: texts such as `approved=true`.
        text: all fields as a JSON object.

    Raises:
        CommandError: it cannot be understood, or the run waits for no input.
    """
    if not assignments and text is None:
        return None
    schema = _asking(lambda: schema_of(store, run))
    if schema is None:
        message = (
            f"Flow run {run.name!r} ({run.id}) waits for no input: leave out --input and"
            " --input-json."
        )
        raise CommandError(message)
    given: dict[str, Any] = {} if text is None else _object(text)
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        name = name.strip()
        if not separator or not name:
            message = f"--input {assignment!r} is no assignment. Write --input name=value."
            raise CommandError(message)
        if name in given:
            message = f"Input {name!r} is given twice. Give a list as JSON: {name}='[1, 2]'."
            raise CommandError(message)
        given[name] = _value(value, schema.get("properties", {}).get(name, {}), schema)
    return given


def _asking(ask: Any) -> Any:
    try:
        return ask()
    except RuntimeError as error:
        raise CommandError(str(error)) from error


def _object(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError as error:
        message = f"--input-json is no JSON: {error}."
        raise CommandError(message) from error
    if not isinstance(given, dict):
        message = (
            f"--input-json takes an object of fields, such as '{{\"value\": 3}}', not {text}."
        )
        raise CommandError(message)
    return cast("dict[str, Any]", given)


def _value(text: str, field: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """Give the value that a text stands for in a field."""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    readings: tuple[Any, ...] = (value, text, _FLAGS.get(text.lower(), text))
    for meant in readings:
        if _takes(field, schema, meant):
            return meant
    return text


def _takes(field: Mapping[str, Any], schema: Mapping[str, Any], value: Any) -> bool:
    """Tell whether a field may have a JSON value, by its type; an unknown field has any."""
    field = resolved(field, schema)
    choices = field.get("anyOf") or field.get("oneOf")
    if choices:
        return any(_takes(choice, schema, value) for choice in choices)
    if "enum" in field:
        return value in field["enum"]
    kind = field.get("type")
    if kind is None:
        return True
    is_flag = isinstance(value, bool)
    return isinstance(value, _KINDS.get(kind, ())) and (not is_flag or kind == "boolean")
