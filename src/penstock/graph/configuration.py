"""The configuration of graphs as a tree, `context.config`, made from penstock's settings.

`config.flows.checkpointing` is the setting `PENSTOCK_GRAPH_CHECKPOINTING`, and so on: `PATHS` is
the table. A block may put a tree over it:

    with context(config={"flows": {"checkpointing": True}}):
        ...
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

from penstock.settings import get_current_settings

__all__ = ["Config", "find_class", "process_config"]

PATHS: dict[tuple[str, ...], str] = {
    ("flows", "checkpointing"): "graph_checkpointing",
    ("flows", "eager_edge_validation"): "graph_eager_edge_validation",
    ("flows", "run_on_schedule"): "graph_run_on_schedule",
    ("tasks", "defaults", "max_retries"): "graph_default_max_retries",
    ("tasks", "defaults", "retry_delay"): "graph_default_retry_delay_seconds",
    ("engine", "executor", "default_class"): "graph_executor",
    ("engine", "flow_runner", "default_class"): "graph_flow_runner",
    ("engine", "task_runner", "default_class"): "graph_task_runner",
}
"""Where each setting is in the tree."""


class Config(Mapping[str, Any]):
    """One level of the tree: a mapping whose keys can be read as attributes.

    Example:
        >>> Config({"flows": {"checkpointing": True}}).flows.checkpointing
        True
    """

    __slots__ = ("_merged", "_values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values: dict[str, Any] = {key: _level(value) for key, value in values.items()}
        self._merged: tuple[Config, Config] | None = None

    def __getitem__(self, key: str) -> Any:
        """Give what is under a key."""
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        """Go over the keys."""
        return iter(self._values)

    def __len__(self) -> int:
        """Give how many keys there are."""
        return len(self._values)

    def __getattr__(self, key: str) -> Any:
        """Give what is under a key.

        Raises:
            AttributeError: nothing is.
        """
        if key.startswith("_"):
            raise AttributeError(key)
        try:
            return self._values[key]
        except KeyError:
            known = ", ".join(self._values) or "nothing"
            message = f"The configuration has no {key!r} here; it has {known}."
            raise AttributeError(message) from None

    def __repr__(self) -> str:
        """Give the tree."""
        return f"<Config {self.to_dict()!r}>"

    def __reduce__(self) -> Any:
        """Pickle the tree by its plain form."""
        return Config, (self.to_dict(),)

    def merged(self, over: Mapping[str, Any]) -> Config:
        """Give the tree with another one put over it, level by level.

        Parameters:
            over: the other tree; what is in both is taken from it.

        Raises:
            TypeError: it is no tree.
        """
        if not isinstance(over, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            message = f"The configuration must be a dictionary, not {over!r}."
            raise TypeError(message)
        if over is self:
            return self
        # Each task of a run puts the same tree over the same one.
        known = self._merged
        if known is not None and known[0] is over:
            return known[1]
        merged: dict[str, Any] = dict(self._values)
        for key, value in over.items():
            own = merged.get(key)
            if isinstance(own, Config) and isinstance(value, Mapping):
                merged[key] = own.merged(cast("Mapping[str, Any]", value))
            else:
                merged[key] = value
        made = Config(merged)
        if isinstance(over, Config):
            self._merged = (over, made)
        return made

    def to_dict(self) -> dict[str, Any]:
        """Give the tree as plain dictionaries."""
        return {
            key: value.to_dict() if isinstance(value, Config) else value
            for key, value in self._values.items()
        }


def _level(value: Any) -> Any:
    if isinstance(value, Mapping) and not isinstance(value, Config):
        return Config(cast("Mapping[str, Any]", value))
    return cast("Any", value)


_made: tuple[Any, Config] | None = None


def process_config(there: Any) -> Config:
    """Give the tree that is there already, else that of the settings in force.

    Parameters:
        there: a `Config`, or None; a dictionary is put over the settings.
    """
    global _made  # noqa: PLW0603 - made once for the settings in force
    if isinstance(there, Config):
        return there
    settings = get_current_settings()
    if _made is None or _made[0] is not settings:
        tree: dict[str, Any] = {}
        for path, name in PATHS.items():
            level = tree
            for part in path[:-1]:
                level = level.setdefault(part, {})
            level[path[-1]] = getattr(settings, name)
        _made = (settings, Config(tree))
    config = _made[1]
    return config if there is None else config.merged(there)


def find_class(name: Any, default: type[Any]) -> Any:
    """Give the class that a setting names; the built-in one, with a warning, if there is none.

    Parameters:
        name: the qualified name, as in `package.module.Class`; or the class itself.
        default: the built-in class.

    Example:
        >>> find_class("collections.OrderedDict", dict).__name__
        'OrderedDict'
    """
    if not isinstance(name, str):
        return default if name is None else name
    if name == f"{default.__module__}.{default.__qualname__}":
        return default
    module_name, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        warnings.warn(
            f"Could not import {name!r} ({error}); {default.__qualname__} is used instead. Correct"
            " the setting that names it.",
            UserWarning,
            stacklevel=3,
        )
        return default
