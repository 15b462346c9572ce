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


def test_what_is_in_use_or_built_in_is_not_deleted(profile):
    profile("profile", "create", "work")

    built_in = profile("profile", "delete", "default")
    in_use = profile("--profile", "work", "profile", "delete", "work")

    assert (built_in.code, in_use.code) == (2, 2)
    assert "built in" in built_in.err
    assert "is in use" in in_use.err
    assert profile("profile", "delete", "work").code == 0


def test_names_that_are_taken_or_none(profile, tmp_path):
    profile("profile", "create", "work")

    taken, none = profile("profile", "create", "work"), profile("profile", "create", " ")
    renamed = profile("profile", "rename", "work", "default")

    assert [each.code for each in (taken, none, renamed)] == [2, 2, 2]
    assert "is there already" in taken.err
    assert "is no name" in none.err
    assert (tmp_path / "h" / "profiles.toml").read_text().count("[profiles.") == 1


def test_a_profile_of_a_name_with_spaces(profile):
    assert profile("profile", "create", "my work").code == 0
    assert profile("--profile", "my work", "config", "set", "LEASE_TTL_S=20").code == 0
    assert profile("profile", "use", "my work").code == 0

    assert "20" in profile("config", "view").out
    wrong = profile("config", "validate")
    assert (wrong.code, wrong.err) == (0, "")


def test_the_variable_counts_more_than_the_active_profile(process, tmp_path):
    home = {"PENSTOCK_HOME": str(tmp_path / "h")}
    process("profile", "create", "work", **home)
    process("profile", "create", "play", **home)

    done = process("profile", "use", "work", PENSTOCK_PROFILE="play", **home)

    assert "PENSTOCK_PROFILE names 'play', which counts more" in done.out
    used = process("profile", "ls", "--json", PENSTOCK_PROFILE="play", **home).objects
    assert [each["name"] for each in used if each["in_use"]] == ["play"]


def test_another_file_can_be_named_by_the_environment_alone(process, tmp_path):
    home = {"PENSTOCK_HOME": str(tmp_path / "h")}
    other = {"PENSTOCK_PROFILES_PATH": str(tmp_path / "elsewhere" / "p.toml")}

    assert process("config", "set", "LEASE_TTL_S=20", **home, **other).code == 0

    assert "LEASE_TTL_S" in (tmp_path / "elsewhere" / "p.toml").read_text()
    assert "LEASE_TTL_S" in process("config", "view", **home, **other).out
    assert "LEASE_TTL_S" not in process("config", "view", **home).out
    assert not (tmp_path / "h").exists()
