"""`penstock concurrency-limit` and `penstock global-concurrency-limit`: options and help."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli.helping import CommandGroup

limit_app = typer.Typer(
    cls=CommandGroup,
    help="How many task runs with a tag may be executed at once.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
global_limit_app = typer.Typer(
    cls=CommandGroup,
    help="How often something may be done at once, or how fast: for concurrency and rate_limit.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_Tag = Annotated[str, typer.Argument(metavar="TAG", help="The tag.", show_default=False)]
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name.", show_default=False)]
_Decay = Annotated[
    float | None,
    typer.Option(
        "--slot-decay-per-second",
        metavar="N",
        min=0,
        help="Of a rate limit: how many slots become free again in a second.",
        show_default=False,
    ),
]


@limit_app.command("create")
def create(
    tag: _Tag,
    limit: Annotated[
        int,
        typer.Argument(metavar="LIMIT", min=0, help="How many; 0 for none.", show_default=False),
    ],
) -> None:
    """Limit the task runs with a tag, or change their limit.

    Example: penstock concurrency-limit create gpu 2
    """
    from penstock.cli.limits import create_tag_limit

    create_tag_limit(tag, limit)


@limit_app.command("ls")
def list_all(*, json: _Json = False) -> None:
    """List the limits of tags.

    Example: penstock concurrency-limit ls
    """
    from penstock.cli.limits import list_tag_limits

    list_tag_limits(as_json=json)


@limit_app.command("inspect")
def inspect(tag: _Tag, *, json: _Json = False) -> None:
    """Show the limit of a tag: who has its slots, and who waits.

    Example: penstock concurrency-limit inspect gpu
    """
    from penstock.cli.limits import inspect_tag_limit

    inspect_tag_limit(tag, as_json=json)


@limit_app.command("reset")
def reset(tag: _Tag) -> None:
    """Free all slots of a tag's limit, whoever has them.

    Task runs that are being executed go on, and do not count any more.

    Example: penstock concurrency-limit reset gpu
    """
    from penstock.cli.limits import reset_tag_limit

    reset_tag_limit(tag)


@limit_app.command("delete")
def delete(tag: _Tag) -> None:
    """Limit the task runs with a tag no more.

    Example: penstock concurrency-limit delete gpu
    """
    from penstock.cli.limits import delete_tag_limit

    delete_tag_limit(tag)


@global_limit_app.command("create")
def create_global(
    name: _Name,
    *,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", "-l", metavar="N", min=0, help="How many slots.", show_default=False
        ),
    ],
    slot_decay_per_second: _Decay = None,
    disable: Annotated[
        bool, typer.Option("--disable", help="It limits nothing until it is enabled.")
    ] = False,
) -> None:
    """Set a limit for a name.

    Example: penstock global-concurrency-limit create mail --limit 5
    """
    from penstock.cli.limits import create_limit

    create_limit(name, limit, slot_decay_per_second or 0.0, is_active=not disable)


@global_limit_app.command("ls")
def list_all_global(*, json: _Json = False) -> None:
    """List the named limits, with those that were used and never set: they are inactive.

    Example: penstock global-concurrency-limit ls
    """
    from penstock.cli.limits import list_limits

    list_limits(as_json=json)


@global_limit_app.command("inspect")
def inspect_global(name: _Name, *, json: _Json = False) -> None:
    """Show a named limit: who has its slots, and who waits.

    Example: penstock global-concurrency-limit inspect mail
    """
    from penstock.cli.limits import inspect_limit

    inspect_limit(name, as_json=json)


@global_limit_app.command("update")
def update_global(
    name: _Name,
    *,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", "-l", metavar="N", min=0, help="How many slots.", show_default=False
        ),
    ] = None,
    slot_decay_per_second: _Decay = None,
) -> None:
    """Change how many slots a named limit has, or how fast they become free.

    Example: penstock global-concurrency-limit update mail --limit 9
    """
    from penstock.cli.limits import update_limit

    update_limit(name, limit, slot_decay_per_second)


@global_limit_app.command("enable")
def enable_global(name: _Name) -> None:
    """Have a named limit limit again.

    Example: penstock global-concurrency-limit enable mail
    """
    from penstock.cli.limits import enable_limit

    enable_limit(name, is_active=True)


@global_limit_app.command("disable")
def disable_global(name: _Name) -> None:
    """Have a named limit limit nothing, until it is enabled.

    Example: penstock global-concurrency-limit disable mail
    """
    from penstock.cli.limits import enable_limit

    enable_limit(name, is_active=False)


@global_limit_app.command("delete")
def delete_global(name: _Name) -> None:
    """Delete a named limit; who waits for it goes on.

    Example: penstock global-concurrency-limit delete mail
    """
    from penstock.cli.limits import delete_limit

    delete_limit(name)
