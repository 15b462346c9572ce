"""Serializers of results: pickle, json, each optionally compressed, and the base for one's own."""

from __future__ import annotations

from penstock.results.json_objects import json_object_decoder, json_object_encoder
from penstock.results.serializers import (
    CompressedJSONSerializer,
    CompressedPickleSerializer,
    CompressedSerializer,
    JSONSerializer,
    PickleSerializer,
    Serializer,
    resolve_serializer,
)

__all__ = [
    "CompressedJSONSerializer",
    "CompressedPickleSerializer",
    "CompressedSerializer",
    "JSONSerializer",
    "PickleSerializer",
    "Serializer",
    "json_object_decoder",
    "json_object_encoder",
    "resolve_serializer",
]
