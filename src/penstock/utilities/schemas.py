"""The JSON schema of a function's parameters, for pages and clients that ask a user for them."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Annotated, Any, cast

from penstock.utilities.parameters import Parameters
from penstock.utilities.validation import is_v1_model

if TYPE_CHECKING:
    from collections.abc import Callable

_SECTION = re.compile(r"^(Args|Arguments|Parameters):\s*$")
_ENTRY = re.compile(r"^\*{0,2}(?P<name>\w+)\s*(\([^)]*\))?:\s*(?P<text>.*)$")


def parameter_schema(fn: Callable[..., Any] | Parameters) -> dict[str, Any]:
    """Describe the function's parameters as a JSON schema.

    Args:
        fn: The function, or its parameters.

    Returns:
        A schema of one object: `properties` by parameter name, each with its `title`, `position`
        (from 0) and, where they are known, type, default and description (from the `Args:` of the
        docstring); `required`; `definitions` of the models used. An annotation that JSON schema
        cannot express allows anything.

    Example:
        >>> parameter_schema(lambda x, y=2: None)["required"]
        ['x']
    """
    own = Parameters.of(fn)
    descriptions = docstring_descriptions(inspect.getdoc(own.fn) or "")
    fields = {
        name: _field(own, name, position, descriptions.get(name))
        for position, name in enumerate(own.names)
    }
    schema = _schema_of(fields)
    if schema is None:
        expressible = {
            name: field if _schema_of({name: field}) is not None else (Any, field[1])
            for name, field in fields.items()
        }
        schema = _schema_of(expressible) or {}
    return {
        "title": "Parameters",
        "type": "object",
        "properties": schema.get("properties", {}),
        "required": schema.get("required", []),
        "definitions": schema.get("$defs", {}),
    }


def docstring_descriptions(docstring: str) -> dict[str, str]:
    r"""Read what a Google-style docstring says about each argument.

    Args:
        docstring: A docstring without common indentation, as `inspect.getdoc` gives it.

    Returns:
        Descriptions by argument name, each on one line.

    Example:
        >>> docstring_descriptions("Add.\n\nArgs:\n    x (int): One\n        number.\n")
        {'x': 'One number.'}
    """
    lines = iter(docstring.splitlines())
    for line in lines:
        if _SECTION.match(line):
            break
    descriptions: dict[str, str] = {}
    entry_indent: int | None = None
    name = ""
    for line in lines:
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if not text:
            continue
        if indent == 0:
            break
        if entry_indent is None:
            entry_indent = indent
        entry = _ENTRY.match(text) if indent == entry_indent else None
        if entry:
            name = entry["name"]
            descriptions[name] = entry["text"]
        elif name:
            descriptions[name] = f"{descriptions[name]} {text}".strip()
    return descriptions


def _field(own: Parameters, name: str, position: int, description: str | None) -> tuple[Any, Any]:
    import pydantic
    from pydantic.fields import FieldInfo

    annotation = own.annotations.get(name, Any)
    default = own.defaults.get(name, ...)
    if isinstance(annotation, str):
        annotation = Any
    elif is_v1_model(annotation):
        described = {"type": "object", "title": annotation.__name__}
        annotation = Annotated[Any, pydantic.WithJsonSchema(described)]
    if name == own.var_positional:
        annotation, default = list[annotation], []
    elif name == own.var_keyword:
        annotation, default = dict[str, annotation], {}
    if isinstance(default, FieldInfo):
        annotation, description = (
            Annotated[annotation, default],
            default.description or description,
        )
        default = ... if default.is_required() else default.get_default(call_default_factory=True)
    field = pydantic.Field(
        default=cast("Any", default),
        alias=name,
        title=name,
        description=description,
        json_schema_extra={"position": position},
    )
    return annotation, field


def _schema_of(fields: dict[str, tuple[Any, Any]]) -> dict[str, Any] | None:
    """Let pydantic write the schema; None where an annotation is beyond it."""
    import pydantic
    from pydantic.json_schema import GenerateJsonSchema

    class Schema(GenerateJsonSchema):
        ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

        def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
            del schema, error_info
            return {}

    # Fields are numbered: a parameter may be named as a field cannot be, e.g. `_x` or `copy`.
    numbered = {f"p{position}": field for position, field in enumerate(fields.values())}
    try:
        model = cast("Any", pydantic.create_model)(
            "Parameters",
            __config__=pydantic.ConfigDict(arbitrary_types_allowed=True),
            **numbered,
        )
        return model.model_json_schema(
            schema_generator=Schema, ref_template="#/definitions/{model}"
        )
    except Exception:  # noqa: BLE001 - whatever the reason, the caller leaves the annotation out
        return None
