"""Where functions are defined, and what identifies them thereby (section 2.3)."""

from __future__ import annotations

from _blake2 import blake2b  # as in hashlib, which would load OpenSSL: a fifth of Python's start
from pathlib import Path
from typing import Any, cast


def source_file(fn: Any) -> str | None:
    """Give the real path of the file a function is defined in: one, however it was reached."""
    while hasattr(fn, "__wrapped__"):
        fn = fn.__wrapped__
    code = getattr(fn, "__code__", None)
    if code is None:
        # A callable object: its class says where it comes from.
        of_class = cast("Any", type(fn))
        code = getattr(getattr(of_class, "__call__", None), "__code__", None)  # noqa: B004
    if code is None or code.co_filename.startswith("<"):
        return None
    return str(Path(code.co_filename).resolve())


def source_version(fn: Any) -> str | None:
    """Give a hash of the file that a function is defined in; none when it cannot be read."""
    path = source_file(fn)
    if path is None:
        return None
    try:
        return blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return None


def key_of(fn: Any, name: str) -> str:
    """Give what identifies the same function across processes."""
    qualified = getattr(fn, "__qualname__", None)
    if qualified is None:
        kind = cast("Any", type(fn))
        return f"{kind.__module__}.{kind.__qualname__}"
    path = source_file(fn)
    return f"{qualified}-unknown-source-file" if path is None else key_at(fn, name, path)


def key_at(fn: Any, name: str, path: str) -> str:
    """Give what identifies a function if it is in the file at `path`."""
    digest = blake2b(f"{name}\0{path}".encode(), digest_size=8).hexdigest()
    return f"{fn.__qualname__}-{digest}"
