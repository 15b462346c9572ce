"""What a check of a store finds: each kind of defect, why it is one, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from penstock.ids import id_from_bytes

if TYPE_CHECKING:
    from penstock.records import Run


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong in a store.

    Attributes:
        kind: What kind of defect it is, one of `KINDS`.
        severity: `error`, or `warning` for what may be meant, or does no harm.
        subject: What it is about: `flow run`, `task run`, `limit`, `log records`, `store`, ...
        id: The id of the run, where it is about one.
        name: The name of the run or limit, where it has one.
        what: What was found.
        why: Why that is wrong.
        hint: What to do.
    """

    kind: str
    severity: str
    subject: str
    id: str | None
    name: str | None
    what: str
    why: str
    hint: str

    @property
    def title(self) -> str:
        """Name what it is about, as messages do."""
        parts = [self.subject, repr(self.name) if self.name else "", f"({self.id})"]
        return " ".join(part for part in parts if part and part != "(None)")


class Kind(NamedTuple):
    """What is said of every finding of a kind."""

    severity: str
    why: str
    hint: str


_REPORT = "Report it, with the output of `penstock flow-run inspect {id} --json`."
_LEFT_OVER = "It takes room and does no harm: `penstock db prune` deletes it."

KINDS: dict[str, Kind] = {
    "damaged": Kind(
        "error",
        "The database itself is broken: what is read from it may be wrong.",
        "Restore a backup, and look at the disk.",
    ),
    "unreadable": Kind(
        "error",
        "Its record cannot be read back, so nothing can go on from it.",
        "Restore a backup, or delete it. If no other program wrote to the store, report it.",
    ),
    "inconsistent": Kind(
        "error", "What is recorded of it does not agree with its own history.", _REPORT
    ),
    "illegal-move": Kind(
        "error",
        "The rules permit no such transition.",
        "If somebody set its state by force, that is what it leaves. Otherwise: " + _REPORT,
    ),
    "executed-again": Kind(
        "error",
        "What is recorded as completed with a result is not executed again.",
        "If its result could not be read, or its record was changed by hand, that is why."
        " Otherwise: " + _REPORT,
    ),
    "owned-after-end": Kind(
        "error", "Nobody executes a run that is over; whoever ended it gave it up.", _REPORT
    ),
    "owned-without-token": Kind(
        "error", "An owner has a fencing token, so that no other can write beside it.", _REPORT
    ),
    "stuck": Kind(
        "error",
        "No living process executes it, and it does not wait for anybody.",
        "Go on with it: `penstock flow-run resume {id}`.",
    ),
    "unfinished-task": Kind(
        "error",
        "A flow run is over when all of its task runs are.",
        _REPORT,
    ),
    "unfinished-task-of-crash": Kind(
        "warning",
        "Its flow run crashed, and nobody could record how it ended.",
        "It runs again with its flow run: `penstock flow-run resume {flow_run_id}`.",
    ),
    "over-limit": Kind(
        "error",
        "No more slots of a limit are taken than it has.",
        "If the limit was lowered while they were taken, wait until they are freed. Otherwise"
        " report it.",
    ),
    "leaked-slot": Kind(
        "error",
        "Slots are freed with the process that took them.",
        "It is freed when somebody next asks for this limit. If it stays, report it.",
    ),
    "without-flow": Kind(
        "error", "A flow run belongs to a flow; none of that id is there.", _REPORT
    ),
    "without-flow-run": Kind(
        "warning", "The flow run that it belongs to is not there.", _LEFT_OVER
    ),
    "without-parent": Kind(
        "warning",
        "The task run that stands for it in its caller is not there.",
        "It can be looked at and deleted as any other run.",
    ),
    "without-task-run": Kind(
        "warning", "The task run whose result it names is not there.", _LEFT_OVER
    ),
    "without-limit": Kind("warning", "The limit that it belongs to is not there.", _LEFT_OVER),
}
"""Every kind of finding."""


def finding(
    kind: str,
    subject: str,
    what: str,
    key: bytes | None = None,
    name: str | None = None,
    flow_run_key: bytes | None = None,
) -> Finding:
    """Make a finding of a kind.

    Parameters:
        kind: one of `KINDS`.
        subject: what it is about.
        what: what was found.
        key: the id of that.
        name: its name.
        flow_run_key: the id of the flow run that it belongs to.
    """
    known = KINDS[kind]
    run_id = None if key is None else _text_of(key)
    flow_run_id = run_id if flow_run_key is None else _text_of(flow_run_key)
    hint = known.hint.replace("{id}", flow_run_id or "-").replace(
        "{flow_run_id}", flow_run_id or "-"
    )
    return Finding(
        kind=kind,
        severity=known.severity,
        subject=subject,
        id=run_id,
        name=name,
        what=what,
        why=known.why,
        hint=hint,
    )


def finding_of_run(kind: str, run: Run, what: str) -> Finding:
    """Make a finding about a run."""
    flow_run_id = getattr(run, "flow_run_id", run.id)
    subject = "task run" if hasattr(run, "flow_run_id") else "flow run"
    key = None if flow_run_id is None else flow_run_id.bytes
    return finding(kind, subject, what, run.id.bytes, run.name, key)


def _text_of(key: bytes) -> str:
    return str(id_from_bytes(key)) if len(key) == len(bytes(16)) else key.hex()
