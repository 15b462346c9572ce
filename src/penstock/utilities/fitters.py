"""Tells without pydantic that a value already is what its annotation says.

A fitter takes a value and returns it as pydantic would: containers copied, an int for a float
cast. Where it is not sure it raises `MisfitError`, and pydantic decides. It never refuses a value.
"""

from __future__ import annotations

import collections.abc
import datetime as dt
import functools
import inspect
import sys
import types
import uuid
from collections.abc import Callable, Hashable
from typing import Any, Literal, TypeAlias, Union, cast, get_args, get_origin

Fitter: TypeAlias = Callable[[Any], Any]

SCALARS: frozenset[Any] = frozenset(
    {
        bool,
        bytes,
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        float,
        int,
        str,
        types.NoneType,
        uuid.UUID,
    }
)
"""Types whose instances fit as they are."""

_ANY: frozenset[Any] = frozenset({Any, object, inspect.Parameter.empty})
_CONTAINERS: frozenset[Any] = frozenset({dict, frozenset, list, set, tuple})
UNIONS: frozenset[Any] = frozenset({Union, types.UnionType})
_COMMON_ORIGINS: frozenset[Any] = frozenset(
    {
        *_CONTAINERS,
        collections.abc.Callable,
        collections.abc.Iterable,
        collections.abc.Mapping,
        collections.abc.MutableMapping,
        collections.abc.MutableSequence,
        collections.abc.Sequence,
        collections.abc.Set,
        type,
    }
)


class MisfitError(Exception):
    """The value may or may not be what the annotation says."""


def fitter_of(annotation: Any) -> Fitter | None:
    """Return the fitter of an annotation, or None where only pydantic can tell."""
    if not isinstance(annotation, Hashable):
        return None
    try:
        make = _MAKERS.get(get_origin(annotation))
        return make(get_args(annotation)) if make else _fitter_of_class(annotation)
    except TypeError:  # an annotation with something unhashable inside
        return None


def is_surely_valid(annotation: Any) -> bool:
    """Say whether values can be validated against an annotation, without asking pydantic."""
    if annotation is None or annotation is Any or isinstance(annotation, type):
        return True
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return True
    if origin in UNIONS or origin in _COMMON_ORIGINS:
        return all(
            argument is ... or isinstance(argument, (list, str)) or is_surely_valid(argument)
            for argument in arguments
        )
    return False


def _fitter_of_class(annotation: Any) -> Fitter | None:
    if annotation in _ANY:
        return _keep
    if annotation is float:
        return _fit_float
    if annotation in _CONTAINERS:
        return _copy_of(annotation)
    if annotation is None or annotation in SCALARS or _is_foreign_class(annotation):
        return _exactly(frozenset({types.NoneType if annotation is None else annotation}))
    return None


def _keep(value: Any) -> Any:
    return value


def _fit_float(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise MisfitError from None
    raise MisfitError


def _exactly(accepted: frozenset[Any]) -> Fitter:
    def fit(value: Any) -> Any:
        if type(value) in accepted:
            return value
        raise MisfitError

    return fit


def _copy_of(container: Any) -> Fitter:
    def fit(value: Any) -> Any:
        if type(value) is container:
            return container(value)
        raise MisfitError

    return fit


def _fit_union(members: tuple[Any, ...]) -> Fitter | None:
    others = [member for member in members if member is not types.NoneType]
    if len(others) == 1:
        inner = fitter_of(others[0])
        return inner and (lambda value: None if value is None else inner(value))
    # Of several, only those that fit exactly: pydantic knows which of the others comes first.
    return _exactly(frozenset(members)) if all(member in SCALARS for member in members) else None


def _fit_literal(choices: tuple[Any, ...]) -> Fitter:
    exact: set[tuple[Any, Any]] = {(type(choice), choice) for choice in choices}

    def fit(value: Any) -> Any:
        if type(value) in SCALARS and (type(value), value) in exact:
            return value
        raise MisfitError

    return fit


def _fit_elements(container: Any, arguments: tuple[Any, ...]) -> Fitter | None:
    inner = fitter_of(arguments[0]) if len(arguments) == 1 else None
    if inner is None:
        return None

    def fit(value: Any) -> Any:
        if type(value) is not container:
            raise MisfitError
        return container([inner(element) for element in value])

    return fit


def _fit_tuple(arguments: tuple[Any, ...]) -> Fitter | None:
    if len(arguments) == 2 and arguments[1] is ...:  # noqa: PLR2004 - tuple[T, ...]
        return _fit_elements(tuple, arguments[:1])
    inners = [fitter_of(argument) for argument in arguments]
    if not inners or None in inners:
        return None
    fitters = cast("list[Fitter]", inners)

    def fit(value: Any) -> Any:
        if type(value) is not tuple:
            raise MisfitError
        elements = cast("tuple[Any, ...]", value)
        if len(elements) != len(fitters):
            raise MisfitError
        return tuple([inner(element) for inner, element in zip(fitters, elements, strict=True)])

    return fit


def _fit_dict(arguments: tuple[Any, ...]) -> Fitter | None:
    if len(arguments) != 2:  # noqa: PLR2004 - dict[K, V]
        return None
    fit_key, fit_value = fitter_of(arguments[0]), fitter_of(arguments[1])
    if fit_key is None or fit_value is None:
        return None

    def fit(value: Any) -> Any:
        if type(value) is not dict:
            raise MisfitError
        entries = cast("dict[Any, Any]", value)
        return {fit_key(key): fit_value(entry) for key, entry in entries.items()}

    return fit


def _is_foreign_class(annotation: Any) -> bool:
    """Say whether pydantic would take instances of this class without looking into them."""
    return (
        type(annotation) is type
        and annotation.__module__.partition(".")[0] not in sys.stdlib_module_names
        and not issubclass(annotation, _LOOKED_INTO)
        and not any(hasattr(cast("Any", annotation), name) for name in _MARKS_OF_FIELDS)
    )


_LOOKED_INTO = (tuple, list, dict, set, frozenset)
_MARKS_OF_FIELDS = (
    "__dataclass_fields__",
    "__get_pydantic_core_schema__",
    "__get_validators__",
    "__pydantic_config__",
    "__pydantic_core_schema__",
)

_MAKERS: dict[Any, Callable[[tuple[Any, ...]], Fitter | None]] = {
    Literal: _fit_literal,
    Union: _fit_union,
    dict: _fit_dict,
    frozenset: functools.partial(_fit_elements, frozenset),
    list: functools.partial(_fit_elements, list),
    set: functools.partial(_fit_elements, set),
    tuple: _fit_tuple,
    types.UnionType: _fit_union,
}
