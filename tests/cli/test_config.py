"""`penstock config`, as its users give it."""

from __future__ import annotations


def test_what_is_set_is_shown_with_its_source_and_can_be_unset(process, tmp_path):
    home = {"PENSTOCK_HOME": str(tmp_path / "h")}
    assert process("config", "set", "task-default-retries=2", **home).code == 0

    shown = process("config", "view", "--sources", **home).out
    line = next(each for each in shown.splitlines() if "TASK_DEFAULT_RETRIES" in each)
    assert " 2 " in line
    assert "profiles.toml" in line

    assert process("config", "unset", "TASK_DEFAULT_RETRIES", **home).code == 0
    assert "TASK_DEFAULT_RETRIES" not in process("config", "view", **home).out


def test_comments_stay_and_only_the_owner_may_read(process, tmp_path):
    home = tmp_path / "h"
    home.mkdir()
    file = home / "profiles.toml"
    file.write_text("# mine\n[profiles.default] # here\n")

    process("config", "set", "TASK_DEFAULT_RETRIES=2", PENSTOCK_HOME=str(home))

    assert file.read_text().startswith("# mine\n[profiles.default] # here\n")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_wrong_name_or_value_changes_nothing(process, tmp_path):
    home = {"PENSTOCK_HOME": str(tmp_path / "h")}

    name = process("config", "set", "TASK_DEFAULT_RETRIS=2", **home)
    value = process("config", "set", "TASK_DEFAULT_RETRIES=many", **home)

    assert (name.code, value.code) == (2, 2)
    assert "Did you mean PENSTOCK_TASK_DEFAULT_RETRIES" in name.err
    assert "a whole number" in value.err
    assert not (tmp_path / "h" / "profiles.toml").exists()


def test_passwords_are_masked(process, tmp_path):
    home = {"PENSTOCK_HOME": str(tmp_path / "h")}
    set_ = process("config", "set", "API_URL=http://ann:hunter2@host/api", **home)
    seen = process("config", "view", "--sources", "--json", **home)

    assert "hunter2" not in set_.out + seen.out
    assert "ann:***@host" in seen.out


def test_validate_says_where_a_broken_project_file_is_wrong(process, write, tmp_path):
    write("penstock.toml", "\ntask_default_retries = 'many'\n")

    done = process("config", "validate", PENSTOCK_HOME=str(tmp_path / "h"))

    assert done.code == 2
    assert "penstock.toml, line 2" in done.err
