"""Only the commands that a line names are built: it must not be seen in what they say."""

from __future__ import annotations

import pytest

from penstock.cli.app import app
from penstock.cli.building import named_by


def names(typer):
    """Give what is left of the commands, as a tree."""
    groups = {group.name: names(group.typer_instance) for group in typer.registered_groups}
    return groups | {
        command.name or command.callback.__name__: None for command in typer.registered_commands
    }


def test_only_what_is_named_is_built():
    assert names(named_by(["flow-run", "ls", "--limit", "3"], app)) == {"flow-run": {"ls": None}}
    assert names(named_by(["recover", "ls"], app)) == {"recover": None}
    whole = names(app)
    assert names(named_by(["db", "--help"], app)) == {"db": whole["db"]}


@pytest.mark.parametrize("line", [[], ["--profile", "x", "db", "path"], ["flows"], ["--help"]])
def test_everything_is_where_no_command_comes_first(line):
    assert named_by(line, app) is app


@pytest.mark.parametrize(
    ("environment", "left"),
    [
        ({"COMP_WORDS": "penstock flow-run ls", "COMP_CWORD": "2"}, "flow-run"),
        ({"COMP_WORDS": "penstock flow", "COMP_CWORD": "1"}, None),
        ({"_TYPER_COMPLETE_ARGS": "penstock flow-run in"}, "flow-run"),
        ({"_TYPER_COMPLETE_ARGS": "penstock flow-run "}, "flow-run"),
        ({"_TYPER_COMPLETE_ARGS": "penstock flow"}, None),
    ],
)
def test_the_word_that_is_being_typed_names_nothing(monkeypatch, environment, left):
    monkeypatch.setenv("_PENSTOCK_COMPLETE", "complete")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    found = names(named_by([], app))

    whole = names(app)
    assert found == (whole if left is None else {left: whole[left]})


def test_a_wrong_word_in_a_group_is_told_from_its_others(penstock):
    assert "Did you mean 'ls'" in penstock("flow-run", "lss").err
    assert "cancel" in penstock("flow-run", "--help").out
