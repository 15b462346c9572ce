"""Write constraints.txt: the exact versions that `make setup` installs.

Run by `make constraints`. Installs the newest versions of what pyproject.toml asks for into an
environment of its own, which is thrown away, and writes down name and version of each: no hosts,
no hashes, so that it serves whatever package index a machine uses.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# What `make setup` and `make docs` install: the newest versions that pyproject.toml allowed.
# Made by `make constraints`; not edited by hand.
"""
EXTRAS = ("draw", "examples", "postgres", "docs", "dev")
# Not ours to choose: these come with the interpreter.
LEFT_OUT = frozenset({"pip", "setuptools", "wheel"})


def requirements() -> list[str]:
    """Give what the project and its extras ask for, without the extras' mention of the project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted: list[str] = list(project["dependencies"])
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    return [each for each in wanted if not each.startswith(f"{project['name']}[")]


def newest_versions(folder: Path) -> dict[str, str]:
    """Install the requirements into an environment in `folder`; give name and version of each."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", *requirements()], check=True)
    listed = subprocess.run(
        [*pip, "list", "--format", "json"], check=True, capture_output=True, text=True
    )
    return {each["name"]: each["version"] for each in json.loads(listed.stdout)}


def main() -> int:
    """Write the file and say how many packages it names."""
    with tempfile.TemporaryDirectory(prefix="penstock-constraints-") as folder:
        versions = newest_versions(Path(folder))
    lines = [
        f"{name}=={version}\n"
        for name, version in sorted(versions.items(), key=lambda item: item[0].lower())
        if name.lower() not in LEFT_OUT
    ]
    (ROOT / "constraints.txt").write_text(HEADER + "".join(lines))
    print(f"constraints.txt: {len(lines)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
