"""File systems for results and files: a local folder, and anything that fsspec reaches.

They are blocks, so they can be saved and loaded by name, and storages, so they can be given as
`result_storage`. Their methods are plain calls, in sync and async code alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.filesystems.base import ReadableFileSystem, WritableFileSystem
from penstock.filesystems.local import LocalFileSystem
from penstock.filesystems.opening import load_block, open_url
from penstock.filesystems.remote import RemoteFileSystem
from penstock.results import set_block_loader
from penstock.utilities.lazy import lazy_names

if TYPE_CHECKING:
    from penstock.filesystems.clouds import GCS, S3, SMB, Azure
    from penstock.filesystems.github import GitHub

__all__ = [
    "GCS",
    "S3",
    "SMB",
    "Azure",
    "GitHub",
    "LocalFileSystem",
    "ReadableFileSystem",
    "RemoteFileSystem",
    "WritableFileSystem",
]

__getattr__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(("GCS", "S3", "SMB", "Azure"), "penstock.filesystems.clouds"),
        "GitHub": "penstock.filesystems.github",
    },
)

set_block_loader(load_block, open_url)
