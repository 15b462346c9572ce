"""Result objects from what a run's row keeps of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.results.objects import (
    CorruptResult,
    InlineResult,
    UnknownResult,
    literal_from_record,
)
from penstock.results.persisted import reference_from_record

if TYPE_CHECKING:
    from penstock.results.objects import BaseResult


def from_record(
    result_type: str | None, result_data: bytes | None, where: str | None = None
) -> BaseResult | None:
    """Rebuild the result that `BaseResult.record` wrote. Reads no storage and unpickles nothing.

    Parameters:
        result_type: the tag.
        result_data: the data.
        where: which run's result it is (`task run 'add-0'`), for the messages of `get`.

    Returns:
        The result, or None where the run has none or kept it in memory only. Of a record that is
        corrupt or of a newer penstock, a result whose `get` says so: the run itself can be read.

    Example:
        >>> from_record("literal", b"true").get()
        True
    """
    if result_type is None:
        return None
    if result_type == "inline":
        return InlineResult(result_data or b"", where=where)
    try:
        return _read(result_type, result_data, where)
    except ValueError as error:
        problem = (
            f"The result of {where or 'a run'} cannot be read back: its record says"
            f" {result_type!r}, but is corrupt ({error}). Start a new run so that the value is"
            " made again."
        )
        return CorruptResult((result_type, result_data), problem)


def _read(result_type: str, result_data: bytes | None, where: str | None) -> BaseResult:
    if result_type == "literal":
        return literal_from_record(result_data)
    if result_type == "reference":
        return reference_from_record(result_data, where)
    if result_type == "unknown":
        return UnknownResult()
    problem = (
        f"The result of {where or 'a run'} is recorded as {result_type!r}, which this version of"
        " penstock does not know. It was recorded by a newer version: upgrade penstock."
    )
    return CorruptResult((result_type, result_data), problem)
