"""What becomes of a run's value: which tier keeps it, under which key. Made once for a run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from penstock.results.objects import (
    ABSENT,
    BaseResult,
    InlineResult,
    UnpersistedResult,
    literal_result,
)
from penstock.results.persisted import PersistedResult, PersistedResultBlob
from penstock.results.pickling import dumps_bounded
from penstock.results.storage import resolve_storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.results.serializers import Serializer
    from penstock.results.storage import Storage

INLINE_LIMIT_BYTES = 65536
"""The largest pickled result, in bytes, that is kept in a run's row by default."""

_WARNED_TYPES_LIMIT = 1000

_logger = logging.getLogger("penstock.results")
_warned_types: set[str] = set()


class ResultFactory:
    """Makes the result objects of one run.

    `inline` is asked first and does no I/O; where it gives None, `create` writes to storage.

    Parameters:
        persist: None keeps small values in the run's row and writes larger ones to storage; True
            writes all to storage but None, True, False and UUIDs; False keeps all in memory.
        storage: where to write, as `resolve_storage` takes it; looked up at each write.
        serializer: a serializer, its type tag, or None for PENSTOCK_RESULTS_DEFAULT_SERIALIZER.
        cache_in_memory: hold values in memory after they were recorded.
        inline_limit_bytes: the largest pickled form that is kept in the row.
        storage_key: a template of the key (`"{parameters[day]}.pkl"`); None for a random one.
        owner: whose results these are (`task 'load'`), for messages.
        logger: where warnings go; `penstock.results` unless given.

    Example:
        >>> factory = ResultFactory()
        >>> factory.inline([1, 2]).record()[0]
        'inline'
    """

    __slots__ = (
        "cache_in_memory",
        "inline_limit_bytes",
        "logger",
        "owner",
        "persist",
        "serializer",
        "storage",
        "storage_key",
    )

    def __init__(
        self,
        persist: bool | None = None,  # noqa: FBT001 - hot path: made by position
        storage: Any = None,
        serializer: Serializer | str | None = None,
        cache_in_memory: bool = True,  # noqa: FBT001, FBT002 - the same
        inline_limit_bytes: int = INLINE_LIMIT_BYTES,
        storage_key: str | None = None,
        owner: str | None = None,
        logger: logging.Logger | logging.LoggerAdapter[Any] = _logger,
    ) -> None:
        self.persist = persist
        self.storage = storage
        self.serializer = serializer
        self.cache_in_memory = cache_in_memory
        self.inline_limit_bytes = inline_limit_bytes
        self.storage_key = storage_key
        self.owner = owner
        self.logger = logger

    def check_options(self) -> None:
        """Look up the storage and the serializer that were given, before the work begins.

        What is mistyped would else be found by the first result that is too large for the record.

        Raises:
            TypeError: one of them is of a wrong type.
            ValueError: the named storage or serializer does not exist.
        """
        if self.persist is False:
            return
        if self.storage is not None:
            resolve_storage(self.storage)
        if self.serializer is not None:
            self._serializer()

    def inline(self, value: Any) -> BaseResult | None:  # noqa: PLR0911 - hot path: one look each
        """Give the result of a value that needs no storage. Does no I/O.

        Parameters:
            value: what the run gave.

        Returns:
            The result; None when the value has to be written to storage by `create`.
        """
        if self.persist is False:
            return self._unpersisted(value)
        if value is None or value is True or value is False or type(value) is UUID:
            return literal_result(value)
        if self.persist:
            return None
        try:
            data = dumps_bounded(value, self.inline_limit_bytes)
        except Exception as error:  # noqa: BLE001 - user code may raise anything while it is pickled
            return self._kept(value, error, "be pickled")
        if data is None:
            return None
        if self.cache_in_memory:
            return InlineResult(data, value, where=self.owner)
        return InlineResult(data, keep=False, where=self.owner)

    def create(self, value: Any, key_context: Mapping[str, Any]) -> BaseResult:
        """Give the result of any value; writes it to storage where `inline` cannot keep it.

        A storage or serializer that fails does not fail the run: a warning says so, and the value
        stays in memory.

        Parameters:
            value: what the run gave.
            key_context: what the template `storage_key` may name: `parameters`, `flow_run`, ...

        Returns:
            The result.

        Raises:
            TypeError: `storage_key` is no text, or `storage` no storage.
            ValueError: `storage_key` names something that is not in `key_context`, or the named
                storage or serializer does not exist.
        """
        if self.persist is False:
            return self._unpersisted(value)
        if value is None or value is True or value is False or type(value) is UUID:
            return literal_result(value)
        key = self._key(key_context)
        storage: Storage = resolve_storage(self.storage)
        serializer = self._serializer()
        try:
            storage.write_path(key, PersistedResultBlob.of(value, serializer).to_bytes())
            cached = value if self.cache_in_memory else ABSENT
            return PersistedResult(
                serializer.type,
                storage,
                key,
                cached,
                keep=self.cache_in_memory,
                where=self.owner,
            )
        except Exception as error:  # noqa: BLE001 - storages and serializers are users' code, too
            return self._kept(value, error, f"be written to {storage!r}")

    def _key(self, key_context: Mapping[str, Any]) -> str:
        template: Any = self.storage_key
        if template is None:
            return uuid4().hex
        if not isinstance(template, str):
            raise TypeError(
                f"result_storage_key of {self.owner or 'a task'} must be text, a template such as"
                f" '{{parameters[day]}}.pkl', not a value of type {type(template).__qualname__}."
            )
        try:
            return template.format(**key_context)
        except (LookupError, AttributeError, ValueError, TypeError) as error:
            parameters = ", ".join(key_context.get("parameters") or ()) or "none"
            raise ValueError(
                f"result_storage_key {template!r} of {self.owner or 'a task'} cannot be filled in:"
                f" {type(error).__name__}: {error}. It may name {', '.join(key_context)}; the"
                f" parameters are: {parameters}."
            ) from error

    def _serializer(self) -> Serializer:
        from penstock.results.serializers import (
            resolve_serializer,  # needed only for results in storage
        )

        return resolve_serializer(self.serializer)

    def _unpersisted(self, value: Any) -> BaseResult:
        if self.cache_in_memory or value is None:
            return UnpersistedResult(value)
        return UnpersistedResult(
            reason=f"The result of {self.owner or 'a run'} was not kept: it has"
            " persist_result=False and cache_result_in_memory=False. Change one of them to use the"
            " value."
        )

    def _kept(self, value: Any, error: Exception, attempt: str) -> BaseResult:
        """Keep in memory what could not be recorded, and say so."""
        owner = self.owner or "a run"
        problem = f"The result of {owner} cannot {attempt}: {type(error).__name__}: {error}."
        is_worth_a_warning = attempt != "be pickled" or (
            # A failed run is executed again in any case, and its message is recorded.
            not isinstance(value, BaseException) and _is_first_of_its_type(value)
        )
        if is_worth_a_warning:
            self.logger.warning(
                "%s The value (of type %s) is kept in memory only: when the flow run is executed"
                " again, e.g. after a crash, %s is executed again, too. Give back a value that can"
                " be recorded, or set persist_result=False to say that this is meant.",
                problem,
                type(value).__qualname__,
                owner,
            )
        return UnpersistedResult(value, reason=problem)


def _is_first_of_its_type(value: object) -> bool:
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name in _warned_types or len(_warned_types) >= _WARNED_TYPES_LIMIT:
        return False
    _warned_types.add(name)
    return True
