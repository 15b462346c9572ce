"""`penstock task-run result`: what a task run gave back."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.cli.choosing import title_of_task
from penstock.cli.failing import EXIT_COMPLETED, EXIT_FAILED, CommandError, warn
from penstock.cli.output import write, write_json
from penstock.cli.stores import existing_store
from penstock.cli.task_runs import read_task_run
from penstock.cli.visible import visible, visible_line
from penstock.exceptions import PenstockException, UnreadableResult
from penstock.results import BaseResult

if TYPE_CHECKING:
    from penstock.records import TaskRun
    from penstock.store import Store


def show_result(
    reference: str, flow_run: str, output: str | None, *, force: bool, as_json: bool
) -> int:
    """Print the result of a task run, or write it to a file.

    Parameters:
        reference: which; see `find_task_run`.
        flow_run: to which flow run it belongs.
        output: the file.
        force: put it in the place of one that is there.
        as_json: print JSON for programs.

    Returns:
        The exit code: 1 if there is no result.

    Raises:
        CommandError: it cannot be told which is meant, or it cannot be written so.
    """
    file = None if output is None else Path(output)
    if file is not None and file.exists() and not force:
        message = f"There is a file {output!r} already. Give another name, or --force."
        raise CommandError(message)
    store = existing_store()
    run = read_task_run(store, reference, flow_run)
    state = run.state
    title = f"Task run {visible_line(run.name)!r} ({run.id})"
    data = None if state is None else state.data
    if state is None or not state.is_completed():
        name = "no state" if state is None else state.name
        why = "" if state is None or not state.message else f": {visible_line(state.message)}"
        warn(f"{title} has no result: it is {name}{why}")
        return EXIT_FAILED
    if not isinstance(data, BaseResult):
        warn(
            f"{title} has no result that was kept: it was in the memory of its process only. Set"
            f" persist_result=True on the task {title_of_task(run.task_key)!r}, or leave it"
            " unset, and do not set cache_result_in_memory=False."
        )
        return EXIT_FAILED
    try:
        value = _read(data, store, run)
    except PenstockException as error:
        warn(f"{title}: {visible_line(str(error))}")
        return EXIT_FAILED
    if file is not None:
        _save(value, file)
        write(f"The result of {title} is in {visible_line(str(file))}.\n")
    elif as_json:
        write_json([{"task_run_id": str(run.id), "type": _type_of(value), "value": _plain(value)}])
    else:
        write(f"{visible(value if isinstance(value, str) else _shown(value))}\n")
    return EXIT_COMPLETED


def _read(data: BaseResult, store: Store, run: TaskRun) -> Any:
    """Read a result; one that needs a class of the flow's own file has that file loaded."""
    try:
        return data.get()
    except UnreadableResult:
        if run.flow_run_id is None:
            raise
        from penstock.loading_runs import load_flow_of_run  # imports the user's code

        # Where that fails, what is wrong with the result says more.
        with contextlib.suppress(PenstockException, OSError):
            load_flow_of_run(store.read_flow_run(run.flow_run_id))
        return data.get()


def _type_of(value: Any) -> str:
    kind: Any = value.__class__
    name = str(kind.__qualname__)
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"


def _shown(value: Any) -> str:
    from pprint import pformat

    try:
        return pformat(value, width=max(40, 100 if not sys.stdout.isatty() else 80))
    except Exception as error:  # noqa: BLE001 - somebody's __repr__: the result is there all the same
        return f"<{_type_of(value)}, whose __repr__ raised {type(error).__name__}: {error}>"


def _plain(value: Any) -> Any:
    """Give a value as JSON has it.

    Raises:
        CommandError: it has no such form.
    """
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        message = (
            f"The result is a {_type_of(value)} that JSON cannot hold ({error}). Leave out --json"
            " to see it as Python shows it."
        )
        raise CommandError(message) from error


def _save(value: Any, file: Path) -> None:
    if isinstance(value, (bytes, bytearray)):
        file.write_bytes(value)
    elif isinstance(value, str):
        file.write_text(value, "utf-8")
    else:
        text = json.dumps(_plain(value), indent=2, ensure_ascii=False)
        file.write_text(f"{text}\n", "utf-8")
