"""`penstock task-run` and `penstock flow`: their commands, with options and help. See `app.py`."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli.completing import offer_flows
from penstock.cli.flow_run_commands import (  # typer reads the annotations
    JsonOption,  # noqa: TC001
    RunArgument,  # noqa: TC001
    StateOption,  # noqa: TC001
)
from penstock.cli.helping import CommandGroup

task_run_app = typer.Typer(
    cls=CommandGroup,
    help="Look at task runs and their results.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
flow_app = typer.Typer(
    cls=CommandGroup,
    help="Look at the flows that were run.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_TaskRunArgument = Annotated[
    str,
    typer.Argument(
        metavar="TASK_RUN",
        help="Its id; or with --run the beginning of it, or its name.",
        show_default=False,
    ),
]
_OfRunOption = Annotated[
    str,
    typer.Option(
        "--run",
        "-r",
        metavar="RUN",
        help="The flow run to which it belongs: its id, its name, or - for the latest.",
    ),
]


@task_run_app.command("ls")
def list_task_runs(
    flow_run: RunArgument,
    *,
    state: StateOption = None,
    task: Annotated[
        str | None,
        typer.Option(metavar="TASK", help="Only those of this task.", show_default=False),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="The most to list.")
    ] = 100,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="TASK_RUN", help="Go on after this one: the next page.", show_default=False
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the task runs of a flow run, in the order in which they were made.

    Example: penstock task-run ls - --state failed
    """
    from penstock.cli.task_runs import list_task_runs

    list_task_runs(flow_run, state or (), task, limit, after, as_json=json)


@task_run_app.command("inspect")
def inspect_task_run(
    task_run: _TaskRunArgument, *, run: _OfRunOption = "-", json: JsonOption = False
) -> None:
    """Show a task run: its states, where its inputs came from, what became of its result.

    Example: penstock task-run inspect fetch-0 --run -
    """
    from penstock.cli.task_runs import inspect_task_run

    inspect_task_run(task_run, run, as_json=json)


@task_run_app.command("result")
def show_result(
    task_run: _TaskRunArgument,
    *,
    run: _OfRunOption = "-",
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write it there: as it is if it is text or bytes, else as JSON.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Put it in the place of a file that is there.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Print what a task run gave back.

    Reading a pickled result runs code that its pickle names: read results only from a store that
    you trust as you do the flow's own code. The exit code is 1 if there is no result; it is said
    why.

    Example: penstock task-run result fetch-0 --run - --json
    """
    from penstock.cli.results import show_result

    return show_result(task_run, run, output, force=force, as_json=json)


@flow_app.command("ls")
def list_flows(
    *,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="The most to list.")
    ] = 100,
    after: Annotated[
        str | None,
        typer.Option(metavar="FLOW", help="Go on after this name.", show_default=False),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the flows that were run, with how many runs are in each state.

    Example: penstock flow ls
    """
    from penstock.cli.flows import list_flows

    list_flows(limit, after or "", as_json=json)


@flow_app.command("inspect")
def inspect_flow(
    flow: Annotated[
        str,
        typer.Argument(
            metavar="FLOW",
            help="The flow's name.",
            show_default=False,
            autocompletion=offer_flows,
        ),
    ],
    *,
    json: JsonOption = False,
) -> None:
    """Show a flow, with how its runs ended and the latest of them.

    Example: penstock flow inspect report
    """
    from penstock.cli.flows import inspect_flow

    inspect_flow(flow, as_json=json)
