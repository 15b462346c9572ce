"""`penstock flow-run resume --plan`: what going on with a run would take, and what it would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.cli.choosing import title_of_task
from penstock.cli.finding import find_flow_run
from penstock.cli.objects import child_of
from penstock.cli.output import write, write_json, write_table
from penstock.cli.ownership import ownership_of
from penstock.cli.planning_graphs import deeds_in_graph, is_of_graph
from penstock.cli.stores import existing_store
from penstock.cli.visible import visible_line
from penstock.records import EXECUTE_AGAIN
from penstock.results import BaseResult
from penstock.settings import get_current_settings
from penstock.states import StateType
from penstock.store.result_files import ResultFiles

if TYPE_CHECKING:
    from penstock.records import FlowRun, TaskRun
    from penstock.store import Store

SHOWN_LIMIT = 100
"""The most task runs that are to be executed that are listed for people."""

_UNKNOWN = (
    "What is not recorded yet is executed, too. That a recorded task run is called again, with the"
    " same inputs, is known only when the flow's code runs: one that is called with other inputs"
    " is executed again, one that is not called any more is passed over."
)


class Planned(NamedTuple):
    """What would become of a task run. `deed` is `take`, `execute` or `go on`."""

    run: TaskRun
    deed: str
    why: str


def show_plan(reference: str, *, as_json: bool) -> int:
    """Print which task runs would be taken from the record, and which would be executed.

    Parameters:
        reference: which flow run; see `find_flow_run`.
        as_json: print objects for programs.

    Returns:
        The exit code.

    Raises:
        CommandError: it cannot be told which is meant.
    """
    store = existing_store()
    run = store.read_flow_run(find_flow_run(store, reference))
    obstacle = _obstacle(store, run)
    plan = [] if obstacle else plan_of(store, run)
    if as_json:
        write_json(_object(each) for each in plan)
        return 0
    title = (
        f"Flow run {visible_line(run.name)!r} ({run.id}) of flow {visible_line(run.flow_name)!r}"
    )
    if obstacle:
        write(f"{title} {obstacle}\n")
        return 0
    write_plan(title, plan)
    write(f"{_UNKNOWN}\nGo on with it: penstock flow-run resume {run.id}\n")
    return 0


def write_plan(title: str, plan: list[Planned]) -> None:
    """Write a plan for people."""
    taken: dict[str, int] = {}
    for each in plan:
        if each.deed == "take" and not each.why:
            name = title_of_task(each.run.task_key)
            taken[name] = taken.get(name, 0) + 1
    rest = [each for each in plan if each.deed != "take" or each.why]
    count = sum(each.deed == "take" for each in plan)
    write(f"{title}\n{count} of {len(plan)} task runs are taken from the record.\n")
    if taken:
        listed = ", ".join(f"{number} {name}" for name, number in taken.items())
        write(f"Taken: {visible_line(listed)}\n")
    if rest:
        words = {"take": "taken", "execute": "executed", "go on": "gone on with"}
        rows = [(each.run.name, words[each.deed], each.why) for each in rest[:SHOWN_LIMIT]]
        write("\n")
        write_table(("Task run", "Is", "Why"), rows)
        if len(rest) > SHOWN_LIMIT:
            write(f"... and {len(rest) - SHOWN_LIMIT} more: see --json.\n")
        write("\n")


def plan_of(store: Store, run: FlowRun) -> list[Planned]:
    """Say for each task run that is recorded what going on with its flow run makes of it."""
    latest = {(each.task_key, each.dynamic_key): each for each in store.read_task_runs(run.id)}
    files = ResultFiles(get_current_settings().local_storage_path)
    is_rerun = run.state is None or not run.state.is_paused()

    def alone(each: TaskRun) -> Planned:
        return _planned(store, each, files, is_rerun=is_rerun)

    if is_of_graph(latest.values()):
        deeds = deeds_in_graph(run, latest.values(), lambda each: alone(each)[1:])
        return [Planned(each, *deed) for each, deed in zip(latest.values(), deeds, strict=True)]
    return [alone(each) for each in latest.values()]


def _planned(store: Store, run: TaskRun, files: ResultFiles, *, is_rerun: bool) -> Planned:
    state = run.state
    if state is None:
        return Planned(run, "execute", "it has no state")
    if state.is_completed() and (run.fingerprint or b"").startswith(EXECUTE_AGAIN):
        return Planned(run, "execute", "it was asked to run again")
    if child_of(run) is not None:
        return _planned_subflow(store, run, is_rerun=is_rerun)
    if state.is_completed():
        return _planned_completed(run, state.data, files)
    message = f": {visible_line(state.message)}" if state.message else ""
    verb = "is" if state.is_final() else "was not finished:"
    return Planned(run, "execute", f"it {verb} {state.name}{message}")


def _planned_completed(run: TaskRun, result: Any, files: ResultFiles) -> Planned:
    if not isinstance(result, BaseResult):
        return Planned(run, "execute", "its result was in the memory of its process only")
    _kind, data = result.record()
    path = files.path_of(data) if result.type == "reference" and data else None
    if path is not None and not path.exists():
        return Planned(run, "take", "but its result's file is gone: whoever reads it fails")
    if result.type == "corrupt":
        return Planned(run, "take", "but its result cannot be read: whoever reads it fails")
    return Planned(run, "take", "")


def _planned_subflow(store: Store, run: TaskRun, *, is_rerun: bool) -> Planned:
    found = store.read_subflow_runs(run.id)
    latest = found[0].state if found else None
    assert run.state is not None
    if latest is None:
        return Planned(run, "execute", "the subflow run that it stands for is not there")
    if run.state.is_completed() or latest.is_completed():
        if latest.data is None:
            return Planned(run, "execute", "the subflow run's result was not kept")
        return Planned(run, "take", "")
    if run.state.is_final() and not is_rerun:
        return Planned(run, "take", f"the subflow run is {latest.name}")
    if not latest.is_final() or latest.is_crashed():
        return Planned(run, "go on", f"the subflow run is {latest.name}")
    return Planned(run, "execute", f"the subflow run is {latest.name}: a new one is made")


def _obstacle(store: Store, run: FlowRun) -> str | None:
    """Say why nothing would be executed here at all."""
    if run.state_type is StateType.COMPLETED:
        return "has completed: there is nothing to go on with. See `penstock flow-run retry`."
    if run.state_type is StateType.CANCELLED:
        return "was cancelled, which is final. Run its flow anew."
    ownership = ownership_of(store, run)
    if ownership.is_alive:
        where = "goes on there" if run.state_type is StateType.PAUSED else "is not resumed"
        return f"is executed by {ownership.title}, and {where}: nothing is executed again."
    if run.parent_task_run_id is not None:
        return "is a subflow run: its parent goes on with it. Ask for the plan of that one."
    return None


def _object(planned: Planned) -> dict[str, Any]:
    run = planned.run
    return {
        "task_run_id": str(run.id),
        "name": run.name,
        "task": title_of_task(run.task_key),
        "state_name": run.state_name,
        "action": planned.deed.replace(" ", "_"),
        "reason": planned.why or None,
    }
