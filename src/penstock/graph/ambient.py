"""The ambient context of graphs: what code finds out about the run that it is in (section 5.1).

`context` is one object for the process, with contents of each thread's own. Every task run is
given its contents as an argument, and puts them in for the time that it takes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, MutableMapping
from types import TracebackType
from typing import Any

from penstock.graph.configuration import Config, process_config

__all__ = ["Context", "context"]


class _Contents(threading.local):
    def __init__(self) -> None:
        self.data: dict[str, Any] = {}


class _Scope:
    """What `with context(...)` enters: keys that are there while the block lasts."""

    __slots__ = ("_context", "_former", "_new")

    def __init__(self, context: Context, new: dict[str, Any]) -> None:
        self._context = context
        self._new = new
        self._former: dict[str, Any] | None = None

    def __enter__(self) -> Context:
        contents = self._context._contents  # noqa: SLF001 - its own room
        former = self._former = contents.data
        new = self._new
        if "config" in new:
            new = {**new, "config": process_config(former.get("config")).merged(new["config"])}
        contents.data = {**former, **new}
        return self._context

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._former is not None
        self._context._contents.data = self._former  # noqa: SLF001 - as above


class Context(MutableMapping[str, Any]):
    """A mapping whose keys can be read as attributes, with contents of each thread's own.

    `config` is always there: the process's configuration, with what a block has put over it.

    Example:
        >>> with context(day="2013-01-01"):
        ...     context.day
        '2013-01-01'
        >>> context.get("day") is None
        True
    """

    __slots__ = ("_contents",)

    def __init__(self) -> None:
        object.__setattr__(self, "_contents", _Contents())

    def __call__(self, *args: Mapping[str, Any], **kwargs: Any) -> _Scope:
        """Give a block in which these keys are there, too; at its end all is as it was.

        Parameters:
            *args: at most one mapping of keys.
            **kwargs: more keys. `config` is merged, level by level, and not put in its place.

        Raises:
            TypeError: more than one mapping is given.
        """
        if len(args) > 1:
            message = f"context() takes one mapping of keys, not {len(args)}."
            raise TypeError(message)
        return _Scope(self, {**args[0], **kwargs} if args else kwargs)

    # -- as a mapping -------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        """Give what is under a key."""
        data = self._contents.data
        if key in data:
            return data[key]
        if key == "config":
            return process_config(None)
        raise KeyError(key)

    def __setitem__(self, key: str, value: Any) -> None:
        """Put something under a key, for this thread."""
        self._contents.data = {**self._contents.data, key: value}

    def __delitem__(self, key: str) -> None:
        """Take a key away, for this thread."""
        data = dict(self._contents.data)
        del data[key]
        self._contents.data = data

    def __iter__(self) -> Iterator[str]:
        """Go over the keys."""
        return iter(self._contents.data)

    def __len__(self) -> int:
        """Give how many keys there are."""
        return len(self._contents.data)

    def __contains__(self, key: object) -> bool:
        """Tell whether a key is there."""
        return key in self._contents.data or key == "config"

    def get(self, key: str, default: Any = None) -> Any:
        """Give what is under a key, or a default."""
        data = self._contents.data
        if key in data:
            return data[key]
        return process_config(None) if key == "config" else default

    def flat(self) -> dict[str, Any]:
        """Give the contents as a dictionary of its own; what is in it is shared."""
        return dict(self._contents.data)

    def copy(self) -> dict[str, Any]:
        """Give the contents as a dictionary of its own, as `dict(context)` does."""
        return dict(self._contents.data)

    def to_dict(self) -> dict[str, Any]:
        """Give the contents as plain dictionaries, at every level."""
        return {key: _plain(value) for key, value in self._contents.data.items()}

    # -- as attributes ------------------------------------------------------------------------

    def __getattr__(self, key: str) -> Any:
        """Give what is under a key.

        Raises:
            AttributeError: nothing is.
        """
        data = self._contents.data
        if key in data:
            return data[key]
        if key == "config":
            return process_config(None)
        message = (
            f"The context has no {key!r}. It is there in a run of a graph only, if at all: use"
            f" context.get({key!r}) where it may be missing."
        )
        raise AttributeError(message)

    def __setattr__(self, key: str, value: Any) -> None:
        """Put something under a key, for this thread."""
        self[key] = value

    def __delattr__(self, key: str) -> None:
        """Take a key away, for this thread.

        Raises:
            AttributeError: it is not there.
        """
        try:
            del self[key]
        except KeyError:
            raise AttributeError(key) from None

    def __repr__(self) -> str:
        """Say that it is the context."""
        return "<Context>"

    def __reduce__(self) -> Any:
        """Refuse to be pickled: it belongs to the thread that it is in.

        Raises:
            TypeError: always.
        """
        message = (
            "The context cannot be pickled: it belongs to a thread. Hand on what you need of it,"
            " for example context.to_dict()."
        )
        raise TypeError(message)


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return value.to_dict()
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value


context = Context()
"""The ambient context."""
