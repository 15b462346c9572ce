"""How functions are called: binding arguments, checking them, describing them.

The work is done in `parameters` (binding), `validation` (types) and `schemas` (JSON schema); these
functions serve those who have a function and no `Parameters` of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.utilities.parameters import Parameters
from penstock.utilities.schemas import parameter_schema
from penstock.utilities.validation import check_signature, validate_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Parameters",
    "call_with_parameters",
    "check_signature",
    "collapse_variadic_parameters",
    "explode_variadic_parameters",
    "get_call_parameters",
    "parameter_schema",
    "parameters_to_args_kwargs",
    "validate_parameters",
]


def get_call_parameters(
    fn: Callable[..., Any] | Parameters,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    apply_defaults: bool = True,
) -> dict[str, Any]:
    """Bind a call's arguments to the function's parameters.

    Args:
        fn: The function, or its parameters.
        args: Positional arguments.
        kwargs: Keyword arguments.
        apply_defaults: Whether to fill in the defaults of parameters that are not given.

    Returns:
        Values by name, in the order of declaration.

    Raises:
        ParameterBindError: The function cannot be called so.
    """
    own = Parameters.of(fn)
    return own.bind(args, kwargs) if apply_defaults else own.without_defaults(args, kwargs)


def parameters_to_args_kwargs(
    fn: Callable[..., Any] | Parameters, parameters: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Turn parameters into the arguments of a call.

    Args:
        fn: The function, or its parameters.
        parameters: Values by name.

    Returns:
        Positional and keyword arguments.

    Raises:
        SignatureMismatchError: A name that the function does not have.
    """
    return Parameters.of(fn).call_arguments(parameters)


def call_with_parameters(fn: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    """Call the function with parameters given by name, and return what it returns.

    Raises:
        SignatureMismatchError: A name that the function does not have.
    """
    args, kwargs = parameters_to_args_kwargs(fn, parameters)
    return fn(*args, **kwargs)


def explode_variadic_parameters(
    fn: Callable[..., Any] | Parameters, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Lift what is in `**kwargs` to the top level, so that each can be mapped over.

    Example:
        >>> explode_variadic_parameters(lambda **kwargs: None, {"kwargs": {"x": 1}})
        {'x': 1}
    """
    return Parameters.of(fn).explode(parameters)


def collapse_variadic_parameters(
    fn: Callable[..., Any] | Parameters, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Undo `explode_variadic_parameters`.

    Raises:
        SignatureMismatchError: A name that is no parameter's, and there is no `**kwargs`.
    """
    return Parameters.of(fn).collapse(parameters)
