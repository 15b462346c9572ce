"""Effects that every driver of real work does the same way: in this thread, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.engine.effects import Ask, Commit, Read, Save
from penstock.task_runners import Call, perform
from penstock.utilities.asyncutils import is_async_fn

if TYPE_CHECKING:
    from collections.abc import Callable


def commit(effect: Commit) -> None:
    """Write the rows and wait until they are committed."""
    effect.execution.commit(effect.rows, effect.behind)


def save(effect: Save) -> Any:
    """Write a value to result storage, in the run's own context for the key's template."""
    return _inside(effect, lambda: effect.factory.create(effect.value, key_context(effect)))


def key_context(effect: Save) -> dict[str, Any]:
    """Give what the template of a result's key may name."""
    from penstock import runtime

    return {
        "parameters": effect.parameters,
        "flow_run": runtime.flow_run,
        "task_run": runtime.task_run,
        "deployment": runtime.deployment,
    }


def read(effect: Read) -> Any:
    """Read, here and now."""
    return effect.read()


def ask(effect: Ask) -> Any:
    """Call a user's hook or condition; a coroutine function in the background."""
    call = Call(effect.fn, effect.args, effect.kwargs, inside=effect.inside)
    if is_async_fn(effect.fn):
        from penstock.task_runners import loops

        call.is_async = True
        outcome = loops.run_blocking(call)
    else:
        outcome = perform(call)
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


def _inside(effect: Save, work: Callable[[], Any]) -> Any:
    inside = effect.inside
    if inside is None:
        return work()
    tokens = inside.activate()
    try:
        return work()
    finally:
        inside.deactivate(tokens)


AT_ONCE: dict[type, Callable[[Any], Any]] = {Commit: commit, Save: save, Read: read, Ask: ask}
