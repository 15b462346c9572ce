"""Flows are found in files and modules, and nothing runs while they are looked for."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from penstock.exceptions import MissingFlowError, ScriptError, UnspecifiedFlowError
from penstock.flows import (
    load_flow_argument_from_entrypoint,
    load_flow_from_entrypoint,
    load_flow_from_script,
    load_flow_from_text,
    load_flows_from_script,
    select_flow,
)
from penstock.loading import find_module, load_script


@pytest.fixture(autouse=True)
def clean_imports():
    """What a test imports is forgotten after it."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if not name.startswith("penstock."):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return file

    return write


ONE = """
    from penstock import flow

    @flow
    def only_one(x: int = 1):
        return x + 1
"""

TWO = """
    from penstock import flow

    @flow
    def first():
        return 1

    @flow(name="The second one")
    def second():
        return 2
"""


# -- scripts --------------------------------------------------------------------------------------


def test_the_flow_of_a_script_is_loaded_and_runs(write):
    found = load_flow_from_script(write("one.py", ONE))

    assert found.name == "only-one"
    assert found(2) == 3


def test_all_flows_of_a_script_are_loaded_each_once(write):
    file = write("two.py", TWO + "\n    again = first\n")

    assert [each.name for each in load_flows_from_script(file)] == ["first", "The second one"]


@pytest.mark.parametrize("name", ["The second one", "second"])
def test_a_flow_is_chosen_by_its_name_or_its_function(write, name):
    assert load_flow_from_script(write("two.py", TWO), name)() == 2


def test_several_flows_need_a_name(write):
    with pytest.raises(UnspecifiedFlowError, match=r"Found 2 flows .*two\.py.*'first'"):
        load_flow_from_script(write("two.py", TWO))


def test_two_flows_of_one_name_are_two(write):
    text = ONE + "\n    other = only_one.with_options(retries=2)\n"

    with pytest.raises(UnspecifiedFlowError, match="Found 2 flows"):
        load_flow_from_script(write("one.py", text))


def test_a_name_that_no_flow_has(write):
    with pytest.raises(MissingFlowError, match=r"'third' not found.*'The second one', 'first'"):
        load_flow_from_script(write("two.py", TWO), "third")


def test_a_script_without_flows(write):
    with pytest.raises(MissingFlowError, match=r"No flows found in script .*Decorate"):
        load_flow_from_script(write("none.py", "x = 1"))


@pytest.mark.parametrize(("path", "what"), [("gone.py", "does not exist"), (".", "is a folder")])
def test_a_file_that_is_not_there(tmp_path, monkeypatch, path, what):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(FileNotFoundError, match=what):
        load_flow_from_script(path)


def test_a_file_of_another_kind(write):
    with pytest.raises(ValueError, match=r"must end in \.py"):
        load_flow_from_script(write("flow.txt", ONE))


def test_a_script_that_raises_is_named_with_its_error(write):
    file = write("broken.py", "import no_such_module_anywhere")

    with pytest.raises(ScriptError, match=r"broken\.py.*ModuleNotFoundError") as caught:
        load_flow_from_script(file)

    assert isinstance(caught.value.user_exc, ModuleNotFoundError)
    assert caught.value.path == str(file)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("text", ["def broken(:", "raise SystemExit(3)", "1 / 0"])
def test_whatever_a_script_raises_is_a_script_error(write, text):
    file = write("broken.py", text)

    with pytest.raises(ScriptError):
        load_script(file)

    assert "broken" not in sys.modules
    write("broken.py", "fine = True")
    assert load_script(file).fine


def test_ctrl_c_while_a_script_is_loaded_is_ctrl_c(write):
    with pytest.raises(KeyboardInterrupt):
        load_script(write("slow.py", "raise KeyboardInterrupt"))


def test_flows_that_a_script_calls_do_not_run(write, caplog):
    text = ONE + "\n    ledger = []\n    ledger.append(only_one())\n"

    with caplog.at_level(logging.WARNING):
        module = load_script(write("calls.py", text))

    assert module.ledger == [None]
    assert "'only-one' was called while its script is being loaded" in caplog.text
    assert module.only_one() == 2


def test_the_guarded_part_of_a_script_is_left_out(write):
    text = 'ran = False\nif __name__ == "__main__":\n    ran = True\n'

    assert not load_script(write("guarded.py", text)).ran


def test_a_script_finds_its_neighbours(write):
    write("neighbour_of_one.py", "amount = 41")
    text = ONE.replace("x + 1", "x + neighbour_of_one.amount") + "\n    import neighbour_of_one\n"

    assert load_flow_from_script(write("one.py", text))() == 42


def test_a_script_is_executed_once(write):
    file = write("counted.py", "things = []")

    load_script(file).things.append(1)

    assert load_script(str(file)).things == [1]


def test_scripts_of_one_name_in_two_folders_are_two(write):
    first, second = write("a/same.py", "who = 'a'"), write("b/same.py", "who = 'b'")

    assert load_script(first).who == "a"
    assert load_script(second).who == "b"
    assert load_script(first).who == "a"
    assert load_script(second) is load_script(second)


def test_the_second_script_of_one_name_has_the_same_name_in_every_process(write):
    write("a/same.py", "who = 'a'")
    second = write("b/same.py", "who = 'b'")
    code = (
        "import sys; from penstock.loading import load_script\n"
        "load_script(sys.argv[1]); print(load_script(sys.argv[2]).__name__)"
    )
    names = {
        subprocess.run(
            [sys.executable, "-c", code, str(second.parents[1] / "a/same.py"), str(second)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(names) == 1


def test_a_script_may_be_named_as_a_module_of_python(write):
    file = write("statistics.py", "mine = True")

    assert load_script(file).mine
    sys.path.remove(str(file.parent))
    import statistics

    assert not hasattr(statistics, "mine")


def test_a_path_of_the_home_folder(write, monkeypatch):
    monkeypatch.setenv("HOME", str(write("one.py", ONE).parent))

    assert load_flow_from_script("~/one.py")() == 2


# -- packages -------------------------------------------------------------------------------------


def test_a_file_in_a_package_may_import_from_it(write):
    write("shop/__init__.py", "")
    write("shop/helpers.py", "amount = 5")
    write("shop/jobs/__init__.py", "")
    text = """
    from penstock import flow
    from ..helpers import amount

    @flow
    def f():
        return amount
    """
    file = write("shop/jobs/nightly.py", text)

    found = load_flow_from_script(file)

    assert found() == 5
    assert sys.modules["shop.jobs.nightly"].f is found


def test_a_file_in_a_package_is_the_module_that_is_imported_already(write, monkeypatch):
    write("shop/__init__.py", "")
    file = write("shop/nightly.py", ONE)
    monkeypatch.syspath_prepend(file.parents[1])
    import shop.nightly

    assert load_flow_from_script(file) is shop.nightly.only_one


def test_a_file_in_a_package_may_import_its_neighbour_as_scripts_do(write):
    write("shop/__init__.py", "")
    write("shop/neighbour_in_shop.py", "amount = 6")
    text = "from neighbour_in_shop import amount\nfrom penstock import flow\n@flow\ndef f():\n"

    assert load_flow_from_script(write("shop/nightly.py", text + " return amount"))() == 6


def test_two_packages_of_one_name(write):
    for folder in "ab":
        write(f"{folder}/shop/__init__.py", "")
        write(f"{folder}/shop/nightly.py", f"who = {folder!r}")

    one = load_script(Path(write("a/shop/nightly.py", "who = 'a'")))
    two = load_script(Path(write("b/shop/nightly.py", "who = 'b'")))

    assert (one.who, two.who) == ("a", "b")


def test_an_error_in_a_package_is_a_script_error(write):
    write("broken_shop/__init__.py", "1 / 0")

    with pytest.raises(ScriptError, match="ZeroDivisionError"):
        load_script(write("broken_shop/nightly.py", ONE))


# -- entrypoints ----------------------------------------------------------------------------------


def test_an_entrypoint_of_a_file(write):
    file = write("two.py", TWO)

    found = load_flow_from_entrypoint(f"{file}:second")

    assert found() == 2
    assert found.entrypoint == f"{file}:second"


def test_an_entrypoint_of_a_module(write, monkeypatch):
    monkeypatch.syspath_prepend(write("pkg_of_flows/__init__.py", "").parents[1])
    write("pkg_of_flows/jobs.py", ONE)

    for entrypoint in ("pkg_of_flows.jobs.only_one", "pkg_of_flows.jobs:only_one"):
        assert load_flow_from_entrypoint(entrypoint)() == 2
        assert load_flow_argument_from_entrypoint(entrypoint) == "only-one"


def test_an_entrypoint_of_a_flow_in_a_class(write):
    text = """
    from penstock import flow

    class Jobs:
        @flow
        def nightly():
            return 7
    """

    assert load_flow_from_entrypoint(f"{write('jobs.py', text)}:Jobs.nightly")() == 7


def test_a_flow_made_by_a_function_is_known_by_the_name_it_was_given(write):
    text = """
    from penstock import flow

    def make(amount):
        @flow(name=f"gives-{amount}")
        def inner():
            return amount
        return inner

    gives_three = make(3)
    """
    file = write("made.py", text)

    found = load_flow_from_entrypoint(f"{file}:gives_three")

    assert found() == 3
    assert found.entrypoint == f"{file}:gives_three"


def test_a_relative_entrypoint_is_recorded_whole(write, monkeypatch):
    file = write("made.py", TWO + "\n    variant = first.with_options(name='variant')\n")
    monkeypatch.chdir(file.parent)

    assert load_flow_from_entrypoint("made.py:variant").entrypoint == f"{file}:variant"


def test_a_script_reached_by_a_link_has_the_same_tasks(write, tmp_path):
    file = write("real/jobs.py", ONE)
    (tmp_path / "link").symlink_to(file.parent)
    by_link = load_flow_from_script(tmp_path / "link" / "jobs.py")

    assert by_link.entrypoint == f"{file}:only_one"
    assert load_flow_from_script(file) is by_link


@pytest.mark.parametrize("name", ["third", "first.inner", "os"])
def test_an_entrypoint_without_such_a_flow(write, name):
    file = write("two.py", "import os\n" + textwrap.dedent(TWO))

    with pytest.raises(MissingFlowError, match=r"no flow .*two\.py.*first, second"):
        load_flow_from_entrypoint(f"{file}:{name}")


@pytest.mark.parametrize("load", [load_flow_from_entrypoint, load_flow_argument_from_entrypoint])
def test_an_entrypoint_that_is_none(load):
    with pytest.raises(ValueError, match="not understood"):
        load("nonsense")


@pytest.mark.parametrize("load", [load_flow_from_entrypoint, load_flow_argument_from_entrypoint])
@pytest.mark.parametrize("name", ["no_such_module_anywhere.f", "os.no_such_module.f"])
def test_an_entrypoint_of_a_module_that_is_not_there(load, name):
    with pytest.raises(MissingFlowError, match="no module"):
        load(name)


def test_a_module_that_raises_is_a_script_error(write, monkeypatch):
    file = write("module_that_raises.py", "import no_such_module_anywhere")
    monkeypatch.syspath_prepend(file.parent)

    with pytest.raises(ScriptError, match="no_such_module_anywhere"):
        load_flow_from_entrypoint("module_that_raises.f")


# -- text and lists -------------------------------------------------------------------------------


def test_a_flow_from_text_runs_and_leaves_nothing_on_the_path():
    before = list(sys.path)

    first = load_flow_from_text(textwrap.dedent(ONE), "only-one")
    second = load_flow_from_text(textwrap.dedent(TWO), "The second one")

    assert (first(4), second()) == (5, 2)
    assert sys.path == before


def test_select_flow():
    def some(name):
        from penstock import flow

        return flow(name=name)(lambda: None)

    a, b = some("a"), some("b")

    assert select_flow([a]) is a
    assert select_flow([a, b], "b") is b
    with pytest.raises(MissingFlowError, match="No flows found in the cellar"):
        select_flow([], from_message="in the cellar")
    with pytest.raises(MissingFlowError, match="'c' not found"):
        select_flow([a, b], "c")
    with pytest.raises(UnspecifiedFlowError, match="'a', 'b'"):
        select_flow(iter([a, b]))


# -- without importing ----------------------------------------------------------------------------

ARGUMENTS = """
    import no_such_module_anywhere
    from penstock import flow
    import penstock

    NAME = "from a constant"
    VERSION = str(1)

    @no_such_module_anywhere.twice
    @flow(name="given", version="2", retries=3)
    def given(): ...

    @flow
    def made_of_function(): ...

    @penstock.flow(name=NAME, version=VERSION)
    async def constant(): ...

    class Jobs:
        @flow(name="in a class")
        def nightly(): ...

    def none(): ...
"""


@pytest.mark.parametrize(
    ("function", "argument", "value"),
    [
        ("given", "name", "given"),
        ("given", "version", "2"),
        ("given", "retries", "3"),
        ("given", "description", None),
        ("made_of_function", "name", "made-of-function"),
        ("constant", "name", "from a constant"),
        ("constant", "version", None),
        ("Jobs.nightly", "name", "in a class"),
    ],
)
def test_an_argument_is_read_without_importing(write, function, argument, value):
    entrypoint = f"{write('arguments.py', ARGUMENTS)}:{function}"

    assert load_flow_argument_from_entrypoint(entrypoint, argument) == value


@pytest.mark.parametrize("function", ["none", "gone", "Jobs.gone", "Gone.nightly"])
def test_an_argument_of_what_is_no_flow(write, function):
    entrypoint = f"{write('arguments.py', ARGUMENTS)}:{function}"

    with pytest.raises(MissingFlowError, match="no flow"):
        load_flow_argument_from_entrypoint(entrypoint)


def test_an_argument_of_a_module_is_read_without_importing_its_package(write, monkeypatch):
    monkeypatch.syspath_prepend(write("unimported/__init__.py", "1 / 0").parents[1])
    write("unimported/jobs.py", ARGUMENTS)

    assert load_flow_argument_from_entrypoint("unimported.jobs.given") == "given"
    assert "unimported" not in sys.modules


def test_find_module_imports_nothing(write, monkeypatch):
    file = write("unimported/__init__.py", "1 / 0")
    monkeypatch.syspath_prepend(file.parents[1])

    assert find_module("unimported") == file
    assert find_module("unimported.jobs") is None
    assert find_module("json.decoder") is not None
    assert "unimported" not in sys.modules


# -- graphs ---------------------------------------------------------------------------------------

GRAPHS = """
    from penstock import flow
    from penstock.graph import Flow, task

    label = "Named by a variable"

    @task
    def one():
        return 1

    @flow
    def decorated():
        return 2

    with Flow("Nightly") as nightly:
        done = one()

    weekly = again = Flow(name=label)
    monthly: Flow = Flow("monthly" + "ly")
    not_a_flow = dict(name="x")

    def made_here():
        return Flow("made")

    made = made_here()
"""


def test_graphs_are_loaded_beside_decorated_flows(write):
    found = load_flows_from_script(write("graphs.py", GRAPHS))

    assert [(flow.name, flow.is_graph) for flow in found] == [
        ("decorated", False),
        ("Nightly", True),
        ("Named by a variable", True),
        ("monthlyly", True),
        ("made", True),
    ]
    assert {flow.module_name for flow in found} == {"graphs"}


@pytest.mark.parametrize("name", ["nightly", "weekly", "again", "made"])
def test_a_graph_is_loaded_from_its_variable_and_runs(write, name):
    file = write("graphs.py", GRAPHS)

    found = load_flow_from_entrypoint(f"{file}:{name}")

    assert found.run().is_successful()
    assert load_flow_from_entrypoint(found.entrypoint) is found
    assert load_flow_from_script(file, found.name) is found


def test_a_flow_that_is_not_there_is_told_from_those_that_are(write):
    file = write("graphs.py", GRAPHS)

    with pytest.raises(MissingFlowError, match="Flows there: decorated, nightly, weekly, monthly"):
        load_flow_from_entrypoint(f"{file}:yearly")
    with pytest.raises(UnspecifiedFlowError, match=r"Found 5 flows .*'Nightly'"):
        load_flow_from_script(file)


@pytest.mark.parametrize(
    ("variable", "arg", "value"),
    [
        ("nightly", "name", "Nightly"),
        ("nightly", "schedule", None),
        ("weekly", "name", "Named by a variable"),
        ("again", "name", "Named by a variable"),
        ("monthly", "name", None),
    ],
)
def test_an_argument_of_a_graph_is_read_from_its_source(write, variable, arg, value):
    file = write("graphs.py", GRAPHS)

    assert load_flow_argument_from_entrypoint(f"{file}:{variable}", arg) == value
    assert "graphs" not in sys.modules


@pytest.mark.parametrize("variable", ["not_a_flow", "label", "made", "absent"])
def test_what_is_no_graph_in_the_source_has_no_argument(write, variable):
    with pytest.raises(MissingFlowError, match=f"no flow '{variable}'"):
        load_flow_argument_from_entrypoint(f"{write('graphs.py', GRAPHS)}:{variable}")
