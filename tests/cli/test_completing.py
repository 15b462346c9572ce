"""What the shell offers when Tab is pressed, asked as the shell asks."""

import os
import shutil
import subprocess
import sys

import pytest

from penstock import flow, task

PROGRAM = [sys.executable, "-c", "import sys; from penstock.cli import main; sys.exit(main())"]


@task
def one():
    return 1


@flow(flow_run_name="brave-otter")
def ingest():
    return one()


@flow(flow_run_name="bright-heron")
def report():
    return one()


def offered(*words):
    """Give what is offered for the last of the words."""
    asked = os.environ | {
        "_PENSTOCK_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["penstock", *words]),
        "COMP_CWORD": str(len(words)),
    }
    ended = subprocess.run(PROGRAM, env=asked, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    return ended.stdout.split()


@pytest.fixture
def records():
    ingest()
    report()


def test_commands_and_options():
    assert offered("flow-run", "ca") == ["cancel"]
    assert "--param" in offered("run", "flows.py", "--pa")


@pytest.mark.usefixtures("records")
def test_what_is_recorded():
    assert offered("flow-run", "inspect", "br") == ["bright-heron", "brave-otter"]
    assert offered("flow-run", "resume", "brave") == ["brave-otter"]
    assert offered("flow-run", "delete", "bright") == ["bright-heron"]
    assert offered("flow", "inspect", "in") == ["ingest"]
    assert offered("flow-run", "ls", "--flow", "re") == ["report"]
    assert offered("flow-run", "ls", "--state", "cr") == ["crashed"]


def test_a_store_that_cannot_be_read_offers_nothing(penstock_home):
    penstock_home.mkdir(parents=True)
    (penstock_home / "penstock.db").write_text("no database at all, but long enough to be read")

    assert offered("flow-run", "inspect", "br") == []


def test_where_nothing_is_recorded_nothing_is_made(penstock_home):
    assert offered("flow-run", "inspect", "br") == []

    assert not (penstock_home / "penstock.db").exists()


def test_a_word_that_begins_others_is_completed_by_all_of_them():
    assert offered("flow") == ["flow-run", "flow"]
    assert offered("flow-run", "re") == ["resume", "retry"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(shell):
    ended = subprocess.run(
        [*PROGRAM, "--show-completion", shell],
        env=os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"_PENSTOCK_COMPLETE=complete_{shell}" in ended.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_real_bash(tmp_path):
    """Bash takes the script, and the function that it makes offers the commands."""
    program = tmp_path / "penstock"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom penstock.cli import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    script = """
    eval "$(penstock --show-completion bash)"
    COMP_WORDS=(penstock flow-run insp); COMP_CWORD=2
    _penstock_completion penstock
    echo "${COMPREPLY[@]}"
    """
    ended = subprocess.run(
        ["bash", "-c", script],
        env=os.environ
        | {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout.split() == ["inspect"]
