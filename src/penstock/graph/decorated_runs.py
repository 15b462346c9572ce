"""Runs of tasks of `penstock.task` in a graph: what they are by themselves, they are there, too.

Their retries, timeouts, caching, names, hooks and results are the flow engine's: when the checks
of the pipeline have let such a task through, the engine's own generator takes over. What comes
before (upstream states, triggers, skips, mapping) is the graph's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from penstock.engine.effects import Invoke, Steps
from penstock.engine.task_runs import begin_task_run
from penstock.engine.task_transitions import TaskCall
from penstock.graph.recording import to_graph
from penstock.graph.state import Running
from penstock.task_runners import Call

if TYPE_CHECKING:
    from penstock.graph.state import State


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
