"""`penstock flow-run resume`: a run goes on where it was left, or a line says why it cannot."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter

import pytest

LEDGER = """
    import os, time
    from pathlib import Path
    from penstock import flow, task

    folder = Path(__file__).parent
    ledger, is_fine = folder / "ledger.txt", folder / "is_fine"

    @task
    def step(index):
        with ledger.open("a") as file:
            print(index, file=file)
        if index == 3 and not is_fine.exists():
            print("waiting", flush=True)
            time.sleep(60)
        return index

    @flow
    def main(count: int = 6):
        return sum([step(index) for index in range(count)])

    @flow
    def submitted(count: int = 6):
        done = [step.submit(index) for index in range(3)]
        [future.result() for future in done]
        return sum([step(index) for index in range(3, count)])

    @flow
    async def asynchronous(count: int = 6):
        return sum([step(index) for index in range(count)])

    @flow
    def outer():
        return main(5) + main(6)

    if __name__ == "__main__":
        main(5)
"""


def executions(project):
    return Counter((project / "ledger.txt").read_text().split())


@pytest.mark.parametrize("flow", ["main", "submitted", "asynchronous"])
def test_a_killed_run_goes_on_and_completed_tasks_do_not_run_again(
    write, project, started, process, flow
):
    write("flows.py", LEDGER)
    child = started("run", f"flows.py:{flow}", "--param", "count=6")
    child.kill()
    assert child.wait() == -signal.SIGKILL
    (project / "is_fine").touch()
    (run,) = process("flow-run", "ls", "--json").objects
    assert (run["state_type"], run["owner_is_alive"]) == ("RUNNING", False)

    ended = process("flow-run", "resume", run["id"])

    assert ended.code == 0, ended.err
    assert f"({run['id']}) of flow '{flow}' ended in state Completed" in ended.out
    assert executions(project) == {"0": 1, "1": 1, "2": 1, "3": 2, "4": 1, "5": 1}
    (after,) = process("flow-run", "inspect", run["id"], "--json").objects
    names = [state["name"] for state in after["states"]]
    assert names == ["Pending", "Running", "Crashed", "Running", "Completed"]
    assert {each["state_type"] for each in after["task_runs"]} == {"COMPLETED"}
    assert len(after["task_runs"]) == 6

    again = process("flow-run", "resume", run["id"])
    assert again.code == 0
    assert "has completed: there is nothing to go on with." in again.out
    assert sum(executions(project).values()) == 7


def test_a_script_that_was_killed_goes_on_from_another_folder(
    write, project, process, tmp_path, monkeypatch
):
    file = write("flows.py", LEDGER)
    child = subprocess.Popen([sys.executable, file.name], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "waiting\n"
    child.kill()
    child.communicate()
    (project / "is_fine").touch()
    monkeypatch.chdir(tmp_path)

    assert process("flow-run", "resume", "-").code == 0
    assert executions(project) == {"0": 1, "1": 1, "2": 1, "3": 2, "4": 1}


def test_a_run_that_was_begun_through_a_link_goes_on_without_it(
    write, project, started, process, tmp_path
):
    write("flows.py", LEDGER)
    (tmp_path / "link").symlink_to(project)
    child = started("run", tmp_path / "link" / "flows.py:main")
    child.kill()
    child.wait()
    (tmp_path / "link").unlink()
    (project / "is_fine").touch()

    assert process("flow-run", "resume", "-").code == 0
    assert executions(project)["0"] == 1


def test_a_killed_subflow_goes_on_with_its_parent(write, project, started, process):
    write("flows.py", LEDGER)
    child = started("run", "flows.py:outer")
    child.kill()
    child.wait()
    (project / "is_fine").touch()
    inner, outer = process("flow-run", "ls", "--json").objects
    assert inner["parent_task_run_id"] is not None

    refused = process("flow-run", "resume", inner["id"])
    assert refused.code == 2
    assert f"Use `penstock flow-run resume {outer['id']}`." in refused.err
    assert len(refused.err.splitlines()) == 1

    assert process("flow-run", "resume", "-").code == 0
    assert executions(project) == {"0": 2, "1": 2, "2": 2, "3": 3, "4": 2, "5": 1}
    assert [run["state_type"] for run in process("flow-run", "ls", "--json").objects] == [
        "COMPLETED",
        "COMPLETED",
        "COMPLETED",
    ]


def test_a_run_that_is_being_executed_is_left_alone(write, started, process):
    write("flows.py", LEDGER)
    child = started("run", "flows.py:main")

    refused = process("flow-run", "resume", "-")

    assert refused.code == 2
    assert f"is being executed by process {child.pid} on host" in refused.err
    assert len(refused.err.splitlines()) == 1
    (run,) = process("flow-run", "inspect", "-", "--json").objects
    assert run["state_type"] == "RUNNING"
    assert f"It is executed by process {child.pid} on host" in run["waiting_for"]


def test_a_failed_run_goes_on_when_its_cause_is_gone(write, penstock, latest, monkeypatch):
    text = """
    import os
    from penstock import flow, task

    @task
    def once(x):
        with open("ledger.txt", "a") as file:
            print(x, file=file)
        return x

    @flow
    def main(day: str):
        once(day)
        if "IS_FINE" not in os.environ:
            raise LookupError(day)
        return once("end")
    """
    file = write("flows.py", text)
    assert penstock("run", "flows.py", "-p", "day=2024-05-01").code == 1
    monkeypatch.setenv("IS_FINE", "1")

    ended = penstock("flow-run", "resume", latest()["name"])

    assert ended.code == 0
    assert (file.parent / "ledger.txt").read_text().split() == ["2024-05-01", "end"]


def test_a_run_that_fails_again_says_how_to_go_on_again(write, penstock):
    write("flows.py", "from penstock import flow\n@flow\ndef f():\n    raise ValueError('no')\n")
    penstock("run", "flows.py")

    ended = penstock("flow-run", "resume", "-")

    assert ended.code == 1
    assert "penstock flow-run resume" in ended.out


def test_a_cancelled_run_is_final(write, penstock):
    text = "from penstock import flow\nfrom penstock.states import Cancelled\n@flow\ndef f():\n"
    write("flows.py", text + "    return Cancelled()\n")
    penstock("run", "flows.py")

    ended = penstock("flow-run", "resume", "-")

    assert ended.code == 4
    assert "was cancelled, which is final. Run its flow anew." in ended.out


# -- where the flow is not found again ------------------------------------------------------------

FAILING = """
    from penstock import flow

    @flow
    def main():
        raise ValueError("no")

    variant = main.with_options(name="a variant")
"""


def test_a_variant_of_a_flow_is_found_again(write, process):
    call = '\n    if __name__ == "__main__":\n        variant(return_state=True)\n'
    file = write("flows.py", FAILING + call)
    subprocess.run([sys.executable, file], check=True, capture_output=True)

    ended = process("flow-run", "resume", "-")

    assert ended.code == 1
    assert "of flow 'a variant' ended in state Failed" in ended.out


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (None, "The file of flow 'main' is gone: '"),
        (("def main", "def renamed"), "is not at "),
        (("@flow\n", '@flow(name="other")\n'), "is named 'other' now, and the run is one of flow"),
        (("import flow\n", "import flow, gone\n"), "The flow's file could not be imported."),
    ],
)
def test_a_flow_that_is_not_there_any_more(write, penstock, process, change, complaint):
    file = write("flows.py", FAILING)
    assert penstock("run", "flows.py:main").code == 1
    if change is None:
        file.unlink()
    else:
        text = file.read_text().replace("variant = main", "variant = 0  #")
        file.write_text(text.replace(*change))

    ended = process("flow-run", "resume", "-")

    assert ended.code == 2
    assert complaint in ended.err
    assert len(ended.err.splitlines()) <= 2
    assert "Traceback" not in ended.err


def test_a_flow_of_an_interactive_session_goes_on_in_python(project, process):
    code = "from penstock import flow\n@flow\ndef main():\n    1 / 0\nmain(return_state=True)\n"
    subprocess.run([sys.executable, "-"], input=code, text=True, check=True, capture_output=True)

    ended = process("flow-run", "resume", "-")

    assert ended.code == 2
    assert "It is not recorded which file has flow 'main'" in ended.err
    assert 'In Python, call `.resume("' in ended.err


def test_a_run_of_another_host_is_left_alone_while_its_lease_lasts(
    write, started, penstock, store, monkeypatch
):
    write("flows.py", LEDGER)
    child = started("run", "flows.py:main")
    child.kill()
    child.wait()
    elsewhere = f"other/host/1:{os.getpid()}:1"
    store.write("update flow_run set owner = ?", (elsewhere,))

    ended = penstock("flow-run", "resume", "-")

    assert ended.code == 2
    assert f"is being executed by process {os.getpid()} on host other." in ended.err


# -- where the flow's code has moved --------------------------------------------------------------

STEPS = """
    from pathlib import Path
    from penstock import flow, task

    def note(line):
        with Path("ledger").open("a") as ledger:
            print(line, file=ledger)

    @task
    def load(x):
        note(f"load {x}")
        return clean(x)

    @task
    def clean(x):
        note(f"clean {x}")
        return x

    @flow
    def check(x):
        return load(x)
"""
NIGHTLY = """
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from penstock import flow, task
    from lib.steps import check, load, note

    @task
    def begin():
        note("begin")
        return 1

    @flow
    def nightly():
        x = load(begin())
        y = check(x + 1)
        if not Path("mended").exists():
            raise ValueError("no")
        return y
"""


@pytest.fixture
def release(write, project):
    """Release the code in a folder, in the place of the release before."""

    def release(name, flow_file="etl/nightly.py"):
        write(f"releases/{name}/lib/steps.py", STEPS)
        write(f"releases/{name}/{flow_file}", NIGHTLY)
        for folder in (project / "releases").iterdir():
            if folder.name != name:
                shutil.rmtree(folder)
        return f"releases/{name}/{flow_file}"

    return release


@pytest.mark.parametrize("flow_file", ["etl/nightly.py", "etl/every_night.py"])
def test_a_new_release_goes_on_with_a_run_of_an_old_one(release, process, project, flow_file):
    former = release("1")
    assert process("run", former).code == 1
    release("2")  # not mended yet
    assert process("flow-run", "resume", "-", "--flow", "releases/2/etl/nightly.py").code == 1
    present = release("3", flow_file)
    (project / "mended").touch()

    gone = process("flow-run", "resume", "-")
    ended = process("flow-run", "resume", "-", "--flow", present)

    assert gone.code == 2
    assert "is gone" in gone.err
    assert "--flow PATH" in gone.err
    assert ended.code == 0
    assert f"The run was begun from {(project / former).resolve()}" in ended.err
    done = (project / "ledger").read_text().split("\n")
    assert done == ["begin", "load 1", "clean 1", "load 2", "clean 2", ""]


def test_a_release_is_retried_from_a_task_on(release, process, project):
    assert process("run", release("1")).code == 1
    present = release("2")
    (project / "mended").touch()

    ended = process("flow-run", "retry", "-", "--from", "load", "--flow", present)

    assert ended.code == 0
    done = (project / "ledger").read_text().split("\n")
    assert done[:5] == ["begin", "load 1", "clean 1", "load 2", "clean 2"]
    assert done.count("begin") == 1
    assert done.count("load 1") == 2


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        ("elsewhere.py", "elsewhere.py"),
        ("flows.py:other", "There is no flow 'other' in "),
        ("no.such.module:main", "no.such.module"),
        ("other.py", "is named 'wrong' now, and the run is one of flow 'main'"),
    ],
)
def test_a_flow_that_is_not_where_it_is_said_to_be(write, process, place, complaint):
    write("flows.py", FAILING)
    write("other.py", "from penstock import flow\nmain = flow(lambda: 1, name='wrong')\n")
    assert process("run", "flows.py:main").code == 1

    ended = process("flow-run", "resume", "-", "--flow", place)

    assert ended.code == 2
    assert complaint in ended.err
    assert len(ended.err.splitlines()) <= 2
    assert "Traceback" not in ended.err


def test_a_flow_is_found_in_a_module_by_its_path(write, process):
    write("flows.py", FAILING)
    assert process("run", "flows.py:main").code == 1
    write("package/__init__.py", "")
    write("package/flows.py", FAILING.replace('raise ValueError("no")', "return 1"))

    ended = process("flow-run", "resume", "-", "--flow", "package.flows:main")

    assert ended.code == 0
