"""`penstock profile` and `--profile`, as their users give them."""

from __future__ import annotations

import pytest


@pytest.fixture
def profile(process, tmp_path):
    def profile(*arguments):
        return process(*arguments, PENSTOCK_HOME=str(tmp_path / "h"))

    return profile


def test_a_profile_is_made_used_renamed_and_deleted(profile):
    assert profile("profile", "create", "work").code == 0
    assert profile("profile", "use", "work").code == 0
    assert profile("profile", "delete", "work").code == 2, "it is in use"
    assert profile("profile", "rename", "work", "office").code == 0

    used = {each["name"]: each["in_use"] for each in profile("profile", "ls", "--json").objects}
    assert used == {"default": False, "office": True}

    profile("config", "set", "TASK_DEFAULT_RETRIES=2")
    shown = profile("profile", "inspect", "office", "--json").objects
    assert shown["settings"] == {"PENSTOCK_TASK_DEFAULT_RETRIES": "2"}
    assert profile("--profile", "default", "profile", "delete", "office").code == 2


def test_the_option_uses_another_profile_for_one_command(profile):
    profile("profile", "create", "work")
    profile("--profile", "work", "config", "set", "TASK_DEFAULT_RETRIES=3")

    assert "TASK_DEFAULT_RETRIES" in profile("--profile", "work", "config", "view").out
    assert "TASK_DEFAULT_RETRIES" not in profile("config", "view").out


def test_a_profile_that_there_is_not_is_an_error(profile):
    done = profile("--profile", "wrok", "profile", "use", "wrok")

    assert done.code == 2
    assert "There is no profile 'wrok'" in done.err


def test_profiles_can_be_changed_while_a_project_file_is_broken(profile, write):
    write("penstock.toml", "a = = b\n")

    assert profile("profile", "create", "work").code == 0
