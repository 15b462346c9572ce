"""Anything that fsspec reaches as a file system."""

from __future__ import annotations

import difflib
import importlib
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PrivateAttr, field_validator

from penstock.blocks.fields import MASK, SecretDict
from penstock.filesystems.base import WritableFileSystem, files_in
from penstock.results import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCAL_PROTOCOLS = frozenset({"file", "local"})


class RemoteFileSystem(WritableFileSystem):
    """Any file system that fsspec reaches: `s3://`, `gs://`, `az://`, `sftp://`, `memory://`, ...

    Parameters:
        basepath: the URL of a folder.
        settings: the options of fsspec's file system, e.g. its credentials. Never printed, and
            never in the record of a result: a file system that has some is saved as a block.

    Raises:
        pydantic.ValidationError: `basepath` is no URL, or of a scheme that fsspec does not know.

    Example:
        >>> files = RemoteFileSystem(basepath="memory://results")
        >>> _ = files.write_path("a", b"1")
        >>> files.read_path("a")
        b'1'
    """

    _block_type_name: ClassVar[str | None] = "Remote File System"
    _block_type_slug: ClassVar[str | None] = "remote-file-system"

    basepath: str
    settings: SecretDict = Field(default_factory=lambda: SecretDict({}))

    _filesystem: Any = PrivateAttr(default=None)

    @field_validator("basepath")
    @classmethod
    def _check_url(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if not separator or not scheme:
            raise ValueError(
                f"{value!r} is no URL: it must start with a scheme, as in 's3://bucket/results'."
                " Use LocalFileSystem for a folder of this machine."
            )
        if not rest.strip("/"):
            raise ValueError(
                f"{value!r} names no folder. Add one after the scheme: '{scheme}://results'."
            )
        known: list[str] = importlib.import_module("fsspec").available_protocols()
        if scheme not in known:
            close = difflib.get_close_matches(scheme, known, n=1)
            hint = f" Did you mean '{close[0]}://'?" if close else ""
            raise ValueError(
                f"fsspec knows no scheme {scheme!r}.{hint} A package that adds a scheme has to be"
                " installed in this environment."
            )
        return value

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Leave a password in the URL out of what is printed."""
        for name, value in super().__repr_args__():
            yield name, _without_password(value) if name == "basepath" else value

    @property
    def filesystem(self) -> Any:
        """The fsspec file system, made at the first use.

        Raises:
            ImportError: the package that the scheme needs is not installed; the message has the
                command that installs it.
        """
        if self._filesystem is None:
            url_to_fs = importlib.import_module("fsspec.core").url_to_fs
            try:
                made = url_to_fs(self.basepath, **self.settings.get_secret_value())[0]
            except ImportError as error:
                raise _missing_driver(self.basepath, error) from error
            self._filesystem = made
        return self._filesystem

    def storage_descriptor(self) -> dict[str, str]:
        """Say how a result's record names it: by its URL, or as a block where it has secrets."""
        has_secrets = self.settings.get_secret_value() or "@" in self.basepath
        if self.block_document_name is None and not has_secrets:
            return {"kind": "fsspec", "url": self.basepath}
        return super().storage_descriptor()

    def read_path(self, path: str) -> bytes:
        """Give the content of a file.

        Parameters:
            path: relative to the base path, or a URL below it.

        Raises:
            FileNotFoundError: there is none.
            ImportError: the package that the scheme needs is not installed.
            ValueError: `path` leads out of the base path.
        """
        resolved = self._resolved(path)
        with self.filesystem.open(resolved, "rb") as file:
            return file.read()

    def write_path(self, path: str, content: bytes) -> str:
        """Write a file; folders on the way to it are made where the file system has folders.

        Parameters:
            path: relative to the base path, or a URL below it.
            content: what to write.

        Returns:
            The file's URL.

        Raises:
            ImportError: the package that the scheme needs is not installed.
            ValueError: `path` leads out of the base path.
        """
        resolved = self._resolved(path)
        scheme, _, place = resolved.partition("://")
        if scheme in _LOCAL_PROTOCOLS:  # fsspec would leave a part of the file after a crash
            target = Path(place)
            LocalFolder(target.parent).write_path(target.name, content)
            return resolved
        filesystem = self.filesystem
        filesystem.makedirs(resolved.rpartition("/")[0], exist_ok=True)
        with filesystem.open(resolved, "wb") as file:
            file.write(content)
        return resolved

    def get_directory(self, from_path: str | None = None, local_path: str | None = None) -> int:
        """Copy a folder of this file system to this machine.

        Parameters:
            from_path: the folder, relative to the base path; all of it if none is given.
            local_path: where to copy it; the working directory if none is given.

        Returns:
            How many files were copied.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        source = self._resolved(from_path) if from_path else self.basepath.rstrip("/")
        target = Path(local_path or ".").expanduser().resolve()
        filesystem = self.filesystem
        root = filesystem._strip_protocol(source).rstrip("/")  # noqa: SLF001 - fsspec has no other
        files: list[str] = filesystem.find(source)
        if not files:
            raise FileNotFoundError(f"There is no folder {source!r}, or nothing is in it.")
        for file in files:
            local = (target / PurePosixPath(file).relative_to(root)).resolve()
            if not local.is_relative_to(target):
                raise ValueError(f"The key {file!r} would be copied out of {str(target)!r}.")
            local.parent.mkdir(parents=True, exist_ok=True)
            filesystem.get_file(file, str(local))
        return len(files)

    def put_directory(self, local_path: str | None = None, to_path: str | None = None) -> int:
        """Copy a folder of this machine into this file system.

        Parameters:
            local_path: the folder; the working directory if none is given.
            to_path: where to copy it, relative to the base path; the base path itself if none is
                given.

        Returns:
            How many files were copied.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        source = Path(local_path or ".").expanduser().resolve()
        target = self._resolved(to_path) if to_path else self.basepath.rstrip("/")
        filesystem = self.filesystem
        files = files_in(source)
        for file in files:
            remote = f"{target}/{file.relative_to(source).as_posix()}"
            filesystem.makedirs(remote.rpartition("/")[0], exist_ok=True)
            filesystem.put_file(str(file), remote)
        return len(files)

    def _resolved(self, path: str) -> str:
        base = self.basepath.rstrip("/")
        relative = path.removeprefix(f"{base}/")
        parts = relative.split("/")
        if "://" in relative or relative.startswith("/") or ".." in parts or not parts[-1]:
            raise ValueError(
                f"{path!r} names no file in {base!r}. Give a relative path that does not lead out"
                " of it: 'reports/today.pkl'."
            )
        return f"{base}/{relative}"


def _missing_driver(url: str, error: ImportError) -> ImportError:
    cause = error.__cause__
    package = error.name or (cause.name if isinstance(cause, ImportError) else None)
    command = f" Install it: pip install {package}" if package else ""
    return ImportError(
        f"{_without_password(url)!r} needs a package that is not installed ({error}).{command}",
        name=package,
    )


def _without_password(url: str) -> str:
    return re.sub(r"://[^/@]*@", f"://{MASK}@", url)
