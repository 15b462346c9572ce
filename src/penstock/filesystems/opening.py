"""How the room of results, which is below, gets at a file system that a record names."""

from __future__ import annotations

from penstock.blocks.core import Block
from penstock.filesystems.remote import RemoteFileSystem


def load_block(name: str) -> Block:
    """Load the block that is saved as `type-slug/name`."""
    return Block.load(name)


def open_url(url: str) -> RemoteFileSystem:
    """Give the file system at a URL."""
    return RemoteFileSystem(basepath=url)
