"""What a mapped call is made of: the parameters of each child (section 3.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.engine import inputs as run_inputs
from penstock.exceptions import MappingLengthMismatch, MappingMissingIterable
from penstock.futures import PenstockFuture
from penstock.states import State
from penstock.utilities.annotations import BaseAnnotation, allow_failure, quote, unmapped
from penstock.utilities.collections import isiterable, visit_collection

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.engine.links import ResultLinks


def children_of(
    task: Any, parameters: dict[str, Any], links: ResultLinks
) -> tuple[list[dict[str, Any]], dict[str, list[UUID]]]:
    """Give the parameters of each child, and the runs that all of them come from.

    A whole parameter that is a future is waited for.

    Raises:
        MappingMissingIterable: no parameter can be iterated over.
        MappingLengthMismatch: the iterables differ in length.
    """
    sources = _sources_of_whole(parameters, links)
    resolved = _resolve_whole(parameters)
    signature = task.signature
    exploded = signature.explode(resolved)
    defaults = {
        name
        for name, value in exploded.items()
        if name in signature.defaults and value is signature.defaults[name]
    }
    mapped: dict[str, list[Any]] = {}
    static: dict[str, Any] = {}
    for name, value in exploded.items():
        bare, rewrap = _unwrapped(value)
        if isinstance(value, unmapped):
            whole: Any = value.unwrap()  # pyright: ignore[reportUnknownVariableType]
            # An iterator can be asked only once, and every child is to get what it gives.
            static[name] = visit_collection(whole, _same, return_data=True, max_depth=1)
        elif name in defaults or not isiterable(bare) or _is_left_out(name, bare, signature):
            static[name] = value
        else:
            items: list[Any] = list(bare)
            mapped[name] = items if rewrap is None else [rewrap(item) for item in items]
    if not mapped:
        kinds = ", ".join(f"{k}: {type(v).__name__}" for k, v in exploded.items()) or "none"
        message = (
            f"No iterable parameter was given to map task {task.name!r} over. Parameters: {kinds}."
            " Give a list (or another iterable) for at least one of them."
        )
        raise MappingMissingIterable(message)
    lengths = {name: len(items) for name, items in mapped.items()}
    if len(set(lengths.values())) > 1:
        message = (
            f"Expected the iterable parameters of task {task.name!r} to be of the same length, got"
            f" lengths {lengths}. Wrap in unmapped(...) what every child is to get whole."
        )
        raise MappingLengthMismatch(message)
    count = next(iter(lengths.values()))
    children = [
        signature.collapse(
            {name: mapped[name][index] if name in mapped else static[name] for name in exploded}
        )
        for index in range(count)
    ]
    return children, sources


def _is_left_out(name: str, value: Any, signature: Any) -> bool:
    """Tell whether a value is that of `*args` to which nothing was given."""
    return name == signature.var_positional and isinstance(value, tuple) and not value


def _same(part: Any) -> Any:
    return part


def _unwrapped(value: Any) -> tuple[Any, Any]:
    if isinstance(value, (allow_failure, quote)):
        return value.unwrap(), value.rewrap  # pyright: ignore[reportUnknownVariableType]
    return value, None


def _sources_of_whole(parameters: dict[str, Any], links: ResultLinks) -> dict[str, list[UUID]]:
    """Give the runs that whole parameters come from: every child gets these (5.3)."""
    sources: dict[str, list[UUID]] = {}
    for name, value in parameters.items():
        if isinstance(value, PenstockFuture):
            sources[name] = [value.key]
        elif isinstance(value, State):
            if value.state_details.task_run_id is not None:
                sources[name] = [value.state_details.task_run_id]
        elif not isinstance(value, BaseAnnotation):
            found = links.find(value)
            if found is not None:
                sources[name] = [found]
    return sources


def _resolve_whole(parameters: dict[str, Any]) -> dict[str, Any]:
    """Replace parameters that are futures or states by their values; what is deeper stays."""
    inputs = run_inputs.Inputs()
    for name, value in parameters.items():
        if isinstance(value, (PenstockFuture, State)):
            inputs.active.add(name)
            if isinstance(value, PenstockFuture):
                value.block()
    return run_inputs.resolve(parameters, inputs, max_depth=0) if inputs.active else parameters
