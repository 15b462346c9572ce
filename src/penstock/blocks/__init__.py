"""Typed documents that are saved by name: storages, secrets, configuration.

Reading this room: `core` is the base class and its registry, `documents` how they are stored,
`fields` types whose values are never printed, `system` the ready-made kinds.
"""

from __future__ import annotations

from penstock.blocks.core import Block
from penstock.blocks.fields import SecretDict
from penstock.blocks.system import JSON, DateTime, Secret, String

__all__ = ["JSON", "Block", "DateTime", "Secret", "SecretDict", "String"]
