"""Small bridges between sync and async code. asyncio is imported where it is first needed."""

from __future__ import annotations

import functools
import inspect
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from penstock import world

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine

__all__ = [
    "gather",
    "is_async_fn",
    "is_in_async_code",
    "run_sync_in_worker_thread",
    "sync_compatible",
]

P = ParamSpec("P")
R = TypeVar("R")


def is_async_fn(fn: Any) -> bool:
    """Say whether calling `fn` gives an awaitable.

    Looks through partials, `functools.wraps` wrappers, methods and objects with a `__call__`.

    Example:
        >>> async def f(x): ...
        >>> is_async_fn(functools.partial(f, 1))
        True
    """
    if fn.__class__ is FunctionType and not fn.__dict__:
        return bool(fn.__code__.co_flags & inspect.CO_COROUTINE)
    while True:
        if isinstance(fn, functools.partial):
            fn = cast("functools.partial[Any]", fn).func
        elif hasattr(fn, "__wrapped__"):
            fn = fn.__wrapped__
        else:
            break
    if inspect.iscoroutinefunction(fn):
        return True
    if inspect.isroutine(fn) or inspect.isclass(fn) or not callable(fn):
        return False
    return inspect.iscoroutinefunction(fn.__class__.__call__)


def is_in_async_code() -> bool:
    """Say whether the caller runs on an event loop."""
    if "asyncio" not in sys.modules:
        return False
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def sync_compatible(fn: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Any]:
    """Let an async function be called from sync code too.

    From async code a call gives a coroutine, to be awaited. From sync code it runs the function to
    its end on an event loop of its own and gives the value. `.aio` is the async function itself.

    Args:
        fn: The async function.

    Returns:
        The function to call.

    Example:
        >>> @sync_compatible
        ... async def double(x):
        ...     return 2 * x
        >>> double(2)
        4
    """
    if not is_async_fn(fn):
        msg = f"sync_compatible takes an async function, not {fn!r}."
        raise TypeError(msg)

    @functools.wraps(fn)
    def call(*args: P.args, **kwargs: P.kwargs) -> Any:
        coroutine = fn(*args, **kwargs)
        if is_in_async_code():
            return coroutine
        import asyncio

        return asyncio.run(coroutine)

    del call.__wrapped__  # else `call` would count as async
    cast("Any", call).aio = fn
    return call


async def run_sync_in_worker_thread(fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a sync function in a new thread and wait for it without holding up the event loop.

    Each call has a thread of its own, so calls that wait for each other cannot run out of threads.
    The function sees the caller's context variables. If the waiting is cancelled, the thread is
    left to finish by itself and its outcome is dropped.

    Args:
        fn: The function.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Returns:
        What it returns; what it raises is raised.
    """
    import asyncio
    import contextvars

    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[R] = loop.create_future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            value = context.run(fn, *args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting coroutine
            _report(loop, _fail, outcome, error)
        else:
            _report(loop, _finish, outcome, value)

    name = f"penstock-{getattr(fn, '__name__', 'worker')}"
    world.start_thread(work, name)
    return await outcome


async def gather(*calls: Callable[[], Awaitable[R]]) -> list[R]:
    """Call async functions at the same time and wait for all.

    Args:
        calls: Functions without arguments.

    Returns:
        What they returned, in the order of the calls. If one raises, the others are cancelled,
        waited for, and its exception is raised.
    """
    import asyncio

    tasks = [asyncio.ensure_future(call()) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _report(
    loop: asyncio.AbstractEventLoop,
    report: Callable[[asyncio.Future[Any], Any], None],
    outcome: asyncio.Future[Any],
    content: Any,
) -> None:
    try:
        loop.call_soon_threadsafe(report, outcome, content)
    except RuntimeError:
        # The loop was closed meanwhile: nobody waits any more.
        if not loop.is_closed():
            raise


def _finish(outcome: asyncio.Future[Any], value: Any) -> None:
    if not outcome.done():
        outcome.set_result(value)


def _fail(outcome: asyncio.Future[Any], error: BaseException) -> None:
    if outcome.done():
        return
    if isinstance(error, StopIteration):
        # A future refuses it, as it would end the coroutine that awaits.
        wrapped = RuntimeError("the function raised StopIteration")
        wrapped.__cause__ = error
        error = wrapped
    outcome.set_exception(error)
