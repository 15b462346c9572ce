"""Which flow a command is to execute: that of a file or module, or that of a recorded run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.cli.failing import CommandError
from penstock.loading import (
    LoadableFlow,
    find_module,
    load_flow_from_entrypoint,
    load_module,
    load_script,
    named_flows_in,
    select_flow,
)

if TYPE_CHECKING:
    from types import ModuleType


def load_target(target: str, *, only_graphs: bool = False) -> Any:
    """Give the flow that a command is told of.

    Parameters:
        target: `path/to/file.py`, `path/to/file.py:flow`, `package.module`,
            `package.module:flow` or `package.module.flow`; the flow by its function's name, the
            variable of its graph, or its own name, and only where there are several.
        only_graphs: where no flow is named, decorated ones do not count.

    Raises:
        CommandError: there is no such file or module.
        MissingFlowError, UnspecifiedFlowError: there is no such flow, or several.
        ScriptError: the file could not be imported.
    """
    place, separator, name = target.rpartition(":")
    if separator and _is_file(place):
        return _flow_of_file(place, name or None, only_graphs)
    if _is_file(target):
        return _flow_of_file(target, None, only_graphs)
    # As `python -m` finds them, however this command was started.
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if separator:
        return _flow_of_module(load_module(place), name or None, only_graphs)
    if find_module(target) is None:
        parent, _, name = target.rpartition(".")
        if not parent or find_module(parent) is None:
            message = (
                f"There is neither a file nor a module {target!r}. Give a Python file, as in"
                " flows.py or flows.py:my_flow, or a module, as in package.module:my_flow."
            )
            raise CommandError(message)
        return _flow_of_module(load_module(parent), name, only_graphs)
    return _flow_of_module(load_module(target), None, only_graphs)


def _is_file(text: str) -> bool:
    return text.endswith(".py") or os.sep in text or Path(text).is_file()


def _flow_of_file(path: str, name: str | None, only_graphs: bool) -> Any:  # noqa: FBT001
    try:
        module = load_script(path)
    except ValueError as error:
        raise CommandError(str(error)) from error
    attribute = _choose(module, name, f"in {path!r}", only_graphs)
    # Loaded so, it knows where another process finds it.
    return load_flow_from_entrypoint(f"{path}:{attribute}")


def _flow_of_module(module: ModuleType, name: str | None, only_graphs: bool) -> Any:  # noqa: FBT001
    attribute = _choose(module, name, f"in module {module.__name__!r}", only_graphs)
    flow = _attribute(module, attribute)
    if flow.entrypoint is None:
        return load_flow_from_entrypoint(f"{module.__name__}.{attribute}")
    return flow


def _choose(module: ModuleType, name: str | None, where: str, only_graphs: bool) -> str:  # noqa: FBT001
    """Give the attribute that has the wanted flow; without a name, the module's own is wanted."""
    if name is not None and isinstance(_attribute(module, name), LoadableFlow):
        return name
    named = named_flows_in(module)
    if name is None:
        if only_graphs:
            named = {key: flow for key, flow in named.items() if flow.is_graph} or named
        # Those that it imports are for use in it.
        own = (module.__name__, None)
        named = {key: flow for key, flow in named.items() if flow.module_name in own} or named
    flow = select_flow(named.values(), name, where)
    return next(variable for variable, value in named.items() if value is flow)


def _attribute(module: ModuleType, name: str) -> Any:
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, None)
    return value
