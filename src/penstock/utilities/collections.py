"""Walks through nested data: finds what is inside, or builds a copy with parts replaced.

The engine finds futures, states and results in the arguments of a call this way.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import decimal
import enum
import io
import itertools
import pathlib
import sys
import types
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from penstock.utilities.annotations import BaseAnnotation

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LEAF_TYPES", "AutoEnum", "StopVisiting", "fields_of", "isiterable", "visit_collection"]

LEAF_TYPES: frozenset[type[Any]] = frozenset(
    {
        bool,
        bytearray,
        bytes,
        complex,
        dt.date,
        dt.datetime,
        dt.time,
        dt.timedelta,
        decimal.Decimal,
        float,
        int,
        pathlib.PosixPath,
        pathlib.WindowsPath,
        range,
        str,
        type,
        types.BuiltinFunctionType,
        types.EllipsisType,
        types.FunctionType,
        types.ModuleType,
        types.NoneType,
        types.NotImplementedType,
        uuid.UUID,
    }
)
"""Exact types that nothing else can be inside of; a value of one of them is never looked into."""

_MODEL_MODULES = ("pydantic.main", "pydantic.v1.main")

Visit: TypeAlias = Callable[..., Any]


class StopVisiting(Exception):
    """Raised by a `visit_fn`: do not look into this expression.

    Args:
        value: With `return_data`, what stands in its place; the expression itself if not given.
    """

    def __init__(self, *value: Any) -> None:
        super().__init__(*value)
        self.has_value = bool(value)
        self.value = value[0] if value else None


class AutoEnum(enum.StrEnum):
    """An enumeration of text whose values are the names of its members, by `AutoEnum.auto()`.

    Example:
        >>> class Colour(AutoEnum):
        ...     RED = AutoEnum.auto()
        >>> Colour.RED.value
        'RED'
    """

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[Any]) -> str:
        del start, count, last_values
        return name

    @staticmethod
    def auto() -> Any:
        """Stand for the member's own name."""
        return enum.auto()

    def __repr__(self) -> str:
        """Show class and member."""
        return f"{type(self).__name__}.{self.value}"


def isiterable(value: Any) -> bool:
    """Say whether a value can be iterated over, leaving out text, bytes and files.

    Example:
        >>> isiterable([1]), isiterable("text")
        (True, False)
    """
    try:
        iter(value)
    except TypeError:
        return False
    return not isinstance(value, (str, bytes, bytearray, io.IOBase))


def fields_of(value: Any) -> list[Any]:
    """Give what the fields of a data class's or pydantic model's instance hold; else nothing."""
    if isinstance(value, type):
        return []
    kind = cast("type[Any]", type(value))
    if hasattr(kind, "__dataclass_fields__"):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    for module in _MODEL_MODULES:
        main = sys.modules.get(module)
        if main is not None and main.BaseModel in kind.__mro__:
            extras: dict[str, Any] = getattr(value, "__pydantic_extra__", None) or {}
            return [*value.__dict__.values(), *extras.values()]
    return []


def visit_collection(
    expr: Any,
    visit_fn: Visit,
    return_data: bool = False,  # noqa: FBT001, FBT002 - by position, as users know it
    max_depth: int = -1,
    context: dict[str, Any] | None = None,
    remove_annotations: bool = False,  # noqa: FBT001, FBT002 - as above
) -> Any:
    """Call `visit_fn` on an expression, then on every part of it.

    Looked into are lists, tuples, sets, dictionaries (keys and values) and ordered dictionaries of
    exactly these types, dataclass instances, pydantic models, annotations (`unmapped(x)` and the
    like) and iterators. All else is a part without parts. A part that contains itself is visited
    once and not looked into again.

    Args:
        expr: The expression.
        visit_fn: Called with a part, and with a context if one is given. It may raise
            `StopVisiting` to keep the walk from going deeper there.
        return_data: Build a copy, where each part is what `visit_fn` returned for it.
        max_depth: How many levels to go down; 0 is the expression alone, negative no limit.
        context: Handed to `visit_fn`, a copy for each level; `context["annotation"]` is the
            innermost annotation around the part.
        remove_annotations: In the copy, put the contents in the place of annotations.

    Returns:
        The copy with `return_data`, else None. Collections in which nothing was replaced are
        handed on as they are, iterators as lists. A part that contains itself is, inside the copy,
        the original.

    Example:
        >>> visit_collection([1, {"x": 2}], lambda x: -x if isinstance(x, int) else x, True)
        [-1, {'x': -2}]
    """
    walk = _Walk(visit_fn, return_data, remove_annotations)
    result = walk.visit(expr, max_depth, context)
    return result if return_data else None


class _Walk:
    """One walk: what to do at each part, and the parts that are being looked into now."""

    __slots__ = ("open_parts", "remove_annotations", "return_data", "visit_fn")

    def __init__(self, visit_fn: Visit, return_data: bool, remove_annotations: bool) -> None:  # noqa: FBT001
        self.visit_fn = visit_fn
        self.return_data = return_data
        self.remove_annotations = remove_annotations
        self.open_parts: set[int] = set()

    def visit(self, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
        if id(expr) in self.open_parts:
            return expr
        result: object
        try:
            if context is None:
                result = self.visit_fn(expr)
            else:
                context = dict(context)
                result = self.visit_fn(expr, context)
        except StopVisiting as stop:
            return stop.value if stop.has_value else expr
        if not self.return_data:
            result = expr
        if depth == 0 or type(result) in LEAF_TYPES:
            return result
        look_into = _LOOK_INTO.get(type(result)) or _find_look_into(result)
        if look_into is None or id(result) in self.open_parts:
            return result
        # Both: `visit_fn` may have made a copy that still holds the original.
        opened = {id(expr), id(result)}
        self.open_parts |= opened
        try:
            return look_into(self, result, depth - 1, context)
        finally:
            self.open_parts -= opened

    def visit_all(
        self, parts: Iterable[Any], depth: int, context: dict[str, Any] | None
    ) -> list[Any]:
        return [self.visit(part, depth, context) for part in parts]


_LookInto: TypeAlias = Callable[[_Walk, Any, int, "dict[str, Any] | None"], Any]


def _into_sequence(walk: _Walk, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
    parts = list(expr)
    results = walk.visit_all(parts, depth, context)
    return type(expr)(results) if _differ(parts, results) else expr


def _into_mapping(walk: _Walk, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
    keys, values = list(expr.keys()), list(expr.values())
    new_keys: list[Any] = []
    new_values: list[Any] = []
    for key, value in zip(keys, values, strict=True):
        new_keys.append(walk.visit(key, depth, context))
        new_values.append(walk.visit(value, depth, context))
    if not _differ(keys, new_keys) and not _differ(values, new_values):
        return expr
    return type(expr)(zip(new_keys, new_values, strict=True))


def _into_iterator(walk: _Walk, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
    return walk.visit_all(expr, depth, context)


def _into_annotation(walk: _Walk, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
    if context is not None:
        context = {**context, "annotation": expr}
    content = expr.unwrap()
    result = walk.visit(content, depth, context)
    if walk.remove_annotations and walk.return_data:
        return result
    return expr if result is content else expr.rewrap(result)


def _into_dataclass(walk: _Walk, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
    fields = [field for field in dataclasses.fields(expr) if hasattr(expr, field.name)]
    parts = [getattr(expr, field.name) for field in fields]
    results = walk.visit_all(parts, depth, context)
    if not _differ(parts, results):
        return expr
    given = {field.name: result for field, result in zip(fields, results, strict=True)}
    rebuilt = type(expr)(**{field.name: given[field.name] for field in fields if field.init})
    for field in fields:
        if not field.init:
            object.__setattr__(rebuilt, field.name, given[field.name])
    return rebuilt


def _into_model(walk: _Walk, expr: Any, depth: int, context: dict[str, Any] | None) -> Any:
    """Look into a pydantic model, of pydantic 2 or 1: its fields and its extras."""
    is_v2 = hasattr(expr, "__pydantic_fields_set__")
    fields: dict[str, Any] = expr.__class__.model_fields if is_v2 else expr.__fields__
    extras: dict[str, Any] | None = expr.__pydantic_extra__ if is_v2 else expr.__dict__
    known = {**fields, **(extras or {})}
    names = [name for name in known if hasattr(expr, name)]
    parts = [getattr(expr, name) for name in names]
    results = walk.visit_all(parts, depth, context)
    if not _differ(parts, results):
        return expr
    changed = dict(zip(names, results, strict=True))
    return _rebuilt_model(expr, fields, changed, is_v2=is_v2)


def _rebuilt_model(
    expr: Any, fields: dict[str, Any], values: dict[str, Any], *, is_v2: bool
) -> Any:
    """Make the model anew through its own validation, then restore what that does not know."""
    given: dict[str, Any] = {}
    for name, value in values.items():
        alias = _alias_of(fields[name]) if name in fields else None
        given[alias or name] = value
    rebuilt = type(expr)(**given)
    if is_v2:
        kept = ["__pydantic_fields_set__", "__pydantic_private__"]
    else:
        kept = ["__fields_set__", *expr.__private_attributes__]
    for name in kept:
        object.__setattr__(rebuilt, name, copy.copy(getattr(expr, name)))
    return rebuilt


def _alias_of(field: Any) -> str | None:
    for name in ("validation_alias", "alias"):
        alias = getattr(field, name, None)
        if isinstance(alias, str):
            return alias
    return None


def _differ(parts: list[Any], results: list[Any]) -> bool:
    return any(part is not result for part, result in zip(parts, results, strict=True))


def _find_look_into(expr: object) -> _LookInto | None:
    """Find how to look into an expression whose exact type is not in the table."""
    if isinstance(expr, BaseAnnotation):
        return _into_annotation
    cls = type(expr)
    if hasattr(cls, "__dataclass_fields__"):
        return _into_dataclass
    if _is_model(expr):
        return _into_model
    # Files and readers are iterators too, but reading them is left to the function.
    if isinstance(expr, Iterator) and cls.__module__ in ("builtins", "itertools"):
        return None if cls in _ENDLESS else _into_iterator
    return None


def _is_model(expr: Any) -> bool:
    for module in _MODEL_MODULES:
        main = sys.modules.get(module)
        if main is not None and isinstance(expr, main.BaseModel):
            return True
    return False


_ENDLESS = frozenset({itertools.count, itertools.cycle, itertools.repeat})

_LOOK_INTO: dict[type[Any], _LookInto] = {
    dict: _into_mapping,
    list: _into_sequence,
    set: _into_sequence,
    tuple: _into_sequence,
    OrderedDict: _into_mapping,
    types.GeneratorType: _into_iterator,
}
