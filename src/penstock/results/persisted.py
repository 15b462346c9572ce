"""Results in storage: the blob that is written, and the result object that points at it."""

from __future__ import annotations

import base64
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.exceptions import MissingResult, UnreadableResult
from penstock.results.objects import ABSENT, BaseResult, Record
from penstock.results.storage import Descriptor, describe_storage, find_storage, storage_name

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.results.serializers import Serializer
    from penstock.results.storage import Storage

_BASE64 = "base64"


class _Blob(msgspec.Struct, omit_defaults=True):
    """The JSON of a blob. `encoding` is for a serializer that writes other than UTF-8 text."""

    serializer: dict[str, Any]
    data: str
    penstock_version: str
    encoding: str | None = None


class _Reference(msgspec.Struct):
    """The JSON that a row keeps of a persisted result."""

    serializer: str
    storage: Descriptor
    key: str


class PersistedResultBlob:
    """What is written to storage: enough to read the value without the run.

    Parameters:
        serializer: the serializer's options, with its `type`.
        data: what the serializer made of the value.
        penstock_version: the version that wrote it.

    Example:
        >>> from penstock.serializers import JSONSerializer
        >>> blob = PersistedResultBlob.of([1, 2], JSONSerializer())
        >>> blob = PersistedResultBlob.parse_raw(blob.to_bytes())
        >>> blob.serializer.loads(blob.data)
        [1, 2]
    """

    __slots__ = ("_options", "data", "penstock_version")

    def __init__(self, serializer: dict[str, Any], data: bytes, penstock_version: str) -> None:
        self._options = serializer
        self.data = data
        self.penstock_version = penstock_version

    @classmethod
    def of(cls, value: Any, serializer: Serializer) -> PersistedResultBlob:
        """Make the blob of a value.

        Raises:
            Exception: the serializer cannot write the value.
        """
        data = serializer.dumps(value)
        return cls(serializer.as_dict(), data, _version())

    @property
    def serializer(self) -> Serializer:
        """The serializer that wrote the data, and reads it.

        Raises:
            ValueError: none of its type is known here, or it has no such options.
        """
        from penstock.results.serializers import (
            Serializer,  # needed only where results are in storage
        )

        return Serializer(**self._options)

    def to_bytes(self) -> bytes:
        """Give the blob as JSON."""
        try:
            text, encoding = self.data.decode(), None
        except UnicodeDecodeError:
            text, encoding = base64.b64encode(self.data).decode(), _BASE64
        return msgspec.json.encode(_Blob(self._options, text, self.penstock_version, encoding))

    @classmethod
    def from_bytes(cls, content: bytes, where: str = "The blob") -> PersistedResultBlob:
        """Read a blob.

        Parameters:
            content: its JSON.
            where: what is being read, for the error's message.

        Raises:
            UnreadableResult: it is no blob.
        """
        try:
            blob = msgspec.json.decode(content, type=_Blob)
            data = blob.data.encode()
            if blob.encoding == _BASE64:
                data = base64.b64decode(data, validate=True)
        except ValueError as error:
            raise UnreadableResult(
                f"{where} cannot be read back: it is no result that penstock wrote, or was cut or"
                f" changed since ({error}). Start a new run so that the value is made again."
            ) from error
        return cls(blob.serializer, data, blob.penstock_version)

    @classmethod
    def parse_raw(cls, content: bytes) -> PersistedResultBlob:
        """Read a blob from its JSON, as `from_bytes`; the name that programs of Prefect 2 use.

        Raises:
            UnreadableResult: it is no blob.
        """
        return cls.from_bytes(content)

    def value(self, where: str = "The blob") -> Any:
        """Give the value.

        Parameters:
            where: what is being read, for the error's message.

        Raises:
            UnreadableResult: the serializer is not known here, or cannot read the data.
        """
        try:
            serializer = self.serializer
        except (TypeError, ValueError) as error:
            raise UnreadableResult(
                f"{where} cannot be read back: its serializer"
                f" {self._options.get('type')!r} cannot be made here: {error}"
            ) from error
        try:
            return serializer.loads(self.data)
        except UnreadableResult as error:
            raise UnreadableResult(f"{where} cannot be read back. {error}") from error
        except Exception as error:
            raise UnreadableResult(
                f"{where} cannot be read back: serializer {serializer.type!r} raised"
                f" {type(error).__name__}: {error}. The data is corrupt, or was written by another"
                " version of the serializer. Start a new run so that the value is made again."
            ) from error


class PersistedResult(BaseResult):
    """A value in result storage.

    Parameters:
        serializer_type: the tag of the serializer that wrote it.
        storage: the storage, or the descriptor by which a record names it.
        storage_key: where in the storage it is.
        value: the value, where it is known.
        keep: hold the value in memory once it is known.
        where: which run's result it is, for messages.
    """

    __slots__ = ("_descriptor", "_keep", "_storage", "_where", "serializer_type", "storage_key")
    type = "reference"

    def __init__(
        self,
        serializer_type: str,
        storage: Storage | Descriptor,
        storage_key: str,
        value: Any = ABSENT,
        *,
        keep: bool = True,
        where: str | None = None,
    ) -> None:
        self.serializer_type = serializer_type
        self.storage_key = storage_key
        self._value = value
        self._keep = keep
        self._where = where
        self._storage: Storage | None = None
        if isinstance(storage, dict):
            self._descriptor = storage
        else:
            self._descriptor = describe_storage(storage)
            self._storage = storage

    @property
    def storage_block_id(self) -> UUID | None:
        """The id of the block that the storage is saved as; none where it is a folder or a URL.

        Raises:
            UnreadableResult: the block is not there any more.
        """
        storage = self._storage
        if storage is None:
            if self._descriptor.get("kind") != "block":
                return None
            storage = find_storage(self._descriptor, self._place())
        return getattr(storage, "block_document_id", None)

    @property
    def storage_descriptor(self) -> Descriptor:
        """How the record names the storage."""
        return self._descriptor

    @property
    def artifact_description(self) -> str:
        """Where it is."""
        return f"Result persisted to `{self.storage_key}` in {storage_name(self._descriptor)}."

    def get(self) -> Any:
        """Give the value; reads the storage when it is not in memory.

        Raises:
            MissingResult: nothing is at its key any more.
            UnreadableResult: the storage cannot be read, or its content is not what was written.
        """
        value = self._value
        if value is ABSENT:
            where = self._place()
            value = PersistedResultBlob.from_bytes(self._read(where), where).value(where)
            if self._keep:
                self._value = value
        return value

    def record(self) -> Record:
        """Give serializer, storage and key as JSON; never credentials."""
        reference = _Reference(self.serializer_type, self._descriptor, self.storage_key)
        return "reference", msgspec.json.encode(reference)

    def __reduce__(self) -> tuple[Any, ...]:
        return PersistedResult, (self.serializer_type, self._descriptor, self.storage_key)

    def _place(self) -> str:
        return (
            f"The result of {self._where or 'a run'}, at {self.storage_key!r} in storage"
            f" {storage_name(self._descriptor)},"
        )

    def _read(self, where: str) -> bytes:
        storage = self._storage or find_storage(self._descriptor, where)
        try:
            return storage.read_path(self.storage_key)
        except FileNotFoundError as error:
            raise MissingResult(
                f"{where} is gone: nothing is there. It was deleted or moved, or is on another"
                " machine (PENSTOCK_LOCAL_STORAGE_PATH is a folder of one machine). Put it back,"
                " or start a new run so that the value is made again."
            ) from error
        except Exception as error:
            raise UnreadableResult(
                f"{where} cannot be read: {type(error).__name__}: {error}. Check that the storage"
                " can be reached and read from here."
            ) from error


def reference_from_record(data: bytes | None, where: str | None) -> PersistedResult:
    """Read a persisted result's record; the storage is only read by `get`.

    Raises:
        ValueError: it is none.
    """
    reference = msgspec.json.decode(data or b"", type=_Reference)
    return PersistedResult(reference.serializer, reference.storage, reference.key, where=where)


def _version() -> str:
    # The package is above this room, and loaded whenever the room is.
    return str(getattr(sys.modules["penstock"], "__version__", "unknown"))
