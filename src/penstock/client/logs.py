"""The client's methods for logs."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.client.base import ClientMethods, page_of
from penstock.records import Log
from penstock.store.filters import LogFilter, Search, as_filter
from penstock.store.sorting import LogSort

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID


class LogMethods(ClientMethods):
    """Logs: written and read."""

    def create_logs(self, logs: Iterable[Log | dict[str, Any]]) -> None:
        """Record logs.

        Parameters:
            logs: `Log` records, or dictionaries with their fields. A timestamp without a time
                zone is taken to be in UTC.

        Raises:
            ValueError: a dictionary lacks a field, or one does not fit.
        """
        records: list[Log] = []
        for log in logs:
            try:
                record = msgspec.convert(log, Log)
            except msgspec.ValidationError as error:
                message = f"{log!r} is no log record: {error}."
                raise ValueError(message) from error
            if record.timestamp.tzinfo is None:
                record = msgspec.structs.replace(
                    record, timestamp=record.timestamp.replace(tzinfo=UTC)
                )
            records.append(record)
        self._port.create_logs(records)

    def read_logs(
        self,
        log_filter: LogFilter | dict[str, Any] | None = None,
        limit: int | None = None,
        offset: int | None = None,
        sort: LogSort | str = LogSort.TIMESTAMP_ASC,
        after: UUID | str | None = None,
    ) -> list[Log]:
        """Give log records.

        Parameters:
            log_filter: which; all unless given.
            limit: the most to give; 200 unless given, 10,000 at most.
            offset: how many to leave out first.
            sort: the order; the oldest first unless given.
            after: go on after the record of this id; for the orders by id.

        Raises:
            ValueError: an argument is not understood.

        Example:
            >>> with get_client(sync_client=True) as client:  # doctest: +SKIP
            ...     client.read_logs({"flow_run_id": {"any_": [run.id]}, "level": {"ge_": 30}})
        """
        search = Search(log=as_filter(LogFilter, log_filter))
        return self._port.find_logs(page_of(search, LogSort, sort, limit, offset, after))
