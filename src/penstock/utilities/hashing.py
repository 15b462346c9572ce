"""Hashes of values that are the same in every process, for cache keys.

A value is hashed by its type and contents: a dictionary whatever its order, an object by what it
would be pickled from, a Python function by its code, a class by its name. Never by identity, and
never in part: what cannot be hashed is an error that says where it is.
"""

from __future__ import annotations

import copyreg
import hashlib
import sys
import types
from typing import TYPE_CHECKING, Any, cast

from penstock.exceptions import PenstockException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

__all__ = ["HashError", "file_hash", "hash_arguments", "hash_objects", "stable_hash"]

_DIGEST_BYTES = 16
_PLAIN = frozenset({bool, float, str, types.NoneType})
"""Types whose `repr` tells type and value."""

_TEXT = frozenset({str})
_PLAIN_OR_INT = _PLAIN | {int}
"""The same for int, but `repr` refuses ints of more than some thousand digits."""


class HashError(PenstockException, ValueError):
    """A value has no hash that another process would get for the same value.

    Attributes:
        path: Where it is, e.g. `arguments['config']['lock']`.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path} cannot be hashed: {reason}. Pass what it is made from instead (a path, a URL,"
            " an id), or give the task a cache_key_fn that leaves it out."
        )
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by what it was made from."""
        return HashError, (self.path, self.reason)


def stable_hash(*parts: str | bytes) -> str:
    """Hash text or bytes; where one part ends and the next begins counts.

    Args:
        parts: Text (hashed as UTF-8) or bytes.

    Returns:
        32 hexadecimal digits, the same in every process.
    """
    return _digest(b"parts", [_as_bytes(part) for part in parts]).hex()


def hash_objects(*args: Any, **kwargs: Any) -> str | None:
    """Hash any values by type and contents.

    Args:
        args: Values; their order counts.
        kwargs: Values by name; their order does not count.

    Returns:
        32 hexadecimal digits, or None where one of the values cannot be hashed.

    Example:
        >>> hash_objects({"a": 1, "b": 2}) == hash_objects({"b": 2, "a": 1})
        True
    """
    try:
        return _Hasher().hash((args, kwargs), "arguments").hex()
    except HashError:
        return None


def hash_arguments(arguments: Mapping[str, Any]) -> str:
    """Hash the arguments of a call.

    Args:
        arguments: Values by name; their order does not count.

    Returns:
        32 hexadecimal digits.

    Raises:
        HashError: A value in them cannot be hashed; the message has the path to it.
    """
    return _Hasher().hash(dict(arguments), "arguments").hex()


def file_hash(path: str | Path) -> str:
    """Hash the contents of a file.

    Args:
        path: The file.

    Returns:
        32 hexadecimal digits.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - takes text as well as paths
        return hashlib.file_digest(file, _new_hash).hexdigest()


class _Hasher:
    """One hash: the digests of what was met already, and what is being hashed now."""

    __slots__ = ("known", "open_values")

    def __init__(self) -> None:
        # The value is kept beside its digest: an id counts only as long as its object lives.
        self.known: dict[int, tuple[bytes, Any]] = {}
        self.open_values: dict[int, int] = {}

    def hash(self, value: Any, path: str) -> bytes:
        try:
            return self.digest(value, path)
        except RecursionError:
            raise HashError(path, "it is nested too deeply") from None

    def digest(self, value: object, path: str) -> bytes:
        """Return the digest of a value; one that contains itself counts by its depth there."""
        cls = type(value)
        if cls in _PLAIN:
            return _digest(b"plain", [repr(value).encode("utf-8", "surrogatepass")])
        if cls is int:
            return _digest(b"int", [b"%x" % value])
        if cls is bytes:
            return _digest(b"bytes", [cast("bytes", value)])
        key = id(value)
        if key in self.known:
            return self.known[key][0]
        if key in self.open_values:
            return _digest(b"around", [str(self.open_values[key]).encode()])
        self.open_values[key] = len(self.open_values)
        try:
            how = _HOW.get(cls, _hash_object)
            digest = how(self, value, path)
        finally:
            del self.open_values[key]
        self.known[key] = (digest, value)
        return digest

    def elements(self, values: Iterable[Any], path: str) -> list[bytes]:
        return [self.digest(value, f"{path}[{index}]") for index, value in enumerate(values)]

    def entries(self, mapping: Mapping[Any, Any], path: str, form: str = "[{!r}]") -> list[bytes]:
        """Return the digests of keys with their values, in an order of their own."""
        pairs: list[bytes] = []
        for key, value in mapping.items():
            place = path + form.format(key)
            pairs.append(self.digest(key, f"key {key!r} of {path}") + self.digest(value, place))
        return sorted(pairs)


def _hash_list(hasher: _Hasher, value: list[Any] | tuple[Any, ...], path: str) -> bytes:
    tag = type(value).__name__.encode()
    if value and _PLAIN_OR_INT.issuperset(cast("Iterable[Any]", map(type, value))):
        try:
            # One `repr` for all is a hundred times faster, and as exact.
            text = repr(value)
        except ValueError:  # an int of thousands of digits
            pass
        else:
            return _digest(tag + b" of plain", [text.encode("utf-8", "surrogatepass")])
    return _digest(tag, hasher.elements(value, path))


def _hash_set(hasher: _Hasher, value: set[Any] | frozenset[Any], path: str) -> bytes:
    digests = [hasher.digest(element, f"an element of {path}") for element in value]
    return _digest(type(value).__name__.encode(), sorted(digests))


def _hash_dict(hasher: _Hasher, value: dict[Any, Any], path: str) -> bytes:
    if _TEXT.issuperset(map(type, value)) and _PLAIN_OR_INT.issuperset(map(type, value.values())):
        try:
            text = repr(sorted(value.items()))
        except ValueError:  # an int of thousands of digits
            pass
        else:
            return _digest(b"dict of plain", [text.encode("utf-8", "surrogatepass")])
    return _digest(b"dict", hasher.entries(value, path))


def _hash_module(hasher: _Hasher, value: types.ModuleType, path: str) -> bytes:
    del hasher, path
    return _digest(b"module", [value.__name__.encode()])


def _hash_function(hasher: _Hasher, value: types.FunctionType, path: str) -> bytes:
    module = value.__module__ or ""
    if module.partition(".")[0] in sys.stdlib_module_names:
        return _digest(b"function", [module.encode(), value.__qualname__.encode()])
    cells = [cell for cell in value.__closure__ or () if _is_filled(cell)]
    parts = [
        module,
        value.__qualname__,
        value.__code__,
        value.__defaults__,
        value.__kwdefaults__,
        *(cell.cell_contents for cell in cells),
    ]
    return _digest(b"function", [hasher.digest(part, path) for part in parts])


def _hash_code(hasher: _Hasher, value: types.CodeType, path: str) -> bytes:
    parts = (value.co_code, value.co_consts, value.co_names, value.co_varnames)
    return _digest(b"code", [hasher.digest(part, path) for part in parts])


def _hash_object(hasher: _Hasher, value: Any, path: str) -> bytes:
    """Hash an object by what pickle would make it from."""
    if isinstance(value, type):
        return _digest(b"class", [f"{value.__module__}:{value.__qualname__}".encode()])
    reduced = _reduced(value, path)
    if isinstance(reduced, str):
        module = getattr(value, "__module__", None) or ""
        return _digest(b"global", [module.encode(), reduced.encode()])
    make, arguments, state, items, entries = (*reduced, None, None, None)[:5]
    digests = [
        hasher.digest(make, path),
        hasher.digest(arguments, path),
        _hash_state(hasher, state, path),
        *hasher.elements(items or (), path),
        *hasher.entries(dict(entries or ()), path),
    ]
    return _digest(b"object", digests)


def _hash_state(hasher: _Hasher, state: Any, path: str) -> bytes:
    """Hash an object's state, in which dictionaries hold attributes."""
    parts = cast("tuple[Any, ...]", state) if type(state) is tuple else (state,)
    digests = [
        _digest(b"attributes", hasher.entries(cast("dict[Any, Any]", part), path, ".{}"))
        if type(part) is dict
        else hasher.digest(part, path)
        for part in parts
    ]
    return _digest(b"state", digests)


def _reduced(value: object, path: str) -> Any:
    table = cast("dict[Any, Callable[[Any], Any]]", copyreg.dispatch_table)
    how = table.get(type(value))
    try:
        return how(value) if how is not None else value.__reduce_ex__(4)
    except RecursionError:
        raise
    except Exception as error:
        cls = type(value)
        kind = f"{cls.__module__}.{cls.__qualname__}"
        raise HashError(path, f"it is a {kind}, which cannot be pickled ({error})") from error


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _as_bytes(part: str | bytes) -> bytes:
    return part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part


def _new_hash() -> Any:
    return hashlib.blake2b(digest_size=_DIGEST_BYTES)


def _digest(tag: bytes, parts: Iterable[bytes]) -> bytes:
    """Hash parts so that no other tag and parts give the same bytes to the hash."""
    hasher = hashlib.blake2b(b"%d:%b" % (len(tag), tag), digest_size=_DIGEST_BYTES)
    for part in parts:
        hasher.update(b"%d:" % len(part))
        hasher.update(part)
    return hasher.digest()


_HOW: dict[type[Any], Callable[[_Hasher, Any, str], bytes]] = {
    dict: _hash_dict,
    frozenset: _hash_set,
    list: _hash_list,
    set: _hash_set,
    tuple: _hash_list,
    types.CodeType: _hash_code,
    types.FunctionType: _hash_function,
    types.ModuleType: _hash_module,
}
