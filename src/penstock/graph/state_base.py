"""What all states of a graph have: fields, comparison, results that are kept elsewhere.

The classes themselves are in `state`, which hands `State` on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast, overload

from penstock.graph.ambient import context as ambient
from penstock.graph.results import NoResult, Result
from penstock.graph.state_serialization import state_from_dict, state_to_dict
from penstock.results import pickling

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["State"]

_NOT_COMPARED = frozenset({"message", "context"})


class _PickledError:
    """An exception in its pickled form, which any pickler can write: a plain one, too."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> tuple[Any, ...]:
        """Be read back as the exception."""
        return pickling.loads, (self.data, "The exception of a state")


class State:
    """The state of a flow or a task: what it is at, and what came of it.

    Parameters:
        message: what a reader should know of it, or the exception that led to it.
        result: the value, or a `Result` of it.
        context: what belongs to the state besides; JSON can hold it. The task's tags are put into
            it where the state is made in a task run.
        cached_inputs: what the task was called with, by name.

    Two states are equal that are of one class and have equal values in all but message and
    context. Each is a member of a set by itself.

    Example:
        >>> from penstock.graph.state import Success
        >>> Success("all is well", result=[1, 2]).result
        [1, 2]
    """

    color: ClassVar[str] = "#000000"

    # Which predicates hold: flags, so that this class need not know those derived from it.
    _is_pending: ClassVar[bool] = False
    _is_scheduled: ClassVar[bool] = False
    _is_retrying: ClassVar[bool] = False
    _is_queued: ClassVar[bool] = False
    _is_submitted: ClassVar[bool] = False
    _is_running: ClassVar[bool] = False
    _is_finished: ClassVar[bool] = False
    _is_looped: ClassVar[bool] = False
    _is_successful: ClassVar[bool] = False
    _is_cached: ClassVar[bool] = False
    _is_mapped: ClassVar[bool] = False
    _is_skipped: ClassVar[bool] = False
    _is_failed: ClassVar[bool] = False
    _is_meta_state: ClassVar[bool] = False

    def __init__(
        self,
        message: Any = None,
        result: Any = None,
        context: Mapping[str, Any] | None = None,
        cached_inputs: dict[str, Result] | None = None,
    ) -> None:
        self.message: Any = message
        self._result: Result
        if result is None:
            self._result = NoResult
        elif isinstance(result, Result):
            self._result = result
        else:
            self._result = Result(result)
        own: dict[str, Any] = {} if context is None else dict(context)
        self.context = own
        tags = ambient.get("task_tags")
        if tags is not None and "tags" not in own:
            own["tags"] = list(tags)
        self.cached_inputs: dict[str, Any] = {} if cached_inputs is None else cached_inputs

    @property
    def result(self) -> Any:
        """The value; None for none. What is set and is no `Result` yet is wrapped in one."""
        return self._result.value

    @result.setter
    def result(self, value: Any) -> None:
        self._result = value if isinstance(value, Result) else Result(value)

    def __repr__(self) -> str:
        """Give the class and the message."""
        name = type(self).__name__
        return f'<{name}: "{self.message}">' if self.message else f"<{name}>"

    def __eq__(self, other: object) -> bool:
        """Compare class, result and public attributes but for message and context."""
        if self is other:
            return True
        if type(self) is not type(other):
            return False
        theirs = cast("State", other)
        return bool(self.result == theirs.result) and self._compared() == theirs._compared()

    def _compared(self) -> dict[str, Any]:
        return {
            key: value
            for key, value in self.__dict__.items()
            if key[0] != "_" and key not in _NOT_COMPARED
        }

    __hash__ = object.__hash__

    def __sizeof__(self) -> int:
        """Count the result, too, where it knows its size."""
        size = object.__sizeof__(self)
        try:
            return size + self.result.__sizeof__()
        except (TypeError, AttributeError):
            return size

    # -- copies and pickles -------------------------------------------------------------------

    def __copy__(self) -> Self:
        """Give a state of the same attributes."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def without_result(self) -> Self:
        """Give a copy that has no result."""
        made = self.__copy__()
        made.__dict__["_result"] = NoResult
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Pickle all attributes; an exception that cannot be pickled leaves a text of it.

        Signals are left to themselves: they are the result of a state that they hold.
        """
        value = self.result
        if not isinstance(value, Exception):
            return self.__dict__
        kept: Any
        try:
            kept = _PickledError(pickling.dumps(value))
        except Exception as error:  # noqa: BLE001 - users' exceptions raise what they like
            kept = f"The exception could not be pickled: {error!r}. It was: {value!r}"
        result = self._result.copy()
        result.value = kept
        return {**self.__dict__, "_result": result}

    # -- what kind it is ----------------------------------------------------------------------

    def is_pending(self) -> bool:
        """Tell whether it waits to run."""
        return self._is_pending

    def is_scheduled(self) -> bool:
        """Tell whether it has a time to run at."""
        return self._is_scheduled

    def is_retrying(self) -> bool:
        """Tell whether it is to run again after a failure."""
        return self._is_retrying

    def is_queued(self) -> bool:
        """Tell whether it waits for room."""
        return self._is_queued

    def is_submitted(self) -> bool:
        """Tell whether it was handed over to be run."""
        return self._is_submitted

    def is_running(self) -> bool:
        """Tell whether it runs."""
        return self._is_running

    def is_finished(self) -> bool:
        """Tell whether it is over."""
        return self._is_finished

    def is_looped(self) -> bool:
        """Tell whether it is to run again as the next turn of a loop."""
        return self._is_looped

    def is_successful(self) -> bool:
        """Tell whether it is over and well."""
        return self._is_successful

    def is_cached(self) -> bool:
        """Tell whether its result is kept for later runs, or from an earlier one."""
        return self._is_cached

    def is_mapped(self) -> bool:
        """Tell whether it stands for the states of children."""
        return self._is_mapped

    def is_skipped(self) -> bool:
        """Tell whether it was skipped."""
        return self._is_skipped

    def is_failed(self) -> bool:
        """Tell whether it is over and failed."""
        return self._is_failed

    def is_meta_state(self) -> bool:
        """Tell whether it wraps another state."""
        return self._is_meta_state

    # -- the tree of classes ------------------------------------------------------------------

    @overload
    @classmethod
    def children(
        cls,
        include_self: bool = ...,  # noqa: FBT001 - the field's signature
        names_only: Literal[False] = ...,
    ) -> list[type[State]]: ...
    @overload
    @classmethod
    def children(
        cls,
        include_self: bool = ...,  # noqa: FBT001 - the field's signature
        *,
        names_only: Literal[True],
    ) -> list[str]: ...
    @classmethod
    def children(
        cls,
        include_self: bool = False,  # noqa: FBT001, FBT002 - the field's signature
        names_only: bool = False,  # noqa: FBT001, FBT002 - the field's signature
    ) -> list[type[State]] | list[str]:
        """Give all classes derived from this one; those whose name begins with `_` are left out.

        Parameters:
            include_self: put this class at the end.
            names_only: give names instead of classes.
        """
        found: dict[type[State], None] = {}
        for child in cls.__subclasses__():
            if child.__name__[0] != "_":
                found[child] = None
            found.update(dict.fromkeys(child.children()))
        if include_self:
            found[cls] = None
        return [kind.__name__ for kind in found] if names_only else list(found)

    @overload
    @classmethod
    def parents(
        cls,
        include_self: bool = ...,  # noqa: FBT001 - the field's signature
        names_only: Literal[False] = ...,
    ) -> list[type[State]]: ...
    @overload
    @classmethod
    def parents(
        cls,
        include_self: bool = ...,  # noqa: FBT001 - the field's signature
        *,
        names_only: Literal[True],
    ) -> list[str]: ...
    @classmethod
    def parents(
        cls,
        include_self: bool = False,  # noqa: FBT001, FBT002 - the field's signature
        names_only: bool = False,  # noqa: FBT001, FBT002 - the field's signature
    ) -> list[type[State]] | list[str]:
        """Give the classes that this one is derived from, up to `State`.

        Parameters:
            include_self: put this class at the end.
            names_only: give names instead of classes.
        """
        found = [
            kind for kind in cls.__mro__[1:] if issubclass(kind, State) and kind.__name__[0] != "_"
        ]
        if include_self:
            found.append(cls)
        return [kind.__name__ for kind in found] if names_only else found

    # -- results that are kept elsewhere ------------------------------------------------------

    def load_result(self, reader: Result | None = None) -> State:
        """Read the result from its location, unless it is there; give this state.

        Parameters:
            reader: how it is read; by default as it was written.
        """
        own = self._result
        if own.value is None and own.location is not None:
            self._result = (reader or own).read(own.location)
        return self

    def load_cached_results(self, readers: Mapping[str, Result] | None = None) -> State:
        """Read the cached inputs from their locations, unless they are there; give this state.

        Parameters:
            readers: how each is read, by name; by default as it was written.
        """
        for name, entry in self.cached_inputs.items():
            reader = entry if readers is None else readers.get(name, entry)
            location = reader.location if entry.location is None else entry.location
            if entry.value is None and location is not None:
                self.cached_inputs[name] = reader.read(location)
        return self

    # -- as JSON ------------------------------------------------------------------------------

    def serialize(self) -> dict[str, Any]:
        """Give the state as JSON can hold it: its fields, and where its result is kept.

        The values of results are not in it: a value that is kept nowhere is lost.

        Raises:
            ValueError: something in it cannot be held by JSON, or the class is not known.
        """
        return state_to_dict(self)

    @classmethod
    def deserialize(cls, content: Mapping[str, Any]) -> Any:
        """Give the state again that `serialize` gave.

        Raises:
            ValueError: it names no class of states, or one that is not known, or a field is wrong.
        """
        # Reversed: a user's class must not stand for the one of ours that has its name.
        kinds = {kind.__name__: kind for kind in reversed(State.children())}
        return state_from_dict(content, kinds)
