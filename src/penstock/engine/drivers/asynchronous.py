"""The async driver: awaits on the caller's event loop what may take long there.

Commits to SQLite take tens of microseconds and are made on the loop. Those to a server take a
round trip, or as long as the server is away, and are made elsewhere.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from penstock import clock, world
from penstock.engine.drivers import performing
from penstock.engine.effects import Ask, Await, Commit, Invoke, Save, Sleep
from penstock.task_runners import Call, loops, perform
from penstock.utilities.asyncutils import is_async_fn

if TYPE_CHECKING:
    from penstock.engine.effects import Steps

T = TypeVar("T")


async def drive(steps: Steps[T]) -> T:
    """Run a generator of effects to its end on the running loop, and give what it returns."""
    if world.stand_in is not None:
        steps = world.stand_in.observe(steps)
    answer: Any = None
    error: BaseException | None = None
    try:
        while True:
            effect = steps.send(answer) if error is None else steps.throw(error)
            answer, error = None, None
            try:
                kind = type(effect)
                if isinstance(effect, Invoke):
                    call = effect.call
                    answer = await loops.perform_async(call) if call.is_async else perform(call)
                elif kind in _AWAITED:
                    answer = await _AWAITED[kind](effect)
                elif isinstance(effect, Commit) and effect.execution.store.is_on_server:
                    await _commit(effect)
                else:
                    answer = performing.AT_ONCE[kind](effect)
            except BaseException as caught:  # noqa: BLE001 - a port's failure is the generator's
                error = caught
    except StopIteration as stop:
        return stop.value


async def _commit(effect: Commit) -> None:
    """Have rows committed by another thread; a cancellation waits until they are."""
    loop = asyncio.get_running_loop()
    committed: asyncio.Future[BaseException | None] = loop.create_future()

    def over(error: BaseException | None) -> None:
        loop.call_soon_threadsafe(committed.set_result, error)

    effect.execution.submit(effect.rows, over, effect.behind, elsewhere=True)
    cancelled: asyncio.CancelledError | None = None
    while not committed.done():
        try:
            await asyncio.wait([committed])
        except asyncio.CancelledError as error:
            cancelled = error
    error = committed.result()
    if error is not None:
        raise error
    if cancelled is not None:
        raise cancelled


async def _await(effect: Await) -> None:
    for future in effect.futures:
        if not future.done():
            await loops.wait_for_done(future)


async def _sleep(effect: Sleep) -> None:
    await loops.sleep(clock.left_until(effect.until))


async def _ask(effect: Ask) -> Any:
    if not is_async_fn(effect.fn):
        # A sync hook may block: not on the loop.
        return await asyncio.to_thread(performing.ask, effect)
    call = Call(effect.fn, effect.args, effect.kwargs, inside=effect.inside, is_async=True)
    outcome = await loops.perform_async(call)
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


async def _save(effect: Save) -> Any:
    return await asyncio.to_thread(performing.save, effect)


_AWAITED: dict[type, Any] = {Await: _await, Sleep: _sleep, Ask: _ask, Save: _save}
