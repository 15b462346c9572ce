"""What `penstock concurrency-limit` and `penstock global-concurrency-limit` do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.cli.failing import CommandError
from penstock.cli.output import here, utc, write, write_fields, write_json, write_table
from penstock.cli.stores import existing_store, is_empty_without_store
from penstock.client import get_client

if TYPE_CHECKING:
    from penstock.client.limits import ConcurrencyLimit, GlobalConcurrencyLimit
    from penstock.store.limits import SlotUse

_NO_STORE = "There are no limits: there is no store {place!r} yet."


# -- of tags --------------------------------------------------------------------------------------


def create_tag_limit(tag: str, limit: int) -> None:
    """Limit the task runs with a tag."""
    client = get_client(sync_client=True)
    _refusing(lambda: client.create_concurrency_limit(tag, limit))
    write(f"At most {limit} task runs with the tag {tag!r} are executed at once.\n")


def list_tag_limits(*, as_json: bool) -> None:
    """Print the limits of tags."""
    if is_empty_without_store(_NO_STORE, as_json=as_json):
        return
    found = get_client(sync_client=True).read_concurrency_limits()
    if as_json:
        write_json(_tag_object(each) for each in found)
    elif found:
        headings = ("Tag", "Limit", "Taken", "Waiting")
        write_table(headings, [_tag_row(each) for each in found])
    else:
        write("No tag has a concurrency limit: see `penstock concurrency-limit create --help`.\n")


def _tag_row(limit: ConcurrencyLimit) -> tuple[str, ...]:
    taken, waiting = len(limit.active_slots), len(limit.waiting)
    return (limit.tag, str(limit.concurrency_limit), str(taken), str(waiting))


def inspect_tag_limit(tag: str, *, as_json: bool) -> None:
    """Print the limit of a tag, with who has its slots and who waits."""
    existing_store()
    limit = get_client(sync_client=True).read_concurrency_limit_by_tag(tag)
    if as_json:
        write_json([_tag_object(limit)])
        return
    fields = [
        ("Tag", limit.tag),
        ("ID", str(limit.id)),
        ("Limit", str(limit.concurrency_limit)),
        ("Taken", str(len(limit.active_slots))),
    ]
    write_fields(fields)
    _write_uses(limit.active_slots, limit.waiting)


def reset_tag_limit(tag: str) -> None:
    """Free all slots of a tag's limit."""
    get_client(sync_client=True).reset_concurrency_limit_by_tag(tag)
    write(f"All slots of the limit of the tag {tag!r} are free.\n")


def delete_tag_limit(tag: str) -> None:
    """Delete the limit of a tag."""
    get_client(sync_client=True).delete_concurrency_limit_by_tag(tag)
    write(f"Task runs with the tag {tag!r} are not limited any more.\n")


# -- named ----------------------------------------------------------------------------------------


def create_limit(name: str, limit: int, decay: float, *, is_active: bool) -> None:
    """Set a limit for a name."""
    client = get_client(sync_client=True)
    _refusing(
        lambda: client.create_global_concurrency_limit(
            name, limit, active=is_active, slot_decay_per_second=decay
        )
    )
    _say(client.read_global_concurrency_limit_by_name(name))


def list_limits(*, as_json: bool) -> None:
    """Print the named limits."""
    if is_empty_without_store(_NO_STORE, as_json=as_json):
        return
    found = get_client(sync_client=True).read_global_concurrency_limits()
    if as_json:
        write_json(_object(each) for each in found)
    elif found:
        headings = ("Name", "Limit", "Taken", "Waiting", "Decay per second", "Active")
        write_table(headings, [_row(each) for each in found])
    else:
        write(
            "There are no named concurrency limits: see `penstock global-concurrency-limit create"
            " --help`.\n"
        )


def _row(limit: GlobalConcurrencyLimit) -> tuple[str, ...]:
    return (
        limit.name,
        str(limit.limit),
        f"{limit.active_slots:g}",
        str(len(limit.waiting)),
        f"{limit.slot_decay_per_second:g}" if limit.slot_decay_per_second else "",
        "yes" if limit.active else "no",
    )


def inspect_limit(name: str, *, as_json: bool) -> None:
    """Print a named limit, with who has its slots and who waits."""
    existing_store()
    limit = get_client(sync_client=True).read_global_concurrency_limit_by_name(name)
    if as_json:
        write_json([_object(limit)])
        return
    decay = limit.slot_decay_per_second
    fields = [
        ("Name", limit.name),
        ("ID", str(limit.id)),
        ("Limit", str(limit.limit)),
        ("Taken", f"{limit.active_slots:g}"),
        ("Slot decay", f"{decay:g} per second" if decay else ""),
        ("Active", "yes" if limit.active else "no"),
    ]
    write_fields(fields)
    _write_uses(limit.holders, limit.waiting)


def update_limit(name: str, limit: int | None, decay: float | None) -> None:
    """Change a named limit."""
    if limit is None and decay is None:
        message = "Nothing to change: give --limit or --slot-decay-per-second."
        raise CommandError(message)
    client = get_client(sync_client=True)
    _say(
        _refusing(
            lambda: client.update_global_concurrency_limit(
                name, limit=limit, slot_decay_per_second=decay
            )
        )
    )


def enable_limit(name: str, *, is_active: bool) -> None:
    """Have a named limit limit again, or nothing."""
    client = get_client(sync_client=True)
    _say(_refusing(lambda: client.update_global_concurrency_limit(name, active=is_active)))


def delete_limit(name: str) -> None:
    """Delete a named limit."""
    get_client(sync_client=True).delete_global_concurrency_limit_by_name(name)
    write(f"The concurrency limit {name!r} is deleted.\n")


def _say(limit: GlobalConcurrencyLimit) -> None:
    decay = limit.slot_decay_per_second
    fast = f", {decay:g} free again in a second" if decay else ""
    state = "" if limit.active else "; it is inactive and limits nothing"
    write(f"The concurrency limit {limit.name!r} has {limit.limit} slots{fast}{state}.\n")


# -- both -----------------------------------------------------------------------------------------


def _refusing(work: Any) -> Any:
    try:
        return work()
    except ValueError as error:
        raise CommandError(str(error)) from error


def _write_uses(holders: list[SlotUse], waiting: list[SlotUse]) -> None:
    for title, uses in (("Slots are taken by", holders), ("In this order wait", waiting)):
        if uses:
            write(f"\n{title}\n")
            rows = [
                (
                    f"  {each.holder}",
                    str(each.slots),
                    here(clock.from_epoch(each.since)),
                    each.process,
                )
                for each in uses
            ]
            write_table(("  Who", "Slots", "Since", "Where"), rows)


def _tag_object(limit: ConcurrencyLimit) -> dict[str, Any]:
    return {
        "id": str(limit.id),
        "tag": limit.tag,
        "concurrency_limit": limit.concurrency_limit,
        "active_slots": [_use_object(each) for each in limit.active_slots],
        "waiting": [_use_object(each) for each in limit.waiting],
    }


def _object(limit: GlobalConcurrencyLimit) -> dict[str, Any]:
    return {
        "id": str(limit.id),
        "name": limit.name,
        "limit": limit.limit,
        "active": limit.active,
        "active_slots": limit.active_slots,
        "slot_decay_per_second": limit.slot_decay_per_second,
        "holders": [_use_object(each) for each in limit.holders],
        "waiting": [_use_object(each) for each in limit.waiting],
    }


def _use_object(use: SlotUse) -> dict[str, Any]:
    return {
        "holder": use.holder,
        "flow_run_id": None if use.flow_run_id is None else str(use.flow_run_id),
        "process": use.process,
        "slots": use.slots,
        "since": utc(clock.from_epoch(use.since)),
    }
