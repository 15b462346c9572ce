"""`penstock config`, as its users give it."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib

import pytest


@pytest.fixture
def config(process, tmp_path):
    """Give a command of `config`, with a home that is empty at first."""

    def config(*arguments, **environment):
        home = {"PENSTOCK_HOME": str(tmp_path / "h")}
        return process("config", *arguments, **(home | environment))

    return config


@pytest.fixture
def profiles(tmp_path):
    """Give the file of profiles, in a home that exists."""
    (tmp_path / "h").mkdir()
    return tmp_path / "h" / "profiles.toml"


# -- set and unset --------------------------------------------------------------------------------


def test_what_is_set_is_shown_with_its_source_and_can_be_unset(config):
    assert config("set", "task-default-retries=2").code == 0

    shown = config("view", "--sources").out
    line = next(each for each in shown.splitlines() if "TASK_DEFAULT_RETRIES" in each)
    assert " 2 " in line
    assert "profiles.toml" in line

    assert config("unset", "TASK_DEFAULT_RETRIES").code == 0
    assert "TASK_DEFAULT_RETRIES" not in config("view").out


def test_values_are_written_as_what_they_are(config, project, tmp_path):
    done = config(
        "set",
        "TASK_DEFAULT_RETRIES=2",
        "lease-ttl-s=20",
        "TASKS_REFRESH_CACHE=no",
        "TASK_DEFAULT_RETRY_DELAY_SECONDS=1,2.5",
        "LOGGING_EXTRA_LOGGERS=a, b",
        "LOGGING_LEVEL=debug",
        "LOCAL_STORAGE_PATH=files",
        "STORE_URL=sqlite:///runs.db",
    )

    assert done.code == 0
    assert "Set PENSTOCK_TASK_DEFAULT_RETRIES to 2 in profile 'default'.\n" in done.out
    written = tomllib.loads((tmp_path / "h" / "profiles.toml").read_text())["profiles"]["default"]
    assert written == {
        "PENSTOCK_TASK_DEFAULT_RETRIES": 2,
        "PENSTOCK_LEASE_TTL_S": 20,
        "PENSTOCK_TASKS_REFRESH_CACHE": False,
        "PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS": [1, 2.5],
        "PENSTOCK_LOGGING_EXTRA_LOGGERS": ["a", "b"],
        "PENSTOCK_LOGGING_LEVEL": "DEBUG",
        "PENSTOCK_LOCAL_STORAGE_PATH": str(project / "files"),
        "PENSTOCK_STORE_URL": f"sqlite:///{project / 'runs.db'}",
    }


def test_comments_stay_and_only_the_owner_may_read(config, profiles):
    profiles.write_text("# mine\n[profiles.default] # here\n")

    config("set", "TASK_DEFAULT_RETRIES=2")

    assert profiles.read_text().startswith("# mine\n[profiles.default] # here\n")
    assert profiles.stat().st_mode & 0o777 == 0o600


def test_a_setting_has_one_entry_however_it_was_written(config, profiles):
    profiles.write_text(
        "[profiles.default]\ntask-default-retries = 1\n"
        "API_DATABASE_CONNECTION_URL = 'sqlite:////tmp/a.db'\n"
    )

    config("set", "TASK_DEFAULT_RETRIES=2", "STORE_URL=sqlite:////tmp/b.db")
    given = tomllib.loads(profiles.read_text())["profiles"]["default"]
    assert set(given) == {"PENSTOCK_TASK_DEFAULT_RETRIES", "PENSTOCK_STORE_URL"}

    assert config("unset", "task-default-retries", "API_DATABASE_CONNECTION_URL").code == 0
    assert tomllib.loads(profiles.read_text())["profiles"]["default"] == {}


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("TASK_DEFAULT_RETRIS=2", "Did you mean PENSTOCK_TASK_DEFAULT_RETRIES"),
        ("TASK_DEFAULT_RETRIES=many", "a whole number"),
        ("TASK_DEFAULT_RETRIES", "not of the form SETTING=VALUE"),
        ("WORKER_QUERY_SECONDS=3", "penstock recover --watch"),
        ("HOME=/x", "set it as environment variable"),
        ("PROFILE=x", "set it as environment variable"),
    ],
)
def test_all_is_set_or_nothing(config, tmp_path, pair, said):
    done = config("set", "LEASE_TTL_S=20", pair)

    assert done.code == 2
    assert done.err.startswith("Error: ")
    assert said in done.err
    assert len(done.err.splitlines()) <= 2
    assert not (tmp_path / "h").exists()


def test_what_is_not_set_cannot_be_unset(config):
    absent, unknown = config("unset", "LEASE_TTL_S"), config("unset", "LEASE_TTL")

    assert (absent.code, unknown.code) == (2, 2)
    assert "PENSTOCK_LEASE_TTL_S is not set in profile 'default'" in absent.err
    assert "Did you mean PENSTOCK_LEASE_TTL_S" in unknown.err


def test_what_counts_more_than_the_profile_is_said(config, write):
    write("penstock.toml", "lease-ttl-s = 9\n")

    done = config("set", "LEASE_TTL_S=20", "LOGGING_LEVEL=INFO", PENSTOCK_LOGGING_LEVEL="ERROR")

    assert "LEASE_TTL_S is set by the project file" in done.out
    assert "LOGGING_LEVEL is set by environment variable PENSTOCK_LOGGING_LEVEL" in done.out
    view = config("view", "--json", PENSTOCK_LOGGING_LEVEL="ERROR").objects["settings"]
    assert view["PENSTOCK_LEASE_TTL_S"]["value"] == 9
    assert view["PENSTOCK_LOGGING_LEVEL"]["value"] == "ERROR"


def test_passwords_are_masked(config):
    url = "STORE_URL=postgresql://ann:hunter2@host/runs?sslpassword=hunter2"
    done = [config("set", url), config("view"), config("view", "--sources", "--json")]
    wrong = config("set", "LEASE_TTL_S=http://ann:hunter2@host")

    assert not any("hunter2" in each.out + each.err for each in [*done, wrong])
    assert all("ann:***@host" in each.out for each in done)


# -- where the file is, and is not ----------------------------------------------------------------


def test_a_home_that_is_a_file(config, tmp_path):
    (tmp_path / "h").write_text("")

    done = config("set", "LEASE_TTL_S=20")

    assert done.code == 2
    assert "cannot be written" in done.err
    assert "PENSTOCK_HOME" in done.err
    assert config("view").code == 0, "to look at them nothing has to be written"


def test_no_home(command, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PENSTOCK_HOME"}
    done = subprocess.run(
        command("config", "view"),
        env=environment | {"HOME": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "set PENSTOCK_HOME to a folder" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("content", [b"[profiles", b"\xff", b"profiles = 3\n"])
def test_a_file_that_cannot_be_read_is_left_as_it_is(config, profiles, content):
    profiles.write_bytes(content)

    done = config("set", "LEASE_TTL_S=20")

    assert done.code == 2
    assert str(profiles) in done.err
    assert len(done.err.splitlines()) == 1
    assert profiles.read_bytes() == content


# -- view -----------------------------------------------------------------------------------------


def test_programs_get_values_as_what_they_are(config):
    view = config(
        "view", "--json", PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS="1,2", PENSTOCK_DEBUG_MODE="on"
    ).objects

    values = {name: each["value"] for name, each in view["settings"].items()}
    assert values["PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS"] == [1.0, 2.0]
    assert values["PENSTOCK_DEBUG_MODE"] is True
    assert values["PENSTOCK_API_URL"] is None
    assert values["PENSTOCK_STORE_BUSY_TIMEOUT_S"] == 30
    assert view["settings"]["PENSTOCK_DEBUG_MODE"]["source"].endswith("PENSTOCK_DEBUG_MODE")


@pytest.mark.parametrize("width", [60, 120, 240])
def test_no_value_or_source_is_cut_off_in_a_terminal(in_terminal, width):
    shown = in_terminal(width, "config", "view", "--sources")
    text = " ".join(shown.split())
    home = os.environ["PENSTOCK_HOME"]

    assert "environment variable PENSTOCK_HOME" in text
    assert f"{home}/profiles.toml" in text
    lines = shown.splitlines()
    settings = [each for each in lines if "PENSTOCK_LEASE_TTL_S" in each]
    assert len(settings) == 1
    assert "15" in settings[0]
    if width < 240:
        assert "PENSTOCK_LEASE_TTL_S = 15  (default)" in lines
        assert all(len(each) <= width or str(home) in each for each in lines)


# -- validate -------------------------------------------------------------------------------------


def test_validate_says_where_a_broken_project_file_is_wrong(config, write):
    write("penstock.toml", "\ntask_default_retries = 'many'\n")

    done = config("validate")

    assert done.code == 2
    assert "penstock.toml, line 2" in done.err


def test_validate_says_everything_that_is_wrong_at_once(config, profiles, write):
    profiles.write_text("[profiles.default]\n\nTASKS_REFRESH_CACHE = 'maybe'\nBAR = 1\n")
    write("penstock.toml", "task_default_retries = 'many'\nhome = '/x'\nlease-ttl-s = 1\n")
    write("pyproject.toml", "[tool.penstock]\nworker-query-seconds = 1\n")

    done = config(
        "validate",
        PENSTOCK_STORE_DURABILITY="some",
        PENSTOCK_STORE_URL="mysql://ann:hunter2@host/runs",
        PENSTOCK_RESULTS_DEFAULT_SERIALIZER="pikle",
        PENSTOCK_GRAPH_EXECUTOR="nowhere.Executor",
        PENSTOCK_LOGGING_SETTINGS_PATH="/nowhere.yml",
        PENSTOCK_API_URL="http://host/api",
        PENSTOCK_TASK_DEFAULT_RETRIS="1",
    )

    assert done.code == 2
    lines = done.err.splitlines()
    assert all(each.startswith("Error: ") for each in lines)
    expected = [
        ("TASKS_REFRESH_CACHE", "profiles.toml, line 3", "true or false"),
        ("BAR in profile 'default'", "line 4", "no effect"),
        ("TASK_DEFAULT_RETRIES", "penstock.toml, line 1", "a whole number"),
        ("home", "penstock.toml, line 2", "environment variable"),
        ("worker-query-seconds", "pyproject.toml, line 2", "workers"),
        ("STORE_DURABILITY", "environment variable", "'normal', 'full'"),
        ("STORE_URL", "environment", "postgresql://user"),
        ("HEARTBEAT_INTERVAL_S (3, default)", "LEASE_TTL_S (1, the project file", "smaller"),
        ("RESULTS_DEFAULT_SERIALIZER", "environment", "Did you mean 'pickle'"),
        ("GRAPH_EXECUTOR", "environment", "No module named 'nowhere'"),
        ("LOGGING_SETTINGS_PATH", "/nowhere.yml", "no such file"),
        ("API_URL", "environment", "runs are recorded"),
        ("TASK_DEFAULT_RETRIS in the environment", "", "Did you mean"),
    ]
    for parts in expected:
        assert [each for each in lines if all(part in each for part in parts)], parts
    assert len(lines) == len(expected)
    assert "hunter2" not in done.err


def test_validate_goes_on_past_files_that_cannot_be_read(config, profiles, write):
    profiles.write_text("[profiles")
    write("penstock.toml", "a = = b\n")
    write("pyproject.toml", "[tool.penstock]\nlease-ttl-s = 'x'\n")

    done = config("validate", PENSTOCK_LOGGING_LEVEL="LOUD")

    assert [
        part
        for part in ("profiles.toml is not valid", "penstock.toml is not", "LEASE_TTL_S", "LOUD")
        if part not in done.err
    ] == []


def test_validate_has_nothing_to_say_of_settings_that_are_right(config, tmp_path):
    config("set", "LEASE_TTL_S=20", "RESULTS_DEFAULT_SERIALIZER=compressed/json")

    assert config("validate").out.startswith("Settings are right: ")
    assert [each.name for each in (tmp_path / "h").iterdir()] == ["profiles.toml"]


def test_an_active_profile_that_was_deleted_is_mended_by_commands(config, process, profiles):
    profiles.write_text("active = 'work'\n[profiles.wrok]\n")
    home = {"PENSTOCK_HOME": str(profiles.parent)}

    for command in (
        ("config", "view"),
        ("config", "validate"),
        ("config", "set", "LEASE_TTL_S=9"),
    ):
        done = process(*command, **home)
        assert done.code == 2
        assert "The active profile, 'work', is not in" in done.err
        assert "penstock profile use wrok" in done.err

    assert process("profile", "use", "wrok", **home).code == 0
    assert json.loads(process("config", "view", "--json", **home).out)["profile"] == "wrok"
