"""The commands, with their options and help. What they do is in the modules that they import.

Each command imports its module when it is called, for one reason: the engine, the store and rich
take longer to import than help takes to show, and a command that reads needs no engine.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from penstock.cli.config import config_app
from penstock.cli.flow_run_commands import JsonOption, flow_run_app
from penstock.cli.helping import CommandGroup
from penstock.cli.limit_commands import global_limit_app, limit_app
from penstock.cli.profiles import profile_app
from penstock.cli.run_command import run
from penstock.cli.task_run_commands import flow_app, task_run_app

# Plain help: drawn with rich's panels it takes twice as long to show.
app = typer.Typer(
    cls=CommandGroup,
    name="penstock",
    help="Python workflows that finish: run flows, look at their runs, go on with them.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
db_app = typer.Typer(
    cls=CommandGroup,
    help="The store that records all runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
graph_app = typer.Typer(
    cls=CommandGroup,
    help="Look at flows that are declared as graphs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(flow_run_app, name="flow-run")
app.add_typer(task_run_app, name="task-run")
app.add_typer(flow_app, name="flow")
app.add_typer(graph_app, name="graph")
app.add_typer(db_app, name="db")
app.add_typer(config_app, name="config")
app.add_typer(profile_app, name="profile")
app.add_typer(limit_app, name="concurrency-limit")
app.add_typer(global_limit_app, name="global-concurrency-limit")


def _print_version(*, wanted: bool) -> None:
    if wanted:
        from penstock import __version__

        typer.echo(f"penstock {__version__}")
        raise typer.Exit


@app.callback()
def begin(
    context: typer.Context,
    *,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", metavar="NAME", help="Use this profile's settings.", show_default=False
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version, and end."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; fits anywhere.")
    ] = False,
) -> None:
    """Python workflows that finish: run flows, look at their runs, go on with them."""
    del version  # seen to by its callback
    del debug  # taken out of the arguments before they come here
    if profile is not None:
        # In the environment, so that processes that this one starts use it, too.
        os.environ["PENSTOCK_PROFILE"] = profile
    if context.invoked_subcommand in ("config", "profile"):
        return  # they are what settings that are wrong are put right with
    from penstock.cli.notices import report_settings

    report_settings()


app.command()(run)


@graph_app.command("show")
def show_graph(
    target: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A Python file or a module; with :FLOW after it where it has several graphs.",
            show_default=False,
        ),
    ],
    *,
    format: Annotated[  # noqa: A002 - the option's name
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="mermaid, dot, svg, text, png or pdf; that of the file by default, else text.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write the drawing there.", show_default=False
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Show the states of this run's tasks: its id, its name, or - for the latest.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Draw a flow that is declared as a graph, as it is or with what became of a run.

    Example: penstock graph show flows.py --output flow.svg
    """
    from penstock.cli.graphs import show_graph

    show_graph(target, format, output, run)


@db_app.command("path")
def db_path(*, json: JsonOption = False) -> None:
    """Print where the store is.

    Example: penstock db path
    """
    from penstock.cli.database import show_path

    show_path(as_json=json)


@db_app.command("status")
def db_status(*, json: JsonOption = False) -> None:
    """Show how large the store is, what is in it, and who uses it.

    Example: penstock db status
    """
    from penstock.cli.upkeep import show_status

    show_status(as_json=json)


@db_app.command("upgrade")
def db_upgrade(*, json: JsonOption = False) -> None:
    """Bring the store to the schema of this penstock.

    It is made if there is none.

    Example: penstock db upgrade
    """
    from penstock.cli.database import upgrade_store

    upgrade_store(as_json=json)


@db_app.command("downgrade")
def db_downgrade(
    revision: Annotated[
        str,
        typer.Argument(
            metavar="REVISION",
            help="The schema revision that it is to have.",
            show_default=False,
        ),
    ],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Bring the store back to the schema of an older penstock, after asking.

    Example: penstock db downgrade 0001
    """
    from penstock.cli.database import downgrade_store

    downgrade_store(revision, is_confirmed=yes, as_json=json)


@db_app.command("reset")
def db_reset(
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also while runs are being executed.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Delete every record of the store, after asking. Result files are left.

    Example: penstock db reset
    """
    from penstock.cli.database import reset_store

    reset_store(is_confirmed=yes, force=force, as_json=json)


@db_app.command("prune")
def db_prune(
    *,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            metavar="AGE",
            help="How long ago the runs that go have ended: 12h, 30d, 8w.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep",
            metavar="NUMBER",
            min=1,
            help="How many of the newest runs of each flow stay.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be deleted.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Delete old runs that are over, with all that belongs to them.

    Without options, what is older than the settings of retention say.

    Example: penstock db prune --older-than 30d --keep 10 --dry-run
    """
    from penstock.cli.upkeep import prune_store

    prune_store(older_than, keep, is_trial=dry_run, as_json=json)


@db_app.command("vacuum")
def db_vacuum(
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also while runs are being executed.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Have the store take no more room on the disk than it needs.

    Example: penstock db vacuum
    """
    from penstock.cli.upkeep import vacuum_store

    vacuum_store(force=force, as_json=json)


@db_app.command("backup")
def db_backup(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The file to make.", show_default=False)
    ],
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Put it in the place of one that is there.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Copy the store to a file, while runs may go on.

    Example: penstock db backup monday.db
    """
    from penstock.cli.upkeep import back_up_store

    back_up_store(file, force=force, as_json=json)


@db_app.command("check")
def db_check(
    *,
    limit: Annotated[
        int, typer.Option("--limit", metavar="NUMBER", min=1, help="The most findings to show.")
    ] = 1000,
    json: JsonOption = False,
) -> int:
    """Check everything that is recorded. The exit code is 1 if something is wrong.

    Example: penstock db check
    """
    from penstock.cli.upkeep import check_store

    return check_store(limit, as_json=json)


@app.command()
def recover(
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, and execute the runs that wait for a process.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            min=1,
            help="With --watch: how many to execute at once; else PENSTOCK_RUNNER_PROCESS_LIMIT.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    json: JsonOption = False,
) -> int:
    """Find runs whose process died, and see to them.

    They are Crashed, or put up to be gone on with where their flow says on_crash="resume"; a pause
    that was not ended in time fails. Ctrl-C or SIGTERM ends --watch when what it executes is over;
    given twice, at once.

    Example: penstock recover --watch --limit 2
    """
    from penstock.cli.recovering import recover_runs

    return recover_runs(watch=watch, limit=limit, dry_run=dry_run, as_json=json)


@app.command()
def new(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="What the project and its flow are called.", show_default=False
        ),
    ],
    path: Annotated[
        str | None,
        typer.Option(
            "--path",
            metavar="FOLDER",
            help="The folder to make; NAME by default.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a small project: a flow, a test of it, and what packaging needs.

    Example: penstock new nightly-report
    """
    from penstock.cli.creating import create_project

    create_project(name, path)


@app.command()
def version(*, json: JsonOption = False) -> None:
    """Print the versions of penstock and of what it stands on.

    Example: penstock version
    """
    from penstock.cli.database import show_version

    show_version(as_json=json)
