"""What the main commands show, word for word, on terminals of 60 and 120 columns.

The files are in `snapshots/`. After a change that is meant, write them anew and read what changed:

    WRITE_SNAPSHOTS=1 python -m pytest tests/cli/test_snapshots.py; git diff tests/cli/snapshots
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

SNAPSHOTS = Path(__file__).parent / "snapshots"

SHOWN = {
    "help": "--help",
    "flow-run-help": "flow-run --help",
    "flow-run-ls": "flow-run ls",
    "flow-run-ls-page": "flow-run ls --state completed --limit 2",
    "flow-run-inspect-failed": "flow-run inspect broken",
    "flow-run-inspect-waiting": "flow-run inspect waits",
    "flow-run-inspect-states": "flow-run inspect monday --states",
    "flow-run-inspect-timeline": "flow-run inspect broken --timeline",
    "flow-run-logs": "flow-run logs broken",
    "flow-run-resume-plan": "flow-run resume broken --plan",
    "task-run-ls": "task-run ls monday",
    "task-run-inspect": "task-run inspect breaks-0 --run broken",
    "flow-ls": "flow ls",
    "flow-inspect": "flow inspect report",
    "graph-show": "graph show drawn.py --run graphic",
    "db-status": "db status",
    "config-view": "config view",
    "recover": "recover --dry-run",
    "run": "run shop.py:fails --name friday --watch",
    "error": "flow-run inspect nobody",
}

MASKS = {
    r"\x1b\[[0-9;]*m": "",
    r"/tmp/penstock-\w{8}": "/tmp/penstock-12345678",  # as long as it is
    r"01[0-9a-f]{6}-[0-9a-f]{4}-7[0-9a-f]{3}-8000-[0-9a-f]{12}": lambda found: (
        found[0] if found[0].startswith("019c13") else "01234567-0123-7123-8000-0123456789ab"
    ),
    r"^\d\d:\d\d:\d\d\.\d{3}": "08:30:00.000",
    r"after [\d.]+ m?s": "after 9 ms",
    r'"/[^"]*/shop\.py"': '"shop.py"',  # in what was logged when the store was prepared
    r"[\d.]+ kB": "99.9 kB",
    r"process \d+ on host [\w.-]+": "process 1234 on host here",
    r"^ +[~^]+ *\r?\n": "",  # under a line of a traceback: Python 3.13 leaves some out
    r"'[\w-]+' - Beginning flow run '[\w-]+'": "'friday' - Beginning flow run 'brave-otter'",
}
"""What is not the same each time."""


@pytest.mark.parametrize("columns", [60, 120])
@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown(shop, name, columns):
    if name == "db-status":
        shop("flow-run", "delete", "lost", "--yes")  # its process has another name each time
    shown = shop.on_terminal(columns, *SHOWN[name].split()).out
    for pattern, mask in MASKS.items():
        shown = re.sub(pattern, mask, shown, flags=re.MULTILINE)
    file = SNAPSHOTS / f"{name}.{columns}.txt"
    text = f"$ penstock {SHOWN[name]}\n" + "".join(
        f"{line.rstrip()}\n" for line in shown.rstrip("\n").split("\n")
    )
    if os.environ.get("WRITE_SNAPSHOTS"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    assert text == file.read_text(), "is that meant? See the top of this file"


def test_nothing_is_kept_that_is_not_shown():
    kept = {file.name for file in SNAPSHOTS.iterdir()}

    assert kept == {f"{name}.{columns}.txt" for name in SHOWN for columns in (60, 120)}
