"""`penstock run`: its options and help. See `app.py`."""

from __future__ import annotations

from typing import Annotated

import typer

_Target = Annotated[
    str,
    typer.Argument(
        metavar="PATH",
        help="A Python file or a module; with :FLOW after it where it has several flows.",
        show_default=False,
    ),
]
_Param = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        "-p",
        metavar="NAME=VALUE",
        help="A parameter of the flow; JSON where the flow takes that, else text. Repeatable.",
        show_default=False,
    ),
]
_ParamsJson = Annotated[
    str | None,
    typer.Option(
        "--params-json", metavar="JSON", help="Parameters as a JSON object.", show_default=False
    ),
]
_ParamsFile = Annotated[
    str | None,
    typer.Option(
        "--params-file",
        metavar="FILE",
        help="Parameters from a file that ends in .json or .toml.",
        show_default=False,
    ),
]
_Tag = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        "-t",
        metavar="TAG",
        help="A tag for the run and its task runs. Repeatable.",
        show_default=False,
    ),
]
_Name = Annotated[
    str | None,
    typer.Option("--name", "-n", metavar="NAME", help="The run's name.", show_default=False),
]
_Runner = Annotated[
    str | None,
    typer.Option(
        "--runner",
        metavar="RUNNER",
        help="Where submitted tasks run: threads, threads:8 or inline; else as the flow says.",
        show_default=False,
    ),
]
_Watch = Annotated[
    bool, typer.Option("--watch", "-w", help="Show the run's logs as they come, and nothing live.")
]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what went wrong.")]
_Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object at the end; what the flow prints: stderr."),
]


def run(  # noqa: PLR0913 - one parameter for each option
    target: _Target,
    param: _Param = None,
    *,
    params_json: _ParamsJson = None,
    params_file: _ParamsFile = None,
    tag: _Tag = None,
    name: _Name = None,
    runner: _Runner = None,
    watch: _Watch = False,
    quiet: _Quiet = False,
    json: _Json = False,
) -> int:
    """Run a flow here, and say how it ended.

    The exit code is 0 if the run completed, 1 if it failed, 2 if it could not begin, 3 if it
    crashed, 4 if it was cancelled, and 5 if it is paused. Ctrl-C and SIGTERM make the run crash,
    in order, and end this command as they end any other; Ctrl-C twice ends it at once.

    Examples: penstock run flows.py; penstock run flows.py:report -p pages=2 --tag nightly
    """
    from penstock.cli.running import run_flow
    from penstock.cli.showing import RunOptions

    options = RunOptions(
        tags=tag or [], name=name, runner=runner, watch=watch, quiet=quiet, as_json=json
    )
    return run_flow(target, param or [], params_json, params_file, options)
