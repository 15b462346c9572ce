from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading

import pytest

from penstock.context import FlowRunContext
from penstock.logging import (
    configuration,
    drain,
    ensure_print_is_patched,
    get_logger,
    printing,
    setup_logging,
)
from penstock.logging.configuration import default_configuration
from penstock.logging.handlers import ConsoleHandler, StoreHandler
from penstock.logging.loggers import flow_run_logger
from penstock.settings import InvalidSettingError, reload_settings, temporary_settings


def handlers_of(name):
    return [type(handler) for handler in logging.getLogger(name).handlers]


@pytest.fixture
def with_file(tmp_path):
    """Write a logging configuration and set logging up by it."""

    def write(name, text, **settings):
        path = tmp_path / name
        path.write_text(text)
        with temporary_settings({"PENSTOCK_LOGGING_SETTINGS_PATH": str(path), **settings}):
            setup_logging()

    return write


def file_configuration(**changes):
    return {
        "formatters": {"short": {"format": "<%(levelname)s %(message)s>"}},
        "handlers": {
            "console": {
                "class": "penstock.logging.handlers.ConsoleHandler",
                "formatter": "short",
            },
            "api": {"class": "penstock.logging.handlers.StoreHandler"},
        },
        "loggers": {
            "penstock": {"level": "${PENSTOCK_LOGGING_LEVEL}", "handlers": ["console"]},
            "penstock.flow_runs": {"level": "NOTSET", "handlers": ["api"]},
        },
        **changes,
    }


def test_each_logger_gets_its_handlers_once():
    setup_logging()
    setup_logging()
    with temporary_settings({"PENSTOCK_FLOW_DEFAULT_RETRIES": 1}):
        setup_logging()

    assert handlers_of("penstock") == [ConsoleHandler]
    assert handlers_of("penstock.flow_runs") == [StoreHandler]
    assert handlers_of("penstock.task_runs") == [StoreHandler]


def test_the_root_logger_is_left_alone():
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("some_library").handlers)

    setup_logging()

    assert before == (root.handlers, root.level, logging.getLogger("some_library").handlers)


def test_settings_for_a_while_hold_for_a_while():
    setup_logging()
    assert not get_logger().isEnabledFor(logging.DEBUG)
    with temporary_settings({"PENSTOCK_LOGGING_LEVEL": "DEBUG"}):
        setup_logging()
        assert get_logger("engine").isEnabledFor(logging.DEBUG)
    setup_logging()
    assert not get_logger("engine").isEnabledFor(logging.DEBUG)


def test_a_level_that_the_program_set_stays():
    get_logger().setLevel(logging.ERROR)
    setup_logging()
    assert get_logger().level == logging.ERROR

    with temporary_settings({"PENSTOCK_LOGGING_LEVEL": "DEBUG"}):
        setup_logging()
    assert get_logger().level == logging.ERROR


def test_a_console_handler_that_the_program_set_is_enough(capsys):
    handler = logging.StreamHandler(sys.stderr)
    get_logger().addHandler(handler)
    setup_logging()
    get_logger().info("hello")
    get_logger().removeHandler(handler)

    assert capsys.readouterr().err == "hello\n"


def test_other_loggers_can_be_recorded_and_shown(flow_run, capsys):
    with temporary_settings({"PENSTOCK_LOGGING_EXTRA_LOGGERS": "some_library"}):
        setup_logging()
        with FlowRunContext(flow_run=flow_run):
            logging.getLogger("some_library.part").info("hello")
            logging.getLogger("some_library.part").debug("too quiet")
    setup_logging()

    assert [(row[0], row[3], row[5]) for row in drain()] == [
        (flow_run.id.bytes, "some_library.part", "hello")
    ]
    assert capsys.readouterr().err.endswith("| INFO    | some_library.part - hello\n")
    assert handlers_of("some_library") == []


def test_a_logger_within_another_is_recorded_once(flow_run):
    names = "some_library.part,some_library,some_library,penstock.engine,penstock"
    with temporary_settings({"PENSTOCK_LOGGING_EXTRA_LOGGERS": names}):
        setup_logging()
        with FlowRunContext(flow_run=flow_run):
            logging.getLogger("some_library.part").info("hello")

    assert len(drain()) == 1
    assert handlers_of("some_library.part") == []
    assert handlers_of("penstock") == [ConsoleHandler]


def test_the_root_logger_is_recorded_where_it_is_named(flow_run, capsys, bare_root):
    with bare_root(), temporary_settings({"PENSTOCK_LOGGING_EXTRA_LOGGERS": "root"}):
        setup_logging()
        with FlowRunContext(flow_run=flow_run):
            logging.getLogger("some_library").warning("hello")
            flow_run_logger(flow_run).info("from the run")
        with temporary_settings({"PENSTOCK_LOGGING_EXTRA_LOGGERS": ""}):
            setup_logging()
        assert logging.getLogger().handlers == []

    assert [row[5] for row in drain()] == ["hello", "from the run"]
    assert capsys.readouterr().err.count("from the run") == 1


def test_variables_change_entries(flow_run, monkeypatch, capsys):
    monkeypatch.setenv("PENSTOCK_LOGGING_LOGGERS_PENSTOCK_FLOW_RUNS_LEVEL", "error")
    monkeypatch.setenv("PENSTOCK_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT", "!%(message)s")
    monkeypatch.setenv("PENSTOCK_LOGGING_HANDLERS_API_LEVEL", "50")
    monkeypatch.setenv("PENSTOCK_LOGGING_LOGGERS_PENSTOCK_TASK_RUNS_HANDLERS", "api, console")
    monkeypatch.setenv("PENSTOCK_LOGGING_LOGGERS_PENSTOCK_PROPAGATE", "no")
    setup_logging()
    flow_run_logger(flow_run).warning("quiet")
    flow_run_logger(flow_run).error("loud")
    flow_run_logger(flow_run).critical("recorded")

    assert capsys.readouterr().err == "!loud\n!recorded\n"
    assert [row[5] for row in drain()] == ["recorded"]
    assert handlers_of("penstock.task_runs") == [StoreHandler, ConsoleHandler]
    assert not get_logger().propagate

    monkeypatch.undo()
    reload_settings()
    setup_logging()
    assert get_logger().propagate
    assert get_logger("flow_runs").isEnabledFor(logging.INFO)


def test_a_variable_that_names_nothing_is_warned_of(monkeypatch):
    monkeypatch.setenv("PENSTOCK_LOGGING_LOGGERS_PENSTOCK_COLOUR", "red")
    with pytest.warns(UserWarning, match="PENSTOCK_COLOUR in the environment names no entry"):
        setup_logging()


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("LOGGERS_PENSTOCK_LEVEL", "LOUD", "must be a level"),
        ("LOGGERS_PENSTOCK_PROPAGATE", "perhaps", "must be true or false"),
        ("LOGGERS_PENSTOCK_HANDLERS", "console,mail", "'mail'"),
        ("HANDLERS_CONSOLE_FORMATTER", "fancy", "'fancy'"),
        ("FORMATTERS_STANDARD_FORMAT", "no format", "FORMATTERS_STANDARD"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch, variable, value, expected):
    monkeypatch.setenv(f"PENSTOCK_LOGGING_{variable}", value)
    with pytest.raises(InvalidSettingError, match=expected) as found:
        setup_logging()
    assert variable in str(found.value)


TOML = """
[formatters.short]
format = "<%(levelname)s %(message)s>"
[handlers.console]
class = "penstock.logging.handlers.ConsoleHandler"
formatter = "short"
[handlers.api]
class = "penstock.logging.handlers.StoreHandler"
[loggers.penstock]
level = "${PENSTOCK_LOGGING_LEVEL}"
handlers = ["console"]
["loggers"."penstock.flow_runs"]
level = "NOTSET"
handlers = ["api"]
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [("logging.json", json.dumps(file_configuration())), ("logging.toml", TOML)],
)
def test_a_file_takes_the_place_of_the_configuration(with_file, flow_run, capsys, name, text):
    with_file(name, text, PENSTOCK_LOGGING_LEVEL="WARNING")
    flow_run_logger(flow_run).info("quiet")
    flow_run_logger(flow_run).warning("loud")

    assert capsys.readouterr().err == "<WARNING loud>\n"
    assert [row[5] for row in drain()] == ["loud"]
    assert not logging.getLogger("some_library").disabled


def test_after_a_file_the_usual_configuration_comes_back(with_file, flow_run, capsys):
    with_file("logging.json", json.dumps(file_configuration()))
    setup_logging()
    flow_run_logger(flow_run).info("hello")

    assert capsys.readouterr().err.endswith("| INFO    | Flow run 'brave-otter' - hello\n")
    assert handlers_of("penstock") == [ConsoleHandler]


def test_variables_change_entries_of_a_file(with_file, flow_run, monkeypatch, capsys):
    monkeypatch.setenv("PENSTOCK_LOGGING_LOGGERS_PENSTOCK_LEVEL", "ERROR")
    monkeypatch.setenv("PENSTOCK_LOGGING_LOGGERS_PENSTOCK_PROPAGATE", "false")
    with_file("logging.json", json.dumps(file_configuration()))
    flow_run_logger(flow_run).warning("quiet")
    flow_run_logger(flow_run).error("loud")

    assert capsys.readouterr().err == "<ERROR loud>\n"
    assert not get_logger().propagate


def test_extra_loggers_are_recorded_with_a_file_too(with_file, flow_run):
    with_file(
        "logging.json",
        json.dumps(file_configuration()),
        PENSTOCK_LOGGING_EXTRA_LOGGERS="some_library",
    )
    with FlowRunContext(flow_run=flow_run):
        logging.getLogger("some_library").warning("hello")

    assert [row[5] for row in drain()] == ["hello"]


def test_a_file_can_say_what_extra_loggers_get(with_file, flow_run, capsys):
    configuration = file_configuration()
    configuration["handlers"]["loud"] = {**configuration["handlers"]["console"], "level": "ERROR"}
    configuration["loggers"]["penstock.extra"] = {"level": "INFO", "handlers": ["loud"]}
    with_file(
        "logging.json", json.dumps(configuration), PENSTOCK_LOGGING_EXTRA_LOGGERS="some_library"
    )
    with FlowRunContext(flow_run=flow_run):
        logging.getLogger("some_library").info("quiet")
        logging.getLogger("some_library").error("loud")

    assert drain() == []
    assert capsys.readouterr().err == "<ERROR loud>\n"


def test_a_file_in_the_home_folder_is_found(penstock_home, flow_run, capsys):
    penstock_home.mkdir(parents=True)
    (penstock_home / "logging.yml").write_text(json.dumps(file_configuration()))
    setup_logging()
    flow_run_logger(flow_run).info("hello")

    assert capsys.readouterr().err == "<INFO hello>\n"


def test_yaml_without_its_package_says_what_to_do(with_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(InvalidSettingError, match="pip install pyyaml"):
        with_file("logging.yml", "version: 1")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("logging.json", "{", "cannot be read"),
        ("logging.toml", "a = ", "cannot be read"),
        ("logging.json", "[]", "holds no mapping"),
        ("logging.json", '{"handlers": {"x": {"class": "no.such.Handler"}}}', "cannot be used"),
        ("logging.json", '{"version": 7}', "Unsupported version"),
    ],
)
def test_a_file_that_is_wrong_is_named(with_file, name, text, expected):
    with pytest.raises(InvalidSettingError, match=expected) as found:
        with_file(name, text)

    assert name in str(found.value)


def test_a_file_that_is_named_has_to_exist(tmp_path):
    path = tmp_path / "missing.json"
    with (
        temporary_settings({"PENSTOCK_LOGGING_SETTINGS_PATH": str(path)}),
        pytest.raises(InvalidSettingError, match="there is no such file"),
    ):
        setup_logging()


def test_a_folder_is_no_configuration(tmp_path):
    with (
        temporary_settings({"PENSTOCK_LOGGING_SETTINGS_PATH": str(tmp_path)}),
        pytest.raises(InvalidSettingError, match="cannot be read"),
    ):
        setup_logging()


def test_the_default_configuration_can_be_copied_into_a_file(with_file, flow_run, capsys):
    configuration = default_configuration("INFO")
    configuration["handlers"]["console"]["class"] = "penstock.logging.handlers.ConsoleHandler"
    configuration["handlers"]["api"]["class"] = "penstock.logging.handlers.StoreHandler"
    configuration["handlers"]["graph"]["class"] = "penstock.logging.handlers.GraphHandler"
    configuration["formatters"]["standard"]["()"] = "penstock.logging.formatters.PenstockFormatter"
    with_file("logging.json", json.dumps(configuration))
    flow_run_logger(flow_run).info("hello")

    assert capsys.readouterr().err.endswith("| INFO    | Flow run 'brave-otter' - hello\n")
    assert len(drain()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_sets_up_although_its_parent_was_just_doing_so(capfd):
    with configuration._lock, printing._lock:
        child = os.fork()
        if child == 0:  # pragma: no cover - in the child
            # Another thread: the one that forked holds its own locks and would not notice.
            thread = threading.Thread(target=lambda: (setup_logging(), ensure_print_is_patched()))
            thread.daemon = True
            thread.start()
            thread.join(10)
            os._exit(1 if thread.is_alive() else 0)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_setting_up_imports_neither_rich_nor_sockets():
    program = (
        "import sys; import penstock.logging as log; log.setup_logging();"
        "print([name for name in ('rich', 'socket', 'yaml', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
