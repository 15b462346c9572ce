"""A folder of this machine as a file system."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, ClassVar

from pydantic import field_validator

from penstock.filesystems.base import WritableFileSystem, files_in
from penstock.results import LocalFolder


class LocalFileSystem(WritableFileSystem):
    """A folder of this machine.

    Parameters:
        basepath: the folder; the working directory of the moment if none is given. `~` is the home
            folder.

    Example:
        >>> import tempfile
        >>> files = LocalFileSystem(basepath=tempfile.mkdtemp())
        >>> _ = files.write_path("reports/today.txt", b"fine")
        >>> files.read_path("reports/today.txt")
        b'fine'
    """

    _block_type_name: ClassVar[str | None] = "Local File System"
    _block_type_slug: ClassVar[str | None] = "local-file-system"

    basepath: str | None = None

    @field_validator("basepath", mode="before")
    @classmethod
    def _as_absolute_text(cls, value: Any) -> Any:
        # Absolute: a process that loads it later may have another working directory.
        is_path = isinstance(value, (str, Path))
        return str(Path(value).expanduser().absolute()) if is_path else value

    @property
    def _folder(self) -> LocalFolder:
        return LocalFolder(self.basepath or Path.cwd())

    def storage_descriptor(self) -> dict[str, str]:
        """Say how a result's record names it: by the name it is saved under, or by its folder."""
        if self.block_document_name is None:
            return self._folder.storage_descriptor()
        return super().storage_descriptor()

    def read_path(self, path: str) -> bytes:
        """Give the content of a file.

        Parameters:
            path: relative to the base path.

        Raises:
            FileNotFoundError: there is none.
            ValueError: `path` leads out of the base path.
        """
        return self._folder.read_path(path)

    def write_path(self, path: str, content: bytes) -> str:
        """Write a file, whole or not at all; folders on the way to it are made.

        Parameters:
            path: relative to the base path.
            content: what to write.

        Returns:
            The file's full path.

        Raises:
            OSError: it cannot be written.
            ValueError: `path` leads out of the base path.
        """
        folder = self._folder
        folder.write_path(path, content)
        return str(folder.resolve(path))

    def get_directory(self, from_path: str | None = None, local_path: str | None = None) -> int:
        """Copy a folder of this file system to another place.

        Parameters:
            from_path: the folder, relative to the base path; all of it if none is given.
            local_path: where to copy it; the working directory if none is given.

        Returns:
            How many files were copied.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        source = self._resolved(from_path)
        return copy_folder(source, Path(local_path or ".").expanduser().resolve())

    def put_directory(self, local_path: str | None = None, to_path: str | None = None) -> int:
        """Copy a folder into this file system.

        Parameters:
            local_path: the folder; the working directory if none is given.
            to_path: where to copy it, relative to the base path; the base path itself if none is
                given.

        Returns:
            How many files were copied.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        target = self._resolved(to_path)
        return copy_folder(Path(local_path or ".").expanduser().resolve(), target)

    def _resolved(self, path: str | None) -> Path:
        folder = self._folder
        if path in (None, "", "."):
            return folder.basepath.resolve()
        return folder.resolve(str(path))


def copy_folder(source: Path, target: Path) -> int:
    """Copy all files below a folder to another place; give how many there are."""
    files = files_in(source)
    for file in files if source != target else ():
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
    return len(files)
