from __future__ import annotations

import datetime as dt
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Optional, Union

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic.v1 import BaseModel as V1Model

from penstock.exceptions import ParameterTypeError, SignatureMismatchError
from penstock.utilities.callables import Parameters, check_signature, validate_parameters
from penstock.utilities.fitters import MisfitError, fitter_of

if TYPE_CHECKING:
    import collections as only_for_type_checkers


class Model(pydantic.BaseModel):
    x: int


class Old(V1Model):
    x: int


class Plain:
    pass


class Pair(NamedTuple):
    a: int
    b: int


class Broken:
    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        raise RuntimeError("broken")


@dataclass
class Data:
    x: int


def takes(annotation, default=...):
    def fn(value): ...

    fn.__annotations__ = {"value": annotation}
    if default is not ...:
        fn.__defaults__ = (default,)
    return fn


def numbered(*cases):
    """Give each case an id that is its own and the same in every process."""
    return [pytest.param(*case, id=f"{case[0]}-{index}") for index, case in enumerate(cases)]


THING = Plain()
MODEL = Model(x=1)


@pytest.mark.parametrize(
    ("annotation", "value", "result"),
    numbered(
        (int, 1, 1),
        (int, "1", 1),
        (int, True, 1),
        (float, 1, 1.0),
        (float, "1.5", 1.5),
        (str, "a", "a"),
        (bool, "yes", True),
        (bytes, b"a", b"a"),
        (Any, THING, THING),
        (object, THING, THING),
        (None, None, None),
        (list, (1,), [1]),
        (list[int], ["1", 2], [1, 2]),
        (list[float], [1], [1.0]),
        (set[int], {1}, {1}),
        (tuple[int, str], (1, "a"), (1, "a")),
        (tuple[int, str], ["1", "a"], (1, "a")),
        (tuple[int, ...], (1, 2, 3), (1, 2, 3)),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (dict[str, list[int]], {"a": ["1"]}, {"a": [1]}),
        (Optional[int], None, None),  # noqa: UP045 - as users write it
        (Union[int, str], "1", "1"),  # noqa: UP007 - as users write it
        (int | None, "1", 1),
        (float | None, 1, 1.0),
        (Literal["a", 1], "a", "a"),
        (Annotated[int, pydantic.Field(gt=0)], "1", 1),
        (dt.datetime, "2024-01-01T00:00:00", dt.datetime(2024, 1, 1)),  # noqa: DTZ001
        (dt.timedelta, 60, dt.timedelta(minutes=1)),
        (uuid.UUID, "00000000-0000-0000-0000-000000000001", uuid.UUID(int=1)),
        (Path, "a/b", Path("a/b")),
        (Model, {"x": "1"}, Model(x=1)),
        (Model, MODEL, MODEL),
        (list[Model], [{"x": 1}], [Model(x=1)]),
        (Data, {"x": "1"}, Data(x=1)),
        (Pair, ("1", 2), Pair(1, 2)),
        (Plain, THING, THING),
        (list[Plain], [THING], [THING]),
        (Callable[[int], int], len, len),
        (Sequence[int], ("1",), (1,)),
        (Old, {"x": "1"}, Old(x=1)),
        (Old, Old(x=1), Old(x=1)),
        (pydantic.SecretStr, "s", pydantic.SecretStr("s")),
    ),
)
def test_values_are_cast_to_their_annotation(annotation, value, result):
    valid = validate_parameters(takes(annotation), {"value": value})["value"]
    assert valid == result
    assert type(valid) is type(result)


@pytest.mark.parametrize(
    ("annotation", "value", "problem"),
    numbered(
        (int, "x", "value: Input should be a valid integer"),
        (int, 1.5, "value: Input should be a valid integer"),
        (str, 1, "value: Input should be a valid string"),
        (float, 10**400, "value: Input should be a valid number"),
        (list[int], [1, "x"], "value[1]: Input should be a valid integer"),
        (list[int], 3, "value: Input should be a valid list"),
        (dict[str, int], {"a": "x"}, "value.a: Input should be a valid integer"),
        (Model, {"x": "a"}, "value.x: Input should be a valid integer"),
        (Model, {}, "value.x: a value is required"),
        (Plain, 3, "value: Input should be an instance of Plain"),
        (Literal["a", "b"], "c", "value: Input should be 'a' or 'b'"),
        (Annotated[int, pydantic.Field(gt=0)], 0, "value: Input should be greater than 0"),
        (Old, {"x": "a"}, "value.x: value is not a valid integer"),
        (pydantic.SecretStr, 3, "value: Input should be a valid string"),
        (Broken, 3, "value: cannot be validated against"),
    ),
)
def test_a_value_that_does_not_fit_is_named_with_the_reason(annotation, value, problem):
    with pytest.raises(ParameterTypeError) as caught:
        validate_parameters(takes(annotation), {"value": value})
    assert f" - {problem}" in str(caught.value)
    assert "takes.<locals>.fn" in str(caught.value)


def test_every_bad_value_is_listed():
    def fn(a: int, b: str, c: float, d: int): ...

    with pytest.raises(ParameterTypeError) as caught:
        validate_parameters(fn, {"a": "x", "b": 2, "c": 3.0})
    message = str(caught.value)
    assert "a: Input should be a valid integer" in message
    assert "b: Input should be a valid string, unable" not in message
    assert "b: Input should be a valid string, not 2" in message
    assert "d: a value is required" in message
    assert "c:" not in message.replace("c: float", "")
    assert "It takes (a: int, b: str, c: float, d: int)." in message


def test_unknown_names_are_refused():
    with pytest.raises(SignatureMismatchError, match="'zz'"):
        validate_parameters(takes(int), {"value": 1, "zz": 1})


def test_only_what_was_given_comes_back_in_order():
    def fn(a: int, b: int = 2, c: int = 3): ...

    assert list(validate_parameters(fn, {"c": "1", "a": "2"}).items()) == [("a", 2), ("c", 1)]


def test_checked_containers_are_copies():
    given_list, given_model = [1], Model(x=1)
    valid = validate_parameters(takes(list[int]), {"value": given_list})["value"]
    assert valid == given_list
    assert valid is not given_list
    assert validate_parameters(takes(Model), {"value": given_model})["value"] is given_model


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        (dt.date, "2024-05-01", dt.date(2024, 5, 1)),
        (Path, "data", Path("data")),
        (float, 3, 3.0),
        (set[str], (), set()),
        (Model, {"x": "2"}, Model(x=2)),
        (Path | None, Path("data"), Path("data")),
    ],
)
def test_a_default_is_cast(annotation, default, expected):
    own = Parameters.of(takes(annotation, default))

    value = validate_parameters(own, own.bind((), {}))["value"]

    assert value == expected
    assert type(value) is type(expected)


def test_a_default_that_is_a_container_is_copied():
    default = [1]
    own = Parameters.of(takes(list[int], default))

    assert validate_parameters(own, own.bind((), {}))["value"] is not default


@pytest.mark.parametrize(("annotation", "default"), [(int, None), (int, "none"), (Model, None)])
def test_a_default_that_does_not_fit_is_taken_as_it_is(annotation, default):
    assert validate_parameters(takes(annotation, default), {"value": default}) == {
        "value": default
    }
    with pytest.raises(ParameterTypeError):
        validate_parameters(takes(annotation, default), {"value": "other"})


def test_a_default_that_plainly_fits_needs_no_pydantic():
    code = """if True:
        import enum, pathlib, sys
        from penstock.utilities.validation import validate_parameters
        Level = enum.Enum("Level", "LOW HIGH")
        def fn(where: pathlib.Path = pathlib.Path("a"), level: Level | None = Level.LOW,
               day: int = None, names: list[str] = []): ...
        validate_parameters(fn, dict(zip(["where", "level", "day", "names"], fn.__defaults__)))
        print("pydantic" in sys.modules)
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_pydantic_fields_as_defaults():
    fn = takes(int, pydantic.Field(default=3, gt=2))
    own = Parameters.of(fn)
    assert validate_parameters(own, own.bind((), {})) == {"value": 3}
    assert validate_parameters(own, {"value": "5"}) == {"value": 5}
    with pytest.raises(ParameterTypeError, match="greater than 2"):
        validate_parameters(own, {"value": 1})
    required = Parameters.of(takes(int, pydantic.Field(gt=2)))
    with pytest.raises(ParameterTypeError, match="value: a value is required"):
        validate_parameters(required, required.bind((), {}))


def test_variadic_parameters_are_checked_one_by_one():
    def fn(*args: int, **kwargs: float): ...

    own = Parameters.of(fn)
    valid = validate_parameters(own, own.bind(("1", 2), {"a": 1}))
    assert valid == {"args": (1, 2), "kwargs": {"a": 1.0}}
    with pytest.raises(ParameterTypeError) as caught:
        validate_parameters(own, own.bind((1, "x"), {"a": "y"}))
    assert "args[1]: " in str(caught.value)
    assert "kwargs.a: " in str(caught.value)


def test_odd_names_are_no_trouble():
    def fn(_x: int, model_config: int, copy: int, self: int, value: int): ...

    names = ("_x", "model_config", "copy", "self", "value")
    valid = validate_parameters(fn, dict.fromkeys(names, "1"))
    assert valid == dict.fromkeys(names, 1)


def test_what_only_type_checkers_know_is_not_checked():
    def fn(x: only_for_type_checkers.Counter, y: int): ...

    check_signature(fn)
    assert validate_parameters(fn, {"x": THING, "y": "1"}) == {"x": THING, "y": 1}


def test_models_of_pydantic_1_and_2_together_are_refused():
    def fn(a: Any, b: Any): ...

    with pytest.raises(ParameterTypeError, match="a: models of pydantic 1 cannot be given"):
        validate_parameters(fn, {"a": Old(x=1), "b": Model(x=1)})
    assert validate_parameters(fn, {"a": Old(x=1), "b": 1})["a"] == Old(x=1)


@pytest.mark.parametrize(
    "annotation",
    [int, list[int], dict[str, Any], Plain, Callable, Callable[[int], int], Model, "Unknown"],
    ids=str,
)
def test_signatures_that_can_be_validated(annotation):
    check_signature(takes(annotation))
    check_signature(takes(annotation, None))


@pytest.mark.parametrize(
    ("annotation", "default"),
    numbered(
        (5, None),
        ([int], None),
        ((int, str), None),
        (ClassVar[int], None),
        (type[5], None),
        (Annotated[Broken, 1], None),
        (Broken, pydantic.Field()),
    ),
)
def test_a_signature_that_cannot_be_validated_is_refused_at_definition(annotation, default):
    with pytest.raises(ValueError, match=r"Parameter 'value' of .*validate_parameters=False"):
        check_signature(takes(annotation, default))


def test_plain_values_and_signatures_need_no_pydantic():
    code = """
import sys
from penstock.utilities.callables import *
class Thing: pass
def fn(a: int, b: str | None, c: list[int], d: dict[str, float], e, f: Thing, *args: int): ...
own = Parameters.of(fn)
check_signature(own)
validate_parameters(own, own.bind((1, None, [1], {"a": 1}, object(), Thing(), 1, 2), {}))
print("pydantic" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


annotations = st.recursive(
    st.sampled_from([int, str, float, bool, bytes, None, Any, int | str, Literal["a", 1]]),
    lambda inner: st.one_of(
        inner.map(lambda a: list[a]),
        inner.map(lambda a: tuple[a, ...]),
        st.tuples(inner, inner).map(lambda pair: tuple[pair]),
        inner.map(lambda a: dict[str, a]),
        inner.map(lambda a: Union[a, None]),  # noqa: UP007 - `a` may be None
    ),
    max_leaves=4,
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=3)
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=5,
)


@given(annotations, values)
def test_what_is_told_without_pydantic_is_what_pydantic_says(annotation, value):
    fit = fitter_of(annotation)
    if fit is None:
        return
    try:
        fitted = fit(value)
    except MisfitError:
        return
    checked = pydantic.TypeAdapter(annotation).validate_python(value)
    assert repr(fitted) == repr(checked)
