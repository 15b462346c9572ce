"""Result objects: what a final state holds in the place of its value, and what the record keeps.

They are made by `ResultFactory` when a run ends, and by `from_record` when a run is read.
"""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from penstock.exceptions import MissingResult, UnreadableResult
from penstock.results.pickling import loads

Record = tuple[str | None, bytes | None]
"""What the two columns of a run's row keep of its result: the type's tag, and its data."""


class _Absent:
    """The value that is not in memory; there is one, in every process."""

    __slots__ = ()

    def __reduce__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()


class BaseResult:
    """A result: a value, or how to get it.

    Attributes:
        type: The tag under which the record keeps it.
        artifact_type: Always `result`.
        artifact_description: What and where it is, for people.
    """

    __slots__ = ("_value",)

    type: ClassVar[str]
    artifact_type: ClassVar[str] = "result"
    _value: Any

    @property
    def artifact_description(self) -> str:
        """What the result is, and where it is kept."""
        raise NotImplementedError

    def get(self) -> Any:
        """Give the value; may read storage.

        Raises:
            MissingResult: it was not kept, or what was kept is gone.
            UnreadableResult: what was kept cannot be turned back into the value.
        """
        raise NotImplementedError

    def has_cached_object(self) -> bool:
        """Tell whether the value is in memory, so that `get` reads nothing."""
        return self._value is not ABSENT

    def record(self) -> Record:
        """Give what the run's row keeps of it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.artifact_description}>"


class LiteralResult(BaseResult):
    """None, True, False or a UUID: kept as itself.

    Parameters:
        value: one of these.

    Raises:
        TypeError: it is none of these.

    Example:
        >>> LiteralResult(True).get()
        True
    """

    __slots__ = ()
    type = "literal"

    def __init__(self, value: UUID | bool | None) -> None:  # noqa: FBT001 - the value, no option
        if not (value is None or value is True or value is False or type(value) is UUID):
            raise TypeError(
                f"A literal result is None, True, False or a UUID, not {_kind(value)}."
                " ResultFactory.inline() chooses what fits a value."
            )
        self._value = value

    @property
    def artifact_description(self) -> str:
        """The value itself."""
        return f"Literal `{self._value}`."

    def get(self) -> UUID | bool | None:
        """Give the value."""
        return self._value

    def record(self) -> Record:
        """Give the value as JSON."""
        value = self._value
        if value is None:
            return "literal", b"null"
        if value is True:
            return "literal", b"true"
        if value is False:
            return "literal", b"false"
        return "literal", b'"%s"' % str(value).encode()

    def __reduce__(self) -> tuple[Any, ...]:
        return LiteralResult, (self._value,)


class InlineResult(BaseResult):
    """A value whose pickled form is kept in the run's row.

    Parameters:
        data: the pickled form.
        value: the value, where it is known.
        keep: hold the value in memory once it is known.
        where: which run's result it is, for messages.
    """

    __slots__ = ("_data", "_keep", "_where")
    type = "inline"

    def __init__(
        self, data: bytes, value: Any = ABSENT, *, keep: bool = True, where: str | None = None
    ) -> None:
        self._data = data
        self._value = value
        self._keep = keep
        self._where = where

    @property
    def artifact_description(self) -> str:
        """How large it is."""
        return f"{_described(self._value)} in the run's record, {len(self._data)} bytes."

    def get(self) -> Any:
        """Give the value; unpickles it when it is not in memory.

        Raises:
            UnreadableResult: a class is gone, or the record is corrupt.
        """
        value = self._value
        if value is ABSENT:
            value = loads(
                self._data, f"The result of {self._where or 'a run'}, kept in its record,"
            )
            if self._keep:
                self._value = value
        return value

    def record(self) -> Record:
        """Give the pickled form."""
        return "inline", self._data

    def __reduce__(self) -> tuple[Any, ...]:
        return InlineResult, (self._data,)


class UnpersistedResult(BaseResult):
    """A value that is only in the memory of the process that made it, if at all.

    Parameters:
        value: the value; left out when it is not kept in memory either.
        reason: why it is not recorded and what would record it, for the error's message.
    """

    __slots__ = ("reason",)
    type = "unpersisted"

    def __init__(self, value: Any = ABSENT, reason: str | None = None) -> None:
        self._value = value
        self.reason = reason

    @property
    def artifact_description(self) -> str:
        """That it is in memory only."""
        return f"{_described(self._value)}, not persisted."

    def get(self) -> Any:
        """Give the value.

        Raises:
            MissingResult: it was not kept in memory; the message says by which option.
        """
        if self._value is ABSENT:
            raise MissingResult(
                self.reason
                or "The result was not persisted and is gone with the process that made it. Set"
                " persist_result=True on the task or flow, or leave it unset, to keep it."
            )
        return self._value

    def record(self) -> Record:
        """Give nothing: it leaves no trace."""
        return None, None

    def __reduce__(self) -> tuple[Any, ...]:
        return UnpersistedResult, (self._value, self.reason)


class UnknownResult(BaseResult):
    """The result of a run whose end was set from outside: nothing is known of it but None.

    Parameters:
        value: None.

    Raises:
        TypeError: it is not None.
    """

    __slots__ = ()
    type = "unknown"

    def __init__(self, value: None = None) -> None:
        if value is not None:
            raise TypeError(
                f"An unknown result is None, not {_kind(value)}: nothing is known of what the run"
                " gave."
            )
        self._value = None

    @property
    def artifact_description(self) -> str:
        """That nothing is known."""
        return "Unknown result, persisted as `None`."

    def get(self) -> None:
        """Give None."""

    def record(self) -> Record:
        """Give the tag alone."""
        return "unknown", None

    def __reduce__(self) -> tuple[Any, ...]:
        return UnknownResult, ()


class CorruptResult(BaseResult):
    """A record that cannot be understood: the run can be looked at, its result cannot be had.

    Parameters:
        record: the two columns, which stay as they are.
        problem: what is wrong, where, and what to do.
    """

    __slots__ = ("_problem", "_record")
    type = "corrupt"

    def __init__(self, record: Record, problem: str) -> None:
        self._value = ABSENT
        self._record = record
        self._problem = problem

    @property
    def artifact_description(self) -> str:
        """What is wrong."""
        return self._problem

    def get(self) -> Any:
        """Refuse.

        Raises:
            UnreadableResult: always; the message says why and what to do.
        """
        raise UnreadableResult(self._problem)

    def record(self) -> Record:
        """Give the record as it was read."""
        return self._record

    def __reduce__(self) -> tuple[Any, ...]:
        return CorruptResult, (self._record, self._problem)


_NONE = LiteralResult(None)
_TRUE = LiteralResult(True)  # noqa: FBT003 - the value, no option
_FALSE = LiteralResult(False)  # noqa: FBT003 - the same
_LITERALS = {b"null": _NONE, b"true": _TRUE, b"false": _FALSE}


def literal_result(value: UUID | bool | None) -> LiteralResult:  # noqa: FBT001 - the same
    """Give a literal's result; there is one each for None, True and False."""
    if value is None:
        return _NONE
    if value is True:
        return _TRUE
    return _FALSE if value is False else LiteralResult(value)


def literal_from_record(data: bytes | None) -> LiteralResult:
    """Read a literal's record.

    Raises:
        ValueError: it is none.
    """
    known = _LITERALS.get(data or b"")
    return known or LiteralResult(UUID((data or b"").decode().strip('"')))


def _kind(value: object) -> str:
    return f"a value of type {type(value).__qualname__}"


def _described(value: object) -> str:
    return "Result" if value is ABSENT else f"Result of type `{type(value).__name__}`"
