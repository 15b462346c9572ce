"""Small rooms at the bottom of the house: each is about one thing and imports nothing above it."""

# Without `from __future__ import annotations`, which would hide the module of that name.
from penstock.utilities.lazy import lazy_names

__getattr__ = lazy_names(
    __name__,
    {},
    ("annotations", "asyncutils", "callables", "collections", "hashing"),
)
