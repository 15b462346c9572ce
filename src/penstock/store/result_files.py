"""Result files that penstock named itself, in the local folder of results."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from penstock.results.persisted import PersistedResult
from penstock.results.recording import from_record

if TYPE_CHECKING:
    from pathlib import Path

_OWN_NAME = re.compile(r"[0-9a-f]{32}")


class ResultFiles:
    """The files of a folder of results.

    A file that a user named, by `result_storage_key`, is the user's, and so is one in any other
    folder: neither is touched.

    Parameters:
        folder: PENSTOCK_LOCAL_STORAGE_PATH.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser().absolute()

    def path_of(self, record: bytes) -> Path | None:
        """Give the file that a run's record names; none where it is not one of these."""
        result = from_record("reference", record)
        if not isinstance(result, PersistedResult):
            return None
        storage = result.storage_descriptor
        if storage.get("kind") != "local" or storage.get("path") != str(self._folder):
            return None
        key = result.storage_key
        return self._folder / key if _OWN_NAME.fullmatch(key) else None

    def delete(self, record: bytes) -> bool:
        """Delete the file that a run's record names; tell whether it was there."""
        path = self.path_of(record)
        if path is None:
            return False
        with suppress(OSError):  # not there any more, or not this user's: retention goes on
            path.unlink()
            return True
        return False
