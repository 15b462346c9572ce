from __future__ import annotations

import contextvars
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from penstock import settings as s
from penstock.exceptions import MissingProfileError, PenstockException

ENVIRONMENT_EXAMPLES = [
    ("PENSTOCK_TASK_DEFAULT_RETRIES", "3", 3),
    ("PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS", "1.5", 1.5),
    ("PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS", "[1, 2, 3]", [1.0, 2.0, 3.0]),
    ("PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS", "1,2", [1.0, 2.0]),
    ("PENSTOCK_TASKS_REFRESH_CACHE", "TRUE", True),
    ("PENSTOCK_TASKS_REFRESH_CACHE", "off", False),
    ("PENSTOCK_LOGGING_EXTRA_LOGGERS", "dask, ray ,", ("dask", "ray")),
    ("PENSTOCK_LOGGING_LEVEL", "warning", "WARNING"),
    ("PENSTOCK_LOGGING_LEVEL", "15", "15"),
    ("PENSTOCK_LOCAL_STORAGE_PATH", "/data", Path("/data")),
    ("PENSTOCK_STORE_DURABILITY", "FULL", "full"),
    ("PENSTOCK_UI_URL", "http://host/api", "http://host/api"),
    ("PENSTOCK_LOCAL_STORAGE_PATH", "data", Path("data").absolute()),
    ("PENSTOCK_TASK_DEFAULT_RETRIES", "", 0),
]

WRONG = [
    ("PENSTOCK_TASK_DEFAULT_RETRIES", "many", "a whole number not less than 0"),
    ("PENSTOCK_TASK_DEFAULT_RETRIES", "-1", "not less than 0"),
    ("PENSTOCK_TASK_DEFAULT_RETRIES", "1.5", "a whole number"),
    ("PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS", "1,x", "list of such numbers"),
    ("PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS", "-1", "not less than 0"),
    ("PENSTOCK_TASKS_REFRESH_CACHE", "perhaps", "true or false"),
    ("PENSTOCK_STORE_DURABILITY", "none", "'normal', 'full'"),
    ("PENSTOCK_LEASE_TTL_S", "0", "greater than 0"),
    ("PENSTOCK_LEASE_TTL_S", "nan", "a number"),
    ("PENSTOCK_LOGGING_LEVEL", "LOUD", "a level"),
]


def write_profiles(home, text):
    home.mkdir(parents=True, exist_ok=True)
    (home / "profiles.toml").write_text(text)
    return s.reload_settings()


def test_every_setting_is_an_object_named_as_its_environment_variable():
    for name, setting in s.SETTINGS.items():
        assert getattr(s, name) is setting
        assert name in s.__all__
        assert setting.name == name
        assert setting.description.endswith(".")
        assert setting.type is not None
        setting.value()
        _ = setting.default


def test_defaults_are_those_that_users_know(penstock_home):
    assert s.PENSTOCK_TASK_DEFAULT_RETRIES.value() == 0
    assert s.PENSTOCK_RESULTS_INLINE_LIMIT_BYTES.value() == 65536
    assert s.PENSTOCK_LEASE_TTL_S.value() == 15.0
    assert s.PENSTOCK_LOGGING_LEVEL.value() == "INFO"
    assert s.PENSTOCK_API_URL.value() is None
    assert s.PENSTOCK_HOME.value() == penstock_home
    assert s.PENSTOCK_STORE_URL.value() == f"sqlite:///{penstock_home / 'penstock.db'}"
    assert s.PENSTOCK_LOCAL_STORAGE_PATH.value() == penstock_home / "storage"


def test_home_is_in_the_users_folder_by_default(monkeypatch, tmp_path):
    monkeypatch.delenv("PENSTOCK_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    s.reload_settings()
    assert s.PENSTOCK_HOME.value() == tmp_path / ".penstock"
    assert not (tmp_path / ".penstock").exists()


@pytest.mark.parametrize(("name", "text", "value"), ENVIRONMENT_EXAMPLES)
def test_the_environment_is_read(monkeypatch, name, text, value):
    monkeypatch.setenv(name, text)
    s.reload_settings()
    setting = getattr(s, name)
    assert setting.value() == value
    assert type(setting.value()) is type(value)


@pytest.mark.parametrize(("name", "text", "expected"), WRONG)
def test_a_wrong_value_names_setting_source_value_and_what_is_expected(
    monkeypatch, name, text, expected
):
    monkeypatch.setenv(name, text)
    with pytest.raises(s.InvalidSettingError) as caught:
        s.reload_settings()
    message = str(caught.value)
    assert name in message
    assert f"environment variable {name}" in message
    assert repr(text) in message
    assert expected in message
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, PenstockException)


def test_the_environment_is_read_once(monkeypatch):
    assert s.PENSTOCK_TASK_DEFAULT_RETRIES.value() == 0
    monkeypatch.setenv("PENSTOCK_TASK_DEFAULT_RETRIES", "4")
    assert s.PENSTOCK_TASK_DEFAULT_RETRIES.value() == 0
    s.reload_settings()
    assert s.PENSTOCK_TASK_DEFAULT_RETRIES.value() == 4


def test_an_unknown_variable_gives_a_warning_with_the_closest_name(monkeypatch):
    monkeypatch.setenv("PENSTOCK_TASK_DEFAULT_RETRY", "4")
    with pytest.warns(UserWarning, match="Did you mean PENSTOCK_TASK_DEFAULT_RETRIES"):
        s.reload_settings()


@pytest.mark.parametrize(
    "name",
    ["PENSTOCK__FLOW_RUN_ID", "PENSTOCK_LOGGING_LOGGERS_ROOT_LEVEL", "PENSTOCKX", "OTHER"],
)
def test_variables_that_are_no_settings_are_left_alone(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    s.reload_settings()


def test_a_former_name_sets_the_setting_of_today(monkeypatch):
    monkeypatch.setenv("PENSTOCK_API_DATABASE_CONNECTION_URL", "sqlite:///old.db")
    settings = s.reload_settings()
    assert s.PENSTOCK_STORE_URL.value() == "sqlite:///old.db"
    assert "PENSTOCK_API_DATABASE_CONNECTION_URL" in settings.source_of(s.PENSTOCK_STORE_URL)
    assert s.PENSTOCK_API_DATABASE_CONNECTION_URL is s.PENSTOCK_STORE_URL
    monkeypatch.setenv("PENSTOCK_STORE_URL", "sqlite:///new.db")
    s.reload_settings()
    assert s.PENSTOCK_STORE_URL.value() == "sqlite:///new.db"


def test_asking_for_a_setting_that_does_not_exist_gets_the_closest_name():
    with pytest.raises(s.UnknownSettingError, match="Did you mean PENSTOCK_HOME"):
        s.find_setting("PENSTOCK_HOMES")
    with pytest.raises(s.UnknownSettingError, match="Did you mean PENSTOCK_HOME"):
        _ = s.PENSTOCK_HOMES
    with pytest.raises(LookupError, match="Did you mean task_default_retries"):
        _ = s.get_current_settings().task_default_retrys
    with pytest.raises(AttributeError):
        _ = s.nothing_like_a_setting
    assert not hasattr(s.get_current_settings(), "task_default_retrys")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("PENSTOCK_API_REQUEST_TIMEOUT", "PENSTOCK_STORE_OUTAGE_TIMEOUT_S"),
        ("PENSTOCK_CLIENT_MAX_RETRIES", "requests to a server"),
        ("PENSTOCK_EXPERIMENTAL_ENABLE_TASK_SCHEDULING", "a task server executes"),
        ("PENSTOCK_TASK_SCHEDULING_MAX_RETRY_QUEUE_SIZE", "a task server executes"),
        ("PENSTOCK_WORKER_QUERY_SECONDS", "penstock recover --watch"),
        ("PENSTOCK_DEFAULT_WORK_POOL_NAME", "work pools"),
        ("PENSTOCK_API_SERVICES_LATE_RUNS_AFTER_SECONDS", "schedules of deployments"),
        ("PENSTOCK_API_SERVICES_SCHEDULER_MAX_RUNS", "schedules of deployments"),
        ("PENSTOCK_EXPERIMENTAL_EVENTS", "penstock emits none"),
        ("PENSTOCK_FROBNICATE", "config view --sources"),
    ],
)
def test_a_name_of_another_engine_is_refused_with_what_it_is_about(monkeypatch, name, what):
    monkeypatch.setenv(name, "4")
    with pytest.warns(UserWarning, match=what) as caught:
        s.reload_settings()
    assert "no effect" in str(caught[0].message)
    assert "Did you mean" not in str(caught[0].message)
    with pytest.raises(s.UnknownSettingError, match=what):
        s.find_setting(name)


def test_the_address_of_a_server_does_not_send_records_there_in_silence(monkeypatch):
    monkeypatch.setenv("PENSTOCK_API_URL", "http://host/api")
    with pytest.warns(UserWarning, match="runs are recorded in PENSTOCK_STORE_URL"):
        s.reload_settings()


@pytest.mark.parametrize("home", [None, ""])
def test_without_a_users_folder_the_home_has_to_be_named(monkeypatch, home):
    monkeypatch.delenv("PENSTOCK_HOME")
    if home is None:
        monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home)
    with pytest.raises(s.InvalidSettingError, match="set PENSTOCK_HOME to a folder"):
        s.reload_settings()


def test_debug_mode_lowers_the_default_level(monkeypatch):
    with s.temporary_settings({s.PENSTOCK_DEBUG_MODE: True}):
        assert s.PENSTOCK_LOGGING_LEVEL.value() == "DEBUG"
    with s.temporary_settings({s.PENSTOCK_DEBUG_MODE: True, s.PENSTOCK_LOGGING_LEVEL: "ERROR"}):
        assert s.PENSTOCK_LOGGING_LEVEL.value() == "ERROR"


def test_the_page_is_beside_the_api():
    with s.temporary_settings({s.PENSTOCK_API_URL: "http://host:4200/api"}):
        assert s.PENSTOCK_UI_URL.value() == "http://host:4200"
    assert s.PENSTOCK_UI_URL.value() is None


# Snapshots


def test_a_snapshot_has_values_as_attributes_and_by_setting():
    settings = s.get_current_settings()
    assert settings.task_default_retries == 0
    assert settings.value_of(s.PENSTOCK_TASK_DEFAULT_RETRIES) == 0
    assert settings.source_of(s.PENSTOCK_HOME) == "environment variable PENSTOCK_HOME"
    assert settings.source_of(s.PENSTOCK_API_URL) == "default"


def test_a_snapshot_is_frozen():
    with pytest.raises(AttributeError, match="temporary_settings"):
        s.get_current_settings().task_default_retries = 4


def test_a_snapshot_shows_no_values():
    with s.temporary_settings(
        {s.PENSTOCK_STORE_URL: "postgresql://me:secret@host/db"}
    ) as settings:
        assert "secret" not in repr(settings)
        assert "secret" not in repr(s.get_settings_context())
        assert "secret" not in repr(s.PENSTOCK_STORE_URL)
        assert "PENSTOCK_STORE_URL" in repr(settings)


def test_snapshots_and_settings_survive_pickling():
    settings = s.get_current_settings()
    copy = pickle.loads(pickle.dumps(settings))
    assert copy == settings
    assert copy.home == settings.home
    assert pickle.loads(pickle.dumps(s.PENSTOCK_HOME)) is s.PENSTOCK_HOME


def test_a_snapshot_written_as_environment_reads_back_the_same():
    changes = {
        s.PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS: [1, 2],
        s.PENSTOCK_LOGGING_EXTRA_LOGGERS: ("a", "b"),
        s.PENSTOCK_TASKS_REFRESH_CACHE: True,
        s.PENSTOCK_LEASE_TTL_S: 2.5,
    }
    given = {name for name in os.environ if name.startswith("PENSTOCK_")}
    with s.temporary_settings(changes) as settings:
        variables = settings.to_environment_variables(exclude_unset=True)
        assert set(variables) == {setting.name for setting in changes} | given
        everything = settings.to_environment_variables()
        assert "PENSTOCK_API_URL" not in everything
        assert settings.to_environment_variables([s.PENSTOCK_LEASE_TTL_S]) == {
            "PENSTOCK_LEASE_TTL_S": "2.5"
        }
    os.environ.update(variables)
    try:
        assert s.reload_settings() == settings
    finally:
        for name in set(variables) - given:
            del os.environ[name]


# For a while


def test_temporary_settings_hold_inside_the_block_only(tmp_path):
    with s.temporary_settings({s.PENSTOCK_HOME: tmp_path / "h", "PENSTOCK_TEST_MODE": "yes"}) as t:
        assert s.get_current_settings() is t
        assert s.PENSTOCK_TEST_MODE.value() is True
        assert s.PENSTOCK_STORE_URL.value() == f"sqlite:///{tmp_path / 'h' / 'penstock.db'}"
        assert s.PENSTOCK_STORE_URL.default == s.PENSTOCK_STORE_URL.value()
        assert (tmp_path / "h").is_dir()
        with s.temporary_settings({s.PENSTOCK_TEST_MODE: False}):
            assert s.PENSTOCK_TEST_MODE.value() is False
            assert s.PENSTOCK_HOME.value() == tmp_path / "h"
        assert s.PENSTOCK_TEST_MODE.value() is True
    assert s.PENSTOCK_TEST_MODE.value() is False


def test_set_defaults_and_restore_defaults():
    retries, mode = s.PENSTOCK_TASK_DEFAULT_RETRIES, s.PENSTOCK_TEST_MODE
    with s.temporary_settings({retries: 3}):
        with s.temporary_settings(set_defaults={retries: 5, mode: True}):
            assert (retries.value(), mode.value()) == (3, True)
        with s.temporary_settings(restore_defaults=[retries]) as settings:
            assert retries.value() == 0
            assert settings.source_of(retries) == "default"
        with s.temporary_settings({retries: 4}, set_defaults={retries: 5}):
            assert retries.value() == 4


def test_temporary_settings_refuse_what_the_environment_refuses():
    with (
        pytest.raises(s.InvalidSettingError, match=r"from temporary_settings\(\) is 'x'"),
        s.temporary_settings({s.PENSTOCK_TASK_DEFAULT_RETRIES: "x"}),
    ):
        pass
    with pytest.raises(s.InvalidSettingError), s.temporary_settings({s.PENSTOCK_HOME: None}):
        pass
    with pytest.raises(s.UnknownSettingError), s.temporary_settings({"PENSTOCK_NOPE": 1}):
        pass


def test_temporary_settings_reach_threads_by_a_copied_context():
    seen = []

    def look():
        seen.append(s.PENSTOCK_TASK_DEFAULT_RETRIES.value())

    with s.temporary_settings({s.PENSTOCK_TASK_DEFAULT_RETRIES: 7}):
        context = contextvars.copy_context()
        for target in (look, lambda: context.run(look)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert seen == [0, 7]


def test_a_context_is_entered_once_at_a_time():
    settings = s.get_current_settings()
    context = s.SettingsContext(profile=settings.profile, settings=settings)
    with context:
        assert s.SettingsContext.get() is context
        with pytest.raises(RuntimeError, match="copy"):
            context.__enter__()
        with context.copy() as copy:
            assert s.get_settings_context() is copy
        assert s.get_settings_context() is context
    with pytest.raises(RuntimeError, match="without having been entered"):
        context.__exit__(None, None, None)
    with context:
        pass


def test_there_is_always_a_settings_context():
    context = s.SettingsContext.get()
    assert context.settings is s.get_current_settings()
    assert context.profile.name == "default"


def test_the_home_that_cannot_be_created_gives_a_clear_warning(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with (
        pytest.warns(UserWarning, match="PENSTOCK_HOME.*cannot be created"),
        s.temporary_settings({s.PENSTOCK_HOME: blocker / "home"}),
    ):
        pass


def test_ensure_home_creates_the_home_in_force(penstock_home):
    assert not penstock_home.exists()
    assert s.ensure_home() == penstock_home
    assert penstock_home.is_dir()


# Profiles

TWO_PROFILES = """
active = "work"

[profiles.work]
PENSTOCK_TASK_DEFAULT_RETRIES = 2
PENSTOCK_LOGGING_LEVEL = "ERROR"

[profiles.play]
PENSTOCK_TASK_DEFAULT_RETRIES = "5"
PENSTOCK_TASKS_REFRESH_CACHE = true
"""


def test_the_active_profile_is_read(penstock_home):
    settings = write_profiles(penstock_home, TWO_PROFILES)
    assert settings.task_default_retries == 2
    assert settings.profile.name == "work"
    assert settings.source_of(s.PENSTOCK_TASK_DEFAULT_RETRIES).startswith("profile 'work' in ")


def test_the_environment_names_another_profile_and_counts_more(penstock_home, monkeypatch):
    monkeypatch.setenv("PENSTOCK_PROFILE", "play")
    assert write_profiles(penstock_home, TWO_PROFILES).task_default_retries == 5
    monkeypatch.setenv("PENSTOCK_TASK_DEFAULT_RETRIES", "9")
    assert s.reload_settings().task_default_retries == 9


def test_a_profile_that_is_missing_is_named_with_those_there_are(penstock_home, monkeypatch):
    monkeypatch.setenv("PENSTOCK_PROFILE", "wrok")
    with pytest.raises(MissingProfileError, match="Did you mean 'work'") as caught:
        write_profiles(penstock_home, TWO_PROFILES)
    assert "'play'" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not toml", "not valid TOML"),
        ("profiles = 3", r"\[profiles.<name>\] tables"),
        ("[profiles]\nwork = 3", r"\[profiles.<name>\] tables"),
        ("active = 3", "`active`"),
        ("active = 'wrok'\n[profiles.work]", "The active profile, 'wrok'.*profile use work"),
        ("active = 'work'\n[profiles.work]\nPENSTOCK_TASK_DEFAULT_RETRIES = -1", "profile 'work'"),
    ],
)
def test_a_bad_profiles_file_is_an_error_that_says_where(penstock_home, text, message):
    with pytest.raises((s.InvalidSettingError, MissingProfileError), match=message) as caught:
        write_profiles(penstock_home, text)
    assert str(penstock_home / "profiles.toml") in str(caught.value)


def test_a_profiles_file_that_is_not_utf8_says_in_which_line(penstock_home):
    penstock_home.mkdir()
    (penstock_home / "profiles.toml").write_bytes(b"# a\n# \xff\n")
    with pytest.raises(s.InvalidSettingError, match=r"not UTF-8 \(at line 2\)"):
        s.reload_settings()


def test_a_byte_order_mark_is_no_part_of_the_file(penstock_home):
    penstock_home.mkdir()
    text = "\ufeff[profiles.default]\nTASK_DEFAULT_RETRIES = 2\n"
    (penstock_home / "profiles.toml").write_text(text, "utf-8")
    assert s.reload_settings().task_default_retries == 2


def test_places_in_a_profile_are_relative_to_its_file(penstock_home):
    settings = write_profiles(
        penstock_home,
        "[profiles.default]\nSTORE_URL = 'sqlite:///runs.db'\nLOCAL_STORAGE_PATH = 'files'\n",
    )
    assert settings.store_url == f"sqlite:///{penstock_home / 'runs.db'}"
    assert settings.local_storage_path == penstock_home / "files"


def test_a_profile_does_not_move_the_home_that_it_is_found_in(penstock_home, tmp_path):
    with pytest.warns(UserWarning, match=r"PENSTOCK_HOME in .*, line 2 has no effect"):
        settings = write_profiles(penstock_home, "[profiles.default]\nHOME = '/elsewhere'\n")
    assert settings.home == penstock_home


def test_a_profiles_path_that_is_a_folder_is_an_error(penstock_home):
    (penstock_home / "profiles.toml").mkdir(parents=True)
    with pytest.raises(s.InvalidSettingError, match="cannot be read"):
        s.reload_settings()


def test_unknown_names_in_a_profile_give_warnings(penstock_home):
    text = "active = 'a'\n[profiles.a]\nPENSTOCK_HOMES = 'x'\n"
    with pytest.warns(UserWarning, match="PENSTOCK_HOMES in profile 'a'.*Did you mean"):
        write_profiles(penstock_home, text)
    text = "active = 'a'\n[profiles.a]\nPENSTOCK_PROFILE = 'x'\n"
    with pytest.warns(UserWarning, match="set it as environment variable"):
        write_profiles(penstock_home, text)


def test_use_profile(penstock_home, monkeypatch):
    write_profiles(penstock_home, TWO_PROFILES)
    with s.use_profile("play") as context:
        assert context.profile.name == "play"
        assert s.PENSTOCK_TASK_DEFAULT_RETRIES.value() == 5
        assert s.PENSTOCK_LOGGING_LEVEL.value() == "ERROR"
    with s.use_profile("play", include_current_context=False):
        assert s.PENSTOCK_LOGGING_LEVEL.value() == "INFO"
    assert s.PENSTOCK_TASK_DEFAULT_RETRIES.value() == 2


def test_use_profile_and_the_environment(penstock_home, monkeypatch):
    monkeypatch.setenv("PENSTOCK_TASK_DEFAULT_RETRIES", "9")
    write_profiles(penstock_home, TWO_PROFILES)
    with s.use_profile("play"):
        assert s.PENSTOCK_TASK_DEFAULT_RETRIES.value() == 9
    with s.use_profile("play", override_environment_variables=True):
        assert s.PENSTOCK_TASK_DEFAULT_RETRIES.value() == 5
    with s.use_profile("play", True, False):
        assert s.PENSTOCK_TASK_DEFAULT_RETRIES.value() == 5


def test_use_a_profile_made_in_code():
    with s.use_profile(s.Profile("mine", {s.PENSTOCK_TASK_DEFAULT_RETRIES: 9})):
        assert s.PENSTOCK_TASK_DEFAULT_RETRIES.value() == 9
    with s.use_profile(s.Profile("mine", {"PENSTOCK_TASK_DEFAULT_RETRIES": 8})):
        assert s.PENSTOCK_TASK_DEFAULT_RETRIES.value() == 8
    with pytest.raises(MissingProfileError), s.use_profile("nowhere"):
        pass


def test_profiles_can_be_listed(penstock_home):
    write_profiles(penstock_home, TWO_PROFILES)
    profiles = s.load_all_profiles()
    assert profiles.names == ("default", "work", "play")
    assert profiles.active == "work"
    assert profiles.find("default") == s.Profile("default")
    assert repr(profiles.find("play")).endswith(
        "['PENSTOCK_TASKS_REFRESH_CACHE', 'PENSTOCK_TASK_DEFAULT_RETRIES'])"
    )


def test_reading_settings_loads_nothing_heavy():
    code = (
        "import sys; import penstock.settings as s; s.PENSTOCK_HOME.value();"
        "print([m for m in ('pydantic', 'sqlalchemy', 'asyncio', 'tomllib', 'difflib', 'json')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"


def test_a_warning_handler_that_asks_for_a_setting_does_not_hang(monkeypatch):
    seen = []

    def show(message, *args, **kwargs):
        seen.append(s.PENSTOCK_LOGGING_LEVEL.value())

    monkeypatch.setenv("PENSTOCK_NO_SUCH_THING", "1")
    monkeypatch.setattr("warnings.showwarning", show)
    monkeypatch.setattr("warnings.filters", [])
    s.reload_settings()
    assert seen == ["INFO"]
