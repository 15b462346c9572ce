"""Pickled forms of values: bounded, so that finding a value too large costs little, and readable.

What `pickle` cannot write, cloudpickle may; it is imported when first needed. Classes are written
by their module's name, those of a script too, and `loads` finds them again where the script goes
by another name (see `scripts`).
"""

from __future__ import annotations

import io
import pickle
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

from penstock.exceptions import UnreadableResult
from penstock.results.scripts import (
    MAIN_NAMES,
    find_attribute,
    imported_definition,
    modules_known_as,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PROTOCOL = 5
_NO_LIMIT = sys.maxsize

_dumps = pickle.dumps
_type_of: Callable[[Any], type[Any]] = type
_NUMBERS = frozenset({int, float, complex, bool, type(None)})
_TEXTS = frozenset({str, bytes})
_SCALARS = _NUMBERS | _TEXTS
CONTAINERS = frozenset({list, tuple, dict})
_SMALL_LENGTH = 16
_SMALL_TEXT_LENGTH = 1024


class _TooLarge(Exception):
    """The pickled form is larger than the limit."""


def dumps_bounded(value: Any, limit_bytes: int) -> bytes | None:
    """Pickle `value`, unless that takes more than `limit_bytes`.

    Arrays and data frames that say how large they are (`nbytes`, `estimated_size()`) are not
    copied to find that out.

    Parameters:
        value: what to pickle; cloudpickle is tried for what pickle cannot write.
        limit_bytes: the most that the pickled form may have.

    Returns:
        The pickled form, or None when it is too large.

    Raises:
        Exception: neither can pickle the value; the error says which part of it.

    Example:
        >>> dumps_bounded("x" * 100, limit_bytes=10) is None
        True
    """
    kind = _type_of(value)
    if kind in _TEXTS and len(value) > limit_bytes:
        return None
    if kind in _SCALARS or (kind in CONTAINERS and is_small_and_flat(value)):
        data = _dumps(value, PROTOCOL)
        return data if len(data) <= limit_bytes else None
    try:
        return _pickled(value, limit_bytes)
    except _TooLarge:
        return None


def is_small_and_flat(value: Any) -> bool:
    """Tell whether a list, tuple or dict is cheap to write: the most frequent values are.

    Parameters:
        value: of one of these types itself.
    """
    if len(value) > _SMALL_LENGTH:
        return False
    items: Iterable[Any] = (*value, *value.values()) if _type_of(value) is dict else value
    for item in items:
        kind = _type_of(item)
        if kind not in _NUMBERS and (kind not in _TEXTS or len(item) > _SMALL_TEXT_LENGTH):
            return False
    return True


def dumps(value: Any) -> bytes:
    """Pickle `value`, with cloudpickle where pickle cannot.

    Raises:
        Exception: neither can.
    """
    return _pickled(value, _NO_LIMIT)


def loads(data: bytes, where: str = "The result") -> Any:
    """Give the value again that was pickled.

    Parameters:
        data: the pickled form.
        where: what is being read, for the error's message.

    Raises:
        UnreadableResult: a class or function is gone, or the data is corrupt; the message says
            which and what to do.
    """
    try:
        return pickle.loads(data)
    except (AttributeError, ImportError):
        pass  # perhaps a script's class that goes by another module's name here
    except Exception as error:
        raise _unreadable(where, error) from error
    try:
        return _ScriptUnpickler(io.BytesIO(data)).load()
    except _NameGone as gone:
        script = (
            " `__main__` is the script that was run: elsewhere, import the module that it is"
            " first."
            if gone.module in MAIN_NAMES
            else ""
        )
        message = (
            f"{where} cannot be read back: {gone.name!r} of module {gone.module!r} is gone"
            f" ({gone.__cause__}).{script} Its code was renamed, moved or is not installed here:"
            " bring it back under that name, or start a new run so that the value is made again."
        )
        raise UnreadableResult(message) from gone
    except Exception as error:
        raise _unreadable(where, error) from error


def size_hint(value: Any) -> int:
    """Give the bytes that a large value's own account says it has; 0 where it has none.

    Parameters:
        value: an array, a data frame, anything.
    """
    kind = _type_of(value)
    size: object
    try:
        if hasattr(kind, "nbytes"):  # numpy, torch, pyarrow, pandas.Series
            size = value.nbytes
        elif hasattr(kind, "estimated_size"):  # polars
            size = value.estimated_size()
        elif hasattr(kind, "memory_usage"):  # pandas.DataFrame
            size = int(value.memory_usage(index=True, deep=False).sum())
        elif hasattr(kind, "itemsize"):  # array.array
            size = len(value) * value.itemsize
        else:
            return 0
    except Exception:  # noqa: BLE001 - a value that cannot say its size is measured by pickling it
        return 0
    return size if isinstance(size, int) else 0


def _unreadable(where: str, error: Exception) -> UnreadableResult:
    return UnreadableResult(
        f"{where} cannot be read back: unpickling it raised {type(error).__name__}: {error}. The"
        " data is corrupt, or was written by code that differs from what is installed now. Start a"
        " new run so that the value is made again."
    )


class _Writer:
    """Keeps what a pickler writes, up to a limit."""

    __slots__ = ("chunks", "room")

    def __init__(self, limit_bytes: int) -> None:
        self.chunks: list[bytes] = []
        self.room = limit_bytes

    def write(self, data: bytes | bytearray | pickle.PickleBuffer) -> None:
        """Keep a chunk, or end the pickling.

        What is large is handed over as it is, uncopied: the buffer of an array, which has no
        length, or one that its owner may change later.
        """
        chunk = data.raw() if isinstance(data, pickle.PickleBuffer) else data
        self.room -= len(chunk)
        if self.room < 0:
            raise _TooLarge
        self.chunks.append(bytes(chunk))

    def is_small_enough(self, buffer: pickle.PickleBuffer) -> bool:
        """Refuse a buffer before it is copied; else have it written with the rest."""
        if buffer.raw().nbytes > self.room:
            raise _TooLarge
        return True


class _BoundedPickler(pickle.Pickler):
    """A pickler that looks at large objects before they are copied."""

    limit_bytes: int = _NO_LIMIT

    def reducer_override(self, obj: Any, /) -> Any:
        """Refuse what says it is too large; make exceptions readable."""
        return _reduce_specially(obj, self.limit_bytes)


def _reduce_specially(obj: Any, limit_bytes: int) -> Any:
    if size_hint(obj) > limit_bytes:
        raise _TooLarge
    if isinstance(obj, BaseException):
        return _reduce_exception(obj)
    return NotImplemented


def _reduce_exception(error: BaseException) -> Any:
    """Write an exception so that reading it does not call its `__init__`.

    An exception class with an `__init__` of its own is pickled without complaint and then cannot
    be read, as its `args` do not fit: the error of a failed run would be lost.
    """
    kind = type(error)
    if kind.__reduce__ is not BaseException.__reduce__ or not isinstance(
        kind.__init__, FunctionType
    ):
        return NotImplemented
    return _rebuild_exception, (kind, error.args), error.__dict__ or None


def _rebuild_exception(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    error = kind.__new__(kind, *args)
    error.args = args
    return error


def _pickled(value: Any, limit_bytes: int) -> bytes:
    try:
        return _written(_BoundedPickler, value, limit_bytes)
    except _TooLarge:
        raise
    except Exception:  # noqa: BLE001 - pickle raises what it likes; cloudpickle's error is raised
        return _written(_cloud_pickler(), value, limit_bytes)


def _written(pickler_class: Callable[..., Any], value: Any, limit_bytes: int) -> bytes:
    writer = _Writer(limit_bytes)
    pickler = pickler_class(writer, PROTOCOL, buffer_callback=writer.is_small_enough)
    pickler.limit_bytes = limit_bytes
    pickler.dump(value)
    chunks = writer.chunks
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


_cloud_pickler_class: Callable[..., Any] | None = None


def _cloud_pickler() -> Callable[..., Any]:
    global _cloud_pickler_class  # noqa: PLW0603 - made at first use
    if _cloud_pickler_class is not None:
        return _cloud_pickler_class
    # As costly as four starts of Python, and seldom needed.
    import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

    base: Any = cloudpickle.Pickler

    class BoundedCloudPickler(base):
        limit_bytes: int = _NO_LIMIT

        def reducer_override(self, obj: Any) -> Any:
            if _can_be_found_by_name(obj):
                return NotImplemented  # a class keeps its identity when it is read in a script
            reduced = _reduce_specially(obj, self.limit_bytes)
            if reduced is NotImplemented:
                return base.reducer_override(self, obj)
            return reduced

    _cloud_pickler_class = BoundedCloudPickler
    return _cloud_pickler_class


def _can_be_found_by_name(obj: Any) -> bool:
    if not isinstance(obj, (type, FunctionType)):
        return False
    module = sys.modules.get(obj.__module__)
    if module is None or (obj.__module__ in MAIN_NAMES and not hasattr(module, "__file__")):
        return False
    try:
        return find_attribute(module, obj.__qualname__) is obj
    except AttributeError:
        return False


class _NameGone(Exception):
    """A class or function that a pickle names does not exist."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__(module, name)
        self.module = module
        self.name = name


class _ScriptUnpickler(pickle.Unpickler):
    """An unpickler that finds a script's classes under whatever name the script has here."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Find a class or function by the name it was recorded under."""
        try:
            return super().find_class(module_name, global_name)
        except (AttributeError, ImportError) as error:
            for module in modules_known_as(module_name):
                try:
                    return find_attribute(module, global_name)
                except AttributeError:
                    continue
            try:
                return imported_definition(module_name, global_name)
            except AttributeError:
                raise _NameGone(module_name, global_name) from error
