"""`penstock run` and `penstock flow-run resume`: execute a flow here, and say how it ended."""

from __future__ import annotations

import signal
import threading
from collections.abc import Coroutine
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING, Any, cast

from penstock import clock
from penstock.cli.failing import (
    EXIT_CANCELLED,
    EXIT_COMPLETED,
    EXIT_CRASHED,
    CommandError,
    EndedBySignal,
    complain,
    warn,
)
from penstock.cli.finding import find_flow_run
from penstock.cli.inputs import input_of
from penstock.cli.live import end_display
from penstock.cli.output import write
from penstock.cli.ownership import ownership_of
from penstock.cli.parameters import bind_parameters, graph_parameters, values_in
from penstock.cli.reporting import exit_code_of, report, report_as_json
from penstock.cli.reporting import title_of_run as _title
from penstock.cli.runners import runner_of
from penstock.cli.showing import RunOptions, shown_as
from penstock.cli.stores import existing_store
from penstock.cli.targets import load_target
from penstock.context import tags
from penstock.engine import enter_flow_run_engine_from_flow_call
from penstock.engine.executing import refuse_to_execute
from penstock.engine.pausing import resume_from_outside
from penstock.engine.termination import capture_signals, when_ending
from penstock.exceptions import (
    Abort,
    MissingResult,
    ObjectNotFound,
    RunOwnedElsewhere,
    StoreError,
    TerminationSignal,
)
from penstock.ids import id_from_bytes, new_id
from penstock.loading_runs import load_flow_of_run
from penstock.states import State, StateType
from penstock.store import get_store

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from types import FrameType
    from uuid import UUID

    from penstock.records import FlowRun
    from penstock.store import Store


def run_flow(
    target: str,
    assignments: Sequence[str],
    params_json: str | None = None,
    params_file: str | None = None,
    options: RunOptions | None = None,
) -> int:
    """Run the flow of a file or module.

    Parameters:
        target: see `load_target`.
        assignments: its parameters, as `name=value`; they go before those of `params_json`, and
            these before those of `params_file`.
        params_json: parameters as a JSON object.
        params_file: the path of a file with parameters, JSON or TOML.
        options: how to run it, and what to show.

    Returns:
        The exit code for the state in which the run ended.

    Raises:
        CommandError: what was typed does not fit.
        EndedBySignal: the run was interrupted.
    """
    options = options or RunOptions()
    options.refuse_contradictions()
    runner = None if options.runner is None else runner_of(options.runner)
    values = values_in(params_json, params_file)
    flow = load_target(target, may_ask=True)
    run_id = new_id()
    if flow.is_graph:
        given = graph_parameters(flow, assignments, values)
        return _execute(run_id, lambda: _run_graph(flow, given, run_id, options, runner), options)
    parameters = bind_parameters(flow, assignments, values)
    changes: dict[str, Any] = {}
    if options.name is not None:
        changes["flow_run_name"] = options.name.replace("{", "{{").replace("}", "}}")
    if runner is not None:
        changes["task_runner"] = runner
    chosen = flow.with_options(**changes) if changes else flow
    return _execute(
        run_id,
        lambda: enter_flow_run_engine_from_flow_call(chosen, parameters, None, "state", run_id),
        options,
    )


def _run_graph(
    flow: Any, parameters: dict[str, Any], run_id: UUID, options: RunOptions, runner: Any
) -> None:
    """Run a graph once, now, whatever its schedule says."""
    more: dict[str, Any] = {}
    if options.name is not None:
        more["flow_run_name"] = options.name.replace("{", "{{").replace("}", "}}")
    if runner is not None:
        # Here, as a decorated flow's run needs nothing of graphs.
        from penstock.graph.executors import TaskRunnerExecutor

        more["executor"] = TaskRunnerExecutor(runner)
    flow.run(parameters=parameters, run_on_schedule=False, flow_run_id=str(run_id), **more)


def resume_flow_run(
    reference: str,
    inputs: Sequence[str] = (),
    input_json: str | None = None,
    place: str | None = None,
) -> int:
    """Go on with a recorded flow run; its completed task runs are not executed again.

    One that is paused in a living process goes on there.

    Parameters:
        reference: which; see `find_flow_run`.
        inputs: what it waits for, as `name=value`.
        input_json: the same as a JSON object.
        place: where the flow is now, if it has moved; see `load_flow_of_run`.

    Returns:
        The exit code for the state in which the run ended.

    Raises:
        CommandError: it cannot be told which run is meant, or it cannot be gone on with here, or
            not with this input.
        RunOwnedElsewhere: a living process executes it.
        EndedBySignal: the run was interrupted.
    """
    store = existing_store()
    run = store.read_flow_run(find_flow_run(store, reference))
    if run.state_type is StateType.COMPLETED:
        write(f"{_title(run)} has completed: there is nothing to go on with.\n")
        return EXIT_COMPLETED
    if run.state_type is StateType.CANCELLED:
        write(f"{_title(run)} was cancelled, which is final. Run its flow anew.\n")
        return EXIT_CANCELLED
    ownership = ownership_of(store, run)
    given = input_of(store, run, inputs, input_json)
    if ownership.is_alive and run.state_type is StateType.PAUSED:
        _give(store, run, given)
        write(f"{_title(run)} goes on in {ownership.title}.\n")
        return EXIT_COMPLETED
    if ownership.is_alive:
        message = (
            f"{_title(run)} is being executed by {ownership.title}. Wait until it has finished, or"
            " stop that process and repeat this command."
        )
        raise CommandError(message)
    _refuse_subflow(store, run)
    flow = load_flow_of_run(run, place)
    if _waits_for_input(run):
        _give(store, run, given)
    if flow.is_graph:
        return _execute(run.id, lambda: flow.resume(run.id))
    return _execute(run.id, lambda: flow.resume(run.id, return_state=True))


def _waits_for_input(run: FlowRun) -> bool:
    state = run.state
    return (
        state is not None
        and state.is_paused()
        and state.state_details.run_input_keyset is not None
    )


def _give(store: Store, run: FlowRun, given: dict[str, Any] | None) -> None:
    """Let a paused run go on, with what it waits for."""
    try:
        resume_from_outside(store, run.id, given)
    except RuntimeError as error:
        raise CommandError(str(error)) from error


def execute_flow_run(reference: str) -> int:
    """Execute a recorded flow run that no process executes; see `resume_flow_run`.

    Raises:
        PausedRun, CancelledRun: it is not to be executed.
    """
    store = existing_store()
    run = store.read_flow_run(find_flow_run(store, reference))
    refuse_to_execute(run)
    return resume_flow_run(str(run.id))


def _refuse_subflow(store: Store, run: FlowRun) -> None:
    """A subflow run is gone on with by its parent, which would otherwise execute it again."""
    if run.parent_task_run_id is None:
        return
    key = store.find_flow_run_of(run.parent_task_run_id)
    if key is None or not any(key):
        return
    parent = store.read_flow_run(id_from_bytes(key))
    if parent.state_type is not StateType.COMPLETED:
        message = (
            f"{_title(run)} is a subflow run of {parent.name!r}, which goes on with it. Use"
            f" `penstock flow-run resume {parent.id}`."
        )
        raise CommandError(message)


def _execute(run_id: UUID, work: Callable[[], Any], options: RunOptions | None = None) -> int:
    """Execute a flow run and report how it ended, however that was."""
    options = options or RunOptions()
    began, interrupted = clock.epoch(), False
    answer: Any = None
    with _termination_noted() as signals, _end_told(run_id):
        try:
            with shown_as(options), tags(*options.tags):
                answer = work()
                if isinstance(answer, Coroutine):
                    answer = _await(cast("Coroutine[Any, Any, Any]", answer))
        except RunOwnedElsewhere:
            raise
        except BaseException as error:  # noqa: BLE001 - reported; what was not recorded is raised
            if not _is_recorded(run_id):
                return _end_without_record(error)
            interrupted = isinstance(error, KeyboardInterrupt)
            if isinstance(error, (Exception, Abort)) and not signals:
                complain(error)
    run = get_store().read_flow_run(run_id)
    if options.as_json:
        report_as_json(get_store(), run, _result_of(answer))
    else:
        report(get_store(), run, quiet=options.quiet, began=began)
    if signals or interrupted:
        raise EndedBySignal(signals[0] if signals else signal.SIGINT)
    return exit_code_of(run)


def _result_of(answer: Any) -> Any:
    """Give what the flow returned, if it completed and returned anything."""
    if not isinstance(answer, State) or not answer.is_completed():
        return None
    try:
        return answer.result(raise_on_failure=False)
    except MissingResult:
        return None


def _await(run: Coroutine[Any, Any, Any]) -> Any:
    # Asynchronous flows alone need asyncio, which takes five bare starts to import.
    import asyncio

    async def with_interrupts() -> Any:
        if threading.current_thread() is threading.main_thread():
            # asyncio would only cancel: Ctrl-C is to stop a task that blocks the loop, too.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return await run

    return asyncio.run(with_interrupts())


@contextmanager
def _termination_noted() -> Generator[list[int]]:
    """Note SIGTERM, so that there is time to say how the run can be gone on with.

    The engine takes it first: it records the crash, and then sends the signal on to this handler.
    Where it comes outside of the engine, it is raised.
    """
    noted: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        place = None if frame is None else frame.f_globals.get("__name__")
        if place != capture_signals.__module__:
            raise TerminationSignal(number)

    former = signal.signal(signal.SIGTERM, terminate)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGTERM, former)


@contextmanager
def _end_told(run_id: UUID) -> Generator[None]:
    """Say that the run is being ended by a signal, where that takes its time."""

    def tell(number: int, rest_s: float) -> None:
        if rest_s:
            is_key = number == signal.SIGINT
            what, again = (
                ("Interrupted", "Press Ctrl-C again") if is_key else ("Terminated", "Repeat it")
            )
            warn(
                f"{what}: waiting for what is executed to end, {ceil(rest_s)} s at most. {again}"
                " to end at once."
            )
        else:
            end_display()
            warn(f"Go on with it: penstock flow-run resume {run_id}")

    when_ending(tell)
    try:
        yield
    finally:
        when_ending(None)


def _is_recorded(run_id: UUID) -> bool:
    """Tell whether there is a record of a run that broke, and it can be read."""
    try:
        get_store().read_flow_run(run_id)
    except (ObjectNotFound, StoreError):
        return False
    return True


def _end_without_record(error: BaseException) -> int:
    """End a run that was not recorded yet, or is not any more."""
    if isinstance(error, TerminationSignal):
        raise EndedBySignal(error.signal) from error
    if not isinstance(error, Abort):
        raise error
    complain(error)
    return EXIT_CRASHED
