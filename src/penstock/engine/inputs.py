"""A task run's inputs: what they come from, when they are ready, and what they are (section 5).

Looking is cheap: scalars are passed by at once, and only where a future, state or annotation is
found are the inputs rebuilt.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.engine.origins import Origins
from penstock.exceptions import PenstockException, UpstreamTaskError
from penstock.futures import PenstockFuture, states_instead
from penstock.records import TaskRunResult
from penstock.results import fingerprint, fingerprint_and_objects
from penstock.states import State, get_state_exception, state_result
from penstock.utilities.annotations import BaseAnnotation, allow_failure, quote
from penstock.utilities.collections import LEAF_TYPES, StopVisiting, fields_of, visit_collection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from penstock.engine.links import ResultLinks

_MAPPINGS = frozenset({dict, OrderedDict})
_CONTAINERS = frozenset({list, tuple, set}) | _MAPPINGS
WAIT_FOR = "wait_for"


class Inputs:
    """What was found in the inputs of a run.

    `futures` are to be waited for; `sources` are the runs each parameter comes from; `active`
    names the parameters that are to be rebuilt before the function gets them; `lists` are what
    iterators gave, which can be asked only once, by the iterator's id.
    """

    __slots__ = ("active", "asks_iterators", "futures", "lists", "sources", "started")

    def __init__(self, *, asks_iterators: bool = True) -> None:
        self.asks_iterators = asks_iterators
        self.futures: list[PenstockFuture] = []
        self.sources: dict[str, list[UUID]] = {}
        self.active: set[str] = set()
        self.lists: dict[int, tuple[Any, list[Any]]] = {}
        self.started = clock.monotonic()

    def task_inputs(self, names: Mapping[str, Any]) -> dict[str, list[TaskRunResult]]:
        """Give the inputs as they are recorded: for each parameter the task runs it comes from."""
        if not self.sources:
            return from_nowhere(tuple(names))
        recorded: dict[str, list[TaskRunResult]] = {}
        for name in (*names, WAIT_FOR):
            ids = self.sources.get(name)
            if ids is not None or name != WAIT_FOR:
                unique = dict.fromkeys(ids or ())
                recorded[name] = [TaskRunResult(id=run_id) for run_id in unique]
        return recorded


@lru_cache(maxsize=1000)
def from_nowhere(names: tuple[str, ...]) -> dict[str, list[TaskRunResult]]:
    """Give what is recorded of parameters none of which comes from a task run.

    Most calls are such: they share one object for each signature, which nobody changes.
    """
    return {name: [] for name in names}


def look_at(
    parameters: Mapping[str, Any], wait_for: Any, links: ResultLinks | None
) -> Inputs | None:
    """Look through the inputs of a run; none when they are plain values from nowhere."""
    inputs: Inputs | None = None
    for name, value in parameters.items():
        if type(value) in LEAF_TYPES and (links is None or links.find(value) is None):
            continue
        if inputs is None:
            inputs = Inputs()
        _scan(name, value, inputs, links, set())
    if wait_for is not None:
        inputs = inputs or Inputs()
        inputs.sources.setdefault(WAIT_FOR, [])
        _scan(WAIT_FOR, wait_for, inputs, links, set())
    if inputs is None or not (inputs.sources or inputs.active or inputs.futures):
        return None
    return inputs


def _scan(
    name: str, value: Any, inputs: Inputs, links: ResultLinks | None, seen: set[int]
) -> None:
    if links is not None:
        source = links.find(value)
        if source is not None:
            inputs.sources.setdefault(name, []).append(source)
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in LEAF_TYPES:
        return
    if kind is PenstockFuture:
        inputs.active.add(name)
        inputs.futures.append(value)
        inputs.sources.setdefault(name, []).append(value.key)
        return
    if kind is State:
        inputs.active.add(name)
        run_id = value.state_details.task_run_id
        if run_id is not None:
            inputs.sources.setdefault(name, []).append(run_id)
        return
    if id(value) in seen:
        return
    for part in _parts(name, value, inputs):
        if type(part) not in LEAF_TYPES or links:
            seen.add(id(value))
            _scan(name, part, inputs, links, seen)


def _parts(name: str, value: Any, inputs: Inputs) -> Any:
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in _CONTAINERS:
        return [*value.keys(), *value.values()] if kind in _MAPPINGS else value
    if isinstance(value, BaseAnnotation):
        inputs.active.add(name)
        return () if isinstance(value, quote) else (value.unwrap(),)
    if fields := fields_of(value):
        return fields
    if inputs.asks_iterators and isinstance(value, Iterator):
        return _list_of(name, value, inputs)
    return ()


def _list_of(name: str, iterator: Any, inputs: Inputs) -> list[Any]:
    """Give what an iterator gives: the function will get this list in its place."""
    if id(iterator) in inputs.lists:
        inputs.active.add(name)
        return inputs.lists[id(iterator)][1]
    made = visit_collection(iterator, _same, return_data=True, max_depth=1)
    if made is iterator:
        return []  # a file, or one without end: left to the function
    inputs.active.add(name)
    inputs.lists[id(iterator)] = (iterator, made)
    return made


def futures_in(value: Any) -> list[PenstockFuture]:
    """Give the futures in a value that a function returned; iterators are left as they are."""
    inputs = Inputs(asks_iterators=False)
    held = value.data if isinstance(value, State) else value
    _scan("value", held, inputs, None, set())
    return inputs.futures


def with_states(value: Any) -> Any:
    """Give a returned value with states for its futures; in a state, for those in its data."""
    if isinstance(value, State):
        value.data = states_instead(value.data)
        return value
    return states_instead(value)


def _same(part: Any) -> Any:
    return part


def resolve(
    parameters: Mapping[str, Any], inputs: Inputs, *, max_depth: int = -1
) -> dict[str, Any]:
    """Give the parameters with each future and state replaced by its value (section 5.2).

    Raises:
        UpstreamTaskError: an upstream did not complete.
        PenstockException: a parameter could not be rebuilt.
    """
    resolved = dict(parameters)
    for name in inputs.active:
        if name == WAIT_FOR:
            continue
        try:
            resolved[name] = visit_collection(
                parameters[name],
                _value_of,
                return_data=True,
                max_depth=max_depth,
                context={"lists": inputs.lists},
                remove_annotations=max_depth < 0,
            )
        except UpstreamTaskError:
            raise
        except Exception as error:
            message = (
                f"Failed to resolve inputs in parameter {name!r}. If the parameter is not meant to"
                " be looked into for task results, wrap it: quote(...). The error was:"
                f" {type(error).__name__}: {error}"
            )
            raise PenstockException(message) from error
    return resolved


def check_wait_for(wait_for: Any, inputs: Inputs | None = None) -> None:
    """Make sure that everything a run waits for has completed, or may fail.

    Raises:
        UpstreamTaskError: it has not.
    """
    lists = {} if inputs is None else inputs.lists
    # A copy is made, though nobody wants it: so what iterators gave is looked into.
    visit_collection(wait_for, _value_checked, return_data=True, context={"lists": lists})


def _value_checked(part: Any, context: dict[str, Any]) -> Any:
    return _replace(part, context, needs_value=False)


def _value_of(part: Any, context: dict[str, Any]) -> Any:
    return _replace(part, context, needs_value=True)


def _replace(part: Any, context: dict[str, Any], *, needs_value: bool) -> Any:
    if isinstance(part, quote):
        raise StopVisiting(part.unquote())
    if isinstance(part, allow_failure):
        # Every annotation around a place counts, not only the innermost.
        context["may_fail"] = True
        return part  # pyright: ignore[reportUnknownVariableType]
    if isinstance(part, PenstockFuture):
        return _value(part.state, part.key, context, needs_value=needs_value)
    if isinstance(part, State):
        details = part.state_details
        run_id = details.task_run_id or details.flow_run_id
        return _value(part, run_id, context, needs_value=needs_value)
    if id(part) in context["lists"]:
        return context["lists"][id(part)][1]
    return part


def _value(
    state: State | None, run_id: UUID | None, context: dict[str, Any], *, needs_value: bool
) -> Any:
    if state is not None:
        if state.is_completed():
            return state_result(state) if needs_value else None
        if state.is_failed() and context.get("may_fail"):
            return get_state_exception(state)
    reason = "" if state is None or not state.message else f" It is {state}."
    message = f"Upstream task run '{run_id}' did not reach a 'COMPLETED' state.{reason}"
    raise UpstreamTaskError(message)


def fingerprint_of(
    parameters: Mapping[str, Any], inputs: Inputs | None, links: ResultLinks
) -> bytes:
    """Give what tells these inputs from others: values by content, results by their origin.

    Objects count twice, as pickling one that was read back may give another form: by content,
    and by the record that they were read from (see `origins`, and `have_same_inputs`).
    """
    if inputs is None:
        return fingerprint_and_objects(parameters)[0]
    stable = parameters if not inputs.active else _with_identities(parameters, inputs)
    content, with_objects = fingerprint_and_objects(stable)
    if not with_objects:
        return content
    names = [name for name in with_objects if name in inputs.sources]
    if not names:
        return content
    origins = Origins(links, partial(_identity_in, inputs.lists))
    by_origin = {**stable, **{name: origins.in_place_of(parameters[name]) for name in names}}
    return content + fingerprint(by_origin) if origins.found else content


def _with_identities(parameters: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    identity_of = partial(_identity_in, inputs.lists)
    return {
        name: visit_collection(value, identity_of, return_data=True)
        if name in inputs.active
        else value
        for name, value in parameters.items()
    }


def _identity_in(lists: Mapping[int, tuple[Any, list[Any]]], part: Any) -> Any:
    return lists[id(part)][1] if id(part) in lists else _identity_of(part)


def difference_in_words(recorded: Mapping[str, list[Any]], given: Mapping[str, list[Any]]) -> str:
    """Say which inputs are known to come from other task runs than those recorded, if any are."""
    names = [name for name in given if given[name] and recorded.get(name) != given[name]]
    return f" (other task runs gave {', '.join(map(repr, names))})" if names else ""


def _identity_of(part: Any) -> Any:
    if isinstance(part, quote):
        raise StopVisiting(part)
    # The id is that of the record: it is another one where a run was begun anew for other inputs.
    if isinstance(part, PenstockFuture):
        return ("task_run", part.identity, _run_of(part.state))
    if isinstance(part, State):
        return ("state", part.type.value, part.name, _run_of(part))
    return part


def _run_of(state: State | None) -> bytes | None:
    run_id = None if state is None else state.state_details.task_run_id
    return None if run_id is None else run_id.bytes
