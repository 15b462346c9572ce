"""Tasks of `penstock.task` in a graph: what they are by themselves, they are there, too.

Their retries, timeouts, caching, names, hooks and results are the flow engine's: when the checks
of the pipeline have let such a task through, the engine's own generator takes over. What comes
before (upstream states, triggers, skips, mapping) is the graph's.
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from penstock.engine.effects import Invoke, Steps
from penstock.engine.task_runs import begin_task_run
from penstock.engine.task_transitions import TaskCall
from penstock.graph.recording import to_graph
from penstock.graph.state import Running
from penstock.graph.task import Task
from penstock.task_runners import Call

if TYPE_CHECKING:
    from penstock.graph.state import State


class DecoratedTask(Task):
    """A task of `penstock.task` as a task of a graph.

    Parameters:
        decorated: the task.
        **options: what a task of a graph has besides: `trigger`, `skip_on_upstream_skip`,
            `state_handlers`, `slug` and so on. Retries, timeouts, caching and run names are the
            task's own, and are set where it is decorated.
    """

    def __init__(self, decorated: Any, **options: Any) -> None:
        for option in ("max_retries", "retry_delay", "timeout", "cache_for", "task_run_name"):
            if options.get(option) is not None:
                message = (
                    f"{option!r} cannot be set on {decorated.name!r} in a graph: it is a task of"
                    " `penstock.task`, which keeps its own. Set it there, or use"
                    " `.with_options(...)` of the task."
                )
                raise TypeError(message)
        self.decorated = decorated
        self.run = _function_of(decorated)
        options.setdefault("name", decorated.name)
        options["tags"] = {*decorated.tags, *(options.get("tags") or ())}
        super().__init__(**options)
        self.__doc__ = decorated.__doc__
        self.__wrapped__ = decorated.fn


def adopt(decorated: Any, **options: Any) -> DecoratedTask:
    """Give a task of `penstock.task` as a task of a graph.

    Parameters:
        decorated: the task.
        **options: what a task of a graph has besides, as `trigger`.

    Raises:
        TypeError: an option is the decorated task's own to set.
    """
    return DecoratedTask(decorated, **options)


def _function_of(decorated: Any) -> Any:
    """Give a function with the task's signature that runs the task, recorded on its own."""

    @wraps(decorated.fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        made = decorated(*args, **kwargs)
        if inspect.isawaitable(made):
            from penstock.task_runners import loops

            call = Call(lambda: made, (), {}, is_async=True)
            outcome = loops.run_blocking(call)
            if outcome.error is not None:
                raise outcome.error
            return outcome.value
        return made

    return run


def run_decorated(call: Any) -> Steps[State]:
    """Take a decorated task through the checks of the pipeline, then through the engine's stages.

    Parameters:
        call: the `GraphCall`.
    """
    outcome = yield Invoke(Call(_check, (call,), {}, context=call.contextvars))
    if outcome.error is not None:
        raise outcome.error
    runner, state, inputs = outcome.value
    if inputs is None:
        return state
    decorated, run = call.node.task.decorated, call.run
    running = runner.handle_state_change(state, Running(message="Starting task run."))
    run.empirical_policy = decorated.policy
    log_prints = decorated.log_prints
    if log_prints is None:
        log_prints = call.execution.log_prints
    elif log_prints:
        from penstock.logging.printing import ensure_print_is_patched

        ensure_print_is_patched()
    parameters = decorated.signature.bind((), {key: one.value for key, one in inputs.items()})
    task_call = TaskCall(
        decorated,
        run,
        call.execution,
        parameters,
        None,
        None,
        counts=True,
        log_prints=log_prints,
        context=call.contextvars,
    )
    yield from begin_task_run(task_call)
    call.run = task_call.run
    made = to_graph(task_call.run, call.node.task)
    made = cast("State", runner.handle_state_change(running, made))
    # It is recorded already, state by state.
    call.transitions.last = made
    call.is_written = True
    return made


def _check(call: Any) -> Any:
    """Take a task through the checks; give its state, with its inputs if it is to be run."""
    inside = call.run_context()
    token = None if inside is None else inside.activate()
    runner = call.new_runner()
    try:
        state, inputs = runner.run_checks(
            state=call.state, upstream_states=call.upstream, context=call.context()
        )
    finally:
        if inside is not None:
            inside.deactivate(token)
    return runner, state, inputs
