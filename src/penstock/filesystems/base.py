"""What a file system is: a block whose files can be read, and perhaps written."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from penstock.blocks.core import Block

if TYPE_CHECKING:
    from pathlib import Path


class ReadableFileSystem(Block):
    """The base of file systems that can be read."""

    @abstractmethod
    def read_path(self, path: str) -> bytes:
        """Give the content of the file at `path`."""


class WritableFileSystem(ReadableFileSystem):
    """The base of file systems that can be read and written, and so hold results.

    Example:
        >>> class Memory(WritableFileSystem):
        ...     files: dict[str, bytes] = {}
        ...
        ...     def read_path(self, path):
        ...         return self.files[path]
        ...
        ...     def write_path(self, path, content):
        ...         self.files[path] = content
    """

    @abstractmethod
    def write_path(self, path: str, content: bytes) -> object:
        """Write the file at `path`, in the place of what was there."""


def files_in(folder: Path) -> list[Path]:
    """Give all files below a folder.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {str(folder)!r}.")
    return sorted(path for path in folder.rglob("*") if path.is_file())
