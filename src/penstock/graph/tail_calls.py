"""Calls in place of the present one: a function that is to run again without a deeper stack.

A task that loops asks for its runner's `run` to be called again; thousands of iterations are then
one frame.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

_MARK = "__penstock_tail_recursive__"


class RecursiveCall(BaseException):
    """Asks for a call of a function in place of the one that is running.

    It is no `Exception`, so that what stands between does not take it for a failure.

    Args:
        func: What to call: a function decorated with `tail_recursive`.
        *args: What to call it with.
        **kwargs: The same, by name.

    Example:
        >>> @tail_recursive
        ... def count(n, total=0):
        ...     if n:
        ...         raise RecursiveCall(count, n - 1, total + 1)
        ...     return total
        >>> count(100_000)
        100000
    """

    def __init__(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(func, args, kwargs)
        self.func = func
        self.func_args = args
        self.func_kwargs = kwargs


def is_tail_recursive(func: Callable[..., Any]) -> bool:
    """Tell whether a function, or what a bound method is bound from, makes calls in its place."""
    return hasattr(func, _MARK)


def tail_recursive(func: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that raises `RecursiveCall` to be called again.

    A call that is asked for another decorated function goes on to where that one was called.

    Raises:
        RecursionError: A call was asked for of a function that is not decorated: nobody would
            make it.
    """
    function: Callable[..., T] = func

    @wraps(func)
    def call(*args: Any, **kwargs: Any) -> T:
        while True:
            try:
                return function(*args, **kwargs)
            except RecursiveCall as request:
                wanted = request.func
                if getattr(wanted, _MARK, None) is not func:
                    if is_tail_recursive(wanted):
                        raise
                    raise RecursionError(
                        f"A call of {wanted!r} was asked for in place of the one that runs, but"
                        " nothing makes such calls of it. Decorate it with @tail_recursive."
                    ) from request
                # A bound method is called with its object, as any call of it is.
                owner = getattr(wanted, "__self__", None)
                args = request.func_args if owner is None else (owner, *request.func_args)
                kwargs = request.func_kwargs

    setattr(call, _MARK, func)
    return call
