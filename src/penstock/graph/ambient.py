"""The ambient context of graphs: what code finds out about the run that it is in (section 5.1).

`context` is one object for the process, with contents of each thread's own. Every task run is
given its contents as an argument, and puts them in for the time that it takes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NoReturn, cast

from penstock.graph.configuration import Config, process_config

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Context", "context"]


class _Contents(threading.local):
    def __init__(self) -> None:
        self.data: dict[str, Any] = {}


class _Scope:
    """What `with context(...)` enters: keys that are there while the block lasts."""

    __slots__ = ("_contents", "_context", "_former", "_new")

    def __init__(self, context: Context, contents: _Contents, new: dict[str, Any]) -> None:
        self._context = context
        self._contents = contents
        self._new = new
        self._former: dict[str, Any] | None = None

    def __enter__(self) -> Context:
        if self._former is not None:
            message = "This context(...) is entered already. Call context(...) for each block."
            raise RuntimeError(message)
        contents = self._contents
        former = contents.data
        made = {**former, **self._new}
        if "config" in self._new:
            made["config"] = process_config(former.get("config")).merged(made["config"])
        self._former = former
        contents.data = made
        return self._context

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        former, self._former = self._former, None
        if former is not None:
            self._contents.data = former


class Context(MutableMapping[str, Any]):
    """A mapping whose keys can be read as attributes, with contents of each thread's own.

    `config` is always there: the process's configuration, with what a block has put over it.
    What is set without a block stays for as long as its thread lives.

    Example:
        >>> with context(day="2013-01-01"):
        ...     context.day
        '2013-01-01'
        >>> context.get("day") is None
        True
    """

    __slots__ = ("_contents",)
    _contents: _Contents

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
        return _Scope(self, self._contents, {**args[0], **kwargs} if args else kwargs)

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
        data = self._contents.data
        if key == "config":
            value = process_config(data.get("config")).merged(value)
        data[key] = value

    def __delitem__(self, key: str) -> None:
        """Take a key away, for this thread."""
        del self._contents.data[key]

    def __iter__(self) -> Iterator[str]:
        """Go over the keys."""
        return iter(self.copy())

    def __len__(self) -> int:
        """Give how many keys there are."""
        return len(self.copy())

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
        """Give what was put in, as a dictionary of its own: `config` only where a block has it."""
        return dict(self._contents.data)

    def copy(self) -> dict[str, Any]:
        """Give the contents as a dictionary of its own, as `dict(context)` does."""
        data = self._contents.data
        return dict(data) if "config" in data else {"config": process_config(None), **data}

    def to_dict(self) -> dict[str, Any]:
        """Give the contents as plain dictionaries, at every level."""
        return {key: _plain(value) for key, value in self.copy().items()}

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
            f"The context has no {key!r} here. Much of it is there only while a task of a graph"
            f" runs; context.get({key!r}) gives None where it is missing."
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

    def __reduce__(self) -> NoReturn:
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
        return {key: _plain(part) for key, part in cast("dict[Any, Any]", value).items()}
    return value


context = Context()
"""The ambient context."""
