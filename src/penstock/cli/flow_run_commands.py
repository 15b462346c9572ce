"""`penstock flow-run`: its commands, with their options and help. See `app.py`."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli.completing import offer_flows, offer_runs, offer_states
from penstock.cli.helping import CommandGroup

flow_run_app = typer.Typer(
    cls=CommandGroup,
    help="Look at flow runs, and go on with them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
FlowOption = Annotated[
    str | None,
    typer.Option(
        "--flow",
        metavar="PATH[:FLOW]",
        help="Where the flow is now, if its file has moved since the run was begun.",
        show_default=False,
    ),
]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Its id, the beginning of it, its name, or - for the latest run.",
        show_default=False,
        autocompletion=offer_runs,
    ),
]
StateOption = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        "-s",
        metavar="STATE",
        help="Only those in this state: failed, running, late ... Repeatable.",
        show_default=False,
        autocompletion=offer_states,
    ),
]


@flow_run_app.command("ls")
def list_runs(
    *,
    state: StateOption = None,
    flow: Annotated[
        str | None,
        typer.Option(
            *("--flow", "-f"),
            metavar="FLOW",
            help="Only those of this flow.",
            show_default=False,
            autocompletion=offer_flows,
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            "--tag",
            "-t",
            metavar="TAG",
            help="Only those with this tag. Repeatable.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only those made since: 30m, 2h, 3d ago, or a date such as 2026-01-31.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only those made before then.", show_default=False),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="The most runs to list.")
    ] = 20,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="Go on after this run: the next page.", show_default=False
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List flow runs, the newest first.

    Example: penstock flow-run ls --state failed --since 2h
    """
    from penstock.cli.listing import Filters, list_flow_runs

    filters = Filters(state or (), flow, tag or (), since, until, after)
    list_flow_runs(filters, limit, as_json=json)


@flow_run_app.command("inspect")
def inspect_run(
    flow_run: RunArgument,
    *,
    tasks: Annotated[
        int, typer.Option("--tasks", metavar="N", min=0, help="The most task runs to show.")
    ] = 100,
    states: Annotated[
        bool, typer.Option("--states", help="Show each state of each task run.")
    ] = False,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Draw what was executed when, and what waited.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show a flow run, its task runs, and why it waits.

    Example: penstock flow-run inspect - --timeline
    """
    from penstock.cli.reading import inspect_flow_run

    inspect_flow_run(flow_run, tasks, states=states, timeline=timeline, as_json=json)


@flow_run_app.command("logs")
def show_run_logs(
    flow_run: RunArgument,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run is over.")
    ] = False,
    level: Annotated[
        str | None,
        typer.Option(
            "--level",
            "-l",
            metavar="LEVEL",
            help="Only records of this level and above: debug, info, warning, error.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            metavar="TASK",
            help="Only those of this task's runs: its function's name, or a task run's.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> int:
    """Show what a flow run and its task runs logged.

    With --follow the exit code says how the run ended: 0 completed, 1 failed, 3 crashed,
    4 cancelled.

    Example: penstock flow-run logs - --follow --level warning
    """
    from penstock.cli.following import Wanted, level_of, show_logs

    wanted = Wanted(level_of(level), task)
    return show_logs(flow_run, wanted, follow=follow, as_json=json)


@flow_run_app.command("resume")
def resume_run(
    flow_run: RunArgument,
    *,
    input: Annotated[  # noqa: A002 - names the option
        list[str],
        typer.Option(
            metavar="NAME=VALUE",
            help="What the run waits for: JSON where the field takes it, else text.",
        ),
    ] = [],  # noqa: B006 - typer only reads it
    input_json: Annotated[
        str | None, typer.Option(metavar="JSON", help="The same, as one JSON object.")
    ] = None,
    flow: FlowOption = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what would be executed, and why.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> int:
    """Go on with a run that is paused, or that did not complete.

    A run that is paused in a process goes on there. Any other is executed here, but for its
    completed tasks; the exit codes are those of `penstock run`. A run that waits for input says
    in `penstock flow-run inspect` what it wants.

    Example: penstock flow-run resume - --plan
    """
    if plan:
        from penstock.cli.planning import show_plan

        return show_plan(flow_run, as_json=json)
    from penstock.cli.running import resume_flow_run

    return resume_flow_run(flow_run, input, input_json, flow)


@flow_run_app.command("retry")
def retry_run(
    flow_run: RunArgument,
    *,
    from_task: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TASK",
            help="Execute again from this task on: its function's name, or a task run's.",
            show_default=False,
        ),
    ] = None,
    flow: FlowOption = None,
) -> int:
    """Execute a run again: what did not complete, or all from a task on.

    The exit codes are those of `penstock run`.

    Example: penstock flow-run retry - --from summarize
    """
    from penstock.cli.retrying import retry_flow_run

    return retry_flow_run(flow_run, from_task, flow)


@flow_run_app.command("delete")
def delete_runs(
    flow_runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Their ids, the beginnings of them, their names, or - for the latest run.",
            show_default=False,
            autocompletion=offer_runs,
        ),
    ],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete flow runs with their task runs, logs, inputs and cache entries, after asking.

    Example: penstock flow-run delete 0190a 0190b --yes
    """
    from penstock.cli.deleting import delete_flow_runs

    delete_flow_runs(flow_runs, is_confirmed=yes)


@flow_run_app.command("pause")
def pause_run(
    flow_run: RunArgument,
    *,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0, help="Seconds to resume it in; 0 for no limit."
        ),
    ] = 3600,
) -> None:
    """Have a run that is being executed wait, in its process, until it is resumed.

    It rests when its next task wants to begin.

    Example: penstock flow-run pause - --timeout 600
    """
    from penstock.cli.controlling import pause_flow_run

    pause_flow_run(flow_run, timeout or None)


@flow_run_app.command("suspend")
def suspend_run(
    flow_run: RunArgument,
    *,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0, help="Seconds to resume it in; 0 for no limit."
        ),
    ] = 3600,
) -> None:
    """Have a run that is being executed leave its process until it is resumed.

    It leaves when its next task wants to begin.

    Example: penstock flow-run suspend brave-otter --timeout 0
    """
    from penstock.cli.controlling import suspend_flow_run

    suspend_flow_run(flow_run, timeout or None)


@flow_run_app.command("cancel")
def cancel_run(
    flow_run: RunArgument,
    *,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0, help="Seconds to wait until it is Cancelled."
        ),
    ] = 30,
    force: Annotated[
        bool,
        typer.Option("--force", help="Then take it away from a process that does not answer."),
    ] = False,
) -> int:
    """Bring a run to its end, with its tasks and its subflow runs.

    What is executed is interrupted. Says what was stopped; the exit code is 1 if the run is not
    Cancelled in time.

    Example: penstock flow-run cancel - --timeout 10 --force
    """
    from penstock.cli.cancelling import cancel_flow_run

    return cancel_flow_run(flow_run, timeout, force=force)


@flow_run_app.command("execute")
def execute_run(flow_run: RunArgument) -> int:
    """Execute a run that is recorded, and that nobody executes, in this process.

    Its completed tasks do not run again. The exit codes are those of `penstock run`.

    Example: penstock flow-run execute 0190a
    """
    from penstock.cli.running import execute_flow_run

    return execute_flow_run(flow_run)
