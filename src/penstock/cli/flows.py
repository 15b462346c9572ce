"""`penstock flow ls | inspect`: the flows that were run."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from penstock.cli.choosing import chosen_flow
from penstock.cli.listing import Filters, list_flow_runs
from penstock.cli.output import here, utc, write, write_fields, write_json, write_table
from penstock.cli.stores import existing_store, is_empty_without_store
from penstock.ids import id_from_bytes
from penstock.store import encoding, get_store, listing

if TYPE_CHECKING:
    from penstock.records import Flow
    from penstock.store import Store

_LATEST_SHOWN = 5
_NO_STORE = "There are no flows in the store {place!r}."


def list_flows(limit: int, after: str, *, as_json: bool) -> None:
    """Print the flows by name.

    Parameters:
        limit: the most to print.
        after: the name after which to go on.
        as_json: print objects for programs.
    """
    if is_empty_without_store(_NO_STORE, as_json=as_json):
        return
    store = get_store()
    found = [_flow_of(each) for each in listing.read_flows(store, after, limit + 1)]
    if as_json:
        write_json(_object(*each) for each in found[:limit])
        return
    if not found:
        write(f"There are no flows in the store {store.place!r}{' any more' if after else ''}.\n")
        return
    rows = [
        (flow.name, str(sum(counts.values())), _summary(counts), _latest(newest))
        for flow, counts, newest in found[:limit]
    ]
    write_table(("Flow", "Runs", "States", "Latest run"), rows)
    if len(found) > limit:
        after = shlex.quote(found[limit - 1][0].name)
        write(f"More: penstock flow ls --limit {limit} --after {after}\n")


def inspect_flow(name: str, *, as_json: bool) -> None:
    """Print what there is to know of a flow.

    Raises:
        CommandError: there is none of this name.
    """
    store = existing_store()
    chosen_flow(store, name)
    flow, counts, newest = _read(store, name)
    if as_json:
        write_json([_object(flow, counts, newest)])
        return
    write_fields(
        [
            ("Flow", flow.name),
            ("ID", str(flow.id)),
            ("Tags", ", ".join(flow.tags)),
            ("First run", here(flow.created)),
            ("Runs", f"{sum(counts.values())}: {_summary(counts)}" if counts else "0"),
        ]
    )
    write("\nLatest runs\n")
    list_flow_runs(Filters(flow=name), _LATEST_SHOWN, as_json=False)


_Found = tuple["Flow", dict[str, int], bytes | None]


def _read(store: Store, name: str) -> _Found:
    return _flow_of(listing.read_flow(store, name))


def _flow_of(found: tuple[tuple[Any, ...], dict[str, int], bytes | None]) -> _Found:
    row, counts, newest = found
    return encoding.flow_from_row(row), counts, newest


def _summary(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {state.capitalize()}" for state, count in ordered)


def _latest(newest: bytes | None) -> str:
    return "" if newest is None else str(id_from_bytes(newest))


def _object(flow: Flow, counts: dict[str, int], newest: bytes | None) -> dict[str, Any]:
    return {
        "id": str(flow.id),
        "name": flow.name,
        "tags": list(flow.tags),
        "created": utc(flow.created),
        "runs": sum(counts.values()),
        "runs_by_state_type": counts,
        "latest_flow_run_id": _latest(newest) or None,
    }
