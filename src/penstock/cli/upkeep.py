"""`penstock db status | prune | vacuum | backup | check`: how the store is, and keeping it so."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock import clock
from penstock.cli.failing import EXIT_COMPLETED, EXIT_FAILED, CommandError
from penstock.cli.output import counted, here, utc, write, write_fields, write_json
from penstock.cli.stores import existing_store
from penstock.ids import id_from_bytes
from penstock.settings import get_current_settings
from penstock.store import is_owner_alive
from penstock.store import pruning_sql as sql
from penstock.store.ages import Limits
from penstock.store.backup import backup, size_of, vacuum
from penstock.store.checking import FINDINGS_LIMIT, check_history
from penstock.store.pruning import Pruning
from penstock.store.resetting import in_words, runs_being_executed
from penstock.store.retention import limits_of
from penstock.store.revisions import SCHEMA_REVISION

if TYPE_CHECKING:
    from penstock.store import Store
    from penstock.store.findings import Finding

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_AGE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw]?)\s*", re.IGNORECASE)
_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_UNIT = 1000


def _need_file(store: Store, instead: str) -> Path:
    if store.path is None:
        message = f"The store {store.place!r} is on a PostgreSQL server. {instead}"
        raise CommandError(message)
    return store.path


def human_size(size: float) -> str:
    """Give a number of bytes as people read it.

    Example:
        >>> human_size(532), human_size(81_920)
        ('532 bytes', '81.9 kB')
    """
    unit = 0
    while size >= _UNIT and unit < len(_UNITS) - 1:
        size /= _UNIT
        unit += 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def _keys(counts: dict[str, int]) -> dict[str, int]:
    return {kind.replace(" ", "_"): count for kind, count in counts.items()}


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} ({count:,})" for kind, count in counts.items())


# -- status ---------------------------------------------------------------------------------------


def show_status(*, as_json: bool) -> None:
    """Show what is in the store, and who uses it.

    Raises:
        CommandError: there is none.
    """
    status = _status_of(existing_store())
    if as_json:
        write_json([status])
        return
    counts = {kind.replace("_", " "): count for kind, count in status["counts"].items()}
    oldest = status["oldest_flow_run"]
    owners = [
        f"{each['owner']} ({counted(each['flow_runs'], 'flow run')}"
        f"{'' if each['is_alive'] else '; it is dead: `penstock recover`'})"
        for each in status["owners"]
    ]
    write_fields(
        [
            ("Store", status["store"]),
            ("Kind", status["kind"]),
            ("Schema revision", status["revision"]),
            ("Size", human_size(status["size_bytes"])),
            ("Journal mode", status["journal_mode"] or ""),
            *((kind[0].upper() + kind[1:], f"{count:,}") for kind, count in counts.items()),
            ("Oldest flow run", f"{oldest['name']}, of {_made(oldest)}" if oldest else ""),
            ("Executed by", "\n".join(owners) or "nobody"),
        ]
    )


def _status_of(store: Store) -> dict[str, Any]:
    now = clock.epoch()
    oldest = store.read(sql.OLDEST_FLOW_RUN)
    path = store.path
    size = store.read(sql.SERVER_SIZE)[0][0] if path is None else size_of(path)
    return {
        "store": store.place,
        "kind": store.dialect,
        "revision": SCHEMA_REVISION,
        "size_bytes": int(size),
        "journal_mode": None if path is None else store.read(sql.JOURNAL_MODE)[0][0],
        "counts": _keys({kind: store.read(each)[0][0] for kind, each in sql.COUNTS.items()}),
        "oldest_flow_run": _oldest(oldest[0]) if oldest else None,
        "owners": [
            {"owner": owner, "flow_runs": runs, "is_alive": is_owner_alive(owner, expires, now)}
            for owner, runs, expires in store.read(sql.OWNERS)
        ],
    }


def _oldest(row: tuple[Any, ...]) -> dict[str, Any]:
    run_id = id_from_bytes(row[0])
    created = clock.from_epoch((run_id.int >> 80) / 1000)
    return {"id": str(run_id), "name": row[1], "created": utc(created)}


def _made(oldest: dict[str, Any]) -> str:
    return here(datetime.fromisoformat(oldest["created"]))


# -- prune ----------------------------------------------------------------------------------------


def seconds_of(age: str) -> float:
    """Give the seconds that an age such as `30d` is; a number alone is days.

    Raises:
        CommandError: it is no age.
    """
    found = _AGE.fullmatch(age)
    if found is None:
        message = (
            f"--older-than={age!r} is no age. Give a number and s, m, h, d or w: 12h, 30d, 8w."
        )
        raise CommandError(message)
    return float(found[1]) * _SECONDS[found[2].lower() or "d"]


def prune_store(
    older_than: str | None, keep: int | None, *, is_trial: bool, as_json: bool
) -> None:
    """Delete what is old: by the settings of retention, or as these say.

    Parameters:
        older_than: how long ago the runs that go have ended at least, such as `30d`.
        keep: how many of the newest runs of each flow stay.
        is_trial: only say what would go.
        as_json: print JSON.

    Raises:
        CommandError: `older_than` is no age, or there is no store.
    """
    limits = limits_of()
    if older_than is not None or keep is not None:
        age_s = 0.0 if older_than is None else seconds_of(older_than)
        limits = Limits(clock.epoch() - age_s, None, keep or 0, limits.result_folder)
    store = existing_store()
    counts = Pruning(store, limits, is_trial=is_trial).run()
    if as_json:
        write_json([{"store": store.place, "is_trial": is_trial, "deleted": _keys(counts)}])
    elif limits.runs_before is None and limits.logs_before is None:
        write("Everything is kept for ever, as the settings say. Give --older-than or --keep.\n")
    elif not counts:
        write(f"Nothing in the store {store.place!r} is to be deleted.\n")
    elif is_trial:
        write(f"Would delete {_listed(counts)} from the store {store.place!r}.\n")
    else:
        write(f"Deleted {_listed(counts)} from the store {store.place!r}.\n")


# -- vacuum, backup -------------------------------------------------------------------------------


def vacuum_store(*, force: bool, as_json: bool) -> None:
    """Have the store take no more room on the disk than it needs.

    Raises:
        CommandError: runs are being executed, or it is on a server.
    """
    store = existing_store()
    path = _need_file(store, "It sees to its room by itself; at once with psql's `vacuum full`.")
    owned = runs_being_executed(store)
    if owned and not force:
        message = f"{in_words(owned)}\nWith --force, it waits until this is done."
        raise CommandError(message)
    before, after = vacuum(path, get_current_settings().store_busy_timeout_s)
    if as_json:
        sizes = {"former_size_bytes": before, "size_bytes": after}
        write_json([{"store": store.place} | sizes])
    else:
        write(
            f"The store {store.place!r} takes {human_size(after)} now; it took"
            f" {human_size(before)}.\n"
        )


def back_up_store(file: str, *, force: bool, as_json: bool) -> None:
    """Copy the store to a file, while others may write to it.

    Raises:
        CommandError: the file is there already, cannot be written, or the store is on a server.
    """
    store = existing_store()
    target = Path(file).expanduser()
    path = _need_file(
        store, f"Copy it with: pg_dump --format=custom --file={file} '{store.place}'"
    )
    if target.is_dir():
        message = f"{file!r} is a folder. Name a file in it."
        raise CommandError(message)
    if target.exists() and target.samefile(path):
        message = f"{file!r} is the store itself. Name another file."
        raise CommandError(message)
    try:
        size = backup(
            path,
            target,
            replace=force,
            busy_timeout_s=get_current_settings().store_busy_timeout_s,
        )
    except FileExistsError as error:
        message = f"The file {file!r} is there already. Name another one, or give --force."
        raise CommandError(message) from error
    except OSError as error:
        message = f"The file {file!r} cannot be written: {error.strerror}. Name another one."
        raise CommandError(message) from error
    if as_json:
        write_json([{"store": store.place, "path": str(target), "size_bytes": size}])
    else:
        write(f"Copied the store {store.place!r} to {file!r}, {human_size(size)}.\n")


# -- check ----------------------------------------------------------------------------------------


def check_store(limit: int = FINDINGS_LIMIT, *, as_json: bool) -> int:
    """Check everything that is recorded, and say what is wrong.

    Returns:
        The exit code: 0 where nothing is wrong but what may be meant, 1 otherwise.

    Raises:
        CommandError: there is no store.
    """
    store = existing_store()
    found = check_history(store, limit=limit)
    errors = sum(each.severity == "error" for each in found)
    if as_json:
        write_json(_as_object(each) for each in found)
        return EXIT_FAILED if errors else EXIT_COMPLETED
    for each in found:
        write(f"{each.severity}: {each.title}: {each.what}\n    {each.why} {each.hint}\n")
    if not found:
        write(f"The store {store.place!r} is in order.\n")
    else:
        more = " or more" if len(found) == limit else ""
        warnings = len(found) - errors
        write(
            f"The store {store.place!r}: {counted(errors, 'error')},"
            f" {counted(warnings, 'warning')}{more}.\n"
        )
    return EXIT_FAILED if errors else EXIT_COMPLETED


def _as_object(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in finding.__struct_fields__}
