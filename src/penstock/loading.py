"""Flows from files and modules, by name or entrypoint (section 2.1, "Loading helpers").

While a script is loaded this way, calls of flows in it do not run.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.exceptions import MissingFlowError, ScriptError, UnspecifiedFlowError
from penstock.results.scripts import register_script_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

is_loading: ContextVar[bool] = ContextVar("is_loading", default=False)
"""Whether a script is being loaded for its flows."""


@contextmanager
def without_running_flows() -> Iterator[None]:
    """Let calls of flows do nothing in the block."""
    token = is_loading.set(True)
    try:
        yield
    finally:
        is_loading.reset(token)


def load_script(path: str | Path) -> ModuleType:
    """Import a script by its path, as a module named after the file.

    Raises:
        FileNotFoundError: there is no such file.
        ScriptError: the script raised.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        message = (
            f"There is no file {str(file)!r}. Give the path of a Python file, from"
            f" {str(Path.cwd())!r} or absolute."
        )
        raise FileNotFoundError(message)
    file = file.resolve()
    name = file.stem
    known = sys.modules.get(name)
    if known is not None:
        if getattr(known, "__file__", None) == str(file):
            return known
        name = f"{name}__{abs(hash(str(file))):x}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        message = f"{str(file)!r} is not a Python file: its name must end in .py."
        raise ValueError(message)
    module = importlib.util.module_from_spec(spec)
    folder = str(file.parent)
    if folder not in sys.path:
        # As `python script.py` does, so that the script finds its neighbours.
        sys.path.insert(0, folder)
    sys.modules[name] = module
    try:
        with without_running_flows():
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ScriptError(error, str(file)) from error
    register_script_module(module)
    return module


def _flows_in(module: ModuleType) -> list[Any]:
    from penstock.flows import Flow

    found: dict[int, Any] = {}
    for value in vars(module).values():
        if isinstance(value, Flow):
            found[id(value)] = value
    return list(found.values())


def load_flows_from_script(path: str | Path) -> list[Any]:
    """Give all flows that a script has.

    Raises:
        FileNotFoundError: there is no such file.
        ScriptError: the script raised while it was loaded.
    """
    return _flows_in(load_script(path))


def load_flow_from_script(path: str | Path, flow_name: str | None = None) -> Any:
    """Give the flow of a script, by name if it has several.

    Raises:
        MissingFlowError: it has none, or none of this name.
        UnspecifiedFlowError: it has several and no name is given.
    """
    return select_flow(load_flows_from_script(path), flow_name, from_message=f"in script {str(path)!r}")


def load_flow_from_entrypoint(entrypoint: str) -> Any:
    """Give the flow at `path.py:name` or `package.module.name`.

    Raises:
        MissingFlowError: there is no flow of this name.
        ScriptError: the script raised while it was loaded.
    """
    path, separator, name = entrypoint.rpartition(":")
    if separator:
        module = load_script(path)
    else:
        module_name, _, name = entrypoint.rpartition(".")
        if not module_name:
            message = (
                f"The entrypoint {entrypoint!r} is not understood. Give path/to/file.py:flow_name or"
                " package.module.flow_name."
            )
            raise ValueError(message)
        with without_running_flows():
            module = importlib.import_module(module_name)
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, None)
    from penstock.flows import Flow

    if not isinstance(value, Flow):
        flows = [flow.__name__ for flow in _flows_in(module)]
        message = (
            f"There is no flow {name!r} in {getattr(module, '__file__', module.__name__)!r}."
            f" Flows there: {', '.join(flows) or 'none'}."
        )
        raise MissingFlowError(message)
    if value._entrypoint is None:  # pyright: ignore[reportPrivateUsage] # noqa: SLF001
        where = str(Path(path).expanduser().resolve()) + ":" + name if separator else entrypoint
        value._entrypoint = where  # pyright: ignore[reportPrivateUsage] # noqa: SLF001
    return value


def load_flow_from_text(script_contents: str, flow_name: str) -> Any:
    """Give a flow of a script that is given as text."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{flow_name.replace('-', '_')}_text.py"
        file.write_text(script_contents, encoding="utf-8")
        return load_flow_from_script(file, flow_name)


def select_flow(
    flows: Iterable[Any], flow_name: str | None = None, from_message: str | None = None
) -> Any:
    """Choose the one flow that is there, or the one of a name (or function name).

    Raises:
        MissingFlowError: there is none, or none of this name.
        UnspecifiedFlowError: there are several and no name is given.
    """
    by_name = {flow.name: flow for flow in flows}
    where = f" {from_message}" if from_message else ""
    if not by_name:
        message = f"No flows found{where}. Decorate a function with @flow."
        raise MissingFlowError(message)
    if flow_name is not None:
        for flow in by_name.values():
            if flow_name in (flow.name, flow.__name__):
                return flow
        message = f"Flow {flow_name!r} not found{where}. Found: {', '.join(map(repr, by_name))}."
        raise MissingFlowError(message)
    if len(by_name) > 1:
        message = (
            f"Found {len(by_name)} flows{where}: {', '.join(sorted(map(repr, by_name)))}. Say which"
            " one, as in file.py:flow_name."
        )
        raise UnspecifiedFlowError(message)
    return next(iter(by_name.values()))


def load_flow_argument_from_entrypoint(entrypoint: str, arg: str = "name") -> str | None:
    """Read an argument of a flow's decorator from its source, without importing it.

    Parameters:
        entrypoint: `path.py:function`.
        arg: the argument; without one given, the flow's name is made from the function's.
    """
    path, separator, name = entrypoint.rpartition(":")
    if separator:
        source = Path(path).read_text(encoding="utf-8")
    else:
        module_name, _, name = entrypoint.rpartition(".")
        spec = importlib.util.find_spec(module_name)
        if spec is None or spec.origin is None:
            message = f"There is no module {module_name!r}."
            raise MissingFlowError(message)
        source = Path(spec.origin).read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name != name:
            continue
        for decorator in node.decorator_list:
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            label = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
            if label != "flow":
                continue
            keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
            for keyword in keywords:
                if keyword.arg == arg and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
            return node.name.replace("_", "-") if arg == "name" else None
    message = f"There is no flow {name!r} in {path or entrypoint!r}."
    raise MissingFlowError(message)
