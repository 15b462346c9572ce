"""Graphs and tasks as JSON can hold them: their structure, not their code (section 4.4).

The same graph gives the same text in every process, in whatever order it was built.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["describe_flow", "describe_task"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def describe_task(task: Any) -> dict[str, Any]:
    """Give a task's options, and what it takes and gives.

    Parameters:
        task: the task.
    """
    inputs = {
        name: {**entry, "type": _of_type(entry["type"]), "default": _of_value(entry["default"])}
        for name, entry in task.inputs().items()
    }
    return {
        "name": task.name,
        "slug": task.slug,
        "type": _of_type(type(task)),
        "tags": sorted(task.tags),
        "inputs": inputs,
        "outputs": _of_type(task.outputs()),
        "max_retries": task.max_retries,
        "retry_delay": None if task.retry_delay is None else task.retry_delay.total_seconds(),
        "timeout": task.timeout,
        "trigger": _of_function(task.trigger),
        "skip_on_upstream_skip": task.skip_on_upstream_skip,
        "cache_for": None if task.cache_for is None else task.cache_for.total_seconds(),
        "cache_key": task.cache_key,
        "cache_validator": _of_function(task.cache_validator),
        "auto_generated": task.auto_generated,
    }


def describe_flow(flow: Any) -> dict[str, Any]:
    """Give a flow's tasks, parameters and edges, each sorted by slugs.

    Parameters:
        flow: a valid flow.
    """
    slugs: dict[Any, str] = flow.slugs
    tasks = [{**task.serialize(), "slug": slug} for task, slug in slugs.items()]
    parameters = [
        {
            "name": parameter.name,
            "slug": slugs[parameter],
            "required": parameter.required,
            "default": _of_value(parameter.default),
        }
        for parameter in flow.parameters()
    ]
    edges = [
        {
            "upstream_task": {"slug": slugs[edge.upstream_task]},
            "downstream_task": {"slug": slugs[edge.downstream_task]},
            "key": edge.key,
            "mapped": edge.mapped,
            "flattened": edge.flattened,
        }
        for edge in flow.edges
    ]
    return {
        "name": flow.name,
        "type": _of_type(type(flow)),
        "tasks": sorted(tasks, key=_slug),
        "parameters": sorted(parameters, key=_slug),
        "edges": sorted(edges, key=json.dumps),
        "reference_tasks": sorted(slugs[task] for task in flow.reference_tasks()),
    }


def _slug(entry: dict[str, Any]) -> str:
    return entry["slug"]


def _of_type(kind: Any) -> str:
    """Give a type's qualified name; of other annotations, what they look like."""
    if isinstance(kind, type):
        return f"{kind.__module__}.{kind.__qualname__}"
    return _ADDRESS.sub("", str(kind))


def _of_function(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", None)
    return _ADDRESS.sub("", repr(function)) if name is None else str(name)


def _of_value(value: Any) -> Any:
    """Give a value that JSON can hold as it is, another one as a text that is always the same."""
    if isinstance(value, (set, frozenset)):
        return sorted(str(_of_value(part)) for part in value)  # pyright: ignore[reportUnknownVariableType]
    try:
        json.dumps(value, sort_keys=True)
    except (TypeError, ValueError):
        return _ADDRESS.sub("", repr(value))
    return value
