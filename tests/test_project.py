"""What penstock promises of itself as a package: cheap to import, tidy, within its limits."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Packages that are imported where they are first needed, and never for `import penstock`.
HEAVY = {
    "alembic",
    "anyio",
    "asyncio",
    "cloudpickle",
    "dask",
    "distributed",
    "fsspec",
    "httpx",
    "litestar",
    "psycopg",
    "pydantic",
    "pydantic_core",
    "ray",
    "rich",
    "sqlalchemy",
    "typer",
    "uvicorn",
    "websockets",
}
# Our own rooms that stand above a flow that only runs.
UPSTAIRS = {"penstock.cli", "penstock.deployments", "penstock.server", "penstock.worker"}


def run_python(code: str, home: Path) -> str:
    """Run code in a fresh interpreter with warnings as errors; give what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=home.parent,
        env=os.environ | {"PENSTOCK_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(code: str, home: Path) -> set[str]:
    """Give the names of the modules that are loaded after the code has run."""
    printed = run_python(f"{code}\nimport json, sys\nprint(json.dumps(list(sys.modules)))", home)
    return set(json.loads(printed.splitlines()[-1]))


def unwanted(modules: set[str]) -> list[str]:
    return sorted({name for name in modules if name.split(".")[0] in HEAVY} | modules & UPSTAIRS)


def test_import_loads_nothing_heavy(penstock_home):  # PAINS 13
    modules = loaded_by("import penstock", penstock_home)

    assert "penstock" in modules
    assert unwanted(modules) == []
    assert "penstock.task_runners" not in modules


def test_a_flow_that_only_runs_loads_nothing_heavy(penstock_home):
    flow = """
from penstock import flow, task

@task
def add(one, other):
    return one + other

@flow
def sum_up():
    return add(1, add(2, 3))

assert sum_up() == 6
"""
    modules = loaded_by(flow, penstock_home)

    assert unwanted(modules) == []


def test_all_equals_what_is_visible(penstock_home):
    facts = json.loads(
        run_python(
            """
import json, types
import penstock
names = set(dir(penstock))
for name in penstock.__all__:
    getattr(penstock, name)
def is_room(name):
    return isinstance(getattr(penstock, name), types.ModuleType) and name not in penstock.__all__
public = [name for name in names if not name.startswith("_") and not is_room(name)]
print(json.dumps([list(penstock.__all__), public]))
""",
            penstock_home,
        ),
    )
    promised, visible = facts

    assert len(promised) == len(set(promised))
    assert sorted(name for name in promised if not name.startswith("_")) == sorted(visible)


@pytest.mark.parametrize(
    "path",
    [
        "states.Completed",
        "context.get_run_context",
        "engine.pause_flow_run",
        "exceptions.MissingResult",
        "runtime.flow_run.name",
        "blocks.system.Secret",
        "client.orchestration.get_client",
        "client.schemas.filters.FlowRunFilter",
        "input.run_input.RunInput",
        "logging.loggers.flow_run_logger",
        "utilities.annotations.quote",
        "graph.state.Success",
    ],
)
def test_modules_are_reached_from_the_package(path, penstock_home):
    code = f"import penstock; penstock.{path}; print('reached')"

    assert run_python(code, penstock_home).strip() == "reached"


def modules() -> list[str]:
    """Name every module of the package by its file, so that collecting imports none."""
    files = sorted((ROOT / "src" / "penstock").rglob("*.py"))
    parts = [path.relative_to(ROOT / "src").with_suffix("").parts for path in files]
    return [".".join(part).removesuffix(".__init__") for part in parts if part[-1] != "__main__"]


@pytest.mark.parametrize("name", modules())
def test_a_module_keeps_what_it_promises(name):
    module = importlib.import_module(name)

    missing = [each for each in getattr(module, "__all__", ()) if not hasattr(module, each)]

    assert missing == []
    assert module.__doc__, "a module says what it is for"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=str(path.relative_to(ROOT)))
        for path in sorted((ROOT / "src").rglob("__init__.py"))
    ],
)
def test_a_package_only_hands_names_on(path):
    tree = ast.parse(path.read_text())

    own = {
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert own <= {"__getattr__", "__dir__"}, "a package's own code lives in a file beside it"


@pytest.mark.parametrize("tool", ["check_limits.py", "check_leaks.py"])
def test_the_tree_is_within_its_limits(tool):
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / tool)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
