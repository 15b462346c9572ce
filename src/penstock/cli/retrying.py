"""`penstock flow-run retry`: runs again what failed, or everything from a task on."""

from __future__ import annotations

from penstock.cli.choosing import is_of_task, title_of_task
from penstock.cli.controlling import title_of
from penstock.cli.failing import CommandError
from penstock.cli.finding import find_flow_run
from penstock.cli.output import write
from penstock.cli.running import resume_flow_run
from penstock.cli.stores import existing_store
from penstock.client.retrying import ask_to_execute_again, select_from
from penstock.loading_runs import load_flow_of_run
from penstock.states import StateType


def retry_flow_run(reference: str, task: str | None, place: str | None = None) -> int:
    """Execute a run again: what is not completed, or all from a task on.

    Parameters:
        reference: which; see `find_flow_run`.
        task: the task, by its function's name, or one of its runs by its name.
        place: where the flow is now, if it has moved; see `load_flow_of_run`.

    Returns:
        The exit code for the state in which the run ended.

    Raises:
        CommandError: it cannot be told which run is meant, or it cannot be retried so.
    """
    store = existing_store()
    run = store.read_flow_run(find_flow_run(store, reference))
    if task is None:
        if run.state_type is StateType.COMPLETED:
            message = (
                f"{title_of(run)} has completed, and what has completed is not done again. Give"
                " --from TASK to have it executed again from that task on, or run its flow anew."
            )
            raise CommandError(message)
        return resume_flow_run(str(run.id), place=place)
    if run.state is None or not run.state.is_final() or run.state.is_cancelled():
        name = "no state" if run.state is None else f"state {run.state.name}"
        why = "which is final" if name.endswith("Cancelled") else "and not over"
        message = f"{title_of(run)} is in {name}, {why}: it cannot be retried from a task on."
        raise CommandError(message)
    if run.parent_task_run_id is not None:
        message = f"{title_of(run)} is a subflow run. Retry its parent from the subflow on."
        raise CommandError(message)
    runs = store.read_task_runs(run.id)
    if load_flow_of_run(run, place).is_graph:  # what cannot be loaded is refused, too
        message = (
            f"{title_of(run)} is a graph's: what runs in it is decided by the states of its tasks,"
            " and it cannot be retried from a task on. Run the graph anew."
        )
        raise CommandError(message)
    latest = list({(each.task_key, each.dynamic_key): each for each in runs}.values())
    chosen = select_from(latest, lambda each: is_of_task(task, each.name, each.task_key))
    if not chosen:
        tasks = ", ".join(sorted({title_of_task(each.task_key) for each in runs})) or "none"
        message = f"No run of a task {task!r} is recorded of it. Its tasks are: {tasks}."
        raise CommandError(message)
    done = [each for each in chosen if each.state is not None and each.state.is_completed()]
    ask_to_execute_again(store, run.id, done, f"To be executed again from {task!r} on.")
    write(
        f"{title_of(run)} is executed again from {chosen[0].name!r} on: {len(chosen)} of its"
        f" {len(latest)} task runs, and what follows them.\n"
    )
    return resume_flow_run(str(run.id), place=place)
