"""Check that no committed file names a package registry's host or a folder of one machine.

Run by `make check`. Either would tie the project to where it happened to be written: another
developer's index has another name, another developer's home another path.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent

# Put together from parts, so that this file passes its own check.
HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("debian", "org"),
        ("crates", "io"),
        ("golang", "org"),
        ("rubygems", "org"),
        ("anaconda", "org"),
    )
)
# Usual places of checkouts in containers, and where this checkout and this home happen to be.
FOLDERS = (*(f"/{name}/" for name in ("work", "root")), str(ROOT), f"{Path.home()}/")
LEAK = re.compile(
    f"(?:{'|'.join(map(re.escape, HOSTS))})|(?<![\\w.-])(?:{'|'.join(map(re.escape, FOLDERS))})"
)


def committed() -> Iterator[Path]:
    """Give every file that git keeps, or would keep at the next `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():
            yield path


def problems(path: Path) -> Iterator[str]:
    """Give a line for each leak in the file; a file that is no text has none."""
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return
    for number, line in enumerate(text.splitlines(), start=1):
        for match in LEAK.finditer(line):
            yield (
                f"{path.relative_to(ROOT)}:{number}: names {match.group()!r}, which is only true "
                f"of one machine or index: say it without"
            )


def main() -> int:
    """Print each problem; fail when there is one."""
    files = sorted(committed())
    found = [problem for path in files for problem in problems(path)]
    print("\n".join(found) if found else f"leaks: none in {len(files)} files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
