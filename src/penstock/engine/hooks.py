"""Calling one hook of a run, whatever kind of run it is (section 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.engine.effects import Ask

if TYPE_CHECKING:
    from penstock.engine.effects import Steps


def call_hook(hook: Any, kwargs: dict[str, Any], logger: Any, context: Any) -> Steps[None]:
    """Call one hook and log it; what it raises is logged, and nothing more."""
    name = hook_name(hook)
    state = kwargs["state"]
    # A copy: what a hook does to it must not reach the run, nor the next hook.
    kwargs = {**kwargs, "state": state.copy(id=state.id, timestamp=state.timestamp)}
    logger.info("Running hook %r in response to entering state %r", name, state.name)
    try:
        yield Ask(hook, (), kwargs, context)
    except Exception:
        logger.exception("An error was encountered while running hook %r", name)
    else:
        logger.info("Hook %r finished running successfully", name)


def hook_name(hook: Any) -> str:
    """Name a hook: a function, a partial of one, or an object that can be called."""
    while hasattr(hook, "func"):
        hook = hook.func
    return getattr(hook, "__name__", type(hook).__name__)
