"""A script's classes and functions under the several names that the script goes by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.results.scripts import (
    canonical_module,
    find_attribute,
    import_by_path,
    script_module_name,
)

FLOW = """
import dataclasses
from penstock.results import ResultFactory, fingerprint
from penstock.serializers import JSONSerializer

@dataclasses.dataclass
class Order:
    number: int

    class Line:
        pass

def double(x):
    return 2 * x

def value():
    return {"order": Order(5), "line": Order.Line(), "double": double, "kind": Order}

def told():
    result = ResultFactory().inline(value())
    as_json = JSONSerializer().dumps(Order(7)).decode()
    prints = fingerprint({"x": value(), "f": double, "g": lambda y: y + 1}).hex()
    return {"data": result.record()[1].hex(), "fingerprint": prints, "json": as_json}
"""

AS_SCRIPT = (
    FLOW
    + """
if __name__ == "__main__":
    import json
    import sys
    import penstock.results
    print(json.dumps(told()))
    if len(sys.argv) > 1:
        other = json.loads(sys.argv[1])
        from penstock.results import from_record
        got = from_record("inline", bytes.fromhex(other["data"])).get()
        assert got["order"] == Order(5) and type(got["order"]) is Order, got
        assert got["double"] is double and got["kind"] is Order
        assert type(got["line"]) is Order.Line
        assert JSONSerializer().loads(other["json"].encode()) == Order(7)
        print("read")
"""
)

LOADER = """
import importlib.util, json, sys
from penstock.results import register_script_module, script_module_name, from_record
from penstock.serializers import JSONSerializer
path, name = sys.argv[1], sys.argv[2]
name = script_module_name(path) if name == "-" else name
spec = importlib.util.spec_from_file_location(name, path)
module = importlib.util.module_from_spec(spec)
sys.modules[name] = module
register_script_module(module)
spec.loader.exec_module(module)
print(json.dumps(module.told()))
if len(sys.argv) > 3:
    other = json.loads(sys.argv[3])
    got = from_record("inline", bytes.fromhex(other["data"])).get()
    assert type(got["order"]) is module.Order and got["order"] == module.Order(5)
    assert got["double"] is module.double
    assert type(got["line"]) is module.Order.Line
    assert JSONSerializer().loads(other["json"].encode()) == module.Order(7)
    print("read")
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "flows" / "shop.py"
    path.parent.mkdir()
    path.write_text(AS_SCRIPT)
    return path


def run(*arguments: object, cwd: Path | None = None) -> list[str]:
    """Run Python with these arguments, and give what it printed."""
    roots = os.pathsep.join(filter(None, sys.path))
    ended = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": roots, "PYTHONHASHSEED": "random"},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture
def loader(tmp_path):
    path = tmp_path / "load.py"
    path.write_text(LOADER)
    return path


@pytest.mark.parametrize("name", ["-", "some_other_name"])
def test_a_loaded_script_reads_what_the_main_script_wrote_and_back(script, loader, name):
    (as_main,) = run(script)
    loaded, read = run(loader, script, name, as_main)
    assert read == "read"
    assert json.loads(loaded)["fingerprint"] == json.loads(as_main)["fingerprint"]
    if name == "-":
        _, read_back = run(script, loaded)
        assert read_back == "read"


READER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from penstock.exceptions import UnreadableResult
from penstock.results import from_record
data = bytes.fromhex(json.loads(sys.argv[2])["data"])
try:
    from_record("inline", data).get()
except UnreadableResult as error:
    print(error)
import shop
got = from_record("inline", data).get()
assert type(got["order"]) is shop.Order and got["double"] is shop.double
assert type(got["line"]) is shop.Order.Line
print("read")
"""


def test_a_report_reads_what_a_script_wrote_that_it_has_imported(script, tmp_path):
    (as_main,) = run(script)
    report = tmp_path / "report.py"
    report.write_text(READER)

    complaint, read = run(report, script.parent, as_main)

    assert "'Order' of module '__main__' is gone" in complaint
    assert "import the module that it is first" in complaint
    assert read == "read"


def test_a_module_run_by_name_is_the_same_module(script):
    (as_main,) = run(script)
    as_module, read = run("-m", "shop", as_main, cwd=script.parent)
    assert read == "read"
    assert json.loads(as_module)["fingerprint"] == json.loads(as_main)["fingerprint"]


def test_a_moved_script_still_reads_its_results(script, loader, tmp_path):
    (as_main,) = run(script)
    moved = tmp_path / "elsewhere" / "shop.py"
    moved.parent.mkdir()
    script.rename(moved)
    assert run(loader, moved, "-", as_main)[1] == "read"


def test_names_of_scripts_are_stable_and_differ_by_folder(tmp_path):
    one = script_module_name(tmp_path / "a" / "flow.py")
    assert one == script_module_name(str(tmp_path / "a" / ".." / "a" / "flow.py"))
    assert one != script_module_name(tmp_path / "b" / "flow.py")
    assert canonical_module(one) == "flow"
    assert one.isidentifier()


def test_the_canonical_name_is_the_last_part():
    assert canonical_module("shop.orders") == "orders"
    assert canonical_module("json") == "json"


def test_imports_by_path():
    assert import_by_path("pathlib.Path") is Path
    assert import_by_path("pathlib.Path.home") == Path.home
    assert find_attribute(sys.modules["pathlib"], "Path.joinpath") is Path.joinpath
    for wrong in ("nope.x", "pathlib.Nope", "pathlib", ""):
        with pytest.raises(ValueError, match="nothing to import"):
            import_by_path(wrong)
