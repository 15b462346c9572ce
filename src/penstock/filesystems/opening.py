"""How the room of results, which is below, gets at a file system that a record names."""

from __future__ import annotations

from penstock.blocks.core import Block
from penstock.filesystems.remote import RemoteFileSystem


def load_block(name: str) -> Block:
    """Load the block that is saved as `type-slug/name`."""
    # Results are read and written by plain calls, in async code too.
    return Block._load_now(name)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def open_url(url: str) -> RemoteFileSystem:
    """Give the file system at a URL."""
    return RemoteFileSystem(basepath=url)
