"""What a paused run is given when it is resumed: checked against what it said it wants.

The schema was stored when the run paused, so that whoever resumes it need not have its code.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from penstock import clock
from penstock.client.run_inputs import to_json
from penstock.store import input_statements as sql

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.records import FlowRun
    from penstock.states import State
    from penstock.store import Store

    Execute = Callable[..., Any]

PROBLEM_LIMIT = 5
"""The most problems of an input that are named."""


def respond(
    execute: Execute, run: FlowRun, paused: State, run_input: Mapping[str, Any] | None
) -> None:
    """Write down what a paused run is given, in the transaction that resumes it.

    Parameters:
        execute: runs a statement in the transaction.
        run: the run.
        paused: the state in which it waits.
        run_input: the fields that it is given, by name.

    Raises:
        RuntimeError: it waits for no input, or not for this one.
    """
    keyset = paused.state_details.run_input_keyset
    title = f"Flow run {run.name!r} ({run.id})"
    if keyset is None:
        if run_input:
            message = f"{title} waits for no input: resume it without any."
            raise RuntimeError(message)
        return
    rows = execute(sql.READ_INPUT, (run.id.bytes, keyset["schema"])).fetchall()
    text = checked_response(title, rows[0][1] if rows else None, run_input)
    execute(sql.DELETE_INPUT, (run.id.bytes, keyset["response"]))
    row = (run.id.bytes, keyset["response"], text, None, clock.epoch())
    execute(sql.INSERT_INPUT, row)


def schema_of(store: Store, run: FlowRun) -> dict[str, Any] | None:
    """Give the schema of the input that a run waits for; none if it waits for none."""
    state = run.state
    keyset = None if state is None or not state.is_paused() else _keyset_of(state)
    if keyset is None:
        return None
    rows = store.read(sql.READ_INPUT, (run.id.bytes, keyset["schema"]))
    return _read_schema(f"Flow run {run.name!r} ({run.id})", rows[0][1] if rows else None)


def _keyset_of(state: State) -> dict[str, str] | None:
    return state.state_details.run_input_keyset


def refuse_without_input(store: Store, run: FlowRun) -> None:
    """Raise if a run waits for an input that it cannot go on without.

    Raises:
        RuntimeError: just that.
    """
    state = run.state
    if state is not None and state.is_paused() and (keyset := _keyset_of(state)) is not None:
        rows = store.read(sql.READ_INPUT, (run.id.bytes, keyset["schema"]))
        title = f"Flow run {run.name!r} ({run.id})"
        checked_response(title, rows[0][1] if rows else None, None)


def _read_schema(title: str, schema_text: str | None) -> dict[str, Any]:
    if schema_text is None:
        message = (
            f"{title} waits for input, but what kind is not recorded: its schema was deleted. It"
            " stays paused; cancel it, or run its flow anew."
        )
        raise RuntimeError(message)
    try:
        return cast("dict[str, Any]", json.loads(schema_text))
    except ValueError as error:
        message = f"{title} waits for input, but the schema recorded of it is no JSON: {error}."
        raise RuntimeError(message) from error


def checked_response(
    title: str, schema_text: str | None, run_input: Mapping[str, Any] | None
) -> str:
    """Give what a run is given as it is kept, if it is what the run wants.

    Parameters:
        title: names the run in messages.
        schema_text: the JSON schema that the run recorded.
        run_input: the fields by name; none is the same as an empty one.

    Raises:
        RuntimeError: it is not what the run wants; says in which field, and what is wanted.
    """
    schema = _read_schema(title, schema_text)
    dump = getattr(run_input, "model_dump", None)
    given: Any = run_input if dump is None else dump(mode="json", by_alias=True)
    try:
        text = to_json({} if given is None else given, "It")
    except (TypeError, ValueError) as error:
        message = f"{title} cannot be resumed with this input. {error} It stays paused."
        raise RuntimeError(message) from error
    problems = _problems(title, schema, json.loads(text))
    if problems:
        deed = "waits for input" if given is None else "cannot be resumed with this input"
        wanted = "; ".join(fields_of(schema))
        message = (
            f"{title} {deed}: {'; '.join(problems)}. It wants: {wanted or 'nothing'}. It stays"
            f" paused: `penstock flow-run resume {title.rpartition('(')[2].rstrip(')')}"
            f"{arguments_for(schema)}`, or resume_flow_run(..., run_input={{...}})."
        )
        raise RuntimeError(message)
    return text


def _problems(title: str, schema: dict[str, Any], value: Any) -> list[str]:
    jsonschema: Any = import_module("jsonschema")  # has no types; 60 ms that others are spared
    kind = jsonschema.Draft202012Validator
    try:
        kind.check_schema(schema)
        errors = list(kind(schema, format_checker=kind.FORMAT_CHECKER).iter_errors(value))
    except jsonschema.SchemaError as error:
        message = f"{title} waits for input, but its schema cannot be understood: {error.message}."
        raise RuntimeError(message) from error
    errors.sort(key=lambda error: list(map(str, error.absolute_path)))
    shown = [_problem(error) for error in errors[:PROBLEM_LIMIT]]
    if len(errors) > PROBLEM_LIMIT:
        shown.append(f"and {len(errors) - PROBLEM_LIMIT} more")
    return shown


def _problem(error: Any) -> str:
    place = ".".join(map(str, error.absolute_path))
    return f"{place}: {error.message}" if place else str(error.message)


# -- saying what is wanted ------------------------------------------------------------------------


def fields_of(schema: Mapping[str, Any]) -> list[str]:
    """Describe each field of a schema: its name, its type, and whether it may be left out."""
    required = schema.get("required", ())
    described: list[str] = []
    for name, field in schema.get("properties", {}).items():
        kind = kind_of(field, schema)
        if name not in required:
            default = field.get("default")
            kind += ", optional" if default is None else f", {json.dumps(default)} if left out"
        text = field.get("description")
        described.append(f"{name} ({kind})" + (f": {text}" if text else ""))
    return described


def arguments_for(schema: Mapping[str, Any]) -> str:
    """Give what is added to the command that resumes a run, for a schema's required fields."""
    required = schema.get("required", ())
    return "".join(f" --input {name}=..." for name in required)


def kind_of(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Name the type of a field as people would."""
    field = resolved(field, schema)
    if "enum" in field:
        return " or ".join(json.dumps(each) for each in field["enum"])
    if "const" in field:
        return json.dumps(field["const"])
    choices = field.get("anyOf") or field.get("oneOf")
    if choices:
        return " or ".join(kind_of(choice, schema) for choice in choices)
    kind = field.get("type", "any")
    if kind == "array":
        return f"list of {kind_of(field.get('items', {}), schema)}"
    name = str(field.get("format", kind))
    return {"boolean": "true or false", "string": "text", "number": "number"}.get(name, name)


def resolved(field: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the definition that a field refers to, or itself."""
    reference = field.get("$ref")
    if not isinstance(reference, str):
        return field
    return cast("Mapping[str, Any]", schema.get("$defs", {}).get(reference.rpartition("/")[2], {}))
