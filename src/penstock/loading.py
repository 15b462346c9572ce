"""Flows from files and modules, by name or entrypoint (section 2.1, "Loading helpers").

While a script is loaded this way, calls of flows in it do not run.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from penstock.context import PenstockObjectRegistry
from penstock.exceptions import MissingFlowError, ScriptError, UnspecifiedFlowError
from penstock.results.scripts import register_script_module, script_module_name

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from types import ModuleType


class LoadableFlow:
    """What the loaders look for: a flow, whose class is above this room.

    Attributes:
        name: the flow's.
        is_graph: it was declared as a graph, and is no decorated function.
    """

    name: str
    is_graph: ClassVar[bool] = False
    _given_entrypoint: str | None
    _module: str | None = None

    @property
    def module_name(self) -> str | None:
        """Give the name of the module that the flow was made in, where that is known."""
        return self._module or getattr(getattr(self, "fn", None), "__module__", None)


@contextmanager
def without_running_flows() -> Generator[None]:
    """Let calls of flows do nothing in the block."""
    registry = PenstockObjectRegistry.get() or PenstockObjectRegistry()
    # A copy: what is made in the block is noted where it would be without it.
    with registry.copy(block_code_execution=True):
        yield


# -- scripts and modules --------------------------------------------------------------------------


def load_script(path: str | Path) -> ModuleType:
    """Import a script by its path.

    A file in a package is imported as a part of it, so that its relative imports work; any other
    as a module named after the file, with its folder on `sys.path`, as `python script.py` does. A
    file that is imported already is not executed again.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a Python file.
        ScriptError: the script raised.
    """
    given = Path(path).expanduser()
    if not given.is_file():
        what = "is a folder" if given.is_dir() else "does not exist"
        message = (
            f"{str(given)!r} {what}. Give the path of a Python file, from {str(Path.cwd())!r} or"
            " absolute."
        )
        raise FileNotFoundError(message)
    file = given.resolve()
    if file.suffix != ".py":
        message = f"{str(file)!r} is not a Python file: its name must end in .py."
        raise ValueError(message)
    module = _load_from_package(file) or _load_alone(file)
    register_script_module(module)
    return module


def _load_from_package(file: Path) -> ModuleType | None:
    """Import a file as the part of a package that it is; none if it is in none."""
    folder, parts = file.parent, [] if file.stem == "__init__" else [file.stem]
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    if folder == file.parent or not all(part.isidentifier() for part in parts):
        return None
    name = ".".join(parts)
    _put_on_path(folder, first=True)
    if find_module(name) != file:
        # Another package has taken the name.
        return None
    # For scripts that are also started as such, and import their neighbours without the package.
    _put_on_path(file.parent, first=False)
    return _import(name, str(file))


def _load_alone(file: Path) -> ModuleType:
    name = file.stem
    if name in sys.stdlib_module_names or not _may_be(sys.modules.get(name), file):
        name = script_module_name(file)
    known = sys.modules.get(name)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    _put_on_path(file.parent, first=True)
    sys.modules[name] = module
    try:
        with without_running_flows():
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ScriptError(error, str(file)) from error
    return module


def _import(name: str, where: str) -> ModuleType:
    try:
        with without_running_flows():
            return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ScriptError(error, where) from error


def _may_be(module: ModuleType | None, file: Path) -> bool:
    """Tell whether a module's name is free for `file`, or has been given to it."""
    if module is None:
        return True
    known = getattr(module, "__file__", None)
    return known is not None and Path(known).resolve() == file


def _put_on_path(folder: Path, *, first: bool) -> None:
    text = str(folder)
    if text not in sys.path:
        sys.path.insert(0 if first else len(sys.path), text)
        importlib.invalidate_caches()


def find_module(module_name: str) -> Path | None:
    """Give the file that a module would be imported from, without importing anything."""
    known = sys.modules.get(module_name)
    if known is not None:
        file = getattr(known, "__file__", None)
        return None if file is None else Path(file).resolve()
    folders: Any = None
    parts = module_name.split(".")
    spec: importlib.machinery.ModuleSpec | None = None
    for count in range(1, len(parts) + 1):
        name = ".".join(parts[:count])
        package = sys.modules.get(name)
        if package is not None:
            spec, folders = package.__spec__, getattr(package, "__path__", None)
        else:
            spec = importlib.machinery.PathFinder.find_spec(name, folders)
            folders = None if spec is None else spec.submodule_search_locations
        if count < len(parts) and folders is None:
            return None
    return None if spec is None or spec.origin is None else Path(spec.origin).resolve()


def load_module(name: str) -> ModuleType:
    """Import a module by its dotted name; flows in it do not run meanwhile.

    Raises:
        MissingFlowError: there is no such module.
        ScriptError: the module raised.
    """
    try:
        return _import(name, name)
    except ScriptError as error:
        cause = error.user_exc
        missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
        if missing is None or not f"{name}.".startswith(f"{missing}."):
            raise
        message = (
            f"There is no module {name!r} to load a flow from. Check its spelling, and that it is"
            " installed here or lies in a folder of PYTHONPATH."
        )
        raise MissingFlowError(message) from cause


# -- flows ----------------------------------------------------------------------------------------


def flows_in(module: ModuleType) -> list[Any]:
    """Give all flows that a module has a name for, decorated ones and graphs, each once."""
    return list(named_flows_in(module).values())


def named_flows_in(module: ModuleType) -> dict[str, Any]:
    """Give all flows of a module by the first variable that holds them."""
    found: dict[str, Any] = {}
    known: set[int] = set()
    for variable, value in vars(module).items():
        if isinstance(value, LoadableFlow) and id(value) not in known:
            known.add(id(value))
            found[variable] = value
    return found


def load_flows_from_script(path: str | Path) -> list[Any]:
    """Give all flows that a script has.

    Raises:
        FileNotFoundError: there is no such file.
        ScriptError: the script raised while it was loaded.
    """
    return flows_in(load_script(path))


def load_flow_from_script(path: str | Path, flow_name: str | None = None) -> Any:
    """Give the flow of a script, by name if it has several.

    Raises:
        MissingFlowError: it has none, or none of this name.
        UnspecifiedFlowError: it has several and no name is given.
    """
    flows = load_flows_from_script(path)
    return select_flow(flows, flow_name, from_message=f"in script {str(path)!r}")


def load_flow_from_entrypoint(entrypoint: str) -> Any:
    """Give the flow at `path.py:name`, `package.module:name` or `package.module.name`.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or this is no entrypoint.
        MissingFlowError: there is no such module, or no flow of this name in it.
        ScriptError: the script raised while it was loaded.
    """
    place, name, is_file = _parts_of(entrypoint)
    module = load_script(place) if is_file else load_module(place)
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, LoadableFlow):
        flows = ", ".join(named_flows_in(module))
        message = (
            f"There is no flow {name!r} in {getattr(module, '__file__', module.__name__)!r}."
            f" Flows there: {flows or 'none'}."
        )
        raise MissingFlowError(message)
    value = cast("Any", found)
    if value._given_entrypoint is None:  # noqa: SLF001 - where it can be loaded again is known only here
        resolved = f"{Path(place).expanduser().resolve()}:{name}"
        value._given_entrypoint = resolved if is_file else entrypoint  # noqa: SLF001
    return value


def names_file(place: str) -> bool:
    """Tell whether the part of an entrypoint before its name is a file's path, or a module."""
    return place.endswith(".py") or os.sep in place or Path(place).is_file()


def _parts_of(entrypoint: str) -> tuple[str, str, bool]:
    """Give an entrypoint's file or module, the name in it, and whether it is a file."""
    place, separator, name = entrypoint.rpartition(":")
    if not separator:
        place, _, name = entrypoint.rpartition(".")
    if not place or not name:
        raise ValueError(
            f"The entrypoint {entrypoint!r} is not understood. Give path/to/file.py:flow_name or"
            " package.module.flow_name."
        )
    return place, name, bool(separator) and names_file(place)


def load_flow_from_text(script_contents: str, flow_name: str) -> Any:
    """Give a flow of a script that is given as text.

    Raises:
        MissingFlowError: it has no flow of this name.
        ScriptError: the script raised while it was loaded.
    """
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "flow_from_text.py"
        file.write_text(script_contents, encoding="utf-8")
        try:
            return load_flow_from_script(file, flow_name)
        finally:
            # The folder is about to go.
            resolved = str(file.resolve().parent)
            if resolved in sys.path:
                sys.path.remove(resolved)


def select_flow(
    flows: Iterable[Any], flow_name: str | None = None, from_message: str | None = None
) -> Any:
    """Choose the one flow that is there, or the one of a name (or its function's name).

    Parameters:
        flows: to choose from.
        flow_name: the wanted one's.
        from_message: where they come from, for the error, e.g. `in script 'etl.py'`.

    Raises:
        MissingFlowError: there is none, or none of this name.
        UnspecifiedFlowError: there are several and no name is given.
    """
    choice = list(flows)
    names = ", ".join(sorted({repr(flow.name) for flow in choice}))
    where = f" {from_message}" if from_message else ""
    if not choice:
        message = (
            f"No flows found{where}. Decorate a function with @flow, or declare a graph with"
            " penstock.graph.Flow."
        )
        raise MissingFlowError(message)
    if flow_name is not None:
        for of in ("name", "__name__"):
            for flow in choice:
                if flow_name == getattr(flow, of, None):
                    return flow
        message = f"Flow {flow_name!r} not found{where}. Found: {names}."
        raise MissingFlowError(message)
    if len(choice) > 1:
        message = (
            f"Found {len(choice)} flows{where}: {names}. Say which one, as in file.py:flow_name."
        )
        raise UnspecifiedFlowError(message)
    return choice[0]


# -- without importing ----------------------------------------------------------------------------


def load_flow_argument_from_entrypoint(entrypoint: str, arg: str = "name") -> str | None:
    """Read an argument of a flow's decorator from its source, without importing anything.

    Parameters:
        entrypoint: `path.py:function`, `package.module:function` or `package.module.function`;
            of a graph, the variable.
        arg: the argument. It may be a literal, or a name that the module gives a literal to.

    Returns:
        Its value as text. Without one, or where only running the code could tell it: for `name`
        of a decorated flow, the name that is made from the function's; else none.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or this is no entrypoint.
        MissingFlowError: there is no such module, or no flow of this name in it.
    """
    place, name, is_file = _parts_of(entrypoint)
    file = Path(place).expanduser() if is_file else find_module(place)
    if file is None or (not is_file and file.suffix != ".py"):
        message = f"There is no module {place!r}, or its source is not here."
        raise MissingFlowError(message)
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    function = _function_at(tree, name.split("."))
    for decorator in [] if function is None else function.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if _label(target) != "flow":
            continue
        value = _argument(decorator, arg, tree) if isinstance(decorator, ast.Call) else None
        if value is None and arg == "name":
            return name.rpartition(".")[2].replace("_", "-")
        return value
    graph = _graph_at(tree, name)
    if graph is not None:
        return _argument(graph, arg, tree)
    message = f"There is no flow {name!r} in {str(file)!r}."
    raise MissingFlowError(message)


def _function_at(tree: ast.AST, names: list[str]) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Find a function by its qualified name."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if len(names) == 1 and isinstance(node, functions) and node.name == names[0]:
            return node
        if len(names) > 1 and isinstance(node, ast.ClassDef) and node.name == names[0]:
            return _function_at(node, names[1:])
    return None


def _graph_at(tree: ast.Module, variable: str) -> ast.Call | None:
    """Find where a graph is made that a variable holds: `x = Flow(...)`, `with Flow(...) as x`."""
    found: ast.expr | None = None
    for node in ast.walk(tree):
        pairs: list[tuple[ast.expr | None, ast.expr | None]] = []
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, ast.AnnAssign):
            pairs = [(node.target, node.value)]
        elif isinstance(node, ast.With):
            pairs = [(item.optional_vars, item.context_expr) for item in node.items]
        for target, value in pairs:
            if isinstance(target, ast.Name) and target.id == variable:
                found = value
    is_graph = isinstance(found, ast.Call) and _label(found.func) == "Flow"
    return cast("ast.Call", found) if is_graph else None


def _label(node: ast.expr) -> str:
    """Give the last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _argument(call: ast.Call, arg: str, tree: ast.Module) -> str | None:
    """Give an argument of a call as text; `name` may be given by place."""
    given = [keyword.value for keyword in call.keywords if keyword.arg == arg]
    if arg == "name":
        given += call.args[:1]
    value = _literal(given[0], tree) if given else None
    return None if value is None else str(value)


def _literal(node: ast.expr, tree: ast.Module) -> Any:
    """Give the value of a literal, or of a name that the module gives one to."""
    if isinstance(node, ast.Constant):
        return node.value
    if not isinstance(node, ast.Name):
        return None
    value: Any = None
    for statement in tree.body:
        if not isinstance(statement, ast.Assign):
            continue
        names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
        if node.id in names:
            assigned = statement.value
            value = assigned.value if isinstance(assigned, ast.Constant) else None
    return value
