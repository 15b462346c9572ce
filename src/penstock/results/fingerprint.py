"""A short sum of a task's inputs, by which a second execution knows that they are the same.

It is made of what pickling would write, walked here because a pickle itself depends on which
objects are shared, on the hash order of sets, and on the name a script goes by. Nothing of that,
and no memory address, is in a fingerprint: equal inputs have equal ones in every process.
"""

from __future__ import annotations

import copyreg
import marshal
import pickle
from _blake2 import blake2b  # as in hashlib, which would load OpenSSL: a fifth of Python's start
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, cast

from penstock.results.pickling import CONTAINERS, PROTOCOL, is_small_and_flat, size_hint
from penstock.results.scripts import canonical_module

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

FINGERPRINT_LIMIT_BYTES = 65536
"""How many bytes of an input's form are looked at unless the caller says other."""

_DIGEST_BYTES = 16
# Of these, what is read back is written as before, though they say themselves how.
_STEADY_MODULES = frozenset({"collections", "datetime", "decimal", "fractions", "pathlib", "uuid"})
_OWN_FORMS = ("__setstate__", "__getnewargs__", "__getnewargs_ex__")
_DEPTH_LIMIT = 100
_FAST_TEXT_LENGTH = 4096
# Version 0 of the format writes equal values equally: later ones mark shared and interned objects.
_FORM = 0

_TEXTS = frozenset({str, bytes})
_SCALARS = frozenset({str, bytes, int, float, complex, bool, type(None)})

_form_of = marshal.dumps
_type_of: Callable[[Any], type[Any]] = type


def fingerprint(values: Mapping[str, Any], limit_bytes: int = FINGERPRINT_LIMIT_BYTES) -> bytes:
    """Sum up a task's inputs.

    Dicts count in their order, sets in none. What cannot be pickled counts by its type's name, an
    input larger than the limit by its type, its size and its beginning, a large array or frame by
    type and size.

    Parameters:
        values: the inputs by parameter name, in the order of the signature.
        limit_bytes: how much of each input is looked at.

    Returns:
        16 bytes.

    Example:
        >>> fingerprint({"x": {1, 2}}) == fingerprint({"x": {2, 1}})
        True
    """
    return fingerprint_and_objects(values, limit_bytes)[0]


def fingerprint_and_objects(
    values: Mapping[str, Any], limit_bytes: int = FINGERPRINT_LIMIT_BYTES
) -> tuple[bytes, Collection[str]]:
    """Sum up a task's inputs, and say which of them hold objects that say how they are pickled.

    One that was read back may do that in another way than the one that was written, and its
    fingerprint is another one then.

    Parameters:
        values: as `fingerprint` takes them.
        limit_bytes: how much of each input is looked at.

    Returns:
        16 bytes, and the names of the inputs that hold such objects.
    """
    for value in values.values():
        kind = _type_of(value)
        if kind in _SCALARS:
            if kind in _TEXTS and len(value) > _FAST_TEXT_LENGTH:
                break
        elif kind not in CONTAINERS or not is_small_and_flat(value):
            break
    else:
        return blake2b(_form_of(dict(values), _FORM), digest_size=_DIGEST_BYTES).digest(), ()
    total = blake2b(digest_size=_DIGEST_BYTES)
    objects: list[str] = []
    for name, value in values.items():
        walk = _Walk(limit_bytes)
        total.update(_form_of(name, _FORM))
        total.update(_form_of_part(value, walk))
        if walk.has_objects:
            objects.append(name)
    return total.digest(), objects


def have_same_inputs(one: bytes | None, other: bytes | None) -> bool:
    """Tell whether two task runs have the same inputs, by their fingerprints.

    Parameters:
        one: a fingerprint: what `fingerprint` gives, and perhaps another 16 bytes after it that
            sum up the inputs by their origin. Either is enough.
        other: that of the other one.

    Example:
        >>> have_same_inputs(fingerprint({"x": 1}), fingerprint({"x": 1}))
        True
    """
    if one is None or other is None or one == other:
        return one == other
    if one[:_DIGEST_BYTES] == other[:_DIGEST_BYTES]:
        return True
    origin = one[_DIGEST_BYTES:]
    return len(origin) == _DIGEST_BYTES and origin == other[_DIGEST_BYTES:]


def _form_of_part(value: Any, walk: _Walk) -> bytes:
    try:
        walk.visit(value, 0)
    except _TooLarge:
        walk.add_type("large", _type_of(value), _length(value))
    except Exception:  # noqa: BLE001 - users' __reduce__ may raise anything, at any point
        walk.chunks.clear()
        walk.add_type("unpicklable", _type_of(value))
    return b"".join(walk.chunks)


def _length(value: Any) -> int:
    try:
        return len(value)
    except Exception:  # noqa: BLE001 - it has no length
        return -1


class _TooLarge(Exception):
    """The limit is reached."""


class _Walk:
    """Writes the form of one input, up to a limit."""

    __slots__ = ("chunks", "has_objects", "limit_bytes", "path", "room")

    def __init__(self, limit_bytes: int) -> None:
        self.chunks: list[bytes] = []
        self.limit_bytes = limit_bytes
        self.room = limit_bytes
        self.path: dict[int, int] = {}
        self.has_objects = False

    def add(self, data: bytes) -> None:
        """Write a chunk, which says itself where it ends."""
        self.chunks.append(data)
        self.room -= len(data)
        if self.room < 0:
            raise _TooLarge

    def add_type(self, mark: str, kind: type, size: int = 0) -> None:
        """Write a type in the place of a value; past the limit, too."""
        name = (mark, canonical_module(kind.__module__), kind.__qualname__, size)
        self.chunks.append(_form_of(name, _FORM))
        self.room -= len(self.chunks[-1])

    def visit(self, value: Any, depth: int) -> None:
        """Write the form of `value`, which is `depth` levels inside the input."""
        kind = _type_of(value)
        if kind in _SCALARS:
            if kind in _TEXTS and len(value) > self.limit_bytes:
                self.add_type("large", kind, len(value))
            else:
                self.add(_form_of(value, _FORM))
            return
        if depth > _DEPTH_LIMIT:
            self.add_type("deep", kind)
            return
        key = id(value)
        if key in self.path:
            self.add(_form_of(("cycle", depth - self.path[key]), _FORM))
            return
        self.path[key] = depth
        try:
            _VISITS.get(kind, _Walk.visit_object)(self, value, depth)
        finally:
            del self.path[key]

    def visit_all(self, mark: str, values: Collection[Any], depth: int) -> None:
        """Write the form of a sequence."""
        count = len(values)
        self.add(_form_of((mark, count), _FORM))
        if count > self.room:
            raise _TooLarge
        if self._is_flat(values):
            self.add(_form_of(tuple(values), _FORM))
            return
        for value in values:
            self.visit(value, depth + 1)

    def _is_flat(self, values: Iterable[Any]) -> bool:
        """Tell whether all are scalars that together are not too large to be written at once."""
        if not _SCALARS.issuperset(map(type, values)):
            return False
        return sum(len(value) for value in values if type(value) in _TEXTS) <= self.limit_bytes

    def visit_list(self, value: list[Any], depth: int) -> None:
        """Write a list."""
        self.visit_all("list", value, depth)

    def visit_tuple(self, value: tuple[Any, ...], depth: int) -> None:
        """Write a tuple."""
        self.visit_all("tuple", value, depth)

    def visit_dict(self, value: dict[Any, Any], depth: int) -> None:
        """Write a dict, in its order."""
        self.visit_all("keys", value.keys(), depth)
        self.visit_all("values", value.values(), depth)

    def visit_set(self, value: set[Any] | frozenset[Any], depth: int) -> None:
        """Write a set, in no order: sorted by the digests of its elements."""
        mark = "frozenset" if isinstance(value, frozenset) else "set"
        self.add(_form_of((mark, len(value)), _FORM))
        if len(value) > self.room:
            raise _TooLarge
        written, digests = self.chunks, list[bytes]()
        try:
            for element in value:
                self.chunks = []
                self.visit(element, depth + 1)
                form = b"".join(self.chunks)
                digests.append(blake2b(form, digest_size=_DIGEST_BYTES).digest())
        finally:
            self.chunks = written
        self.add(b"".join(sorted(digests)))

    def visit_bytes_like(self, value: bytearray, depth: int) -> None:
        """Write a bytearray."""
        del depth
        if len(value) > self.limit_bytes:
            self.add_type("large", type(value), len(value))
        else:
            self.add(_form_of(("bytearray", bytes(value)), _FORM))

    def visit_buffer(self, value: pickle.PickleBuffer, depth: int) -> None:
        """Write the memory that an array is made of."""
        del depth
        with value.raw() as view:
            if view.nbytes > self.limit_bytes:
                self.add_type("large", pickle.PickleBuffer, view.nbytes)
            else:
                self.add(_form_of(("buffer", view.tobytes()), _FORM))

    def visit_module(self, value: ModuleType, depth: int) -> None:
        """Count a module by its name."""
        del depth
        self.add(_form_of(("module", canonical_module(value.__name__)), _FORM))

    def visit_function(self, value: FunctionType, depth: int) -> None:
        """Count a function by its name; one that no name leads to by its code as well."""
        self._add_global(value.__module__, value.__qualname__)
        if "<" in value.__qualname__:
            self.visit_code(value.__code__, depth + 1)
            cells = [_content(cell) for cell in value.__closure__ or ()]
            self.visit([value.__defaults__, value.__kwdefaults__, cells], depth + 1)

    def visit_code(self, value: CodeType, depth: int) -> None:
        """Write what a function's code does and with which constants."""
        self.visit((value.co_code, value.co_names, value.co_consts), depth + 1)

    def _add_global(self, module: str | None, name: str) -> None:
        self.add(_form_of(("global", canonical_module(module or ""), name), _FORM))

    def visit_object(self, value: Any, depth: int) -> None:
        """Write what pickling would reduce an object to."""
        kind = _type_of(value)
        if isinstance(value, type):
            self._add_global(value.__module__, value.__qualname__)
            return
        if (size := size_hint(value)) > self.limit_bytes:
            self.add_type("large", kind, size)
            return
        if isinstance(value, set | frozenset):
            self.has_objects = True
            self._add_global(kind.__module__, kind.__qualname__)
            self.visit_set(cast("set[Any]", value), depth)
            self.visit(getattr(cast("Any", value), "__dict__", None), depth + 1)
            return
        try:
            reducer = copyreg.dispatch_table.get(kind)
            reduced: Any = reducer(value) if reducer else value.__reduce_ex__(PROTOCOL)
        except Exception:  # noqa: BLE001 - whatever the reason, it cannot be pickled
            self.add_type("unpicklable", kind)
            return
        if not (self.has_objects or kind.__module__ in _STEADY_MODULES):
            self.has_objects = reducer is not None or not _is_pickled_by_default(kind)
        if isinstance(reduced, str):
            self._add_global(getattr(value, "__module__", None), reduced)
            return
        self.add(_form_of("object", _FORM))
        make, arguments, state, items, pairs, *_ = (*reduced, None, None, None, None)
        self.visit(make, depth + 1)
        self.visit(arguments, depth + 1)
        self.visit(state, depth + 1)
        for item in items or ():
            self.visit(item, depth + 1)
        for pair in pairs or ():
            self.visit(pair, depth + 1)


def _is_pickled_by_default(kind: Any) -> bool:
    return (
        kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
        and kind.__getstate__ is object.__getstate__
        and not any(hasattr(kind, name) for name in _OWN_FORMS)
    )


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _visit_builtin(walk: _Walk, value: Any, depth: int) -> None:
    """Count a built-in function by its name; a bound one by what it is bound to as well."""
    owner = value.__self__
    if owner is None or isinstance(owner, ModuleType):
        walk.add(_form_of(("builtin", value.__module__ or "", value.__name__), _FORM))
    else:
        walk.visit((owner, value.__name__), depth + 1)


# The visits of exact types; subclasses are objects, and count by what they reduce to.
_VISITS: dict[type, Callable[[_Walk, Any, int], None]] = {
    list: _Walk.visit_list,
    tuple: _Walk.visit_tuple,
    dict: _Walk.visit_dict,
    set: _Walk.visit_set,
    frozenset: _Walk.visit_set,
    bytearray: _Walk.visit_bytes_like,
    pickle.PickleBuffer: _Walk.visit_buffer,
    ModuleType: _Walk.visit_module,
    FunctionType: _Walk.visit_function,
    CodeType: _Walk.visit_code,
    BuiltinFunctionType: _visit_builtin,
}
