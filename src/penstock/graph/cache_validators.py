"""Whether a task's former result may stand for a new one: the `cache_validator` of a task.

A validator is called as `validator(state, inputs, parameters)` with the `Cached` state at hand,
the task's inputs by name (bare values) and the flow's parameters by name, and returns True where
the state may be used. It runs inside the task's context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from penstock import clock
from penstock.utilities.hashing import HashError, hash_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from penstock.graph.state import Cached

    Values: TypeAlias = Mapping[str, Any] | None
    CacheValidator: TypeAlias = Callable[[Cached, Values, Values], bool]

__all__ = [
    "all_inputs",
    "all_parameters",
    "content_hash",
    "duration_only",
    "never_use",
    "partial_inputs_only",
    "partial_parameters_only",
]


def never_use(state: Cached, inputs: Values, parameters: Values) -> bool:
    """Take no cached result: what tasks without `cache_for` do.

    Parameters:
        state: the cached state.
        inputs: the task's inputs; not looked at.
        parameters: the flow's parameters; not looked at.

    Returns:
        False.
    """
    del state, inputs, parameters
    return False


def duration_only(state: Cached, inputs: Values, parameters: Values) -> bool:
    """Take a cached result until it expires: what tasks with `cache_for` do unless told otherwise.

    Parameters:
        state: the cached state.
        inputs: the task's inputs; not looked at.
        parameters: the flow's parameters; not looked at.

    Returns:
        Whether the state has no expiration, or one in the future.
    """
    del inputs, parameters
    return _is_unexpired(state)


def all_inputs(state: Cached, inputs: Values, parameters: Values) -> bool:
    """Take a cached result until it expires, for the same inputs.

    Parameters:
        state: the cached state.
        inputs: the task's inputs; one more or one less than cached is not the same.
        parameters: the flow's parameters; not looked at.

    Returns:
        Whether the state is unexpired and all inputs are the same.
    """
    del parameters
    if not _is_unexpired(state):
        return False
    present = dict(inputs or {})
    if state.hashed_inputs is not None:
        return _has_hashes(present, state.hashed_inputs)
    return _is_same({key: result.value for key, result in state.cached_inputs.items()}, present)


def all_parameters(state: Cached, inputs: Values, parameters: Values) -> bool:
    """Take a cached result until it expires, for the same parameters of the flow.

    Parameters:
        state: the cached state.
        inputs: the task's inputs; not looked at.
        parameters: the flow's parameters; one more or one less than cached is not the same.

    Returns:
        Whether the state is unexpired and all parameters are the same.
    """
    del inputs
    if not _is_unexpired(state):
        return False
    return _is_same(dict(state.cached_parameters or {}), dict(parameters or {}))


def partial_inputs_only(validate_on: Iterable[str] | None = None) -> CacheValidator:
    """Make a validator that takes a cached result until it expires, for some inputs.

    Parameters:
        validate_on: the names of the inputs that count; None for none of them.

    Returns:
        The validator.

    Example:
        >>> from datetime import timedelta
        >>> from penstock.graph import task
        >>> @task(cache_for=timedelta(hours=1), cache_validator=partial_inputs_only(["day"]))
        ... def load(day, log_level="info"): ...
    """
    return _Partial("partial_inputs_only", validate_on, _has_same_inputs)


def partial_parameters_only(validate_on: Iterable[str] | None = None) -> CacheValidator:
    """Make a validator that takes a cached result until it expires, for some parameters.

    Parameters:
        validate_on: the names of the flow's parameters that count; None for none of them.

    Returns:
        The validator.

    Example:
        >>> partial_parameters_only(["day"])
        partial_parameters_only(validate_on=['day'])
    """
    return _Partial("partial_parameters_only", validate_on, _has_same_parameters)


def content_hash(value: Any) -> str:
    """Hash a value by its type and contents, the same in every process.

    What cannot be hashed is no error here, for a task that ran has a result whether or not it can
    be cached: it gets a hash that no value has, so that its result is never taken for another's.

    Parameters:
        value: any value; a dictionary counts whatever its order.

    Returns:
        32 hexadecimal digits, or a text that starts with "unhashable".

    Example:
        >>> content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
        True
    """
    try:
        return hash_arguments({"value": value})
    except HashError as error:
        return f"{_UNHASHABLE}: {error.reason}"


_UNHASHABLE = "unhashable"


class _Partial:
    """A validator that looks at some names only; a class because it must be picklable."""

    __slots__ = ("__name__", "is_same", "validate_on")

    def __init__(
        self,
        name: str,
        validate_on: Iterable[str] | None,
        is_same: Callable[[Cached, Values, Values, list[str]], bool],
    ) -> None:
        if isinstance(validate_on, str):
            validate_on = [validate_on]
        self.__name__ = name
        self.validate_on = None if validate_on is None else list(validate_on)
        self.is_same = is_same

    def __repr__(self) -> str:
        return f"{self.__name__}(validate_on={self.validate_on!r})"

    def __call__(self, state: Cached, inputs: Values, parameters: Values) -> bool:
        if not _is_unexpired(state):
            return False
        return self.validate_on is None or self.is_same(
            state, inputs, parameters, self.validate_on
        )


def _has_same_inputs(state: Cached, inputs: Values, parameters: Values, names: list[str]) -> bool:
    del parameters
    present = _chosen(inputs, names)
    if state.hashed_inputs is not None:
        return _has_hashes(present, _chosen(state.hashed_inputs, names))
    cached = _chosen(state.cached_inputs, names)
    return _is_same({key: result.value for key, result in cached.items()}, present)


def _has_same_parameters(
    state: Cached, inputs: Values, parameters: Values, names: list[str]
) -> bool:
    del inputs
    return _is_same(_chosen(state.cached_parameters, names), _chosen(parameters, names))


def _is_unexpired(state: Cached) -> bool:
    expiration = state.cached_result_expiration
    return expiration is None or expiration > clock.now()


def _chosen(values: Values, names: list[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values} if values else {}


def _has_hashes(values: Mapping[str, Any], hashes: Mapping[str, str]) -> bool:
    """Tell whether values have these hashes; one that cannot be hashed is never the same."""
    if values.keys() != hashes.keys():
        return False
    return all(
        hashes[name] == content_hash(value) and not hashes[name].startswith(_UNHASHABLE)
        for name, value in values.items()
    )


def _is_same(cached: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """Compare values by name; arrays, which do not say whether they are equal, by their hash."""
    if cached.keys() != present.keys():
        return False
    return all(_is_equal(cached[name], value) for name, value in present.items())


def _is_equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - arrays and frames refuse; users' __eq__ raises anything
        here = content_hash(one)
        return here == content_hash(other) and not here.startswith(_UNHASHABLE)
