from __future__ import annotations

import inspect
from typing import Any

import pydantic
from pydantic.v1 import BaseModel as V1Model

from penstock.utilities.callables import Parameters, parameter_schema
from penstock.utilities.schemas import docstring_descriptions


class Model(pydantic.BaseModel):
    x: int


class Old(V1Model):
    x: int


class Plain:
    pass


def described(a: int, b: str = "x", *, c: list[float] | None = None, d=1):
    """Do a thing.

    It is described.

    Args:
        a: The first,
            on two lines.
        b (str): The second: with a colon.

        c (list, optional):
            The third.

    Returns:
        d: not an argument.
    """


def test_a_schema_has_types_defaults_positions_and_descriptions():
    assert parameter_schema(described) == {
        "title": "Parameters",
        "type": "object",
        "properties": {
            "a": {
                "title": "a",
                "type": "integer",
                "position": 0,
                "description": "The first, on two lines.",
            },
            "b": {
                "title": "b",
                "type": "string",
                "default": "x",
                "position": 1,
                "description": "The second: with a colon.",
            },
            "c": {
                "title": "c",
                "anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "null"}],
                "default": None,
                "position": 2,
                "description": "The third.",
            },
            "d": {"title": "d", "default": 1, "position": 3},
        },
        "required": ["a"],
        "definitions": {},
    }


def test_no_parameters():
    schema = parameter_schema(lambda: None)
    assert schema["properties"] == {}
    assert schema["required"] == []


def test_models_are_definitions():
    def fn(m: Model, n: list[Model]): ...

    schema = parameter_schema(fn)
    assert schema["properties"]["m"]["$ref"] == "#/definitions/Model"
    assert schema["properties"]["n"]["items"] == {"$ref": "#/definitions/Model"}
    assert schema["definitions"]["Model"]["properties"]["x"]["type"] == "integer"


def test_what_a_schema_cannot_say_allows_anything():
    thing = Plain()

    def fn(a: Plain, b: Nowhere, c: Any = thing, d: int = 1): ...  # noqa: F821

    schema = parameter_schema(fn)
    assert schema["properties"]["a"] == {"title": "a", "position": 0}
    assert schema["properties"]["b"] == {"title": "b", "position": 1}
    assert schema["properties"]["c"] == {"title": "c", "position": 2}
    assert schema["properties"]["d"]["type"] == "integer"
    assert schema["required"] == ["a", "b"]


def test_one_impossible_annotation_does_not_spoil_the_others():
    def fn(a, b: int): ...

    fn.__annotations__["a"] = type[5]
    fn.__annotations__["b"] = int
    properties = parameter_schema(fn)["properties"]
    assert properties["a"] == {"title": "a", "position": 0}
    assert properties["b"]["type"] == "integer"


def test_fields_models_of_pydantic_1_and_variadics():
    def fn(
        a: Old,
        *args: int,
        b: int = pydantic.Field(default=3, gt=2, description="From the field."),
        **kwargs: str,
    ): ...

    properties = parameter_schema(Parameters.of(fn))["properties"]
    assert properties["a"] == {"title": "Old", "type": "object", "position": 0} | {"title": "a"}
    assert properties["args"]["items"] == {"type": "integer"}
    assert properties["b"]["exclusiveMinimum"] == 2
    assert properties["b"]["default"] == 3
    assert properties["b"]["description"] == "From the field."
    assert properties["kwargs"]["additionalProperties"] == {"type": "string"}


def test_odd_names():
    def fn(_x: int, copy: int, model_config: int): ...

    assert list(parameter_schema(fn)["properties"]) == ["_x", "copy", "model_config"]


def test_descriptions_of_docstrings():
    assert docstring_descriptions("") == {}
    assert docstring_descriptions("No arguments.") == {}
    text = inspect.cleandoc("""Args:
        *args: Many.
        **kwargs (int): Named.

    Args:
        x: Not read.
    """)
    assert docstring_descriptions(text) == {"args": "Many.", "kwargs": "Named."}
