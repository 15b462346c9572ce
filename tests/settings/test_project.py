"""Settings in penstock.toml and pyproject.toml: which file counts, and what is wrong in one."""

from __future__ import annotations

import pytest

from penstock import settings as s
from penstock.settings.masking import masked
from penstock.settings.project import load_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("PENSTOCK_TASK_DEFAULT_RETRIES", "PENSTOCK_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PENSTOCK_PROFILES_PATH", str(tmp_path / "profiles.toml"))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield folder
    monkeypatch.undo()
    s.reload_settings()


def retries():
    return s.reload_settings().task_default_retries


def test_each_source_counts_more_than_the_next(project, tmp_path, monkeypatch):
    profiles = tmp_path / "profiles.toml"
    profiles.write_text('active = "a"\n[profiles.a]\nPENSTOCK_TASK_DEFAULT_RETRIES = 1\n')
    assert retries() == 1

    (project / "pyproject.toml").write_text("[tool.penstock]\ntask-default-retries = 2\n")
    assert retries() == 2

    (project / "penstock.toml").write_text("task_default_retries = 3\n")
    assert retries() == 3

    monkeypatch.setenv("PENSTOCK_PROFILE", "a")
    assert retries() == 1

    monkeypatch.setenv("PENSTOCK_TASK_DEFAULT_RETRIES", "5")
    assert retries() == 5


def test_places_are_relative_to_the_file_from_wherever_it_is_read(project, monkeypatch):
    (project / "penstock.toml").write_text(
        "local-storage-path = 'files'\nstore-url = 'sqlite:///runs.db'\n"
    )
    (project / "flows").mkdir()
    monkeypatch.chdir(project / "flows")

    settings = s.reload_settings()

    assert settings.local_storage_path == project / "files"
    assert settings.store_url == f"sqlite:///{project / 'runs.db'}"


def test_a_store_on_a_server_is_relative_to_nothing(project):
    (project / "penstock.toml").write_text("store-url = 'postgresql://db/runs'\n")
    assert s.reload_settings().store_url == "postgresql://db/runs"


def test_a_profile_asked_for_in_code_counts_more_than_the_project(project):
    (project / "penstock.toml").write_text("task_default_retries = 3\n")
    s.reload_settings()
    profile = s.Profile("mine", {"PENSTOCK_TASK_DEFAULT_RETRIES": 7})

    with s.use_profile(profile):
        assert s.PENSTOCK_TASK_DEFAULT_RETRIES.value() == 7


def test_the_nearest_folder_wins_alone(project, monkeypatch):
    (project / "penstock.toml").write_text('task_default_retries = 3\nlogging_level = "ERROR"\n')
    inner = project / "inner"
    (inner / "deeper").mkdir(parents=True)
    (inner / "pyproject.toml").write_text("[tool.penstock]\ntask_default_retries = 4\n")
    monkeypatch.chdir(inner / "deeper")

    settings = s.reload_settings()

    assert (settings.task_default_retries, settings.logging_level) == (4, "INFO")
    assert settings.source_of(s.PENSTOCK_TASK_DEFAULT_RETRIES).endswith(
        str(inner / "pyproject.toml")
    )


def test_a_pyproject_without_the_table_is_passed_over_even_if_broken(project, monkeypatch):
    (project / "penstock.toml").write_text("task_default_retries = 3\n")
    (project / "inner").mkdir()
    (project / "inner" / "pyproject.toml").write_text("this is [ not TOML")
    monkeypatch.chdir(project / "inner")

    assert retries() == 3


def test_a_wrong_value_is_said_with_file_and_line(project):
    file = project / "pyproject.toml"
    file.write_text('[project]\nname = "x"\n\n[tool.penstock]\ntask-default-retries = "many"\n')

    with pytest.raises(s.InvalidSettingError) as caught:
        s.reload_settings()

    assert f"{file}, line 5 is 'many'" in str(caught.value)
    file.unlink()


def test_a_file_that_is_no_toml_is_an_error_that_names_it(project):
    file = project / "penstock.toml"
    file.write_text("a = = b\n")

    with pytest.raises(s.InvalidSettingError, match=r"penstock\.toml is not valid TOML: .*line 1"):
        s.reload_settings()
    file.unlink()


@pytest.mark.parametrize("key", ["profile", "profiles-path", "PENSTOCK_HOME"])
def test_what_the_profiles_are_found_by_cannot_be_set(project, key):
    file = project / "penstock.toml"
    file.write_text(f'{key} = "x"\n')

    with pytest.raises(s.InvalidSettingError, match=f"{key} stands in .*line 1, but no project"):
        s.reload_settings()
    file.unlink()


def test_an_unknown_name_is_warned_of_with_the_closest(project):
    (project / "penstock.toml").write_text("task-default-retrys = 3\n")

    with pytest.warns(UserWarning, match="Did you mean PENSTOCK_TASK_DEFAULT_RETRIES"):
        s.reload_settings()


def test_a_working_directory_that_was_deleted_has_no_project(project):
    project.rmdir()

    assert load_project() == ()


def test_a_password_in_a_wrong_value_is_not_shown(project, monkeypatch):
    with pytest.raises(s.InvalidSettingError) as caught:
        s.PENSTOCK_TASK_DEFAULT_RETRIES.parse("postgresql://ann:hunter2@db/x", "code")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ann:p@ss@db/x", "postgresql://ann:***@db/x"),
        ("http://h/api?api_key=abc&page=2", "http://h/api?api_key=***&page=2"),
        ("sqlite:////home/ann/penstock.db", "sqlite:////home/ann/penstock.db"),
    ],
)
def test_secrets_of_urls_are_masked(text, shown):
    assert masked(text) == shown
