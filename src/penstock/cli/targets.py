"""Which flow a command is to execute: that of a file or module, or that of a recorded run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.cli.failing import CommandError, warn
from penstock.cli.visible import visible_line
from penstock.exceptions import MissingFlowError
from penstock.loading import (
    LoadableFlow,
    find_module,
    load_flow_from_entrypoint,
    load_module,
    load_script,
    named_flows_in,
    names_file,
    select_flow,
)

if TYPE_CHECKING:
    from types import ModuleType


_QUESTIONS_LIMIT = 3
"""How often somebody who sits at a terminal is asked the same."""


def load_target(target: str, *, only_graphs: bool = False, may_ask: bool = False) -> Any:
    """Give the flow that a command is told of.

    Parameters:
        target: `path/to/file.py`, `path/to/file.py:flow`, `package.module`,
            `package.module:flow` or `package.module.flow`; the flow by its function's name, the
            variable of its graph, or its own name, and only where there are several.
        only_graphs: where no flow is named, decorated ones do not count.
        may_ask: let whoever sits at a terminal choose where there are several.

    Raises:
        CommandError: there is no such file or module.
        MissingFlowError, UnspecifiedFlowError: there is no such flow, or several.
        ScriptError: the file could not be imported.
    """
    place, separator, name = target.rpartition(":")
    if separator and names_file(place):
        return _flow_of_file(place, name or None, only_graphs, may_ask)
    if names_file(target):
        return _flow_of_file(target, None, only_graphs, may_ask)
    # As `python -m` finds them, however this command was started.
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if separator and (":" in place or not place):
        message = f"{target!r} is no PATH:FLOW, as in flows.py:my_flow or package.module:my_flow."
        raise CommandError(message)
    if separator:
        return _flow_of_module(load_module(place), name or None, only_graphs, may_ask)
    if find_module(target) is None:
        parent, _, name = target.rpartition(".")
        if not parent or find_module(parent) is None:
            message = (
                f"There is neither a file nor a module {target!r}. Give a Python file, as in"
                " flows.py or flows.py:my_flow, or a module, as in package.module:my_flow."
            )
            raise CommandError(message)
        return _flow_of_module(load_module(parent), name, only_graphs, may_ask)
    return _flow_of_module(load_module(target), None, only_graphs, may_ask)


def _flow_of_file(path: str, name: str | None, only_graphs: bool, may_ask: bool) -> Any:  # noqa: FBT001
    try:
        module = load_script(path)
    except ValueError as error:
        raise CommandError(str(error)) from error
    attribute = _choose(module, name, f"in {path!r}", only_graphs, may_ask)
    # Loaded so, it knows where another process finds it.
    return load_flow_from_entrypoint(f"{path}:{attribute}")


def _flow_of_module(module: ModuleType, name: str | None, only_graphs: bool, may_ask: bool) -> Any:  # noqa: FBT001
    attribute = _choose(module, name, f"in module {module.__name__!r}", only_graphs, may_ask)
    flow = _attribute(module, attribute)
    if flow.entrypoint is None:
        return load_flow_from_entrypoint(f"{module.__name__}.{attribute}")
    return flow


def _choose(
    module: ModuleType,
    name: str | None,
    where: str,
    only_graphs: bool,  # noqa: FBT001
    may_ask: bool,  # noqa: FBT001
) -> str:
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
    if name is None and may_ask and len(named) > 1 and sys.stdin.isatty() and sys.stderr.isatty():
        return _asked_for(named, where)
    try:
        flow = select_flow(named.values(), name, where)
    except MissingFlowError as error:
        raise _unknown(error, name, named) from error
    return next(variable for variable, value in named.items() if value is flow)


def _asked_for(named: dict[str, Any], where: str) -> str:
    """Let a person choose one of several flows; give its variable."""
    variables = list(named)
    warn(f"There are {len(variables)} flows {where}:")
    for number, variable in enumerate(variables, 1):
        own = str(named[variable].name)
        alias = "" if own == variable else f" ({own})"
        warn(f"  {number}  {visible_line(variable + alias)}")
    for _ in range(_QUESTIONS_LIMIT):
        sys.stderr.write("Which one, by number or name? ")
        sys.stderr.flush()
        typed = sys.stdin.readline()
        answer = typed.strip()
        if not typed:
            break
        if answer.isascii() and answer.isdigit() and 0 < int(answer) <= len(variables):
            return variables[int(answer) - 1]
        for variable in variables:
            if answer and answer in (variable, named[variable].name):
                return variable
    message = f"No flow was chosen. Say which one, as in PATH:{variables[0]}."
    raise CommandError(message)


def _unknown(error: MissingFlowError, name: str | None, named: dict[str, Any]) -> MissingFlowError:
    """Say which flow may have been meant."""
    # Only where something was mistyped.
    import difflib

    known = [*named, *(str(flow.name) for flow in named.values())]
    close = difflib.get_close_matches(name or "", known, n=1)
    return MissingFlowError(f"{error} Did you mean {close[0]!r}?") if close else error


def _attribute(module: ModuleType, name: str) -> Any:
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, None)
    return value
