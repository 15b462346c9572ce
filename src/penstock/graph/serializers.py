"""How values of graph tasks become bytes, and values again (section 9).

A serializer of one's own is a subclass with `serialize` and `deserialize`. Those of
`penstock.serializers` are for what `@task` persists; pickling is the same code for both.
"""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import pickle
from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.exceptions import MissingLibraryError, UnreadableResult
from penstock.results import pickling

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CompressedSerializer",
    "DateTimeSerializer",
    "JSONSerializer",
    "PandasSerializer",
    "PickleSerializer",
    "Serializer",
]


class Serializer:
    """The base: a subclass has `serialize` and `deserialize`.

    Example:
        >>> class TextSerializer(Serializer):
        ...     def serialize(self, value):
        ...         return value.encode()
        ...
        ...     def deserialize(self, value):
        ...         return value.decode()
        >>> TextSerializer() == TextSerializer()
        True
    """

    def __eq__(self, other: object) -> bool:
        """Compare the classes."""
        return type(self) is type(other)

    def __hash__(self) -> int:
        """Equal serializers have one hash."""
        return hash(type(self))

    def __repr__(self) -> str:
        """Give the class."""
        return f"<{type(self).__name__}>"

    def serialize(self, value: Any) -> bytes:
        """Give a value as bytes."""
        del value
        raise NotImplementedError(f"{type(self).__name__} does not define serialize().")

    def deserialize(self, value: bytes) -> Any:
        """Give the value of bytes that `serialize` gave."""
        del value
        raise NotImplementedError(f"{type(self).__name__} does not define deserialize().")


class PickleSerializer(Serializer):
    """Pickles values, by cloudpickle where pickle cannot. Reads what is in base 64 as well.

    Example:
        >>> PickleSerializer().deserialize(PickleSerializer().serialize([1]))
        [1]
    """

    def serialize(self, value: Any) -> bytes:
        """Give a value as bytes.

        Raises:
            Exception: it cannot be pickled.
        """
        return pickling.dumps(value)

    def deserialize(self, value: bytes) -> Any:
        """Give the value of bytes.

        Raises:
            UnpicklingError: they are no pickle, nor the base 64 of one.
            UnreadableResult: a class or function that they name is gone, or fails to be made.
        """
        try:
            return pickling.loads(value, "The value")
        except UnreadableResult as error:
            cause = error.__cause__
            first = cause if isinstance(cause, (pickle.UnpicklingError, EOFError)) else error
        try:
            return pickling.loads(base64.b64decode(value, validate=True), "The value")
        except ValueError:
            # Neither base 64, nor a pickle in it: what was wrong with the value itself says more.
            raise first from None


class JSONSerializer(Serializer):
    """Writes values as JSON.

    Example:
        >>> JSONSerializer().serialize({"a": 1})
        b'{"a": 1}'
    """

    def serialize(self, value: Any) -> bytes:
        """Give a value as JSON.

        Raises:
            TypeError: JSON has nothing for it.
        """
        return json.dumps(value).encode()

    def deserialize(self, value: bytes) -> Any:
        """Give the value of JSON text.

        Raises:
            ValueError: it is none.
        """
        return json.loads(value)


class DateTimeSerializer(Serializer):
    """Writes times as ISO 8601 text.

    Example:
        >>> DateTimeSerializer().deserialize(b"2013-01-01T00:00:00+00:00").year
        2013
    """

    def serialize(self, value: dt.datetime) -> bytes:
        """Give a time as text."""
        return value.isoformat().encode()

    def deserialize(self, value: bytes) -> dt.datetime:
        """Give the time of a text.

        Raises:
            ValueError: it is none.
        """
        return dt.datetime.fromisoformat(value.decode())


class PandasSerializer(Serializer):
    """Writes data frames in one of the file types that pandas has.

    Parameters:
        file_type: the type, as in `csv`, `parquet`, `json`.
        deserialize_kwargs: arguments of pandas' `read_<type>`.
        serialize_kwargs: arguments of the data frame's `to_<type>`.

    Raises:
        ValueError: pandas has no such type.
        MissingLibraryError: there is no pandas.
    """

    def __init__(
        self,
        file_type: str,
        deserialize_kwargs: dict[str, Any] | None = None,
        serialize_kwargs: dict[str, Any] | None = None,
    ) -> None:
        pandas = _pandas()
        if not hasattr(pandas, f"read_{file_type}") or not hasattr(
            pandas.DataFrame, f"to_{file_type}"
        ):
            message = (
                f"{file_type!r} is no file type that pandas both reads and writes: it has no"
                f" read_{file_type}, or no to_{file_type}. Give, for example, 'csv' or 'parquet'."
            )
            raise ValueError(message)
        self.file_type = file_type
        self.deserialize_kwargs = dict(deserialize_kwargs or {})
        self.serialize_kwargs = dict(serialize_kwargs or {})

    def __eq__(self, other: object) -> bool:
        """Compare the file types and all arguments."""
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = Serializer.__hash__

    def serialize(self, value: Any) -> bytes:
        """Give a data frame as a file's content."""
        write = getattr(value, f"to_{self.file_type}")
        buffer = io.BytesIO()
        try:
            write(buffer, **self.serialize_kwargs)
        except TypeError:
            # Some of pandas' writers want text.
            text = io.StringIO()
            write(text, **self.serialize_kwargs)
            return text.getvalue().encode()
        return buffer.getvalue()

    def deserialize(self, value: bytes) -> Any:
        """Give the data frame of a file's content."""
        read = getattr(_pandas(), f"read_{self.file_type}")
        return read(io.BytesIO(value), **self.deserialize_kwargs)


def _pandas() -> Any:
    try:
        return import_module("pandas")  # heavy, and a library of the user's
    except ImportError as error:
        message = "A PandasSerializer needs pandas. Install it: pip install pandas."
        raise MissingLibraryError(message) from error


class CompressedSerializer(Serializer):
    """Compresses what another serializer gives.

    Parameters:
        serializer: the other one.
        format: a module with `compress` and `decompress`, as `gzip`, `bz2`, `lzma`, `zlib`.
        compress: a function that compresses bytes; with `decompress`, instead of a format.
        decompress: the function that undoes it.
        compress_kwargs: further arguments of the one.
        decompress_kwargs: further arguments of the other.

    Raises:
        ValueError: neither a format nor both functions are given, or more than that; or the
            module of the format has no such functions.
        ImportError: there is no such module.

    Example:
        >>> packed = CompressedSerializer(JSONSerializer(), "gzip")
        >>> packed.deserialize(packed.serialize([1]))
        [1]
    """

    def __init__(
        self,
        serializer: Serializer,
        format: str | None = None,  # noqa: A002 - the field's name
        compress: Callable[..., bytes] | None = None,
        decompress: Callable[..., bytes] | None = None,
        compress_kwargs: dict[str, Any] | None = None,
        decompress_kwargs: dict[str, Any] | None = None,
    ) -> None:
        has_functions = compress is not None or decompress is not None
        if format is not None and has_functions:
            message = "Give either a format or compress and decompress, not both."
            raise ValueError(message)
        if format is not None:
            module = import_module(format)
            compress = getattr(module, "compress", None)
            decompress = getattr(module, "decompress", None)
            if compress is None or decompress is None:
                message = (
                    f"The module {format!r} has no compress and decompress functions. Give, for"
                    " example, 'gzip', 'bz2' or 'zlib'."
                )
                raise ValueError(message)
        if compress is None or decompress is None:
            message = "Give a format such as 'gzip', or both compress and decompress."
            raise ValueError(message)
        self._serializer = serializer
        self._compress = compress
        self._decompress = decompress
        self._compress_kwargs = dict(compress_kwargs or {})
        self._decompress_kwargs = dict(decompress_kwargs or {})

    def __eq__(self, other: object) -> bool:
        """Compare the inner serializers, the functions and their arguments."""
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = Serializer.__hash__

    def serialize(self, value: Any) -> bytes:
        """Give a value as compressed bytes."""
        return self._compress(self._serializer.serialize(value), **self._compress_kwargs)

    def deserialize(self, value: bytes) -> Any:
        """Give the value of compressed bytes."""
        return self._serializer.deserialize(self._decompress(value, **self._decompress_kwargs))
