"""Names of modules that mean the same in every process, though a script goes by several.

`python flow.py` calls the script's module `__main__`; `penstock run flow.py` and a resumed run
load the same file under another name. Results name their classes by module, so both the unpickler
and the fingerprint of a task's inputs ask here which names are one.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_PREFIX = "penstock_script_"
_PATH_DIGITS = 8
MAIN_NAMES = frozenset({"__main__", "__mp_main__"})

_script_modules: dict[str, ModuleType] = {}


def script_module_name(path: str | Path) -> str:
    """Make the name under which a script is loaded as a module.

    It is the same for the same file in every process, and two scripts of one name in different
    folders have different ones.

    Parameters:
        path: the script's file.

    Example:
        >>> script_module_name("flows/etl.py").endswith("_etl")
        True
    """
    import hashlib  # loads OpenSSL; needed only where scripts are loaded

    resolved = Path(path).resolve()
    digits = hashlib.blake2b(str(resolved).encode(), digest_size=_PATH_DIGITS // 2).hexdigest()
    return f"{_PREFIX}{digits}_{resolved.stem}"


def register_script_module(module: ModuleType) -> None:
    """Say that `module` was loaded from a script, so that results may name its classes.

    Parameters:
        module: what was loaded; its `__file__` is the script.
    """
    _script_modules.pop(module.__name__, None)
    _script_modules[module.__name__] = module


def canonical_module(name: str) -> str:
    """Give the name that a module has in every process: the last part, or its script's stem.

    Parameters:
        name: the module's name here, e.g. `__main__`.

    Example:
        >>> canonical_module("shop.orders")
        'orders'
    """
    if name in MAIN_NAMES:
        main = sys.modules.get("__main__")
        return name if main is None else _stem(main)
    script = _script_modules.get(name)
    if script is not None:
        return _stem(script)
    if name.startswith(_PREFIX):
        return name[len(_PREFIX) + _PATH_DIGITS + 1 :]
    return name.rpartition(".")[2]


def modules_known_as(name: str) -> Iterator[ModuleType]:
    """Give the loaded scripts, newest first, that may be the module recorded as `name`."""
    scripts = list(_script_modules.values())[::-1]
    if name in MAIN_NAMES:
        yield from scripts
        return
    wanted = canonical_module(name)
    main = sys.modules.get("__main__")
    if main is not None:
        scripts.append(main)
    for module in scripts:
        if _stem(module) == wanted:
            yield module


def imported_definition(module_name: str, qualname: str) -> Any:
    """Give what another script defined, if one module that is imported here defines it.

    A script that was run calls itself `__main__`. Read by another one, e.g. a report or a
    notebook, its classes are in the module as which that has imported it.

    Parameters:
        module_name: the module it was recorded with.
        qualname: the name in it.

    Raises:
        AttributeError: no module defines it, or several do.
    """
    if module_name not in MAIN_NAMES:
        raise AttributeError(qualname)
    first = qualname.partition(".")[0]
    found: list[ModuleType] = [
        module
        for module in dict.fromkeys(cast("list[Any]", list(sys.modules.values())))
        # Not by getattr, which may have a lazy package import things.
        if isinstance(module, types.ModuleType)
        and getattr(vars(module).get(first), "__module__", None) == module.__name__
        and not _is_installed(module)
    ]
    if len(found) != 1:
        raise AttributeError(qualname)
    return find_attribute(found[0], qualname)


def _is_installed(module: ModuleType) -> bool:
    """Tell whether a module is Python's or a library's, which nobody runs as a script."""
    parts = Path(getattr(module, "__file__", None) or "").parts
    return (
        module.__name__.partition(".")[0] in sys.stdlib_module_names
        or "site-packages" in parts
        or "dist-packages" in parts
    )


def import_by_path(path: str) -> Any:
    """Import what `path` names: a module's name, a dot, and a name in it.

    Parameters:
        path: e.g. `shop.orders.Order`. A script may go by any of its names.

    Raises:
        ValueError: there is no such thing.

    Example:
        >>> import_by_path("pathlib.Path").__name__
        'Path'
    """
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module_name, qualname = ".".join(parts[:length]), ".".join(parts[length:])
        for module in _modules_called(module_name):
            try:
                return find_attribute(module, qualname)
            except AttributeError:
                continue
    raise ValueError(
        f"There is nothing to import at {path!r}: its code was renamed, moved or is not installed"
        " here. A path is a module's name, a dot, and a name in the module."
    )


def _modules_called(name: str) -> Iterator[ModuleType]:
    with contextlib.suppress(ImportError):  # perhaps a script that goes by another name here
        yield importlib.import_module(name)
    yield from modules_known_as(name)


def find_attribute(module: ModuleType, qualname: str) -> Any:
    """Give what `module` holds under a dotted name.

    Raises:
        AttributeError: it holds nothing there.
    """
    found: Any = module
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _stem(module: ModuleType) -> str:
    spec = getattr(module, "__spec__", None)
    if module.__name__ in MAIN_NAMES and spec is not None:  # python -m package.module
        return spec.name.removesuffix(".__main__").rpartition(".")[2]
    file = getattr(module, "__file__", None)
    return Path(file).stem if file else module.__name__
