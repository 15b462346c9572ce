"""Names of a package that are loaded when they are first asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


def lazy_names(
    package: str, where: Mapping[str, str], modules: Collection[str] = ()
) -> Callable[[str], Any]:
    """Make the `__getattr__` of a package (PEP 562).

    Parameters:
        package: its name.
        where: the module that each of its names is in.
        modules: its modules that programs reach through it, without importing them.

    Example:
        >>> lazy_names("penstock.client", {"get_client": "penstock.client.orchestration"})("x")
        Traceback (most recent call last):
        ...
        AttributeError: module 'penstock.client' has no attribute 'x'
    """

    def load(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        module = where.get(name)
        if module is None:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        found = getattr(import_module(module), name)
        setattr(sys.modules[package], name, found)
        return found

    return load
