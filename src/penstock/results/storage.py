"""Where large results are written: anything with `read_path` and `write_path`.

A storage is named in a result's record by a descriptor, so that another process finds it again: a
local folder, an fsspec URL, or a saved block. Blocks live on an upper floor; they hand this room
their loaders by `set_block_loader`.
"""

from __future__ import annotations

import importlib
import inspect
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from penstock.exceptions import UnreadableResult
from penstock.settings import (
    PENSTOCK_DEFAULT_RESULT_STORAGE_BLOCK,
    PENSTOCK_LOCAL_STORAGE_PATH,
    PENSTOCK_STORE_DURABILITY,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Descriptor = dict[str, str]
"""How a storage is named in a record: `kind`, and `path`, `url`, `block` or `class`."""


@runtime_checkable
class Storage(Protocol):
    """What results can be written to. `penstock.filesystems` has some.

    A storage that other processes are to find again also has `storage_descriptor()`; those of
    penstock do, and so does every subclass of `penstock.blocks.Block`.
    """

    def read_path(self, path: str) -> bytes:
        """Give what was written at `path`.

        Raises:
            FileNotFoundError: nothing was.
        """
        ...

    def write_path(self, path: str, content: bytes) -> object:
        """Write `content` at `path`, in the place of what was there."""
        ...


class LocalFolder:
    """A folder of this machine. A file in it is there whole or not at all.

    Parameters:
        basepath: the folder; made when first written to. `~` is the home folder.

    Example:
        >>> import tempfile
        >>> folder = LocalFolder(tempfile.mkdtemp())
        >>> folder.write_path("a/b", b"1")
        >>> folder.read_path("a/b")
        b'1'
    """

    __slots__ = ("basepath",)

    def __init__(self, basepath: str | os.PathLike[str]) -> None:
        self.basepath = Path(basepath).expanduser().absolute()

    def __repr__(self) -> str:
        return f"LocalFolder({str(self.basepath)!r})"

    def storage_descriptor(self) -> Descriptor:
        """Say how another process of this machine finds the folder."""
        return {"kind": "local", "path": str(self.basepath)}

    def resolve(self, path: str) -> Path:
        """Give the file of a key.

        Raises:
            ValueError: it would be outside of the folder, or the folder itself.
        """
        base = self.basepath.resolve()
        resolved = (base / path).resolve() if "\0" not in path else base
        if resolved == base or not resolved.is_relative_to(base):
            raise ValueError(
                f"{path!r} names no file in the storage folder {str(self.basepath)!r}. A key is a"
                " relative path that does not lead out of the folder: 'reports/today.pkl'."
            )
        return resolved

    def read_path(self, path: str) -> bytes:
        """Give what was written at `path`.

        Raises:
            FileNotFoundError: nothing was.
            ValueError: `path` leads out of the folder.
        """
        return self.resolve(path).read_bytes()

    def write_path(self, path: str, content: bytes) -> None:
        """Write `content` at `path`, in the place of what was there.

        With PENSTOCK_STORE_DURABILITY=full it survives loss of power.

        Raises:
            OSError: the folder cannot be written to.
            ValueError: `path` leads out of the folder.
        """
        target = self.resolve(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        is_durable = PENSTOCK_STORE_DURABILITY.value() == "full"
        # Readers must never see a part of the file, nor a crash leave one under the key.
        draft = target.parent / f".{uuid.uuid4().hex}.part"
        try:
            with draft.open("xb") as file:
                file.write(content)
                if is_durable:
                    file.flush()
                    os.fsync(file.fileno())
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        if is_durable:
            _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # a folder cannot be opened there, and a rename is durable
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Loaders:
    """How storages of upper floors are made from their names."""

    def __init__(
        self, load_block: Callable[[str], object], open_url: Callable[[str], object]
    ) -> None:
        self.load_block = load_block
        self.open_url = open_url


_loaders: _Loaders | None = None


def set_block_loader(
    load_block: Callable[[str], object], open_url: Callable[[str], object]
) -> None:
    """Say how saved and remote storages are made; `penstock.filesystems` does when imported.

    Parameters:
        load_block: makes the storage of a saved block from its `type-slug/name`.
        open_url: makes the storage at an fsspec URL.
    """
    global _loaders  # noqa: PLW0603 - one pair a process
    _loaders = _Loaders(load_block, open_url)


def _get_loaders() -> _Loaders:
    if _loaders is None:
        # An upper floor plugs itself in. It is imported by name, when a storage is named that
        # needs it: a result may be read in a process that never imported it.
        importlib.import_module("penstock.filesystems")
    assert _loaders is not None
    return _loaders


def check_storage_option(option: object) -> None:
    """Check the form of a `result_storage` option, without looking the storage up.

    Parameters:
        option: what was given.

    Raises:
        TypeError: it is no storage, and names none; the message says what can be given.
    """
    if option is None or isinstance(option, os.PathLike):
        return
    if isinstance(option, str):
        if "://" in option or _is_block_name(option):
            return
        raise TypeError(
            f"result_storage={option!r} names no storage. A saved one is named"
            " 'block-type-slug/name', e.g. 'local-file-system/results'; a remote one by its URL,"
            " e.g. 's3://bucket/results'; a folder by a pathlib.Path."
        )
    missing = [n for n in ("read_path", "write_path") if not callable(getattr(option, n, None))]
    if missing or isinstance(option, type):
        what = "the class " if isinstance(option, type) else ""
        why = "Make an instance of it." if what else f"It has no {' and '.join(missing)}."
        raise TypeError(
            f"result_storage must be a storage or name one, not {what}{_type_name(option)}. {why}"
            " Give e.g. penstock.filesystems.LocalFileSystem(basepath=...), or"
            " 'block-type-slug/name' of a saved one."
        )
    for name in ("read_path", "write_path"):
        if inspect.iscoroutinefunction(getattr(option, name)):
            raise TypeError(
                f"{_type_name(option)}.{name} is a coroutine function. Results are written by"
                " plain calls, in sync and async flows alike: make it a plain function."
            )


def resolve_storage(option: object = None) -> Storage:
    """Give the storage that a `result_storage` option names.

    Parameters:
        option: None for the default (the block that PENSTOCK_DEFAULT_RESULT_STORAGE_BLOCK names,
            else the folder PENSTOCK_LOCAL_STORAGE_PATH); a storage; a `pathlib.Path`; an fsspec
            URL; or the `type-slug/name` of a saved block.

    Returns:
        The storage.

    Raises:
        TypeError: the option is none of these.
        ValueError: no such block is saved, or it is no storage, or the URL's scheme is unknown.
    """
    check_storage_option(option)
    if option is None:
        default = PENSTOCK_DEFAULT_RESULT_STORAGE_BLOCK.value()
        if default is None:
            return LocalFolder(PENSTOCK_LOCAL_STORAGE_PATH.value())
        return _default_block(default)
    if isinstance(option, str):
        if "://" in option:
            return _as_storage(_get_loaders().open_url(option), option)
        return _as_storage(_get_loaders().load_block(option), option)
    if isinstance(option, os.PathLike):
        return LocalFolder(cast("os.PathLike[str]", option))
    return cast("Storage", option)


def _default_block(name: str) -> Storage:
    try:
        return resolve_storage(name)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"PENSTOCK_DEFAULT_RESULT_STORAGE_BLOCK={name!r} cannot be used: {error} Save such a"
            " block, or unset the setting to write results to PENSTOCK_LOCAL_STORAGE_PATH."
        ) from error


def _as_storage(loaded: object, name: str) -> Storage:
    if not isinstance(loaded, Storage):
        raise ValueError(  # noqa: TRY004 - the type of a saved block is a value here
            f"{name!r} is no storage: {_type_name(loaded)} has no read_path and write_path. Name a"
            " saved file system, e.g. 'local-file-system/results'."
        )
    return loaded


def describe_storage(storage: Storage) -> Descriptor:
    """Say how a record names `storage`. One with credentials is saved as a block for that.

    Parameters:
        storage: where a result was written.
    """
    describe = getattr(storage, "storage_descriptor", None)
    if describe is None:
        return {"kind": "object", "class": _type_name(storage)}
    return cast("Descriptor", describe())


def find_storage(descriptor: Mapping[str, str], where: str = "The result") -> Storage:
    """Give the storage that a record names.

    Parameters:
        descriptor: from the record.
        where: what is being read, for the error's message.

    Raises:
        UnreadableResult: it cannot be found from this process; the message says why.
    """
    kind = descriptor.get("kind")
    try:
        if kind == "local":
            return LocalFolder(descriptor["path"])
        if kind == "fsspec":
            return resolve_storage(descriptor["url"])
        if kind == "block":
            return resolve_storage(descriptor["block"])
    except (TypeError, ValueError, ImportError, KeyError) as error:
        raise UnreadableResult(
            f"{where} cannot be read back: its storage {storage_name(descriptor)} cannot be opened"
            f" here: {error}"
        ) from error
    raise UnreadableResult(
        f"{where} cannot be read back: it was written to a storage of type"
        f" {descriptor.get('class', kind)!r}, which only the process that made it can find. Make"
        " that type a subclass of penstock.blocks.Block, so that it can be saved and loaded."
    )


def storage_name(descriptor: Mapping[str, str]) -> str:
    """Name a storage for people."""
    rest = [value for key, value in descriptor.items() if key != "kind"]
    return repr(rest[0]) if rest else "of no name"


def _is_block_name(option: str) -> bool:
    slug, slash, name = option.partition("/")
    return bool(slug and slash and name) and "/" not in name


def _type_name(value: Any) -> str:
    kind: type = value if isinstance(value, type) else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"
